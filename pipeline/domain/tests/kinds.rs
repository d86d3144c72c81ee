//! Every kind of event beside enter and exit: when it is told, once, and with what.
#![allow(clippy::unwrap_used)]

use waystream_domain::catalog::Fleet;
use waystream_domain::codec::{decode_state, encode_state};
use waystream_domain::geofence::validate::{Checks, circle, corridor, polygons};
use waystream_domain::geofence::{FenceRules, GeofenceIndex, IndexEdit, Shape, Touched};
use waystream_domain::{
    Advance, AttributeValue, Attributes, CatalogEdit, CatalogEntry, DeviceState, Event, FleetRules, Geofence, LatLon,
    LinkRules, Position, Rules, Timestamp, TripRules,
};

/// A degree on the mean sphere, metres: on the equator one of longitude is as long.
const DEGREE_M: f64 = 111_195.08;

fn index(fleet: FleetRules, fences: &[(&str, Shape, FenceRules)]) -> GeofenceIndex {
    let (id, organisation) = ("north".parse().unwrap(), "org".parse().unwrap());
    let fleet = CatalogEntry::Fleet(Fleet { id, organisation, name: String::new(), rules: fleet });
    let fences = fences.iter().map(|(id, shape, rules)| {
        CatalogEntry::Geofence(Geofence {
            id: id.parse().unwrap(),
            organisation: "org".parse().unwrap(),
            fleet: None,
            group: None,
            name: (*id).to_owned(),
            version: 1,
            shape: shape.clone(),
            colour: None,
            rules: rules.clone().check().unwrap(),
        })
    });
    let mut index = GeofenceIndex::default();
    for entry in [fleet].into_iter().chain(fences) {
        index.apply(IndexEdit::new(&CatalogEdit::Put(entry)).unwrap(), &mut Touched::default());
    }
    index
}

/// From `west` to `east` metres east of 10°, 1 km to both sides of the equator.
fn strip(west: f64, east: f64) -> Shape {
    let (west, east, side) = (10.0 + west / DEGREE_M, 10.0 + east / DEGREE_M, 1000.0 / DEGREE_M);
    polygons(&[vec![vec![(west, -side), (east, -side), (east, side), (west, side)]]], Checks::Strict).unwrap()
}

fn fix(seconds: i64, east_m: f64) -> Position {
    Position {
        device: "truck".parse().unwrap(),
        fleet: "north".parse().unwrap(),
        fix_time: Timestamp::from_secs(seconds).unwrap(),
        received_at: Timestamp::from_secs(seconds).unwrap(),
        location: LatLon::new(0.0, 10.0 + east_m / DEGREE_M).unwrap(),
        valid: true,
        altitude_m: None,
        speed_mps: None,
        course_deg: None,
        accuracy_m: None,
        protocol: "test".into(),
        attributes: Attributes::default(),
    }
}

struct Truck {
    state: DeviceState,
    rules: Rules,
    told: Vec<Event>,
}

impl Truck {
    fn new(rules: Rules) -> Self {
        Self { state: DeviceState::new("truck".parse().unwrap(), "north".parse().unwrap()), rules, told: Vec::new() }
    }

    fn take(&mut self, index: &GeofenceIndex, position: Position) {
        self.told.extend(self.state.hear(position.received_at).1);
        match self.state.advance(position, 0, index, &self.rules) {
            Advance::Moved { mut events, .. } => self.told.append(&mut events),
            Advance::Late(position) => self.told.append(&mut self.state.correct(&[*position], index, &self.rules).events),
            Advance::Duplicate | Advance::Invalid => {}
        }
        // Whatever is remembered survives a restart.
        assert_eq!(decode_state(&encode_state(&self.state)).unwrap().standing, self.state.standing);
    }

    fn wait(&mut self, index: &GeofenceIndex, seconds: i64) {
        let now = Timestamp::from_secs(seconds).unwrap();
        self.told.append(&mut self.state.pass_time(now, index, &self.rules));
        assert!(self.state.pass_time(now, index, &self.rules).is_empty(), "told twice");
    }

