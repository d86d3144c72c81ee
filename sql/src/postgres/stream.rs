//! The two halves of a connection, each with a buffer. Reading and writing can be given up at any moment without losing a byte.

use super::failure::Failure;
use super::frontend::{Message, decode};
use bytes::{Buf, Bytes, BytesMut};
use pgwire::messages::PgWireBackendMessage;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};

/// Longest message of a client: a statement and its values fit.
const MAX_FRAME: usize = 1 << 20;
/// Longest message before the client has signed in.
const MAX_STRANGER: usize = 10_000;
/// Bytes that are collected before they are sent.
const FULL: usize = 64 << 10;
/// A client that takes nothing for so long is gone.
const STUCK_AFTER: Duration = Duration::from_secs(30);
/// What is left to be said at the end is said in so long: nobody waits for a client that doesn't listen.
const GOODBYE: Duration = Duration::from_secs(3);

/// TCP, with TLS or without.
pub(super) trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Socket for S {}

/// What the client sends.
pub(super) struct Inbound {
    read: ReadHalf<Box<dyn Socket>>,
    bytes: BytesMut,
    longest: usize,
}

/// What the client gets.
pub(super) struct Outbound {
    write: WriteHalf<Box<dyn Socket>>,
    bytes: BytesMut,
}

/// Both halves.
pub(super) fn halves(socket: Box<dyn Socket>) -> (Inbound, Outbound) {
    let (read, write) = tokio::io::split(socket);
    (Inbound { read, bytes: BytesMut::new(), longest: MAX_STRANGER }, Outbound { write, bytes: BytesMut::new() })
}

impl Inbound {
    /// The next message; `None` if the client is gone.
    pub(super) async fn message(&mut self) -> Result<Option<Message>, Failure> {
        loop {
            if let Some((kind, body)) = self.frame()? {
                return Ok(Some(decode(kind, body).map_err(|e| Failure::protocol(e.to_string()))?));
            }
            match self.read.read_buf(&mut self.bytes).await {
                Ok(read) if read > 0 => {}
                _ => return Ok(None),
            }
        }
    }

    fn frame(&mut self) -> Result<Option<(u8, Bytes)>, Failure> {
        let Some((&kind, rest)) = self.bytes.split_first() else { return Ok(None) };
        let Some((length, _)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_be_bytes(*length) as usize;
        let longest = self.longest;
        if !(4..=longest).contains(&length) {
            return Err(Failure::protocol(format!("message of {length} bytes: 4 to {longest} are taken")));
        }
        if self.bytes.len() < 1 + length {
            return Ok(None);
        }
        self.bytes.advance(5);
        Ok(Some((kind, self.bytes.split_to(length - 4).freeze())))
    }

    /// The client has signed in: it may send long messages.
    pub(super) fn trust(&mut self) {
        self.longest = MAX_FRAME;
    }

    /// Waits until the client is gone, and keeps what it sends meanwhile; no more than it may send at once.
    pub(super) async fn gone(&mut self) {
        while self.bytes.len() <= MAX_FRAME {
            match self.read.read_buf(&mut self.bytes).await {
                Ok(read) if read > 0 => {}
                _ => return,
            }
        }
        std::future::pending().await
    }
}

impl Outbound {
    /// Adds a message.
    pub(super) fn put(&mut self, message: &PgWireBackendMessage) -> io::Result<()> {
        message.encode(&mut self.bytes).map_err(io::Error::other)
    }

    /// Adds messages that are bytes already.
    pub(super) fn put_encoded(&mut self, messages: &[u8]) {
        self.bytes.extend_from_slice(messages);
    }

    /// Sends, if much is waiting.
    pub(super) async fn relieve(&mut self) -> io::Result<()> {
        if self.bytes.len() < FULL { Ok(()) } else { self.flush().await }
    }

    /// Sends all.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        while !self.bytes.is_empty() {
            match tokio::time::timeout(STUCK_AFTER, self.write.write_buf(&mut self.bytes)).await {
                Ok(Ok(written)) if written > 0 => {}
                Ok(Err(error)) => return Err(error),
                _ => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
        tokio::time::timeout(STUCK_AFTER, self.write.flush()).await.map_err(|_| io::ErrorKind::TimedOut)?
    }

    /// Ends the connection in order, as far as the client takes part.
    pub(super) async fn close(mut self) {
        let goodbye = async {
            self.flush().await?;
            self.write.shutdown().await
        };
        // Whoever is gone need not hear it.
        drop(tokio::time::timeout(GOODBYE, goodbye).await);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn what_a_length_announces_takes_no_memory() {
        for (trusted, told, refused) in [
            (false, 1 << 30, true),
            (false, u32::MAX, true),
            (false, 0, true),
            (false, MAX_STRANGER as u32, false),
            (true, 1 << 30, true),
            (true, 1 << 31, true),
            (true, MAX_FRAME as u32, false),
        ] {
            let (mut client, server) = tokio::io::duplex(64);
            let (mut inbound, _outbound) = halves(Box::new(server));
            if trusted {
                inbound.trust();
            }
            client.write_u8(b'Q').await.unwrap();
            client.write_u32(told).await.unwrap();
            drop(client);
            let said = inbound.message().await;
            match refused {
                true => assert!(matches!(said, Err(Failure::Fatal(_))), "{told}: {said:?}"),
                false => assert!(matches!(said, Ok(None)), "{told}: {said:?}"),
            }
            assert!(inbound.bytes.capacity() <= 4_096, "{told}: {}", inbound.bytes.capacity());
        }
    }
}
