//! Closed segments one behind the other in one piece of memory of exactly their size.

use super::Segment;
use super::bits::Reader;
use super::pack::Before;
use super::unpack;
use crate::Timestamp;
use crate::standing::Entry;

/// See the module. Oldest first; each with its number of bytes and of entries before.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Shelf(Box<[u8]>);

/// Bytes of the two numbers.
const HEAD: usize = 8;

/// A segment as it lies there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lying<'a> {
    pub(super) count: u32,
    pub(super) bytes: &'a [u8],
}

impl Lying<'_> {
    /// Time of the fix before; `None`: the device's first fix is in here.
    pub(super) fn after(&self) -> Option<Timestamp> {
        let mut reader = Reader::new(self.bytes);
        match reader.bit()?.then(|| unpack::entry(&mut reader, Before::default())).flatten()?.0 {
            Entry::Step(step) => Some(step.fix.fix_time),
            Entry::Mark(_) => None,
        }
    }

    /// On the shelf, bytes.
    pub(super) const fn size(&self) -> usize {
        HEAD + self.bytes.len()
    }

    pub(super) fn to_segment(self) -> Segment {
        Segment { after: self.after(), count: self.count, bytes: self.bytes.to_vec() }
    }
}

impl Shelf {
    /// With these.
    pub(super) fn of<'a>(segments: impl Iterator<Item = (u32, &'a [u8])> + Clone) -> Self {
        let size = segments.clone().map(|(_, bytes)| HEAD + bytes.len()).sum();
        let mut all = Vec::with_capacity(size);
        for (count, bytes) in segments {
            // A segment is small: `SEGMENT_BYTES`.
            all.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
            all.extend_from_slice(&count.to_le_bytes());
            all.extend_from_slice(bytes);
        }
        Self(all.into_boxed_slice())
    }

    /// All that lie there.
    pub(super) fn iter(&self) -> impl Iterator<Item = Lying<'_>> + Clone {
        let mut rest = &*self.0;
        std::iter::from_fn(move || {
            let (length, behind) = rest.split_first_chunk()?;
            let (count, behind) = behind.split_first_chunk()?;
            let (bytes, behind) = behind.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            rest = behind;
            Some(Lying { count: u32::from_le_bytes(*count), bytes })
        })
    }

    /// Drops the first `n`, puts another behind the last.
    pub(super) fn renew(&mut self, drop: usize, more: Option<(u32, &[u8])>) {
        let kept = self.iter().skip(drop).map(|s| (s.count, s.bytes));
        *self = Self::of(kept.chain(more));
    }

    /// Only the first `n`.
    pub(super) fn first(self, n: usize) -> Self {
        Self::of(self.iter().take(n).map(|s| (s.count, s.bytes)))
    }

    pub(super) fn segments(&self) -> Vec<Segment> {
        self.iter().map(Lying::to_segment).collect()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Memory beyond the value itself, bytes.
    pub(super) const fn bytes(&self) -> usize {
        self.0.len()
    }
}
