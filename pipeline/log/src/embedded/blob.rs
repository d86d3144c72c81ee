//! How records lie in a database value: several together in a *blob*, with a checksum over them and their place.
//!
//! ```text
//! crc32 u32 | version u8 | count u32 | last offset u64 | first ms i64 | last ms i64 | records…          (little endian)
//! record = offset − previous | ms − previous, zigzag | key length | value length + 1, or 0 for a removal | key | value
//! ```
//! Numbers inside records are LEB128 varints; the first record counts from the blob's first offset and first ms. Offsets and
//! times are kept per record, so that compaction can drop some and join the rest of several blobs without moving any.

use super::layout::{Place, topic_id};
use crate::Entry;
use bytes::Bytes;

const VERSION: u8 = 1;
const HEADER: usize = 4 + 1 + 4 + 8 + 8 + 8;

/// What one blob holds, without its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Number of records.
    pub(super) count: u32,
    /// Offset of the last record.
    pub(super) last: u64,
    /// When the last record was appended, milliseconds since the Unix epoch.
    pub(super) last_ms: i64,
    first_ms: i64,
}

/// A finished blob and the offset of its first record.
#[derive(Debug, Clone)]
pub(super) struct Blob {
    /// Offset of the first record: the database key, with topic and partition.
    pub(super) first: u64,
    /// Offset of the last record.
    pub(super) last: u64,
    /// The database value.
    pub(super) bytes: Bytes,
}

/// Gathers records of one partition, in offset order, into blobs of about `target` bytes.
#[derive(Debug)]
pub(super) struct BlobBuilder {
    place: Place,
    target: usize,
    bytes: Vec<u8>,
    count: u32,
    first: u64,
    last: u64,
    first_ms: i64,
    last_ms: i64,
    done: Vec<Blob>,
}

impl BlobBuilder {
    pub(super) fn new(place: Place, target: usize) -> Self {
        Self { place, target, bytes: Vec::new(), count: 0, first: 0, last: 0, first_ms: 0, last_ms: 0, done: Vec::new() }
    }

    pub(super) fn push(&mut self, offset: u64, appended_at_ms: i64, key: &[u8], value: Option<&[u8]>) {
        // 24 bytes are enough for the numbers in front of nearly every record; a blob may be a little over its target.
        let size = key.len() + value.map_or(0, <[u8]>::len) + 24;
        if self.count > 0 && self.bytes.len() + size > self.target {
            self.seal();
        }
        if self.count == 0 {
            self.bytes = Vec::with_capacity(HEADER + size);
            self.bytes.resize(HEADER, 0);
            (self.first, self.last, self.first_ms, self.last_ms) = (offset, offset, appended_at_ms, appended_at_ms);
        }
        put_varint(&mut self.bytes, offset - self.last);
        put_varint(&mut self.bytes, zigzag(appended_at_ms.wrapping_sub(self.last_ms)));
        put_varint(&mut self.bytes, key.len() as u64);
        put_varint(&mut self.bytes, value.map_or(0, |v| v.len() as u64 + 1));
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value.unwrap_or_default());
        (self.last, self.last_ms, self.count) = (offset, appended_at_ms, self.count + 1);
    }

    fn seal(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes[4] = VERSION;
        bytes[5..9].copy_from_slice(&self.count.to_le_bytes());
        bytes[9..17].copy_from_slice(&self.last.to_le_bytes());
        bytes[17..25].copy_from_slice(&self.first_ms.to_le_bytes());
        bytes[25..33].copy_from_slice(&self.last_ms.to_le_bytes());
        let crc = checksum(self.place, self.first, &bytes[4..]);
        bytes[..4].copy_from_slice(&crc.to_le_bytes());
        // Blobs stay in memory for a while, by the thousand.
        bytes.shrink_to_fit();
        self.done.push(Blob { first: self.first, last: self.last, bytes: Bytes::from(bytes) });
        self.count = 0;
    }

    pub(super) fn finish(mut self) -> Vec<Blob> {
        if self.count > 0 {
            self.seal();
        }
        self.done
    }
}

/// The checksum covers the place too: a whole blob in the wrong place is damage as well.
fn checksum(place: Place, first: u64, rest: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&[topic_id(place.topic)]);
    crc.update(&place.partition.to_le_bytes());
    crc.update(&first.to_le_bytes());
    crc.update(rest);
    crc.finalize()
}

/// Reads the header, without looking at the checksum.
pub(super) fn header(bytes: &[u8]) -> Option<Header> {
    let rest = bytes.get(4..HEADER)?;
    let (version, rest) = rest.split_first()?;
    let (count, rest) = rest.split_first_chunk()?;
    let (last, rest) = rest.split_first_chunk()?;
    let (first_ms, rest) = rest.split_first_chunk()?;
    let (last_ms, _) = rest.split_first_chunk()?;
    (*version == VERSION).then(|| Header {
        count: u32::from_le_bytes(*count),
        last: u64::from_le_bytes(*last),
        first_ms: i64::from_le_bytes(*first_ms),
        last_ms: i64::from_le_bytes(*last_ms),
    })
}

