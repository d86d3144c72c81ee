//! States that earlier versions have written are still read, with all that they remember.
#![allow(clippy::unwrap_used)]

use waystream_domain::codec::{decode_segments, decode_state, encode_segments, encode_state};
use waystream_domain::geofence::validate::{Checks, polygons};
use waystream_domain::geofence::{FenceRules, GeofenceIndex, IndexEdit, Touched};
use waystream_domain::{
    Attributes, CatalogEdit, CatalogEntry, DeviceState, Geofence, LatLon, Position, Rules, Timestamp, TripRules, catalog::Fleet,
};

/// A state and its last fixes, hexadecimal, as the version wrote them in which entries had whole bytes.
const OF_WHOLE_BYTES: &str = include_str!("stored/whole-bytes.hex");

fn rules() -> Rules {
    Rules { trips: Some(TripRules::default()), ..Rules::default() }
}

fn edit(index: &mut GeofenceIndex, edit: CatalogEdit) {
    index.apply(IndexEdit::new(&edit).unwrap(), &mut Touched::default());
}

fn fence(id: &str, version: u64, west: f64, east: f64, rules: FenceRules) -> CatalogEdit {
    let ring = vec![(west, 9.9), (east, 9.9), (east, 10.1), (west, 10.1)];
    CatalogEdit::Put(CatalogEntry::Geofence(Geofence {
        id: id.parse().unwrap(),
        organisation: "org".parse().unwrap(),
        fleet: None,
        group: None,
        name: id.to_owned(),
        version,
        shape: polygons(&[vec![ring]], Checks::Strict).unwrap(),
        colour: None,
        rules,
    }))
}

fn index() -> GeofenceIndex {
    let mut index = GeofenceIndex::default();
    let (id, organisation) = ("north".parse().unwrap(), "org".parse().unwrap());
    edit(
        &mut index,
        CatalogEdit::Put(CatalogEntry::Fleet(Fleet { id, organisation, name: String::new(), rules: Default::default() })),
    );
    edit(&mut index, fence("home", 1, 9.9, 10.004, FenceRules::default()));
    edit(&mut index, fence("fast", 2, 10.03, 10.05, FenceRules { speed_limit_mps: Some(5.0), ..FenceRules::default() }));
    edit(&mut index, fence("yard", 3, 10.06, 10.09, FenceRules { min_dwell_s: 60, loitering_s: 300, ..FenceRules::default() }));
    edit(&mut index, fence("bridge", 4, 10.0261, 10.0264, FenceRules { cross: true, ..FenceRules::default() }));
    index
}

/// East along the tenth parallel, with a rest after every fiftieth fix.
fn position(n: i64) -> Position {
    let moved = n / 50 * 30 + (n % 50).min(30);
    let mut attributes: Attributes = [("ignition", n % 50 < 35)].into_iter().collect();
    if n > 20 {
        attributes.set("odometer_m", (1000 + moved * 110 + n % 3) as f64);
        attributes.set("fuel_l", 60.0 - n as f64 / 7.0);
    }
    if (40..42).contains(&n) {
        attributes.set("alarm", "sos");
    }
    Position {
        device: "356307042441013".parse().unwrap(),
        fleet: "north".parse().unwrap(),
        fix_time: Timestamp::from_millis(1_760_000_000_000 + n * 10_000 + if n % 11 == 0 { n } else { 0 }).unwrap(),
        received_at: Timestamp::from_millis(1_760_000_000_700 + n * 10_000).unwrap(),
        location: LatLon::from_e7(100_000_000 + ((n * 37) % 50) as i32, 100_000_000 + (moved * 10_000 + (n * 53) % 300) as i32)
            .unwrap(),
        valid: true,
        altitude_m: Some(100.0),
        speed_mps: (n % 13 != 0).then_some(if n % 50 < 30 { 11.0 + (n % 5) as f32 } else { 0.0 }),
        course_deg: Some(90.0),
        accuracy_m: None,
        protocol: "teltonika".into(),
        attributes,
    }
}

fn drive() -> (DeviceState, GeofenceIndex) {
    let mut index = index();
    let mut state = DeviceState::new(position(0).device, position(0).fleet);
    for n in 0..200 {
        state.hear(position(n).received_at);
        state.advance(position(n), n as u64, &index, &rules());
        if n == 120 {
            edit(&mut index, fence("fast", 5, 10.03, 10.2, FenceRules::default()));
            state.reconsider(&index, &rules());
        }
    }
    (state, index)
}

/// Between the fixes 60 and 61, inside of `yard`.
fn late() -> Position {
    let between = Timestamp::from_millis(1_760_000_000_000 + 60 * 10_000 + 5000).unwrap();
    Position { fix_time: between, location: LatLon::new(10.0, 10.07).unwrap(), ..position(60) }
}

fn read(text: &str) -> DeviceState {
    let bytes = |line: &str| -> Vec<u8> {
        (0..line.len() / 2).map(|i| u8::from_str_radix(&line[2 * i..2 * i + 2], 16).unwrap()).collect()
    };
    let [state, recent] = text.lines().map(bytes).collect::<Vec<_>>().try_into().unwrap();
    let mut state = decode_state(&state).unwrap();
    state.recent.restore_closed(decode_segments(&recent).unwrap());
    state
}

fn write(state: &mut DeviceState) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let recent = encode_segments(state.recent.take_unsaved().unwrap());
    format!("{}\n{}\n", hex(&encode_state(state)), hex(&recent))
}

#[test]
fn what_an_earlier_version_remembered_corrects_the_past_like_what_this_one_remembers() {
    let (mut fresh, index) = drive();
    let written = write(&mut fresh);
    for stored in [OF_WHOLE_BYTES, &written] {
        let mut state = read(stored);
        assert_eq!(state.standing, fresh.standing);
        let mut undisturbed = fresh.clone();
        let wanted = undisturbed.correct(&[late()], &index, &rules());
        assert_eq!((wanted.placed, wanted.events.is_empty()), (1, false));
        assert_eq!(state.correct(&[late()], &index, &rules()), wanted);
        assert_eq!(state.standing, undisturbed.standing);
    }
    assert_eq!(read(&written), fresh);
}
