//! Numbers as few bits: small ones short, where *small* follows what came before (Golomb–Rice codes with a running mean, as in
//! JPEG-LS).

/// A number whose quotient would have so many ones is written with its length instead.
const ESCAPE: u32 = 12;
/// Bits of such a length.
const LENGTH_BITS: u32 = 6;
/// The mean forgets an eighth with every number, and is kept in sixteenths.
const FORGETS: u32 = 3;
const SIXTEENTHS: u32 = 4;
/// A number beyond this tells no more about the next one.
const MOST: u64 = 1 << 24;

/// How large the numbers of one kind are, lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mean(u32);

impl Mean {
    pub(super) const fn of(number: u32) -> Self {
        Self(number << SIXTEENTHS)
    }

    /// Low bits that are written as they are. For a geometric distribution ln 2 of the mean is best; 11/16 is near.
    const fn low_bits(self) -> u32 {
        ((self.0 as u64 * 11) >> (2 * SIXTEENTHS) | 1).ilog2()
    }

    fn learn(&mut self, number: u64) {
        let number = number.min(MOST) as i64;
        let by = ((number << SIXTEENTHS) - i64::from(self.0)) >> FORGETS;
        self.0 = (i64::from(self.0) + by) as u32;
    }
}

pub(super) const fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)) as u64
}

pub(super) const fn unzigzag(n: u64) -> i64 {
    (n >> 1) as i64 ^ -((n & 1) as i64)
}

/// Where the bits of some bytes end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct End {
    /// Bits of the last byte; 0: all.
    used: u8,
    /// The last byte if not all of it is used.
    last: u8,
}

/// Appends bits to bytes.
pub(super) struct Writer<'a> {
    out: &'a mut Vec<u8>,
    /// Not yet in `out`, least significant first; fewer than 32 after each call.
    pending: u64,
    count: u32,
}

impl<'a> Writer<'a> {
    /// Goes on where another one has ended.
    pub(super) fn behind(out: &'a mut Vec<u8>, end: End) -> Self {
        // The last byte is known: it need not be read, which would mean to wait for memory.
        out.truncate(out.len() - usize::from(end.used > 0));
        Self { out, pending: u64::from(end.last), count: u32::from(end.used) }
    }

    /// Where it has ended.
    pub(super) fn finish(self) -> End {
        let (bytes, used) = (self.pending.to_le_bytes(), self.count % 8);
        self.out.extend_from_slice(&bytes[..self.count.div_ceil(8) as usize]);
        End { used: used as u8, last: if used > 0 { bytes[self.count as usize / 8] } else { 0 } }
    }

    /// At most 32 bits.
    #[inline]
    fn raw(&mut self, bits: u64, count: u32) {
        self.pending |= bits << self.count;
        self.count += count;
        if self.count >= 32 {
            self.out.extend_from_slice(&(self.pending as u32).to_le_bytes());
            self.pending >>= 32;
            self.count -= 32;
        }
    }

    pub(super) fn bit(&mut self, on: bool) {
        self.raw(u64::from(on), 1);
    }

    pub(super) fn byte(&mut self, byte: u8) {
        self.raw(u64::from(byte), 8);
    }

    /// A number that is like those before it.
    pub(super) fn number(&mut self, number: u64, mean: &mut Mean) {
        let low = mean.low_bits();
        let ones = number >> low;
        if ones < u64::from(ESCAPE) {
            let ones = ones as u32;
            self.raw((1 << ones) - 1, ones + 1);
            self.raw(number & ((1 << low) - 1), low);
        } else {
            let length = 64 - number.leading_zeros();
            self.raw(((1 << ESCAPE) - 1) | (u64::from(length - 1) << ESCAPE), ESCAPE + LENGTH_BITS);
            let first = length.min(32);
            self.raw(number & ((1 << first) - 1), first);
            if length > 32 {
                self.raw(number >> 32, length - 32);
            }
        }
        mean.learn(number);
    }

