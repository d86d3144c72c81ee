//! Trips and stops: what a device's positions, one after the other, say about its journeys.

use crate::fix::speed_mps;
use crate::{AttributeValue, Attributes, EventKind, Fix, LatLon, MEAN_EARTH_RADIUS_M, Timestamp, haversine_m};

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
    Stopped(Stop),
    /// It is on a trip. Boxed: most devices of a large fleet stand.
    Moving(Box<Trip>),
}

/// A stop that has not ended yet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stop {
    /// Where it came to a stop; it may have moved a little since.
    pub at: LatLon,
    /// Since this fix time.
    pub since: Timestamp,
    /// How long the engine ran meanwhile, milliseconds, if the device knows.
    pub idle_ms: Option<i64>,
}

/// A trip that has not ended yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Trip {
    /// Fix time of the last position before it left.
    pub started_at: Timestamp,
    /// Where that was.
    pub start: LatLon,
    /// What the odometer showed there.
    pub start_odometer_m: Option<u32>,
    /// Up to the last fix.
    pub so_far: Travelled,
    /// Highest speed reported so far, centimetres per second.
    pub max_speed_cm_s: Option<u16>,
    /// Where it would have stopped, if it turns out to have.
    pub pause: Pause,
}

/// Figures of a trip up to some fix.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Travelled {
    /// Metres: sum of great-circle distances from fix to fix.
    pub distance_m: f64,
    /// What the odometer showed last.
    pub odometer_m: Option<u32>,
    /// Milliseconds in motion.
    pub driving_ms: i64,
    /// Milliseconds standing, not long enough to be a stop.
    pub idle_ms: i64,
}

/// A place that a moving device has not left by more than [`TripRules::leave_m`] yet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pause {
    /// Where.
    pub at: LatLon,
    /// Since this fix time.
    pub since: Timestamp,
    /// The trip up to here.
    pub so_far: Travelled,
    /// How long the engine has run since, milliseconds, if the device knows.
    pub engine_ms: Option<i64>,
}

/// Something about trips and stops, by one fix.
pub(crate) type Told = (EventKind, Attributes);

/// Slower than this on average between two fixes counts as standing, metres per second: a walking pace.
const IDLE_MPS: f64 = 1.0;

/// 1e-7 degree of a great circle of the mean sphere, metres.
const E7_M: f64 = MEAN_EARTH_RADIUS_M * std::f64::consts::PI / 180.0 / 1e7;

/// Whether the great circle from one place to the other is no longer than that. Mostly that needs no sines: it is at least as long as
/// the way north, and at most as long as that and the way east along the equator.
fn is_within(a: LatLon, b: LatLon, metres: f64) -> bool {
    let north = f64::from(a.lat_e7().abs_diff(b.lat_e7())) * E7_M;
    let east = f64::from(a.lon_e7().abs_diff(b.lon_e7())) * E7_M;
    // A millionth is more than the rounding of the sines.
    if north * 0.999_999 > metres {
        return false;
    }
    (north + east) * 1.000_001 <= metres || haversine_m(a, b) <= metres
}

impl Motion {
    /// Before anything is known about a device: it stands where it is first seen.
    pub const fn first(fix: &Fix) -> Self {
        Self::Stopped(Stop { at: fix.location, since: fix.fix_time, idle_ms: None })
    }

