//! Codec 12 from us: a command as text or bytes; and the device's answers in codecs 12 and 13.

use super::{CODEC_12, CODEC_13, wrap};
use crate::readers::{Reader, spoken};
use bytes::Bytes;
use smol_str::SmolStr;

const COMMAND: u8 = 5;
const ANSWER: u8 = 6;

/// The packet that says this.
pub(super) fn packet(content: &[u8]) -> Bytes {
    let length = content.len() as u32;
    wrap(&[&[CODEC_12, 1, COMMAND], &length.to_be_bytes()[..], content, &[1]].concat())
}

/// The answer that stands behind codec and count, if it is one. In codec 13 the time stands in front of it.
pub(super) fn answer(codec: u8, data: &mut Reader<'_>) -> Option<SmolStr> {
    if data.u8().ok()? != ANSWER {
        return None;
    }
    let length = data.u32().ok()?;
    let mut content = data.part(usize::try_from(length).ok()?).ok()?;
    if codec == CODEC_13 {
        content.skip(4).ok()?;
    }
    Some(spoken(content.rest()))
}
