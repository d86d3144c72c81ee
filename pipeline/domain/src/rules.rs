//! What is told and how: settings for all, and what a fleet has otherwise.

use crate::fix::speed_cm_s;
use crate::{Horizon, TripRules};
use serde::{Deserialize, Serialize};

/// What the fold tells, and how, for the devices of one fleet.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rules {
    /// Trips and stops are told if there are rules for them.
    pub trips: Option<TripRules>,
    /// Silence is told if there are rules for it.
    pub link: Option<LinkRules>,
    /// Too fast is faster than this, centimetres per second, wherever the device is; geofences may allow less.
    pub limit_cm_s: Option<u16>,
    /// Speeding counts when it has lasted this long, milliseconds.
    pub speeding_after_ms: i64,
    /// Which loss of fuel is told.
    pub fuel_drop: FuelDrop,
    /// How late a fix may be and still correct the past.
    pub horizon: Horizon,
}

/// When a silent device is told to be late and offline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkRules {
    /// Not heard for this long, milliseconds.
    pub late_ms: i64,
    /// More than `late_ms`.
    pub offline_ms: i64,
}

/// Which loss of fuel is told: that much within that time. An engine burns less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FuelDrop {
    /// Tenths of a percent of the tank.
    pub percent_tenths: u16,
    /// Tenths of a litre.
    pub litres_tenths: u16,
    /// Milliseconds.
    pub within_ms: i64,
}

impl Default for FuelDrop {
    fn default() -> Self {
        Self { percent_tenths: 100, litres_tenths: 200, within_ms: 15 * 60_000 }
    }
}

/// What a fleet has otherwise than the others.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FleetRules {
    /// See [`TripRules::leave_m`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leave_m: Option<f64>,
    /// Seconds; see [`TripRules::stop_after_ms`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_after_s: Option<u32>,
    /// Seconds; see [`TripRules::gap_ms`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap_s: Option<u32>,
    /// Faster than this is speeding, metres per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed_limit_mps: Option<f32>,
}

impl FleetRules {
    /// Whether the fleet is like the others.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The rules of trips, where the others have these.
    pub fn trips(&self, others: TripRules) -> TripRules {
        let ms = |seconds: Option<u32>, otherwise| seconds.map_or(otherwise, |s| i64::from(s) * 1000);
        TripRules {
            leave_m: self.leave_m.unwrap_or(others.leave_m),
            stop_after_ms: ms(self.stop_after_s, others.stop_after_ms),
            gap_ms: ms(self.gap_s, others.gap_ms),
        }
    }

    /// Checked.
    ///
    /// # Errors
    /// What is out of range, in words.
    pub fn check(&self) -> Result<(), String> {
        // NaN is in no range.
        if self.leave_m.is_some_and(|m| !(1.0..=100_000.0).contains(&m)) {
            return Err("leave_m is not between 1 and 100000".into());
        }
        if self.stop_after_s.is_some_and(|s| !(1..=86_400).contains(&s)) {
            return Err("stop_after_s is not between 1 and 86400".into());
        }
        if self.gap_s.is_some_and(|s| !(1..=30 * 86_400).contains(&s)) {
            return Err("gap_s is not between 1 and 2592000".into());
        }
        if self.speed_limit_mps.is_some_and(|mps| !(mps > 0.0 && mps <= 655.0)) {
            return Err("speed_limit_mps is not between 0 and 655".into());
        }
        Ok(())
    }
}

/// Another number whenever the fold tells something else from the same fixes: what was told before can't be compared then.
const TELLING: u64 = 2;

impl Rules {
    /// For a fleet.
    pub(crate) fn of(&self, fleet: &FleetRules) -> Self {
        let mut rules = *self;
        rules.trips = rules.trips.map(|trips| fleet.trips(trips));
        rules.limit_cm_s = fleet.speed_limit_mps.and_then(speed_cm_s).or(rules.limit_cm_s);
        rules
    }

    /// Differs for rules by which the same fixes tell something else; the same in every build.
    pub(crate) fn print(&self) -> u32 {
        let trips = self.trips.map_or([0; 3], |t| [t.leave_m.to_bits(), t.stop_after_ms as u64, t.gap_ms as u64]);
        let FuelDrop { percent_tenths, litres_tenths, within_ms } = self.fuel_drop;
        let others = [
            u64::from(self.trips.is_some()) | self.limit_cm_s.map_or(0, |l| 2 | u64::from(l) << 2),
            self.speeding_after_ms as u64,
            u64::from(percent_tenths) << 16 | u64::from(litres_tenths),
            within_ms as u64,
            TELLING,
        ];
        // FNV-1a's way of mixing, a word at a time.
        let mixed = trips.iter().chain(&others).fold(0xcbf2_9ce4_8422_2325_u64, |h, n| {
            let h = (h ^ n).wrapping_mul(0x0100_0000_01b3);
            h ^ (h >> 29)
        });
        (mixed ^ (mixed >> 32)) as u32
    }
}
