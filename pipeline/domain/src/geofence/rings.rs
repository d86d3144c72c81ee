//! Rings on the unrolled Earth: longitude jumps undone, polar rings closed over the pole, what reaches past 180° cut off there.
//!
//! Vertices are `(longitude, latitude)` in 1e-7 degree; longitude may lie outside ±180 until [`split`].

/// `(longitude, latitude)` in 1e-7 degree.
pub(super) type Vertex = (i64, i64);

/// 180° and 90° in 1e-7 degree.
const HALF: i64 = 1_800_000_000;
pub(super) const POLE: i64 = 900_000_000;

/// A ring without its closing vertex: the last is joined to the first.
pub(super) type Ring = Vec<Vertex>;

/// Edges of a ring, the closing one last.
pub(super) fn edges(ring: &[Vertex]) -> impl Iterator<Item = (Vertex, Vertex)> + '_ {
    ring.iter().copied().zip(ring.iter().copied().cycle().skip(1))
}

/// Whether all vertices lie on one line.
pub(super) fn is_line(ring: &[Vertex]) -> bool {
    let Some(other) = ring.iter().find(|v| **v != ring[0]) else { return true };
    ring.iter().all(|v| orient(ring[0], *other, *v) == 0)
}

/// Even-odd, boundary undefined: enough to tell which ring a hole belongs to.
pub(super) fn encloses(ring: &[Vertex], p: Vertex) -> bool {
    edges(ring).filter(|(a, b)| (a.1 > p.1) != (b.1 > p.1) && (orient(*a, *b, p) > 0) == (b.1 > a.1)).count() % 2 == 1
}

/// Positive if `p` lies left of the line from `a` to `b`, zero if on it. Exact.
pub(super) fn orient(a: Vertex, b: Vertex, p: Vertex) -> i128 {
    i128::from(b.0 - a.0) * i128::from(p.1 - a.1) - i128::from(b.1 - a.1) * i128::from(p.0 - a.0)
}

/// Undoes jumps over ±180 and closes a ring round a pole over it. `None` if it goes round the Earth more than once.
///
/// An edge longer than half the Earth is a jump: whoever draws from 179° to -179° means the short way. Not so along a pole,
/// where all longitudes are one place. An edge of the full 360° (a belt's, or a step from -180° to 180° in a ring that was cut
/// carelessly) is one if the ring has another jump.
pub(super) fn unroll(ring: &[Vertex]) -> Option<Ring> {
    let along_pole = |a: Vertex, b: Vertex| a.1.abs() == POLE && a.1 == b.1;
    let is_jump = |dx: i64| dx.abs() > HALF && dx.abs() < 2 * HALF;
    let jumps = edges(ring).any(|(a, b)| is_jump(b.0 - a.0) && !along_pole(a, b));
    if !jumps {
        return Some(ring.to_vec());
    }
    let mut turns = 0;
    let mut out = Vec::with_capacity(ring.len() + 3);
    for (a, b) in edges(ring) {
        out.push((a.0 + turns * 2 * HALF, a.1));
        if (b.0 - a.0).abs() > HALF && !along_pole(a, b) {
            turns -= (b.0 - a.0).signum();
        }
    }
    if turns.abs() > 1 {
        return None;
    }
    if turns != 0 {
        // It goes once round: the nearer pole is inside.
        let pole = if ring.iter().map(|v| v.1).sum::<i64>() < 0 { -POLE } else { POLE };
        let first = out[0];
        let end = first.0 + turns * 2 * HALF;
        out.extend([(end, first.1), (end, pole), (first.0, pole)]);
    }
    Some(out)
}

/// Moves rings by whole turns, so that the outer one begins in -180..180 and holes lie where it does.
pub(super) fn align(rings: &mut [Ring]) {
    let west = |ring: &Ring| ring.iter().map(|v| v.0).min().unwrap_or(0);
    let east = |ring: &Ring| ring.iter().map(|v| v.0).max().unwrap_or(0);
    let turn = |ring: &mut Ring, turns: i64| ring.iter_mut().for_each(|v| v.0 += turns * 2 * HALF);
    let Some((outer, holes)) = rings.split_first_mut() else { return };
    let turns = -(west(outer) + HALF).div_euclid(2 * HALF);
    turn(outer, turns);
    let (from, to) = (west(outer), east(outer));
    for hole in holes {
        let turns = -(west(hole) - from).div_euclid(2 * HALF);
        turn(hole, turns);
        if west(hole) > to {
            turn(hole, -1);
        }
    }
}

