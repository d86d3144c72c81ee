//! From the first byte to the first statement: TLS, who is there, SCRAM. All of it within one time limit.

use super::Shared;
use super::failure::Failure;
use super::frontend::{Body, Message};
use super::scram::{Exchange, MECHANISM};
use super::stream::{Inbound, Outbound, Socket, halves};
use crate::Door;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use pgwire::messages::PgWireBackendMessage as Out;
use pgwire::messages::startup::{Authentication, NegotiateProtocolVersion};
use ring::rand::{SecureRandom, SystemRandom};
use std::collections::BTreeMap;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use waystream_domain::{TokenId, UserId};
use waystream_tls::{ServerTls, begins_with_tls};

/// Longest first message, as in Postgres.
const MAX_FIRST: u32 = 10_000;
const TLS_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;

/// Bytes of the secret that cancels, by minor version of the protocol.
const SECRET_BYTES_3_0: usize = 4;
const SECRET_BYTES_3_2: usize = 32;

/// A client that has said what it wants and has not yet shown who it is.
pub(super) struct Arrived {
    pub(super) inbound: Inbound,
    pub(super) outbound: Outbound,
    /// Over TLS.
    pub(super) encrypted: bool,
    parameters: BTreeMap<String, String>,
    minor: u16,
}

/// A client that has shown a token.
pub(super) struct Welcome {
    pub(super) user: UserId,
    pub(super) token: TokenId,
    /// What it set at the start.
    pub(super) parameters: BTreeMap<String, String>,
    /// Bytes of its secret.
    pub(super) secret_bytes: usize,
}

/// Speaks with a client until it has said what it wants. `None`: it wanted to cancel something, or went away.
pub(super) async fn arrive(mut tcp: TcpStream, shared: &Shared) -> Result<Option<Arrived>, Failure> {
    let tls = shared.entrance.tls().map(ServerTls::acceptor);
    if begins_with_tls(&tcp).await? {
        return match tls {
            Some(tls) => encrypted(tls.accept(tcp).await?, shared).await,
            None => Ok(None),
        };
    }
    // Read to the byte: what a client sends before its TLS handshake must not count as sent over TLS.
    loop {
        let Some((code, body)) = packet(&mut tcp).await? else { return Ok(None) };
        match code {
            TLS_REQUEST => match tls {
                Some(tls) => {
                    tcp.write_all(b"S").await?;
                    return encrypted(tls.accept(tcp).await?, shared).await;
                }
                None => tcp.write_all(b"N").await?,
            },
            GSS_REQUEST => tcp.write_all(b"N").await?,
            _ => {
                return wanted(Box::new(tcp), code, body, shared);
            }
        }
    }
}

async fn encrypted(mut tls: impl Socket + 'static, shared: &Shared) -> Result<Option<Arrived>, Failure> {
    let Some((code, body)) = packet(&mut tls).await? else { return Ok(None) };
    let arrived = wanted(Box::new(tls), code, body, shared)?;
    Ok(arrived.map(|arrived| Arrived { encrypted: true, ..arrived }))
}

/// A message without a type: its code and the rest.
async fn packet(socket: &mut (impl AsyncRead + Unpin)) -> Result<Option<(u32, Bytes)>, Failure> {
    let Ok(length) = socket.read_u32().await else { return Ok(None) };
    if !(8..=MAX_FIRST).contains(&length) {
        return Err(Failure::Gone);
    }
    let code = socket.read_u32().await?;
    let mut body = BytesMut::zeroed(length as usize - 8);
    socket.read_exact(&mut body).await?;
    Ok(Some((code, body.freeze())))
}

fn wanted(socket: Box<dyn Socket>, code: u32, body: Bytes, shared: &Shared) -> Result<Option<Arrived>, Failure> {
    let mut body = Body(body);
    if code == CANCEL_REQUEST {
        if let Ok(pid) = body.u32() {
            let found = shared.cancels.cancel(pid as i32, &body.0);
            tracing::debug!(found, "cancel request");
        }
        return Ok(None);
    }
    let (major, minor) = ((code >> 16) as u16, code as u16);
    if major != 3 {
        return Err(Failure::Gone);
    }
    let mut parameters = BTreeMap::new();
    let malformed = |_| Failure::protocol("malformed first message");
    loop {
        let name = body.text().map_err(malformed)?;
        if name.is_empty() {
            break;
        }
        parameters.insert(name, body.text().map_err(malformed)?);
    }
    let (inbound, outbound) = halves(socket);
    Ok(Some(Arrived { inbound, outbound, encrypted: false, parameters, minor }))
}

/// Asks for a token's proof.
pub(super) async fn sign_in(arrived: &mut Arrived, door: &dyn Door) -> Result<Welcome, Failure> {
    let Arrived { inbound, outbound, parameters, minor, .. } = arrived;
    let unknown: Vec<String> = parameters.keys().filter(|name| name.starts_with("_pq_.")).cloned().collect();
    if *minor > 2 || *minor == 1 || !unknown.is_empty() {
        *minor = if *minor >= 2 { 2 } else { 0 };
        let newest = (3 << 16) | i32::from(*minor);
        outbound.put(&Out::NegotiateProtocolVersion(NegotiateProtocolVersion::new(newest, unknown)))?;
    }
    if parameters.get("replication").is_some_and(|value| value != "false" && value != "0") {
        return Err(Failure::fatal("0A000", "there is no replication here"));
    }
    let name = parameters.get("user").cloned().unwrap_or_default();
    let refused = || Failure::fatal("28P01", "user name or token is wrong");
    let user = UserId::new(&name).map_err(|_| refused())?;

    outbound.put(&Out::Authentication(Authentication::SASL(vec![MECHANISM.to_owned()])))?;
    outbound.flush().await?;
    let mut first = Body(password(inbound).await?);
    let malformed = |_| Failure::protocol("malformed SASL message");
    if first.text().map_err(malformed)? != MECHANISM {
        return Err(Failure::protocol(format!("sign in with {MECHANISM}")));
    }
    let first = first.value().map_err(malformed)?.unwrap_or_default();
    let exchange = Exchange::begin(&user, text(&first)?, &nonce()?)?;
    outbound.put(&Out::Authentication(Authentication::SASLContinue(exchange.server_first.clone().into())))?;
    outbound.flush().await?;
    let last = password(inbound).await?;
    let proven = exchange.finish(text(&last)?, &door.keys(&user))?.ok_or_else(refused)?;
    outbound.put(&Out::Authentication(Authentication::SASLFinal(proven.server_final.into())))?;
    outbound.put(&Out::Authentication(Authentication::Ok))?;
    let secret_bytes = if *minor >= 2 { SECRET_BYTES_3_2 } else { SECRET_BYTES_3_0 };
    Ok(Welcome { user, token: proven.token, parameters: std::mem::take(parameters), secret_bytes })
}

async fn password(inbound: &mut Inbound) -> Result<Bytes, Failure> {
    match inbound.message().await? {
        Some(Message::Password(body)) => Ok(body),
        Some(_) => Err(Failure::protocol("sign in first")),
        None => Err(Failure::Gone),
    }
}

fn text(bytes: &Bytes) -> Result<&str, Failure> {
    std::str::from_utf8(bytes).map_err(|_| Failure::protocol("SCRAM message is not UTF-8"))
}

fn nonce() -> Result<String, Failure> {
    let mut random = [0; 18];
    SystemRandom::new().fill(&mut random).map_err(|_| Failure::fatal("XX000", "there is no randomness"))?;
    Ok(STANDARD.encode(random))
}
