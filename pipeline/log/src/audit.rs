//! Who changed what: the records of the topic `audit`, newest first and a page at a time.

use crate::{Entry, Log, LogError, Offsets, Topic};
use tracing::warn;
use waystream_domain::codec::decode_audit;
use waystream_domain::{AuditRecord, OrganisationId, Timestamp, UserId};

/// Records looked at for one page: who looks for something rare goes on from where the page ended.
const MOST_LOOKED_AT: u64 = 16_384;
/// Readers go forward, so what is newest is read in windows, each larger than the one before.
const FIRST_WINDOW: u64 = 128;
const LARGEST_WINDOW: u64 = 2_048;
/// How far the clocks of those who make changes and of the log may be apart.
const SKEW_MS: i64 = 5 * 60_000;

/// Which changes.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Only those of things of this organisation.
    pub organisation: Option<OrganisationId>,
    /// Only those of this kind of thing: `device`, `user`.
    pub kind: Option<String>,
    /// Only those by this user, and sign-ins as this user that failed.
    pub user: Option<UserId>,
    /// From then on.
    pub from: Option<Timestamp>,
    /// Before then.
    pub to: Option<Timestamp>,
    /// Only those before this place; see [`AuditPage::before`].
    pub before: Option<u64>,
    /// Most of one page.
    pub limit: usize,
}

/// Some changes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AuditPage {
    /// Newest first, each with its place.
    pub records: Vec<(u64, AuditRecord)>,
    /// Where older ones begin; none: there are none. A page may have less than was asked for, or nothing, and still be followed by
    /// older ones, as only so many are looked at at a time.
    pub before: Option<u64>,
}

/// The newest changes that a filter lets through.
///
/// # Errors
/// The log's.
pub async fn newest(log: &dyn Log, filter: &AuditFilter) -> Result<AuditPage, LogError> {
    let Some(bounds) = log.bounds(Topic::Audit).await?.first().copied() else { return Ok(AuditPage::default()) };
    let first = match filter.from {
        Some(from) => bounds.first.max(offset_at(log, from.plus_millis(-SKEW_MS)).await?),
        None => bounds.first,
    };
    let mut end = filter.before.map_or(bounds.next, |before| before.min(bounds.next));
    if let Some(to) = filter.to {
        end = end.min(offset_at(log, to.plus_millis(SKEW_MS)).await?);
    }
    let mut records = Vec::new();
    let (mut looked_at, mut window) = (0, FIRST_WINDOW);
    while end > first && records.len() < filter.limit && looked_at < MOST_LOOKED_AT {
        let start = end.saturating_sub(window).max(first);
        looked_at += end - start;
        window = (window * 4).min(LARGEST_WINDOW);
        let entries = between(log, start, end).await?;
        end = start;
        for entry in entries.into_iter().rev() {
            let Some(record) = wanted(&entry, filter) else { continue };
            records.push((entry.offset, record));
            if records.len() == filter.limit {
                end = entry.offset;
                break;
            }
        }
    }
    Ok(AuditPage { records, before: (end > first).then_some(end) })
}

async fn offset_at(log: &dyn Log, time: Timestamp) -> Result<u64, LogError> {
    let offsets = log.offsets_at(Topic::Audit, time.as_millis()).await?;
    Ok(offsets.get(&(Topic::Audit, 0)).copied().unwrap_or(0))
}

/// The records of some offsets, oldest first. There are not always as many as there are offsets.
async fn between(log: &dyn Log, start: u64, end: u64) -> Result<Vec<Entry>, LogError> {
    let mut reader = log.read(Topic::Audit, &Offsets::from([((Topic::Audit, 0), start)])).await?;
    let most = usize::try_from(end - start).unwrap_or(usize::MAX);
    let mut entries = Vec::new();
    while let Some(batch) = reader.try_next(most).await? {
        let is_last = batch.next >= end;
        entries.extend(batch.entries.into_iter().filter(|entry| entry.offset < end));
        if is_last {
            break;
        }
    }
    Ok(entries)
}