    /// `kind fence@second`, with `not` before what is retracted, and the attributes named.
    fn lines(&self, attributes: &[&str]) -> Vec<String> {
        let line = |e: &Event| {
            let fence = e.geofence.as_ref().map_or(String::new(), |g| format!(" {g}"));
            let not = if e.retracted { "not " } else { "" };
            let mut line = format!("{not}{}{fence}@{}", e.kind.as_str(), e.fix_time.as_millis() / 1000);
            for name in attributes {
                match e.attributes.get(name) {
                    Some(AttributeValue::Text(text)) => line += &format!(" {text}"),
                    Some(AttributeValue::Float(n)) => line += &format!(" {n}"),
                    Some(other) => line += &format!(" {other:?}"),
                    None => {}
                }
            }
            line
        };
        self.told.iter().map(line).collect()
    }
}

fn run(index: &GeofenceIndex, fixes: impl IntoIterator<Item = Position>) -> Truck {
    let mut truck = Truck::new(Rules::default());
    fixes.into_iter().for_each(|position| truck.take(index, position));
    truck
}

#[test]
fn going_through_between_two_fixes_is_told_if_it_is_asked_for() {
    let crossing = FenceRules { cross: true, ..Default::default() };
    let line = [(10.0 + 3000.0 / DEGREE_M, -0.1), (10.0 + 3000.0 / DEGREE_M, 0.1)];
    let index = index(
        FleetRules::default(),
        &[
            ("gate", strip(0.0, 10.0), crossing.clone()),
            ("silent", strip(0.0, 10.0), FenceRules::default()),
            ("circle", circle(LatLon::new(0.001, 10.0 + 2000.0 / DEGREE_M).unwrap(), 120.0).unwrap(), crossing.clone()),
            ("missed", circle(LatLon::new(0.001, 10.0 + 2000.0 / DEGREE_M).unwrap(), 100.0).unwrap(), crossing.clone()),
            ("road", corridor(&line, 20.0).unwrap(), crossing),
        ],
    );
    let mut truck = run(&index, [fix(0, -50.0), fix(10, 60.0), fix(20, 5000.0), fix(5000, -50.0)]);
    assert_eq!(truck.lines(&[]), ["cross gate@10", "cross circle@20", "cross road@20"]);
    // A late fix in between shows that it was inside, so it did not just go through.
    truck.take(&index, fix(5, 5.0));
    assert_eq!(
        truck.lines(&[])[3..],
        ["not cross gate@10", "enter gate@5", "enter silent@5", "exit gate@10", "exit silent@10"]
    );
}

#[test]
fn over_the_antimeridian_it_goes_the_short_way() {
    let ring = vec![(179.99, -1.0), (-179.99, -1.0), (-179.99, 1.0), (179.99, 1.0)];
    let shape = polygons(&[vec![ring]], Checks::Strict).unwrap();
    let index = index(FleetRules::default(), &[("line", shape, FenceRules { cross: true, ..Default::default() })]);
    let at = |seconds, lon| Position { location: LatLon::new(0.0, lon).unwrap(), ..fix(seconds, 0.0) };
    let truck = run(&index, [at(0, 179.9), at(60, -179.9), at(120, -179.8), at(180, 179.8)]);
    assert_eq!(truck.lines(&[]), ["cross line@60", "cross line@180"]);
}

#[test]
fn a_long_stay_is_told_once_a_visit_by_the_next_fix_or_by_the_clock() {
    let rules = FenceRules { loitering_s: 600, ..Default::default() };
    let index = index(FleetRules::default(), &[("depot", strip(0.0, 1000.0), rules)]);
    let truck = run(&index, [fix(0, 500.0), fix(300, 500.0), fix(700, 500.0), fix(2000, 500.0), fix(2100, -9.0)]);
    assert_eq!(truck.lines(&["entered_at"]), ["enter depot@0", "dwell depot@600 1970-01-01T00:00:00.000Z", "exit depot@2100"]);
    // Where it was last seen, it was until it was seen elsewhere.
    let truck = run(&index, [fix(0, 500.0), fix(700, -9.0), fix(800, 500.0), fix(900, -9.0)]);
    assert_eq!(truck.lines(&[]), ["enter depot@0", "dwell depot@600", "exit depot@700", "enter depot@800", "exit depot@900"]);

    // The clock tells it of a silent device; what comes then changes nothing …
    let mut truck = run(&index, [fix(0, 500.0)]);
    truck.wait(&index, 599);
    truck.wait(&index, 1000);
    truck.take(&index, fix(1200, 500.0));
    truck.take(&index, fix(1300, -9.0));
    assert_eq!(truck.lines(&[]), ["enter depot@0", "dwell depot@600", "exit depot@1300"]);
    // … unless it shows that it was not so.
    let mut truck = run(&index, [fix(0, 500.0)]);
    truck.wait(&index, 1000);
    truck.take(&index, fix(300, -9.0));
    assert_eq!(truck.lines(&[]), ["enter depot@0", "dwell depot@600", "not dwell depot@600", "exit depot@300"]);
    let mut truck = run(&index, [fix(0, 500.0), fix(900, 500.0)]);
    truck.take(&index, fix(450, -9.0));
    assert_eq!(truck.lines(&[])[2..], ["not dwell depot@600", "exit depot@450", "enter depot@900"]);
    // Late data of a second visit, of a time that the clock has passed.
    let mut truck = run(&index, [fix(0, 500.0)]);
    truck.wait(&index, 5000);
    for late in [fix(1000, -9.0), fix(2000, 500.0), fix(2500, 500.0)] {
        truck.take(&index, late);
    }
    assert_eq!(truck.lines(&[])[1..], ["dwell depot@600", "exit depot@1000", "enter depot@2000", "dwell depot@2600"]);
}

