//! Trips and stops: what a device's positions, one after the other, say about its journeys.

use crate::{Attributes, EventKind, Fix, LatLon, Timestamp, haversine_m};

/// When a device counts as moving or stopped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TripRules {
    /// A device that has gone farther than this from where it stopped is on a trip, metres.
    pub leave_m: f64,
    /// A device on a trip that stays within `leave_m` for this long has stopped, milliseconds.
    pub stop_after_ms: i64,
    /// Silence longer than this ends a trip, milliseconds: nobody knows what happened meanwhile.
    pub gap_ms: i64,
}

impl Default for TripRules {
    fn default() -> Self {
        Self { leave_m: 200.0, stop_after_ms: 180_000, gap_ms: 3_600_000 }
    }
}

/// What a device is doing.
#[derive(Debug, Clone, PartialEq)]
pub enum Motion {
    /// It stands.
    Stopped {
        /// Where it came to a stop; it may have moved a little since.
        at: LatLon,
    },
    /// It is on a trip.
    Moving(Trip),
}

/// A trip that has not ended yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Trip {
    /// Fix time of the last position before it left.
    pub started_at: Timestamp,
    /// Length so far, metres: sum of great-circle distances from position to fix.
    pub distance_m: f64,
    /// Highest speed reported so far, metres per second.
    pub max_speed_mps: Option<f32>,
    /// Where it would have stopped, if it turns out to have.
    pub pause: Pause,
}

/// A place that a moving device has not left by more than [`TripRules::leave_m`] yet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pause {
    /// Where.
    pub at: LatLon,
    /// Since this fix time.
    pub since: Timestamp,
    /// Length of the trip up to here, metres.
    pub distance_m: f64,
}

/// A trip has begun or ended.
#[derive(Debug, Clone, PartialEq)]
pub struct TripEvent {
    /// [`EventKind::TripStart`] or [`EventKind::TripEnd`].
    pub kind: EventKind,
    /// `started_at`; at the end also `ended_at`, `duration_s`, `distance_m`, `max_speed_mps`, and `reason = "gap"` after silence.
    pub attributes: Attributes,
}

impl Motion {
    /// Before anything is known about a device: it stands where it is first seen.
    pub const fn first(fix: &Fix) -> Self {
        Self::Stopped { at: fix.location }
    }

    /// Takes in the fix that follows `previous`.
    pub fn advance(&mut self, previous: &Fix, fix: &Fix, rules: &TripRules) -> Option<TripEvent> {
        let silent = fix.fix_time.millis_since(previous.fix_time) > rules.gap_ms;
        match self {
            _ if silent => match std::mem::replace(self, Self::first(fix)) {
                Self::Stopped { .. } => None,
                Self::Moving(trip) => Some(trip.end(previous.fix_time, trip.distance_m, Some("gap"))),
            },
            Self::Stopped { at } => {
                if haversine_m(*at, fix.location) <= rules.leave_m {
                    return None;
                }
                let trip = Trip {
                    started_at: previous.fix_time,
                    distance_m: 0.0,
                    max_speed_mps: None,
                    pause: Pause { at: fix.location, since: fix.fix_time, distance_m: 0.0 },
                };
                let started_at = trip.started_at.to_string();
                *self = Self::Moving(trip.go_on(previous, fix, rules));
                Some(TripEvent {
                    kind: EventKind::TripStart,
                    attributes: [("started_at", started_at.as_str())].into_iter().collect(),
                })
            }
            Self::Moving(trip) => {
                let trip = trip.clone().go_on(previous, fix, rules);
                let Pause { at, since, distance_m } = trip.pause;
                if fix.ignition == Some(false) {
                    *self = Self::first(fix);
                    return Some(trip.end(fix.fix_time, trip.distance_m, None));
                }
                if fix.fix_time.millis_since(since) >= rules.stop_after_ms {
                    *self = Self::Stopped { at };
                    return Some(trip.end(since, distance_m, None));
                }
                *self = Self::Moving(trip);
                None
            }
        }
    }
}

