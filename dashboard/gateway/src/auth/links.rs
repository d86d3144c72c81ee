//! Links that sign in once, made here and used up here; they are kept in the catalog, so any gateway takes those of any other.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use waystream_domain::{Actor, CatalogEdit, CatalogKey, SignInLink, Timestamp, TokenSecret, UserId};
use waystream_log::LogError;
use waystream_log::catalog::CatalogHandle;

/// How long the link can be used that a new system prints.
pub(crate) const FIRST_LINK_MS: i64 = 15 * 60 * 1_000;
/// How long one can be used that is sent to somebody.
pub(crate) const INVITATION_MS: i64 = 3 * 24 * 3_600 * 1_000;

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Links {
    catalog: CatalogHandle,
    /// Being used up: of two requests with one link at the same moment, one signs in.
    claimed: Arc<Mutex<HashSet<String>>>,
}

/// Given back when dropped, also if the request is given up.
struct Claim<'a> {
    claimed: &'a Mutex<HashSet<String>>,
    hash: String,
}

impl<'a> Claim<'a> {
    fn of(claimed: &'a Mutex<HashSet<String>>, hash: String) -> Option<Self> {
        let is_first = claimed.lock().unwrap_or_else(PoisonError::into_inner).insert(hash.clone());
        is_first.then_some(Self { claimed, hash })
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.claimed.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.hash);
    }
}

impl Links {
    pub(crate) fn new(catalog: CatalogHandle) -> Self {
        Self { catalog, claimed: Arc::default() }
    }

    /// The secret of a new link for this user: of the organisation of whoever makes it, if that is one of its people.
    pub(crate) async fn issue(&self, by: &Actor, user: UserId, valid_ms: i64, now: Timestamp) -> Result<TokenSecret, LogError> {
        let (edits, secret) = {
            let shared = self.catalog.shared();
            let catalog = shared.read().unwrap_or_else(PoisonError::into_inner);
            let organisation = match by {
                Actor::User { organisation, .. } => Some(organisation.clone()),
                _ => catalog.users.get(&user).map(|known| known.organisation.clone()),
            };
            let (link, secret) = SignInLink::issue(user, organisation, now.plus_millis(valid_ms), &rand::random());
            (catalog.link_edits(link, now), secret)
        };
        self.catalog.edit(by, edits).await?;
        Ok(secret)
    }

    /// Uses a link up: whom it signs in, if it was good.
    pub(crate) async fn redeem(&self, secret: &str, now: Timestamp) -> Result<Option<UserId>, LogError> {
        let Some(claim) = Claim::of(&self.claimed, SignInLink::hash(secret)) else { return Ok(None) };
        let found = {
            let shared = self.catalog.shared();
            let catalog = shared.read().unwrap_or_else(PoisonError::into_inner);
            catalog.sign_in_links.get(&claim.hash).map(|link| catalog.signed_in_by(link, now))
        };
        let Some(user) = found else { return Ok(None) };
        let by = Actor::Program { doing: "using a sign-in link up".into() };
        self.catalog.edit(&by, vec![CatalogEdit::Remove(CatalogKey::SignInLink(claim.hash.clone()))]).await?;
        Ok(user)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tokio_util::sync::CancellationToken;
    use waystream_log::catalog::CatalogFollower;
    use waystream_log::embedded::{EmbeddedLog, EmbeddedOptions};

    #[tokio::test]
    async fn a_link_is_good_once_and_for_its_time_at_every_gateway() {
        let dir = tempfile::tempdir().unwrap();
        let log = EmbeddedLog::open(dir.path(), EmbeddedOptions::default()).unwrap();
        let (catalog, follower) = CatalogFollower::start(log).await.unwrap();
        tokio::spawn(follower.run(CancellationToken::new()));
        let (one, other) = (Links::new(catalog.clone()), Links::new(catalog));
        let at = |ms| Timestamp::from_millis(ms).unwrap();
        let admin: UserId = "admin".parse().unwrap();
        let link = async || one.issue(&Actor::CommandLine, admin.clone(), FIRST_LINK_MS, at(0)).await.unwrap();

        let secret = link().await;
        assert_eq!(other.redeem("something else", at(1)).await.unwrap(), None);
        assert_eq!(other.redeem(secret.as_str(), at(FIRST_LINK_MS - 1)).await.unwrap(), Some(admin.clone()));
        assert_eq!(one.redeem(secret.as_str(), at(FIRST_LINK_MS - 1)).await.unwrap(), None);
        let secret = link().await;
        assert_eq!(one.redeem(secret.as_str(), at(FIRST_LINK_MS)).await.unwrap(), None);
        // At the same moment.
        let secret = link().await;
        let (a, b) = tokio::join!(one.redeem(secret.as_str(), at(1)), one.redeem(secret.as_str(), at(1)));
        assert_eq!([a.unwrap(), b.unwrap()].into_iter().flatten().count(), 1);
    }
}
