//! What may come in publications: every kind of payload that topics can have.

#[path = "../../src/mqtt/mapping.rs"]
mod mapping;

use crate::families::feed::{check, context};
use crate::protocol::{Checksums, Transport};
use crate::protocols::{ALL, json, owntracks};
use crate::readers::{frames_of, parse_hex};
use mapping::Mapping;
use std::sync::LazyLock;
use waystream_domain::DeviceId;

static MAPPINGS: LazyLock<[Mapping; 2]> = LazyLock::new(|| {
    let every = [
        ("device", "id"),
        ("fix_time", "tst"),
        ("lat", "lat"),
        ("lon", "lon"),
        ("valid", "valid"),
        ("altitude_ft", "alt"),
        ("speed_knots", "vel"),
        ("course_deg", "/cog"),
        ("accuracy_m", "acc.0"),
        ("attributes.x", "attributes.ignition"),
    ];
    let fields = serde_json::Value::from_iter(every);
    [
        serde_json::json!({ "fields": fields }),
        serde_json::json!({ "positions": "_type", "fields": {"lat": "0", "lon": "1", "fix_time": "2"} }),
    ]
    .map(|mapping| serde_json::from_value(mapping).expect("a mapping of fields that there are"))
});

/// A payload as each kind that it may be; raw, as one of the protocol with this number.
pub fn publication(which: u8, payload: &[u8]) {
    let context = context(Checksums::Count, false);
    check("owntracks", owntracks::decode_mqtt("owntracks/user/device", payload).fixes);
    check("json", json::positions(payload, context.received_at).into_iter().flatten());
    if let Ok(message) = serde_json::from_slice(payload) {
        for mapping in MAPPINGS.iter() {
            check("a mapping", mapping.read(&message, context.received_at).into_iter().flatten());
        }
    }
    let protocol = &ALL[usize::from(which) % ALL.len()];
    let Transport::Socket { framing, decoder, .. } = protocol.transport else { return };
    for payload in [Ok(payload.to_vec()), parse_hex(&String::from_utf8_lossy(payload))].into_iter().flatten() {
        let mut decoder = decoder();
        for frame in frames_of(framing(), &payload).0 {
            // The topic says whose it is.
            if let Some(session) = decoder.session() {
                *session = DeviceId::new("device").ok();
            }
            check(protocol.name, decoder.decode(&frame, &context).fixes);
        }
    }
}
