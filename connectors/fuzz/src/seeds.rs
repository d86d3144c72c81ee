//! Inputs to begin with, from the recorded messages and streams.

#[path = "../../tests/common/messages.rs"]
mod messages;

use crate::families::{Family, Input};

/// Inputs of a family: each recorded message of a protocol behind its first one, and each recorded stream, in the modes by turns.
/// Those for which an input has no room are left out.
pub fn seeds(family: &Family) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (which, protocol) in (0..).zip(family.protocols()) {
        let recorded = messages::messages(protocol.name);
        let streams = messages::streams(protocol.name);
        let first = match family {
            // A beginning of what follows, not another message.
            Family::Any => &[][..],
            _ => recorded.first().map_or(&[][..], Vec::as_slice),
        };
        let behind = recorded.iter().map(|second| (first, second));
        let alone = streams.iter().map(|second| (&[][..], second));
        for ((first, second), mode) in behind.chain(alone).zip((0..24).cycle()) {
            let input = Input { which, mode, first, second };
            let Some(bytes) = input.bytes() else { continue };
            assert_eq!(Input::parse(&bytes), Some(input), "an input is read as it was written");
            seeds.push(bytes);
        }
    }
    seeds
}
