//! Names that everybody shares, of users and of devices: who enters one doesn't see what other organisations have. So what the edits of somebody's
//! people would take from another organisation is refused where the catalog is edited, whatever was looked at before.

use crate::{Actor, Catalog, CatalogEdit, CatalogEntry, DeviceId};

impl Catalog {
    /// What these edits would take from another organisation than that of whoever makes them: the name of a user, or a device that is not being
    /// handed over. Who has a shell, and the program itself, may.
    pub fn taken_from_others(&self, by: &Actor, edits: &[CatalogEdit]) -> Option<String> {
        let Actor::User { organisation, .. } = by else { return None };
        edits.iter().find_map(|edit| match edit {
            CatalogEdit::Put(CatalogEntry::User(user)) => {
                let is_theirs = self.users.get(&user.id).is_some_and(|known| known.organisation != *organisation);
                is_theirs.then(|| format!("the name {}", user.id))
            }
            CatalogEdit::Put(CatalogEntry::Device(device)) => {
                let is_theirs = self.owner_of(&device.id).is_some_and(|owner| owner != organisation);
                (is_theirs && !hand_over(edits, &device.id)).then(|| format!("the device {}", device.id))
            }
            _ => None,
        })
    }
}

/// Whether these edits put a user or a device: whose the name is must be the same when they are written as when it was looked at.
pub fn puts_names(edits: &[CatalogEdit]) -> bool {
    edits.iter().any(|edit| matches!(edit, CatalogEdit::Put(CatalogEntry::User(_) | CatalogEntry::Device(_))))
}

fn hand_over(edits: &[CatalogEdit], device: &DeviceId) -> bool {
    edits.iter().any(|edit| matches!(edit, CatalogEdit::Put(CatalogEntry::Handover(handover)) if handover.device == *device))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Access;
    use crate::catalog::{Device, Fleet, Role, User};
    use crate::transfer::Handover;

    fn fleet(id: &str, organisation: &str) -> CatalogEdit {
        let (id, organisation) = (id.parse().expect("an id"), organisation.parse().expect("an id"));
        CatalogEdit::Put(CatalogEntry::Fleet(Fleet { id, organisation, name: "Vans".into(), rules: Default::default() }))
    }

    fn device(fleet: &str) -> CatalogEdit {
        let (id, fleet) = ("v7".parse().expect("an id"), fleet.parse().expect("an id"));
        CatalogEdit::Put(CatalogEntry::Device(Device { id, fleet, name: "Van".into() }))
    }

    fn user(organisation: &str) -> CatalogEdit {
        let (id, organisation) = ("anna".parse().expect("an id"), organisation.parse().expect("an id"));
        let user = User { id, organisation, role: Role::Viewer, password_hash: None, preferences: None };
        CatalogEdit::Put(CatalogEntry::User(user))
    }

    fn owner_of(organisation: &str) -> Actor {
        let (user, organisation) = ("owner".parse().expect("an id"), organisation.parse().expect("an id"));
        Actor::User { user, organisation, via: Access::Password, address: None }
    }

    #[test]
    fn nobody_takes_a_user_or_a_device_from_another_organisation_by_its_name() {
        let mut catalog = Catalog::default();
        let taken = |catalog: &Catalog, by: &str, edit: CatalogEdit| catalog.taken_from_others(&owner_of(by), &[edit]);
        for (n, edit) in [fleet("ours", "o"), fleet("theirs", "p"), user("o"), device("ours")].into_iter().enumerate() {
            assert_eq!(puts_names(std::slice::from_ref(&edit)), n > 1);
            assert_eq!(taken(&catalog, "o", edit.clone()), None);
            catalog.apply(edit);
        }
        assert_eq!(taken(&catalog, "p", user("p")).as_deref(), Some("the name anna"));
        assert_eq!(taken(&catalog, "p", device("theirs")).as_deref(), Some("the device v7"));
        for edit in [user("o"), device("ours")] {
            assert_eq!(taken(&catalog, "o", edit), None, "its own");
        }
        let handover = Handover { device: "v7".parse().expect("an id"), stays: Vec::new() };
        let handed_over = [CatalogEdit::Put(CatalogEntry::Handover(handover)), device("theirs")];
        assert_eq!(catalog.taken_from_others(&owner_of("p"), &handed_over), None);
        assert_eq!(catalog.taken_from_others(&Actor::CommandLine, &[user("p"), device("theirs")]), None);
    }
}
