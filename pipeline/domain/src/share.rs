//! Links by which somebody without an account sees one vehicle, live and for a while. Shown once, kept as hashes.

use crate::scram::Key;
use crate::token::{TokenSecret, hex, sha256};
use crate::{Catalog, CatalogEdit, CatalogEntry, CatalogKey, DeviceId, OrganisationId, ShareLinkId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Begins every secret: people and programs that look for leaked ones know it, and nobody takes it for an API token.
const PREFIX: &str = "wshare_";
/// Open links of one vehicle.
const MAX_OF_DEVICE: usize = 50;
/// Open links of one organisation: the catalog is held in memory by every process.
const MAX_OF_ORGANISATION: usize = 1_000;
/// Links that are over and are cleared away with one edit.
const CLEARED: usize = 1_000;

/// A way to see one vehicle from now until an end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShareLink {
    /// Its key. The secret begins with it.
    pub id: ShareLinkId,
    /// Whose vehicle. It opens nothing once the vehicle is another's.
    pub organisation: OrganisationId,
    /// Which.
    pub device: DeviceId,
    /// What who opens it sees in place of the vehicle's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Who made it, and so knows it: it goes with its maker.
    pub made_by: UserId,
    /// When it was made: it shows no way from before.
    pub created_at: Timestamp,
    /// Opens nothing from then on.
    pub expires_at: Timestamp,
    /// SHA-256 of the secret: the log never holds it. The secret is random, so a fast hash is enough.
    pub sha256: Key,
}

/// What a link is made from.
#[derive(Debug, Clone)]
pub struct NewShareLink {
    /// Whose vehicle.
    pub organisation: OrganisationId,
    /// Which.
    pub device: DeviceId,
    /// In place of the vehicle's name.
    pub label: Option<String>,
    /// Who makes it.
    pub made_by: UserId,
    /// Now.
    pub created_at: Timestamp,
    /// Opens nothing from then on.
    pub expires_at: Timestamp,
}

impl ShareLink {
    /// The longest that one may be good for, milliseconds.
    pub const LONGEST_MS: i64 = 30 * 24 * 3_600 * 1_000;

    /// Makes one of random bytes: eight name it, thirty-two are secret.
    pub fn issue(new: NewShareLink, random: &[u8; 40]) -> (Self, TokenSecret) {
        let (name, secret) = random.split_at(8);
        let id = ShareLinkId::new(hex(name)).expect("hex digits are an id");
        let text = format!("{PREFIX}{id}_{}", hex(secret));
        let NewShareLink { organisation, device, label, made_by, created_at, expires_at } = new;
        let sha256 = Key::from(sha256(&text));
        let link = Self { id, organisation, device, label, made_by, created_at, expires_at, sha256 };
        (link, TokenSecret::new(text))
    }

    /// Which link a text claims to be of.
    pub fn id_of(text: &str) -> Option<ShareLinkId> {
        ShareLinkId::new(text.strip_prefix(PREFIX)?.split_once('_')?.0).ok()
    }

    /// Whether this is its secret. Hashes are compared, so that the time tells nothing of the secret.
    pub fn is(&self, text: &str) -> bool {
        self.sha256 == Key::from(sha256(text))
    }
}

impl Catalog {
    /// The link of this id, if it opens its vehicle now: its end has not come, the vehicle is there and still its organisation's, and
    /// so is who made it.
    pub fn open_share_link(&self, id: &ShareLinkId, now: Timestamp) -> Option<&Arc<ShareLink>> {
        self.share_links.get(id).filter(|link| self.is_open(link, now))
    }

    fn is_open(&self, link: &ShareLink, now: Timestamp) -> bool {
        let fleet = self.devices.get(&link.device).and_then(|device| self.fleets.get(&device.fleet));
        let maker = self.users.get(&link.made_by);
        now < link.expires_at
            && fleet.is_some_and(|fleet| fleet.organisation == link.organisation)
            && maker.is_some_and(|maker| maker.organisation == link.organisation)
    }

    /// The links that open a vehicle now, in the order in which they end.
    pub fn share_links_of(&self, device: &DeviceId, now: Timestamp) -> Vec<&Arc<ShareLink>> {
        let mut links: Vec<_> =
            self.share_links.values().filter(|link| link.device == *device && self.is_open(link, now)).collect();
        links.sort_by(|a, b| (a.expires_at, &a.id).cmp(&(b.expires_at, &b.id)));
        links
    }

    /// Edits that add a link, and clear away those of its organisation that are over; none if there are too many others.
    pub fn share_edits(&self, link: ShareLink, now: Timestamp) -> Option<Vec<CatalogEdit>> {
        let own = self.share_links.values().filter(|known| known.organisation == link.organisation);
        let (open, over): (Vec<_>, Vec<_>) = own.partition(|known| self.is_open(known, now));
        let of_device = open.iter().filter(|known| known.device == link.device).count();
        if open.len() >= MAX_OF_ORGANISATION || of_device >= MAX_OF_DEVICE {
            return None;
        }
        let mut edits: Vec<_> = over.into_iter().take(CLEARED).map(|known| remove(known)).collect();
        edits.push(CatalogEdit::Put(CatalogEntry::ShareLink(link)));
        Some(edits)
    }

    /// Edits that end all links of an organisation's vehicle: whoever gets one of this name next is another.
    pub fn share_removals(&self, organisation: &OrganisationId, device: &DeviceId) -> Vec<CatalogEdit> {
        let links = self.share_links.values().filter(|link| link.device == *device && link.organisation == *organisation);
        links.map(|link| remove(link)).collect()
    }

    /// Edits that end all links of who made them.
    pub(crate) fn share_removals_of(&self, user: &UserId) -> impl Iterator<Item = CatalogEdit> {
        self.share_links.values().filter(move |link| link.made_by == *user).map(|link| remove(link))
    }
}

