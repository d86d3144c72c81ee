//! What a device's sensors say beside its place: ignition, alarms, fuel, and whether it is faster than allowed.

use crate::fix::speed_mps;
use crate::standing::{Standing, Step, Teller, event};
use crate::{Attributes, Event, EventId, EventKind, Fix, FleetId, Fuel, FuelDrop, GeofenceId, LatLon, Rules, Timestamp};
use smol_str::SmolStr;

/// What is remembered of the sensors between two fixes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Vitals {
    /// The last ignition known.
    pub ignition: Option<bool>,
    /// The alarm of the last fix.
    pub alarm: Option<SmolStr>,
    /// What there was to lose.
    pub tank: Option<Tank>,
    /// Faster than allowed.
    pub speeding: Option<Box<Speeding>>,
}

/// The fullest that a tank was lately.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tank {
    /// That was in it.
    pub fuel: Fuel,
    /// At this fix time.
    pub at: Timestamp,
}

/// The device is faster than allowed.
#[derive(Debug, Clone, PartialEq)]
pub struct Speeding {
    /// Fix time of the first fix that is too fast.
    pub since: Timestamp,
    /// Where that was.
    pub at: LatLon,
    /// What was allowed there, centimetres per second.
    pub limit_cm_s: u16,
    /// By which geofence, and which version of it; `None`: by the fleet.
    pub geofence: Option<(GeofenceId, u64)>,
    /// Speed of the first fix that is too fast, centimetres per second.
    pub first_cm_s: u16,
    /// Highest speed so far, centimetres per second.
    pub max_cm_s: u16,
    /// It has lasted long enough to be told.
    pub told: bool,
}

impl Standing {
    /// Takes in what the sensors say at a fix. True if the ignition was switched off.
    pub(crate) fn feel(
        &mut self,
        step: &Step,
        previous: Option<&Fix>,
        rules: &Rules,
        teller: Teller<'_>,
        out: &mut Vec<Event>,
    ) -> bool {
        let fix = &step.fix;
        let plain = |standing: &Self, kind| {
            let id = EventId::of(teller.device, None, kind, fix.fix_time);
            event(teller, &standing.fleet, id, kind, (fix.fix_time, fix.location))
        };
        let mut cut = false;
        if let Some(on) = fix.ignition
            && let Some(was) = self.vitals.ignition.replace(on).filter(|was| *was != on)
        {
            cut = was;
            out.push(plain(self, if on { EventKind::IgnitionOn } else { EventKind::IgnitionOff }));
        }
        if step.alarm != self.vitals.alarm {
            if let Some(alarm) = &step.alarm {
                let attributes = [("alarm", alarm.as_str())].into_iter().collect();
                out.push(Event { attributes, ..plain(self, EventKind::Alarm) });
            }
            self.vitals.alarm.clone_from(&step.alarm);
        }
        if let Some(fuel) = fix.fuel
            && let Some(before) = burn(&mut self.vitals.tank, fuel, fix.fix_time, &rules.fuel_drop)
        {
            let mut attributes = Attributes::default();
            attributes.set("before", f64::from(before) / 10.0);
            attributes.set("after", f64::from(fuel.tenths) / 10.0);
            attributes.set("unit", if fuel.is_percent { "percent" } else { "l" });
            out.push(Event { attributes, ..plain(self, EventKind::FuelDrop) });
        }
        if self.vitals.speeding.is_some() || fix.speed_cm_s.is_some() {
            self.speed(fix, previous, rules, teller, out);
        }
        cut
    }

    /// The lowest speed allowed, and by which geofence.
    fn limit(&self, rules: &Rules) -> Option<(u16, Option<(&GeofenceId, u64)>)> {
        let of_fleet = rules.limit_cm_s.map(|limit| (limit, None));
        let of_fences = self.members.iter().filter(|m| !m.near && m.limit_cm_s > 0);
        let of_fences = of_fences.map(|m| (m.limit_cm_s, Some((&m.geofence, m.version))));
        // Of equal ones the first: the fleet's, then by geofence id.
        of_fleet.into_iter().chain(of_fences).min_by_key(|(limit, _)| *limit)
    }

