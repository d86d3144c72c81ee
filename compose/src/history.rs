//! The way into history and out of it, the same whether a system runs on the folder or not.

use crate::audit::{self, AuditOrder};
use crate::people::{self, PeopleOrder};
use crate::storekeeping::{self, StoreOrder};
use crate::tokens::{self, TokenOrder};
use anyhow::Context;
use futures::stream::{self, BoxStream, StreamExt};
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use waystream_connectors::faults::Source;
use waystream_connectors::files::TrackPoint;
use waystream_connectors::ingest::{Ingest, Report};
use waystream_connectors::shown::Shown;
use waystream_domain::{Actor, Catalog, CatalogEdit, CatalogEntry, DeviceId, FleetId, OrganisationId, Position, Timestamp};
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

/// An answer as it comes; what an error cuts off is not the whole of it.
pub type Pieces = BoxStream<'static, anyhow::Result<Vec<u8>>>;

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
    /// It was named: nothing of others is touched.
    pub alone: bool,
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
    /// The same for one organisation alone. New devices come into the fleet that it began with, or else its first.
    pub fn of(&self, organisation: OrganisationId) -> anyhow::Result<Self> {
        let fleet = {
            let shared = self.catalog.shared();
            let known = shared.read().unwrap_or_else(PoisonError::into_inner);
            anyhow::ensure!(known.organisations.contains_key(&organisation), "there is no organisation {organisation}");
            let fleets = || known.fleets_of(&organisation).map(|fleet| &fleet.id);
            let began_with = fleets().find(|id| id.as_str() == organisation.as_str());
            began_with.or_else(|| fleets().next()).cloned()
        };
        let fleet = fleet.with_context(|| format!("the organisation {organisation} has no fleet"))?;
        Ok(Self { organisation, alone: true, ingest: self.ingest.in_fleet(fleet), ..self.clone() })
    }

    /// Refuses fleets, and devices in them, that are another organisation's.
    fn check_fleet(&self, known: &Catalog, fleet: &FleetId) -> anyhow::Result<()> {
        let others = known.fleets.get(fleet).filter(|fleet| fleet.organisation != self.organisation);
        anyhow::ensure!(!self.alone || others.is_none(), "the fleet {fleet} is another organisation's");
        Ok(())
    }

    fn check_device(&self, device: &DeviceId) -> anyhow::Result<()> {
        let shared = self.catalog.shared();
        let known = shared.read().unwrap_or_else(PoisonError::into_inner);
        let Some(device) = known.devices.get(device) else { return Ok(()) };
        self.check_fleet(&known, &device.fleet).with_context(|| format!("the device {}", device.id))
    }

    /// Puts points into the log; returns once they are durable, with how many were taken.
    pub async fn store(&self, points: Vec<TrackPoint>) -> anyhow::Result<usize> {
        let source = Source { protocol: IMPORT, device: None, peer: None, shown: Shown::SignedIn };
        let mut reports: Vec<Report> = Vec::new();
        let mut taken = 0;
        for point in points {
            match reports.last_mut() {
                Some(last) if *last.from.device() == point.device => last.fixes.push(point.fix),
                _ => {
                    self.check_device(&point.device)?;
                    let admitted =
                        self.ingest.admit(source, &point.device, &[], 1).await.context("could not register a device")?;
                    let Some(from) = admitted else { continue };
                    reports.push(Report { from, fixes: vec![point.fix] });
                }
            }
            taken += 1;
        }
        self.ingest.store(source, crate::now(), reports).await.context("could not store positions")?;
        Ok(taken)
    }

    /// Puts entries into the catalog for who has a shell, but for those whose key is there already; gives how many were new. None are
    /// put if one is a fleet whose id is another organisation's: devices would go there.
    pub async fn add(&self, entries: Vec<CatalogEntry>) -> anyhow::Result<usize> {
        let new: Vec<CatalogEdit> = {
            let shared = self.catalog.shared();
            let known = shared.read().unwrap_or_else(PoisonError::into_inner);
            for entry in &entries {
                match entry {
                    CatalogEntry::Fleet(fleet) => self.check_fleet(&known, &fleet.id)?,
                    CatalogEntry::Device(device) => self.check_fleet(&known, &device.fleet)?,
                    _ => {}
                }
            }
            let edits: Vec<CatalogEdit> = entries.into_iter().map(CatalogEdit::Put).collect();
            if let Err(fleet) = known.fleet_claims(&edits) {
                anyhow::bail!("the fleet id {fleet} is another organisation's");
            }
            let is_new = |edit: &CatalogEdit| matches!(edit, CatalogEdit::Put(entry) if !known.knows(&entry.key()));
            edits.into_iter().filter(is_new).collect()
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

    /// Answers a query. What is for people, a table or JSON, comes at once, and says if it was cut off at `[sql] max_rows`; the other
    /// formats are as long as they are.
    pub async fn answer(&self, query: &str, format: Format) -> anyhow::Result<Pieces> {
        let scope = self.scope();
        if matches!(format, Format::Table | Format::Json) {
            let mut text = Vec::new();
            output::write(self.sql.query(&scope, query).await?, format, &mut text).await?;
            return Ok(stream::iter([Ok(text)]).boxed());
        }
        let pieces = stream::unfold(self.sql.stream(&scope, query, format).await?, |mut pieces| async move {
            let piece = pieces.next().await?;
            Some((piece.map_err(anyhow::Error::from), pieces))
        });
        Ok(pieces.boxed())
    }

    /// Positions in order of time; none if history is empty.
    pub async fn positions(&self, selection: &Selection) -> anyhow::Result<Option<TrackStream>> {
        let scope = self.scope();
        let before_to = selection.to.map(|to| to.plus_millis(-1));
        let Some((from, to)) = self.sql.span(&scope, selection.from, before_to).await? else { return Ok(None) };
        let devices = if selection.devices.is_empty() { Devices::All } else { Devices::Only(selection.devices.clone()) };
        let request = TrackRequest {
            devices,
            from,
            to,
            // All of them: more than any disk holds, and still a number that SQL takes.
            max_rows: 1 << 40,
        };
        Ok(Some(self.sql.track(&scope, request)))
    }

    /// The same positions in parts, one for each device that has some, with nothing left open.
    pub async fn by_device(&self, selection: &Selection) -> anyhow::Result<Vec<Selection>> {
        let scope = self.scope();
        let before_to = selection.to.map(|to| to.plus_millis(-1));
        let Some((from, to)) = self.sql.span(&scope, selection.from, before_to).await? else { return Ok(Vec::new()) };
        let devices: Vec<DeviceId> = match selection.devices.as_slice() {
            [] => self.sql.devices(&scope, from, to).await?.into_iter().collect(),
            some => some.to_vec(),
        };
        let one = |device| Selection { devices: vec![device], from: Some(from), to: Some(to.plus_millis(1)) };
        Ok(devices.into_iter().map(one).collect())
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