    /// Takes in the fix that follows `previous`; `cut` if it is the first with the ignition off. What it shows goes to `told`.
    pub(crate) fn advance(&mut self, previous: &Fix, fix: &Fix, cut: bool, rules: &TripRules, told: &mut Vec<Told>) {
        let passed_ms = fix.fix_time.millis_since(previous.fix_time);
        let silent = passed_ms > rules.gap_ms;
        match self {
            Self::Moving(trip) if silent => {
                let end = (previous.fix_time, previous.location);
                // The silence counts as a stop, at the place where it is heard again.
                let stop = Stop { at: fix.location, since: previous.fix_time, idle_ms: None };
                told.push((EventKind::Stopped, stop.begin(Some("gap"))));
                told.push((EventKind::TripEnd, trip.end(end, &trip.so_far, Some("gap"))));
                *self = Self::Stopped(stop);
            }
            Self::Stopped(stop) => {
                if let Some(on) = previous.ignition {
                    *stop.idle_ms.get_or_insert(0) += if on && !silent { passed_ms } else { 0 };
                }
                if is_within(stop.at, fix.location, rules.leave_m) {
                    return;
                }
                told.push((EventKind::Moving, stop.end(previous.fix_time)));
                if silent {
                    // Nobody knows when it left: it was somewhere else when it was heard again.
                    let stop = Stop { at: fix.location, since: fix.fix_time, idle_ms: None };
                    told.push((EventKind::Stopped, stop.begin(Some("gap"))));
                    *self = Self::Stopped(stop);
                    return;
                }
                let so_far = Travelled { odometer_m: previous.odometer_m, ..Travelled::default() };
                let pause = Pause { at: fix.location, since: fix.fix_time, so_far, engine_ms: None };
                let mut trip = Trip {
                    started_at: previous.fix_time,
                    start: previous.location,
                    start_odometer_m: previous.odometer_m,
                    so_far,
                    max_speed_cm_s: None,
                    pause,
                };
                trip.go_on(previous, fix, rules);
                told.push((EventKind::TripStart, trip.begin()));
                *self = Self::Moving(Box::new(trip));
            }
            Self::Moving(trip) => {
                trip.go_on(previous, fix, rules);
                let Pause { at, since, so_far, engine_ms } = trip.pause;
                let (stop, so_far) = if cut {
                    (Stop { at: fix.location, since: fix.fix_time, idle_ms: Some(0) }, trip.so_far)
                } else if fix.fix_time.millis_since(since) >= rules.stop_after_ms {
                    (Stop { at, since, idle_ms: engine_ms }, so_far)
                } else {
                    return;
                };
                told.push((EventKind::Stopped, stop.begin(None)));
                told.push((EventKind::TripEnd, trip.end((stop.since, stop.at), &so_far, None)));
                *self = Self::Stopped(stop);
            }
        }
    }
}

fn text(time: Timestamp) -> AttributeValue {
    AttributeValue::from(time.to_string().as_str())
}

/// To a millimetre or millisecond: no more is known.
fn rounded(n: f64) -> AttributeValue {
    AttributeValue::from((n * 1000.0).round() / 1000.0)
}

fn seconds(ms: i64) -> AttributeValue {
    AttributeValue::from(ms as f64 / 1000.0)
}

fn set_place(attributes: &mut Attributes, lat: &'static str, lon: &'static str, at: LatLon) {
    attributes.set(lat, at.lat_deg());
    attributes.set(lon, at.lon_deg());
}

impl Stop {
    fn begin(&self, reason: Option<&str>) -> Attributes {
        let mut attributes = Attributes::default();
        attributes.set("started_at", text(self.since));
        set_place(&mut attributes, "stop_lat", "stop_lon", self.at);
        if let Some(reason) = reason {
            attributes.set("reason", reason);
        }
        attributes
    }

    fn end(&self, ended_at: Timestamp) -> Attributes {
        let mut attributes = self.begin(None);
        attributes.set("ended_at", text(ended_at));
        attributes.set("duration_s", seconds(ended_at.millis_since(self.since)));
        if let Some(idle_ms) = self.idle_ms {
            attributes.set("idle_s", seconds(idle_ms));
        }
        attributes
    }
}

