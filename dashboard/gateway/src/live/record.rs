//! A position as it goes into a frame.

use super::board::Link;
use super::motion::Motion;
use crate::wire::frame::{FrameRecord, SPEED_UNKNOWN, status};
use waystream_domain::{AttributeValue, LatLon, Position, Timestamp, units};

/// The newest position of a vehicle.
pub(crate) fn frame_record(slot: u32, p: &Position, motion: Motion, link: Link) -> FrameRecord {
    let is_on = |name: &str| matches!(p.attributes.get(name), Some(AttributeValue::Bool(true)));
    let link_bits = match link {
        Link::Online => 0,
        Link::Late => status::LATE,
        Link::Offline => status::OFFLINE,
    };
    let bit = |on: bool, bit: u8| if on { bit } else { 0 };
    let bits = link_bits
        | bit(is_on("ignition"), status::IGNITION)
        | bit(p.valid, status::VALID)
        | bit(is_on("charging"), status::CHARGING)
        | bit(p.attributes.get("alarm").is_some(), status::ALARM);
    record(slot, (p.fix_time, p.location), motion, bits)
}

/// A vehicle that was somewhere at some time. Of [`status`] all bits are given but that it moves.
pub(crate) fn record(slot: u32, (fix_time, location): (Timestamp, LatLon), motion: Motion, bits: u8) -> FrameRecord {
    let e6 = |e7: i32| (f64::from(e7) / 10.0).round() as i32;
    FrameRecord {
        slot,
        lat_e6: e6(location.lat_e7()),
        lon_e6: e6(location.lon_e7()),
        // A cast of a float saturates; the highest value that is a speed is one below "unknown".
        speed: motion
            .speed_mps
            .map_or(SPEED_UNKNOWN, |v| ((units::kmh_from_mps(v) * 10.0).round() as u16).min(SPEED_UNKNOWN - 1)),
        course: motion.course_deg.map_or(0, |c| ((c.rem_euclid(360.0) * 256.0 / 360.0).round() as u16 % 256) as u8),
        fix_time_ms: fix_time.as_millis(),
        status: bits | if motion.moving { status::MOVING } else { 0 },
    }
}
