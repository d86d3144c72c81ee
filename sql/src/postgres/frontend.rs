//! What clients send, read with care: every length is checked, and nothing is read beyond its message.
//!
//! The crate pgwire reads these messages too, but trusts their lengths: short ones panic, and names may run into the next message.

use bytes::{Buf, Bytes};

/// A message after the sign-in.
#[derive(Debug, PartialEq)]
pub(super) enum Message {
    /// Statements as text, all of them to be answered.
    Query(String),
    /// A statement to be remembered.
    Parse { name: String, sql: String, types: Vec<u32> },
    /// Values for a statement.
    Bind(Bind),
    /// What a statement takes and gives, or what a portal gives.
    Describe(Target),
    /// Rows of a portal, no more than so many if that is not zero.
    Execute { portal: String, max_rows: usize },
    /// Forget it.
    Close(Target),
    /// Send what is ready.
    Flush,
    /// The end of a batch.
    Sync,
    /// Good-bye.
    Terminate,
    /// Part of signing in.
    Password(Bytes),
    /// Part of writing with COPY, which nobody may.
    Copy,
}

/// Values for a statement.
#[derive(Debug, PartialEq)]
pub(super) struct Bind {
    pub(super) portal: String,
    pub(super) statement: String,
    pub(super) formats: Vec<i16>,
    pub(super) values: Vec<Option<Bytes>>,
    pub(super) result_formats: Vec<i16>,
}

/// What is meant by a name.
#[derive(Debug, PartialEq)]
pub(super) enum Target {
    Statement(String),
    Portal(String),
}

/// Why bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("message of unknown type {0:#04x}")]
    Type(u8),
    #[error("message is shorter or longer than it says")]
    Length,
    #[error("text in a message is not UTF-8")]
    Utf8,
}

/// Reads the body of a message of this type.
pub(super) fn decode(kind: u8, body: Bytes) -> Result<Message, Malformed> {
    let mut body = Body(body);
    let message = match kind {
        b'Q' => Message::Query(body.text()?),
        b'P' => {
            let (name, sql) = (body.text()?, body.text()?);
            Message::Parse { name, sql, types: body.list(Body::u32)? }
        }
        b'B' => Message::Bind(Bind {
            portal: body.text()?,
            statement: body.text()?,
            formats: body.list(Body::i16)?,
            values: body.list(Body::value)?,
            result_formats: body.list(Body::i16)?,
        }),
        b'D' => Message::Describe(body.target()?),
        b'C' => Message::Close(body.target()?),
        b'E' => {
            let portal = body.text()?;
            Message::Execute { portal, max_rows: usize::try_from(body.u32()? as i32).unwrap_or(0) }
        }
        b'H' => Message::Flush,
        b'S' => Message::Sync,
        b'X' => Message::Terminate,
        b'p' => Message::Password(std::mem::take(&mut body.0)),
        b'd' | b'c' | b'f' => {
            body.0.clear();
            Message::Copy
        }
        other => return Err(Malformed::Type(other)),
    };
    if body.0.is_empty() { Ok(message) } else { Err(Malformed::Length) }
}

/// The rest of a message.
pub(super) struct Body(pub(super) Bytes);

impl Body {
    /// Text up to a zero byte.
    pub(super) fn text(&mut self) -> Result<String, Malformed> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or(Malformed::Length)?;
        let text = std::str::from_utf8(&self.0[..end]).map_err(|_| Malformed::Utf8)?.to_owned();
        self.0.advance(end + 1);
        Ok(text)
    }

    /// A number, most significant byte first.
    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        if self.0.len() < 4 { Err(Malformed::Length) } else { Ok(self.0.get_u32()) }
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        if self.0.len() < 2 { Err(Malformed::Length) } else { Ok(self.0.get_u16()) }
    }

    fn i16(&mut self) -> Result<i16, Malformed> {
        Ok(self.u16()? as i16)
    }

    /// Bytes behind their length; -1 is NULL.
    pub(super) fn value(&mut self) -> Result<Option<Bytes>, Malformed> {
        let length = self.u32()? as i32;
        if length == -1 {
            return Ok(None);
        }
        let length = usize::try_from(length).map_err(|_| Malformed::Length)?;
        if length > self.0.len() { Err(Malformed::Length) } else { Ok(Some(self.0.split_to(length))) }
    }

    fn list<T>(&mut self, one: impl Fn(&mut Self) -> Result<T, Malformed>) -> Result<Vec<T>, Malformed> {
        let count = self.u16()?;
        (0..count).map(|_| one(self)).collect()
    }

    fn target(&mut self) -> Result<Target, Malformed> {
        if self.0.is_empty() {
            return Err(Malformed::Length);
        }
        match self.0.get_u8() {
            b'S' => Ok(Target::Statement(self.text()?)),
            b'P' => Ok(Target::Portal(self.text()?)),
            _ => Err(Malformed::Length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(kind: u8, body: &'static [u8]) -> Result<Message, Malformed> {
        decode(kind, Bytes::from_static(body))
    }

    #[test]
    fn messages_are_read() {
        assert_eq!(read(b'Q', b"SELECT 1\0"), Ok(Message::Query("SELECT 1".into())));
        assert_eq!(
            read(b'P', b"s\0SELECT $1\0\0\x01\0\0\0\x17"),
            Ok(Message::Parse { name: "s".into(), sql: "SELECT $1".into(), types: vec![23] })
        );
        let bind = Bind {
            portal: String::new(),
            statement: "s".into(),
            formats: vec![1],
            values: vec![Some(Bytes::from_static(b"\0\x07")), None],
            result_formats: vec![],
        };
        assert_eq!(read(b'B', b"\0s\0\0\x01\0\x01\0\x02\0\0\0\x02\0\x07\xff\xff\xff\xff\0\0"), Ok(Message::Bind(bind)));
        assert_eq!(read(b'E', b"p\0\0\0\0\x05"), Ok(Message::Execute { portal: "p".into(), max_rows: 5 }));
        assert_eq!(read(b'D', b"Sx\0"), Ok(Message::Describe(Target::Statement("x".into()))));
    }

    #[test]
    fn what_is_too_short_or_too_long_is_refused() {
        for (kind, body) in [
            (b'Q', &b"SELECT 1"[..]),
            (b'Q', b"SELECT 1\0x"),
            (b'P', b"s\0SELECT 1\0\0\x02\0\0\0\x17"),
            (b'B', b"\0\0\0\0\0\x01\0\0\0\x09x\0\0"),
            (b'B', b"\0\0\0\0\0\x01\xff\xff\xff\x00x\0\0"),
            (b'D', b""),
            (b'D', b"Zx\0"),
            (b'E', b"p\0\0"),
            (b'S', b"x"),
        ] {
            assert_eq!(read(kind, body), Err(Malformed::Length), "{} {body:?}", char::from(kind));
        }
        assert_eq!(read(b'Q', b"\xff\0"), Err(Malformed::Utf8));
        assert_eq!(read(b'!', b""), Err(Malformed::Type(b'!')));
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_surprise(kind: u8, body: Vec<u8>) {
            drop(decode(kind, body.into()));
        }
    }
}
