//! Lists of vehicles in an order, worked out from the board a piece at a time: whoever waits for the board never waits for a list.

use super::board::Board;
use super::{Look, SharedBoard};
use crate::wire::frame::SPEED_UNKNOWN;
use crate::wire::{ListedVehicle, VehicleSort};
use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::time::{Duration, Instant};
use waystream_domain::{DeviceId, FleetId};

/// Vehicles looked at while the board is held.
const PIECE: usize = 4_096;
/// Longest digits of a number in a name that are compared as a number.
const DIGITS: usize = 12;
/// Ranks of names are good for so many times what it took to work them out: names change seldom, and a list may be a little old.
const RANKS_KEPT: u32 = 20;

/// Which vehicles.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// Of these fleets.
    pub(crate) fleets: BTreeSet<FleetId>,
    /// Part of name or id, in lower case.
    pub(crate) text: String,
    /// By [`Look`]; all if none is.
    pub(crate) looks: [bool; Look::ALL.len()],
    /// Only these.
    pub(crate) devices: Option<BTreeSet<DeviceId>>,
    /// In which order.
    pub(crate) sort: VehicleSort,
}

/// The answer.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    /// Slots in order.
    pub(crate) order: Vec<u32>,
    /// By [`Look`], whatever looks are wanted.
    pub(crate) looks: [usize; Look::ALL.len()],
}

/// Places of all vehicles in the order of their names, by slot.
#[derive(Debug, Default)]
pub(crate) struct Ranks {
    of_slot: Vec<u32>,
    names: u64,
    made: Option<Instant>,
    took: Duration,
}

impl Ranks {
    /// Whoever is new is at the end.
    fn of(&self, slot: u32) -> u32 {
        self.of_slot.get(slot as usize).copied().unwrap_or(u32::MAX)
    }

    /// Works them out anew where names have changed.
    pub(crate) fn refresh(&mut self, shared: &SharedBoard) {
        let began = Instant::now();
        let names = shared.read().unwrap_or_else(PoisonError::into_inner).names();
        let is_recent = self.made.is_some_and(|made| began - made < self.took * RANKS_KEPT);
        if self.made.is_some() && (names == self.names || is_recent) {
            return;
        }
        let mut keys = Vec::new();
        pieces(shared, |board, slot| keys.push((name_key(&board.vehicle(slot).name), slot)));
        keys.sort_unstable();
        self.of_slot = vec![u32::MAX; keys.len()];
        for (rank, (_, slot)) in (0..).zip(&keys) {
            self.of_slot[*slot as usize] = rank;
        }
        *self = Self { of_slot: std::mem::take(&mut self.of_slot), names, made: Some(Instant::now()), took: began.elapsed() };
    }
}

/// `Bus 7` before `bus 12`.
fn name_key(name: &str) -> String {
    let mut key = String::with_capacity(name.len() + DIGITS);
    let mut digits = String::new();
    let end_number = |key: &mut String, digits: &mut String| {
        if !digits.is_empty() {
            key.extend(std::iter::repeat_n('0', DIGITS.saturating_sub(digits.len())));
            key.push_str(digits);
            digits.clear();
        }
    };
    for c in name.chars().flat_map(char::to_lowercase) {
        if c.is_ascii_digit() {
            digits.push(c);
        } else {
            end_number(&mut key, &mut digits);
            key.push(c);
        }
    }
    end_number(&mut key, &mut digits);
    key
}

/// Looks at every slot, and lets go of the board again and again.
fn pieces(shared: &SharedBoard, mut look: impl FnMut(&Board, u32)) {
    let mut from = 0;
    loop {
        let board = shared.read().unwrap_or_else(PoisonError::into_inner);
        let to = board.len().min(from + PIECE);
        (from..to).for_each(|slot| look(&board, slot as u32));
        if to == board.len() {
            return;
        }
        from = to;
    }
}

/// Who is wanted, in order.
pub(crate) fn list(shared: &SharedBoard, wanted: &Wanted, ranks: &Ranks) -> Listed {
    let mut keyed: Vec<(u64, u32)> = Vec::new();
    let mut looks = [0; Look::ALL.len()];
    let all_looks = !wanted.looks.contains(&true);
    let mut consider = |board: &Board, slot: u32| {
        let vehicle = board.vehicle(slot);
        let has_text = || {
            wanted.text.is_empty()
                || vehicle.name.to_lowercase().contains(&wanted.text)
                || vehicle.device.as_str().to_lowercase().contains(&wanted.text)
        };
        if vehicle.removed || !wanted.fleets.contains(&vehicle.fleet) || !has_text() {
            return;
        }
        let record = board.record(slot);
        let look = Look::of(record.status);
        looks[look as usize] += 1;
        if !all_looks && !wanted.looks[look as usize] {
            return;
        }
        let key = match wanted.sort {
            VehicleSort::Name => 0,
            VehicleSort::Status => Look::BY_URGENCY.iter().position(|&l| l == look).unwrap_or(0) as u64,
            VehicleSort::Speed if record.speed == SPEED_UNKNOWN => u64::from(SPEED_UNKNOWN),
            VehicleSort::Speed => u64::from(SPEED_UNKNOWN - 1 - record.speed),
            VehicleSort::Age => u64::MAX - record.fix_time_ms.max(0) as u64,
        };
        keyed.push((key, slot));
    };
    match &wanted.devices {
        None => pieces(shared, consider),
        Some(devices) => {
            let devices: Vec<&DeviceId> = devices.iter().collect();
            for piece in devices.chunks(PIECE) {
                let board = shared.read().unwrap_or_else(PoisonError::into_inner);
                piece.iter().filter_map(|device| board.find(device)).for_each(|(slot, _)| consider(&board, slot));
            }
        }
    }
    keyed.sort_unstable_by_key(|&(key, slot)| (key, ranks.of(slot), slot));
    Listed { order: keyed.into_iter().map(|(_, slot)| slot).collect(), looks }
}

