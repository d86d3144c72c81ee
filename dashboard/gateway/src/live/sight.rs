//! Tests of an area and of sockets that look at parts of it: whatever happens in whatever order, browsers end with the truth.

use super::area::Area;
use super::board::tests::{at, live};
use super::board::{Board, LinkLimits};
use super::client::{ClientView, Now};
use super::client_cells::{ClientCells, PartBeat};
use super::tiles::{Spot, Tiles};
use super::view::Outgoing;
use super::window::WINDOW;
use crate::wire::Viewport;
use crate::wire::cells::{CELLS_PER_TILE, CellSum, decode_cells};
use crate::wire::frame::{FrameKind, decode_frame, flags};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::f64::consts::PI;
use std::time::Duration;
use waystream_domain::Catalog;

/// Vehicles of a part from which on it is counted.
const INDIVIDUALS: usize = 30;

/// By column and row.
type Cells = BTreeMap<(u32, u32), CellSum>;

/// What a browser would make of what it gets.
#[derive(Default)]
struct Browser {
    rows: BTreeSet<u32>,
    vehicles: BTreeMap<u32, i32>,
    cells: Option<(Viewport, Cells)>,
    snapshots: usize,
    records: usize,
    /// Of frames of cells.
    cell_bytes: usize,
    unacknowledged: Vec<u32>,
}

impl Browser {
    fn receive(&mut self, outgoing: &Outgoing) {
        if let Some(slots) = &outgoing.slots {
            self.rows.extend(slots.slots.iter().map(|row| row.0));
        }
        self.unacknowledged.push(outgoing.seq);
        assert!(self.unacknowledged.len() <= 2 * WINDOW);
        if let Ok(frame) = decode_cells(&outgoing.frame) {
            self.cell_bytes += outgoing.frame.len();
            let Viewport { zoom, x, y, w, h } = frame.viewport;
            let part = Tiles::new(&frame.viewport);
            let old = self.cells.take().filter(|(old, _)| frame.head.flags & flags::FULL == 0 && old.zoom == zoom);
            let mut cells = old.map(|(_, cells)| cells).unwrap_or_default();
            cells.retain(|(cx, cy), _| part.is_some_and(|p| p.has((cx / CELLS_PER_TILE, cy / CELLS_PER_TILE))));
            for record in frame.cells {
                let wide = w * CELLS_PER_TILE;
                let column = (x * CELLS_PER_TILE + record.cell % wide) % (CELLS_PER_TILE << zoom);
                let at = (column, y * CELLS_PER_TILE + record.cell / wide);
                if record.sum.count() == 0 {
                    cells.remove(&at)
                } else {
                    cells.insert(at, record.sum)
                };
            }
            self.cells = (w > 0 && h > 0).then_some((frame.viewport, cells));
            return;
        }
        let frame = decode_frame(&outgoing.frame).expect("our own frame");
        self.snapshots += usize::from(frame.head.flags & flags::LAST != 0);
        self.records += frame.records.len();
        for r in frame.records {
            assert!(self.rows.contains(&r.slot), "a row comes before its slot is used");
            if frame.head.kind == FrameKind::Removed {
                self.vehicles.remove(&r.slot);
            } else {
                self.vehicles.insert(r.slot, r.lat_e6);
            }
        }
    }
}

struct Socket {
    part: Tiles,
    window: ClientView,
    cells: ClientCells,
    browser: Browser,
}

struct Scene {
    board: Board,
    area: Area,
    beats: HashMap<Tiles, PartBeat>,
    sockets: Vec<Socket>,
    in_area: BTreeSet<u32>,
    seq: u32,
    position_seq: u64,
    up: Duration,
}

fn part(zoom: u8, x: u32, y: u32, w: u32, h: u32) -> Tiles {
    Tiles::new(&Viewport { zoom, x, y, w, h }).expect("a part of the map")
}

impl Scene {
    fn new(vehicles: u32) -> Self {
        let mut scene = Self {
            board: Board::new(1, LinkLimits::default()),
            area: Area::new(INDIVIDUALS),
            beats: HashMap::new(),
            sockets: Vec::new(),
            in_area: BTreeSet::new(),
            seq: 0,
            position_seq: 0,
            up: Duration::ZERO,
        };
        (0..vehicles).for_each(|slot| scene.drive(slot, 0.0, 0.0));
        scene
    }

    fn now(&self) -> Now {
        Now { wall: at(0), up: self.up }
    }