    /// A number about which nothing is known: seven bits a byte, least first (LEB128).
    pub(super) fn plain(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.byte(number as u8 | 0x80);
            number >>= 7;
        }
        self.byte(number as u8);
    }

    /// Some bytes with their number before.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.plain(bytes.len() as u64);
        bytes.iter().for_each(|b| self.byte(*b));
    }
}

/// Reads what [`Writer`] has written.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    /// Of `bytes`, in bits.
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Where it stands, if that is in the last byte or behind it.
    pub(super) fn end(&self) -> Option<End> {
        let used = (self.at % 8) as u8;
        let last = if used > 0 { *self.bytes.last()? } else { 0 };
        (self.at.div_ceil(8) == self.bytes.len()).then_some(End { used, last })
    }

    /// The next bits, 57 at least; zeros behind the end.
    fn peek(&self) -> u64 {
        let (first, skip) = (self.at / 8, self.at % 8);
        let rest = self.bytes.get(first..).unwrap_or_default();
        let word = rest.first_chunk().copied().unwrap_or_else(|| {
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            word
        });
        u64::from_le_bytes(word) >> skip
    }

    /// `None` behind the end.
    fn skip(&mut self, count: u32) -> Option<()> {
        self.at += count as usize;
        (self.at <= self.bytes.len() * 8).then_some(())
    }

    /// At most 32 bits; `None` behind the end.
    fn raw(&mut self, count: u32) -> Option<u64> {
        let bits = self.peek() & ((1 << count) - 1);
        self.skip(count).map(|()| bits)
    }

    pub(super) fn bit(&mut self) -> Option<bool> {
        self.raw(1).map(|bit| bit == 1)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.raw(8).map(|byte| byte as u8)
    }

    pub(super) fn number(&mut self, mean: &mut Mean) -> Option<u64> {
        let ones = self.peek().trailing_ones().min(ESCAPE);
        self.skip(if ones < ESCAPE { ones + 1 } else { ones })?;
        let number = if ones < ESCAPE {
            let low = mean.low_bits();
            u64::from(ones) << low | self.raw(low)?
        } else {
            let length = self.raw(LENGTH_BITS)? as u32 + 1;
            let low = self.raw(length.min(32))?;
            low | if length > 32 { self.raw(length - 32)? << 32 } else { 0 }
        };
        mean.learn(number);
        Some(number)
    }

    pub(super) fn plain(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    pub(super) fn bytes(&mut self) -> Option<Vec<u8>> {
        let length = usize::try_from(self.plain()?).ok()?;
        // A length that can't be is not allocated.
        if length > self.bytes.len() {
            return None;
        }
        (0..length).map(|_| self.byte()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn numbers() -> impl Strategy<Value = u64> {
        prop_oneof![0..4u64, 0..1000u64, any::<u32>().prop_map(u64::from), any::<u64>(), Just(u64::MAX)]
    }

    proptest! {
        #[test]
        fn numbers_are_read_as_they_were_written(all in prop::collection::vec((numbers(), any::<bool>()), 0..100)) {
            let (mut out, mut end, mut mean) = (vec![7], End::default(), Mean::of(3));
            for (number, plain) in &all {
                // Each behind the other, as positions come.
                let mut writer = Writer::behind(&mut out, end);
                writer.bit(*plain);
                if *plain { writer.plain(*number) } else { writer.number(*number, &mut mean) }
                end = writer.finish();
            }
            let (mut reader, mut mean) = (Reader::new(&out[1..]), Mean::of(3));
            for (number, plain) in &all {
                prop_assert_eq!(reader.bit(), Some(*plain));
                prop_assert_eq!(if *plain { reader.plain() } else { reader.number(&mut mean) }, Some(*number));
            }
            prop_assert_eq!(reader.end(), Some(end));
            prop_assert_eq!(reader.byte(), None);
        }
    }

    #[test]
    fn what_is_like_before_is_short() {
        let (mut out, mut mean) = (Vec::new(), Mean::of(0));
        let mut writer = Writer::behind(&mut out, End::default());
        (0..800).for_each(|n| writer.number(n % 2, &mut mean));
        (0..800).for_each(|n| writer.number(1000 + n, &mut mean));
        writer.finish();
        assert!(out.len() < 150 + 1250, "{}", out.len());
    }
}
