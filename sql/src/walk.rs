//! Walking through history in pieces of time: how long each is follows from how dense it is, how much one may hold is bounded.

use waystream_domain::Timestamp;

/// Shortest piece that is aimed at.
const LEAST_MS: f64 = 1_000.0;

/// How much longer the next piece is after one without rows: a silence may last for months.
const OVER_SILENCE: f64 = 16.0;

/// A piece of this length or more, as follows a silence, is read anew where a small part of it has all the rows that one may hold: what lies
/// behind that, perhaps years, is then not read for nothing. Of a shorter one the same few files have all.
const LONG_MS: i64 = 4 * 86_400_000;

/// One of so many parts is a small one.
const SMALL: i64 = 8;

/// Where the next piece lies.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Walk {
    /// What is left, both included; `None` at the end.
    left: Option<(Timestamp, Timestamp)>,
    piece_ms: i64,
}

impl Walk {
    /// Through a range of time, both ends included, with a first piece of this length.
    pub(crate) fn new((from, to): (Timestamp, Timestamp), first_ms: i64) -> Self {
        Self { left: (from <= to).then_some((from, to)), piece_ms: first_ms }
    }

    /// The next piece, both ends included; `None` at the end.
    pub(crate) fn piece(&self) -> Option<(Timestamp, Timestamp)> {
        self.left.map(|(from, to)| (from, from.plus_millis(self.piece_ms - 1).min(to)))
    }

    /// The piece had so many rows up to `covered`, as many as `aim` would have been right, and at most `grow` times more time is tried next.
    pub(crate) fn covered(&mut self, covered: Timestamp, rows: usize, aim: usize, grow: f64) {
        let Some((from, to)) = self.left else { return };
        if covered >= to {
            self.left = None;
            return;
        }
        let factor = if rows == 0 { OVER_SILENCE } else { (aim as f64 / rows as f64).clamp(0.1, grow) };
        self.piece_ms = ((covered.millis_since(from) + 1) as f64 * factor).max(LEAST_MS) as i64;
        self.left = Some((covered.plus_millis(1), to));
    }
}

/// Rows of a piece, in any order. Should they be too many, the piece ends earlier, so that no row has to be read again for that.
pub(crate) struct Kept<T> {
    rows: Vec<T>,
    from: Timestamp,
    to: Timestamp,
    asked_to: Timestamp,
    most: usize,
    time_of: fn(&T) -> Timestamp,
}

impl<T> Kept<T> {
    /// Rows between two times, both included; so many are too many.
    pub(crate) fn new((from, to): (Timestamp, Timestamp), most: usize, time_of: fn(&T) -> Timestamp) -> Self {
        Self { rows: Vec::new(), from, to, asked_to: to, most, time_of }
    }

    /// Whether a row of this time is wanted: later ones are left to the next piece.
    pub(crate) fn wants(&self, time: Timestamp) -> bool {
        time <= self.to
    }

    /// Takes rows in. All of one millisecond are kept, however many they are: a piece can't end within one.
    pub(crate) fn extend(&mut self, rows: impl IntoIterator<Item = T>) {
        let (to, time_of) = (self.to, self.time_of);
        self.rows.extend(rows.into_iter().filter(|row| time_of(row) <= to));
        while self.rows.len() > self.most && self.from < self.to {
            let half = self.most / 2;
            let (_, middle, _) = self.rows.select_nth_unstable_by_key(half, time_of);
            // All before the middle one's time are at most half; at that time there may be any number.
            self.to = time_of(middle).plus_millis(-1).max(self.from);
            let to = self.to;
            self.rows.retain(|row| time_of(row) <= to);
        }
    }

    /// The part of the piece that should be read in place of the rest.
    pub(crate) fn shorter(&self) -> Option<(Timestamp, Timestamp)> {
        let (asked_ms, left_ms) = (self.asked_to.millis_since(self.from), self.to.millis_since(self.from));
        (asked_ms >= LONG_MS && left_ms < asked_ms / SMALL).then_some((self.from, self.to))
    }

    /// The rows, and the time up to which they are complete.
    pub(crate) fn finish(self) -> (Vec<T>, Timestamp) {
        (self.rows, self.to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::default().plus_millis(ms)
    }

    /// Walks through rows at these times, in pieces of at most `most`; how many rows each piece had.
    fn pieces(times: &[i64], first_ms: i64, most: usize) -> Vec<usize> {
        let range = (at(0), at(100_000));
        let mut walk = Walk::new(range, first_ms);
        let (mut all, mut sizes) = (Vec::new(), Vec::new());
        while let Some((from, to)) = walk.piece() {
            let mut kept = Kept::new((from, to), most, |t: &Timestamp| *t);
            for some in times.chunks(7) {
                let inside = some.iter().map(|ms| at(*ms)).filter(|t| from <= *t && kept.wants(*t)).collect::<Vec<_>>();
                kept.extend(inside);
            }
            let (rows, covered) = kept.finish();
            assert!(covered >= from, "each piece goes on");
            sizes.push(rows.len());
            walk.covered(covered, rows.len(), most / 2, 4.0);
            all.extend(rows);
        }
        let mut expected: Vec<_> = times.iter().map(|ms| at(*ms)).filter(|t| *t <= range.1).collect();
        expected.sort();
        all.sort();
        assert_eq!(all, expected, "every row once");
        sizes
    }

    #[test]
    fn every_row_comes_once_and_no_piece_is_too_large() {
        let spread: Vec<i64> = (0..1_000).map(|i| i * 7_919 % 100_001).collect();
        for (first_ms, most) in [(1, 50), (1_000, 50), (100_001, 50), (100_001, 1_000), (10_000_000, 2)] {
            assert!(pieces(&spread, first_ms, most).iter().all(|rows| *rows <= most), "{first_ms} {most}");
        }
    }

    #[test]
    fn rows_of_one_millisecond_stay_together() {
        let burst: Vec<i64> = (0..100).map(|i| if i < 90 { 50_000 } else { i * 1_000 }).collect();
        let sizes = pieces(&burst, 100_001, 20);
        assert!(sizes.contains(&90), "{sizes:?}");
        assert_eq!(pieces(&[0; 30], 1, 20).iter().sum::<usize>(), 30, "also at the very beginning");
    }

    #[test]
    fn what_lies_far_behind_all_that_fits_is_not_read() {
        const DAY_MS: i64 = 86_400_000;
        let kept = |days: i64, to_ms: i64, rows: i64| {
            let mut kept = Kept::new((at(0), at(days * DAY_MS)), 10, |t: &Timestamp| *t);
            // Of each of some devices all that there is.
            for _ in 0..3 {
                kept.extend((0..rows).map(|n| at(to_ms * n / rows)));
            }
            kept
        };
        let dense = kept(365, 365 * DAY_MS, 1_000);
        let (from, to) = dense.shorter().expect("a year is too long");
        assert!(from == at(0) && to < at(4 * DAY_MS), "{to}");
        assert_eq!(kept(365, 365 * DAY_MS, 3).shorter(), None, "all of it fits");
        assert_eq!(kept(365, 365 * DAY_MS, 5).shorter(), None, "a fifth of it fits");
        assert_eq!(kept(1, DAY_MS, 1_000).shorter(), None, "a day's rows lie together");
    }

    #[test]
    fn a_silence_is_passed_in_strides() {
        assert!(pieces(&[99_999], 10, 20).len() < 8);
        assert_eq!(Walk::new((at(1), at(0)), 10).piece(), None, "nothing to walk through");
    }
}
