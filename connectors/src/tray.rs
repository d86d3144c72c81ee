//! What is noted of devices that are refused, so that their owners can adopt them: entries of the catalog, as the gateway that
//! shows them may be another process.
//!
//! Identifiers can be made up, thousands a second. So one device is written at most every ten minutes, of new ones a few a
//! second, and nobody waits for it: what is beyond that is only counted, as a fault.

use crate::ingest::BY;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use waystream_domain::{
    Catalog, CatalogEdit, CatalogEntry, CatalogKey, DeviceId, FleetId, MAX_UNKNOWN_DEVICES, Timestamp, UnknownDevice,
};
use waystream_log::catalog::CatalogHandle;

/// A device is written again after so long.
const AGAIN_MS: u64 = 10 * 60 * 1_000;
/// So many that were not in the tray are written in a second.
const NEW_PER_SECOND: u32 = 5;
/// Devices of which this process remembers when it wrote them: more than come into the tray in [`AGAIN_MS`].
const MAX_NOTED: usize = 4_096;
/// Forms of an id that are kept; decoders tell one or two.
const MAX_ALIASES: usize = 4;
/// Who came more than once within so long keeps trying.
const DAY_MS: i64 = 24 * 3_600 * 1_000;
/// Devices that wait to be written; further ones are dropped.
const WAITING: usize = 64;

/// A message of a device that was refused.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refused<'a> {
    pub(crate) device: &'a DeviceId,
    pub(crate) aliases: &'a [DeviceId],
    /// Where the device would be if it had been accepted.
    pub(crate) fleet: &'a FleetId,
    pub(crate) protocol: &'static str,
    pub(crate) address: Option<IpAddr>,
    pub(crate) at: Timestamp,
}

/// Takes notes of who was refused.
#[derive(Default)]
pub(crate) struct Tray(Option<Inner>);

struct Inner {
    catalog: CatalogHandle,
    notes: Mutex<Notes>,
    to_write: mpsc::Sender<UnknownDevice>,
}

/// Writes what [`Tray`] has noted.
pub(crate) struct Writer {
    catalog: CatalogHandle,
    noted: mpsc::Receiver<UnknownDevice>,
}

impl Tray {
    /// A tray in this catalog. The default is none: nothing is noted.
    pub(crate) fn of(catalog: CatalogHandle) -> (Self, Writer) {
        let (to_write, noted) = mpsc::channel(WAITING);
        let inner = Inner { catalog: catalog.clone(), notes: Mutex::default(), to_write };
        (Self(Some(inner)), Writer { catalog, noted })
    }

    /// Notes it, if it is time to; never waits for more than a look-up.
    pub(crate) fn note(&self, refused: &Refused<'_>) {
        let Some(inner) = &self.0 else { return };
        if !is_plain(refused.device.as_str()) {
            return;
        }
        let shared = inner.catalog.shared();
        let to_write = {
            // Catalog edits are applied whole, so what a panicked writer left is still a catalog.
            let catalog = shared.read().unwrap_or_else(PoisonError::into_inner);
            // Of a fleet that does not exist nobody is the owner.
            if !catalog.fleets.contains_key(refused.fleet) {
                return;
            }
            let known = catalog.unknown_devices.get(refused.device).map(AsRef::as_ref);
            // Notes are whole between any two of their statements, so a panic elsewhere does not spoil them.
            inner.notes.lock().unwrap_or_else(PoisonError::into_inner).take(refused, known)
        };
        if let Some(device) = to_write {
            // With so many waiting this one can wait too: it is noted again when it speaks after AGAIN_MS.
            drop(inner.to_write.try_send(device));
        }
    }
}

impl Writer {
    /// Writes until the stop.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            let mut devices = Vec::new();
            let count = tokio::select! {
                () = stop.cancelled() => return,
                count = self.noted.recv_many(&mut devices, WAITING) => count,
            };
            if count == 0 {
                return;
            }
            let shared = self.catalog.shared();
            let edits = {
                let catalog = shared.read().unwrap_or_else(PoisonError::into_inner);
                edits(&catalog, devices)
            };
            if let Err(error) = self.catalog.edit(BY, edits).await {
                warn!(%error, devices = count, "refused devices not written down");
            }
        }
    }
}

