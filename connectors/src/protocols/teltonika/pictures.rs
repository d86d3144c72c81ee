//! Pictures of Teltonika's cameras, which the device offers and sends block by block as it is asked (codec 12, type 0d).

use super::CODEC_12;
use crate::protocol::Fault;
use crate::readers::Reader;

/// Type of the messages of codec 12 that carry pictures.
pub(super) const TYPE: u8 = 0x0d;
/// A block as we ask for it; a shorter one is the last.
const BLOCK_BYTES: u16 = 2048;
/// No picture is larger: bounds how long a device is asked for more.
const MAX_PICTURE_BYTES: u32 = 4 * 1024 * 1024;
const OFFERED: u8 = 1;
const BLOCK: u8 = 2;

/// The data field that asks for the next block, if there is one: a device that is not asked offers the picture again and again.
pub(super) fn request(data: &mut Reader<'_>) -> Result<Option<Vec<u8>>, Fault> {
    data.skip(1 + 1 + 1 + 4)?; // codec, count, type, length
    let (id, offset) = match data.u8()? {
        OFFERED => (data.u32()?, 0),
        BLOCK => {
            let (id, offset, length) = (data.u32()?, data.u32()?, data.u16()?);
            let next = offset.saturating_add(length.into());
            if length != BLOCK_BYTES || next >= MAX_PICTURE_BYTES {
                return Ok(None);
            }
            (id, next)
        }
        _ => return Ok(None),
    };
    let content = [&[BLOCK], &id.to_be_bytes()[..], &offset.to_be_bytes(), &BLOCK_BYTES.to_be_bytes()].concat();
    let length = (content.len() as u32).to_be_bytes();
    Ok(Some([&[CODEC_12, 1, TYPE], &length[..], &content, &[1]].concat()))
}
