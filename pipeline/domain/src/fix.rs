//! The few facts of a position from which trips and events follow: small enough to remember hundreds per device.

use crate::{AttributeValue, LatLon, Position, Timestamp};
use smol_str::SmolStr;

/// What the fold needs of a valid position, beside the geofences that hold it and its alarm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fix {
    /// When.
    pub fix_time: Timestamp,
    /// Where.
    pub location: LatLon,
    /// Centimetres per second: 0.036 km/h.
    pub speed_cm_s: Option<u16>,
    /// Whether the ignition is on, if the device knows.
    pub ignition: Option<bool>,
    /// Distance of the vehicle's life, whole metres, if the device knows.
    pub odometer_m: Option<u32>,
    /// What is in the tank, if the device knows.
    pub fuel: Option<Fuel>,
}

/// What is in the tank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fuel {
    /// A tenth of the unit.
    pub tenths: u16,
    /// Percent of the tank's size; else litres.
    pub is_percent: bool,
}

impl Fix {
    /// Without what sensors say.
    pub fn new(fix_time: Timestamp, location: LatLon, speed_mps: Option<f32>) -> Self {
        let speed_cm_s = speed_mps.and_then(speed_cm_s);
        Self { fix_time, location, speed_cm_s, ignition: None, odometer_m: None, fuel: None }
    }

    /// Notes what an odometer shows, if that is a distance.
    pub fn set_odometer(&mut self, metres: Option<f64>) {
        // NaN is in no range.
        let metres = metres.filter(|m| (0.0..=f64::from(u32::MAX)).contains(m));
        self.odometer_m = metres.map(|m| m.round() as u32);
    }

    /// The facts of a position, and the alarm that it raises.
    pub fn of(position: &Position) -> (Self, Option<SmolStr>) {
        let mut fix = Self::new(position.fix_time, position.location, position.speed_mps);
        let mut alarm = None;
        let number = |value: &AttributeValue| match value {
            AttributeValue::Int(n) => Some(*n as f64),
            AttributeValue::Float(n) => Some(*n),
            _ => None,
        };
        // Sorted by name: litres come before percent and win.
        for (name, value) in position.attributes.iter() {
            match (name, value) {
                ("ignition", AttributeValue::Bool(on)) => fix.ignition = Some(*on),
                ("alarm", AttributeValue::Text(text)) if !text.is_empty() => alarm = Some(text.clone()),
                ("odometer_m", value) => fix.set_odometer(number(value)),
                ("fuel_l" | "fuel_level", value) if fix.fuel.is_none() => {
                    let tenths = number(value).map(|n| (n * 10.0).round()).filter(|n| (0.0..=f64::from(u16::MAX)).contains(n));
                    fix.fuel = tenths.map(|n| Fuel { tenths: n as u16, is_percent: name == "fuel_level" });
                }
                _ => {}
            }
        }
        (fix, alarm)
    }
}

/// Metres per second as centimetres per second; `None` if that is no speed.
pub(crate) fn speed_cm_s(speed_mps: f32) -> Option<u16> {
    // NaN is in no range.
    let cm_s = (f64::from(speed_mps) * 100.0).round();
    (0.0..=f64::from(u16::MAX)).contains(&cm_s).then_some(cm_s as u16)
}

/// And back.
pub(crate) fn speed_mps(cm_s: u16) -> f64 {
    f64::from(cm_s) / 100.0
}