/// Cuts aligned rings (outer first) at 180° and brings the eastern part home: polygons within ±180, each with its outer ring first.
pub(super) fn split(rings: Vec<Ring>) -> Vec<Vec<Ring>> {
    if rings.iter().flatten().all(|v| v.0 <= HALF) {
        return vec![rings];
    }
    let mut out = clip(&rings, 1);
    let home = |v: &mut Vertex| v.0 -= 2 * HALF;
    let mut eastern = clip(&rings, -1);
    eastern.iter_mut().flatten().flatten().for_each(home);
    out.append(&mut eastern);
    out
}

/// A run of vertices on the kept side, with the places where it comes in and goes out.
struct Chain {
    vertices: Vec<Vertex>,
    used: bool,
}

/// What of `rings` lies on one side of 180°: west of it (`side` = 1) or east (-1).
///
/// Ends of runs, ordered along the cut, are joined two and two: by the even-odd rule the area is between the first and the
/// second, the third and the fourth… whichever ring they come from.
fn clip(rings: &[Ring], side: i64) -> Vec<Vec<Ring>> {
    let kept = |v: &Vertex| side * (v.0 - HALF) < 0;
    let mut whole = Vec::new();
    let mut chains = Vec::new();
    for (i, ring) in rings.iter().enumerate() {
        match ring.iter().position(|v| !kept(v)) {
            None => whole.push((i == 0, ring.clone())),
            Some(start) => runs(ring, start, kept, &mut chains),
        }
    }
    let mut polygons: Vec<Vec<Ring>> = join(chains).into_iter().map(|ring| vec![ring]).collect();
    for (outer, ring) in whole {
        if outer {
            polygons.push(vec![ring]);
        } else if let Some(home) = polygons.iter_mut().find(|p| encloses(&p[0], ring[0])) {
            home.push(ring);
        }
    }
    polygons
}

/// Appends the runs of kept vertices of a ring, beginning behind `start`, which is not kept.
fn runs(ring: &Ring, start: usize, kept: impl Fn(&Vertex) -> bool, chains: &mut Vec<Chain>) {
    let mut run: Vec<Vertex> = Vec::new();
    let n = ring.len();
    for (a, b) in (0..n).map(|k| (ring[(start + k) % n], ring[(start + k + 1) % n])) {
        match (kept(&a), kept(&b)) {
            (false, true) => run.extend([cut(a, b), b]),
            (true, true) => run.push(b),
            (true, false) => {
                run.push(cut(a, b));
                chains.push(Chain { vertices: std::mem::take(&mut run), used: false });
            }
            (false, false) => {}
        }
    }
}

/// Where an edge meets 180°, latitude rounded to 1e-7 degree.
fn cut(a: Vertex, b: Vertex) -> Vertex {
    let (a, b) = if a.0 < b.0 { (a, b) } else { (b, a) };
    let (dx, dy) = (i128::from(b.0 - a.0), i128::from(b.1 - a.1));
    let y = i128::from(a.1) + (2 * i128::from(HALF - a.0) * dy + dx).div_euclid(2 * dx);
    (HALF, i64::try_from(y).unwrap_or(a.1))
}