    /// Also brings a vehicle in.
    fn drive(&mut self, slot: u32, lat: f64, lon: f64) {
        self.position_seq += 1;
        let (found, _) =
            self.board.apply(live(&format!("d{slot}"), "f", self.position_seq, lat, lon), &Catalog::default(), at(0));
        assert_eq!(found, slot);
        self.in_area.insert(slot);
        self.area.put(slot, Spot::of(&self.board.record(slot)));
    }

    fn vanish(&mut self, slot: u32) {
        self.in_area.remove(&slot);
        self.area.remove(slot);
    }

    fn enter(&mut self, part: Tiles) {
        self.area.enter(part);
        self.beats.entry(part).or_insert_with(|| PartBeat::new(self.area.state()));
    }

    fn connect(&mut self, part: Tiles) {
        self.enter(part);
        let window = ClientView::new(self.area.view(&part).expect("entered"), self.now());
        self.sockets.push(Socket { part, window, cells: ClientCells::default(), browser: Browser::default() });
    }

    fn pan(&mut self, n: usize, to: Tiles) {
        let old = self.sockets[n].part;
        if old == to {
            return;
        }
        self.enter(to);
        let (from, view) = (self.area.view(&old).expect("entered"), self.area.view(&to).expect("entered"));
        self.sockets[n].window.move_to(from, view);
        self.sockets[n].part = to;
        self.area.leave(old);
        if self.sockets.iter().all(|socket| socket.part != old) {
            self.beats.remove(&old);
        }
    }

    /// `takes`: whether sockets have room for what is sent.
    fn tick(&mut self, beat: bool, takes: bool) {
        self.up += Duration::from_millis(100);
        let now = self.now();
        let Self { board, area, beats, sockets, seq, .. } = self;
        let mut next = || {
            *seq += 1;
            *seq
        };
        if beat {
            for (part, before) in area.tell() {
                for socket in sockets.iter_mut().filter(|s| s.part == part) {
                    socket.window.move_to(&before, area.view(&part).expect("entered"));
                }
            }
            for (part, beat) in beats.iter_mut() {
                let Some((since, cells)) = beat.due(area, part, now) else { continue };
                let mut shared = None;
                for socket in sockets.iter_mut().filter(|s| s.part == *part && s.cells.can_take(part, since)) {
                    if cells.is_empty() {
                        socket.cells.took(*part, area.state(), None, now);
                    } else if takes {
                        let outgoing: &Outgoing = shared.get_or_insert_with(|| {
                            let seq = next();
                            Outgoing { slots: None, seq, frame: beat.frame(part, &cells, (now.wall, now.up), (1, seq)) }
                        });
                        socket.cells.took(*part, area.state(), Some(outgoing), now);
                        socket.browser.receive(outgoing);
                    }
                }
            }
        }
        for part in beats.keys() {
            let view = area.view_mut(part).expect("entered");
            let Some(tick) = view.tick(board, now.wall, &mut next) else { continue };
            for socket in sockets.iter_mut().filter(|s| s.part == *part) {
                let direct = socket.window.take_tick(&tick);
                if direct.is_empty() {
                    continue;
                }
                if takes {
                    socket.window.tick_sent(&tick, view, now);
                    direct.iter().for_each(|o| socket.browser.receive(o));
                } else {
                    socket.window.tick_refused(&tick);
                }
            }
        }
        (0..self.sockets.len()).for_each(|n| self.catch_up(n, takes));
    }

    fn catch_up(&mut self, n: usize, takes: bool) {
        let now = self.now();
        let Self { board, area, beats, sockets, seq, .. } = self;
        let mut next = || {
            *seq += 1;
            *seq
        };
        let Socket { part, window, cells, browser } = &mut sockets[n];
        let mut send = |o: &Outgoing| {
            if takes {
                browser.receive(o);
            }
            takes
        };
        let (view, place) = (area.view(part).expect("entered"), Some((&*area, *part, beats[part].told)));
        cells.catch_up(place, false, (1, now), &mut next, &mut send);
        window.catch_up(view, board, now, &mut next, &mut send);
        cells.catch_up(place, window.is_up_to_date(view), (1, now), &mut next, &mut send);
    }

    fn acknowledge(&mut self, n: usize) {
        let now = self.now();
        let Socket { window, cells, browser, .. } = &mut self.sockets[n];
        for seq in browser.unacknowledged.drain(..) {
            window.acknowledge(seq, now);
            cells.acknowledge(seq, now);
        }
    }

    fn settle(&mut self) {
        for _ in 0..20 {
            (0..self.sockets.len()).for_each(|n| self.acknowledge(n));
            self.up += Duration::from_secs(1);
            self.tick(true, true);
        }
        self.check();
    }