#[test]
fn speeding_is_told_by_the_lowest_limit_once_an_episode_with_the_highest_speed() {
    let limit = |mps: f32| FenceRules { speed_limit_mps: Some(mps), ..Default::default() };
    let fleet = FleetRules { speed_limit_mps: Some(25.0), ..FleetRules::default() };
    let index = index(fleet, &[("town", strip(0.0, 5000.0), limit(13.9)), ("school", strip(1000.0, 2000.0), limit(8.4))]);
    let drive = [
        (0, -900.0, 25.0), // as fast as is allowed
        (10, -800.0, 26.0),
        (20, -700.0, 31.5),
        (30, -600.0, 20.0),
        (40, 100.0, 13.9),
        (50, 1100.0, 13.9),
        (60, 1500.0, 14.5),
        (70, 2500.0, 15.0), // behind the school it is still too fast: one episode
        (80, 2600.0, 13.0),
    ];
    let drive = drive.map(|(s, east_m, speed)| Position { speed_mps: Some(speed), ..fix(s, east_m) });
    let speeding = |truck: &Truck| {
        let lines = truck.lines(&["limit_mps", "speed_mps", "max_speed_mps"]);
        lines.into_iter().filter(|l| l.starts_with("speeding")).collect::<Vec<_>>()
    };
    let all = [
        "speeding_start@10 25 26",
        "speeding_end@30 25 31.5",
        "speeding_start school@50 8.4 13.9",
        "speeding_end school@80 8.4 15",
    ];
    assert_eq!(speeding(&run(&index, drive.clone())), all);
    // If it must last, the start is still told as of when it began.
    let mut truck = Truck::new(Rules { speeding_after_ms: 15_000, ..Rules::default() });
    drive.into_iter().for_each(|position| truck.take(&index, position));
    assert_eq!(speeding(&truck), all[2..]);
    assert_eq!(truck.told.iter().filter(|e| e.kind.as_str() == "speeding_start").count(), 1);
}

#[test]
fn altitude_bands_and_accuracy_rules_decide_who_is_inside() {
    let bridge = FenceRules { min_altitude_m: Some(20.0), max_altitude_m: Some(60.0), ..Default::default() };
    let index_of = |rules| index(FleetRules::default(), &[("f", strip(0.0, 1000.0), rules)]);
    let at = |seconds, east_m, altitude_m| Position { altitude_m, ..fix(seconds, east_m) };
    let index = index_of(bridge);
    let flight = [
        at(0, 500.0, Some(5.0)),
        at(10, 500.0, None), // says nothing
        at(20, 500.0, Some(20.0)),
        at(30, 500.0, None),
        at(40, 500.0, Some(60.5)),
    ];
    assert_eq!(run(&index, flight).lines(&[]), ["enter f@20", "exit f@40"]);

    let vague = |seconds, east_m, accuracy_m| Position { accuracy_m: Some(accuracy_m), ..fix(seconds, east_m) };
    let fixes =
        || [vague(0, -50.0, 5.0), vague(10, 50.0, 80.0), vague(20, 50.0, 20.0), vague(30, -60.0, 80.0), vague(40, -90.0, 80.0)];
    assert_eq!(run(&index_of(FenceRules::default()), fixes()).lines(&[]), ["enter f@10", "exit f@30"]);
    // Less accurate than 30 m says nothing, unless it is surely outside.
    let strict = FenceRules { max_accuracy_m: Some(30.0), ..Default::default() };
    assert_eq!(run(&index_of(strict), fixes()).lines(&[]), ["enter f@20", "exit f@40"]);
}

