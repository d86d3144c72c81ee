//! Devices that go from one organisation to another: the one offers with a code, the other takes with it.

use crate::catalog::Device;
use crate::second_factor::recovery_hash;
use crate::token::{TokenSecret, hex};
use crate::{Catalog, CatalogEdit, CatalogEntry, CatalogKey, DeviceId, FleetId, OrganisationId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// Offers that are over and cleared away with one edit.
const CLEARED: usize = 1_000;

/// A device is offered to whoever has the code. One per device.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// Its key.
    pub device: DeviceId,
    /// Who offers: whose the device is.
    pub organisation: OrganisationId,
    /// Who of them.
    pub by: UserId,
    /// When.
    pub offered_at: Timestamp,
    /// No longer valid from then on.
    pub expires_at: Timestamp,
    /// SHA-256 of the code, hex. It is random, so a fast hash is enough.
    pub code_sha256: String,
    /// Somebody is ending the offer: by taking the device, or by taking the offer back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
}

/// The right to end an offer. The catalog's one order decides who has it, whatever process wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Random: says nothing of who has it.
    pub id: String,
    /// Since when.
    pub at: Timestamp,
}

/// Hashes stay out of logs too.
impl fmt::Debug for Transfer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transfer").field("device", &self.device).field("claim", &self.claim).finish_non_exhaustive()
    }
}

impl Transfer {
    /// An offer can be taken for so long, milliseconds.
    pub const VALID_MS: i64 = 7 * 24 * 3_600_000;
    /// Most open offers of one organisation: the catalog is held in memory by every process.
    pub const MOST: usize = 1_000;
    /// Whoever has a claim and does not end the offer within this time has died over it: the offer is open again.
    pub const CLAIM_MS: i64 = 60_000;

    /// Offers a device, and makes the code for it of random bytes: `0123-4567-89ab-cdef-0123-4567`.
    pub fn offer(
        device: DeviceId,
        organisation: OrganisationId,
        by: UserId,
        now: Timestamp,
        random: &[u8; 12],
    ) -> (Self, TokenSecret) {
        let digits = hex(random);
        let groups: Vec<&str> = (0..6).map(|group| &digits[group * 4..][..4]).collect();
        let code = groups.join("-");
        let (code_sha256, expires_at) = (Self::hash(&code), now.plus_millis(Self::VALID_MS));
        let offer = Self { device, organisation, by, offered_at: now, expires_at, code_sha256, claim: None };
        (offer, TokenSecret::new(code))
    }

    /// Under which hash a code is kept; how it is spaced doesn't matter.
    pub fn hash(code: &str) -> String {
        recovery_hash(code)
    }

    /// The same, about to be ended.
    #[must_use]
    pub fn claimed(&self, claim: Claim) -> Self {
        Self { claim: Some(claim), ..self.clone() }
    }

    /// Whether somebody is about to end it.
    pub fn is_claimed(&self, now: Timestamp) -> bool {
        self.claim.as_ref().is_some_and(|claim| now < claim.at.plus_millis(Self::CLAIM_MS))
    }

    /// Whether `next` comes in the place of this one. Of several who would end an offer the first may; an offer that is open stays
    /// as it is.
    fn gives_way_to(&self, next: &Self) -> bool {
        match &next.claim {
            Some(claim) => next.code_sha256 == self.code_sha256 && !self.is_claimed(claim.at),
            None => {
                let is_over = self.expires_at <= next.offered_at || self.organisation != next.organisation;
                is_over && !self.is_claimed(next.offered_at)
            }
        }
    }
}

/// Who had a device before, so that what it tells late of the time with them is theirs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handover {
    /// Its key.
    pub device: DeviceId,
    /// The first one first.
    pub stays: Vec<Stay>,
}

/// Where a device was, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stay {
    /// The fleet.
    pub fleet: FleetId,
    /// From then on it was another's.
    pub until: Timestamp,
}

impl Handover {
    /// What a device says so long after it was handed over, or of a time so long before it, is told by a clock that is wrong.
    pub const KEPT_MS: i64 = 30 * 24 * 3_600_000;
    /// Remembered of one device.
    const MOST: usize = 8;

    /// The fleet whose history a fix belongs to; none: that of the device as it is now.
    pub fn fleet_at(&self, fix_time: Timestamp, received_at: Timestamp) -> Option<&FleetId> {
        let stay = self.stays.iter().find(|stay| fix_time < stay.until)?;
        let is_late = stay.until.millis_since(fix_time) <= Self::KEPT_MS && stay.is_kept(received_at);
        is_late.then_some(&stay.fleet)
    }
}

impl Stay {
    fn is_kept(&self, now: Timestamp) -> bool {
        now.millis_since(self.until) < Handover::KEPT_MS
    }
}

