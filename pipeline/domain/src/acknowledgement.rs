//! That somebody of an organisation has seen to an alert.

use crate::{EventId, FleetId, OrganisationId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Somebody has seen to an event. One per event: the last word counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// To what. Ids of events are those of devices, so no two organisations have the same.
    pub event: EventId,
    /// Whose.
    pub organisation: OrganisationId,
    /// Fleet of the event, which is whose vehicles' alerts one has to see to know of this. Unknown of those from before it was noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fleet: Option<FleetId>,
    /// Who.
    pub by: UserId,
    /// When.
    pub at: Timestamp,
    /// What else there is to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Acknowledgement {
    /// Kept for so long, milliseconds. The log keeps events for 30 days, and nobody acknowledges what has not happened: after
    /// this the event is gone from there.
    pub const KEPT_MS: i64 = 30 * 24 * 3_600_000;
    /// Most of one organisation: the catalog is held in memory by every process.
    pub const MOST: usize = 5_000;
}

/// The events of which an organisation's acknowledgements are given up when `coming` more come: those that are too old, and the
/// oldest of too many.
pub fn to_forget<'a>(known: impl IntoIterator<Item = &'a Arc<Acknowledgement>>, coming: usize, now: Timestamp) -> Vec<EventId> {
    let mut known: Vec<&Arc<Acknowledgement>> = known.into_iter().collect();
    known.sort_by(|a, b| (a.at, &a.event).cmp(&(b.at, &b.event)));
    let too_old = known.partition_point(|a| a.at < now.plus_millis(-Acknowledgement::KEPT_MS));
    let too_many = (known.len() + coming).saturating_sub(Acknowledgement::MOST);
    known.into_iter().take(too_old.max(too_many)).map(|a| a.event.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{decode_catalog, encode_catalog};
    use crate::{Catalog, CatalogEdit, CatalogEntry, CatalogKey};

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms).expect("a time")
    }

    fn acknowledgement(n: i64) -> Acknowledgement {
        Acknowledgement {
            event: EventId::from_text(&format!("jo/phone/yard/enter/{n}")),
            organisation: "o".parse().expect("id"),
            fleet: None,
            by: "ann".parse().expect("id"),
            at: at(n),
            note: None,
        }
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many_and_all_that_are_too_old() {
        let known: Vec<_> = (0..100).map(|n| Arc::new(acknowledgement(n))).collect();
        let times = |coming, now| to_forget(known.iter().rev(), coming, at(now)).len();
        assert_eq!(times(Acknowledgement::MOST - 100, 100), 0);
        assert_eq!(times(Acknowledgement::MOST - 97, 100), 3);
        assert_eq!(times(1, Acknowledgement::KEPT_MS), 0);
        assert_eq!(times(1, Acknowledgement::KEPT_MS + 7), 7);
        assert_eq!(times(Acknowledgement::MOST - 97, Acknowledgement::KEPT_MS + 7), 7);
        let oldest = to_forget(known.iter().rev(), Acknowledgement::MOST - 98, at(100));
        assert_eq!(oldest, [known[0].event.clone(), known[1].event.clone()]);
    }

    #[test]
    fn it_is_an_entry_of_the_catalog_whatever_slashes_its_event_has() {
        let fleet = Some("north".parse().expect("id"));
        let given = Acknowledgement { note: Some("called the driver".into()), fleet, ..acknowledgement(5) };
        let put = CatalogEdit::Put(CatalogEntry::Acknowledgement(given.clone()));
        let (key, value) = encode_catalog(&put);
        assert_eq!(key, "acknowledgement/jo/phone/yard/enter/5");
        assert_eq!(decode_catalog(&key, value.as_deref()).expect("decodes"), put);
        let removal = CatalogEdit::Remove(CatalogKey::Acknowledgement(given.event.clone()));
        assert_eq!(decode_catalog(&key, None).expect("decodes"), removal);

        let mut catalog = Catalog::default();
        catalog.apply(put);
        assert!(catalog.knows(&CatalogKey::Acknowledgement(given.event.clone())));
        let of = |organisation: &str| catalog.acknowledgements_of(&organisation.parse().expect("id")).count();
        assert_eq!((of("o"), of("other")), (1, 0));
        catalog.apply(removal);
        assert!(catalog.acknowledgements.is_empty());
    }
}
