//! Which parts may hold versions of the same row, and so must be merged; all others are read side by side.

use super::period::{day_of, day_start};
use std::collections::BTreeSet;

/// Bounds of a part in both columns of the key, all included.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent<'a> {
    /// Milliseconds since 1970.
    pub(crate) fix_time: (i64, i64),
    pub(crate) device: (&'a str, &'a str),
}

impl Extent<'_> {
    fn overlaps(&self, other: &Self) -> bool {
        self.fix_time.0 <= other.fix_time.1
            && other.fix_time.0 <= self.fix_time.1
            && self.device.0 <= other.device.1
            && other.device.0 <= self.device.1
    }

    fn within(&self, (from, to): (i64, i64)) -> Option<Self> {
        let fix_time = (self.fix_time.0.max(from), self.fix_time.1.min(to));
        (fix_time.0 <= fix_time.1).then_some(Self { fix_time, ..*self })
    }
}

/// Parts to be merged with one another (or one part to be read as it is).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    /// Indices of the parts.
    pub(crate) members: Vec<usize>,
    /// Only the rows with fix times in here, both included; `None`: all of them.
    pub(crate) clip: Option<(i64, i64)>,
}

/// Divides parts into groups: every row of every part is in exactly one group, and versions of one row are in the same.
///
/// Parts that cover many days (late or imported history) would tie all those days together. Since days don't share rows, such a
/// part is cut at the borders of the days that others cover alone, and read day by day.
pub(crate) fn groups(parts: &[Extent<'_>]) -> Vec<Group> {
    let mut groups = Vec::new();
    for members in components(&parts.iter().copied().enumerate().collect::<Vec<_>>()) {
        let extents = || members.iter().map(|i| (*i, parts[*i]));
        let cuts: BTreeSet<i64> = extents()
            .map(|(_, e)| (day_of(e.fix_time.0), day_of(e.fix_time.1)))
            .filter(|(first, last)| first == last)
            .flat_map(|(day, _)| [day_start(day), day_start(day + 1)])
            .collect();
        let from = extents().map(|(_, e)| e.fix_time.0).min();
        let to = extents().map(|(_, e)| e.fix_time.1).max();
        let (Some(from), Some(to)) = (from, to) else { continue };
        let starts: Vec<i64> = std::iter::once(from).chain(cuts.into_iter().filter(|cut| from < *cut && *cut <= to)).collect();
        if members.len() == 1 || starts.len() == 1 {
            groups.push(Group { members, clip: None });
            continue;
        }
        let ends = starts[1..].iter().map(|start| start - 1).chain([to]);
        for span in starts.iter().copied().zip(ends) {
            let inside: Vec<_> = extents().filter_map(|(i, e)| Some((i, e.within(span)?))).collect();
            for members in components(&inside) {
                let whole = members.iter().all(|i| span.0 <= parts[*i].fix_time.0 && parts[*i].fix_time.1 <= span.1);
                groups.push(Group { members, clip: (!whole).then_some(span) });
            }
        }
    }
    groups
}

/// Connected components of "overlaps", each sorted; by a sweep over fix time.
fn components(parts: &[(usize, Extent<'_>)]) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|i| parts[*i].1.fix_time.0);
    let mut leader: Vec<usize> = (0..parts.len()).collect();
    let mut open: Vec<usize> = Vec::new();
    for i in order {
        let extent = &parts[i].1;
        open.retain(|j| parts[*j].1.fix_time.1 >= extent.fix_time.0);
        for &j in &open {
            if extent.overlaps(&parts[j].1) {
                let (a, b) = (find(&leader, i), find(&leader, j));
                leader[a.max(b)] = a.min(b);
            }
        }
        open.push(i);
    }
    let mut components: Vec<Vec<usize>> = vec![Vec::new(); parts.len()];
    for i in 0..parts.len() {
        components[find(&leader, i)].push(parts[i].0);
    }
    components.retain(|c| !c.is_empty());
    components
}

fn find(leader: &[usize], mut i: usize) -> usize {
    while leader[i] != i {
        i = leader[i];
    }
    i
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;

    type Part<'a> = ((i64, i64), (&'a str, &'a str));
    type Expected<'a> = (&'a [usize], Option<(i64, i64)>);

    fn check(parts: &[Part<'_>], expected: &[Expected<'_>]) {
        let extents: Vec<_> = parts.iter().map(|(fix_time, device)| Extent { fix_time: *fix_time, device: *device }).collect();
        let expected: Vec<_> = expected.iter().map(|(m, clip)| Group { members: m.to_vec(), clip: *clip }).collect();
        assert_eq!(groups(&extents), expected);
    }

    #[test]
    fn parts_that_share_no_row_are_not_merged() {
        check(&[], &[]);
        check(&[((5, 5), ("a", "a")), ((5, 5), ("a", "a"))], &[(&[0, 1], None)]);
        // Apart in time, or in devices.
        check(&[((0, 5), ("a", "z")), ((6, 9), ("a", "z"))], &[(&[0], None), (&[1], None)]);
        check(&[((0, 5), ("a", "f")), ((0, 5), ("g", "z"))], &[(&[0], None), (&[1], None)]);
        check(&[((0, 5), ("a", "z")), ((5, 9), ("m", "n")), ((9, 12), ("a", "b"))], &[(&[0, 1], None), (&[2], None)]);
    }

    #[test]
    fn late_history_is_cut_at_the_days_of_others() {
        check(
            &[((DAY + 1, 2 * DAY - 1), ("a", "z")), ((DAY + 5, DAY + 6), ("a", "z")), ((7, 4 * DAY), ("m", "m"))],
            &[(&[2], Some((7, DAY - 1))), (&[0, 1, 2], Some((DAY, 2 * DAY - 1))), (&[2], Some((2 * DAY, 4 * DAY)))],
        );
    }
}