    fn check(&self) {
        for Socket { part, browser, .. } in &self.sockets {
            let place = |slot: u32| Spot::of(&self.board.record(slot)).place;
            let inside: BTreeSet<u32> = self.in_area.iter().copied().filter(|&slot| part.contains(place(slot))).collect();
            if self.area.is_counted(part) {
                assert!(inside.len() > INDIVIDUALS * 8 / 10, "few vehicles are told of one by one");
                assert_eq!(browser.vehicles, BTreeMap::new());
                let (viewport, cells) = browser.cells.as_ref().expect("cells are told");
                assert_eq!(*viewport, part.viewport());
                let mut counts: BTreeMap<(u32, u32), u32> = BTreeMap::new();
                for &slot in &inside {
                    *counts.entry(place(slot).tile(part.zoom() + 2)).or_default() += 1;
                }
                assert_eq!(cells.iter().map(|(at, sum)| (*at, sum.count() as u32)).collect::<BTreeMap<_, _>>(), counts);
            } else {
                assert!(inside.len() <= INDIVIDUALS, "many vehicles are counted");
                assert!(browser.cells.is_none());
                let seen: BTreeSet<u32> = browser.vehicles.keys().copied().collect();
                assert!(inside.is_subset(&seen), "who is in sight is told of");
                assert!(seen.iter().all(|slot| self.in_area.contains(slot) && part.is_near(place(*slot))));
                assert!(browser.vehicles.iter().all(|(&slot, &lat)| self.board.record(slot).lat_e6 == lat));
            }
        }
    }
}

#[test]
fn a_step_to_the_side_tells_only_what_is_new_there() {
    let mut scene = Scene::new(20);
    (0..20).for_each(|slot| scene.drive(slot, 10.0, f64::from(slot) * 2.0 + 1.0));
    // Tiles of 11.25 degrees.
    scene.connect(part(5, 16, 14, 2, 2));
    scene.settle();
    let before = scene.sockets[0].browser.records;
    assert_eq!(before, 11);
    scene.pan(0, part(5, 17, 14, 2, 2));
    scene.settle();
    // Six in the tile that goes, six in the one that comes.
    assert_eq!(scene.sockets[0].browser.records - before, 12);
    assert_eq!(scene.sockets[0].browser.snapshots, 1);
}

#[test]
fn who_drives_along_the_edge_does_not_come_and_go() {
    let mut scene = Scene::new(1);
    scene.drive(0, 10.0, 11.0);
    scene.connect(part(5, 16, 14, 1, 2));
    scene.settle();
    for step in 0..20 {
        scene.drive(0, 10.0, 11.25 + f64::from(step % 2) - 0.5);
        scene.settle();
    }
    // The snapshot and every move, but no removal.
    assert_eq!(scene.sockets[0].browser.records, 21);
    scene.drive(0, 10.0, 30.0);
    scene.settle();
    assert!(scene.sockets[0].browser.vehicles.is_empty());
    // Near is not in.
    scene.drive(0, 10.0, 11.5);
    scene.settle();
    assert!(scene.sockets[0].browser.vehicles.is_empty());
}

#[test]
fn who_comes_back_before_it_was_told_of_another_part_misses_nothing() {
    let mut scene = Scene::new(40);
    (0..40).for_each(|slot| scene.drive(slot, 10.0, 1.0));
    let (here, there) = (part(5, 16, 14, 2, 2), part(5, 20, 14, 2, 2));
    scene.connect(here);
    scene.settle();
    scene.pan(0, there);
    (0..40).for_each(|slot| scene.drive(slot, 10.0, 20.0));
    scene.pan(0, here);
    scene.settle();
}

#[test]
fn cells_stay_until_the_vehicles_are_there() {
    let mut scene = Scene::new(40);
    (0..40).for_each(|slot| scene.drive(slot, 10.0, f64::from(slot) / 10.0));
    scene.connect(part(5, 16, 14, 2, 2));
    scene.tick(false, true);
    let browser = &scene.sockets[0].browser;
    assert_eq!(browser.cells.as_ref().map(|(_, cells)| cells.values().map(CellSum::count).sum()), Some(40));
    assert!(browser.vehicles.is_empty());
    (0..20).for_each(|slot| scene.drive(slot, 50.0, 100.0));
    let (state, now) = (scene.area.state(), scene.now());
    let frame = |seq| Outgoing { slots: None, seq, frame: Bytes::new() };
    let frames = (0..WINDOW as u32).map(|n| frame(1_000 + n));
    frames.for_each(|frame| scene.sockets[0].cells.took(part(5, 16, 14, 2, 2), state, Some(&frame), now));
    scene.tick(true, true);
    // The window is full: the cells go later.
    assert_eq!((scene.sockets[0].browser.vehicles.len(), scene.sockets[0].browser.cells.is_some()), (20, true));
    scene.sockets[0].browser.unacknowledged.push(1_002);
    scene.settle();
}

