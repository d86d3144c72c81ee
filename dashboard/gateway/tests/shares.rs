//! Share links: somebody without an account sees one vehicle for a while, and nothing else.

#![allow(clippy::unwrap_used)]

use crate::system;

use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use std::time::Duration;
use system::browser::Browser;
use system::user::{User, share};
use system::{System, at, device, event, id, in_ms, live, position};
use waystream_domain::catalog::Role;
use waystream_domain::{CatalogEntry, Position, ShareLinkId};

/// Nothing that is waited for takes so long unless it never comes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Somebody who has a link, and no account.
struct Guest {
    http: Client,
    url: String,
    secret: String,
}

impl Guest {
    fn new(url: &str, secret: &str) -> Self {
        Self { http: Client::new(), url: url.to_owned(), secret: secret.to_owned() }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.secret)
    }

    async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    async fn status(&self) -> u16 {
        self.get("/api/share").await.status().as_u16()
    }

    /// Nothing is shown. Who asks too often for what is none has to wait besides.
    async fn is_refused(&self) -> bool {
        let answers = [self.get("/api/share").await, self.get("/api/share/trail").await];
        answers.iter().all(|answer| [401, 429].contains(&answer.status().as_u16()))
    }

    async fn watch(&self) -> Watching {
        let answer = self.get("/api/share").await;
        assert_eq!(answer.status(), 200);
        Watching { answer, come: Vec::new() }
    }
}

/// What comes of a link, line by line.
struct Watching {
    answer: Response,
    come: Vec<u8>,
}

impl Watching {
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.come.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.come.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let piece =
                tokio::time::timeout(PATIENCE, self.answer.chunk()).await.expect("something comes, or the end").unwrap();
            self.come.extend_from_slice(&piece?);
        }
    }

    /// The first line that shows it there.
    async fn until_at(&mut self, lat: f64) -> Value {
        loop {
            let line = self.next().await.expect("the link is open");
            if line["position"]["lat"] == json!(lat) {
                return line;
            }
        }
    }

    async fn end(mut self) {
        while self.next().await.is_some() {}
    }
}