impl Trip {
    fn go_on(&mut self, previous: &Fix, fix: &Fix, rules: &TripRules) {
        let metres = haversine_m(previous.location, fix.location);
        let passed_ms = fix.fix_time.millis_since(previous.fix_time);
        self.so_far.distance_m += metres;
        self.so_far.odometer_m = fix.odometer_m.or(self.so_far.odometer_m);
        self.start_odometer_m = self.start_odometer_m.or(fix.odometer_m);
        if metres * 1000.0 < IDLE_MPS * passed_ms as f64 {
            self.so_far.idle_ms += passed_ms;
        } else {
            self.so_far.driving_ms += passed_ms;
        }
        // `None` is less than any speed.
        self.max_speed_cm_s = self.max_speed_cm_s.max(fix.speed_cm_s);
        if self.pause.since == fix.fix_time || !is_within(self.pause.at, fix.location, rules.leave_m) {
            self.pause = Pause { at: fix.location, since: fix.fix_time, so_far: self.so_far, engine_ms: None };
        } else if let Some(on) = previous.ignition {
            *self.pause.engine_ms.get_or_insert(0) += if on { passed_ms } else { 0 };
        }
    }

    fn begin(&self) -> Attributes {
        let mut attributes = Attributes::default();
        attributes.set("started_at", text(self.started_at));
        set_place(&mut attributes, "start_lat", "start_lon", self.start);
        attributes
    }