impl Trip {
    fn go_on(mut self, previous: &Fix, fix: &Fix, rules: &TripRules) -> Self {
        self.distance_m += haversine_m(previous.location, fix.location);
        self.max_speed_mps = match (self.max_speed_mps, fix.speed_mps) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
        if haversine_m(self.pause.at, fix.location) > rules.leave_m || self.pause.since == fix.fix_time {
            self.pause = Pause { at: fix.location, since: fix.fix_time, distance_m: self.distance_m };
        }
        self
    }

    fn end(&self, ended_at: Timestamp, distance_m: f64, reason: Option<&str>) -> TripEvent {
        let mut attributes = Attributes::default();
        attributes.set("started_at", self.started_at.to_string().as_str());
        attributes.set("ended_at", ended_at.to_string().as_str());
        attributes.set("duration_s", ended_at.millis_since(self.started_at) as f64 / 1000.0);
        attributes.set("distance_m", (distance_m * 10.0).round() / 10.0);
        if let Some(speed) = self.max_speed_mps {
            attributes.set("max_speed_mps", f64::from(speed));
        }
        if let Some(reason) = reason {
            attributes.set("reason", reason);
        }
        TripEvent { kind: EventKind::TripEnd, attributes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AttributeValue;

    /// A position every `seconds` that many metres north of the first; `None` speed.
    fn journey(fixes: &[(i64, f64)]) -> Vec<String> {
        let fix = |&(seconds, metres): &(i64, f64)| Fix {
            fix_time: Timestamp::from_secs(seconds).expect("time"),
            // A degree of latitude on the mean sphere has 111,195.08 m.
            location: LatLon::new(48.0 + metres / 111_195.08, 9.0).expect("place"),
            speed_mps: Some(seconds as f32),
            ignition: None,
        };
        let fixes: Vec<Fix> = fixes.iter().map(fix).collect();
        let mut motion = Motion::first(&fixes[0]);
        let mut told = Vec::new();
        for pair in fixes.windows(2) {
            if let Some(event) = motion.advance(&pair[0], &pair[1], &TripRules::default()) {
                let value = |name: &str| match event.attributes.get(name) {
                    Some(AttributeValue::Float(v)) => format!("{v:.0}"),
                    Some(AttributeValue::Text(text)) => text[14..].trim_end_matches(".000Z").to_owned(),
                    _ => "-".to_owned(),
                };
                let seconds = pair[1].fix_time.as_millis() / 1000;
                told.push(match event.kind {
                    EventKind::TripEnd => {
                        format!("{seconds}: end {} {} m {} s", value("ended_at"), value("distance_m"), value("duration_s"))
                    }
                    _ => format!("{seconds}: start {}", value("started_at")),
                });
            }
        }
        told
    }

    #[test]
    fn a_trip_starts_when_the_stop_is_left_and_ends_where_it_stops() {
        let there_and_wait = [
            (0, 0.0),
            (60, 10.0),
            (120, 150.0),
            (180, 900.0),
            (240, 2000.0),
            (300, 2050.0),
            (360, 2000.0),
            (420, 2010.0),
            (900, 2000.0),
        ];
        // Left after the fix at 120 s; stood from 240 s on, which shows after 180 s.
        assert_eq!(journey(&there_and_wait), ["180: start 02:00", "420: end 04:00 1850 m 120 s"]);
    }

    #[test]
    fn noise_of_a_parked_vehicle_is_no_trip() {
        let parked: Vec<(i64, f64)> = (0..200).map(|i| (i * 30, f64::from(i as i32 % 7) * 20.0)).collect();
        assert!(journey(&parked).is_empty());
    }

    #[test]
    fn a_traffic_light_does_not_end_a_trip() {
        let waiting =
            [(0, 0.0), (30, 500.0), (60, 1000.0), (90, 1010.0), (150, 1010.0), (230, 1010.0), (239, 1300.0), (300, 2000.0)];
        assert_eq!(journey(&waiting), ["30: start 00:00"]);
    }

    #[test]
    fn an_hour_of_silence_ends_a_trip_where_it_was_last_seen() {
        let silent = [(0, 0.0), (30, 500.0), (60, 1000.0), (4000, 90_000.0), (4030, 90_100.0), (4060, 91_000.0)];
        assert_eq!(journey(&silent), ["30: start 00:00", "4000: end 01:00 1000 m 60 s", "4060: start 07:10"]);
    }
}
