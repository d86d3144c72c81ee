//! What must never be in a log: every secret that a system is given, or gives, while it tells as much as it can of what it does. The first
//! owner's link is printed on purpose, once, on standard output and not into the log.

use crate::browser::Browser;
use crate::common::{BINARY, System, settings};
use reqwest::{Method, redirect};
use serde_json::{Value, json};
use std::process::Command;

/// Secrets of settings and of people: whatever begins so must not be found.
const OURS: &str = "known-secret";

fn ours(of: &str) -> String {
    format!("{OURS}-{of}-0123456789")
}

/// Settings with a secret wherever there may be one. What they lead to is not there: failures are told too.
fn with_secrets(passwords: &str) -> String {
    let (redis, broker, smtp, mqtt, oidc) = (ours("redis"), ours("broker"), ours("smtp"), ours("mqtt"), ours("oidc"));
    let redis = format!("[gateway]\nredis = \"redis://fleet:{redis}@127.0.0.1:1\"\n");
    let gateway = settings(&[]).replacen("[gateway]\n", &redis, 1);
    format!(
        "{gateway}\
         [gateway.oidc]\nissuer = \"https://localhost:1\"\nclient_id = \"us\"\nclient_secret = \"{oidc}\"\n\
         public_url = \"https://localhost\"\n\
         [connectors.mqtt]\npasswords_file = \"{passwords}\"\n\
         [[connectors.brokers]]\nhost = \"127.0.0.1\"\nport = 1\nclient_id = \"us\"\n\
         username = \"us\"\npassword = \"{broker}\"\n\
         [notify]\n\
         smtp = {{ host = \"127.0.0.1\", port = 1, from = \"us@example.org\", user = \"us\", password = \"{smtp}\" }}\n\
         mqtt = {{ host = \"127.0.0.1\", port = 1, user = \"us\", password = \"{mqtt}\" }}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_the_log_however_much_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (said, passwords) = (folder.path().join("said"), folder.path().join("passwords"));
    std::fs::write(&passwords, format!("phone:{}\n", ours("phone"))).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$@\" 2>\"$0\""]).arg(&said).args([BINARY, "run"]).env("RUST_LOG", "debug");
    let settings = with_secrets(passwords.to_str().unwrap());
    let system = System::spawn(command, folder.path(), folder.path(), &settings).unwrap();
    let url = format!("http://{}", system.address("dashboard"));
    let after = |text: &str, mark: &str| text.split_once(mark).unwrap().1.trim().to_owned();

    let link = system.sign_in_link().to_owned();
    let cookie = system.cookie().await;
    let mut secrets = vec![
        ("the first link", after(&link, "token=")),
        ("a session", after(&cookie, "=")),
        ("the control port's", system.contact.token.clone()),
    ];
    let http = reqwest::Client::builder().redirect(redirect::Policy::none()).build().unwrap();
    let request = |method: Method, path: &str| http.request(method, format!("{url}{path}")).header("x-waystream", "1");
    let ask = async |method: Method, path: &str, body: Value| -> Value {
        let answer = request(method, path).header("cookie", &cookie).json(&body).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    };

    // Signing in, rightly and wrongly.
    ask(Method::PUT, "/api/session/password", json!({ "password": ours("password") })).await;
    for (password, status) in [(ours("password"), 200), (ours("wrong"), 401)] {
        let by_password = json!({ "user": "admin", "password": password });
        let answer = request(Method::POST, "/api/session").json(&by_password).send().await.unwrap();
        assert_eq!(answer.status(), status);
        if let Some(cookie) = answer.headers().get("set-cookie") {
            secrets.push(("another session", after(cookie.to_str().unwrap().split(';').next().unwrap(), "=")));
        }
    }
    request(Method::GET, "/api/session/oidc").send().await.unwrap();
    let factor = ask(Method::POST, "/api/session/second-factor", json!({})).await;
    secrets.push(("a second factor", factor["secret"].as_str().unwrap().to_owned()));
    let invited = ask(Method::POST, "/api/users", json!({ "id": "otto", "role": "viewer" })).await;
    let invitation = invited["path"].as_str().unwrap();
    secrets.push(("an invitation", after(invitation, "token=")));
    assert_eq!(request(Method::GET, invitation).send().await.unwrap().status(), 303);

    // What programs, guests and other organisations show.
    let token = ask(Method::POST, "/api/tokens", json!({ "name": "Report", "scopes": ["read"] })).await;
    let token = token["secret"].as_str().unwrap().to_owned();
    assert_eq!(request(Method::GET, "/api/fleets").bearer_auth(&token).send().await.unwrap().status(), 200);
    secrets.push(("an API token", token));
    ask(Method::PUT, "/api/devices/v7", json!({ "name": "Van", "fleet": "default" })).await;
    let hour = waystream::now().plus_millis(3_600_000).as_millis();
    let shared = ask(Method::POST, "/api/devices/v7/share-links", json!({ "expires_at": hour })).await;
    let guest = after(shared["path"].as_str().unwrap(), "#");
    assert_eq!(request(Method::GET, "/api/share/trail").bearer_auth(&guest).send().await.unwrap().status(), 200);
    secrets.push(("a share link", guest));
    let offered = ask(Method::POST, "/api/devices/v7/transfer", json!({})).await;
    let code = offered["code"].as_str().unwrap().to_owned();
    let redemption = json!({ "code": code, "name": "Van", "fleet": "default" });
    request(Method::POST, "/api/transfers/redeem").header("cookie", &cookie).json(&redemption).send().await.unwrap();
    secrets.push(("a code of a device", code));
    let hook = format!("https://hooks.invalid/in?token={}", ours("address"));
    let channel = json!({ "name": "Hook", "type": "webhook", "url": hook, "secret": ours("hook") });
    let channel = ask(Method::POST, "/api/notifications/channels", channel).await;
    ask(Method::POST, &format!("/api/notifications/channels/{}/test", channel["id"].as_str().unwrap()), json!({})).await;

    // Sockets, devices, and the control port.
    for transport in ["websocket", "polling"] {
        let everything = json!({ "fleets": null, "alerts_after": null });
        Browser::watching(&url, &cookie, transport, everything).await.0.until_so(|b| b.complete).await;
    }
    let port = system.address("mqtt").port().to_string();
    for (password, is_right) in [(ours("phone"), true), (ours("wrong"), false)] {
        let mut publish = Command::new("mosquitto_pub");
        publish.args(["-h", "127.0.0.1", "-p", &port, "-q", "1", "-u", "phone", "-P", &password, "-t", "owntracks/phone/1"]);
        publish.args(["-m", r#"{"_type":"location","lat":52.2,"lon":21.0,"tst":1700000000}"#]);
        let published = publish.output().expect("mosquitto_pub is installed");
        assert_eq!(published.status.success(), is_right, "{}", String::from_utf8_lossy(&published.stderr));
    }
    system.remote().settle().await.unwrap();

    let printed = system.said.join("\n");
    assert_eq!(printed.matches(&secrets[0].1).count(), 1, "{printed}");
    let (status, _) = system.terminate().unwrap();
    assert!(status.success(), "{status}");
    let said = std::fs::read_to_string(&said).unwrap();
    assert!(said.contains("DEBUG") && said.contains("signed in"), "it tells nothing:\n{said}");
    for (name, secret) in secrets {
        assert!(secret.len() >= 8, "{name} is too short to be looked for: {secret}");
        let line = said.lines().find(|line| line.contains(&secret));
        assert!(line.is_none(), "{name} is in the log: {line:?}");
        assert!(name == "the first link" || !printed.contains(&secret), "{name} is printed:\n{printed}");
    }
    let line = said.lines().chain(printed.lines()).find(|line| line.contains(OURS));
    assert!(line.is_none(), "{line:?}");
}