#[test]
fn ignition_alarms_and_lost_fuel_are_told_once() {
    let index = index(FleetRules::default(), &[]);
    let with = |seconds, attributes: &[(&str, AttributeValue)]| Position {
        attributes: attributes.iter().map(|(n, v)| (*n, v.clone())).collect(),
        ..fix(seconds, 0.0)
    };
    let on = |on: bool| ("ignition", AttributeValue::from(on));
    let alarm = |name: &str| ("alarm", AttributeValue::from(name));
    let mut truck = run(
        &index,
        [
            with(0, &[on(true)]), // it may have been on for long
            with(10, &[]),
            with(20, &[on(false), alarm("power_cut")]),
            with(30, &[alarm("power_cut")]), // the same one
            with(40, &[alarm("sos")]),
            with(50, &[]),
            with(60, &[alarm("sos"), on(true)]),
        ],
    );
    let all = ["ignition_off@20", "alarm@20 power_cut", "alarm@40 sos", "ignition_on@60", "alarm@60 sos"];
    assert_eq!(truck.lines(&["alarm"]), all);
    // A late report of an earlier alarm takes the place of the one that was told for lack of it.
    truck.take(&index, with(55, &[alarm("sos")]));
    assert_eq!(truck.lines(&["alarm"])[5..], ["not alarm@60 sos", "alarm@55 sos"]);

    let fuel = |minutes: i64, percent: f64| with(minutes * 60, &[("fuel_level", AttributeValue::from(percent))]);
    let burning = (0..60).map(|i| fuel(i * 5, 100.0 - i as f64)); // 12 % an hour
    let stolen = [fuel(300, 40.0), fuel(305, 34.0), fuel(310, 29.5), fuel(315, 29.0), fuel(320, 90.0), fuel(325, 79.0)];
    let truck = run(&index, burning.chain(stolen));
    assert_eq!(truck.lines(&["before", "after", "unit"]), ["fuel_drop@18600 40 29.5 percent", "fuel_drop@19500 90 79 percent"]);
}

#[test]
fn silence_is_told_and_that_it_has_ended() {
    let index = index(FleetRules::default(), &[]);
    let link = Some(LinkRules { late_ms: 120_000, offline_ms: 600_000 });
    let mut truck = Truck::new(Rules { link, ..Rules::default() });
    truck.take(&index, fix(0, 0.0));
    truck.take(&index, fix(100, 0.0));
    truck.wait(&index, 219);
    truck.wait(&index, 230);
    // Not a usable fix, but it is alive.
    truck.take(&index, Position { valid: false, ..fix(250, 0.0) });
    truck.wait(&index, 5000);
    truck.wait(&index, 9000);
    truck.take(&index, fix(9001, 0.0));
    assert_eq!(
        truck.lines(&["silent_s"]),
        ["device_late@220", "device_online@250 150", "device_late@370", "device_offline@850", "device_online@9001 8751"]
    );
}

#[test]
fn a_fleet_may_have_its_own_idea_of_a_stop() {
    let drive = |index: &GeofenceIndex| {
        let mut truck = Truck::new(Rules { trips: Some(TripRules::default()), ..Rules::default() });
        for (seconds, east_m) in [(0, 0.0), (60, 100.0), (120, 150.0), (180, 160.0), (240, 170.0)] {
            truck.take(index, fix(seconds, east_m));
        }
        truck.lines(&[])
    };
    assert!(drive(&index(FleetRules::default(), &[])).is_empty());
    let close = FleetRules { leave_m: Some(40.0), stop_after_s: Some(60), ..FleetRules::default() };
    assert_eq!(drive(&index(close, &[])), ["moving@60", "trip_start@60", "stopped@180", "trip_end@180"]);
}

#[test]
fn other_rules_end_what_can_be_corrected() {
    let index_of = |rules| index(rules, &[("depot", strip(0.0, 1000.0), FenceRules::default())]);
    let before = index_of(FleetRules::default());
    let mut truck = run(&before, [fix(0, -9.0), fix(100, -9.0)]);
    let after = index_of(FleetRules { speed_limit_mps: Some(10.0), ..FleetRules::default() });
    truck.take(&after, fix(50, 500.0));
    assert!(truck.told.is_empty());
    truck.take(&after, fix(200, -9.0));
    truck.take(&after, fix(150, 500.0));
    assert_eq!(truck.lines(&[]), ["enter depot@150", "exit depot@200"]);
}
