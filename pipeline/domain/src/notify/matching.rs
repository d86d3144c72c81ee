//! From an event to what is told of it.

use super::{Content, Delivery, DeliveryState, MAX_EVERY_MIN, Names, NotificationRule};
use crate::{Catalog, DeliveryId, DeviceId, Event, EventId, NotificationRuleId, Timestamp};
use std::collections::HashMap;

/// An event that is older than this when it is looked at is not told, milliseconds: an hour.
pub const MAX_AGE_MS: i64 = 3_600_000;
/// Longest memory that [`NotificationRule::at_most_every_min`] needs.
const MAX_EVERY_MS: i64 = MAX_EVERY_MIN as i64 * 60_000;

/// What a rule makes of an event that it picks.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "short-lived, and most are told")]
pub enum Verdict {
    /// It is told.
    Tell(Delivery),
    /// It is older than [`MAX_AGE_MS`].
    TooOld,
    /// These are quiet hours.
    Quiet,
    /// The rule has told something of this device a moment ago.
    Throttled,
    /// It has been told: the event came again, perhaps with other details.
    Repeated,
}

/// Remembers what was told lately, and decides what is told next. All that it remembers stands in the deliveries of the last day, so
/// [`Self::recall`] brings it back.
#[derive(Debug, Default)]
pub struct Matcher {
    /// By rule and event, for as long as the event may come again.
    told: HashMap<(NotificationRuleId, EventId), Told>,
    /// When a rule last told something new of a device.
    last: HashMap<(NotificationRuleId, DeviceId), Timestamp>,
}

#[derive(Debug, Clone, Copy)]
struct Told {
    turn: u32,
    at: Timestamp,
}

impl Matcher {
    /// Takes in what was told before, in any order.
    pub fn recall(&mut self, delivery: &Delivery) {
        let Content::Event { rule, event, turn, corrects, .. } = &delivery.content else { return };
        let at = delivery.matched_at;
        let told = self.told.entry((rule.clone(), event.id.clone())).or_insert(Told { turn: *turn, at });
        *told = Told { turn: told.turn.max(*turn), at: told.at.max(at) };
        if !corrects {
            let last = self.last.entry((rule.clone(), event.device.clone())).or_insert(at);
            *last = at.max(*last);
        }
    }

    /// Forgets what can't matter any more.
    pub fn forget(&mut self, now: Timestamp) {
        self.told.retain(|_, told| now.millis_since(told.at) <= MAX_AGE_MS);
        self.last.retain(|_, at| now.millis_since(*at) <= MAX_EVERY_MS);
    }

    /// What the rules of its organisation make of an event; those that don't pick it say nothing. What is to be told is remembered.
    pub fn judge(&mut self, event: &Event, catalog: &Catalog, now: Timestamp) -> Vec<Verdict> {
        let Some(fleet) = catalog.fleets.get(&event.fleet) else { return Vec::new() };
        let own =
            catalog.notification_rules.values().filter(|rule| rule.organisation == fleet.organisation && rule.picks(event));
        own.filter_map(|rule| self.verdict(rule, event, catalog, now)).collect()
    }

    fn verdict(&mut self, rule: &NotificationRule, event: &Event, catalog: &Catalog, now: Timestamp) -> Option<Verdict> {
        let told = |id: &EventId| self.told.get(&(rule.id.clone(), id.clone()));
        let turn = match told(&event.id) {
            // Nobody has heard that it did.
            None if event.retracted => return None,
            None => 0,
            // The last word was the same: odd turns take back.
            Some(told) if (told.turn % 2 == 1) == event.retracted => return Some(Verdict::Repeated),
            Some(told) => told.turn + 1,
        };
        // Mends what was told: that is nothing new, and who has heard the one must hear the other.
        let corrects = turn > 0 || event.revises.as_ref().is_some_and(|old| told(old).is_some());
        if now.millis_since(event.fix_time) > MAX_AGE_MS {
            return Some(Verdict::TooOld);
        }
        if rule.is_quiet(now) {
            return Some(Verdict::Quiet);
        }
        let every_ms = i64::from(rule.at_most_every_min) * 60_000;
        let last = self.last.get(&(rule.id.clone(), event.device.clone()));
        if !corrects && last.is_some_and(|last| now.millis_since(*last) < every_ms) {
            return Some(Verdict::Throttled);
        }
        let delivery = Delivery {
            id: DeliveryId::of(&rule.id, &event.id, turn),
            organisation: rule.organisation.clone(),
            channel: rule.channel.clone(),
            content: Content::Event {
                rule: rule.id.clone(),
                event: event.clone(),
                turn,
                corrects,
                names: names(rule, event, catalog),
            },
            matched_at: now,
            round: 0,
            attempts: 0,
            changed_at: now,
            state: DeliveryState::Pending { next_try_at: now, last_error: None },
        };
        self.told.insert((rule.id.clone(), event.id.clone()), Told { turn, at: now });
        if !corrects {
            self.last.insert((rule.id.clone(), event.device.clone()), now);
        }
        Some(Verdict::Tell(delivery))
    }
}

