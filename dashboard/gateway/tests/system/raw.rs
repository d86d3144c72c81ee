//! Engine.IO and Socket.IO by hand, over either transport: for what no client of another maker would say, and for thousands at once.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::{SinkExt, StreamExt};
use serde_json::Value;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

/// Nothing that is waited for takes so long unless it never comes.
const PATIENCE: Duration = Duration::from_secs(120);
/// Small, as there may be thousands, and each has it from the beginning.
const READ_BYTES: usize = 8 * 1024;
/// Between packets in one body.
const SEPARATOR: &str = "\u{1e}";

/// What goes one way in one piece: of a text the first character says what it is, `4` of a message.
#[derive(Debug, Clone)]
pub enum Packet {
    Text(String),
    Binary(Vec<u8>),
}

impl Packet {
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }
}

pub struct Raw(Transport);

enum Transport {
    WebSocket(Box<WebSocketStream<MaybeTlsStream<TcpStream>>>),
    Polling { http: reqwest::Client, at: String, cookie: String, heard: VecDeque<Packet> },
}

/// Where sessions of Engine.IO begin.
fn address(url: &str, transport: &str) -> String {
    format!("{url}/socket.io/?EIO=4&transport={transport}")
}

impl Raw {
    /// A session of Engine.IO, of which Socket.IO knows nothing yet.
    pub async fn open(url: &str, cookie: &str, transport: &str) -> Self {
        let at = address(url, transport);
        if transport == "websocket" {
            return Self::web_socket(&at, cookie).await.expect("it is served");
        }
        let http = reqwest::Client::new();
        let opened = http.get(&at).header("cookie", cookie).send().await.unwrap().text().await.unwrap();
        let opened: Value = serde_json::from_str(opened.strip_prefix('0').unwrap()).unwrap();
        let at = format!("{at}&sid={}", opened["sid"].as_str().unwrap());
        Self(Transport::Polling { http, at, cookie: cookie.to_owned(), heard: VecDeque::new() })
    }

    /// None: whoever is served there cuts it off, as it does with who takes too long about it.
    async fn web_socket(at: &str, cookie: &str) -> Option<Self> {
        let mut request = at.replacen("http:", "ws:", 1).into_client_request().unwrap();
        request.headers_mut().insert("Cookie", cookie.parse().unwrap());
        let config = WebSocketConfig::default().read_buffer_size(READ_BYTES);
        let (socket, _) = connect_async_with_config(request, Some(config), false).await.ok()?;
        let mut raw = Self(Transport::WebSocket(Box::new(socket)));
        let Packet::Text(opened) = raw.hear().await? else { panic!("it begins with a text") };
        assert!(opened.starts_with('0'), "{opened}");
        Some(raw)
    }

    /// One over a WebSocket that Socket.IO has let in; none: it was cut off on the way.
    pub async fn try_connected(url: &str, cookie: &str) -> Option<Self> {
        let mut raw = Self::web_socket(&address(url, "websocket"), cookie).await?;
        raw.say(&[Packet::text("40")]).await;
        raw.hear_from("40").await.map(|_| raw)
    }

    /// A session that Socket.IO has let in.
    pub async fn connected(url: &str, cookie: &str, transport: &str) -> Self {
        let mut raw = Self::open(url, cookie, transport).await;
        raw.say(&[Packet::text("40")]).await;
        assert!(raw.hear_from("40").await.is_some(), "it is let in");
        raw
    }

    /// Says all of it in a row, whether anybody listens or not; polling says it in one request.
    pub async fn say(&mut self, packets: &[Packet]) {
        match &mut self.0 {
            Transport::WebSocket(socket) => {
                for packet in packets {
                    let message = match packet {
                        Packet::Text(text) => Message::text(text.as_str()),
                        Packet::Binary(bytes) => Message::binary(bytes.clone()),
                    };
                    if socket.feed(message).await.is_err() {
                        return;
                    }
                }
                SinkExt::<Message>::flush(socket).await.ok();
            }
            Transport::Polling { http, at, cookie, .. } => {
                let bodies = packets.iter().map(|packet| match packet {
                    Packet::Text(text) => text.clone(),
                    Packet::Binary(bytes) => format!("b{}", STANDARD.encode(bytes)),
                });
                let body = bodies.collect::<Vec<_>>().join(SEPARATOR);
                let post = http.post(at.as_str()).header("cookie", cookie.as_str()).header("content-type", "text/plain");
                let posted = tokio::time::timeout(PATIENCE, post.body(body).send()).await;
                // Who is cut in the midst of it gets an end, not an answer.
                posted.expect("it is answered, or it is over").ok();
            }
        }
    }

    /// What comes next; none: the session is over.
    pub async fn hear(&mut self) -> Option<Packet> {
        tokio::time::timeout(PATIENCE, self.next()).await.expect("something comes, or it is over")
    }

    /// What comes next that begins so; none: the session is over before.
    pub async fn hear_from(&mut self, beginning: &str) -> Option<String> {
        loop {
            match self.hear().await? {
                Packet::Text(text) if text.starts_with(beginning) => return Some(text),
                _ => {}
            }
        }
    }

    async fn next(&mut self) -> Option<Packet> {
        loop {
            let packet = match &mut self.0 {
                Transport::WebSocket(socket) => match socket.next().await?.ok()? {
                    Message::Text(text) => Packet::text(text.as_str()),
                    Message::Binary(bytes) => Packet::Binary(bytes.to_vec()),
                    Message::Close(_) => return None,
                    _ => continue,
                },
                Transport::Polling { http, at, cookie, heard } => match heard.pop_front() {
                    Some(packet) => packet,
                    None => {
                        let answer = http.get(at.as_str()).header("cookie", cookie.as_str()).send().await.ok()?;
                        let body = answer.error_for_status().ok()?.text().await.ok()?;
                        heard.extend(body.split(SEPARATOR).filter(|packet| !packet.is_empty()).map(|packet| {
                            let bytes = packet.strip_prefix('b').map(|text| STANDARD.decode(text).unwrap());
                            bytes.map_or_else(|| Packet::text(packet), Packet::Binary)
                        }));
                        continue;
                    }
                },
            };
            match &packet {
                Packet::Text(text) if text == "2" => self.say(&[Packet::text("3")]).await,
                Packet::Text(text) if text == "6" => {}
                Packet::Text(text) if text == "1" => return None,
                _ => return Some(packet),
            }
        }
    }
}
