//! Somebody who uses REST.

use super::{System, in_ms};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

/// One user's REST client.
pub struct User {
    pub http: Client,
    pub url: String,
    pub cookie: String,
}

impl User {
    pub async fn sign_in(system: &System, user: &str) -> Self {
        Self { http: Client::new(), url: system.url.clone(), cookie: system.cookie(user).await }
    }

    pub fn nobody(system: &System) -> Self {
        Self { http: Client::new(), url: system.url.clone(), cookie: String::new() }
    }

    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> (StatusCode, Value) {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        request = request.header("cookie", &self.cookie).header("x-waystream", "1");
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, answer) = self.ask(Method::GET, path, None).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }
}

/// A webhook and a rule over it.
pub async fn channel_and_rule(admin: &User) -> (String, String) {
    let webhook = json!({ "name": "Secret hook", "type": "webhook", "url": "https://hooks.example.org/in?token=7", "secret": "0123456789abcdef" });
    let (status, channel) = admin.ask(Method::POST, "/api/notifications/channels", Some(&webhook)).await;
    assert_eq!((status, &channel["url"]), (StatusCode::CREATED, &json!("https://hooks.example.org/in?token=7")));
    assert!(!channel.to_string().contains("0123456789abcdef"), "{channel}");
    let rule = json!({ "name": "Secret depot", "kinds": ["enter"], "channel": channel["id"] });
    let (status, rule) = admin.ask(Method::POST, "/api/notifications/rules", Some(&rule)).await;
    assert_eq!(status, StatusCode::CREATED, "{rule}");
    (channel["id"].as_str().unwrap().to_owned(), rule["id"].as_str().unwrap().to_owned())
}

/// A share link of an hour: its id and its secret.
pub async fn share(user: &User, device: &str, label: Option<&str>) -> (String, String) {
    let mut new = json!({ "expires_at": in_ms(3_600_000) });
    if let Some(label) = label {
        new["label"] = json!(label);
    }
    let (status, made) = user.ask(Method::POST, &format!("/api/devices/{device}/share-links"), Some(&new)).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let secret = made["path"].as_str().unwrap().strip_prefix("/share#").unwrap();
    (made["link"]["id"].as_str().unwrap().to_owned(), secret.to_owned())
}
