//! A cursor over the bytes of one message.

use super::malformed;
use crate::protocol::Fault;

/// Reads from the front of a message; a read past its end is a fault, never a panic.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    /// Length of the whole message: for telling where it ended.
    length: usize,
}

macro_rules! numbers {
    ($($name:ident $name_le:ident $type:ty;)*) => {$(
        #[doc = concat!("A big-endian `", stringify!($type), "`.")]
        #[allow(dead_code)] // the set is complete, whichever protocols are there
        pub(crate) fn $name(&mut self) -> Result<$type, Fault> {
            Ok(<$type>::from_be_bytes(self.array()?))
        }
        #[doc = concat!("A little-endian `", stringify!($type), "`.")]
        #[allow(dead_code)]
        pub(crate) fn $name_le(&mut self) -> Result<$type, Fault> {
            Ok(<$type>::from_le_bytes(self.array()?))
        }
    )*};
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(message: &'a [u8]) -> Self {
        Self { rest: message, length: message.len() }
    }

    numbers! {
        u16 u16_le u16; u32 u32_le u32; u64 u64_le u64;
        i16 i16_le i16; i32 i32_le i32; i64 i64_le i64; f32 f32_le f32; f64 f64_le f64;
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Fault> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn i8(&mut self) -> Result<i8, Fault> {
        Ok(self.u8()? as i8)
    }

    /// A big-endian number of `width` bytes, at most 8.
    pub(crate) fn uint(&mut self, width: usize) -> Result<u64, Fault> {
        Ok(self.take(width)?.iter().fold(0, |value, byte| (value << 8) | u64::from(*byte)))
    }

    /// The next `count` bytes.
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return Err(malformed(format_args!(
                "{count} bytes are missing at byte {} of {}",
                self.length - self.rest.len(),
                self.length
            )));
        };
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn skip(&mut self, count: usize) -> Result<(), Fault> {
        self.take(count).map(drop)
    }

    /// A reader of the next `count` bytes alone.
    pub(crate) fn part(&mut self, count: usize) -> Result<Self, Fault> {
        Ok(Self::new(self.take(count)?))
    }

    /// What is left.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// How many bytes are left.
    pub(crate) const fn left(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        Ok(self.take(N)?.try_into().expect("take gives exactly N bytes"))
    }
}

/// Bit `index` (0 is the lowest) of a value.
pub(crate) fn bit(value: impl Into<u64>, index: u32) -> bool {
    value.into() >> index & 1 == 1
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_read_past_the_end_is_a_fault_that_says_where() {
        let mut reader = Reader::new(&[1, 2, 3, 4, 5]);
        assert_eq!(reader.u16().unwrap(), 0x0102);
        assert_eq!(reader.u16_le().unwrap(), 0x0403);
        assert_eq!(reader.u32().unwrap_err().detail, "4 bytes are missing at byte 4 of 5");
        assert_eq!(reader.u8().unwrap(), 5);
        assert_eq!(reader.left(), 0);
    }

    #[test]
    fn numbers_of_odd_widths_are_big_endian() {
        assert_eq!(Reader::new(&[1, 2, 3]).uint(3).unwrap(), 0x01_02_03);
        assert!(bit(0b100u8, 2) && !bit(0b100u8, 1));
    }
}
