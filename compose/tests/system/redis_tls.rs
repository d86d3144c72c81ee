//! Gateways on a Redis that wants TLS, a certificate and a password; and what the log says of one that can't be used.

use crate::browser::Browser;
use crate::common::{BINARY, System, run, settings};
use crate::redis::Redis;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Settings of one process on a log of its own that shares this Redis.
fn on(redis: &str, more: &str) -> String {
    settings(&[]).replacen("[gateway]\n", &format!("[gateway]\nredis = \"{redis}\"\n{more}\n"), 1)
}

/// Starts a process whose log goes to a file, and waits until a line of that has all of these.
async fn until_said(folder: &Path, settings: &str, words: &[&str]) {
    std::fs::create_dir_all(folder).unwrap();
    let file = folder.join("said");
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$@\" 2>\"$0\""]).arg(&file).args([BINARY, "run"]);
    let system = System::spawn(command, folder, folder, settings).unwrap();
    let said = || std::fs::read_to_string(&file).unwrap();
    let found = async {
        while !said().lines().any(|line| words.iter().all(|word| line.contains(word))) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let found = tokio::time::timeout(Duration::from_secs(60), found).await;
    assert!(found.is_ok(), "nowhere {words:?}:\n{}", said());
    assert!(!said().contains("secret"), "{}", said());
    drop(system);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_wants_tls_and_a_password_is_used_and_one_that_refuses_is_named() {
    let redis = Redis::start_encrypted("secret");
    let folder = tempfile::tempdir().unwrap();
    let [right, wrong] = ["right", "wrong"].map(|name| folder.path().join(name));
    std::fs::write(&right, "secret\n").unwrap();
    std::fs::write(&wrong, "not so secret\n").unwrap();
    let password = |file: &Path| format!("redis_password_file = \"{}\"", file.display());
    let certificates = redis.certificates();
    let trusting = |ca: &Path| {
        let ours = certificates.display();
        let files = format!("certificate_file = \"{ours}/server.crt\", key_file = \"{ours}/server.key\"");
        format!("redis_tls = {{ ca_file = \"{}\", {files} }}", ca.display())
    };
    let ca = certificates.join("ca.pem");
    let trusted = on(&redis.url(), &format!("{}\n{}", password(&right), trusting(&ca)));

    // Two that have nothing in common but their organisation and Redis.
    let [a, b] = ["a", "b"].map(|name| System::start(&folder.path().join(name), &trusted).unwrap());
    let url = |system: &System| format!("http://{}", system.address("dashboard"));
    let watch = || json!({ "fleets": null, "alerts_after": null });
    let (at_a, at_b) = (a.cookie().await, b.cookie().await);
    let (mut on_a, _) = Browser::watching(&url(&a), &at_a, "websocket", watch()).await;
    let (mut on_b, _) = Browser::watching(&url(&b), &at_b, "websocket", watch()).await;
    let http = reqwest::Client::new();
    let shown = async || {
        let request = http.post(format!("{}/api/notices", url(&a))).json(&json!({ "text": "hello" }));
        let answer = request.header("cookie", &at_a).header("x-waystream", "1").send().await.unwrap();
        answer.error_for_status().unwrap().json::<Value>().await.unwrap()["shown"].as_u64().unwrap()
    };
    let both = async { while shown().await != 2 {} };
    tokio::time::timeout(Duration::from_secs(60), both).await.expect("both gateways are reached");
    for browser in [&mut on_a, &mut on_b] {
        assert_eq!(browser.until("notice").await.args[0]["text"], "hello");
    }
    drop((a, b));

    // The authority of somebody else.
    let arguments =
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout o.key -out o.pem -days 2 -subj /CN=other";
    let made = Command::new("openssl").args(arguments.split(' ')).current_dir(folder.path()).output().unwrap();
    assert!(made.status.success());
    let (address, unreachable) = (redis.address().to_string(), "can't be reached over Redis");
    let other = format!("{}\n{}", password(&right), trusting(&folder.path().join("o.pem")));
    let refuses = format!("{}\n{}", password(&wrong), trusting(&ca));
    let nobody = format!("{}\nredis_tls = {{ ca_file = \"{}\" }}", password(&right), ca.display());
    for (name, more, why) in [("c", other, "invalid peer certificate"), ("d", refuses, "WRONGPASS"), ("e", nobody, "")] {
        until_said(&folder.path().join(name), &on(&redis.url(), &more), &[unreachable, &address, why]).await;
    }
}

#[test]
fn nobody_sends_a_password_to_another_machine_in_the_open() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml");
    let password = folder.path().join("password");
    std::fs::write(&password, "sesame").unwrap();
    let from_file = format!("redis_password_file = \"{}\"", password.display());
    for (settings, says) in [
        (on("redis://:sesame@redis:6379", ""), "on its way to redis:6379: use TLS (rediss://), or set redis_insecure = true"),
        (on("redis://redis:6379", &from_file), "on its way to redis:6379"),
        (on("redis://127.0.0.1", "redis_tls = {}"), "does not begin with rediss://"),
        (on("rediss://redis", "redis_tls = { ca_file = \"nowhere.pem\" }"), "nowhere.pem"),
        (
            settings(&[]) + "[store]\nkind = \"questdb\"\naddress = \"questdb:9000\"\nuser = \"me\"\npassword = \"sesame\"\n",
            "on its way to questdb:9000: use TLS (https://), or set insecure = true",
        ),
        (
            settings(&[])
                + "[[connectors.brokers]]\nhost = \"mqtt\"\nport = 1883\nclient_id = \"us\"\n\
                   username = \"me\"\npassword = \"sesame\"\n",
            "on its way to mqtt:1883: use TLS (tls = {}), or set insecure = true",
        ),
        (
            settings(&[])
                + "[notify]\nsmtp = { host = \"mail\", port = 25, encryption = \"none\", from = \"us@example.org\", \
                   user = \"me\", password = \"sesame\" }\n",
            "notify.smtp.password: others could read the password on its way to mail:25",
        ),
    ] {
        std::fs::write(&file, &settings).unwrap();
        let data = folder.path().join("data");
        let (_, err, ended_well) = run(&["run", "--config", file.to_str().unwrap(), "--data", data.to_str().unwrap()]).unwrap();
        assert!(!ended_well && err.contains(says), "{settings}: {err}");
        assert!(!err.contains("sesame"), "{err}");
        let (out, _, ended_well) = run(&["check-config", "--config", file.to_str().unwrap()]).unwrap();
        assert!(ended_well && !out.contains("sesame"), "{out}");
    }
}
