//! Room in memory for the fixes that open streams read ahead: together no more than there is, however many they are.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Fixes that the pieces of all open streams may have together; with the piece that is played meanwhile twice as many are in memory, of 40
/// bytes each.
const ALL_FIXES: usize = 1_600_000;

/// Least and most fixes that a piece may have. Who finds all taken has the least all the same, until others read on with less.
const PIECE_FIXES: std::ops::RangeInclusive<usize> = 20_000..=400_000;

/// A stream gets one part in so many of what is free: then some is left for who comes next.
const PART: usize = 4;

/// What is taken of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Room(Arc<Mutex<usize>>);

impl Room {
    /// For one more stream, which has nothing yet.
    pub(crate) fn share(&self) -> Share {
        Share { room: self.clone(), fixes: 0 }
    }

    fn taken(&self) -> MutexGuard<'_, usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one stream has of it.
#[derive(Debug)]
pub(crate) struct Share {
    room: Room,
    fixes: usize,
}

impl Share {
    /// How many fixes the next piece may have, in place of the last one's.
    pub(crate) fn take(&mut self) -> usize {
        let mut taken = self.room.taken();
        *taken -= self.fixes;
        self.fixes = (ALL_FIXES.saturating_sub(*taken) / PART).clamp(*PIECE_FIXES.start(), *PIECE_FIXES.end());
        *taken += self.fixes;
        self.fixes
    }

    /// The piece has so many: the rest is for others.
    pub(crate) fn keep(&mut self, fixes: usize) {
        let mut taken = self.room.taken();
        *taken = *taken - self.fixes + fixes;
        self.fixes = fixes;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.keep(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_that_stand_still_leave_room_for_those_that_come_later() {
        let room = Room::default();
        let mut shares: Vec<Share> = (0..64).map(|_| room.share()).collect();
        let first: Vec<usize> = shares.iter_mut().map(Share::take).collect();
        assert_eq!((first[0], first[63]), (*PIECE_FIXES.end(), *PIECE_FIXES.start()));
        assert_eq!(*room.taken(), first.iter().sum::<usize>());
        assert!(*room.taken() <= ALL_FIXES + 64 * PIECE_FIXES.start(), "{first:?}");
        // Those that read on have less than before.
        let next: Vec<usize> = shares.iter_mut().map(Share::take).collect();
        assert!(*room.taken() <= ALL_FIXES, "{next:?}");
        drop(shares);
        assert_eq!(*room.taken(), 0);
    }

    #[test]
    fn a_small_piece_takes_no_room_from_others() {
        let room = Room::default();
        let mut small: Vec<Share> = (0..40).map(|_| room.share()).collect();
        for share in &mut small {
            share.take();
            share.keep(1_000);
        }
        assert_eq!(room.share().take(), (ALL_FIXES - 40 * 1_000) / PART);
        assert_eq!(*room.taken(), 40 * 1_000);
    }
}