fn fields(value: &Value) -> Vec<&str> {
    let mut names: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

async fn is_at(user: &User, device: &str, lat: f64) {
    while user.get(&format!("/api/devices/{device}")).await["position"]["lat"] != json!(lat) {}
}

#[tokio::test]
async fn a_share_link_shows_its_vehicle_and_nothing_else_until_it_is_ended() {
    let system = System::start().await;
    system.edit(device("Van 7", "v7", "north")).await;
    system.edit(device("Van 8", "v8", "north")).await;
    system.move_to("north", vec![live("v7", "north", 1, 10.0), live("v8", "north", 1, 20.0)]).await;
    let admin = User::sign_in(&system, "admin").await;
    is_at(&admin, "v8", 20.0).await;
    let (link, secret) = share(&admin, "v7", None).await;
    let guest = Guest::new(&system.url, &secret);

    let mut watching = guest.watch().await;
    for (name, value) in [("cache-control", "no-store"), ("referrer-policy", "no-referrer")] {
        assert_eq!(watching.answer.headers()[name].to_str().unwrap(), value);
    }
    let first = watching.next().await.unwrap();
    assert_eq!(fields(&first), ["ends_at", "name", "now", "position", "starts_at"]);
    assert_eq!(fields(&first["position"]), ["course_deg", "fix_time", "lat", "lon", "speed_mps"]);
    assert_eq!((&first["name"], &first["position"]["lat"]), (&json!("Van 7"), &json!(10.0)));
    assert_eq!((&first["position"]["speed_mps"], &first["position"]["course_deg"]), (&json!(12.5), &json!(90.0)));
    // Another vehicle moves unseen, and this one is seen in another fleet of the same organisation too.
    system.move_to("north", vec![live("v8", "north", 2, 21.0)]).await;
    is_at(&admin, "v8", 21.0).await;
    system.edit(device("Van 7", "v7", "south")).await;
    system.move_to("south", vec![live("v7", "south", 2, 11.0)]).await;
    let shown = watching.until_at(11.0).await.to_string();
    assert!(!["v7", "v8", "north", "south", "\"ours\"", "ignition", &link].iter().any(|name| shown.contains(name)), "{shown}");

    // What it is called: by the label, or by nothing where only the id is known.
    let (_, labelled) = share(&admin, "v7", Some(" Order 17 ")).await;
    assert_eq!(Guest::new(&system.url, &labelled).watch().await.next().await.unwrap()["name"], "Order 17");
    system.edit(device("v9", "v9", "north")).await;
    let (_, nameless) = share(&admin, "v9", None).await;
    let shown = Guest::new(&system.url, &nameless).watch().await.next().await.unwrap();
    assert_eq!((&shown["name"], &shown["position"]), (&Value::Null, &Value::Null));

    // No other route of the description takes the secret, nor do sockets or cookies.
    let description = admin.get("/api/openapi.json").await;
    let mut asked = 0;
    for (path, operations) in description["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            let own = ["/api/share", "/api/share/trail", "/api/config"].contains(&path.as_str());
            let signs_in = (path == "/api/session" && method == "post") || path.starts_with("/api/session/oidc");
            if own || signs_in {
                continue;
            }
            let address = path.replace("{id}", "v7").replace("{link}", &link).replace("{command}", "c");
            let method: Method = method.to_uppercase().parse().unwrap();
            let answer = guest.request(method.clone(), &address).json(&json!({})).send().await.unwrap();
            assert!([401, 403].contains(&answer.status().as_u16()), "{method} {address}: {}", answer.status());
            asked += 1;
        }
    }
    assert!(asked >= 40, "{asked} operations");
    let cookie = format!("waystream_session={secret}");
    let mut socket = Browser::open(&system.url, &cookie, "websocket");
    assert_eq!(socket.next().await.args[0], "unauthorised");
    let as_cookie = guest.http.get(format!("{}/api/share", system.url)).header("cookie", &cookie).send().await.unwrap();
    assert_eq!(as_cookie.status(), 401);

    // Kept as a hash, listed without it, ended by who may.
    let kept = format!("{:?}", system.catalog.shared().read().unwrap().share_links);
    assert!(kept.contains(&link) && !kept.contains(&secret), "{kept}");
    let links = "/api/devices/v7/share-links";
    let listed = admin.get(links).await;
    assert_eq!(listed.as_array().unwrap().len(), 2);
    assert_eq!(fields(&listed[0]), ["created_at", "expires_at", "id", "label", "made_by"]);
    let (viewer, other) = (User::sign_in(&system, "viewer").await, User::sign_in(&system, "other").await);
    assert_eq!(viewer.get(links).await, listed);
    let new = json!({ "expires_at": in_ms(60_000) });
    let one = format!("{links}/{link}");
    for (user, refused) in [(&viewer, 403), (&other, 404)] {
        assert_eq!(user.ask(Method::POST, links, Some(&new)).await.0, refused);
        assert_eq!(user.ask(Method::DELETE, &one, None).await.0, refused);
    }
    assert_eq!(admin.ask(Method::DELETE, &format!("/api/devices/v8/share-links/{link}"), None).await.0, 404);
    assert_eq!(admin.ask(Method::DELETE, &one, None).await.0, 204);
    watching.end().await;
    assert_eq!((guest.status().await, guest.get("/api/share/trail").await.status().as_u16()), (401, 401));
    assert_eq!(admin.get(links).await.as_array().unwrap().len(), 1);
    assert_eq!(admin.ask(Method::DELETE, &one, None).await.0, 404);

    let changes = admin.get("/api/audit?kind=share_link").await;
    let told: Vec<_> = changes["changes"].as_array().unwrap().iter().map(|change| change["change"].as_str().unwrap()).collect();
    assert_eq!(told, ["removed", "put", "put", "put"]);
    assert_eq!((&changes["changes"][0]["user"], &changes["changes"][0]["thing"]), (&json!("admin"), &json!(link)));
    assert!(!changes.to_string().contains("sha256"), "{changes}");
    assert_eq!(other.get("/api/audit?kind=share_link").await["changes"], json!([]));
    system.stop().await;
}

