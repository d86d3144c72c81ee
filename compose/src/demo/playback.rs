//! Plays recorded tracks: every device a tracker of its own, that sends its fixes in the order of the file when they are due.

use super::sockets::Sockets;
use crate::trackers::SendError;
use anyhow::Context;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use waystream_connectors::files::{self, RowFault};
use waystream_connectors::protocol::Fix;
use waystream_domain::{DeviceId, Timestamp};

/// At most so many fixes in one packet: what has piled up while the answer to the one before was on its way.
const MAX_PACKET: usize = 25;

/// A silence of all devices that is longer than this, both as recorded and as played, is left out: no one waits for it.
const LONGEST_SILENCE: (f64, f64) = (120.0, 10.0);

/// What remains of a silence that is left out, played seconds.
const SILENCE_LEFT_S: f64 = 1.0;

/// Recorded tracks, ready to be played.
pub struct Tracks {
    /// Each device's fixes in the order of the files.
    pub devices: BTreeMap<DeviceId, Vec<Fix>>,
    /// Rows that were no fix.
    pub faults: u64,
}

/// How to play them.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Recorded seconds in a second.
    pub speed: f64,
    /// Fixes keep the time they were taken; else each is said to be taken when it is played.
    pub original_times: bool,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Played {
    /// Fixes answered.
    pub answered: AtomicU64,
    /// Fixes that the server refused for good.
    pub refused: AtomicU64,
}

impl Tracks {
    /// Reads track files into memory.
    pub fn read<P: AsRef<Path>>(paths: &[P]) -> anyhow::Result<Self> {
        let mut tracks = Self { devices: BTreeMap::new(), faults: 0 };
        for path in paths {
            let path = path.as_ref();
            let points = files::open(path).with_context(|| format!("could not open {}", path.display()))?;
            for point in points {
                match point {
                    Ok(point) => tracks.devices.entry(point.device).or_default().push(point.fix),
                    Err(RowFault::Row { .. }) => tracks.faults += 1,
                    Err(fault) => return Err(anyhow::Error::from(fault).context(format!("in {}", path.display()))),
                }
            }
        }
        anyhow::ensure!(!tracks.devices.is_empty(), "there is no fix in these files");
        Ok(tracks)
    }

    /// Plays all tracks to their end; every fix is sent until it is answered. Stops early when cancelled.
    pub async fn play(self, sockets: &Sockets, pace: Pace, cancel: &CancellationToken) -> anyhow::Result<Arc<Played>> {
        anyhow::ensure!(pace.speed.is_finite() && pace.speed > 0.0, "the speed has to be more than 0");
        let played = Arc::new(Played::default());
        let times = self.devices.values().flatten().map(|fix| fix.fix_time).collect();
        let timeline = Timeline::new(times, pace.speed);
        let shown_from = (!pace.original_times).then(crate::now);
        let clock = Arc::new(Clock { timeline, start: Instant::now(), shown_from, speed: pace.speed });
        let mut running = JoinSet::new();
        for (device, fixes) in self.devices {
            let tracker = sockets.for_recorded(&device);
            let (cancel, played, clock) = (cancel.clone(), Arc::clone(&played), Arc::clone(&clock));
            running.spawn(async move {
                cancel.run_until_cancelled(play_device(tracker, fixes, &clock, &played)).await.unwrap_or(Ok(()))
            });
        }
        while let Some(ended) = running.join_next().await {
            ended.context("a player failed")??;
        }
        Ok(played)
    }
}

/// Recorded time without the silences in which no device reports: recordings have breaks of hours, and stale fixes days old.
struct Timeline {
    first: Timestamp,
    /// After a shortened silence: the time of the fix that ends it, and how much was left out up to then, milliseconds.
    cuts: Vec<(Timestamp, i64)>,
}

