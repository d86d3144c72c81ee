//! Recorded devices that report as trackers, each under an IMEI of its own, and the events that must come of it.

use crate::common::{System, TruthEvent, add_districts, shared, truth};
use crate::rival;
use futures::TryStreamExt;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use waystream::demo::playback::Tracks;
use waystream::history::Selection;
use waystream::trackers::Tracker;
use waystream::trackers::teltonika::Teltonika;
use waystream_connectors::protocol::Fix;
use waystream_domain::{CatalogEntry, DeviceId, Timestamp};
use waystream_sql::output::Format;

/// Nothing takes so long unless it never ends.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);
/// Without an answer for so long nobody is answered any more.
pub(crate) const SILENCE: Duration = Duration::from_secs(3);

/// Devices that are another organisation's.
const RIVALS: usize = 2;

/// Whole devices of recorded sets; a few of them are another organisation's, which has no geofences.
pub(crate) struct Recorded {
    /// By IMEI, in the order of the recording.
    pub(crate) tracks: BTreeMap<DeviceId, Vec<Fix>>,
    rivals: BTreeSet<DeviceId>,
    names: BTreeMap<DeviceId, String>,
    expected: BTreeSet<TruthEvent>,
}

impl Recorded {
    /// Devices of these sets, of each set until there are at least so many positions.
    pub(crate) fn read(sets: &[(&str, usize)]) -> Self {
        let (mut tracks, mut names, mut expected) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        let mut rivals = BTreeSet::new();
        for (set, enough) in sets {
            let mut positions = 0;
            let mut taken = BTreeSet::new();
            for (device, fixes) in Tracks::read(&[shared(&format!("data/tracks/{set}.csv.gz"))]).unwrap().devices {
                let is_rival = rivals.len() < RIVALS;
                if !is_rival && positions >= *enough {
                    continue;
                }
                let imei = DeviceId::new(format!("{:015}", names.len())).unwrap();
                names.insert(imei.clone(), device.to_string());
                if is_rival {
                    rivals.insert(imei.clone());
                } else {
                    positions += fixes.len();
                    taken.insert(device.to_string());
                }
                tracks.insert(imei, fixes);
            }
            // Whole devices, so the truth of each is known.
            expected.extend(truth(set).unwrap().into_iter().filter(|(device, ..)| taken.contains(device)));
        }
        Self { tracks, rivals, names, expected }
    }

    /// What has to be in the catalog before they report.
    pub(crate) fn catalog(&self) -> Vec<CatalogEntry> {
        rival::entries(&self.rivals)
    }

    /// Puts into the catalog of a system that runs what has to be there before they report in Warsaw: its districts, and whose they are.
    pub(crate) async fn introduce_to(&self, system: &System) {
        add_districts(system).await;
        system.remote().add(self.catalog()).await.unwrap();
    }

    /// How many positions are reported.
    pub(crate) fn positions(&self) -> usize {
        self.tracks.values().map(Vec::len).sum()
    }

    /// What must be in history, once each, of the organisation that the system begins with.
    pub(crate) fn own_rows(&self) -> BTreeSet<(DeviceId, Timestamp)> {
        let mut rows = self.rows();
        rows.retain(|(device, _)| !self.rivals.contains(device));
        rows
    }

    /// Whether a device is one of these. Others may be there too: bytes that mean nothing may be a position by chance, of a device that
    /// nobody has, as not every protocol has a checksum.
    pub(crate) fn has(&self, device: &DeviceId) -> bool {
        self.tracks.contains_key(device)
    }

    /// What must be in history, once each, of whatever organisation.
    pub(crate) fn rows(&self) -> BTreeSet<(DeviceId, Timestamp)> {
        self.tracks.iter().flat_map(|(imei, fixes)| fixes.iter().map(|fix| (imei.clone(), fix.fix_time))).collect()
    }

