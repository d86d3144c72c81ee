//! What can be set about the dataflow.

use serde::{Deserialize, Serialize};
use waystream_domain::{FuelDrop, Horizon, LinkRules, Rules, TripRules};

/// Settings of [`crate::Dataflow`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataflowConfig {
    /// Threads; each owns whole partitions of `positions`, so more than those are of no use. One folds a million positions a second.
    pub workers: usize,
    /// Length of an epoch, milliseconds: positions of one epoch are concluded and committed together. Shorter is sooner on the map and
    /// costs more fsyncs.
    pub epoch_ms: u64,
    /// Whether events also tell trips and stops (`trip_start`, `trip_end`, `moving`, `stopped`).
    pub trips: bool,
    /// A device has left a stop when it is farther away than this, metres. A fleet may have another value, as of the next two.
    pub leave_m: f64,
    /// It has stopped when it has stayed within `leave_m` for so long, seconds.
    pub stop_after_s: u32,
    /// Longer silence ends a trip, seconds.
    pub gap_s: u32,
    /// Faster than the fleet or a geofence allows is told when it has lasted so long, seconds.
    pub speeding_after_s: u32,
    /// A loss of fuel is told if it is so much of the tank, percent …
    pub fuel_drop_percent: f64,
    /// … or so much, litres …
    pub fuel_drop_l: f64,
    /// … within so long, seconds.
    pub fuel_drop_within_s: u32,
    /// A device that has not been heard for so long is told to be late, seconds; 0: it is not told, nor that it is offline.
    pub late_after_s: u32,
    /// A device that has not been heard for so long is told to be offline, seconds.
    pub offline_after_s: u32,
    /// How late a position may be and still correct what was told: this many of a device's last fixes are remembered (about 5 bytes
    /// each; 0: none) …
    pub late_fixes: usize,
    /// … unless they are older than the newest by more than this, hours …
    pub late_hours: u32,
    /// … or take more memory than this, bytes. Of each device for itself, so that what is told of it does not depend on which others
    /// the same process has: devices whose fixes take most, those on the road, have the shortest memory. Counted in
    /// `waystream_dataflow_horizons_shortened_total`.
    pub late_bytes: usize,
}

impl Default for DataflowConfig {
    fn default() -> Self {
        Self {
            workers: 1,
            epoch_ms: 100,
            trips: true,
            leave_m: 200.0,
            stop_after_s: 180,
            gap_s: 3600,
            speeding_after_s: 0,
            fuel_drop_percent: 10.0,
            fuel_drop_l: 20.0,
            fuel_drop_within_s: 900,
            late_after_s: 120,
            offline_after_s: 600,
            late_fixes: 256,
            late_hours: 24,
            late_bytes: Horizon::default().bytes,
        }
    }
}

impl DataflowConfig {
    /// What the fold is to tell, and how.
    pub(crate) fn rules(&self) -> Rules {
        let ms = |seconds: u32| i64::from(seconds) * 1000;
        let trips = TripRules { leave_m: self.leave_m, stop_after_ms: ms(self.stop_after_s), gap_ms: ms(self.gap_s) };
        let (late_ms, offline_ms) = (ms(self.late_after_s), ms(self.offline_after_s.max(self.late_after_s)));
        // Saturates: nothing loses more than it can say.
        let tenths = |n: f64| (n * 10.0).round() as u16;
        Rules {
            trips: self.trips.then_some(trips),
            link: (late_ms > 0).then_some(LinkRules { late_ms, offline_ms }),
            limit_cm_s: None,
            speeding_after_ms: ms(self.speeding_after_s),
            fuel_drop: FuelDrop {
                percent_tenths: tenths(self.fuel_drop_percent),
                litres_tenths: tenths(self.fuel_drop_l),
                within_ms: ms(self.fuel_drop_within_s),
            },
            horizon: Horizon { fixes: self.late_fixes, age_ms: i64::from(self.late_hours) * 3_600_000, bytes: self.late_bytes },
        }
    }
}