fn remove(link: &ShareLink) -> CatalogEdit {
    CatalogEdit::Remove(CatalogKey::ShareLink(link.id.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Device, Fleet, Role, User};
    use crate::codec::{decode_catalog, encode_catalog};

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms).expect("a time")
    }

    fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
        text.parse().expect("an id")
    }

    fn put(catalog: &mut Catalog, entry: CatalogEntry) {
        catalog.apply(CatalogEdit::Put(entry));
    }

    fn fleet(name: &str, organisation: &str) -> CatalogEntry {
        let rules = Default::default();
        CatalogEntry::Fleet(Fleet { id: id(name), organisation: id(organisation), name: name.into(), rules })
    }

    fn van(fleet: &str) -> CatalogEntry {
        CatalogEntry::Device(Device { id: id("van"), fleet: id(fleet), name: "Van".into() })
    }

    fn anna(organisation: &str) -> CatalogEntry {
        let (id, organisation) = (id("anna"), id(organisation));
        CatalogEntry::User(User { id, organisation, role: Role::Dispatcher, password_hash: None, preferences: None })
    }

    fn catalog() -> Catalog {
        let mut catalog = Catalog::default();
        [fleet("north", "ours"), fleet("south", "ours"), fleet("their", "theirs"), van("north"), anna("ours")]
            .into_iter()
            .for_each(|entry| put(&mut catalog, entry));
        catalog
    }

    fn link(expires: i64, random: u8) -> (ShareLink, TokenSecret) {
        let new = NewShareLink {
            organisation: id("ours"),
            device: id("van"),
            label: None,
            made_by: id("anna"),
            created_at: at(0),
            expires_at: at(expires),
        };
        ShareLink::issue(new, &[random; 40])
    }

    #[test]
    fn a_share_link_is_known_by_its_secret_and_does_not_hold_it() {
        let (link, secret) = link(10, 7);
        assert!(secret.as_str().starts_with("wshare_0707070707070707_0707"), "{}", secret.as_str());
        assert_eq!(ShareLink::id_of(secret.as_str()).as_ref(), Some(&link.id));
        assert!(link.is(secret.as_str()) && !link.is("wshare_0707070707070707_07"));
        assert_eq!(crate::ApiToken::id_of(secret.as_str()), None, "it is no API token");
        for wrong in ["", "wshare_", "wshare__x", "wshare_1", "ws_0707070707070707_07"] {
            assert_eq!(ShareLink::id_of(wrong), None, "{wrong}");
        }
        let edit = CatalogEdit::Put(CatalogEntry::ShareLink(link));
        let (key, value) = encode_catalog(&edit);
        assert_eq!(key, "share_link/0707070707070707");
        let kept = String::from_utf8(value.clone().expect("a put has a value")).expect("text");
        assert!(!kept.contains(secret.as_str()) && !format!("{edit:?}{secret:?}").contains(secret.as_str()), "{kept}");
        assert_eq!(decode_catalog(&key, value.as_deref()).expect("decodes"), edit);
    }

    #[test]
    fn it_opens_until_its_end_and_while_vehicle_and_maker_are_its_organisation_s() {
        let mut catalog = catalog();
        let (link, _) = link(10, 1);
        let name = link.id.clone();
        put(&mut catalog, CatalogEntry::ShareLink(link));
        let opens = |catalog: &Catalog| catalog.open_share_link(&name, at(9)).is_some();
        assert!(opens(&catalog) && catalog.open_share_link(&name, at(10)).is_none());
        for (change, still) in [
            (van("south"), true),
            (van("their"), false),
            (van("nowhere"), false),
            (van("north"), true),
            (anna("theirs"), false),
            (anna("ours"), true),
        ] {
            put(&mut catalog, change.clone());
            assert_eq!(opens(&catalog), still, "{change:?}");
        }
        for key in [
            CatalogKey::Device(id("van")),
            CatalogKey::User(id("anna")),
            CatalogKey::ShareLink(name.clone()),
            CatalogKey::Fleet(id("north")),
        ] {
            let mut without = catalog.clone();
            without.apply(CatalogEdit::Remove(key.clone()));
            assert!(!opens(&without), "{key}");
        }
    }

    #[test]
    fn share_links_are_bounded_and_go_with_the_vehicle_and_with_who_made_them() {
        let mut catalog = catalog();
        let add = |catalog: &mut Catalog, expires: i64, random: u8, now: i64| {
            let edits = catalog.share_edits(link(expires, random).0, at(now));
            edits.map(|edits| edits.into_iter().for_each(|edit| catalog.apply(edit))).is_some()
        };
        for n in 0..MAX_OF_DEVICE {
            assert!(add(&mut catalog, 100 + n as i64, n as u8, 0), "{n}");
        }
        assert!(!add(&mut catalog, 500, 200, 99), "too many");
        let ends: Vec<i64> = catalog.share_links_of(&id("van"), at(99)).iter().map(|l| l.expires_at.as_millis()).collect();
        assert!(ends.len() == MAX_OF_DEVICE && ends.is_sorted(), "{ends:?}");
        // Those that are over make room, and go with the next one.
        assert!(add(&mut catalog, 500, 200, 140));
        assert_eq!(catalog.share_links.len(), MAX_OF_DEVICE - 40);

        assert!(catalog.share_removals(&id("theirs"), &id("van")).is_empty());
        assert_eq!(catalog.share_removals(&id("ours"), &id("van")).len(), MAX_OF_DEVICE - 40);
        catalog.user_removal(&id("anna")).into_iter().for_each(|edit| catalog.apply(edit));
        assert!(catalog.share_links.is_empty());
    }
}
