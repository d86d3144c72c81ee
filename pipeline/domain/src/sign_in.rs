//! Links that sign somebody in once: how the first user gets in, who has been invited, and who has forgotten a password.

use crate::catalog::Session;
use crate::token::{TokenSecret, hex, sha256};
use crate::{Catalog, CatalogEdit, CatalogEntry, CatalogKey, OrganisationId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

/// Unused links of one user; the oldest give way.
const MAX_LINKS: usize = 16;
/// Links over their time that are cleared away with one edit.
const CLEARED: usize = 1_000;

/// A link that nobody has used yet. In the catalog, so that every gateway knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignInLink {
    /// SHA-256 of the secret in it, hex. The secret is random, so a fast hash is enough.
    pub token_sha256: String,
    /// Whom it signs in.
    pub user: UserId,
    /// As whose: it opens nothing of another organisation that has a user of this name later. None: it is from before that was kept, or of a
    /// user who was not there yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<OrganisationId>,
    /// No longer valid from then on.
    pub expires_at: Timestamp,
}

impl SignInLink {
    /// Makes one of random bytes.
    pub fn issue(
        user: UserId,
        organisation: Option<OrganisationId>,
        expires_at: Timestamp,
        random: &[u8; 32],
    ) -> (Self, TokenSecret) {
        let secret = hex(random);
        (Self { token_sha256: Self::hash(&secret), user, organisation, expires_at }, TokenSecret::new(secret))
    }

    /// Under which hash a secret is kept. Links are looked up by it, so the time of the look-up tells nothing of the secret.
    pub fn hash(secret: &str) -> String {
        hex(&sha256(secret))
    }
}

impl Catalog {
    /// Whom a link signs in now, if it is good.
    pub fn signed_in_by(&self, link: &SignInLink, now: Timestamp) -> Option<UserId> {
        let organisation = self.users.get(&link.user).map(|user| &user.organisation);
        let is_theirs = link.organisation.is_none() || link.organisation.as_ref() == organisation;
        (link.expires_at > now && is_theirs).then(|| link.user.clone())
    }

    /// Edits that add a link, and clear away those that it makes needless.
    pub fn link_edits(&self, link: SignInLink, now: Timestamp) -> Vec<CatalogEdit> {
        let (valid, over): (Vec<_>, Vec<_>) = self.sign_in_links.values().partition(|known| known.expires_at > now);
        let mut own: Vec<_> = valid.into_iter().filter(|known| known.user == link.user).collect();
        own.sort_by_key(|known| std::cmp::Reverse(known.expires_at));
        let needless = over.into_iter().take(CLEARED).chain(own.into_iter().skip(MAX_LINKS - 1));
        let mut edits: Vec<_> = needless.map(|known| remove(&known.token_sha256)).collect();
        edits.push(CatalogEdit::Put(CatalogEntry::SignInLink(link)));
        edits
    }

    /// Edits that remove a user, and what belongs to nobody else: sessions, tokens, links, password, second factor. What they
    /// have shared ends too, as they know by what secret.
    pub fn user_removal(&self, user: &UserId) -> Vec<CatalogEdit> {
        let mut edits = vec![CatalogEdit::Remove(CatalogKey::User(user.clone()))];
        edits.extend(self.belongings_removal(user));
        edits
    }