    fn speed(&mut self, fix: &Fix, previous: Option<&Fix>, rules: &Rules, teller: Teller<'_>, out: &mut Vec<Event>) {
        // After a gap nobody knows how fast it was meanwhile: what went on has ended where it was last seen.
        let gap_ms = rules.trips.map_or(i64::MAX, |t| t.gap_ms);
        if let Some(previous) = previous.filter(|p| fix.fix_time.millis_since(p.fix_time) > gap_ms)
            && let Some(speeding) = self.vitals.speeding.take()
        {
            self.slow_down(*speeding, previous, teller, out);
        }
        // A fix without a speed says nothing.
        let Some(speed) = fix.speed_cm_s else { return };
        let limit = self.limit(rules);
        if let Some((limit, by)) = limit.filter(|(limit, _)| speed > *limit) {
            let geofence = by.map(|(id, version)| (id.clone(), version));
            let new = || {
                let (since, at) = (fix.fix_time, fix.location);
                let told = false;
                Box::new(Speeding { since, at, limit_cm_s: limit, geofence, first_cm_s: speed, max_cm_s: speed, told })
            };
            let speeding = self.vitals.speeding.get_or_insert_with(new);
            speeding.max_cm_s = speeding.max_cm_s.max(speed);
            if !speeding.told && fix.fix_time.millis_since(speeding.since) >= rules.speeding_after_ms {
                speeding.told = true;
                let mut attributes = Attributes::default();
                attributes.set("limit_mps", speed_mps(speeding.limit_cm_s));
                attributes.set("speed_mps", speed_mps(speeding.first_cm_s));
                let start = speeding.event(EventKind::SpeedingStart, (speeding.since, speeding.at), &self.fleet, teller);
                out.push(Event { attributes, ..start });
            }
        } else if let Some(speeding) = self.vitals.speeding.take() {
            self.slow_down(*speeding, fix, teller, out);
        }
    }

    fn slow_down(&self, speeding: Speeding, fix: &Fix, teller: Teller<'_>, out: &mut Vec<Event>) {
        if !speeding.told {
            return;
        }
        let mut attributes = Attributes::default();
        attributes.set("started_at", speeding.since.to_string().as_str());
        attributes.set("duration_s", fix.fix_time.millis_since(speeding.since) as f64 / 1000.0);
        attributes.set("limit_mps", speed_mps(speeding.limit_cm_s));
        attributes.set("max_speed_mps", speed_mps(speeding.max_cm_s));
        let end = speeding.event(EventKind::SpeedingEnd, (fix.fix_time, fix.location), &self.fleet, teller);
        out.push(Event { attributes, ..end });
    }
}

impl Speeding {
    fn event(&self, kind: EventKind, place: (Timestamp, LatLon), fleet: &FleetId, teller: Teller<'_>) -> Event {
        let (geofence, version) = self.geofence.clone().unzip();
        let id = EventId::of(teller.device, geofence.as_ref(), kind, place.0);
        Event { geofence, geofence_version: version, ..event(teller, fleet, id, kind, place) }
    }
}

/// What the tank held before, in tenths, if it has lost more than an engine burns.
fn burn(tank: &mut Option<Tank>, fuel: Fuel, now: Timestamp, rules: &FuelDrop) -> Option<u16> {
    let full = Tank { fuel, at: now };
    let Some(was) = tank.filter(|was| was.fuel.is_percent == fuel.is_percent && was.fuel.tenths > fuel.tenths) else {
        *tank = Some(full);
        return None;
    };
    let most = if fuel.is_percent { rules.percent_tenths } else { rules.litres_tenths };
    let soon = now.millis_since(was.at) <= rules.within_ms;
    if soon && was.fuel.tenths - fuel.tenths < most {
        // Going down: compared with the fullest until that is long ago.
        return None;
    }
    *tank = Some(full);
    soon.then_some(was.fuel.tenths)
}