#[tokio::test]
async fn a_share_link_ends_by_its_time_and_with_the_vehicle_and_who_made_it_at_every_gateway() {
    let system = System::start().await;
    let another = system.another().await;
    let admin = User::sign_in(&system, "admin").await;
    let links = "/api/devices/v7/share-links";
    let van = device("Van 7", "v7", "north");
    system.edit(van.clone()).await;
    let admin_there = User { http: Client::new(), url: another.url.clone(), cookie: admin.cookie.clone() };
    let both = async |(link, secret): (String, String)| {
        let guests = [&system.url, &another.url].map(|url| Guest::new(url, &secret));
        // The other one follows the same log, a moment later.
        while !admin_there.ask(Method::GET, links, None).await.1.to_string().contains(&link) {}
        let watching = [guests[0].watch().await, guests[1].watch().await];
        (guests, watching)
    };
    let over = async |(guests, watching): ([Guest; 2], [Watching; 2])| {
        for watching in watching {
            watching.end().await;
        }
        for guest in guests {
            assert!(guest.is_refused().await);
        }
    };

    for wrong in [in_ms(-1), in_ms(31 * 24 * 3_600_000), i64::MAX] {
        assert_eq!(admin.ask(Method::POST, links, Some(&json!({ "expires_at": wrong }))).await.0, 400, "{wrong}");
    }
    let ends_at = in_ms(4_000);
    let made = admin.ask(Method::POST, links, Some(&json!({ "expires_at": ends_at }))).await.1;
    let secret = made["path"].as_str().unwrap().strip_prefix("/share#").unwrap();
    over(both((made["link"]["id"].as_str().unwrap().to_owned(), secret.to_owned())).await).await;
    assert!(in_ms(0) >= ends_at, "not before its time");
    assert_eq!(admin.get(links).await, json!([]));

    // Removed, and put in again: that is another vehicle as far as anybody knows.
    let removed = both(share(&admin, "v7", None).await).await;
    assert_eq!(admin.ask(Method::DELETE, "/api/devices/v7", None).await.0, 204);
    let guest = Guest::new(&system.url, &removed.0[0].secret);
    over(removed).await;
    system.edit(van.clone()).await;
    assert!(guest.is_refused().await);
    assert_eq!(admin.get(links).await, json!([]));

    // It goes to another organisation, which is told nothing of the link either.
    let moved = both(share(&admin, "v7", None).await).await;
    system.edit(device("Van 7", "v7", "their")).await;
    over(moved).await;
    let other = User::sign_in(&system, "other").await;
    assert_eq!(other.get(links).await, json!([]));
    system.edit(van).await;

    let dispatcher = waystream_domain::catalog::User {
        id: id("anna"),
        organisation: id("ours"),
        role: Role::Dispatcher,
        password_hash: None,
        preferences: None,
    };
    system.edit(CatalogEntry::User(dispatcher)).await;
    let anna = User::sign_in(&system, "anna").await;
    let hers = both(share(&anna, "v7", None).await).await;
    assert_eq!(admin.ask(Method::DELETE, "/api/users/anna", None).await.0, 204);
    over(hers).await;
    system.stop().await;
    another.ended().await;
}

#[tokio::test]
async fn guesses_at_share_links_have_to_wait_and_keep_nobody_else_out() {
    let system = System::start().await;
    system.edit(device("Van 7", "v7", "north")).await;
    let admin = User::sign_in(&system, "admin").await;
    let (link, secret) = share(&admin, "v7", None).await;
    let (_, of_another) = share(&admin, "v7", None).await;
    let guess = Guest::new(&system.url, &format!("wshare_{link}_0123"));
    let mut guessed = 0;
    let refused = loop {
        let answer = guess.get("/api/share").await;
        if answer.status() == 429 {
            break answer;
        }
        assert_eq!(answer.status(), 401);
        guessed += 1;
        assert!(guessed < 20, "nobody has to wait");
    };
    assert!(guessed >= 5 && refused.headers().contains_key("retry-after"));
    // Whoever guesses at one link learns nothing by guessing right; other links and other people are not his.
    let right = Guest::new(&system.url, &secret);
    assert_eq!(right.status().await, 429);
    assert_eq!(Guest::new(&system.url, &of_another).status().await, 200);
    let sign_in = json!({ "user": "admin", "password": "a wrong one" });
    assert_eq!(User::nobody(&system).ask(Method::POST, "/api/session", Some(&sign_in)).await.0, 401);
    // What is no link at all, or an API token, has to wait with them.
    for nonsense in ["wshare_0000000000000000_00", "ws_0000000000000000_00", ""] {
        let status = Guest::new(&system.url, nonsense).status().await;
        assert!(status == 429 || status == 401, "{nonsense}: {status}");
    }
    while right.status().await == 429 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(right.status().await, 200);
    system.stop().await;
}

