//! Signed-in browsers: how long a session lasts, used or not, and how many one user has.

use crate::{Catalog, CatalogEdit, CatalogEntry, CatalogKey, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::sync::Arc;

const DAY_MS: i64 = 24 * 3_600 * 1_000;
/// A use is written down if this part of the time after which an unused session ends has gone by since the last one.
const NOTED_PER_IDLE: i64 = 24;
/// Entries over their time that are cleared away with one edit.
const CLEARED: usize = 1_000;

/// A signed-in browser. Durable, so that a restart signs nobody out, and shared by all gateways.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// SHA-256 of the cookie's token, hex: the log never holds a token.
    pub token_sha256: String,
    /// Whose.
    pub user: UserId,
    /// No longer valid from then on, however much it is used.
    pub expires_at: Timestamp,
    /// It began with a link, which is for who has forgotten the password: until then another one may be chosen without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_until: Option<Timestamp>,
}

/// When a session was last used, as far as that is written down. An entry of its own: of two gateways one may end a session in the moment
/// in which the other sees it used, and what the latter writes must not bring it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionUse {
    /// Which session.
    pub token_sha256: String,
    /// When.
    pub used_at: Timestamp,
}

impl Session {
    /// Edits that end a session, and forget its use: who signs in and out again and again leaves nothing behind.
    pub fn removal(token_sha256: &str) -> [CatalogEdit; 2] {
        let hash = || token_sha256.to_owned();
        [CatalogKey::Session(hash()), CatalogKey::SessionUse(hash())].map(CatalogEdit::Remove)
    }
}

/// How long sessions last, and how many there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// One that is not used for so long ends.
    pub idle_ms: i64,
    /// Each ends so long after signing in.
    pub longest_ms: i64,
    /// Of one user; with a further one the oldest ends.
    pub per_user: usize,
}

impl SessionLimits {
    /// Limits in days.
    pub fn of_days(idle: u32, longest: u32, per_user: usize) -> Self {
        Self { idle_ms: i64::from(idle) * DAY_MS, longest_ms: i64::from(longest) * DAY_MS, per_user }
    }
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self::of_days(14, 90, 20)
    }
}

impl Catalog {
    /// A session, if it still holds. One that nothing is known of the use of is from before uses were written down.
    pub fn valid_session(&self, token_sha256: &str, limits: SessionLimits, now: Timestamp) -> Option<&Arc<Session>> {
        let unused_ms = self.session_uses.get(token_sha256).map_or(0, |used| now.millis_since(used.used_at));
        self.sessions.get(token_sha256).filter(|session| session.expires_at > now && unused_ms < limits.idle_ms)
    }

    /// Whether it should be written down that a session is used now. Also where that is written down of a time far ahead, by a clock that was
    /// wrong: until then the session would not end unused.
    pub fn is_use_due(&self, token_sha256: &str, limits: SessionLimits, now: Timestamp) -> bool {
        let noted_ms = self.session_uses.get(token_sha256).map(|used| now.millis_since(used.used_at));
        self.valid_session(token_sha256, limits, now).is_some()
            && noted_ms.is_none_or(|ms| ms >= limits.idle_ms / NOTED_PER_IDLE || ms <= -limits.idle_ms)
    }

    /// Edits that begin a session, and end the oldest of its user that it makes too many.
    pub fn session_edits(&self, session: Session, limits: SessionLimits, now: Timestamp) -> Vec<CatalogEdit> {
        let own = self.sessions.values().filter(|known| known.user == session.user);
        let mut own: Vec<_> = own.filter(|known| self.valid_session(&known.token_sha256, limits, now).is_some()).collect();
        // All end equally long after they began.
        own.sort_by_key(|known| Reverse(known.expires_at));
        let too_many = own.iter().skip(limits.per_user.saturating_sub(1));
        let mut edits: Vec<_> = too_many.flat_map(|known| Session::removal(&known.token_sha256)).collect();
        // Its use first: a session without would last longer.
        let used = SessionUse { token_sha256: session.token_sha256.clone(), used_at: now };
        edits.push(CatalogEdit::Put(CatalogEntry::SessionUse(used)));
        edits.push(CatalogEdit::Put(CatalogEntry::Session(session)));
        edits
    }

