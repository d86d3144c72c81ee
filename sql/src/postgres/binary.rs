//! Values that clients send, looked at before the crates that read them. Those trust what a value says of itself: a list of two thousand
//! million elements would be given the memory for them, which ends the process, and a short interval panics.

use super::failure::Failure;
use pgwire::api::Type;

/// Most groups of four zeros behind the digits of a number: the crate that reads numbers panics at eight.
const MAX_ZERO_GROUPS: i32 = 7;

/// Refuses a value in binary that can't be read.
pub(super) fn check(wire: &Type, value: &[u8]) -> Result<(), Failure> {
    // Lists have types that begin so.
    let sound = if wire.name().starts_with('_') { list(wire, value) } else { one(wire, value) };
    sound.ok_or_else(|| Failure::error("22P03", format!("a value of the type {wire} can't be read")))
}

/// The number of dimensions, whether some are NULL, the type of the elements; the dimension's size and where it begins; the elements,
/// each behind its length.
fn list(wire: &Type, value: &[u8]) -> Option<()> {
    let (dimensions, rest) = value.split_first_chunk::<4>()?;
    let rest = rest.get(8..)?;
    let (count, mut rest) = match i32::from_be_bytes(*dimensions) {
        0 => (0, rest),
        1 => {
            let (count, rest) = rest.split_first_chunk::<4>()?;
            (u32::from_be_bytes(*count), rest.get(4..)?)
        }
        _ => return None,
    };
    for _ in 0..count {
        let (length, after) = rest.split_first_chunk::<4>()?;
        rest = after;
        if let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) {
            let (element, after) = rest.split_at_checked(length)?;
            one(wire, element)?;
            rest = after;
        }
    }
    rest.is_empty().then_some(())
}

/// A value that is no list, or an element of one of this type.
fn one(wire: &Type, value: &[u8]) -> Option<()> {
    match *wire {
        Type::INTERVAL | Type::INTERVAL_ARRAY => {
            // Microseconds, days, months. The engine counts nanoseconds.
            let (micros, rest) = value.split_first_chunk::<8>()?;
            (rest.len() == 8).then_some(())?;
            i64::from_be_bytes(*micros).checked_mul(1_000).map(drop)
        }
        Type::NUMERIC | Type::NUMERIC_ARRAY => {
            // How many groups of four digits there are, and how many stand behind the first one before the point.
            let ([a, b, c, d], _) = value.split_first_chunk::<4>()?;
            let (groups, weight) = (u16::from_be_bytes([*a, *b]), i16::from_be_bytes([*c, *d]));
            (i32::from(weight) + 1 - i32::from(groups) <= MAX_ZERO_GROUPS).then_some(())
        }
        _ => Some(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list_of(dimensions: i32, count: i32, elements: &[u8]) -> Vec<u8> {
        let head = [dimensions, 0, 25, count, 1].map(i32::to_be_bytes).concat();
        [if dimensions == 0 { &head[..12] } else { &head[..] }, elements].concat()
    }

    #[test]
    fn what_is_sound_is_taken() {
        for (wire, value) in [
            (Type::TEXT_ARRAY, list_of(1, 2, b"\0\0\0\x02n1\xff\xff\xff\xff")),
            (Type::TEXT_ARRAY, list_of(0, 0, b"")),
            (Type::INTERVAL, vec![0; 16]),
            (Type::INTERVAL_ARRAY, list_of(1, 1, &[&[0, 0, 0, 16][..], &[0; 16]].concat())),
            // 1.5, nothing, and 10^28.
            (Type::NUMERIC, [2_u16, 0, 0, 1, 1, 5_000].map(u16::to_be_bytes).concat()),
            (Type::NUMERIC, vec![0; 8]),
            (Type::NUMERIC, [1_u16, 7, 0, 0, 1].map(u16::to_be_bytes).concat()),
            // Others are read with care.
            (Type::INT8, vec![1]),
        ] {
            assert!(check(&wire, &value).is_ok(), "{wire} {value:?}");
        }
    }

    #[test]
    fn what_lies_about_itself_is_refused() {
        for (wire, value) in [
            (Type::TEXT_ARRAY, list_of(1, i32::MAX, b"\0\0\0\x02n1")),
            (Type::TEXT_ARRAY, list_of(1, -1, b"\0\0\0\x02n1")),
            (Type::TEXT_ARRAY, list_of(1, 1, b"\0\0\0\x03n1")),
            (Type::TEXT_ARRAY, list_of(1, 0, b"\0")),
            (Type::TEXT_ARRAY, list_of(2, 1, b"\0\0\0\x02n1")),
            (Type::TEXT_ARRAY, vec![0, 0, 0, 1]),
            (Type::TEXT_ARRAY, Vec::new()),
            (Type::INTERVAL, Vec::new()),
            (Type::INTERVAL, vec![0; 15]),
            (Type::INTERVAL, vec![0x7f; 16]),
            (Type::INTERVAL_ARRAY, list_of(1, 1, b"\0\0\0\x02xx")),
            (Type::NUMERIC, vec![0]),
            (Type::NUMERIC, [0_u16, 7, 0, 0].map(u16::to_be_bytes).concat()),
            (Type::NUMERIC_ARRAY, list_of(1, 1, b"\0\0\0\x08\0\0\0\x07\0\0\0\0")),
        ] {
            assert!(check(&wire, &value).is_err(), "{wire} {value:?}");
        }
    }
}