impl Catalog {
    /// Of edits that contradict each other the first counts, for everybody who reads the catalog. Who ends an offer that isn't there
    /// makes none.
    pub(crate) fn put_transfer(&mut self, next: Transfer) {
        let counts = match self.transfers.get(&next.device) {
            Some(known) => known.gives_way_to(&next),
            None => next.claim.is_none(),
        };
        if counts {
            self.transfers.insert(next.device.clone(), Arc::new(next));
        }
    }

    /// Whose a device of the catalog is.
    pub fn owner_of(&self, device: &DeviceId) -> Option<&OrganisationId> {
        self.fleets.get(&self.devices.get(device)?.fleet).map(|fleet| &fleet.organisation)
    }

    /// The open offers of an organisation.
    pub fn transfers_of<'a>(
        &'a self,
        organisation: &'a OrganisationId,
        now: Timestamp,
    ) -> impl Iterator<Item = &'a Arc<Transfer>> {
        self.transfers.values().filter(move |t| t.organisation == *organisation && self.is_offered(t, now))
    }

    /// The open offer that a code is for, by its hash.
    pub fn transfer_of_code(&self, code_sha256: &str, now: Timestamp) -> Option<&Arc<Transfer>> {
        self.transfers.values().find(|t| t.code_sha256 == code_sha256 && self.is_offered(t, now))
    }

    fn is_offered(&self, transfer: &Transfer, now: Timestamp) -> bool {
        now < transfer.expires_at
            && !transfer.is_claimed(now)
            && self.owner_of(&transfer.device) == Some(&transfer.organisation)
    }

    /// Edits that make an offer, and clear away those of the organisation that are over.
    pub fn offer_edits(&self, offer: Transfer, now: Timestamp) -> Vec<CatalogEdit> {
        let is_over = |t: &&Arc<Transfer>| {
            t.organisation == offer.organisation && t.device != offer.device && !t.is_claimed(now) && !self.is_offered(t, now)
        };
        let over = self.transfers.values().filter(is_over).take(CLEARED);
        let mut edits: Vec<_> = over.map(|t| CatalogEdit::Remove(CatalogKey::Transfer(t.device.clone()))).collect();
        edits.push(CatalogEdit::Put(CatalogEntry::Transfer(offer)));
        edits
    }

    /// Edits by which a device that was offered becomes `to`; none if it is no longer whose it was. Commands that waited go first, as they
    /// were not given by whom it is of now, links by which it is shared end, and so does what it had to show.
    pub fn transfer_edits(&self, offer: &Transfer, to: Device, now: Timestamp) -> Option<Vec<CatalogEdit>> {
        let from = self.devices.get(&offer.device).filter(|from| self.owner_of(&from.id) == Some(&offer.organisation))?;
        let commands =
            self.commands_of(&from.id).map(|c| CatalogEdit::Remove(CatalogKey::Command(from.id.clone(), c.id.clone())));
        let mut edits: Vec<_> = commands.collect();
        edits.extend(self.share_removals(&offer.organisation, &offer.device));
        edits.extend(self.access_removals(&offer.device));
        let over = self.handovers.values().filter(|h| h.device != from.id && !h.stays.iter().any(|stay| stay.is_kept(now)));
        edits.extend(over.take(CLEARED).map(|h| CatalogEdit::Remove(CatalogKey::Handover(h.device.clone()))));
        let mut stays = self.handovers.get(&from.id).map(|known| known.stays.clone()).unwrap_or_default();
        stays.retain(|stay| stay.is_kept(now));
        stays.drain(..stays.len().saturating_sub(Handover::MOST - 1));
        stays.push(Stay { fleet: from.fleet.clone(), until: now });
        edits.push(CatalogEdit::Put(CatalogEntry::Handover(Handover { device: from.id.clone(), stays })));
        edits.push(CatalogEdit::Put(CatalogEntry::Device(to)));
        edits.push(CatalogEdit::Remove(CatalogKey::Transfer(offer.device.clone())));
        Some(edits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ShareLink;
    use crate::catalog::Fleet;
    use crate::codec::{decode_catalog, encode_catalog};
    use crate::command::{Command, Instruction, Progress};
    use crate::scram::Key;

    const DAY_MS: i64 = 24 * 3_600_000;

    fn id<T: std::str::FromStr<Err: fmt::Debug>>(text: &str) -> T {
        text.parse().expect("an id")
    }

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms).expect("a time")
    }

    /// The device `van/1` in the fleet `north` of `ours`; `their` is of `theirs`.
    fn catalog() -> Catalog {
        let mut catalog = Catalog::default();
        for (fleet, organisation) in [("north", "ours"), ("their", "theirs")] {
            let fleet = Fleet { id: id(fleet), organisation: id(organisation), name: fleet.into(), rules: Default::default() };
            catalog.apply(CatalogEdit::Put(CatalogEntry::Fleet(fleet)));
        }
        catalog.apply(CatalogEdit::Put(CatalogEntry::Device(van("north"))));
        catalog
    }

    fn van(fleet: &str) -> Device {
        Device { id: id("van/1"), fleet: id(fleet), name: "Van".into() }
    }

    fn offer(now: Timestamp, random: u8) -> (Transfer, TokenSecret) {
        Transfer::offer(id("van/1"), id("ours"), id("anna"), now, &[random; 12])
    }

    fn put(catalog: &mut Catalog, transfer: &Transfer) {
        catalog.apply(CatalogEdit::Put(CatalogEntry::Transfer(transfer.clone())));
    }

    fn claim(id: &str, ms: i64) -> Claim {
        Claim { id: id.into(), at: at(ms) }
    }

    #[test]
    fn the_code_is_known_however_it_is_written_and_is_not_kept() {
        let (offer, code) = offer(at(0), 0xab);
        assert_eq!(code.as_str(), "abab-abab-abab-abab-abab-abab");
        assert_eq!(Transfer::hash(" ABABABAB abababab-ABABABAB\n"), offer.code_sha256);
        let edit = CatalogEdit::Put(CatalogEntry::Transfer(offer.claimed(claim("x", 5))));
        let (key, value) = encode_catalog(&edit);
        let kept = String::from_utf8(value.clone().expect("a put has a value")).expect("JSON");
        assert!(!kept.contains("abab-abab") && !format!("{edit:?}").contains(&offer.code_sha256), "{kept}");
        assert_eq!((key.as_str(), decode_catalog(&key, value.as_deref()).expect("decodes")), ("transfer/van/1", edit));
        let removal = CatalogEdit::Remove(CatalogKey::Handover(id("van/1")));
        assert_eq!(decode_catalog("handover/van/1", None).expect("decodes"), removal);
    }

    #[test]
    fn an_offer_is_open_for_its_time_and_while_the_device_is_whose_it_was() {
        let mut catalog = catalog();
        let (offer, _) = offer(at(0), 1);
        put(&mut catalog, &offer);
        let open = |catalog: &Catalog, now: i64| {
            let (ours, theirs) = (id("ours"), id("theirs"));
            assert_eq!(catalog.transfers_of(&theirs, at(now)).count(), 0);
            let open = catalog.transfers_of(&ours, at(now)).count() == 1;
            assert_eq!(catalog.transfer_of_code(&offer.code_sha256, at(now)).is_some(), open);
            open
        };
        assert!(open(&catalog, Transfer::VALID_MS - 1) && !open(&catalog, Transfer::VALID_MS));
        assert!(catalog.transfer_of_code(&Transfer::hash("0000"), at(0)).is_none());
        catalog.apply(CatalogEdit::Put(CatalogEntry::Device(van("their"))));
        assert!(!open(&catalog, 1));
        catalog.apply(CatalogEdit::Remove(CatalogKey::Device(id("van/1"))));
        assert!(!open(&catalog, 1));
    }

    #[test]
    fn of_several_who_end_an_offer_the_first_does_and_nobody_for_ever() {
        let mut catalog = catalog();
        let (first, _) = offer(at(0), 1);
        let holder =
            |catalog: &Catalog| catalog.transfers[&id::<DeviceId>("van/1")].claim.as_ref().map(|claim| claim.id.clone());
        // Of an offer that isn't there.
        put(&mut catalog, &first.claimed(claim("early", 0)));
        assert!(catalog.transfers.is_empty());
        put(&mut catalog, &first);
        for (next, had_by) in [
            (first.claimed(claim("a", 10)), "a"),
            (first.claimed(claim("b", 11)), "a"),
            // A new offer doesn't take it away from who has it, nor does another offer's code.
            (offer(at(12), 2).0, "a"),
            (offer(at(12), 2).0.claimed(claim("c", 10 + Transfer::CLAIM_MS)), "a"),
            (first.claimed(claim("d", 9 + Transfer::CLAIM_MS)), "a"),
            (first.claimed(claim("e", 10 + Transfer::CLAIM_MS)), "e"),
        ] {
            put(&mut catalog, &next);
            assert_eq!(holder(&catalog).as_deref(), Some(had_by), "{next:?}");
            assert!(catalog.transfer_of_code(&first.code_sha256, at(20)).is_none());
        }
    }

    #[test]
    fn one_offer_is_open_of_a_device_and_those_that_are_over_go() {
        let mut catalog = catalog();
        let (first, second) = (offer(at(0), 1).0, offer(at(1), 2).0);
        let code = |catalog: &Catalog| catalog.transfers[&id::<DeviceId>("van/1")].code_sha256.clone();
        put(&mut catalog, &first);
        put(&mut catalog, &second);
        assert_eq!(code(&catalog), first.code_sha256);
        let late = offer(at(Transfer::VALID_MS), 3).0;
        put(&mut catalog, &late);
        assert_eq!(code(&catalog), late.code_sha256);
        // What a former owner has offered stands in nobody's way.
        let theirs = Transfer { organisation: id("theirs"), ..offer(at(Transfer::VALID_MS + 1), 4).0 };
        put(&mut catalog, &theirs);
        assert_eq!(code(&catalog), theirs.code_sha256);

        let (other, _) = Transfer::offer(id("van-2"), id("theirs"), id("otto"), at(2 * Transfer::VALID_MS), &[5; 12]);
        let edits = catalog.offer_edits(other.clone(), other.offered_at);
        let cleared = CatalogEdit::Remove(CatalogKey::Transfer(id("van/1")));
        assert_eq!(edits, [cleared, CatalogEdit::Put(CatalogEntry::Transfer(other))]);
    }

    #[test]
    fn what_changes_hands_loses_its_commands_and_links_and_remembers_whose_it_was() {
        let mut catalog = catalog();
        let (offer, _) = offer(at(0), 1);
        put(&mut catalog, &offer);
        catalog.apply(CatalogEdit::Put(CatalogEntry::Command(Command {
            id: id("stop"),
            device: id("van/1"),
            instruction: Instruction::EngineStop,
            by: id("anna"),
            queued_at: at(0),
            expires_at: at(DAY_MS),
            place: None,
            progress: Progress::Queued,
        })));
        catalog.apply(CatalogEdit::Put(CatalogEntry::ShareLink(ShareLink {
            id: id("link"),
            organisation: id("ours"),
            device: id("van/1"),
            label: None,
            made_by: id("anna"),
            created_at: at(0),
            expires_at: at(DAY_MS),
            sha256: Key::try_from("0".repeat(64)).expect("64 hex digits"),
        })));
        let now = at(40 * DAY_MS);
        let edits = catalog.transfer_edits(&offer, van("their"), now).expect("it is ours");
        edits.into_iter().for_each(|edit| catalog.apply(edit));
        assert_eq!(catalog.owner_of(&id("van/1")), Some(&id("theirs")));
        assert!(catalog.transfers.is_empty() && catalog.commands.is_empty() && catalog.share_links.is_empty());
        assert_eq!(catalog.transfer_edits(&offer, van("their"), now), None, "it is no longer ours");

        let handover = catalog.handovers[&id::<DeviceId>("van/1")].clone();
        let fleet_at = |fix: i64, received: i64| handover.fleet_at(at(fix), at(received)).map(FleetId::as_str);
        let (moved, kept) = (40 * DAY_MS, Handover::KEPT_MS);
        assert_eq!(fleet_at(moved - 1, moved + 1), Some("north"));
        assert_eq!((fleet_at(moved, moved + 1), fleet_at(moved + 5, moved + 9)), (None, None));
        // A clock that is wrong.
        assert_eq!((fleet_at(moved - kept, moved + 1), fleet_at(moved - kept - 1, moved + 1)), (Some("north"), None));
        assert_eq!((fleet_at(moved - 1, moved + kept - 1), fleet_at(moved - 1, moved + kept)), (Some("north"), None));

        // And on to the next one, and back.
        let back = Transfer { organisation: id("theirs"), ..offer };
        let edits = catalog.transfer_edits(&back, van("north"), at(moved + 100)).expect("it is theirs");
        edits.into_iter().for_each(|edit| catalog.apply(edit));
        let handover = catalog.handovers[&id::<DeviceId>("van/1")].clone();
        let fleet_at = |fix: i64| handover.fleet_at(at(fix), at(moved + 200)).map(FleetId::as_str);
        assert_eq!(
            [moved - 1, moved, moved + 99, moved + 100].map(fleet_at),
            [Some("north"), Some("their"), Some("their"), None]
        );
        // Long after, it is forgotten.
        let edits = catalog.transfer_edits(&offer_again(), van("their"), at(moved + 2 * kept)).expect("it is ours");
        edits.into_iter().for_each(|edit| catalog.apply(edit));
        assert_eq!(
            catalog.handovers[&id::<DeviceId>("van/1")].stays,
            [Stay { fleet: id("north"), until: at(moved + 2 * kept) }]
        );
    }

    fn offer_again() -> Transfer {
        offer(at(50 * DAY_MS), 9).0
    }
}
