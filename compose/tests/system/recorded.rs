//! Recorded devices that report as trackers, each under an IMEI of its own, and the events that must come of it.

use crate::common::{TruthEvent, shared, truth};
use std::collections::{BTreeMap, BTreeSet};
use waystream::demo::playback::Tracks;
use waystream_connectors::protocol::Fix;
use waystream_domain::{DeviceId, Timestamp};

/// Whole devices of recorded sets.
pub(crate) struct Recorded {
    /// By IMEI, in the order of the recording.
    pub(crate) tracks: BTreeMap<DeviceId, Vec<Fix>>,
    names: BTreeMap<DeviceId, String>,
    expected: BTreeSet<TruthEvent>,
}

impl Recorded {
    /// Devices of these sets, of each set until there are at least so many positions.
    pub(crate) fn read(sets: &[(&str, usize)]) -> Self {
        let (mut tracks, mut names, mut expected) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        for (set, enough) in sets {
            let mut positions = 0;
            let mut taken = BTreeSet::new();
            for (device, fixes) in Tracks::read(&[shared(&format!("data/tracks/{set}.csv.gz"))]).unwrap().devices {
                if positions < *enough {
                    positions += fixes.len();
                    let imei = DeviceId::new(format!("{:015}", names.len())).unwrap();
                    names.insert(imei.clone(), device.to_string());
                    tracks.insert(imei, fixes);
                    taken.insert(device.to_string());
                }
            }
            // Whole devices, so the truth of each is known.
            expected.extend(truth(set).unwrap().into_iter().filter(|(device, ..)| taken.contains(device)));
        }
        Self { tracks, names, expected }
    }

    /// How many positions are reported.
    pub(crate) fn positions(&self) -> usize {
        self.tracks.values().map(Vec::len).sum()
    }

    /// What must be in history, once each.
    pub(crate) fn rows(&self) -> BTreeSet<(DeviceId, Timestamp)> {
        self.tracks.iter().flat_map(|(imei, fixes)| fixes.iter().map(|fix| (imei.clone(), fix.fix_time))).collect()
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
