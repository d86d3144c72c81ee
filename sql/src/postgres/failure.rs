//! What went wrong, as clients are told: a code by which programs go (SQLSTATE), a text for people, and where in the statement.

use crate::{Flaw, SqlError};
use pgwire::error::{ErrorInfo, PgWireError};
use pgwire::messages::PgWireBackendMessage;
use std::io;

/// Why a statement or a connection failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The client is told, and may go on.
    Error(Fault),
    /// The client is told, and the connection ends.
    Fatal(Fault),
    /// There is nobody to tell.
    Gone,
}

/// What a client is told.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) code: &'static str,
    pub(super) message: String,
    /// Line and column in the statement, both from 1.
    at: Option<(u64, u64)>,
    /// The same as the place of a character in the text that the client sent, from 1.
    position: Option<usize>,
}

/// A message must not be as long as a hostile statement that it quotes.
const MAX_MESSAGE: usize = 4_000;

impl Failure {
    pub(super) fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self::Error(Fault::new(code, message.into()))
    }

    pub(super) fn fatal(code: &'static str, message: impl Into<String>) -> Self {
        Self::Fatal(Fault::new(code, message.into()))
    }

    /// The client does not speak the protocol.
    pub(super) fn protocol(message: impl Into<String>) -> Self {
        Self::fatal("08P01", message)
    }

    pub(super) fn cancelled() -> Self {
        Self::error("57014", "canceling statement due to user request")
    }

    pub(super) fn timed_out() -> Self {
        Self::error("57014", "canceling statement due to statement timeout")
    }

    /// The token was removed, or its time is over.
    pub(super) fn token_ended() -> Self {
        Self::fatal("28000", "the token is no longer valid")
    }

    pub(super) fn stopping() -> Self {
        Self::fatal("57P01", "the server is stopping")
    }

    /// Says where: the statement stands behind `before`, and what was said so far was the place in the statement.
    pub(super) fn located(self, statement: &str, before: &str) -> Self {
        match self {
            Self::Error(mut fault) => {
                let inner = fault.position.or_else(|| fault.at.map(|at| place(statement, at)));
                fault.position = inner.map(|position| before.chars().count() + position);
                Self::Error(fault)
            }
            other => other,
        }
    }

    /// What people are told.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Error(fault) | Self::Fatal(fault) => fault.message.clone(),
            Self::Gone => "the client is gone".to_owned(),
        }
    }

    /// Short name, for metrics; none if the client merely went away.
    pub(super) fn kind(&self) -> Option<&'static str> {
        let (Self::Error(fault) | Self::Fatal(fault)) = self else { return None };
        Some(match fault.code {
            "57014" => "cancelled",
            "53300" => "busy",
            "53200" => "memory",
            "25006" => "read_only",
            "58030" | "XX000" => "internal",
            "57P01" => "stopping",
            code if code.starts_with("28") => "sign_in",
            code if code.starts_with("08") => "protocol",
            _ => "invalid",
        })
    }

    /// What is sent.
    pub(super) fn message(&self) -> Option<PgWireBackendMessage> {
        let (severity, fault) = match self {
            Self::Error(fault) => ("ERROR", fault),
            Self::Fatal(fault) => ("FATAL", fault),
            Self::Gone => return None,
        };
        let mut info = ErrorInfo::new(severity.to_owned(), fault.code.to_owned(), fault.message.clone());
        info.severity_nonlocalized = Some(severity.to_owned());
        info.position = fault.position.map(|position| position.to_string());
        Some(PgWireBackendMessage::ErrorResponse(info.into()))
    }
}

impl Fault {
    fn new(code: &'static str, mut message: String) -> Self {
        if message.len() > MAX_MESSAGE {
            message.truncate(message.floor_char_boundary(MAX_MESSAGE));
            message.push('…');
        }
        // A zero byte would end the message.
        Self { code, message: message.replace('\0', ""), at: None, position: None }
    }
}

/// Characters up to a line and column, from 1.
fn place(statement: &str, (line, column): (u64, u64)) -> usize {
    let line = usize::try_from(line).unwrap_or(usize::MAX).saturating_sub(1);
    let before: usize = statement.split_inclusive('\n').take(line).map(|line| line.chars().count()).sum();
    before.saturating_add(usize::try_from(column).unwrap_or(usize::MAX))
}

impl From<SqlError> for Failure {
    fn from(error: SqlError) -> Self {
        match error {
            SqlError::Invalid { message, at, flaw } => {
                let code = match flaw {
                    Flaw::Syntax => "42601",
                    Flaw::Table => "42P01",
                    Flaw::Column => "42703",
                    Flaw::Unsupported => "0A000",
                    Flaw::Value => "22000",
                    Flaw::Other => "42000",
                };
                Self::Error(Fault { at, ..Fault::new(code, message) })
            }
            SqlError::ReadOnly(_) => Self::error("25006", error.to_string()),
            SqlError::Deadline(_) => Self::timed_out(),
            SqlError::Memory(_) => Self::error("53200", error.to_string()),
            SqlError::Busy => Self::error("53300", error.to_string()),
            SqlError::Store(_) => Self::error("58030", error.to_string()),
            SqlError::Output(_) => Self::error("XX000", error.to_string()),
        }
    }
}

/// Of encoding rows and reading values.
impl From<PgWireError> for Failure {
    fn from(error: PgWireError) -> Self {
        match error {
            PgWireError::IoError(_) => Self::Gone,
            PgWireError::FailedToParseParameter(why) => Self::error("22P02", format!("a value can't be read: {why}")),
            PgWireError::UserError(info) => Self::error("22023", info.message),
            other => Self::error("0A000", other.to_string()),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_character_of_the_whole_text() {
        let error = SqlError::Invalid { message: "no".into(), at: Some((2, 3)), flaw: Flaw::Column };
        let Failure::Error(fault) = Failure::from(error).located("SELECT 'ä',\n  x", "SELECT 1;") else { panic!("an error") };
        assert_eq!((fault.code, fault.position), ("42703", Some(9 + 12 + 3)));
        // A question inside a statement.
        let error = SqlError::Invalid { message: "no".into(), at: Some((1, 2)), flaw: Flaw::Column };
        let located = Failure::from(error).located("SELECT x", "COPY (").located("COPY (SELECT x) TO STDOUT", "SELECT 1;");
        let Failure::Error(fault) = located else { panic!("an error") };
        assert_eq!(fault.position, Some(9 + 6 + 2));
    }

    #[test]
    fn a_message_is_bounded() {
        let Failure::Error(fault) = Failure::error("42601", "ä".repeat(100_000) + "\0") else { panic!("an error") };
        assert!(fault.message.len() < 5_000 && fault.message.ends_with('…'));
    }
}