fn names(rule: &NotificationRule, event: &Event, catalog: &Catalog) -> Names {
    let device = catalog.devices.get(&event.device).map_or_else(|| event.device.to_string(), |d| d.name.clone());
    let fleet = catalog.fleets.get(&event.fleet).map_or_else(|| event.fleet.to_string(), |f| f.name.clone());
    let geofence = event.geofence.as_ref();
    let geofence = geofence.map(|id| catalog.geofences.get(id).map_or_else(|| id.to_string(), |g| g.name.clone()));
    Names { rule: rule.name.clone(), device, fleet, geofence }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::rule::tests::rule;
    use super::*;
    use crate::catalog::{Fleet, Organisation};
    use crate::geofence::{Schedule, ScheduleText};
    use crate::{CatalogEdit, CatalogEntry, EventKind, LatLon};

    const NOW: &str = "2026-11-25T12:00:00Z";

    fn now() -> Timestamp {
        Timestamp::parse(NOW).expect("time")
    }

    /// An enter a minute ago.
    pub(crate) fn event(device: &str) -> Event {
        let device: DeviceId = device.parse().expect("id");
        let (geofence, fix_time) = ("depot".parse().expect("id"), now().plus_millis(-60_000));
        Event {
            id: EventId::of(&device, Some(&geofence), EventKind::Enter, fix_time),
            kind: EventKind::Enter,
            device,
            fleet: "north".parse().expect("id"),
            geofence: Some(geofence),
            geofence_version: Some(1),
            fix_time,
            received_at: fix_time,
            location: LatLon::new(52.1, 21.0).expect("place"),
            revises: None,
            retracted: false,
            attributes: Default::default(),
        }
    }

    fn earlier(event: &Event, minutes: i64) -> Event {
        let fix_time = event.fix_time.plus_millis(-minutes * 60_000);
        Event { id: EventId::of(&event.device, event.geofence.as_ref(), event.kind, fix_time), fix_time, ..event.clone() }
    }

    fn catalog(rules: Vec<NotificationRule>) -> Catalog {
        let mut catalog = Catalog::default();
        for organisation in ["o", "p"] {
            let id = organisation.parse().expect("id");
            catalog.apply(CatalogEdit::Put(CatalogEntry::Organisation(Organisation { id, name: "O".into() })));
        }
        for (fleet, organisation) in [("north", "o"), ("south", "o"), ("their", "p")] {
            let (id, organisation) = (fleet.parse().expect("id"), organisation.parse().expect("id"));
            let fleet = Fleet { id, organisation, name: fleet.to_uppercase(), rules: Default::default() };
            catalog.apply(CatalogEdit::Put(CatalogEntry::Fleet(fleet)));
        }
        rules.into_iter().for_each(|rule| catalog.apply(CatalogEdit::Put(CatalogEntry::NotificationRule(rule))));
        catalog
    }

    fn told(verdicts: Vec<Verdict>) -> Vec<Delivery> {
        verdicts.into_iter().map(|v| if let Verdict::Tell(d) = v { d } else { panic!("not told: {v:?}") }).collect()
    }

    #[test]
    fn a_rule_picks_by_kind_fleet_geofence_and_organisation() {
        let picks = |change: fn(&mut NotificationRule), event: &Event| {
            let mut rule = rule();
            change(&mut rule);
            Matcher::default().judge(event, &catalog(vec![rule]), now()).len()
        };
        let enter = event("van");
        assert_eq!(picks(|_| {}, &enter), 1);
        assert_eq!(picks(|r| r.enabled = false, &enter), 0);
        assert_eq!(picks(|r| r.kinds = [EventKind::Exit].into(), &enter), 0);
        assert_eq!(picks(|r| r.fleets = ["north".parse().expect("id")].into(), &enter), 1);
        assert_eq!(picks(|r| r.fleets = ["south".parse().expect("id")].into(), &enter), 0);
        assert_eq!(picks(|r| r.geofences = ["depot".parse().expect("id")].into(), &enter), 1);
        assert_eq!(picks(|r| r.geofences = ["port".parse().expect("id")].into(), &enter), 0);
        assert_eq!(
            picks(|r| r.geofences = ["depot".parse().expect("id")].into(), &Event { geofence: None, ..enter.clone() }),
            0
        );
        // Nobody else's, nor of a fleet that is gone.
        for fleet in ["their", "gone"] {
            assert_eq!(picks(|_| {}, &Event { fleet: fleet.parse().expect("id"), ..enter.clone() }), 0);
        }
    }

    #[test]
    fn what_is_older_than_an_hour_is_not_told() {
        let (catalog, mut matcher) = (catalog(vec![rule()]), Matcher::default());
        assert_eq!(told(matcher.judge(&earlier(&event("van"), 59), &catalog, now())).len(), 1);
        assert_eq!(matcher.judge(&earlier(&event("van"), 60), &catalog, now()), [Verdict::TooOld]);
        let received_now = Event { received_at: now(), ..earlier(&event("van"), 600) };
        assert_eq!(matcher.judge(&received_now, &catalog, now()), [Verdict::TooOld]);
    }

    #[test]
    fn quiet_hours_are_those_of_the_wall_clock_there() {
        let hours = |hours: &str| {
            let text = ScheduleText { time_zone: "Asia/Tokyo".into(), hours: vec![hours.into()], closed: Vec::new() };
            let mut rule = rule();
            rule.quiet_hours = Some(Schedule::try_from(text).expect("hours"));
            Matcher::default().judge(&event("van"), &catalog(vec![rule]), now())
        };
        // 12:00 UTC is 21:00 in Tokyo.
        assert_eq!(hours("mon-sun 21:00-07:00"), [Verdict::Quiet]);
        assert_eq!(told(hours("mon-sun 22:00-07:00")).len(), 1);
    }

    #[test]
    fn at_most_one_per_device_and_rule_also_after_a_restart() {
        let (a, b) = (rule(), NotificationRule { id: "other".parse().expect("id"), ..rule() });
        let catalog = catalog(vec![NotificationRule { at_most_every_min: 10, ..a }, b]);
        let mut matcher = Matcher::default();
        let first = told(matcher.judge(&earlier(&event("van"), 20), &catalog, now()));
        assert_eq!(first.len(), 2);
        let second = matcher.judge(&event("van"), &catalog, now());
        assert_eq!(second.iter().filter(|v| **v == Verdict::Throttled).count(), 1);
        assert_eq!(told(matcher.judge(&event("car"), &catalog, now())).len(), 2);

        let mut restarted = Matcher::default();
        first.iter().for_each(|d| restarted.recall(d));
        let minutes = |n: i64| now().plus_millis(n * 60_000);
        restarted.forget(minutes(9));
        let throttled = restarted.judge(&event("van"), &catalog, minutes(9));
        assert_eq!(throttled.iter().filter(|v| **v == Verdict::Throttled).count(), 1);
        assert_eq!(told(restarted.judge(&earlier(&event("van"), 1), &catalog, minutes(10))).len(), 2);
    }

    #[test]
    fn what_comes_again_is_told_once_and_with_the_same_id() {
        let (catalog, mut matcher) = (catalog(vec![rule()]), Matcher::default());
        let first = told(matcher.judge(&event("van"), &catalog, now()));
        assert_eq!(matcher.judge(&event("van"), &catalog, now()), [Verdict::Repeated]);
        let details = Event { revises: Some(event("van").id), received_at: now(), ..event("van") };
        assert_eq!(matcher.judge(&details, &catalog, now()), [Verdict::Repeated]);
        let forgotten = told(Matcher::default().judge(&event("van"), &catalog, now()));
        assert_eq!(first, forgotten);
    }

    #[test]
    fn what_was_told_is_taken_back_and_what_was_not_is_not() {
        let catalog = catalog(vec![NotificationRule { at_most_every_min: 60, ..rule() }]);
        let mut matcher = Matcher::default();
        let retracted = Event { retracted: true, revises: Some(event("van").id), ..event("van") };
        assert_eq!(matcher.judge(&retracted, &catalog, now()), []);
        let first = told(matcher.judge(&event("van"), &catalog, now())).remove(0);
        let back = told(matcher.judge(&retracted, &catalog, now())).remove(0);
        assert_ne!(first.id, back.id);
        assert_eq!(matcher.judge(&retracted, &catalog, now()), [Verdict::Repeated]);
        // It was another minute: that corrects, too, and is not throttled; something new still is.
        let instead = Event { revises: Some(event("van").id), ..earlier(&event("van"), 5) };
        assert_eq!(told(matcher.judge(&instead, &catalog, now())).len(), 1);
        assert_eq!(matcher.judge(&earlier(&event("van"), 7), &catalog, now()), [Verdict::Throttled]);
        // And it did happen after all.
        let mut restarted = Matcher::default();
        restarted.recall(&back);
        restarted.recall(&first);
        let after_all = told(restarted.judge(&event("van"), &catalog, now())).remove(0);
        assert!(![&first.id, &back.id].contains(&&after_all.id));
        // A correction of what is older than an hour is not told.
        let late = now().plus_millis(MAX_AGE_MS);
        assert_eq!(restarted.judge(&retracted, &catalog, late), [Verdict::TooOld]);
    }
}
