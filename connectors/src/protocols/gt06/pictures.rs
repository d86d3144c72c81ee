//! Pictures of GT06 cameras: announced with their size, then sent block by block as the device is asked.

use super::reply;
use crate::protocol::Fault;
use crate::readers::Reader;
use bytes::Bytes;

const ANNOUNCED: u8 = 0x35;
/// Both the request and the block.
const BLOCK: u8 = 0x36;
const BLOCK_BYTES: u32 = 1024;
/// No picture is larger: bounds how long a device is asked for more.
const MAX_PICTURE_BYTES: u32 = 4 * 1024 * 1024;

/// A picture that is under way.
pub(super) struct Picture {
    id: u32,
    bytes: u32,
}

/// Whether a message announces a picture or brings a part of the one that is under way; others have the same type.
pub(super) fn is_one(kind: u8, content: &[u8], under_way: Option<&Picture>) -> bool {
    match kind {
        ANNOUNCED => true,
        BLOCK => under_way.is_some_and(|picture| content.starts_with(&picture.id.to_be_bytes())),
        _ => false,
    }
}

/// Asks for the next block, if there is one: a device that is not asked announces the picture again and again.
pub(super) fn request(kind: u8, content: &[u8], under_way: &mut Option<Picture>) -> Result<Option<Bytes>, Fault> {
    let mut reader = Reader::new(content);
    if kind == ANNOUNCED {
        reader.skip(6 + 1 + 4 + 4 + 3)?; // time, satellites, latitude, longitude; camera, source, format
        let (bytes, id) = (reader.u32()?, reader.u32()?);
        *under_way = (1..=MAX_PICTURE_BYTES).contains(&bytes).then_some(Picture { id, bytes });
        return Ok(under_way.as_ref().map(|picture| picture.block(0)));
    }
    reader.skip(4)?;
    let next = reader.u32()?.saturating_add(reader.u16()?.into());
    let more = under_way.take_if(|picture| next >= picture.bytes).is_none();
    Ok(under_way.as_ref().filter(|_| more).map(|picture| picture.block(next)))
}

impl Picture {
    fn block(&self, offset: u32) -> Bytes {
        let length = self.bytes.saturating_sub(offset).min(BLOCK_BYTES) as u16;
        let content = [&self.id.to_be_bytes()[..], &offset.to_be_bytes(), &length.to_be_bytes()].concat();
        reply(false, BLOCK, 0, &content)
    }
}
