//! A device's newest position as it is kept between two reports: packed, for a fleet has many devices and few that report at once.

use crate::codec::{decode_live, encode_live};
use crate::{LivePosition, Position};
use std::borrow::Cow;
use std::fmt;

/// The newest valid position of a device: as it came, or as [`crate::codec::LivePositionMessage`].
#[derive(Clone)]
pub struct Latest(Form);

#[derive(Clone)]
enum Form {
    Fresh(Box<LivePosition>),
    /// [`decode_live`] reads it.
    Packed(Box<[u8]>),
}

impl From<LivePosition> for Latest {
    fn from(live: LivePosition) -> Self {
        Self(Form::Fresh(Box::new(live)))
    }
}

impl Latest {
    /// As it came.
    pub fn live(&self) -> Cow<'_, LivePosition> {
        match &self.0 {
            Form::Fresh(live) => Cow::Borrowed(live),
            Form::Packed(bytes) => Cow::Owned(decode_live(bytes).expect("it was packed or read before")),
        }
    }

    /// As it came.
    pub fn into_live(self) -> LivePosition {
        match self.0 {
            Form::Fresh(live) => *live,
            Form::Packed(_) => self.live().into_owned(),
        }
    }

    /// As it is written into states and snapshots.
    pub(crate) fn packed(&self) -> Cow<'_, [u8]> {
        match &self.0 {
            Form::Fresh(live) => Cow::Owned(encode_live(live)),
            Form::Packed(bytes) => Cow::Borrowed(bytes),
        }
    }

    /// Of bytes that [`decode_live`] reads.
    pub(crate) fn of_packed(bytes: &[u8]) -> Self {
        Self(Form::Packed(bytes.into()))
    }

    /// Packs it.
    pub(crate) fn pack(&mut self) {
        if let Form::Fresh(live) = &self.0 {
            self.0 = Form::Packed(encode_live(live).into_boxed_slice());
        }
    }

    /// Puts a newer one in its place.
    pub(crate) fn renew(&mut self, seq: u64, position: Position) {
        match &mut self.0 {
            Form::Fresh(old) => (old.seq, old.position) = (seq, position),
            Form::Packed(_) => *self = LivePosition { seq, position }.into(),
        }
    }
}

impl PartialEq for Latest {
    fn eq(&self, other: &Self) -> bool {
        self.packed() == other.packed()
    }
}

impl fmt::Debug for Latest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.live().fmt(f)
    }
}
