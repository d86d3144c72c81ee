//! What a replay shows of a fix: what the live map would have shown of the position.

use crate::live::{Motion, Told, record};
use crate::wire::frame::{FrameRecord, status};
use waystream_domain::AttributeValue;
use waystream_sql::{Fix, Mark};

/// The tracker says that it doesn't move; that it does is [`status::MOVING`].
const RESTS: u8 = 1 << 7;

/// Attributes that a frame tells of, as bits of its status.
pub(super) const MARKS: &[Mark] = &[
    ("ignition", |value| on(value, status::IGNITION)),
    ("charging", |value| on(value, status::CHARGING)),
    ("alarm", |_| status::ALARM),
    ("motion", |value| match value {
        AttributeValue::Bool(true) => status::MOVING,
        AttributeValue::Bool(false) => RESTS,
        _ => 0,
    }),
];

fn on(value: &AttributeValue, bit: u8) -> u8 {
    if *value == AttributeValue::Bool(true) { bit } else { 0 }
}

/// A fix as it goes into a frame, by itself and by the one before it. Its device's place in the roster is its slot.
pub(super) fn shown(fix: &Fix, before: Option<&Fix>) -> FrameRecord {
    let moving = match fix.marks & (status::MOVING | RESTS) {
        0 => None,
        bits => Some(bits & status::MOVING != 0),
    };
    let at = (fix.fix_time, fix.location);
    let told = Told { at, speed_mps: fix.speed_mps, course_deg: fix.course_deg, moving };
    let motion = Motion::of(&told, before.map(|before| (before.fix_time, before.location)));
    record(fix.device, at, motion, (fix.marks & !(status::MOVING | RESTS)) | status::VALID)
}