/// True if the bytes are what was written for this place.
pub(super) fn is_sound(place: Place, first: u64, bytes: &[u8]) -> bool {
    bytes.split_first_chunk::<4>().is_some_and(|(crc, rest)| checksum(place, first, rest) == u32::from_le_bytes(*crc))
}

/// The records from offset `from` on, sharing the blob's memory. `None`: the bytes are not a blob. Check [`is_sound`] before,
/// unless the bytes come from this process's own memory.
pub(super) fn entries(first: u64, bytes: &Bytes, from: u64, out: &mut impl Extend<Entry>) -> Option<()> {
    let header = header(bytes)?;
    let (mut at, mut offset, mut ms) = (HEADER, first, header.first_ms);
    for _ in 0..header.count {
        offset = offset.checked_add(take_varint(bytes, &mut at)?)?;
        ms = ms.wrapping_add(unzigzag(take_varint(bytes, &mut at)?));
        let key_len = usize::try_from(take_varint(bytes, &mut at)?).ok()?;
        let value_len = usize::try_from(take_varint(bytes, &mut at)?).ok()?;
        let key_end = at.checked_add(key_len)?;
        let end = key_end.checked_add(value_len.saturating_sub(1))?;
        if end > bytes.len() {
            return None;
        }
        if offset >= from {
            let key = bytes.slice(at..key_end);
            let value = (value_len > 0).then(|| bytes.slice(key_end..end));
            out.extend(std::iter::once(Entry { offset, appended_at_ms: ms, key, value }));
        }
        at = end;
    }
    (at == bytes.len() && offset == header.last).then_some(())
}

fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn take_varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut n = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        n |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(n);
        }
    }
    None
}

fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)) as u64
}

fn unzigzag(n: u64) -> i64 {
    (n >> 1) as i64 ^ -((n & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Topic;
    use proptest::prelude::*;

    const PLACE: Place = Place { topic: Topic::Events, partition: 3 };

    fn entry() -> impl Strategy<Value = (u64, i64, Vec<u8>, Option<Vec<u8>>)> {
        let bytes = || proptest::collection::vec(any::<u8>(), 0..200);
        (1u64..1 << 40, any::<i64>(), bytes(), proptest::option::of(bytes()))
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(start in 0u64..1 << 50, records in proptest::collection::vec(entry(), 1..60), target in 1usize..2000) {
            let mut builder = BlobBuilder::new(PLACE, target);
            let mut offset = start;
            let mut put = Vec::new();
            for (step, ms, key, value) in records {
                offset += step;
                builder.push(offset, ms, &key, value.as_deref());
                put.push(Entry { offset, appended_at_ms: ms, key: key.into(), value: value.map(Bytes::from) });
            }
            let mut got = Vec::new();
            for blob in builder.finish() {
                prop_assert!(is_sound(PLACE, blob.first, &blob.bytes));
                let before = got.len();
                prop_assert_eq!(entries(blob.first, &blob.bytes, 0, &mut got), Some(()));
                let head = header(&blob.bytes).expect("header");
                prop_assert_eq!(head.count as usize, got.len() - before);
                prop_assert_eq!((head.last, blob.last), (got[got.len() - 1].offset, head.last));
            }
            prop_assert_eq!(got, put);
        }

        #[test]
        fn a_changed_byte_is_noticed_and_never_panics(at in 0usize..200, flip in 1u8..) {
            let mut builder = BlobBuilder::new(PLACE, 1000);
            builder.push(7, 1, b"key", Some(&[9; 100]));
            builder.push(9, 2, b"other", None);
            let blob = builder.finish().remove(0);
            let mut bytes = blob.bytes.to_vec();
            let at = at % bytes.len();
            bytes[at] ^= flip;
            prop_assert!(!is_sound(PLACE, 7, &bytes));
            let mut out = Vec::new();
            entries(7, &Bytes::from(bytes), 0, &mut out);
        }
    }

    #[test]
    fn a_blob_in_the_wrong_place_is_noticed() {
        let mut builder = BlobBuilder::new(PLACE, 1000);
        builder.push(7, 1, b"key", None);
        let blob = builder.finish().remove(0);
        assert!(is_sound(PLACE, 7, &blob.bytes));
        assert!(!is_sound(PLACE, 8, &blob.bytes));
        assert!(!is_sound(Place { partition: 4, ..PLACE }, 7, &blob.bytes));
    }
}