/// Joins runs to rings along the cut.
fn join(mut chains: Vec<Chain>) -> Vec<Ring> {
    // (latitude of the end, run, whether it is the run's last vertex)
    let mut ends: Vec<(i64, usize, bool)> = chains
        .iter()
        .enumerate()
        .flat_map(|(i, c)| [(c.vertices[0].1, i, false), (c.vertices[c.vertices.len() - 1].1, i, true)])
        .collect();
    ends.sort_unstable();
    let place: std::collections::HashMap<(usize, bool), usize> =
        ends.iter().enumerate().map(|(at, &(_, i, last))| ((i, last), at)).collect();
    let mut out = Vec::new();
    for first in 0..chains.len() {
        let (mut at, mut forward, mut ring) = (first, true, Vec::new());
        while !std::mem::replace(&mut chains[at].used, true) {
            let mut vertices = std::mem::take(&mut chains[at].vertices);
            if !forward {
                vertices.reverse();
            }
            ring.append(&mut vertices);
            // The end's partner: places 0 and 1, 2 and 3, …
            let (_, next, last) = ends[place[&(at, forward)] ^ 1];
            (at, forward) = (next, !last);
        }
        if !ring.is_empty() {
            out.push(ring);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEG: i64 = 10_000_000;

    fn ring(degrees: &[(i64, i64)]) -> Ring {
        degrees.iter().map(|(x, y)| (x * DEG, y * DEG)).collect()
    }

    /// Twice the enclosed area, positive if counterclockwise. Exact.
    fn doubled_area(ring: &[Vertex]) -> i128 {
        edges(ring).map(|(a, b)| i128::from(a.0) * i128::from(b.1) - i128::from(b.0) * i128::from(a.1)).sum()
    }

    fn area_deg2(polygons: &[Vec<Ring>]) -> i128 {
        let of = |r: &Ring| doubled_area(r).abs() / i128::from(DEG * DEG);
        polygons.iter().map(|p| of(&p[0]) - p[1..].iter().map(of).sum::<i128>()).sum::<i128>() / 2
    }

    #[test]
    fn a_jump_over_180_is_the_short_way() {
        let unrolled = unroll(&ring(&[(179, 0), (-179, 0), (-179, 2), (179, 2)])).expect("once");
        assert_eq!(unrolled, ring(&[(179, 0), (181, 0), (181, 2), (179, 2)]));
        let parts = split(vec![unrolled]);
        assert_eq!(parts.len(), 2);
        assert_eq!(area_deg2(&parts), 4);
    }

    #[test]
    fn a_belt_round_the_earth_stays() {
        let belt = ring(&[(-180, 10), (180, 10), (180, 20), (-180, 20)]);
        assert_eq!(unroll(&belt), Some(belt));
    }

    #[test]
    fn a_ring_round_a_pole_is_closed_over_it() {
        let mut rings = vec![unroll(&ring(&[(-120, -70), (0, -70), (120, -70)])).expect("once")];
        align(&mut rings);
        assert_eq!(area_deg2(&split(rings)), 360 * 20);
    }

    #[test]
    fn a_comb_across_180_falls_into_its_teeth() {
        // Two teeth reach past 180°, joined at 170°..175°; a hole crosses the cut in the first one, another lies east of it.
        let comb = ring(&[(170, 0), (190, 0), (190, 10), (175, 10), (175, 20), (190, 20), (190, 30), (170, 30)]);
        let crossing = ring(&[(178, 4), (178, 6), (182, 6), (182, 4)]);
        let beside = ring(&[(185, 22), (185, 24), (187, 24), (187, 22)]);
        for reversed in [false, true] {
            let mut rings = vec![comb.clone(), crossing.clone(), beside.clone()];
            if reversed {
                rings[0].reverse();
            }
            let parts = split(rings);
            assert_eq!(area_deg2(&parts), 200 + 50 + 200 - 8 - 4);
            let eastern: Vec<_> = parts.iter().filter(|p| p[0].iter().all(|v| v.0 < 0)).collect();
            assert_eq!(eastern.len(), 2);
            assert_eq!(eastern.iter().map(|p| p.len()).sum::<usize>(), 3);
        }
    }

    #[test]
    fn holes_are_brought_to_where_their_ring_is() {
        let mut rings = vec![ring(&[(170, 0), (190, 0), (190, 10), (170, 10)]), ring(&[(-178, 2), (-176, 2), (-177, 4)])];
        align(&mut rings);
        assert_eq!(rings[1], ring(&[(182, 2), (184, 2), (183, 4)]));
    }
}
