//! An organisation keeps an owner: somebody has to be able to let others in again. What its own people's edits would leave without one is refused
//! where the catalog is edited, whatever was looked at before.

use crate::catalog::{Role, User};
use crate::{Actor, Catalog, CatalogEdit, CatalogEntry, CatalogKey, OrganisationId};
use std::sync::Arc;

impl Catalog {
    /// The owners whom these edits remove, or make something else.
    pub fn owners_leaving(&self, edits: &[CatalogEdit]) -> Vec<Arc<User>> {
        let leaving = edits.iter().filter_map(|edit| {
            let id = match edit {
                CatalogEdit::Put(CatalogEntry::User(user)) if user.role != Role::Owner => &user.id,
                CatalogEdit::Remove(CatalogKey::User(id)) => id,
                _ => return None,
            };
            self.users.get(id).filter(|known| known.role == Role::Owner).cloned()
        });
        leaving.collect()
    }

    /// Whether an organisation has an owner besides these.
    pub fn has_owner_besides(&self, organisation: &OrganisationId, others: &[Arc<User>]) -> bool {
        let is_other = |user: &User| others.iter().any(|other| other.id == user.id);
        self.users.values().any(|user| user.organisation == *organisation && user.role == Role::Owner && !is_other(user))
    }

    /// Whether these edits would leave the organisation of whoever makes them without an owner. Who has a shell, and the program itself, may.
    pub fn is_left_without_owner(&self, by: &Actor, edits: &[CatalogEdit]) -> bool {
        let Actor::User { organisation, .. } = by else { return false };
        let leaving = self.owners_leaving(edits);
        !leaving.is_empty() && !self.has_owner_besides(organisation, &leaving)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Access;

    fn user(id: &str, organisation: &str, role: Role) -> CatalogEdit {
        let (id, organisation) = (id.parse().expect("an id"), organisation.parse().expect("an id"));
        CatalogEdit::Put(CatalogEntry::User(User { id, organisation, role, password_hash: None, preferences: None }))
    }

    fn removal(id: &str) -> CatalogEdit {
        CatalogEdit::Remove(CatalogKey::User(id.parse().expect("an id")))
    }

    #[test]
    fn the_last_owner_is_kept_but_from_who_has_a_shell() {
        let mut catalog = Catalog::default();
        for (id, organisation, role) in [
            ("anna", "o", Role::Owner),
            ("bert", "o", Role::Owner),
            ("carl", "o", Role::Dispatcher),
            ("dora", "p", Role::Owner),
        ] {
            catalog.apply(user(id, organisation, role));
        }
        let by = Actor::User {
            user: "anna".parse().expect("an id"),
            organisation: "o".parse().expect("an id"),
            via: Access::Password,
            address: None,
        };
        let demotion = user("bert", "o", Role::Viewer);
        for edit in [demotion.clone(), removal("bert")] {
            assert_eq!(catalog.owners_leaving(std::slice::from_ref(&edit)).len(), 1);
            assert!(!catalog.is_left_without_owner(&by, &[edit]), "anna is still there");
        }
        for edit in [user("bert", "o", Role::Owner), user("eve", "o", Role::Viewer), removal("carl"), removal("nobody")] {
            assert!(catalog.owners_leaving(&[edit]).is_empty());
        }
        assert!(catalog.is_left_without_owner(&by, &[demotion.clone(), removal("anna")]), "both at once");
        catalog.apply(demotion);
        for edit in [user("anna", "o", Role::Dispatcher), removal("anna")] {
            assert!(catalog.is_left_without_owner(&by, std::slice::from_ref(&edit)), "dora is of another organisation");
            assert!(!catalog.is_left_without_owner(&Actor::CommandLine, &[edit]));
        }
        assert!(!catalog.is_left_without_owner(&by, &[removal("carl")]));
    }
}
