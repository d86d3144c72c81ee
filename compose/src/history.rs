//! The way into history and out of it, the same whether a system runs on the folder or not.

use crate::audit::{self, AuditOrder};
use crate::people::{self, PeopleOrder};
use crate::storekeeping::{self, StoreOrder};
use crate::tokens::{self, TokenOrder};
use anyhow::Context;
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use waystream_connectors::faults::Source;
use waystream_connectors::files::TrackPoint;
use waystream_connectors::ingest::{Ingest, Report};
use waystream_domain::{Actor, CatalogEdit, CatalogEntry, DeviceId, OrganisationId, Position, Timestamp};
use waystream_log::catalog::CatalogHandle;
use waystream_log::{Log, Offsets, Topic};
use waystream_sql::output::{self, Format};
use waystream_sql::{Devices, Scope, SqlEngine, TrackRequest, TrackStream};
use waystream_store::{Store, archive};

/// Name of the protocol of imported positions.
const IMPORT: &str = "import";
/// How often progress is looked at while waiting for it.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How often it is told that there is none.
const TELL_AGAIN: Duration = Duration::from_secs(10);

/// Everything needed to put positions into history and to ask it. Cheap to clone.
#[derive(Clone)]
pub struct History {
    /// Where positions go first.
    pub log: Arc<dyn Log>,
    /// Where they end up.
    pub store: Arc<dyn Store>,
    /// Questions.
    pub sql: Arc<SqlEngine>,
    /// The way into the log.
    pub ingest: Ingest,
    /// What people set up.
    pub catalog: CatalogHandle,
    /// Whose history.
    pub organisation: OrganisationId,
    /// Whether this process writes it, or a part of it.
    pub archives: bool,
}

/// Which positions to export.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub struct Selection {
    /// None: all.
    #[serde(default)]
    pub devices: Vec<DeviceId>,
    /// From then on.
    pub from: Option<Timestamp>,
    /// Before then.
    pub to: Option<Timestamp>,
}

impl History {
    /// Puts points into the log; returns once they are durable, with how many were taken.
    pub async fn store(&self, points: Vec<TrackPoint>) -> anyhow::Result<usize> {
        let source = Source { protocol: IMPORT, device: None, peer: None };
        let mut reports: Vec<Report> = Vec::new();
        let mut taken = 0;
        for point in points {
            match reports.last_mut() {
                Some(last) if *last.from.device() == point.device => last.fixes.push(point.fix),
                _ => {
                    let admitted =
                        self.ingest.admit(source, &point.device, &[]).await.context("could not register a device")?;
                    let Some(from) = admitted else { continue };
                    reports.push(Report { from, fixes: vec![point.fix] });
                }
            }
            taken += 1;
        }
        self.ingest.store(source, crate::now(), reports).await.context("could not store positions")?;
        Ok(taken)
    }

    /// Puts entries into the catalog for who has a shell, but for those whose key is there already; gives how many were new.
    pub async fn add(&self, entries: Vec<CatalogEntry>) -> anyhow::Result<usize> {
        let new: Vec<CatalogEdit> = {
            let shared = self.catalog.shared();
            let known = shared.read().unwrap_or_else(PoisonError::into_inner);
            entries.into_iter().filter(|entry| !known.knows(&entry.key())).map(CatalogEdit::Put).collect()
        };
        let added = new.len();
        if added > 0 {
            self.catalog.edit(&Actor::CommandLine, new).await.context("could not change the catalog")?;
        }
        Ok(added)
    }

    /// Waits until everything that is in the log now, and the events that follow from it, can be asked for.
    pub async fn settle(&self) -> anyhow::Result<()> {
        let positions = self.ends(Topic::Positions).await?;
        self.reaches(waystream_dataflow::GROUP, Topic::Positions, &positions).await?;
        let events = self.ends(Topic::Events).await?;
        self.reaches(archive::GROUP, Topic::Positions, &positions).await?;
        self.reaches(archive::GROUP, Topic::Events, &events).await
    }

