//! A whole city's recorded buses through the sockets as fast as they are answered: no position is lost.

use crate::common::{System, settings, shared};
use futures::TryStreamExt;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use tokio_util::sync::CancellationToken;
use waystream::demo::playback::{Pace, Tracks};
use waystream::demo::sockets::Sockets;
use waystream::history::Selection;
use waystream_domain::DeviceId;

#[tokio::test(flavor = "multi_thread")]
async fn every_recorded_position_of_warsaws_buses_arrives() {
    let folder = tempfile::tempdir().unwrap();
    let system = System::start(folder.path(), &settings(&[])).unwrap();
    every_position_arrives(&system, "data/tracks/warsaw_bus.csv.gz").await;
}

/// Plays a track through the sockets of a system whose history is empty, and reads it back; gives the number of positions.
pub(crate) async fn every_position_arrives(system: &System, track: &str) -> usize {
    let sockets = Sockets::new(system.address("teltonika"), system.address("osmand"), system.address("mqtt"));

    let mut tracks = Tracks::read(&[shared(track)]).unwrap();
    // Of fifty buses one keeps its name and reports over HTTP, a request a fix; the others get IMEIs, and packets.
    let device = |(n, bus): (usize, DeviceId)| match n % 50 {
        0 => bus,
        _ => DeviceId::new(format!("{n:015}")).unwrap(),
    };
    let devices: BTreeMap<_, _> = std::mem::take(&mut tracks.devices)
        .into_iter()
        .enumerate()
        .map(|(n, (bus, fixes))| (device((n, bus)), fixes))
        .collect();
    tracks.devices = devices;
    let mut missing: BTreeSet<_> =
        tracks.devices.iter().flat_map(|(device, fixes)| fixes.iter().map(|fix| (device.clone(), fix.fix_time))).collect();
    let distinct = missing.len();
    let rows: usize = tracks.devices.values().map(Vec::len).sum();

    let pace = Pace { speed: 1e9, original_times: true };
    let played = tracks.play(&sockets, pace, &CancellationToken::new()).await.unwrap();
    assert_eq!(played.refused.load(Ordering::Relaxed), 0);
    assert_eq!(played.answered.load(Ordering::Relaxed), rows as u64);

    let remote = system.remote();
    remote.settle().await.unwrap();
    let mut batches = std::pin::pin!(remote.positions(&Selection::default()).await.unwrap());
    while let Some(batch) = batches.try_next().await.unwrap() {
        for position in batch {
            let key = (position.device, position.fix_time);
            assert!(missing.remove(&key), "{key:?} was never sent, or is in history twice");
        }
    }
    assert!(missing.is_empty(), "{} positions lost, like {:?}", missing.len(), missing.first());
    distinct
}
