//! One Socket.IO client as load generators need thousands of: it takes what a server sends as fast as it comes, and says so.

use anyhow::{Context, Result, bail};
use futures::{SinkExt, StreamExt};
use reqwest::header::SET_COOKIE;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// Small, as there are thousands of clients.
const READ_BYTES: usize = 8 * 1024;

/// What a message of ours with a part of a snapshot begins with; it is acknowledged at once.
const SNAPSHOT: [u8; 2] = [0x46, 0x10];
/// What a message with the names of vehicles begins with; the frame that uses them follows.
const SLOTS: &str = "42[\"slots\",";
/// Frames are acknowledged so often, or when so many bytes have come with their names, as the dashboard does.
const ACK_EVERY: Duration = Duration::from_millis(500);
const ACK_AFTER_BYTES: usize = 8 * 1024;

/// Whom a client speaks with.
#[derive(Debug, Clone)]
pub enum Server {
    /// Our gateway: the cookie of a session. A room is a fleet; frames are acknowledged.
    Ours(String),
    /// The usual stack's.
    Peer,
}

/// A client that is connected.
pub struct Watcher {
    socket: WebSocketStream<TcpStream>,
    acknowledges: bool,
    /// Bytes since the last acknowledgement, and when that was.
    unacknowledged: usize,
    acknowledged_at: Instant,
}

impl Watcher {
    /// Connects, and asks for what there is to see in a room, if one is given.
    pub async fn connect(server: &Server, address: SocketAddr, room: Option<usize>) -> Result<Self> {
        let acknowledges = matches!(server, Server::Ours(_));
        let socket = open(server, address).await?;
        let mut watcher = Self { socket, acknowledges, unacknowledged: 0, acknowledged_at: Instant::now() };
        loop {
            let Message::Text(text) = watcher.message().await? else { continue };
            match text.as_bytes() {
                [b'0', ..] => {
                    let join = room.filter(|_| !acknowledges).map(|room| format!("{{\"room\":\"r{room}\"}}"));
                    watcher.say(format!("40{}", join.unwrap_or_default())).await?;
                }
                [b'4', b'0', ..] => break,
                _ => {}
            }
        }
        if let Some(room) = room.filter(|_| acknowledges) {
            watcher.say(format!("420[\"watch\",{{\"fleets\":[\"fleet-{room}\"]}}]")).await?;
        }
        Ok(watcher)
    }

    /// The next binary message.
    pub async fn next(&mut self) -> Result<Bytes> {
        loop {
            let bytes = match self.message().await? {
                Message::Binary(bytes) => bytes,
                Message::Text(text) => {
                    if text.starts_with(SLOTS) {
                        self.unacknowledged += text.len();
                    }
                    continue;
                }
                _ => continue,
            };
            self.unacknowledged += bytes.len();
            let is_waited_for = self.unacknowledged >= ACK_AFTER_BYTES || bytes.starts_with(&SNAPSHOT);
            let due = is_waited_for || self.acknowledged_at.elapsed() >= ACK_EVERY;
            if self.acknowledges && due {
                (self.unacknowledged, self.acknowledged_at) = (0, Instant::now());
                let seq = bytes.get(8..12).and_then(|seq| seq.try_into().ok()).map(u32::from_le_bytes).context("no frame")?;
                self.say(format!("42[\"ack\",{seq}]")).await?;
            }
            return Ok(bytes);
        }
    }

    /// The next message that is not about the connection itself.
    pub(crate) async fn message(&mut self) -> Result<Message> {
        loop {
            match self.socket.next().await.context("the server has closed it")?? {
                Message::Text(text) => match text.as_bytes() {
                    b"2" => self.say("3".into()).await?,
                    [b'4', b'1' | b'4', ..] => bail!("refused: {text}"),
                    _ => return Ok(Message::Text(text)),
                },
                Message::Close(_) => bail!("the server has closed it"),
                message => return Ok(message),
            }
        }
    }

    /// Sends a packet of Socket.IO.
    pub(crate) async fn say(&mut self, text: String) -> Result<()> {
        Ok(self.socket.send(Message::text(text)).await?)
    }
}

async fn open(server: &Server, address: SocketAddr) -> Result<WebSocketStream<TcpStream>> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    let mut request = format!("ws://{address}/socket.io/?EIO=4&transport=websocket").into_client_request()?;
    if let Server::Ours(cookie) = server {
        request.headers_mut().insert("cookie", cookie.parse()?);
    }
    let config = WebSocketConfig::default().read_buffer_size(READ_BYTES).write_buffer_size(0);
    Ok(client_async_with_config(request, tcp, Some(config)).await?.0)
}

/// Signs in by a link: the cookie of the session.
pub async fn sign_in(link: &str) -> Result<String> {
    let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    let answer = browser.get(link).send().await?;
    let cookie = answer.headers().get(SET_COOKIE).context("no cookie")?.to_str()?;
    Ok(cookie.split(';').next().unwrap_or_default().to_owned())
}
