//! Making a fix from what was read: units to SI, ranges checked, nonsense left out.

use crate::protocol::{Fault, FaultKind, Fix};
use crate::vocabulary as name;
use smol_str::{SmolStr, format_smolstr};
use std::fmt::Display;
use waystream_domain::{AttributeValue, Attributes, LatLon, Timestamp, units};

/// A fault of structure.
pub(crate) fn malformed(detail: impl Display) -> Fault {
    Fault::new(FaultKind::Malformed, format_smolstr!("{detail}"))
}

/// Collects one fix in the units that devices use.
#[derive(Debug, Clone, Default)]
pub(crate) struct FixBuilder {
    pub(crate) valid: bool,
    altitude_m: Option<f32>,
    speed_mps: Option<f32>,
    course_deg: Option<f32>,
    accuracy_m: Option<f32>,
    attributes: Attributes,
}

impl FixBuilder {
    pub(crate) fn valid(valid: bool) -> Self {
        Self { valid, ..Self::default() }
    }

    pub(crate) fn altitude_m(&mut self, metres: f64) -> &mut Self {
        self.altitude_m = finite(metres);
        self
    }

    pub(crate) fn speed_kmh(&mut self, kmh: f64) -> &mut Self {
        self.speed_mps = finite(kmh).filter(|v| *v >= 0.0).map(|_| units::mps_from_kmh(kmh));
        self
    }

    pub(crate) fn speed_knots(&mut self, knots: f64) -> &mut Self {
        self.speed_mps = finite(knots).filter(|v| *v >= 0.0).map(|_| units::mps_from_knots(knots));
        self
    }

    /// Whether a speed was told already: for protocols that may tell it twice.
    pub(crate) fn has_speed(&self) -> bool {
        self.speed_mps.is_some()
    }

    /// Whether it tells an alarm.
    pub(crate) fn has_alarm(&self) -> bool {
        self.attributes.iter().any(|(attribute, _)| attribute == name::ALARM)
    }

    pub(crate) fn speed_mps(&mut self, mps: f64) -> &mut Self {
        self.speed_mps = finite(mps).filter(|v| *v >= 0.0);
        self
    }

    /// A full circle counts as north; what is not on the circle is left out.
    pub(crate) fn course_deg(&mut self, degrees: f64) -> &mut Self {
        self.course_deg = finite(degrees).filter(|v| (0.0..=360.0).contains(v)).map(|v| if v == 360.0 { 0.0 } else { v });
        self
    }

    pub(crate) fn accuracy_m(&mut self, metres: f64) -> &mut Self {
        self.accuracy_m = finite(metres).filter(|v| *v >= 0.0);
        self
    }

    /// Sets one attribute: see [`crate::vocabulary`].
    pub(crate) fn set(&mut self, name: impl Into<SmolStr>, value: impl Into<AttributeValue>) -> &mut Self {
        self.attributes.set(name, value);
        self
    }

    /// Sets one attribute, if there is a value.
    pub(crate) fn set_some(&mut self, name: impl Into<SmolStr>, value: Option<impl Into<AttributeValue>>) -> &mut Self {
        if let Some(value) = value {
            self.set(name, value);
        }
        self
    }

    /// Adds the attributes of `other`.
    pub(crate) fn merge(&mut self, other: Self) {
        for (name, value) in other.attributes.iter() {
            self.attributes.set(name, value.clone());
        }
    }

    /// The fix, if its place is one.
    pub(crate) fn at(self, fix_time: Timestamp, lat_deg: f64, lon_deg: f64) -> Result<Fix, Fault> {
        let location = LatLon::new(lat_deg, lon_deg).ok_or_else(|| {
            Fault::new(FaultKind::OutOfRange, format_smolstr!("latitude {lat_deg}, longitude {lon_deg} at {fix_time}"))
        })?;
        Ok(Fix {
            device: None,
            fix_time,
            location,
            valid: self.valid && LatLon::new(0.0, 0.0) != Some(location),
            altitude_m: self.altitude_m,
            speed_mps: self.speed_mps,
            course_deg: self.course_deg,
            accuracy_m: self.accuracy_m,
            attributes: self.attributes,
        })
    }
}

fn finite(value: f64) -> Option<f32> {
    let value = value as f32;
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn null_island_is_never_valid_and_beyond_the_poles_is_no_place() {
        let time = Timestamp::from_secs(1_700_000_000).unwrap();
        assert!(!FixBuilder::valid(true).at(time, 0.0, 0.0).unwrap().valid);
        assert!(FixBuilder::valid(true).at(time, 0.0, 1e-6).unwrap().valid);
        for (lat, lon) in [(90.1, 0.0), (0.0, -180.1), (f64::NAN, 0.0)] {
            assert_eq!(FixBuilder::valid(true).at(time, lat, lon).unwrap_err().kind, FaultKind::OutOfRange);
        }
    }

    #[test]
    fn what_cannot_be_is_left_out() {
        let time = Timestamp::from_secs(1_700_000_000).unwrap();
        let mut fix = FixBuilder::valid(true);
        fix.speed_kmh(-1.0).course_deg(360.0).accuracy_m(f64::INFINITY).altitude_m(-430.5);
        let fix = fix.at(time, 31.5, 35.5).unwrap();
        assert_eq!((fix.speed_mps, fix.course_deg, fix.accuracy_m, fix.altitude_m), (None, Some(0.0), None, Some(-430.5)));
    }
}
