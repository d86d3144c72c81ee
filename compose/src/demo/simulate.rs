//! The demo's vehicles: an hour of history at once, then real time over real sockets.

use super::drive::{City, Vehicle};
use super::sockets::Sockets;
use super::world::Member;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use smol_str::SmolStr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use waystream_domain::{Position, Timestamp};

/// In history a report comes every so many periods: half the rows, and still a smooth trail.
const HISTORY_EVERY: i64 = 2;
/// Positions handed on at a time.
const BATCH: usize = 4096;

/// A vehicle with its entry in the catalog.
pub struct Simulated {
    member: Member,
    vehicle: Vehicle,
    /// Up to when it has been driven.
    time: Timestamp,
}

/// Drives all vehicles from `from` to `to` on all processors and hands their reports on in order per device. Blocks.
pub fn drive_history(
    city: &Arc<City>,
    members: Vec<Member>,
    (from, to): (Timestamp, Timestamp),
    reports: &mpsc::Sender<Vec<Position>>,
) -> Vec<Simulated> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = members.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let parts: Vec<_> = members
            .chunks(share)
            .map(|part| {
                let reports = reports.clone();
                scope.spawn(move || {
                    let mut batch = Vec::with_capacity(BATCH);
                    let mut driven = Vec::with_capacity(part.len());
                    for member in part {
                        let vehicle = Vehicle::new(Arc::clone(city), member.seed, member.home);
                        let mut one = Simulated { member: member.clone(), vehicle, time: from };
                        one.drive_through(to, &mut batch, &reports);
                        driven.push(one);
                    }
                    // The receiver is gone only when the program stops.
                    drop(reports.blocking_send(batch));
                    driven
                })
            })
            .collect();
        parts.into_iter().flat_map(|part| part.join().expect("driving does not panic")).collect()
    })
}

impl Simulated {
    fn drive_through(&mut self, to: Timestamp, batch: &mut Vec<Position>, reports: &mpsc::Sender<Vec<Position>>) {
        let period_ms = self.member.period_ms * HISTORY_EVERY;
        while to.millis_since(self.time) > period_ms {
            self.advance(self.time.plus_millis(period_ms));
            batch.push(self.position());
            if batch.len() == BATCH && reports.blocking_send(std::mem::take(batch)).is_err() {
                return;
            }
        }
        self.advance(to);
    }

    fn advance(&mut self, to: Timestamp) {
        self.vehicle.step(to.millis_since(self.time).max(0) as f64 / 1000.0);
        self.time = to;
    }

    fn position(&mut self) -> Position {
        let fix = self.vehicle.fix(self.time);
        Position {
            device: self.member.device.id.clone(),
            fleet: self.member.device.fleet.clone(),
            fix_time: fix.fix_time,
            // A report needs a moment to come in.
            received_at: fix.fix_time.plus_millis(300),
            location: fix.location,
            valid: fix.valid,
            altitude_m: fix.altitude_m,
            speed_mps: fix.speed_mps,
            course_deg: fix.course_deg,
            accuracy_m: fix.accuracy_m,
            protocol: SmolStr::new_static(self.member.reporting.protocol()),
            attributes: fix.attributes,
        }
    }

    /// Reports at its jittered period until cancelled. What a report waits for its answer makes the next one later, not lost.
    async fn report(mut self, sockets: Sockets) {
        let mut tracker = sockets.tracker(self.member.reporting, &self.member.device.id);
        let mut rng = StdRng::seed_from_u64(self.member.seed ^ 1);
        // Spread over a whole period, so that vehicles do not report in step.
        let mut due = Instant::now() + millis(rng.random_range(0..self.member.period_ms));
        loop {
            sleep_until(due).await;
            self.advance(crate::now());
            let fix = self.vehicle.fix(self.time);
            if let Err(refused) = tracker.deliver(&[fix]).await {
                tracing::warn!(device = %self.member.device.id, %refused, "a simulated vehicle gives up");
                return;
            }
            let period_ms = self.member.period_ms;
            due = (due + millis(rng.random_range(period_ms * 9 / 10..period_ms * 11 / 10))).max(Instant::now());
        }
    }
}

/// Lets all vehicles report in real time until cancelled.
pub async fn report_live(vehicles: Vec<Simulated>, sockets: Sockets, cancel: CancellationToken) {
    let mut running = JoinSet::new();
    for vehicle in vehicles {
        running.spawn(cancel.clone().run_until_cancelled_owned(vehicle.report(sockets.clone())));
    }
    while running.join_next().await.is_some() {}
}

fn millis(ms: i64) -> Duration {
    Duration::from_millis(ms.max(0).unsigned_abs())
}