    /// The same without the user: for whoever gets a name that somebody has had, who may have left something at another gateway.
    pub fn belongings_removal(&self, user: &UserId) -> Vec<CatalogEdit> {
        let sessions = self.sessions.values().filter(|session| session.user == *user);
        let tokens = self.api_tokens.values().filter(|token| token.user == *user);
        let links = self.sign_in_links.values().filter(|link| link.user == *user);
        let mut edits = Vec::new();
        edits.extend(self.user_passwords.get(user).map(|_| CatalogEdit::Remove(CatalogKey::UserPassword(user.clone()))));
        edits.extend(self.user_preferences.get(user).map(|_| CatalogEdit::Remove(CatalogKey::UserPreferences(user.clone()))));
        edits.extend(self.second_factors.get(user).map(|_| CatalogEdit::Remove(CatalogKey::SecondFactor(user.clone()))));
        edits.extend(sessions.flat_map(|session| Session::removal(&session.token_sha256)));
        edits.extend(tokens.map(|token| CatalogEdit::Remove(CatalogKey::ApiToken(token.id.clone()))));
        edits.extend(links.map(|link| remove(&link.token_sha256)));
        edits.extend(self.share_removals_of(user));
        edits
    }
}

fn remove(hash: &str) -> CatalogEdit {
    CatalogEdit::Remove(CatalogKey::SignInLink(hash.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Role, User};

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms).expect("a time")
    }

    fn add(catalog: &mut Catalog, user: &str, expires: i64, random: u8, now: i64) -> TokenSecret {
        let (link, secret) = SignInLink::issue(user.parse().expect("an id"), None, at(expires), &[random; 32]);
        catalog.link_edits(link, at(now)).into_iter().for_each(|edit| catalog.apply(edit));
        secret
    }

    #[test]
    fn links_are_bounded_and_hold_no_secret() {
        let mut catalog = Catalog::default();
        for n in 0..40 {
            add(&mut catalog, "anna", 100 + i64::from(n), n, 0);
        }
        assert_eq!(catalog.sign_in_links.len(), MAX_LINKS);
        let secret = add(&mut catalog, "otto", 500, 99, 50);
        let kept = format!("{:?}", catalog.sign_in_links);
        assert!(!kept.contains(secret.as_str()) && !format!("{secret:?}").contains(secret.as_str()));
        assert_eq!(catalog.sign_in_links[&SignInLink::hash(secret.as_str())].user.as_str(), "otto");
        // Those over their time go with the next one.
        add(&mut catalog, "otto", 500, 98, 400);
        assert_eq!(catalog.sign_in_links.len(), 2);
    }

    #[test]
    fn a_link_opens_nothing_of_another_organisation_that_has_the_name_now() {
        let mut catalog = Catalog::default();
        let mut invite = |organisation: &str| {
            let (id, organisation) = ("anna".parse().expect("an id"), organisation.parse().expect("an id"));
            let user = User { id, organisation, role: Role::Owner, password_hash: None, preferences: None };
            catalog.apply(CatalogEdit::Put(CatalogEntry::User(user)));
            catalog.clone()
        };
        let anna: UserId = "anna".parse().expect("an id");
        let of = |organisation: Option<&str>| {
            let organisation = organisation.map(|id| id.parse().expect("an id"));
            SignInLink::issue(anna.clone(), organisation, at(100), &[1; 32]).0
        };
        let ours = invite("ours");
        assert_eq!(ours.signed_in_by(&of(Some("ours")), at(99)).as_ref(), Some(&anna));
        assert_eq!(ours.signed_in_by(&of(None), at(99)).as_ref(), Some(&anna));
        assert_eq!(ours.signed_in_by(&of(Some("ours")), at(100)), None);
        let theirs = invite("theirs");
        assert_eq!(theirs.signed_in_by(&of(Some("ours")), at(99)), None);
        assert_eq!(Catalog::default().signed_in_by(&of(Some("ours")), at(99)), None);
    }

    #[test]
    fn whoever_is_removed_takes_along_every_way_in() {
        let mut catalog = Catalog::default();
        add(&mut catalog, "anna", 100, 1, 0);
        add(&mut catalog, "otto", 100, 2, 0);
        catalog.user_removal(&"anna".parse().expect("an id")).into_iter().for_each(|edit| catalog.apply(edit));
        assert_eq!(catalog.sign_in_links.values().map(|link| link.user.as_str()).collect::<Vec<_>>(), ["otto"]);
    }
}