fn wanted(entry: &Entry, filter: &AuditFilter) -> Option<AuditRecord> {
    // Told from the key alone, so that most that are not wanted need not be read.
    let is_kind = |kind: &String| entry.key.strip_prefix(kind.as_bytes()).is_some_and(|rest| rest.starts_with(b"/"));
    if filter.kind.as_ref().is_some_and(|kind| !is_kind(kind)) {
        return None;
    }
    let record = match decode_audit(entry.value.as_deref().unwrap_or_default()) {
        Ok(record) => record,
        Err(error) => {
            warn!(offset = entry.offset, %error, "record of a change left out");
            return None;
        }
    };
    let fits = filter.organisation.as_ref().is_none_or(|wanted| record.organisation.as_ref() == Some(wanted))
        && filter.user.as_ref().is_none_or(|user| record.is_about_user(user))
        && filter.from.is_none_or(|from| record.at >= from)
        && filter.to.is_none_or(|to| record.at < to);
    fits.then_some(record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Record;
    use crate::embedded::{EmbeddedLog, EmbeddedOptions};
    use std::sync::Arc;
    use std::time::{SystemTime, UNIX_EPOCH};
    use waystream_domain::audit::Access;
    use waystream_domain::catalog::Fleet;
    use waystream_domain::codec::encode_audit;
    use waystream_domain::{Actor, Catalog, CatalogEdit, CatalogEntry};

    fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
        text.parse().expect("an id")
    }

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms).expect("a time")
    }

    /// The record of a fleet that a user of this organisation has made.
    fn made(n: i64, user: &str, organisation: &str) -> Record {
        let fleet = Fleet {
            id: id(&format!("fleet-{n}")),
            organisation: id(organisation),
            name: "F".into(),
            rules: Default::default(),
        };
        let by = Actor::User { user: id(user), organisation: id(organisation), via: Access::Password, address: None };
        let edits = [CatalogEdit::Put(CatalogEntry::Fleet(fleet))];
        let records = AuditRecord::of_edits(at(n * 1_000), &by, &edits, &Catalog::default());
        let (key, value) = encode_audit(&records[0]);
        Record::new(key, value)
    }

    /// Changes by two users of one organisation in turn, some of another's among them, and one that nobody can read.
    async fn log(dir: &std::path::Path, changes: i64) -> Arc<EmbeddedLog> {
        let log = EmbeddedLog::open(dir, EmbeddedOptions::default()).expect("opens");
        let who = |n: i64| match n % 3 {
            0 => ("anna", "ours"),
            1 => ("otto", "ours"),
            _ => ("eva", "theirs"),
        };
        let records = (0..changes).map(|n| made(n, who(n).0, who(n).1)).collect();
        log.append(Topic::Audit, records).await.expect("appends");
        log.append(Topic::Audit, vec![Record::new("fleet/x", "{"), Record::new("device/x", "{")]).await.expect("appends");
        log
    }

    fn numbers(page: &AuditPage) -> Vec<i64> {
        page.records.iter().map(|(_, record)| record.at.as_millis() / 1_000).collect()
    }

    #[tokio::test]
    async fn pages_follow_each_other_newest_first_and_none_is_left_out() {
        let dir = tempfile::tempdir().expect("folder");
        let log = log(dir.path(), 1_000).await;
        let mut filter = AuditFilter { organisation: Some(id("ours")), limit: 7, ..AuditFilter::default() };
        let mut found = Vec::new();
        loop {
            let page = newest(&*log, &filter).await.expect("reads");
            assert!(page.records.len() <= 7);
            found.extend(numbers(&page));
            match page.before {
                Some(before) => filter.before = Some(before),
                None => break,
            }
        }
        let ours: Vec<i64> = (0..1_000).rev().filter(|n| n % 3 != 2).collect();
        assert_eq!(found, ours);
    }

    #[tokio::test]
    async fn changes_are_picked_by_kind_user_and_time() {
        let dir = tempfile::tempdir().expect("folder");
        let log = log(dir.path(), 30).await;
        let ask =
            async |filter: AuditFilter| numbers(&newest(&*log, &AuditFilter { limit: 100, ..filter }).await.expect("reads"));
        let all = AuditFilter::default;
        assert_eq!(ask(all()).await.len(), 30);
        assert_eq!(ask(AuditFilter { user: Some(id("otto")), ..all() }).await, [28, 25, 22, 19, 16, 13, 10, 7, 4, 1]);
        assert_eq!(ask(AuditFilter { kind: Some("fleet".into()), ..all() }).await.len(), 30);
        assert!(ask(AuditFilter { kind: Some("flee".into()), ..all() }).await.is_empty());
        assert!(ask(AuditFilter { kind: Some("device".into()), ..all() }).await.is_empty());
        // All of them were appended long after that time, whatever they say of themselves.
        assert!(ask(AuditFilter { to: Some(at(3_000)), ..all() }).await.is_empty());
    }

    #[tokio::test]
    async fn the_time_of_a_change_is_looked_at_to_the_millisecond() {
        let dir = tempfile::tempdir().expect("folder");
        let log = EmbeddedLog::open(dir.path(), EmbeddedOptions::default()).expect("opens");
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        let now = i64::try_from(since_1970.as_secs()).expect("not that late");
        log.append(Topic::Audit, (0..10).map(|n| made(now + n, "anna", "ours")).collect()).await.expect("appends");
        let ask = async |from: i64, to: i64| {
            let (from, to) = (Some(at((now + from) * 1_000)), Some(at((now + to) * 1_000)));
            let page = newest(&*log, &AuditFilter { from, to, limit: 100, ..AuditFilter::default() }).await.expect("reads");
            numbers(&page).into_iter().map(|n| n - now).collect::<Vec<_>>()
        };
        assert_eq!(ask(3, 6).await, [5, 4, 3]);
        assert_eq!(ask(0, 10).await.len(), 10);
        assert!(ask(10, 20).await.is_empty());
    }

    #[tokio::test]
    async fn one_page_costs_so_much_and_no_more() {
        let dir = tempfile::tempdir().expect("folder");
        let log = log(dir.path(), 40_000).await;
        let mut filter = AuditFilter { user: Some(id("nobody")), limit: 1, ..AuditFilter::default() };
        let mut pages = 1;
        while let Some(before) = newest(&*log, &filter).await.expect("reads").before {
            filter.before = Some(before);
            pages += 1;
        }
        assert_eq!(pages, 3, "each looks at some 16,000");
    }
}