    /// Waits until a group has come so far in a topic.
    async fn reaches(&self, group: &str, topic: Topic, ends: &Offsets) -> anyhow::Result<()> {
        let mut told = Instant::now();
        loop {
            let at = self.progress(group, topic).await?;
            if !self.is_behind(&at, ends).await? {
                return Ok(());
            }
            if told.elapsed() > TELL_AGAIN {
                tracing::warn!(group, topic = topic.name(), ?at, ?ends, "still waiting");
                told = Instant::now();
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Writes again what came into the log from this time on; gives the number of rows.
    pub async fn archive_again(&self, from: Timestamp) -> anyhow::Result<u64> {
        if !self.archives {
            // Whoever writes has to know what is to be left out.
            self.erase_again().await?;
        }
        let again = archive::again(self.log.as_ref(), self.store.as_ref(), from.as_millis());
        again.await.context("could not write history again")
    }

    /// Erases again what the catalog says is erased.
    pub async fn erase_again(&self) -> anyhow::Result<()> {
        let erasures: Vec<_> = {
            let shared = self.catalog.shared();
            let catalog = shared.read().unwrap_or_else(PoisonError::into_inner);
            catalog.erasures.values().cloned().collect()
        };
        for erasure in erasures {
            self.store.erase(&erasure).await.context("could not erase again what was erased")?;
        }
        Ok(())
    }

    /// Does something with the store as a whole; gives what came of it, for people.
    pub async fn keep(&self, order: &StoreOrder) -> anyhow::Result<String> {
        storekeeping::carry_out(self, order).await
    }

    /// How far a group has come: the archive, as far as history can be read.
    async fn progress(&self, group: &str, topic: Topic) -> anyhow::Result<Offsets> {
        // Other processes may keep some or all of it.
        let mut progress = self.log.committed(group, topic).await?;
        if group == archive::GROUP && self.archives {
            for (place, readable) in self.store.readable() {
                let at = progress.entry(place).or_insert(0);
                *at = readable.max(*at);
            }
        }
        Ok(progress)
    }

    /// The ends of partitions that have records.
    async fn ends(&self, topic: Topic) -> anyhow::Result<Offsets> {
        let bounds = self.log.bounds(topic).await?;
        Ok(bounds.iter().enumerate().filter(|(_, b)| b.next > b.first).map(|(p, b)| ((topic, p as u32), b.next)).collect())
    }

    /// Whether there are records between these offsets. The offsets alone don't tell: there may be gaps at the ends of partitions.
    async fn is_behind(&self, at: &Offsets, ends: &Offsets) -> anyhow::Result<bool> {
        let at = |place: &(Topic, u32)| at.get(place).copied().unwrap_or(0);
        let open: Offsets =
            ends.iter().filter(|(place, end)| at(place) < **end).map(|(place, _)| (*place, at(place))).collect();
        let Some((topic, _)) = open.keys().next().copied() else { return Ok(false) };
        let mut reader = self.log.read(topic, &open).await?;
        let mut passed = BTreeSet::new();
        while passed.len() < open.len()
            && let Some(batch) = reader.try_next(1).await?
        {
            let first = batch.entries.first().map_or(batch.next, |entry| entry.offset);
            if first < ends[&(topic, batch.partition)] {
                return Ok(true);
            }
            passed.insert(batch.partition);
        }
        Ok(false)
    }

    /// Answers a query as text.
    pub async fn ask(&self, query: &str, format: Format) -> anyhow::Result<Vec<u8>> {
        let result = self.sql.query(&self.scope(), query).await?;
        let mut text = Vec::new();
        output::write(result, format, &mut text).await?;
        Ok(text)
    }

    /// Positions in order of time; none if history is empty.
    pub async fn positions(&self, selection: &Selection) -> anyhow::Result<Option<TrackStream>> {
        let scope = self.scope();
        let Some((first, last)) = self.sql.time_range(&scope).await? else { return Ok(None) };
        let devices = if selection.devices.is_empty() { Devices::All } else { Devices::Only(selection.devices.clone()) };
        let request = TrackRequest {
            devices,
            from: selection.from.map_or(first, |from| from.max(first)),
            to: selection.to.map_or(last, |to| to.plus_millis(-1).min(last)),
            // All of them: more than any disk holds, and still a number that SQL takes.
            max_rows: 1 << 40,
        };
        Ok(Some(self.sql.track(&scope, request)))
    }

    /// Does something with API tokens; gives what came of it, for people.
    pub async fn tokens(&self, order: &TokenOrder) -> anyhow::Result<String> {
        tokens::carry_out(&self.catalog, order).await
    }

    /// Does something with users or organisations; gives what came of it, for people.
    pub async fn people(&self, order: &PeopleOrder) -> anyhow::Result<String> {
        people::carry_out(&self.catalog, order).await
    }

    /// Who changed what, for people or programs.
    pub async fn changes(&self, order: &AuditOrder) -> anyhow::Result<String> {
        audit::tell(self.log.as_ref(), order).await
    }

    fn scope(&self) -> Scope {
        let shared = self.catalog.shared();
        Scope::of_organisation(self.organisation.clone(), &shared.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A position as the fix that it came from.
pub fn point(position: Position) -> TrackPoint {
    let Position { device, fix_time, location, valid, altitude_m, speed_mps, course_deg, accuracy_m, attributes, .. } =
        position;
    let fix = waystream_connectors::protocol::Fix {
        device: None,
        fix_time,
        location,
        valid,
        altitude_m,
        speed_mps,
        course_deg,
        accuracy_m,
        attributes,
    };
    TrackPoint { device, fix }
}
