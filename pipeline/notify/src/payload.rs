//! What receivers get: one JSON for webhooks and MQTT, a text for e-mail.

use serde_json::{Value, json};
use std::fmt::Write;
use waystream_domain::AttributeValue;
use waystream_domain::notify::{Content, Delivery, headline};

/// The body of a webhook and of a publication: the same bytes for every attempt.
pub(crate) fn json(delivery: &Delivery) -> Vec<u8> {
    let body = match &delivery.content {
        Content::Event { rule, event, corrects, names, .. } => json!({
            "delivery": delivery.id,
            "test": false,
            "headline": headline(delivery),
            "correction": corrects,
            "rule": { "id": rule, "name": names.rule },
            "event": {
                "id": event.id,
                "kind": event.kind,
                "device": event.device,
                "device_name": names.device,
                "fleet": event.fleet,
                "fleet_name": names.fleet,
                "geofence": event.geofence,
                "geofence_name": names.geofence,
                "fix_time": event.fix_time,
                "received_at": event.received_at,
                "lat": event.location.lat_deg(),
                "lon": event.location.lon_deg(),
                "retracted": event.retracted,
                "revises": event.revises,
                "attributes": event.attributes,
            },
        }),
        // Reports have files and go by e-mail only; this is what they are about.
        Content::Report { report, period, .. } => json!({
            "delivery": delivery.id,
            "test": false,
            "headline": headline(delivery),
            "report": report,
            "from": period.from,
            "to": period.to,
        }),
        Content::Test { .. } => json!({
            "delivery": delivery.id,
            "test": true,
            "headline": headline(delivery),
            "correction": false,
            "rule": Value::Null,
            "event": Value::Null,
        }),
    };
    body.to_string().into_bytes()
}

/// The body of an e-mail.
pub(crate) fn text(delivery: &Delivery) -> String {
    let mut out = format!("{}\n", headline(delivery));
    if let Content::Event { event, names, .. } = &delivery.content {
        let mut line = |name: &str, value: &dyn std::fmt::Display| {
            write!(out, "\n{name:<10} {value}").expect("a String grows as needed");
        };
        line("Time", &event.fix_time);
        line("Device", &format_args!("{} ({})", names.device, event.device));
        line("Fleet", &names.fleet);
        if let Some(geofence) = &names.geofence {
            line("Geofence", geofence);
        }
        if !event.location.is_null_island() {
            line("Place", &format_args!("{:.6}, {:.6}", event.location.lat_deg(), event.location.lon_deg()));
        }
        for (name, value) in event.attributes.iter() {
            match value {
                AttributeValue::Bool(v) => line(name, v),
                AttributeValue::Int(v) => line(name, v),
                AttributeValue::Float(v) => line(name, v),
                AttributeValue::Text(v) => line(name, v),
            }
        }
        line("Rule", &names.rule);
    }
    if let Content::Report { period, file, .. } = &delivery.content {
        write!(out, "\n{file}: from {} until {}", period.from, period.to).expect("a String grows as needed");
    }
    write!(out, "\n\nNotification {}\n", delivery.id).expect("a String grows as needed");
    out
}
