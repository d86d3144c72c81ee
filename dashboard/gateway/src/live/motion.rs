//! How a vehicle moves: as it says, or else as its last two fixes tell.

use waystream_domain::{AttributeValue, LatLon, Position, Timestamp, bearing_deg, haversine_m};

/// From this speed on a vehicle moves, unless it says itself whether it does. Receivers at rest report up to about 0.5 m/s.
const MOVING_MPS: f32 = 1.0;

/// Fixes further apart in time don't tell how the vehicle moves now.
const LONGEST_MS: i64 = 600_000;

/// Fixes closer together in space tell nothing: a receiver at rest wanders by some metres.
const SHORTEST_M: f64 = 10.0;

/// Faster than airliners is a jump, not a movement.
const FASTEST_MPS: f64 = 300.0;

/// What is known of a vehicle's movement.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Motion {
    /// Over ground.
    pub(crate) speed_mps: Option<f32>,
    /// Clockwise from true north.
    pub(crate) course_deg: Option<f32>,
    /// Whether it moves at all.
    pub(crate) moving: bool,
}

/// What one fix tells of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told {
    /// When and where.
    pub(crate) at: (Timestamp, LatLon),
    /// Over ground.
    pub(crate) speed_mps: Option<f32>,
    /// Clockwise from true north.
    pub(crate) course_deg: Option<f32>,
    /// Whether it moves, if the tracker says so itself.
    pub(crate) moving: Option<bool>,
}

impl Motion {
    /// At a position, by itself and by the one before it.
    pub(crate) fn at(position: &Position, before: Option<&Position>) -> Self {
        let moving = match position.attributes.get("motion") {
            Some(AttributeValue::Bool(moving)) => Some(*moving),
            _ => None,
        };
        let at = (position.fix_time, position.location);
        let told = Told { at, speed_mps: position.speed_mps, course_deg: position.course_deg, moving };
        Self::of(&told, before.map(|before| (before.fix_time, before.location)))
    }

    /// At a fix, by itself and by when and where the one before it was.
    pub(crate) fn of(told: &Told, before: Option<(Timestamp, LatLon)>) -> Self {
        let (mut speed_mps, mut course_deg) = (told.speed_mps, told.course_deg);
        if let (None, Some((by_fixes, towards))) = (speed_mps, before.and_then(|before| between(before, told.at))) {
            speed_mps = Some(by_fixes);
            course_deg = course_deg.or(towards);
        }
        let moving = told.moving.unwrap_or_else(|| speed_mps.is_some_and(|v| v >= MOVING_MPS));
        Self { speed_mps, course_deg, moving }
    }
}

/// Speed, m/s, and course, degrees, from one fix to the next; no course without a way.
fn between(before: (Timestamp, LatLon), after: (Timestamp, LatLon)) -> Option<(f32, Option<f32>)> {
    let elapsed_ms = after.0.millis_since(before.0);
    if !(1..=LONGEST_MS).contains(&elapsed_ms) {
        return None;
    }
    let way_m = haversine_m(before.1, after.1);
    if way_m < SHORTEST_M {
        return Some((0.0, None));
    }
    let speed_mps = way_m * 1000.0 / elapsed_ms as f64;
    (speed_mps <= FASTEST_MPS).then(|| (speed_mps as f32, Some(bearing_deg(before.1, after.1) as f32)))
}

#[cfg(test)]
mod tests {
    use super::super::board::tests::live;
    use super::*;

    /// A tracker that reports neither speed nor course, some seconds after the start.
    fn silent(second: u64, lat: f64, lon: f64) -> Position {
        Position { speed_mps: None, course_deg: None, ..live("a", "f", second, lat, lon).position }
    }

    #[test]
    fn two_fixes_tell_what_the_tracker_does_not() {
        let (first, second) = (silent(0, 0.0, 0.0), silent(60, 0.0, 0.01));
        assert_eq!(Motion::at(&first, None), Motion::default());
        let motion = Motion::at(&second, Some(&first));
        let speed_mps = motion.speed_mps.expect("two fixes");
        assert!((speed_mps - 18.53).abs() < 0.01, "1,112 m in a minute: {speed_mps}");
        assert_eq!((motion.course_deg, motion.moving), (Some(90.0), true));
    }

    #[test]
    fn what_the_tracker_says_goes_first() {
        let before = silent(0, 0.0, 0.0);
        let mut position = live("a", "f", 60, 0.0, 0.01).position;
        assert_eq!(
            Motion::at(&position, Some(&before)),
            Motion { speed_mps: Some(10.0), course_deg: Some(359.9), moving: true }
        );
        position.attributes.set("motion", false);
        assert!(!Motion::at(&position, Some(&before)).moving);
    }

    #[test]
    fn jitter_jumps_and_long_silences_are_no_movement() {
        let before = silent(10, 0.0, 0.0);
        let moving = |position| Motion::at(&position, Some(&before)).moving;
        assert!(!moving(silent(11, 0.0, 0.000_05)), "six metres");
        assert!(!moving(silent(11, 0.0, 0.01)), "a kilometre in a second");
        assert!(!moving(silent(1_000, 0.0, 0.01)), "a quarter of an hour");
        assert!(!moving(silent(9, 0.0, 0.000_2)), "earlier");
    }
}
