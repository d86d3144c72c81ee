//! A client that speaks the protocol byte by byte, so that it can also do what no driver does.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use waystream_domain::scram::Key;

/// What a server says went wrong.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Error {
    pub(crate) severity: String,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) position: String,
}

/// A message of the server: its type and its body.
pub(crate) type Received = (char, Vec<u8>);

/// Rows as text.
pub(crate) type Table = Vec<Vec<Option<String>>>;

pub(crate) struct Client {
    pub(crate) tcp: TcpStream,
    pub(crate) pid: u32,
    pub(crate) secret: Vec<u8>,
    /// `name=value` as the server has told them.
    pub(crate) told: Vec<String>,
}

impl Client {
    /// Signs in.
    pub(crate) async fn connect(address: SocketAddr, user: &str, secret: &str) -> Result<Self, Error> {
        Self::connect_with(address, &[("user", user), ("database", "waystream")], secret).await
    }

    pub(crate) async fn connect_with(address: SocketAddr, parameters: &[(&str, &str)], secret: &str) -> Result<Self, Error> {
        let mut client = Self::reach(address).await;
        client.send_first(196_608, &startup(parameters)).await;
        client.sign_in(secret).await?;
        loop {
            match client.receive().await {
                ('S', body) => client.told.push(strings(&body).join("=")),
                ('K', body) => {
                    client.pid = u32::from_be_bytes(body[..4].try_into().unwrap());
                    client.secret = body[4..].to_vec();
                }
                ('Z', _) => return Ok(client),
                ('E', body) => return Err(error(&body)),
                other => panic!("{other:?}"),
            }
        }
    }

    /// Connects and says nothing.
    pub(crate) async fn reach(address: SocketAddr) -> Self {
        let tcp = TcpStream::connect(address).await.unwrap();
        Self { tcp, pid: 0, secret: Vec::new(), told: Vec::new() }
    }

    /// The messages of SCRAM.
    pub(crate) async fn sign_in(&mut self, secret: &str) -> Result<(), Error> {
        let challenge = self.challenge().await?;
        let (proof, answer) = prove(&challenge, secret);
        self.send('p', proof.as_bytes()).await;
        let last = String::from_utf8(self.expect('R').await?[4..].to_vec()).unwrap();
        assert_eq!(last, answer, "the server knows the token too");
        assert_eq!(self.expect('R').await?, 0u32.to_be_bytes());
        Ok(())
    }

    /// What the server wants a proof for.
    pub(crate) async fn challenge(&mut self) -> Result<String, Error> {
        let body = self.expect('R').await?;
        assert_eq!(&body[..4], &10u32.to_be_bytes(), "SASL is asked for");
        self.send('p', &sasl_first()).await;
        Ok(String::from_utf8(self.expect('R').await?[4..].to_vec()).unwrap())
    }

    /// A message without a type, as connections begin with.
    pub(crate) async fn send_first(&mut self, code: u32, body: &[u8]) {
        let mut message = (8 + body.len() as u32).to_be_bytes().to_vec();
        message.extend(code.to_be_bytes());
        message.extend(body);
        self.tcp.write_all(&message).await.unwrap();
    }

    pub(crate) async fn send(&mut self, kind: char, body: &[u8]) {
        let mut message = vec![kind as u8];
        message.extend((4 + body.len() as u32).to_be_bytes());
        message.extend(body);
        // A server that has hung up is noticed when its answer is read.
        drop(self.tcp.write_all(&message).await);
    }

    /// The next message; the end of the connection is `('!', [])`.
    pub(crate) async fn receive(&mut self) -> Received {
        let Ok(kind) = self.tcp.read_u8().await else { return ('!', Vec::new()) };
        let length = self.tcp.read_u32().await.unwrap() as usize;
        let mut body = vec![0; length - 4];
        self.tcp.read_exact(&mut body).await.unwrap();
        (kind as char, body)
    }

    async fn expect(&mut self, kind: char) -> Result<Vec<u8>, Error> {
        match self.receive().await {
            (found, body) if found == kind => Ok(body),
            ('E', body) => Err(error(&body)),
            other => panic!("{other:?} instead of {kind}"),
        }
    }

    /// Everything up to the server being ready again, or gone.
    pub(crate) async fn until_ready(&mut self) -> Vec<Received> {
        let mut all = Vec::new();
        loop {
            let message = self.receive().await;
            let last = matches!(message.0, 'Z' | '!');
            all.push(message);
            if last {
                return all;
            }
        }
    }

    /// Asks by the simple protocol: rows of all statements, or the first error.
    pub(crate) async fn query(&mut self, sql: &str) -> Result<Table, Error> {
        self.send('Q', &[sql.as_bytes(), b"\0"].concat()).await;
        table(&self.until_ready().await)
    }

    /// What the server says is the state of the transaction, asked for by an empty question.
    pub(crate) async fn status(&mut self) -> char {
        self.send('Q', b"\0").await;
        self.until_ready().await.last().unwrap().1[0] as char
    }