#[tokio::test]
async fn the_trail_of_a_share_link_begins_with_the_link() {
    let system = System::start().await;
    system.edit(device("Van 7", "v7", "north")).await;
    let admin = User::sign_in(&system, "admin").await;
    let (link, secret) = share(&admin, "v7", None).await;
    let start = system.catalog.shared().read().unwrap().share_links[&id::<ShareLinkId>(&link)].created_at.as_millis();
    let at_ms = |device: &str, fleet: &str, ms: i64, valid: bool| Position {
        fix_time: at(ms),
        valid,
        ..position(device, fleet, 0, 10.0)
    };
    let positions = vec![
        at_ms("v7", "north", start - 60_000, true),
        at_ms("v7", "north", start - 1, true),
        at_ms("v7", "north", start, true),
        at_ms("v7", "north", start + 1, false),
        // Where it was as another organisation's.
        at_ms("v7", "their", start + 2, true),
        at_ms("v8", "north", start + 3, true),
        at_ms("v7", "south", start + 4, true),
    ];
    system.archive(positions, vec![event("v8", "north", 1)]).await;
    while in_ms(0) <= start + 4 {}
    let answer = Guest::new(&system.url, &secret).get("/api/share/trail").await;
    let trail: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    let positions = trail["positions"].as_array().unwrap();
    let times: Vec<i64> = positions.iter().map(|p| p["fix_time"].as_i64().unwrap() - start).collect();
    assert_eq!(times, [0, 4]);
    assert_eq!(fields(&positions[0]), ["course_deg", "fix_time", "lat", "lon", "speed_mps"]);
    assert_eq!(fields(&trail), ["positions"]);
    system.stop().await;
}

#[tokio::test]
async fn so_many_watch_by_one_share_link_and_no_more() {
    let system = System::start().await;
    system.edit(device("Van 7", "v7", "north")).await;
    let admin = User::sign_in(&system, "admin").await;
    let (_, secret) = share(&admin, "v7", None).await;
    let guest = Guest::new(&system.url, &secret);
    let mut watching = Vec::new();
    let refused = loop {
        let answer = guest.get("/api/share").await;
        if answer.status() != 200 {
            break answer;
        }
        watching.push(answer);
        assert!(watching.len() <= 50, "there is no limit");
    };
    assert_eq!((watching.len(), refused.status().as_u16()), (50, 429));
    // By another link there is room, and whoever leaves makes room.
    let (_, other) = share(&admin, "v7", None).await;
    assert_eq!(Guest::new(&system.url, &other).status().await, 200);
    watching.truncate(49);
    while guest.status().await == 429 {}
    system.stop().await;
}

#[tokio::test]
async fn the_page_of_share_links_is_kept_nowhere_and_names_no_referrer() {
    let system = System::start().await;
    let header = async |path: &str, name: &str| {
        let answer = Client::new().get(format!("{}{path}", system.url)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.headers()[name].to_str().unwrap().to_owned()
    };
    for page in ["/share", "/share.html"] {
        assert_eq!(header(page, "referrer-policy").await, "no-referrer");
        assert_eq!(header(page, "cache-control").await, "no-store");
        assert!(header(page, "content-security-policy").await.contains("default-src 'self'"));
    }
    assert_eq!(header("/", "referrer-policy").await, "strict-origin-when-cross-origin");
    system.stop().await;
}
