//! What was seen to, for those who may know of it.
#![allow(clippy::unwrap_used)]

use crate::common;

use common::{at, fixture, fleet, organisation};
use waystream_domain::{Acknowledgement, CatalogEdit, CatalogEntry, EventId};
use waystream_sql::output::{self, Format};
use waystream_sql::{EventFilter, Scope, SqlOptions};

#[tokio::test]
async fn who_has_seen_to_an_event_is_joined_to_it() {
    let f = fixture(SqlOptions::default()).await;
    let newest = f.engine.events(&f.acme, EventFilter { limit: 1, ..EventFilter::default() }).await.unwrap();
    let ours = newest.events[0].row.clone();
    for (event, name, fleet) in [
        (ours.id, "acme", Some(ours.fleet.clone())),
        (EventId::from_text("n1/-/alarm/1"), "acme", Some(fleet("north"))),
        (EventId::from_text("s1/-/alarm/1"), "acme", Some(fleet("south"))),
        // From before fleets were noted.
        (EventId::from_text("n1/-/alarm/0"), "acme", None),
        (EventId::from_text("x/-/alarm/1"), "rival", None),
    ] {
        let (organisation, by, at) = (organisation(name), "ann".parse().unwrap(), at("2026-03-06T00:00:00Z"));
        let given = Acknowledgement { event, organisation, fleet, by, at, note: None };
        f.catalog.write().unwrap().apply(CatalogEdit::Put(CatalogEntry::Acknowledgement(given)));
    }
    let csv = async |scope: &Scope, sql: &str| {
        let mut out = Vec::new();
        output::write(f.engine.query(scope, sql).await.unwrap(), Format::Csv, &mut out).await.unwrap();
        String::from_utf8(out).unwrap()
    };
    let joined = "SELECT kind, acknowledged_by, acknowledged_at, note FROM events JOIN acknowledgements USING (event_id)";
    let expected = "kind,acknowledged_by,acknowledged_at,note\nenter,ann,2026-03-06T00:00:00.000Z,\n";
    assert_eq!(csv(&f.acme, joined).await, expected);
    let alarms = "SELECT event_id FROM acknowledgements WHERE event_id LIKE '%alarm%' ORDER BY 1";
    assert_eq!(csv(&f.acme, alarms).await, "event_id\nn1/-/alarm/0\nn1/-/alarm/1\ns1/-/alarm/1\n");
    let north = f.acme.clone().only(|id| *id == fleet("north"));
    assert_eq!(csv(&north, alarms).await, "event_id\nn1/-/alarm/1\n");
}
