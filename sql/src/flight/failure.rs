//! What went wrong, as clients are told: a code of gRPC by which programs go, and a text for people. All of it is counted here.

use crate::{SqlError, metrics};
use tonic::{Code, Status};

/// A message must not be as long as a hostile statement that it quotes: it is sent as a header, of which clients take some kilobytes.
const MAX_MESSAGE: usize = 1_000;

/// A statement that failed.
pub(super) fn of(error: SqlError) -> Status {
    metrics::flight_failed(error.kind());
    let code = match &error {
        SqlError::Invalid { .. } | SqlError::ReadOnly(_) => Code::InvalidArgument,
        SqlError::Deadline(_) => Code::DeadlineExceeded,
        SqlError::Memory(_) | SqlError::Busy => Code::ResourceExhausted,
        SqlError::Store(_) | SqlError::Output(_) => Code::Internal,
    };
    told(code, error.to_string())
}

/// The client has shown no token that opens anything.
pub(super) fn stranger() -> Status {
    metrics::flight_failed("sign_in");
    Status::unauthenticated("user name or token is wrong")
}

/// The token was removed, or its time is over.
pub(super) fn token_ended() -> Status {
    metrics::flight_failed("sign_in");
    Status::unauthenticated("the token is no longer valid")
}

/// We end.
pub(super) fn stopping() -> Status {
    metrics::flight_failed("stopping");
    Status::unavailable("the server is stopping")
}

/// There is no more of something now.
pub(super) fn busy(what: &str) -> Status {
    metrics::flight_failed("busy");
    Status::resource_exhausted(what)
}

/// The client does not speak the protocol.
pub(super) fn malformed(what: impl Into<String>) -> Status {
    metrics::flight_failed("protocol");
    told(Code::InvalidArgument, what.into())
}

/// What the protocol has and we have not.
pub(super) fn missing(what: impl Into<String>) -> Status {
    metrics::flight_failed("invalid");
    told(Code::Unimplemented, what.into())
}

/// What can't be.
pub(super) fn internal(what: impl Into<String>) -> Status {
    metrics::flight_failed("internal");
    told(Code::Internal, what.into())
}

fn told(code: Code, mut message: String) -> Status {
    if message.len() > MAX_MESSAGE {
        message.truncate(message.floor_char_boundary(MAX_MESSAGE));
        message.push('…');
    }
    Status::new(code, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_bounded_and_a_code_says_what_to_do() {
        let long = of(SqlError::invalid("ä".repeat(100_000)));
        assert!(long.message().len() < 1_100 && long.message().ends_with('…'));
        for (error, code) in [
            (SqlError::ReadOnly("SELECT"), Code::InvalidArgument),
            (SqlError::Busy, Code::ResourceExhausted),
            (SqlError::Memory("no".into()), Code::ResourceExhausted),
            (SqlError::Deadline(std::time::Duration::from_secs(1)), Code::DeadlineExceeded),
            (SqlError::Store("no".into()), Code::Internal),
        ] {
            assert_eq!(of(error).code(), code);
        }
    }
}
