//! What follows from a checksum.

use crate::protocol::{Checksums, Context, Decoded, Fault, FaultKind};
use smol_str::format_smolstr;

/// Whether to go on with a frame that says `found` where `expected` was computed. If they differ it is a fault in either case.
pub(crate) fn checksum_holds(
    found: impl Into<u64>,
    expected: impl Into<u64>,
    context: &Context,
    decoded: &mut Decoded,
) -> bool {
    let (found, expected) = (found.into(), expected.into());
    if found == expected {
        return true;
    }
    decoded.faults.push(Fault::new(FaultKind::Checksum, format_smolstr!("checksum is {found:02x}, not {expected:02x}")));
    context.checksums == Checksums::Count
}

/// All bytes XORed.
pub(crate) fn xor(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum ^ byte)
}

/// All bytes added, the lowest eight bits of it.
pub(crate) fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}
