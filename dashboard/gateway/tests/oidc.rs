//! Signing in by an OpenID provider: whole flows with a certified one (oidc-provider from npm), and what is wrong with others.

#![allow(clippy::unwrap_used)]

use crate::system;

use metrics_exporter_prometheus::PrometheusBuilder;
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response, Url};
use serde_json::json;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use system::user::User;
use system::{System, id};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use url::Position;
use waystream_domain::CatalogEntry;
use waystream_domain::catalog::{self, Role};
use waystream_gateway::{ClientSecret, GatewayConfig, OidcConfig};

/// Where browsers would find the dashboard; the tests go to where it is.
const PUBLIC: &str = "https://fleet.example.org";
const SECRET: &str = "a secret of enough letters";
const START: &str = "/api/session/oidc";
/// The cookie of a flow, as it is called where browsers speak TLS.
const FLOW: &str = "__Host-waystream_oidc";
/// Nothing that is waited for takes so long unless it never comes.
const PATIENCE: Duration = Duration::from_secs(60);

struct Provider {
    child: Child,
    issuer: String,
    /// Open as long as it runs.
    _output: Lines<BufReader<ChildStdout>>,
}

impl Provider {
    async fn start(more: &[(&str, &str)]) -> Self {
        let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web");
        assert!(web.join("node_modules/oidc-provider").exists(), "run `npm ci` in dashboard/web");
        let mut command = Command::new("node");
        command
            .arg(web.join("e2e/oidc_provider.mjs"))
            .env("CALLBACK", format!("{PUBLIC}{START}/callback"))
            .env("CLIENT_SECRET", SECRET);
        command
            .envs(more.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let issuer = tokio::time::timeout(PATIENCE, output.next_line()).await.expect("it starts").unwrap().expect("it listens");
        Self { child, issuer, _output: output }
    }

    fn port(&self) -> String {
        self.issuer.rsplit(':').next().unwrap().to_owned()
    }

    async fn stop(mut self) {
        self.child.kill().await.unwrap();
    }
}

fn config(issuer: &str) -> GatewayConfig {
    let oidc = OidcConfig {
        issuer: issuer.into(),
        client_id: "waystream".into(),
        client_secret: Some(ClientSecret(SECRET.into())),
        client_secret_file: None,
        public_url: PUBLIC.into(),
        scopes: vec!["openid".into(), "email".into()],
        claim: "email".into(),
        verified_email: true,
        ca_file: None,
        label: "Sign in with Example".into(),
    };
    GatewayConfig { oidc: Some(oidc), ..GatewayConfig::default() }
}

async fn invite(system: &System, name: &str) {
    let user =
        catalog::User { id: id(name), organisation: id("ours"), role: Role::Viewer, password_hash: None, preferences: None };
    system.edit(CatalogEntry::User(user)).await;
}

fn http() -> Client {
    Client::builder().redirect(Policy::none()).build().unwrap()
}

fn header(answer: &Response, name: reqwest::header::HeaderName) -> String {
    answer.headers().get(name).expect("it has the header").to_str().unwrap().to_owned()
}

/// Name and value of a cookie that is set.
fn cookie(answer: &Response, name: &str) -> Option<String> {
    let set = answer.headers().get_all(SET_COOKIE).iter().map(|value| value.to_str().unwrap());
    let mut pairs = set.filter_map(|value| value.split(';').next());
    pairs.find(|pair| pair.split('=').next() == Some(name)).map(str::to_owned)
}

/// What a browser does when the button is pressed: where it goes, and the cookie that it takes along.
async fn begin(url: &str) -> (String, String) {
    let answer = http().get(format!("{url}{START}")).send().await.unwrap();
    assert_eq!(answer.status(), 303, "{}", answer.text().await.unwrap());
    let set = header(&answer, SET_COOKIE);
    assert!(set.contains("; HttpOnly; SameSite=Lax; Path=/; Max-Age=600; Secure"), "{set}");
    (header(&answer, LOCATION), cookie(&answer, FLOW).unwrap())
}

/// Signs in at the provider: the address of ours that it sends the browser to.
async fn log_in(location: &str, name: &str) -> String {
    let http = Client::builder().redirect(Policy::none()).cookie_store(true).build().unwrap();
    let mut at = Url::parse(location).unwrap();
    let mut answer = http.get(at.clone()).send().await.unwrap();
    for _ in 0..8 {
        if answer.status().is_redirection() {
            at = at.join(&header(&answer, LOCATION)).unwrap();
            if at.as_str().starts_with(PUBLIC) {
                return at[Position::BeforePath..].to_owned();
            }
            answer = http.get(at.clone()).send().await.unwrap();
            continue;
        }
        let page = answer.text().await.unwrap();
        let action = page.split("action=\"").nth(1).unwrap_or_else(|| panic!("no form: {page}")).split('"').next().unwrap();
        at = at.join(action).unwrap();
        let form = format!("prompt=login&login={}&password=anything", name.replace('@', "%40"));
        let form = http.post(at.clone()).header("content-type", "application/x-www-form-urlencoded").body(form);
        answer = form.send().await.unwrap();
    }
    panic!("it never sends the browser back");
}

async fn come_back(url: &str, path: &str, cookie: &str) -> Response {
    http().get(format!("{url}{path}")).header(COOKIE, cookie).send().await.unwrap()
}

/// The whole way of somebody.
async fn sign_in(url: &str, name: &str) -> Response {
    let (location, cookie) = begin(url).await;
    let path = log_in(&location, name).await;
    come_back(url, &path, &cookie).await
}

/// Status and page of somebody who is not let in.
async fn refusal(answer: Response) -> (u16, String) {
    assert_eq!(cookie(&answer, "waystream_session"), None);
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn whom_the_provider_names_is_signed_in_if_somebody_has_invited_them() {
    let metrics = PrometheusBuilder::new().install_recorder().unwrap();
    let provider = Provider::start(&[]).await;
    let system = System::start_with(config(&provider.issuer)).await;
    for name in ["anna@example.org", "unverified@example.org"] {
        invite(&system, name).await;
    }
    let admin = User::sign_in(&system, "admin").await;
    let button = json!({ "label": "Sign in with Example", "url": format!("{PUBLIC}{START}") });
    assert_eq!(User::nobody(&system).get("/api/config").await["oidc"], button);

    // With other capitals, too: an e-mail address is the same.
    for name in ["anna@example.org", "Anna@Example.ORG"] {
        let (location, flow) = begin(&system.url).await;
        assert!(location.starts_with(&provider.issuer) && location.contains("code_challenge_method=S256"), "{location}");
        let answer = come_back(&system.url, &log_in(&location, name).await, &flow).await;
        assert_eq!((answer.status().as_u16(), header(&answer, LOCATION)), (303, format!("{PUBLIC}/")));
        assert_eq!(cookie(&answer, FLOW), Some(format!("{FLOW}=")), "it is used up");
        let cookie = cookie(&answer, "waystream_session").unwrap();
        let anna = User { http: Client::new(), url: system.url.clone(), cookie };
        let session = anna.get("/api/session").await;
        assert_eq!((&session["user"], &session["role"]), (&json!("anna@example.org"), &json!("viewer")));
        assert_eq!(anna.ask(Method::GET, "/api/devices", None).await.0, 200);
        assert_eq!(anna.ask(Method::GET, "/api/users", None).await.0, 403);
    }

    let (status, page) = refusal(sign_in(&system.url, "otto@example.org").await).await;
    assert!(status == 403 && page.contains("nobody has invited you"), "{status} {page}");
    let (status, page) = refusal(sign_in(&system.url, "unverified@example.org").await).await;
    assert!(status == 403 && page.contains("not been verified"), "{status} {page}");

    let changes = admin.get("/api/audit").await;
    let told = |change: &str, name: &str, value: &str| {
        changes["changes"].as_array().unwrap().iter().filter(|c| c["change"] == change && c[name] == value).count()
    };
    assert_eq!(told("signed_in", "via", "oidc"), 2, "{changes}");
    assert!(!changes.to_string().contains("otto"), "{changes}");
    let metrics = metrics.render();
    for outcome in ["signed_in", "unknown_user", "unverified"] {
        let counted = format!("waystream_gateway_oidc_sign_ins_total{{outcome=\"{outcome}\"}}");
        assert!(metrics.contains(&counted), "{counted} is not in {metrics}");
    }
    system.stop().await;
}

#[tokio::test]
async fn a_callback_is_good_once_for_the_browser_that_began_at_whatever_gateway() {
    let provider = Provider::start(&[]).await;
    let system = System::start_with(config(&provider.issuer)).await;
    invite(&system, "anna@example.org").await;
    let another = system.another_with(config(&provider.issuer)).await;
    let signs_in = async |url: &str, path: &str, cookie: &str| {
        let answer = come_back(url, path, cookie).await;
        let session = self::cookie(&answer, "waystream_session");
        assert_eq!(session.is_some(), answer.status() == 303);
        answer.status().as_u16()
    };

    // It begins at one and ends at the other; then it is used up at both: one remembers it, for the other it is the provider that does.
    let (location, flow) = begin(&system.url).await;
    let path = log_in(&location, "anna@example.org").await;
    assert_eq!(signs_in(&another.url, &path, &flow).await, 303);
    assert_eq!(signs_in(&another.url, &path, &flow).await, 400);
    assert_eq!(signs_in(&system.url, &path, &flow).await, 401);
    assert_eq!(signs_in(&system.url, &path, &flow).await, 400);

    // Without the cookie, with that of another flow, with another state, with rubbish.
    let (location, flow) = begin(&system.url).await;
    let (other_location, other_flow) = begin(&system.url).await;
    let path = log_in(&location, "anna@example.org").await;
    let state = |address: &str| {
        let address = Url::parse(PUBLIC).unwrap().join(address).unwrap();
        address.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned()
    };
    let swapped = path.replace(&state(&path), &state(&other_location));
    // As a page on a neighbouring name could plant it, to have somebody come into its session.
    let planted = flow.strip_prefix("__Host-").unwrap();
    for (path, cookie) in [
        (path.as_str(), "other=1"),
        (&path, &other_flow),
        (&swapped, &flow),
        (&path, planted),
        (&path, &format!("{FLOW}=AAAA")),
        (&format!("{START}/callback"), &flow),
        (&path.replace("state=", "stat="), &flow),
    ] {
        assert_eq!(signs_in(&system.url, path, cookie).await, 400, "{path} {cookie}");
    }
    // Somebody else's code in one's own flow: the provider knows by PKCE that another began.
    assert_eq!(signs_in(&system.url, &swapped, &other_flow).await, 401);
    // From another issuer, or from nobody.
    let issuer = &path[path.find("&iss=").unwrap()..];
    for other in ["&iss=https%3A%2F%2Fid.example.org", ""] {
        let (location, flow) = begin(&system.url).await;
        let path = log_in(&location, "anna@example.org").await.replace(issuer, other);
        assert_eq!(signs_in(&system.url, &path, &flow).await, 401, "{path}");
    }
    // Who doesn't want to.
    let (location, flow) = begin(&system.url).await;
    let cancelled = format!("{START}/callback?error=access_denied&state={}{issuer}", state(&location));
    let (status, page) = refusal(come_back(&system.url, &cancelled, &flow).await).await;
    assert!(status == 401 && page.contains("was cancelled"), "{status} {page}");
    system.stop().await;
    another.ended().await;
}

#[tokio::test]
async fn a_token_for_another_client_or_of_another_issuer_is_not_believed() {
    let provider = Provider::start(&[("FOR_ANOTHER", "1")]).await;
    let system = System::start_with(config(&provider.issuer)).await;
    invite(&system, "anna@example.org").await;
    let (status, page) = refusal(sign_in(&system.url, "anna@example.org").await).await;
    assert!(status == 401 && page.contains("can't be trusted"), "{status} {page}");
    // Who fails again and again has to wait; passwords go on.
    let mut failures = 1;
    while sign_in_or_wait(&system.url).await != 429 {
        failures += 1;
        assert!(failures < 20, "nobody has to wait");
    }
    let wrong = json!({ "user": "anna@example.org", "password": "a wrong password" });
    assert_eq!(User::nobody(&system).ask(Method::POST, "/api/session", Some(&wrong)).await.0, 401);

    // A provider under a name that it doesn't call itself.
    let otherwise = provider.issuer.replace("localhost", "127.0.0.1");
    let system = system.restart(config(&otherwise)).await;
    let (status, page) = refusal(http().get(format!("{}{START}", system.url)).send().await.unwrap()).await;
    assert!(status == 503 && page.contains("doesn't answer as it should"), "{status} {page}");
    system.stop().await;
}

/// 401, or 429 at the beginning or at the end of the way.
async fn sign_in_or_wait(url: &str) -> u16 {
    let answer = http().get(format!("{url}{START}")).send().await.unwrap();
    if answer.status() != 303 {
        return answer.status().as_u16();
    }
    let (location, flow) = (header(&answer, LOCATION), cookie(&answer, FLOW).unwrap());
    let path = log_in(&location, "anna@example.org").await;
    refusal(come_back(url, &path, &flow).await).await.0
}

#[tokio::test]
async fn new_keys_of_the_provider_are_fetched_when_they_are_used() {
    let provider = Provider::start(&[]).await;
    let port = provider.port();
    let system = System::start_with(config(&provider.issuer)).await;
    invite(&system, "anna@example.org").await;
    assert_eq!(sign_in(&system.url, "anna@example.org").await.status(), 303);
    provider.stop().await;
    let _provider = Provider::start(&[("PORT", &port)]).await;
    assert_eq!(sign_in(&system.url, "anna@example.org").await.status(), 303);
    system.stop().await;
}

#[tokio::test]
async fn without_its_provider_a_gateway_starts_and_passwords_sign_in() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let system = System::start_with(config(&format!("http://localhost:{port}"))).await;
    invite(&system, "anna@example.org").await;
    let press = async || http().get(format!("{}{START}", system.url)).send().await.unwrap();
    let (status, page) = refusal(press().await).await;
    assert!(status == 503 && page.contains("or sign in with a password"), "{status} {page}");
    let admin = User::sign_in(&system, "admin").await;
    let password = json!({ "password": "correct horse battery" });
    assert_eq!(admin.ask(Method::PUT, "/api/session/password", Some(&password)).await.0, 204);
    let sign_in_by_password = json!({ "user": "admin", "password": "correct horse battery" });
    assert_eq!(User::nobody(&system).ask(Method::POST, "/api/session", Some(&sign_in_by_password)).await.0, 200);

    // Once it is there it is used, without a restart.
    let _provider = Provider::start(&[("PORT", &port)]).await;
    let comes_back = async {
        while press().await.status() == 503 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, comes_back).await.expect("it is asked again");
    assert_eq!(sign_in(&system.url, "anna@example.org").await.status(), 303);
    system.stop().await;
}

#[tokio::test]
async fn a_provider_is_asked_over_tls_and_only_if_it_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &str| {
        let command = std::process::Command::new("openssl").args(arguments.split(' ')).current_dir(folder.path()).output();
        let output = command.expect("openssl is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    run("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=test-ca");
    run("req -newkey rsa:2048 -nodes -keyout key.pem -out request.pem -subj /CN=localhost");
    std::fs::write(folder.path().join("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1").unwrap();
    run("x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem -days 2 -extfile names");
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let provider = Provider::start(&[("CERTIFICATE", &path("cert.pem")), ("KEY", &path("key.pem"))]).await;
    assert!(provider.issuer.starts_with("https://localhost:"), "{}", provider.issuer);

    let system = System::start_with(config(&provider.issuer)).await;
    assert_eq!(http().get(format!("{}{START}", system.url)).send().await.unwrap().status(), 503);
    let mut trusting = config(&provider.issuer);
    trusting.oidc.as_mut().unwrap().ca_file = Some(folder.path().join("ca.pem"));
    let system = system.restart(trusting).await;
    assert!(begin(&system.url).await.0.starts_with(&provider.issuer));
    system.stop().await;
}
