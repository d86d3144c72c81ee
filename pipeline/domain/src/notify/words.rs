//! Notifications in a sentence, for people.

use super::{Content, Delivery};
use crate::{AttributeValue, Event, EventKind};

/// What is told, as the subject of an e-mail.
pub fn headline(delivery: &Delivery) -> String {
    let (event, turn, corrects, names) = match &delivery.content {
        Content::Event { event, turn, corrects, names, .. } => (event, turn, corrects, names),
        Content::Report { title, .. } => return title.clone(),
        Content::Test { .. } => return "This is a test of waystream's notifications".into(),
    };
    let said = sentence(event, &names.device, names.geofence.as_deref());
    match turn {
        0 if *corrects => format!("Corrected: {said}"),
        0 => said,
        n if n % 2 == 1 => format!("Taken back: {said}"),
        _ => format!("After all: {said}"),
    }
}

fn sentence(event: &Event, device: &str, geofence: Option<&str>) -> String {
    let place = geofence.unwrap_or("a geofence");
    let text = |name: &str| match event.attributes.get(name) {
        Some(AttributeValue::Text(text)) => format!(": {text}"),
        _ => String::new(),
    };
    match event.kind {
        EventKind::Enter => format!("{device} entered {place}"),
        EventKind::Exit => format!("{device} left {place}"),
        EventKind::Cross => format!("{device} went through {place}"),
        EventKind::Dwell => format!("{device} has been in {place} for long"),
        EventKind::TripStart => format!("{device} began a trip"),
        EventKind::TripEnd => format!("{device} ended a trip"),
        EventKind::SpeedingStart => format!("{device} is speeding"),
        EventKind::SpeedingEnd => format!("{device} is no longer speeding"),
        EventKind::Moving => format!("{device} is moving"),
        EventKind::Stopped => format!("{device} has stopped"),
        EventKind::IgnitionOn => format!("{device}: ignition on"),
        EventKind::IgnitionOff => format!("{device}: ignition off"),
        EventKind::Alarm => format!("{device}: alarm{}", text("alarm")),
        EventKind::FuelDrop => format!("{device} has lost fuel"),
        EventKind::DeviceOnline => format!("{device} is heard again"),
        EventKind::DeviceLate => format!("{device} is late"),
        EventKind::DeviceOffline => format!("{device} is offline"),
        EventKind::CommandSent => format!("{device} was sent a command{}", text("instruction")),
        EventKind::CommandAnswered => format!("{device} answered a command{}", text("answer")),
        EventKind::CommandFailed => format!("A command to {device} failed{}", text("reason")),
        EventKind::DeviceContested => format!("{device} speaks from two places at once{}", text("other_address")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::delivery::tests::delivery;
    use super::*;

    #[test]
    fn a_correction_is_called_one() {
        let mut d = delivery();
        assert_eq!(headline(&d), "Van 7 entered Depot");
        for (turn, words) in [(1, "Taken back: Van 7 entered Depot"), (2, "After all: Van 7 entered Depot")] {
            let Content::Event { turn: of_delivery, .. } = &mut d.content else { panic!("an event") };
            *of_delivery = turn;
            assert_eq!(headline(&d), words);
        }
    }
}