/// The devices into the catalog, and out of it who has to give way: those that the catalog knows by now, then those that came once
/// or have long been silent, the oldest first. So made-up identifiers drive out each other, not a tracker that keeps trying.
fn edits(catalog: &Catalog, devices: Vec<UnknownDevice>) -> Vec<CatalogEdit> {
    let is_written = |id: &DeviceId| devices.iter().any(|device| device.id == *id);
    let others = catalog.unknown_devices.values().filter(|known| !is_written(&known.id));
    let mut others: Vec<&UnknownDevice> = others.map(AsRef::as_ref).collect();
    let too_many = (others.len() + devices.len()).saturating_sub(MAX_UNKNOWN_DEVICES);
    if too_many > 0 {
        let now = devices.iter().map(|device| device.last_seen).max();
        let keeps_trying = |other: &UnknownDevice| {
            other.times > 1 && now.is_some_and(|now: Timestamp| now.millis_since(other.last_seen) < DAY_MS)
        };
        others.sort_by_key(|other| (!catalog.devices.contains_key(&other.id), keeps_trying(other), other.last_seen));
    }
    others.truncate(too_many);
    let gone = others.into_iter().map(|other| CatalogEdit::Remove(CatalogKey::UnknownDevice(other.id.clone())));
    gone.chain(devices.into_iter().map(|device| CatalogEdit::Put(CatalogEntry::UnknownDevice(device)))).collect()
}

/// Whether people can read it as it is: an identifier that hides characters, or turns what stands beside it, is made to deceive.
fn is_plain(id: &str) -> bool {
    let hides = |c: char| {
        c.is_control()
            || matches!(c,
                // Without width, or blank though they count as letters.
                '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
                // Of direction and of lines.
                | '\u{61c}' | '\u{2028}'..='\u{202e}' | '\u{2065}'..='\u{206f}'
                // Of private use, of tags, and nothing at all.
                | '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{10ffff}')
    };
    !id.chars().any(hides)
}

/// When which device was written by this process.
#[derive(Debug, Default)]
struct Notes {
    devices: HashMap<DeviceId, Written>,
    /// Since 1970.
    second: i64,
    new_in_second: u32,
}

#[derive(Debug)]
struct Written {
    at: Timestamp,
    /// How often it was refused since.
    since: u64,
}

impl Written {
    fn is_recent(&self, now: Timestamp) -> bool {
        is_recent(self.at, now)
    }
}

/// Also of a time to come: a clock may have been put back.
fn is_recent(at: Timestamp, now: Timestamp) -> bool {
    now.millis_since(at).unsigned_abs() < AGAIN_MS
}

impl Notes {
    /// What is to be written of a device now, if anything. `known`: what the tray has of it.
    fn take(&mut self, refused: &Refused<'_>, known: Option<&UnknownDevice>) -> Option<UnknownDevice> {
        let now = refused.at;
        if known.is_some_and(|known| known.dismissed) {
            return None;
        }
        if let Some(written) = self.devices.get_mut(refused.device)
            && written.is_recent(now)
        {
            written.since += 1;
            return None;
        }
        // Written lately by another process, or by an earlier run of this one.
        if let Some(known) = known.filter(|known| is_recent(known.last_seen, now)) {
            self.remember(refused.device, Written { at: known.last_seen, since: 1 }, now);
            return None;
        }
        if known.is_none() && !self.one_more_is_new(now) {
            return None;
        }
        let since = self.devices.get(refused.device).map_or(0, |written| written.since);
        if !self.remember(refused.device, Written { at: now, since: 0 }, now) {
            return None;
        }
        Some(UnknownDevice {
            id: refused.device.clone(),
            aliases: refused.aliases.iter().take(MAX_ALIASES).cloned().collect(),
            fleet: refused.fleet.clone(),
            protocol: refused.protocol.into(),
            address: refused.address,
            first_seen: known.map_or(now, |known| known.first_seen),
            last_seen: now,
            times: known.map_or(0, |known| known.times) + since + 1,
            dismissed: false,
        })
    }

    /// Whether there was room for it.
    fn remember(&mut self, device: &DeviceId, written: Written, now: Timestamp) -> bool {
        if self.devices.len() >= MAX_NOTED && !self.devices.contains_key(device) {
            self.devices.retain(|_, written| written.is_recent(now));
        }
        let has_room = self.devices.len() < MAX_NOTED || self.devices.contains_key(device);
        if has_room {
            self.devices.insert(device.clone(), written);
        }
        has_room
    }

    fn one_more_is_new(&mut self, now: Timestamp) -> bool {
        let second = now.as_millis().div_euclid(1_000);
        if second != self.second {
            (self.second, self.new_in_second) = (second, 0);
        }
        self.new_in_second += u32::from(self.new_in_second <= NEW_PER_SECOND);
        self.new_in_second <= NEW_PER_SECOND
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use waystream_domain::catalog::Device;

    const MINUTE_MS: i64 = 60_000;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(1_750_000_000_000 + ms).unwrap()
    }