/// A vehicle as it is listed, if it is still in one of these fleets.
pub(crate) fn listed_vehicle(board: &Board, slot: u32, fleets: &BTreeSet<FleetId>) -> Option<ListedVehicle> {
    let vehicle = board.vehicle(slot);
    let record = (!vehicle.removed && fleets.contains(&vehicle.fleet)).then(|| board.record(slot))?;
    Some(ListedVehicle {
        device: vehicle.device.to_string(),
        name: vehicle.name.clone(),
        fleet: vehicle.fleet.to_string(),
        look: Look::of(record.status) as u8,
        speed_kmh: (record.speed != SPEED_UNKNOWN).then(|| f64::from(record.speed) / 10.0),
        course_deg: f64::from(record.course) * 360.0 / 256.0,
        fix_time: record.fix_time_ms,
        lat: f64::from(record.lat_e6) / 1e6,
        lon: f64::from(record.lon_e6) / 1e6,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::board::LinkLimits;
    use crate::live::board::tests::{at, live};
    use std::sync::{Arc, RwLock};
    use waystream_domain::{Catalog, CatalogEdit, CatalogEntry, LivePosition};

    /// Device, name, fleet, second of its fix, metres per second; everything is seen at second 1,000.
    const SOME: [(&str, &str, &str, u64, f32); 5] = [
        ("x1", "Bus 12", "day", 995, 10.0),
        ("x2", "bus 7", "night", 990, 20.0),
        ("x3", "Van", "day", 700, 5.0),
        ("x4", "Bus 7a", "day", 999, 0.0),
        ("x5", "Bus 1", "their", 999, 0.0),
    ];

    fn board() -> SharedBoard {
        let mut catalog = Catalog::default();
        let mut board = Board::new(1, LinkLimits::default());
        for (id, name, fleet, second, speed_mps) in SOME {
            let device = waystream_domain::catalog::Device {
                id: id.parse().expect("id"),
                fleet: fleet.parse().expect("id"),
                name: name.into(),
            };
            catalog.apply(CatalogEdit::Put(CatalogEntry::Device(device)));
            let mut position: LivePosition = live(id, fleet, second, 1.0, 2.0);
            position.position.speed_mps = Some(speed_mps);
            board.apply(position, &catalog, at(1_000_000));
        }
        Arc::new(RwLock::new(board))
    }

    fn names(board: &SharedBoard, wanted: Wanted) -> (Vec<String>, [usize; 6]) {
        let mut ranks = Ranks::default();
        ranks.refresh(board);
        let Listed { order, looks } = list(board, &wanted, &ranks);
        let board = board.read().expect("no panic");
        (order.iter().map(|&slot| board.vehicle(slot).name.clone()).collect(), looks)
    }

    fn all(sort: VehicleSort) -> Wanted {
        let fleets = ["day", "night"].map(|f| f.parse().expect("id")).into();
        Wanted { fleets, text: String::new(), looks: [false; 6], devices: None, sort }
    }

    #[test]
    fn vehicles_are_listed_in_the_order_that_was_asked_for_and_only_one_s_own() {
        let board = board();
        for (sort, expected) in [
            (VehicleSort::Name, ["bus 7", "Bus 7a", "Bus 12", "Van"]),
            (VehicleSort::Status, ["bus 7", "Bus 12", "Bus 7a", "Van"]),
            (VehicleSort::Speed, ["bus 7", "Bus 12", "Van", "Bus 7a"]),
            (VehicleSort::Age, ["Bus 7a", "Bus 12", "bus 7", "Van"]),
        ] {
            assert_eq!(names(&board, all(sort)).0, expected, "{sort:?}");
        }
    }

    #[test]
    fn vehicles_are_found_by_text_look_and_device_and_counted_by_look() {
        let board = board();
        let counts = [2, 1, 0, 1, 0, 0];
        assert_eq!(names(&board, all(VehicleSort::Name)).1, counts);
        let looks = [false, true, false, true, false, false];
        assert_eq!(names(&board, Wanted { looks, ..all(VehicleSort::Name) }), (vec!["Bus 7a".into(), "Van".into()], counts));
        let text = |text: &str| names(&board, Wanted { text: text.into(), ..all(VehicleSort::Name) }).0;
        assert_eq!(
            (text("bus"), text("x3"), text("x5")),
            (vec!["bus 7".into(), "Bus 7a".into(), "Bus 12".into()], vec!["Van".into()], vec![])
        );
        let devices = ["x3", "x5", "x3", "nobody"].map(|d| d.parse().expect("id")).into();
        assert_eq!(names(&board, Wanted { devices: Some(devices), ..all(VehicleSort::Age) }).0, ["Van"]);
    }

    #[test]
    fn another_name_is_another_place() {
        let board = board();
        let mut ranks = Ranks::default();
        ranks.refresh(&board);
        let device = waystream_domain::catalog::Device {
            id: "x1".parse().expect("id"),
            fleet: "day".parse().expect("id"),
            name: "Ambulance".into(),
        };
        board.write().expect("no panic").edit(&device.id, Some(&device));
        ranks.took = Duration::ZERO;
        ranks.refresh(&board);
        let Listed { order, .. } = list(&board, &all(VehicleSort::Name), &ranks);
        assert_eq!(order[0], 0);
    }
}
