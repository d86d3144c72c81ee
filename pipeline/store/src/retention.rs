//! How long rows are kept by what organisations have said; the shortest counts, that of the whole store included.

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::TimestampMillisecondType;
use arrow::error::ArrowError;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use waystream_domain::Catalog;

const DAY_MS: i64 = 86_400_000;

/// The rules of all organisations that have any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetentionRules {
    organisations: Vec<Rules>,
    /// Places in `organisations`: of a row the fleet is known.
    fleets: BTreeMap<String, usize>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Rules {
    days: Option<u32>,
    devices: BTreeMap<String, u32>,
}

impl RetentionRules {
    /// As the catalog says. Rows of fleets that it doesn't have are nobody's, and kept as long as the store keeps all.
    pub fn of(catalog: &Catalog) -> Self {
        let mut rules = Self::default();
        for retention in catalog.retentions.values() {
            let devices = retention.devices.iter().map(|(device, days)| (device.to_string(), *days));
            let place = rules.organisations.len();
            let fleets = catalog.fleets_of(&retention.organisation);
            rules.fleets.extend(fleets.map(|fleet| (fleet.id.to_string(), place)));
            rules.organisations.push(Rules { days: retention.days, devices: devices.collect() });
        }
        rules
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.organisations.is_empty()
    }

    /// All that are said, shortest first.
    pub(crate) fn all_days(&self) -> BTreeSet<u32> {
        let all = self.organisations.iter().flat_map(|rules| rules.days.iter().chain(rules.devices.values()));
        all.copied().collect()
    }

    /// The same for the same rules. Which fleets there are makes no difference: a new one has no old rows.
    pub(crate) fn print(&self) -> u32 {
        let json = serde_json::to_vec(&self.organisations).expect("rules are plain values under text keys");
        crc32fast::hash(&json)
    }

    fn days_of(&self, fleet: &str, device: &str) -> Option<u32> {
        let rules = &self.organisations[*self.fleets.get(fleet)?];
        rules.days.into_iter().chain(rules.devices.get(device).copied()).min()
    }

    /// For each row whether it is kept at this time. `keep_from_ms`: what is older goes, whosever it is.
    pub(crate) fn keeps(&self, rows: &RecordBatch, now_ms: i64, keep_from_ms: Option<i64>) -> Result<BooleanArray, ArrowError> {
        let lacks = |name: &str| ArrowError::SchemaError(format!("rows lack the column {name}"));
        let text = |name: &str| rows.column_by_name(name).and_then(|c| c.as_string_view_opt()).ok_or_else(|| lacks(name));
        let (devices, fleets) = (text("device")?, text("fleet")?);
        let times = rows.column_by_name("fix_time").and_then(|c| c.as_primitive_opt::<TimestampMillisecondType>());
        let times = times.ok_or_else(|| lacks("fix_time"))?;
        // Rows of a device lie together.
        let mut last: Option<(&str, &str, Option<i64>)> = None;
        let keeps = |i: usize| {
            let (fleet, device) = (fleets.value(i), devices.value(i));
            let from = match last {
                Some((f, d, from)) if f == fleet && d == device => from,
                _ => self.days_of(fleet, device).map(|days| from(now_ms, days)),
            };
            last = Some((fleet, device, from));
            Some(from.is_none_or(|from| times.value(i) >= from) && keep_from_ms.is_none_or(|from| times.value(i) >= from))
        };
        Ok((0..rows.num_rows()).map(keeps).collect())
    }
}

/// The first moment that is kept.
pub(crate) fn from(now_ms: i64, days: u32) -> i64 {
    now_ms.saturating_sub(i64::from(days) * DAY_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{at, position};
    use crate::{Archived, rows};
    use waystream_domain::catalog::Fleet;
    use waystream_domain::{CatalogEdit, CatalogEntry, FleetId, OrganisationId, Retention};

    #[test]
    fn the_shortest_counts_of_device_organisation_and_store() {
        let mut catalog = Catalog::default();
        for (fleet, organisation) in [("north", "ours"), ("their", "theirs"), ("free", "others")] {
            let (id, organisation) = (fleet.parse().expect("id"), organisation.parse().expect("id"));
            let fleet = Fleet { id, organisation, name: String::new(), rules: Default::default() };
            catalog.apply(CatalogEdit::Put(CatalogEntry::Fleet(fleet)));
        }
        let mut put = |organisation: &str, days, devices: &[(&str, u32)]| {
            let organisation: OrganisationId = organisation.parse().expect("id");
            let devices = devices.iter().map(|(device, days)| (device.parse().expect("id"), *days)).collect();
            catalog.apply(CatalogEdit::Put(CatalogEntry::Retention(Retention { organisation, days, devices })));
        };
        put("ours", Some(30), &[("brief", 10), ("long", 90)]);
        put("theirs", None, &[("brief", 20)]);
        let rules = RetentionRules::of(&catalog);
        assert_eq!(rules.all_days(), BTreeSet::from([10, 20, 30, 90]));
        assert_ne!(rules.print(), RetentionRules::default().print());

        let now = at("2026-03-31T12:00:00Z");
        let row = |(fleet, device, days_ago): (&str, &str, i64)| {
            let mut row = position(device, now.plus_millis(-days_ago * DAY_MS));
            row.fleet = FleetId::new(fleet).expect("id");
            Archived { partition: 0, offset: 0, row }
        };
        let keeps = |cases: &[(&str, &str, i64)], keep_from_ms| {
            let rows = rows::positions_batch(&cases.iter().map(|case| row(*case)).collect::<Vec<_>>());
            rules.keeps(&rows, now.as_millis(), keep_from_ms).expect("rows").iter().flatten().collect::<Vec<_>>()
        };
        let cases = [
            ("north", "any", 30),
            ("north", "any", 31),
            ("north", "brief", 10),
            ("north", "brief", 11),
            ("north", "long", 31),
            ("their", "any", 1_000),
            ("their", "brief", 21),
            ("free", "brief", 1_000),
            ("gone", "brief", 1_000),
        ];
        assert_eq!(keeps(&cases, None), [true, false, true, false, false, true, false, true, true]);
        let all = Some(now.plus_millis(-25 * DAY_MS).as_millis());
        assert_eq!(keeps(&cases, all), [false, false, true, false, false, false, false, false, false]);
    }
}