    fn hear(notes: &mut Notes, device: &str, ms: i64, known: Option<&UnknownDevice>) -> Option<UnknownDevice> {
        let (device, fleet) = (device.parse().unwrap(), "north".parse().unwrap());
        let address = Some(IpAddr::from([203, 0, 113, 7]));
        let refused = Refused { device: &device, aliases: &[], fleet: &fleet, protocol: "gt06", address, at: at(ms) };
        notes.take(&refused, known)
    }

    #[test]
    fn a_device_is_written_once_in_ten_minutes_with_how_often_it_came() {
        let mut notes = Notes::default();
        let first = hear(&mut notes, "a", 0, None).unwrap();
        assert_eq!((first.times, first.first_seen, first.last_seen), (1, at(0), at(0)));
        for minute in 1..10 {
            assert_eq!(hear(&mut notes, "a", minute * MINUTE_MS, Some(&first)), None);
        }
        let second = hear(&mut notes, "a", 10 * MINUTE_MS, Some(&first)).unwrap();
        assert_eq!((second.times, second.first_seen, second.last_seen), (11, at(0), at(10 * MINUTE_MS)));
        // Another process doesn't write it either, but counts.
        let mut other = Notes::default();
        assert_eq!(hear(&mut other, "a", 12 * MINUTE_MS, Some(&second)), None);
        assert_eq!(hear(&mut other, "a", 20 * MINUTE_MS, Some(&second)).unwrap().times, 13);
        // Whom its owners don't want to see isn't written at all.
        let dismissed = UnknownDevice { dismissed: true, ..second };
        assert_eq!(hear(&mut Notes::default(), "a", 60 * MINUTE_MS, Some(&dismissed)), None);
    }

    #[test]
    fn a_flood_of_made_up_identifiers_costs_a_few_writes_a_second_and_no_more_memory() {
        let mut notes = Notes::default();
        let mut written = 0;
        for second in 0..1_200 {
            for n in 0..20 {
                let id = format!("{second}-{n}");
                written += usize::from(hear(&mut notes, &id, second * 1_000 + n, None).is_some());
            }
            assert!(notes.devices.len() <= MAX_NOTED);
        }
        assert_eq!(written, 1_200 * NEW_PER_SECOND as usize);
    }

    #[test]
    fn the_tray_stays_small_and_the_oldest_give_way() {
        let mut catalog = Catalog::default();
        let mut notes = Notes::default();
        let mut write = |catalog: &mut Catalog, id: &str, ms: i64, times: u64| {
            let device = UnknownDevice { times, ..hear(&mut notes, id, ms, None).unwrap() };
            edits(catalog, vec![device]).into_iter().for_each(|edit| catalog.apply(edit));
            assert!(catalog.unknown_devices.len() <= MAX_UNKNOWN_DEVICES);
        };
        let has = |catalog: &Catalog, id: &str| catalog.unknown_devices.contains_key(&id.parse::<DeviceId>().unwrap());
        for n in 0..1_050 {
            write(&mut catalog, &n.to_string(), n * 1_000, 1);
        }
        assert_eq!(catalog.unknown_devices.len(), MAX_UNKNOWN_DEVICES);
        assert!(!has(&catalog, "49") && has(&catalog, "50") && has(&catalog, "1049"));
        // One that has been adopted goes first.
        let (id, fleet) = ("500".parse().unwrap(), "north".parse().unwrap());
        catalog.apply(CatalogEdit::Put(CatalogEntry::Device(Device { id, fleet, name: "Van".into() })));
        write(&mut catalog, "new", 2_000_000, 1);
        assert!(!has(&catalog, "500") && has(&catalog, "50"));
        // Who keeps trying is not driven out by those who come once, unless it has been silent for a day.
        write(&mut catalog, "patient", 2_001_000, 12);
        for n in 0..1_100 {
            write(&mut catalog, &format!("flood-{n}"), 2_002_000 + n * 1_000, 1);
        }
        assert!(has(&catalog, "patient") && !has(&catalog, "new") && !has(&catalog, "flood-0"));
        write(&mut catalog, "later", 2_001_000 + DAY_MS, 1);
        assert!(!has(&catalog, "patient") && has(&catalog, "later"));
    }

    #[test]
    fn identifiers_that_deceive_the_eye_are_not_shown() {
        for plain in ["356307042441013", "jane/phone", "Müller's Wagen 7", "東京-1"] {
            assert!(is_plain(plain), "{plain}");
        }
        for hostile in ["a\u{202e}b", "a\u{200b}b", "\u{2066}x", "a\u{feff}", "\u{e0041}", "\u{3164}", "a\u{7}"] {
            assert!(!is_plain(hostile), "{hostile:?}");
        }
    }
}
