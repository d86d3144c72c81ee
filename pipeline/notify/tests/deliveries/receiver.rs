//! A web server that takes webhooks, as people who receive them have.

use crate::common::{SECRET, in_time};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use ring::hmac;
use serde_json::Value;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) delivery: String,
    pub(crate) body: Bytes,
}

impl Received {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What it answers.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Status(u16),
    /// With this header.
    With(u16, &'static str, String),
    /// Nothing, for ever.
    Silence,
}

#[derive(Clone)]
pub(crate) struct Receiver {
    address: SocketAddr,
    received: watch::Sender<Vec<Received>>,
    /// The next answers; then it takes everything.
    answers: Arc<Mutex<VecDeque<Answer>>>,
    /// Instead of taking everything.
    otherwise: Arc<Mutex<Answer>>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let otherwise = Arc::new(Mutex::new(Answer::Status(204)));
        let receiver = Self { address, received: watch::Sender::new(Vec::new()), answers: Arc::default(), otherwise };
        let router = receiver.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        receiver
    }

    pub(crate) fn router(&self) -> Router {
        Router::new().route("/hook", post(take)).with_state(self.clone())
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook?key=7", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn will_answer(&self, answers: impl IntoIterator<Item = Answer>) {
        self.answers.lock().unwrap().extend(answers);
    }

    pub(crate) fn answers_otherwise(&self, answer: Answer) {
        *self.otherwise.lock().unwrap() = answer;
    }

    /// Waits until it has got so many requests.
    pub(crate) async fn received(&self, count: usize) -> Vec<Received> {
        let mut received = self.received.subscribe();
        in_time(received.wait_for(|all| all.len() >= count)).await.unwrap().clone()
    }

    pub(crate) fn so_far(&self) -> Vec<Received> {
        self.received.borrow().clone()
    }
}

async fn take(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> Response {
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    // As docs/notifications.md tells receivers to do.
    let signature = header("waystream-signature");
    let hex = signature.strip_prefix("v1=").unwrap();
    let tag: Vec<u8> = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    let signed = [header("waystream-timestamp").as_bytes(), b".", &body].concat();
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    if hmac::verify(&key, &signed, &tag).is_err() {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let answer = receiver.answers.lock().unwrap().pop_front();
    let answer = answer.unwrap_or_else(|| receiver.otherwise.lock().unwrap().clone());
    receiver.received.send_modify(|all| all.push(Received { delivery: header("waystream-delivery"), body }));
    match answer {
        Answer::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Answer::With(status, name, value) => (StatusCode::from_u16(status).unwrap(), [(name, value)]).into_response(),
        Answer::Silence => std::future::pending().await,
    }
}