    /// Prepares a statement without a name and asks what it is; nothing is sent back before `sync`.
    pub(crate) async fn parse(&mut self, name: &str, sql: &str, types: &[u32]) {
        let mut body = [name.as_bytes(), b"\0", sql.as_bytes(), b"\0"].concat();
        body.extend((types.len() as u16).to_be_bytes());
        types.iter().for_each(|oid| body.extend(oid.to_be_bytes()));
        self.send('P', &body).await;
    }

    /// Binds values in text, or in binary with format 1.
    pub(crate) async fn bind(&mut self, portal: &str, statement: &str, format: u16, values: &[Option<&[u8]>]) {
        let mut body = [portal.as_bytes(), b"\0", statement.as_bytes(), b"\0"].concat();
        body.extend([0, 1]);
        body.extend(format.to_be_bytes());
        body.extend((values.len() as u16).to_be_bytes());
        for value in values {
            match value {
                Some(value) => {
                    body.extend((value.len() as u32).to_be_bytes());
                    body.extend(*value);
                }
                None => body.extend(u32::MAX.to_be_bytes()),
            }
        }
        body.extend([0, 0]);
        self.send('B', &body).await;
    }

    pub(crate) async fn execute(&mut self, portal: &str, max_rows: u32) {
        self.send('E', &[portal.as_bytes(), b"\0", &max_rows.to_be_bytes()[..]].concat()).await;
    }

    pub(crate) async fn sync(&mut self) -> Vec<Received> {
        self.send('S', b"").await;
        self.until_ready().await
    }

    /// Asks the server to stop what a client runs, over another connection.
    pub(crate) async fn cancel(&self, address: SocketAddr) {
        let body = [&self.pid.to_be_bytes()[..], &self.secret].concat();
        let mut other = Self::reach(address).await;
        other.send_first(80_877_102, &body).await;
        assert_eq!(other.receive().await.0, '!', "the server says nothing and closes");
    }
}

/// Who a client says it is.
const BARE: &str = "n=,r=fyko+d2lbbFgONRv9qkxdawL";

/// The first message of SCRAM.
pub(crate) fn sasl_first() -> Vec<u8> {
    let first = format!("n,,{BARE}");
    [&b"SCRAM-SHA-256\0"[..], &(first.len() as u32).to_be_bytes()[..], first.as_bytes()].concat()
}

/// The last message of SCRAM, and what the server answers to it.
pub(crate) fn prove(challenge: &str, secret: &str) -> (String, String) {
    let part = |name: &str| challenge.split(',').find_map(|part| part.strip_prefix(name)).unwrap().to_owned();
    let salt = STANDARD.decode(part("s=")).unwrap();
    let rounds: NonZeroU32 = part("i=").parse().unwrap();
    let mut salted = [0; 32];
    ring::pbkdf2::derive(ring::pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, secret.as_bytes(), &mut salted);
    let client_key = Key::from(salted).sign(b"Client Key");
    let without_proof = format!("c=biws,r={}", part("r="));
    let all = format!("{BARE},{challenge},{without_proof}");
    let proof = client_key.xor(&client_key.hash().sign(all.as_bytes()));
    let server = Key::from(salted).sign(b"Server Key").sign(all.as_bytes());
    (format!("{without_proof},p={}", STANDARD.encode(proof.as_bytes())), format!("v={}", STANDARD.encode(server.as_bytes())))
}

/// Names and values as connections begin with.
pub(crate) fn startup(parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body: Vec<u8> = parameters.iter().flat_map(|(n, v)| [n.as_bytes(), b"\0", v.as_bytes(), b"\0"].concat()).collect();
    body.push(0);
    body
}

/// Types of messages, in order.
pub(crate) fn kinds(messages: &[Received]) -> String {
    messages.iter().map(|(kind, _)| kind).collect()
}

pub(crate) fn table(messages: &[Received]) -> Result<Table, Error> {
    if let Some((_, body)) = messages.iter().find(|(kind, _)| *kind == 'E') {
        return Err(error(body));
    }
    if messages.iter().any(|(kind, _)| *kind == '!') {
        return Err(Error { message: "gone".into(), ..Error::default() });
    }
    Ok(messages.iter().filter(|(kind, _)| *kind == 'D').map(|(_, body)| row(body)).collect())
}

fn row(body: &[u8]) -> Vec<Option<String>> {
    let mut rest = &body[2..];
    let mut row = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        rest = after;
        row.push(usize::try_from(i32::from_be_bytes(*length)).ok().map(|length| {
            let (value, after) = rest.split_at(length);
            rest = after;
            String::from_utf8_lossy(value).into_owned()
        }));
    }
    row
}

pub(crate) fn error(body: &[u8]) -> Error {
    let mut error = Error::default();
    for field in strings(body).iter().filter(|field| !field.is_empty()) {
        let (name, value) = field.split_at(1);
        match name {
            "S" => value.clone_into(&mut error.severity),
            "C" => value.clone_into(&mut error.code),
            "M" => value.clone_into(&mut error.message),
            "P" => value.clone_into(&mut error.position),
            _ => {}
        }
    }
    error
}

fn strings(body: &[u8]) -> Vec<String> {
    let texts = body.strip_suffix(b"\0").unwrap_or(body).split(|byte| *byte == 0);
    texts.map(|text| String::from_utf8(text.to_vec()).unwrap()).collect()
}
