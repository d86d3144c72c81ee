//! One call: who makes it, as its first header says, and what ends it early.

use super::connection::Visit;
use super::failure;
use crate::Scope;
use crate::door::token_ended;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{AUTHORIZATION, HeaderMap};
use std::sync::Arc;
use tonic::Status;
use waystream_domain::{TokenId, UserId};

/// See the module. An extension of every request that was let in.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) visit: Arc<Visit>,
    token: TokenId,
    /// The token itself, which the handshake gives back as what later calls have to show.
    pub(super) secret: Arc<str>,
}

impl Call {
    /// Checks what a call shows: a token as `Bearer`, or with its user's name as `Basic`. `None`: it opens nothing.
    pub(super) fn new(headers: &HeaderMap, visit: &Arc<Visit>) -> Option<Self> {
        let (user, secret) = shown(headers)?;
        let (owner, token) = visit.shared.door.owner(&secret)?;
        let is_theirs = user.is_none_or(|user| user == owner);
        is_theirs.then(|| Self { visit: Arc::clone(visit), token, secret: secret.into() })
    }

    /// What may be seen now. Asked before each statement.
    pub(super) fn scope(&self) -> Result<Scope, Status> {
        self.visit.shared.door.scope(&self.token).ok_or_else(failure::token_ended)
    }

    /// Waits until nothing may go on for this call.
    pub(super) async fn interrupted(&self) -> Status {
        tokio::select! {
            () = token_ended(self.visit.shared.door.as_ref(), &self.token) => failure::token_ended(),
            () = self.visit.stop.cancelled() => failure::stopping(),
        }
    }

    /// Does something that may take long, unless it is interrupted.
    pub(super) async fn guarded<T>(&self, work: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
        tokio::select! {
            done = work => done,
            why = self.interrupted() => Err(why),
        }
    }
}

/// The user, if the header names one, and the secret.
fn shown(headers: &HeaderMap) -> Option<(Option<UserId>, String)> {
    let (scheme, rest) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some((None, rest.to_owned()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let both = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
    let (user, secret) = both.split_once(':')?;
    Some((Some(UserId::new(user).ok()?), secret.to_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_header_shows_a_token_or_nothing() {
        let basic = |both: &str| format!("Basic {}", STANDARD.encode(both));
        for (header, user, secret) in [
            ("Bearer ws_1_2".to_owned(), None, Some("ws_1_2")),
            ("bearer  ws_1_2 ".to_owned(), None, Some("ws_1_2")),
            (basic("anna:ws_1_2"), Some("anna"), Some("ws_1_2")),
            (basic("anna:"), Some("anna"), Some("")),
            (basic(":ws_1_2"), None, None),
            (basic("anna"), None, None),
            ("Basic !".to_owned(), None, None),
            ("Basic /w==".to_owned(), None, None),
            ("ws_1_2".to_owned(), None, None),
            ("Digest ws_1_2".to_owned(), None, None),
            (String::new(), None, None),
        ] {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, header.parse().unwrap())]);
            let expected: Option<(Option<UserId>, String)> =
                secret.map(|secret| (user.map(|user| user.parse().unwrap()), secret.to_owned()));
            assert_eq!(shown(&headers), expected, "{header}");
        }
        assert_eq!(shown(&HeaderMap::new()), None);
    }
}