    fn end(&self, (ended_at, end): (Timestamp, LatLon), so_far: &Travelled, reason: Option<&str>) -> Attributes {
        let mut attributes = self.begin();
        attributes.set("ended_at", text(ended_at));
        set_place(&mut attributes, "end_lat", "end_lon", end);
        attributes.set("duration_s", seconds(ended_at.millis_since(self.started_at)));
        attributes.set("distance_m", rounded(so_far.distance_m));
        if let (Some(from), Some(to)) = (self.start_odometer_m, so_far.odometer_m) {
            // An odometer that was set back says nothing.
            if let Some(metres) = to.checked_sub(from) {
                attributes.set("odometer_distance_m", f64::from(metres));
            }
        }
        attributes.set("driving_s", seconds(so_far.driving_ms));
        attributes.set("idle_s", seconds(so_far.idle_ms));
        if let Some(speed) = self.max_speed_cm_s {
            attributes.set("max_speed_mps", speed_mps(speed));
        }
        if let Some(reason) = reason {
            attributes.set("reason", reason);
        }
        attributes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fix(seconds: i64, metres: f64, ignition: Option<bool>) -> Fix {
        Fix {
            fix_time: Timestamp::from_secs(seconds).expect("time"),
            // A degree of latitude on the mean sphere has 111,195.08 m.
            location: LatLon::new(48.0 + metres / 111_195.08, 9.0).expect("place"),
            speed_cm_s: Some(seconds as u16),
            ignition,
            // The wheels know it better.
            odometer_m: Some(1000 + (metres * 1.1) as u32),
            fuel: None,
        }
    }

    /// A line for everything told by fixes at (second, metres north of the first, ignition).
    fn tell(fixes: &[(i64, f64, Option<bool>)]) -> Vec<String> {
        let fixes: Vec<Fix> = fixes.iter().map(|&(seconds, metres, ignition)| fix(seconds, metres, ignition)).collect();
        let mut motion = Motion::first(&fixes[0]);
        let mut lines = Vec::new();
        for pair in fixes.windows(2) {
            let mut told = Vec::new();
            let cut = pair[0].ignition == Some(true) && pair[1].ignition == Some(false);
            motion.advance(&pair[0], &pair[1], cut, &TripRules::default(), &mut told);
            for (kind, attributes) in told {
                let value = |name: &str| match attributes.get(name) {
                    Some(AttributeValue::Float(v)) => format!("{v:.0}"),
                    Some(AttributeValue::Text(text)) => text[14..].trim_end_matches(".000Z").to_owned(),
                    _ => "-".to_owned(),
                };
                let seconds = pair[1].fix_time.as_millis() / 1000;
                lines.push(match kind {
                    EventKind::TripEnd => {
                        let [end, metres, odometer, driving, idle] =
                            ["ended_at", "distance_m", "odometer_distance_m", "driving_s", "idle_s"].map(value);
                        format!("{seconds}: end {end} {metres} m ({odometer} m) driving {driving} s idle {idle} s")
                    }
                    EventKind::Moving => {
                        format!("{seconds}: moving, stood {} s, engine {} s", value("duration_s"), value("idle_s"))
                    }
                    kind => format!("{seconds}: {} {}", kind.as_str(), value("started_at")),
                });
            }
        }
        lines
    }

    fn journey(fixes: &[(i64, f64)]) -> Vec<String> {
        tell(&fixes.iter().map(|&(seconds, metres)| (seconds, metres, None)).collect::<Vec<_>>())
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
        assert_eq!(
            journey(&there_and_wait),
            [
                "180: moving, stood 120 s, engine - s",
                "180: trip_start 02:00",
                "420: stopped 04:00",
                "420: end 04:00 1850 m (2035 m) driving 120 s idle 0 s",
            ]
        );
    }

    #[test]
    fn noise_of_a_parked_vehicle_is_no_trip() {
        let parked: Vec<(i64, f64)> = (0..200).map(|i| (i * 30, f64::from(i as i32 % 7) * 20.0)).collect();
        assert!(journey(&parked).is_empty());
    }

    #[test]
    fn a_traffic_light_does_not_end_a_trip_and_is_idle_time() {
        let waiting = [
            (0, 0.0),
            (30, 500.0),
            (60, 1000.0),
            (90, 1010.0),
            (150, 1010.0),
            (230, 1010.0),
            (239, 1300.0),
            (300, 2000.0),
            (400, 2000.0),
            (500, 2000.0),
        ];
        assert_eq!(
            journey(&waiting)[1..],
            ["30: trip_start 00:00", "500: stopped 05:00", "500: end 05:00 2000 m (2200 m) driving 130 s idle 170 s"]
        );
    }

    #[test]
    fn an_hour_of_silence_ends_a_trip_where_it_was_last_seen() {
        let silent = [(0, 0.0), (30, 500.0), (60, 1000.0), (4000, 90_000.0), (4030, 90_100.0), (4060, 91_000.0)];
        assert_eq!(
            journey(&silent)[1..],
            [
                "30: trip_start 00:00",
                "4000: stopped 01:00",
                "4000: end 01:00 1000 m (1100 m) driving 60 s idle 0 s",
                "4060: moving, stood 3970 s, engine - s",
                "4060: trip_start 07:10",
            ]
        );
        // A parked vehicle that is somewhere else after the silence has moved, but made no trip that anybody saw.
        assert_eq!(
            journey(&[(0, 0.0), (60, 0.0), (9000, 5000.0)]),
            ["9000: moving, stood 60 s, engine - s", "9000: stopped 30:00"]
        );
    }

    #[test]
    fn the_ignition_ends_a_trip_at_once_and_tells_how_long_the_engine_ran_at_a_stop() {
        let (on, off) = (Some(true), Some(false));
        let drive = [
            (0, 0.0, off),
            (100, 0.0, on),
            (160, 0.0, on),
            (190, 500.0, on),
            (220, 1000.0, on),
            (230, 1000.0, off),
            (400, 1000.0, off),
        ];
        assert_eq!(
            tell(&drive),
            [
                "190: moving, stood 160 s, engine 90 s",
                "190: trip_start 02:40",
                "230: stopped 03:50",
                "230: end 03:50 1000 m (1100 m) driving 60 s idle 10 s",
            ]
        );
        // A wire that always says off neither keeps trips from being seen nor cuts them up.
        let wrong: Vec<_> = (0..20).map(|i| (i * 30, i as f64 * 400.0, off)).collect();
        assert_eq!(tell(&wrong).len(), 2);
    }
}
