//! Whether a device speaks from two places at once: two senders that live under one identifier take it from each other by turns.
//!
//! A tracker that comes from another address has changed its network, and a phone may soon be back at the first. But who comes
//! back three times within ten minutes is not moving. Addresses of the network count, not ports: connections of one device, or of
//! many behind one operator's address, are one place.

use crate::faults::Source;
use crate::ingest::Ingest;
use crate::senders::Senders;
use crate::{metrics, now};
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tracing::warn;
use waystream_domain::{Attributes, DeviceId, Event, EventId, EventKind, LatLon, codec};
use waystream_log::{Record, Topic};

/// What lies further back is forgotten, and a device is told of once in it.
const WINDOW: Duration = Duration::from_secs(10 * 60);
/// So many times a device has to come back to where it was.
const RETURNS: usize = 3;
/// Places of a device that are remembered.
const MAX_PLACES: usize = 8;
/// Devices of which the last place is remembered, and at most twice as many.
const MAX_DEVICES: usize = 32_768;
/// Devices that have changed their place lately; of further ones nothing is told.
const MAX_CONTESTS: usize = 4_096;
/// Label of what is told here about the log.
const LABEL: &str = "contest";

/// From where devices speak.
#[derive(Debug)]
pub(crate) struct Contests(Mutex<Places>);

#[derive(Debug)]
struct Places {
    /// Where each was last, and when.
    last: Senders<DeviceId, (IpAddr, Instant)>,
    contests: HashMap<DeviceId, Contest>,
    /// When over ones were last let go.
    tidied: Instant,
}

/// A device that has changed its place.
#[derive(Debug)]
struct Contest {
    /// Where it was, and when it was last seen to leave there; the latest last.
    left: VecDeque<(IpAddr, Instant)>,
    /// When it came back to one of them.
    returns: VecDeque<Instant>,
    changed: Instant,
    told: Option<Instant>,
}

/// Notes that a device that may report has spoken, for datagrams and requests each time, for connections when they begin; tells it
/// if two do so by turns: metric, log, event. `came`: when what it said came; `seen`: where it says it is.
pub(crate) async fn heard(ingest: &Ingest, source: Source<'_>, device: &DeviceId, came: Instant, seen: Option<LatLon>) {
    let Some(peer) = source.peer else { return };
    let address = peer.ip().to_canonical();
    let Some(other) = ingest.contests().heard(device, address, came) else { return };
    let protocol = source.protocol;
    metrics::contested(protocol);
    warn!(protocol, %device, %address, %other, "device speaks from two places at once");
    let Some(fleet) = ingest.fleet_of(device) else { return };
    let at = now();
    let mut attributes = Attributes::default();
    attributes.set("address", address.to_string().as_str());
    attributes.set("other_address", other.to_string().as_str());
    attributes.set("protocol", protocol);
    let kind = EventKind::DeviceContested;
    let event = Event {
        id: EventId::of(device, None, kind, at),
        kind,
        device: device.clone(),
        fleet,
        geofence: None,
        geofence_version: None,
        fix_time: at,
        received_at: at,
        location: seen.unwrap_or(LatLon::NULL_ISLAND),
        revises: None,
        retracted: false,
        attributes,
    };
    let key = Bytes::copy_from_slice(device.as_str().as_bytes());
    let record = Record::new(key, codec::encode_event(&event));
    // The device has done nothing for which it should not be answered. If it goes on it is told again.
    if let Err(error) = ingest.append(LABEL, Topic::Events, vec![record]).await {
        warn!(%device, %error, "event lost: device speaks from two places at once");
    }
}

impl Default for Contests {
    fn default() -> Self {
        let now = Instant::now();
        let last = Senders::new(MAX_DEVICES, WINDOW, now);
        Self(Mutex::new(Places { last, contests: HashMap::new(), tidied: now }))
    }
}

impl Contests {
    /// A device speaks from here now. The other place, if that is to be told.
    fn heard(&self, device: &DeviceId, address: IpAddr, now: Instant) -> Option<IpAddr> {
        // At worst a panic elsewhere has forgotten where a device was.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).heard(device, address, now)
    }
}

impl Places {
    fn heard(&mut self, device: &DeviceId, address: IpAddr, now: Instant) -> Option<IpAddr> {
        let before = self.last.take(device, now);
        if let Some((place, came)) = before
            && came > now
        {
            // It came before what was said of it last: datagrams wait for the log side by side.
            self.last.remember(device.clone(), (place, came), came);
            return None;
        }
        self.last.remember(device.clone(), (address, now), now);
        let (before, _) = before.filter(|(before, _)| *before != address)?;
        if now.saturating_duration_since(self.tidied) >= WINDOW {
            self.contests.retain(|_, contest| is_recent(contest.changed, now));
            self.tidied = now;
        }
        if self.contests.len() >= MAX_CONTESTS && !self.contests.contains_key(device) {
            return None;
        }
        let contest = self.contests.entry(device.clone()).or_insert_with(|| Contest {
            left: VecDeque::new(),
            returns: VecDeque::new(),
            changed: now,
            told: None,
        });
        contest.is_told(before, address, now).then_some(before)
    }
}

impl Contest {
    /// The device has gone from `before` to `address`. Whether that is to be told.
    fn is_told(&mut self, before: IpAddr, address: IpAddr, now: Instant) -> bool {
        self.changed = now;
        self.left.retain(|(place, at)| *place != before && is_recent(*at, now));
        self.returns.retain(|at| is_recent(*at, now));
        if self.left.iter().any(|(place, _)| *place == address) {
            self.returns.push_back(now);
        }
        self.left.push_back((before, now));
        if self.left.len() > MAX_PLACES {
            self.left.pop_front();
        }
        if self.returns.len() > RETURNS {
            self.returns.pop_front();
        }
        let is_told = self.returns.len() >= RETURNS && self.told.is_none_or(|told| !is_recent(told, now));
        if is_told {
            self.told = Some(now);
        }
        is_told
    }
}