    /// Panics unless a system that has answered all of it has each position once in its history, and told what it had to.
    pub(crate) async fn check_in(&self, system: &System) {
        let remote = system.remote();
        remote.settle().await.unwrap();
        let mut stored = BTreeSet::new();
        let mut batches = std::pin::pin!(remote.positions(&Selection::default()).await.unwrap());
        while let Some(batch) = batches.try_next().await.unwrap() {
            for position in batch {
                if !self.has(&position.device) {
                    continue;
                }
                let key = (position.device, position.fix_time);
                assert!(!stored.contains(&key), "{key:?} is in history twice");
                stored.insert(key);
            }
        }
        let sent = self.own_rows();
        let differ: Vec<_> = stored.symmetric_difference(&sent).take(5).collect();
        assert!(
            differ.is_empty(),
            "{} positions sent, {} in history, among those that differ {differ:?}",
            sent.len(),
            stored.len()
        );

        let query = "SELECT device, geofence, kind, fix_time FROM events WHERE kind IN ('enter', 'exit') AND NOT retracted";
        let csv = String::from_utf8(remote.ask(query, Format::Csv).await.unwrap()).unwrap();
        self.check(crate::common::events(&csv).unwrap());
        self.check_rival(system).await;
        system.check_memory();
    }

    /// Panics unless the other organisation is told of its own devices and of no others, once all of it has been answered.
    pub(crate) async fn check_rival(&self, system: &System) {
        let mut positions = BTreeMap::new();
        for (device, _) in self.rows() {
            *positions.entry(device).or_insert(0) += 1;
        }
        positions.retain(|device, _| self.rivals.contains(device));
        rival::check(system, &positions).await;
    }

    /// Panics unless these events, by IMEI, are the ground truth and each is told once.
    pub(crate) fn check(&self, events: Vec<TruthEvent>) {
        let count = events.len();
        let events: BTreeSet<TruthEvent> = events
            .into_iter()
            .map(|(imei, fence, kind, time)| (self.names[&DeviceId::new(imei).unwrap()].clone(), fence, kind, time))
            .collect();
        assert_eq!(events.len(), count, "an event is told twice");
        let missing: Vec<_> = self.expected.difference(&events).take(5).collect();
        let wrong: Vec<_> = events.difference(&self.expected).take(5).collect();
        assert!(missing.is_empty() && wrong.is_empty(), "missing: {missing:?}, wrong: {wrong:?}");
    }
}

/// Recorded devices that report, and how far they are.
pub(crate) struct Reporting {
    trackers: JoinSet<()>,
    answered: Arc<AtomicUsize>,
    progress: Arc<Notify>,
}

impl Reporting {
    /// Each device sends its fixes in packets of so many.
    pub(crate) fn start(recorded: &Recorded, server: SocketAddr, records_per_packet: usize) -> Self {
        let (answered, progress) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let mut trackers = JoinSet::new();
        for (imei, fixes) in recorded.tracks.clone() {
            let (answered, progress) = (Arc::clone(&answered), Arc::clone(&progress));
            let mut tracker = Tracker::Teltonika(Teltonika::new(server, imei.as_str()));
            trackers.spawn(async move {
                for packet in fixes.chunks(records_per_packet) {
                    tracker.deliver(packet).await.unwrap();
                    answered.fetch_add(packet.len(), Ordering::SeqCst);
                    progress.notify_one();
                }
            });
        }
        Self { trackers, answered, progress }
    }

    /// Positions that have been answered.
    pub(crate) fn answered(&self) -> usize {
        self.answered.load(Ordering::SeqCst)
    }

    /// Until so many are.
    pub(crate) async fn until(&self, positions: usize) {
        let reached = async {
            while self.answered() < positions {
                self.progress.notified().await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, reached).await;
        assert!(in_time.is_ok(), "{} of {positions} answered, and no more", self.answered());
    }

    /// Until nobody has been answered for a while.
    pub(crate) async fn until_silence(&self) {
        while tokio::time::timeout(SILENCE, self.progress.notified()).await.is_ok() {}
    }

    /// All of them have been answered.
    pub(crate) async fn end(self) {
        self.trackers.join_all().await;
    }
}
