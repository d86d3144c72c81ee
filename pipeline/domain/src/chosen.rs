//! What users choose for themselves: a password, and how figures and times are shown. Entries of their own beside the user's: in the moment in
//! which one of two gateways removes a user, or says what the user may do, the other may write what the user has chosen, and that must bring
//! nobody back, nor what somebody was.

use crate::catalog::{Preferences, User};
use crate::{Catalog, OrganisationId, UserId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A password that a user has chosen.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct UserPassword {
    /// Whose.
    pub user: UserId,
    /// Of which organisation that one was then: whoever has the name in another one is somebody else.
    pub organisation: OrganisationId,
    /// PHC string (argon2id).
    pub hash: String,
}

/// Secrets stay out of logs.
impl fmt::Debug for UserPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserPassword").field("user", &self.user).finish_non_exhaustive()
    }
}

/// How a user has chosen to read figures and times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UserPreferences {
    /// Who.
    pub user: UserId,
    /// Of which organisation that one was then.
    pub organisation: OrganisationId,
    /// What was chosen.
    pub preferences: Preferences,
}

impl Catalog {
    /// The hash of a user's password; none: none is chosen yet.
    pub fn password_of<'a>(&'a self, user: &'a User) -> Option<&'a str> {
        match self.user_passwords.get(&user.id) {
            Some(chosen) => (chosen.organisation == user.organisation).then_some(chosen.hash.as_str()),
            None => user.password_hash.as_deref(),
        }
    }

    /// How a user reads figures and times; none: nothing is chosen yet.
    pub fn preferences_of<'a>(&'a self, user: &'a User) -> Option<&'a Preferences> {
        match self.user_preferences.get(&user.id) {
            Some(chosen) => (chosen.organisation == user.organisation).then_some(&chosen.preferences),
            None => user.preferences.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Role, Units};
    use crate::{CatalogEdit, CatalogEntry, CatalogKey};

    fn id<T: std::str::FromStr<Err: fmt::Debug>>(text: &str) -> T {
        text.parse().expect("an id")
    }

    fn user(organisation: &str, role: Role, password_hash: Option<&str>) -> CatalogEdit {
        let (id, organisation) = (id("anna"), id(organisation));
        let password_hash = password_hash.map(str::to_owned);
        CatalogEdit::Put(CatalogEntry::User(User { id, organisation, role, password_hash, preferences: None }))
    }

    fn chosen(hash: &str) -> [CatalogEdit; 2] {
        let password = UserPassword { user: id("anna"), organisation: id("ours"), hash: hash.to_owned() };
        let preferences = Preferences { units: Units::Nautical, time_zone: None };
        let preferences = UserPreferences { user: id("anna"), organisation: id("ours"), preferences };
        [CatalogEntry::UserPassword(password), CatalogEntry::UserPreferences(preferences)].map(CatalogEdit::Put)
    }

    /// Role, password and units of the one user, if there is one.
    fn after(edits: impl IntoIterator<Item = CatalogEdit>) -> Option<(Role, Option<String>, Option<Units>)> {
        let mut catalog = Catalog::default();
        edits.into_iter().for_each(|edit| catalog.apply(edit));
        let user = catalog.users.get(&id::<UserId>("anna"))?;
        let units = catalog.preferences_of(user).map(|preferences| preferences.units);
        Some((user.role, catalog.password_of(user).map(str::to_owned), units))
    }

    #[test]
    fn what_is_chosen_stays_whatever_an_owner_does_and_brings_nobody_back() {
        let [password, preferences] = chosen("new");
        let before = user("ours", Role::Owner, Some("old"));
        let demoted = user("ours", Role::Viewer, Some("old"));
        assert_eq!(after([before.clone()]), Some((Role::Owner, Some("old".into()), None)));
        // In whichever order two gateways write.
        let expected = Some((Role::Viewer, Some("new".into()), Some(Units::Nautical)));
        assert_eq!(after([before.clone(), demoted.clone(), password.clone(), preferences.clone()]), expected);
        assert_eq!(after([before.clone(), password.clone(), preferences.clone(), demoted]), expected);
        let removal = CatalogEdit::Remove(CatalogKey::User(id("anna")));
        assert_eq!(after([before, removal, password.clone(), preferences.clone()]), None);
        // Who has the name elsewhere is somebody else.
        let another = user("theirs", Role::Owner, None);
        assert_eq!(after([password, preferences, another]), Some((Role::Owner, None, None)));
        assert!(!format!("{:?}", chosen("a secret")).contains("a secret"));
    }

    #[test]
    fn whoever_is_removed_leaves_nothing_that_was_chosen() {
        let mut catalog = Catalog::default();
        chosen("new").into_iter().chain([user("ours", Role::Viewer, None)]).for_each(|edit| catalog.apply(edit));
        catalog.user_removal(&id("anna")).into_iter().for_each(|edit| catalog.apply(edit));
        assert!(catalog.users.is_empty() && catalog.user_passwords.is_empty() && catalog.user_preferences.is_empty());
    }
}