    /// Edits that clear away what is over its time, of whomever, and uses that were told of what had ended: not at once, as a session's first
    /// use is read before the session.
    pub fn sessions_over(&self, limits: SessionLimits, now: Timestamp) -> Vec<CatalogEdit> {
        let over = self.sessions.keys().filter(|hash| self.valid_session(hash, limits, now).is_none());
        let is_needless = |used: &&SessionUse| {
            !self.sessions.contains_key(&used.token_sha256) && now.millis_since(used.used_at) >= limits.idle_ms
        };
        let uses = self.session_uses.values().filter(is_needless);
        let uses = uses.map(|used| CatalogEdit::Remove(CatalogKey::SessionUse(used.token_sha256.clone())));
        over.flat_map(|hash| Session::removal(hash)).chain(uses).take(CLEARED).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: SessionLimits = SessionLimits { idle_ms: 2_400, longest_ms: 10_000, per_user: 3 };

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms).expect("a time")
    }

    fn begin(catalog: &mut Catalog, hash: &str, user: &str, now: i64) {
        let (user, expires_at) = (user.parse().expect("an id"), at(now + LIMITS.longest_ms));
        let session = Session { token_sha256: hash.into(), user, expires_at, password_until: None };
        catalog.session_edits(session, LIMITS, at(now)).into_iter().for_each(|edit| catalog.apply(edit));
    }

    fn used(hash: &str, now: i64) -> CatalogEdit {
        CatalogEdit::Put(CatalogEntry::SessionUse(SessionUse { token_sha256: hash.into(), used_at: at(now) }))
    }

    fn valid(catalog: &Catalog, now: i64) -> Vec<&str> {
        let hashes = catalog.sessions.keys().map(String::as_str);
        hashes.filter(|hash| catalog.valid_session(hash, LIMITS, at(now)).is_some()).collect()
    }

    #[test]
    fn a_session_ends_unused_and_however_much_it_is_used() {
        let mut catalog = Catalog::default();
        begin(&mut catalog, "a", "anna", 0);
        assert_eq!((valid(&catalog, 2_399), valid(&catalog, 2_400)), (vec!["a"], vec![]));
        let due = |catalog: &Catalog, now: i64| catalog.is_use_due("a", LIMITS, at(now));
        assert!(!due(&catalog, 99) && due(&catalog, 100) && due(&catalog, 2_399));
        assert!(!due(&catalog, 2_400), "it has ended, and is not used any more");
        for now in (0..10_000).step_by(1_000) {
            assert_eq!(valid(&catalog, now), ["a"]);
            catalog.apply(used("a", now));
        }
        assert_eq!((valid(&catalog, 9_999), valid(&catalog, 10_000)), (vec!["a"], vec![]));
    }

    #[test]
    fn a_use_brings_no_session_back_that_was_ended() {
        let mut catalog = Catalog::default();
        begin(&mut catalog, "a", "anna", 0);
        Session::removal("a").into_iter().for_each(|edit| catalog.apply(edit));
        assert!(catalog.session_uses.is_empty());
        catalog.apply(used("a", 10));
        assert!(valid(&catalog, 20).is_empty() && !catalog.is_use_due("a", LIMITS, at(1_000)));
        assert!(catalog.sessions_over(LIMITS, at(20)).is_empty(), "another gateway may be about to tell of the session");
        catalog.sessions_over(LIMITS, at(2_410)).into_iter().for_each(|edit| catalog.apply(edit));
        assert!(catalog.session_uses.is_empty());
    }

    #[test]
    fn what_a_clock_that_was_ahead_has_written_down_is_put_right_with_the_next_use() {
        let mut catalog = Catalog::default();
        begin(&mut catalog, "a", "anna", 0);
        catalog.apply(used("a", 9_000));
        assert!(catalog.is_use_due("a", LIMITS, at(10)));
        catalog.apply(used("a", 10));
        assert_eq!((valid(&catalog, 2_409), valid(&catalog, 2_410)), (vec!["a"], vec![]));
        // Two gateways whose clocks are apart must not write against each other. Where one is ahead by more, it takes sessions for ended.
        catalog.apply(used("a", 2_399));
        assert!(!catalog.is_use_due("a", LIMITS, at(0)));
    }

    #[test]
    fn with_too_many_sessions_the_oldest_of_the_user_ends() {
        let mut catalog = Catalog::default();
        begin(&mut catalog, "o", "otto", 0);
        for (now, hash) in ["a", "b", "c", "d"].into_iter().enumerate() {
            begin(&mut catalog, hash, "anna", now as i64);
        }
        assert_eq!(valid(&catalog, 10), ["b", "c", "d", "o"]);
        // Those that are over don't count, and are cleared away.
        begin(&mut catalog, "e", "anna", 2_403);
        assert_eq!(valid(&catalog, 2_403), ["e"]);
        catalog.sessions_over(LIMITS, at(2_403)).into_iter().for_each(|edit| catalog.apply(edit));
        assert_eq!(catalog.sessions.keys().collect::<Vec<_>>(), ["e"]);
        assert_eq!(catalog.session_uses.keys().collect::<Vec<_>>(), ["e"], "also of the one that gave way");
    }

    #[test]
    fn one_from_before_uses_were_written_down_lasts_until_its_end() {
        let mut catalog = Catalog::default();
        begin(&mut catalog, "a", "anna", 0);
        catalog.apply(CatalogEdit::Remove(CatalogKey::SessionUse("a".into())));
        assert_eq!(valid(&catalog, 9_999), ["a"]);
        assert!(catalog.is_use_due("a", LIMITS, at(9_999)));
    }
}