impl Timeline {
    /// Of all times of all devices, in any order, for playing so many recorded seconds in a second.
    fn new(mut times: Vec<Timestamp>, speed: f64) -> Self {
        let (recorded_s, played_s) = LONGEST_SILENCE;
        let longest_silence_ms = (recorded_s.max(played_s * speed) * 1000.0) as i64;
        let silence_left_ms = (SILENCE_LEFT_S * speed * 1000.0) as i64;
        times.sort_unstable();
        let mut left_out = 0;
        let mut cuts = Vec::new();
        for pair in times.windows(2) {
            let silence = pair[1].millis_since(pair[0]);
            if silence > longest_silence_ms {
                left_out += silence - silence_left_ms;
                cuts.push((pair[1], left_out));
            }
        }
        Self { first: times.first().copied().unwrap_or_default(), cuts }
    }

    /// Milliseconds of recording before this time.
    fn millis_into(&self, time: Timestamp) -> i64 {
        let cut = self.cuts.partition_point(|(from, _)| *from <= time).checked_sub(1);
        time.millis_since(self.first) - cut.map_or(0, |i| self.cuts[i].1)
    }
}

/// When a recorded time is due, and what time it is shown as.
struct Clock {
    timeline: Timeline,
    start: Instant,
    /// When playing starts; `None`: times stay as recorded.
    shown_from: Option<Timestamp>,
    speed: f64,
}

impl Clock {
    /// Played seconds until then. A century is as good as never, and within what an Instant can hold.
    fn seconds_into(&self, time: Timestamp) -> f64 {
        (self.timeline.millis_into(time) as f64 / 1000.0 / self.speed).clamp(0.0, 3.15e9)
    }

    fn due(&self, time: Timestamp) -> Instant {
        self.start + Duration::from_secs_f64(self.seconds_into(time))
    }

    fn shown(&self, time: Timestamp) -> Timestamp {
        self.shown_from.map_or(time, |from| from.plus_millis((self.seconds_into(time) * 1000.0) as i64))
    }
}

async fn play_device(
    mut tracker: crate::trackers::Tracker,
    mut fixes: Vec<Fix>,
    clock: &Clock,
    played: &Played,
) -> anyhow::Result<()> {
    // A late fix is sent after those before it in the file, as it was recorded.
    let mut due: Vec<Instant> = fixes.iter().map(|fix| clock.due(fix.fix_time)).collect();
    for i in 1..due.len() {
        due[i] = due[i].max(due[i - 1]);
    }
    for fix in &mut fixes {
        fix.fix_time = clock.shown(fix.fix_time);
    }
    let mut sent = 0;
    while sent < fixes.len() {
        sleep_until(due[sent]).await;
        let ready = due[sent..].partition_point(|at| *at <= Instant::now()).clamp(1, MAX_PACKET);
        match tracker.deliver(&fixes[sent..sent + ready]).await {
            Ok(_) => played.answered.fetch_add(ready as u64, Ordering::Relaxed),
            Err(SendError::Refused(reason)) => {
                tracing::warn!(reason, "a recorded fix was refused");
                played.refused.fetch_add(ready as u64, Ordering::Relaxed)
            }
            Err(lost @ SendError::NoAnswer(_)) => return Err(lost.into()),
        };
        sent += ready;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn long_silences_are_cut_and_every_time_stays_distinct() {
        let at = |s: i64| Timestamp::from_secs(s).unwrap();
        let timeline = Timeline::new([700, 0, 10, 604_800, 604_810].map(at).to_vec(), 1.0);
        let played: Vec<_> = [0, 10, 700, 604_800, 604_810].map(|s| timeline.millis_into(at(s)) / 1000).to_vec();
        assert_eq!(played, [0, 10, 11, 12, 22]);
    }

    #[test]
    fn a_fix_is_shown_as_taken_when_it_is_played() {
        let at = |s: i64| Timestamp::from_secs(s).unwrap();
        let now = at(1_000_000);
        let timeline = Timeline::new([0, 50, 100].map(at).to_vec(), 10.0);
        let clock = Clock { timeline, start: Instant::now(), shown_from: Some(now), speed: 10.0 };
        assert_eq!(clock.shown(at(100)), now.plus_millis(10_000));
        assert_eq!(clock.due(at(100)).duration_since(clock.start), Duration::from_secs(10));
    }
}
