//! Where rings cross or run over themselves or each other; touching in a point is neither.

use super::rings::{POLE, Ring, Vertex, orient};
use rstar::{AABB, RTree, RTreeObject};
use std::cmp::Ordering;

/// Where it goes wrong.
#[derive(Debug, PartialEq)]
pub(super) struct Crossing {
    /// Ring of the edge.
    pub(super) ring: usize,
    /// The edge begins at this vertex.
    pub(super) vertex: usize,
    /// Place, degrees: longitude, latitude.
    pub(super) at: (f64, f64),
}

struct Edge {
    ring: usize,
    start: usize,
    a: Vertex,
    b: Vertex,
}

impl RTreeObject for Edge {
    type Envelope = AABB<[f64; 2]>;
    fn envelope(&self) -> Self::Envelope {
        // Below 2^53: exact.
        AABB::from_corners([self.a.0 as f64, self.a.1 as f64], [self.b.0 as f64, self.b.1 as f64])
    }
}

/// The first crossing, by ring and vertex.
pub(super) fn first_crossing(rings: &[Ring]) -> Option<Crossing> {
    let edges = rings.iter().enumerate().flat_map(|(ring, vertices)| {
        super::rings::edges(vertices).enumerate().map(move |(start, (a, b))| Edge { ring, start, a, b })
    });
    let tree = RTree::bulk_load(edges.collect());
    let mut first: Option<Crossing> = None;
    for edge in &tree {
        for other in tree.locate_in_envelope_intersecting(edge.envelope()) {
            let Some(at) = meet(rings, edge, other) else { continue };
            if first.as_ref().is_none_or(|f| (edge.ring, edge.start) < (f.ring, f.vertex)) {
                first = Some(Crossing { ring: edge.ring, vertex: edge.start, at: (at.0 / 1e7, at.1 / 1e7) });
            }
        }
    }
    first
}

/// Where `e` crosses or overlaps `f`, in 1e-7 degree.
fn meet(rings: &[Ring], e: &Edge, f: &Edge) -> Option<(f64, f64)> {
    let n = rings[e.ring].len();
    let place = |v: Vertex| Some((v.0 as f64, v.1 as f64));
    if e.ring == f.ring && e.start == f.start {
        return None;
    }
    if e.ring == f.ring && (e.start + 1) % n == f.start {
        // Neighbours share a vertex; they overlap if the second goes straight back.
        let back =
            i128::from(e.b.0 - e.a.0) * i128::from(f.b.0 - f.a.0) + i128::from(e.b.1 - e.a.1) * i128::from(f.b.1 - f.a.1) < 0;
        return if orient(e.a, e.b, f.b) == 0 && back { place(e.b) } else { None };
    }
    if e.ring == f.ring && (f.start + 1) % n == e.start {
        return None;
    }
    // All longitudes are one place at a pole: what rings do there is no crossing (two that are closed over it meet there).
    let at_pole = |e: &Edge| e.a.1.abs() == POLE || e.b.1.abs() == POLE;
    if at_pole(e) && at_pole(f) {
        return None;
    }
    let side = |a, b, p| orient(a, b, p).cmp(&0);
    let (fa, fb) = (side(e.a, e.b, f.a), side(e.a, e.b, f.b));
    let (ea, eb) = (side(f.a, f.b, e.a), side(f.a, f.b, e.b));
    if fa == Ordering::Equal && fb == Ordering::Equal {
        let (e_low, e_high) = (e.a.min(e.b), e.a.max(e.b));
        let (f_low, f_high) = (f.a.min(f.b), f.a.max(f.b));
        let (low, high) = (e_low.max(f_low), e_high.min(f_high));
        return if low < high { place(low) } else { None };
    }
    if fa == fb.reverse() && fa != Ordering::Equal && ea == eb.reverse() && ea != Ordering::Equal {
        let t = orient(f.a, f.b, e.a) as f64 / (orient(f.a, f.b, e.a) - orient(f.a, f.b, e.b)) as f64;
        return Some((e.a.0 as f64 + t * (e.b.0 - e.a.0) as f64, e.a.1 as f64 + t * (e.b.1 - e.a.1) as f64));
    }
    // The other ring's vertex lies on this edge, between its ends: a crossing if that ring goes on on the other side.
    if fa == Ordering::Equal && ea != Ordering::Equal && eb == ea.reverse() {
        let other = &rings[f.ring];
        let before = side(e.a, e.b, other[(f.start + other.len() - 1) % other.len()]);
        return if before == fb.reverse() && before != Ordering::Equal { place(f.a) } else { None };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rings: &[&[(i64, i64)]]) -> Option<(usize, usize)> {
        let rings: Vec<Ring> = rings.iter().map(|r| r.iter().map(|v| (v.0 * 100, v.1 * 100)).collect()).collect();
        first_crossing(&rings).map(|c| (c.ring, c.vertex))
    }

    #[test]
    fn crossings_and_overlaps_are_found_touches_are_not() {
        assert_eq!(check(&[&[(0, 0), (4, 0), (4, 4), (0, 4)]]), None, "square");
        assert_eq!(check(&[&[(0, 0), (4, 4), (4, 0), (0, 4)]]), Some((0, 0)), "bow-tie");
        assert_eq!(check(&[&[(0, 0), (4, 0), (8, 0), (4, 0), (2, 4)]]), Some((0, 1)), "spike");
        assert_eq!(check(&[&[(0, 0), (4, 0), (2, 2), (4, 4), (0, 4), (2, 2)]]), None, "touches itself in a vertex");
        assert_eq!(check(&[&[(0, 0), (8, 0), (8, 8), (4, 0), (0, 8)]]), None, "a vertex touches an edge from inside");
        assert_eq!(
            check(&[&[(0, 0), (8, 0), (8, 8), (4, 0), (4, -4), (0, 8)]]),
            Some((0, 0)),
            "passes through an edge at a vertex"
        );
        assert_eq!(check(&[&[(0, 0), (8, 0), (8, 8), (0, 8)], &[(2, 2), (2, 4), (4, 4)]]), None, "hole");
        assert_eq!(check(&[&[(0, 0), (8, 0), (8, 8), (0, 8)], &[(0, 2), (2, 4), (2, 2)]]), None, "hole that touches");
        assert_eq!(
            check(&[&[(0, 0), (8, 0), (8, 8), (0, 8)], &[(-2, 2), (2, 4), (2, 2)]]),
            Some((0, 3)),
            "hole that reaches out"
        );
        assert_eq!(check(&[&[(0, 0), (8, 0), (8, 8), (0, 8)], &[(0, 2), (0, 4), (2, 2)]]), Some((0, 3)), "hole along the edge");
    }

    #[test]
    fn the_place_is_named() {
        let crossing = first_crossing(&[vec![(0, 0), (10_000_000, 10_000_000), (10_000_000, 0), (0, 10_000_000)]]);
        assert_eq!(crossing, Some(Crossing { ring: 0, vertex: 0, at: (0.5, 0.5) }));
    }
}