fn is_recent(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) < WINDOW
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const A: u8 = 1;
    const B: u8 = 2;

    fn place(n: u8) -> IpAddr {
        IpAddr::from([198, 51, 100, n])
    }

    /// When it is told, of one device that is heard from these places, so many seconds after the first.
    fn told(heard: impl IntoIterator<Item = (u64, u8)>) -> Vec<(u64, IpAddr)> {
        let (contests, start, device) = (Contests::default(), Instant::now(), DeviceId::new("356307042441013").unwrap());
        let told = |(second, from)| {
            let other = contests.heard(&device, place(from), start + Duration::from_secs(second))?;
            Some((second, other))
        };
        heard.into_iter().filter_map(told).collect()
    }

    /// `from` by turns, every `step` seconds.
    fn by_turns(from: &[u8], step: u64, times: u64) -> impl Iterator<Item = (u64, u8)> {
        (0..times).map(move |n| (n * step, from[n as usize % from.len()]))
    }

    #[test]
    fn two_senders_by_turns_are_told_once_in_ten_minutes_as_long_as_it_lasts() {
        assert_eq!(told(by_turns(&[A, B], 10, 5)), [(40, place(B))]);
        assert_eq!(told(by_turns(&[A, A, A, B, B], 10, 20)), [(100, place(B))]);
        let hour: Vec<u64> = told(by_turns(&[A, B], 10, 361)).into_iter().map(|(second, _)| second).collect();
        assert_eq!(hour, [40, 640, 1_240, 1_840, 2_440, 3_040]);
        // Three of them.
        assert_eq!(told(by_turns(&[A, B, 3], 10, 20)).len(), 1);
    }

    #[test]
    fn who_changes_its_network_is_not_told() {
        assert!(told(by_turns(&[A], 1, 10_000)).is_empty());
        assert!(told([(0, A), (10, B), (20, B)]).is_empty());
        // Between Wi-Fi and mobile data, and back again.
        assert!(told([(0, A), (10, B), (20, A), (30, B)]).is_empty());
        // Somebody who drives, always under another address.
        assert!(told((0..1_000).map(|n| (n * 10, (n % 200) as u8))).is_empty());
        // At home and at work, for years: each change hours after the last.
        assert!(told(by_turns(&[A, B], 6 * 3_600, 2_000)).is_empty());
        // So slowly that three do not fall into ten minutes.
        assert!(told(by_turns(&[A, B], 301, 1_000)).is_empty());
    }

    #[test]
    fn what_came_together_may_be_served_in_any_order() {
        // From A until 9 s, from then on from B; the log was away meanwhile.
        assert!(told([(9, A), (10, B), (3, A), (12, B), (1, A), (15, B), (8, A), (13, B), (16, B)]).is_empty());
    }

    #[test]
    fn an_address_is_the_same_in_both_its_forms() {
        let mapped: IpAddr = "::ffff:198.51.100.1".parse().unwrap();
        assert_eq!(mapped.to_canonical(), place(A));
    }

    #[test]
    fn devices_are_told_apart_and_cannot_fill_the_memory() {
        let (mut places, now) = (Contests::default().0.into_inner().unwrap(), Instant::now());
        for n in 0..3 * MAX_DEVICES {
            let device = DeviceId::new(n.to_string()).unwrap();
            assert_eq!(places.heard(&device, place(A), now), None);
            assert_eq!(places.heard(&device, place(B), now), None);
        }
        assert_eq!(places.contests.len(), MAX_CONTESTS);
        // When all that is over, nothing of it is held.
        let later = now + WINDOW;
        let device = DeviceId::new("another").unwrap();
        places.heard(&device, place(A), later);
        places.heard(&device, place(B), later);
        assert_eq!(places.contests.len(), 1);
    }

    /// When it is to be told, looked up in all that was ever heard.
    fn to_be_told(heard: &[(u64, u8)]) -> Vec<u64> {
        let changes = heard.windows(2).filter(|pair| pair[0].1 != pair[1].1);
        let changes: Vec<(u64, u8, u8)> = changes.map(|pair| (pair[1].0, pair[0].1, pair[1].1)).collect();
        let is_return = |i: usize| {
            let (at, _, to) = changes[i];
            changes[..i].iter().any(|&(then, left, _)| left == to && at - then < WINDOW.as_secs())
        };
        let mut told: Vec<u64> = Vec::new();
        for (i, &(at, _, _)) in changes.iter().enumerate() {
            let returns = (0..=i).filter(|&j| at - changes[j].0 < WINDOW.as_secs() && is_return(j)).count();
            if returns >= RETURNS && told.last().is_none_or(|last| at - last >= WINDOW.as_secs()) {
                told.push(at);
            }
        }
        told
    }

    proptest! {
        #[test]
        fn what_is_told_is_what_all_that_was_heard_says(steps in prop::collection::vec((0u64..400, 0u8..4), 1..60)) {
            let mut second = 0;
            let heard: Vec<(u64, u8)> = steps.into_iter().map(|(after, from)| { second += after; (second, from) }).collect();
            let seconds: Vec<u64> = told(heard.clone()).into_iter().map(|(second, _)| second).collect();
            prop_assert_eq!(seconds, to_be_told(&heard));
        }
    }
}