#[test]
fn sockets_that_show_the_same_share_frames_and_others_get_what_is_theirs() {
    let mut scene = Scene::new(50);
    (0..50).for_each(|slot| scene.drive(slot, 1.0, 1.0));
    scene.connect(part(5, 16, 14, 2, 2));
    scene.connect(part(5, 16, 14, 2, 2));
    scene.settle();
    for socket in &scene.sockets {
        assert!(socket.cells.can_take(&socket.part, scene.area.state()));
    }
    let seq = scene.seq;
    scene.drive(0, 1.0, 20.0);
    scene.tick(true, true);
    assert_eq!(scene.seq, seq + 1, "one frame for both");
    scene.settle();
}

#[test]
fn however_many_cells_change_a_browser_gets_no_more_than_twenty_thousand_bytes_a_second() {
    // As many tiles as a viewport may have, a vehicle in each of their cells, and all of them change every second.
    let (wide, high) = (80, 64);
    let mut scene = Scene::new(wide * high);
    for slot in 0..wide * high {
        let middle = |n: u32| (f64::from(n) + 0.5) / 256.0;
        let (column, row) = (middle(22 * CELLS_PER_TILE + slot % wide), middle(24 * CELLS_PER_TILE + slot / wide));
        scene.drive(slot, (PI * (1.0 - 2.0 * row)).sinh().atan().to_degrees(), column * 360.0 - 180.0);
    }
    scene.connect(part(6, 22, 24, 20, 16));
    scene.settle();
    let before = scene.sockets[0].browser.cell_bytes;
    for tick in 0..600u32 {
        let beat = tick % 10 == 0;
        for slot in (0..wide * high).filter(|_| beat) {
            scene.area.put(slot, Spot { speed_kmh: Some((tick / 10) as u8), ..Spot::of(&scene.board.record(slot)) });
        }
        scene.acknowledge(0);
        scene.tick(beat, true);
    }
    let told = scene.sockets[0].browser.cell_bytes - before;
    // So few that something has held them back, and no fewer.
    assert!((60 * 10_000..=60 * 20_000).contains(&told), "{told} bytes in a minute");
    scene.settle();
    let (_, cells) = scene.sockets[0].browser.cells.as_ref().expect("cells are told");
    assert!(cells.values().all(|sum| sum.speed_kmh == 59), "what was held back is told in the end");
}

#[test]
fn whatever_happens_in_whatever_order_browsers_end_with_the_truth() {
    for seed in 1..=8u64 {
        // A small generator (Knuth's MMIX constants), so that a failure repeats.
        let mut random = seed;
        let mut draw = move |n: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % n
        };
        let mut scene = Scene::new(80);
        let any = |draw: &mut dyn FnMut(u64) -> u64| {
            let zoom = 3 + draw(3) as u8;
            let centre = 1u32 << (zoom - 1);
            let (x, y) = (centre - 2 + draw(3) as u32, centre - 2 + draw(3) as u32);
            part(zoom, x, y, 1 + draw(3) as u32, 1 + draw(3) as u32)
        };
        for _ in 0..3 {
            let part = any(&mut draw);
            scene.connect(part);
        }
        for step in 0..6_000 {
            let (slot, n) = (draw(80) as u32, draw(3) as usize);
            match draw(12) {
                0 => scene.vanish(slot),
                1..=4 => {
                    let wide = if draw(3) == 0 { 60.0 } else { 8.0 };
                    let mut coordinate = || (draw(1_000) as f64 / 500.0 - 1.0) * wide;
                    let (lat, lon) = (coordinate(), coordinate());
                    scene.drive(slot, lat, lon);
                }
                5 => {
                    scene.area.rename(slot);
                }
                6 => {
                    let to = any(&mut draw);
                    scene.pan(n, to);
                    let takes = draw(2) == 0;
                    scene.catch_up(n, takes);
                }
                7..=9 => {
                    let (beat, takes) = (draw(3) == 0, draw(4) > 0);
                    scene.tick(beat, takes);
                }
                _ => scene.acknowledge(n),
            }
            if step % 500 == 0 {
                scene.settle();
            }
        }
        scene.settle();
    }
}
