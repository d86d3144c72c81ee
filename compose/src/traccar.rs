//! `waystream import traccar`: what a Traccar server knows, from its tables or from its REST interface.

mod server;
mod users;

use crate::access::{Access, with_history_of};
use crate::app::organisation as first;
use crate::cli::TraccarArgs;
use crate::commands::{BATCH, settings};
use crate::people::PeopleOrder;
use anyhow::Context;
use server::Server;
use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;
use waystream_connectors::files::traccar::{self, Manner, Row};
use waystream_connectors::files::{RowFault, TrackPoint, open_plain};
use waystream_domain::catalog::{Device, Fleet, User};
use waystream_domain::geofence::{Checks, Defaults, from_geojson};
use waystream_domain::{CatalogEntry, DeviceId, FleetId, Timestamp, UserId};

/// The REST interface is asked for so much of a device's history at a time.
const WINDOW_MS: i64 = 7 * 24 * 3_600 * 1_000;

/// Where it comes from.
enum Source {
    Tables(PathBuf),
    Server { server: Server, since: Timestamp },
}

/// What could not be taken is told on stderr as it is met.
#[derive(Default)]
struct LeftOut(u64);

impl LeftOut {
    fn tell(&mut self, table: &str, why: impl Display) {
        self.0 += 1;
        tracing::warn!(table, %why, "left out");
    }

    fn taken<T>(&mut self, table: &str, row: Result<T, RowFault>) -> anyhow::Result<Option<T>> {
        match row {
            Ok(row) => Ok(Some(row)),
            Err(fault @ RowFault::Row { .. }) => {
                self.tell(table, fault);
                Ok(None)
            }
            Err(fault) => Err(anyhow::Error::from(fault).context(format!("in {table}"))),
        }
    }
}

/// See the module.
pub async fn run(args: &TraccarArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let source = Source::of(args)?;
    let mut left_out = LeftOut::default();
    let groups = source.read("groups", false, traccar::group, &mut left_out).await?;
    let devices = source.read("devices", true, traccar::device, &mut left_out).await?;
    let geofences = source.read("geofences", false, traccar::geofence, &mut left_out).await?;
    let people = users::read(&source, (&groups, &devices), args.all_users, &mut left_out).await?;

    let organisation = match &args.whose.organisation {
        Some(id) => id.parse().with_context(|| format!("{id:?} is not an organisation"))?,
        None => first(),
    };
    // Several may come from servers that count alike.
    let prefix = if organisation == first() { String::new() } else { format!("{organisation}-") };
    let fleets: HashMap<i64, FleetId> = groups
        .iter()
        .map(|group| Ok((group.key, FleetId::new(format!("{prefix}traccar-{}", group.key))?)))
        .collect::<anyhow::Result<_>>()?;
    // The fleet that an organisation begins with has its key.
    let no_group = FleetId::new(organisation.as_str())?;
    let mut entries: Vec<CatalogEntry> = Vec::new();
    for group in &groups {
        let (id, name) = (fleets[&group.key].clone(), group.name.clone());
        entries.push(CatalogEntry::Fleet(Fleet { id, organisation: organisation.clone(), name, rules: Default::default() }));
    }
    for device in &devices {
        let fleet = device.group.and_then(|group| fleets.get(&group)).unwrap_or(&no_group);
        entries.push(CatalogEntry::Device(Device { id: device.id.clone(), fleet: fleet.clone(), name: device.name.clone() }));
    }
    let defaults = Defaults { organisation: organisation.clone(), fleet: None, id: None, version: 1, checks: Checks::Strict };
    for feature in &geofences {
        match from_geojson(&feature.to_string(), &defaults) {
            Ok(areas) => entries.extend(areas.into_iter().map(CatalogEntry::Geofence)),
            Err(error) => left_out.tell("geofences", error),
        }
    }

    let ids: HashMap<i64, DeviceId> = devices.into_iter().map(|device| (device.key, device.id)).collect();
    let (sender, mut batches) = mpsc::channel(4);
    let reading = tokio::spawn(async move { source.positions(&ids, &sender).await });
    let (added, invited, stored) = with_history_of(&settings(&args.run)?, &args.whose, |history: Access| async move {
        let added = history.add(entries).await?;
        let told = history.people(&PeopleOrder::Users).await?;
        let known: HashSet<&str> = told.lines().skip(1).filter_map(|line| line.split('\t').next()).collect();
        let new = people.into_iter().filter(|user| !known.contains(user.id.as_str()));
        let new: Vec<User> = new.map(|user| User { organisation: organisation.clone(), ..user }).collect();
        let invited: Vec<UserId> = new.iter().map(|user| user.id.clone()).collect();
        history.add(new.into_iter().map(CatalogEntry::User).collect()).await?;
        let mut stored = 0;
        while let Some(batch) = batches.recv().await {
            stored += history.store(batch).await?;
        }
        history.settle().await?;
        Ok((added, invited, stored))
    })
    .await?;
    left_out.0 += reading.await.context("reading failed")??;
    let (users, rows) = (invited.len(), left_out.0);
    writeln!(
        out,
        "{added} fleets, devices and geofences, {users} users and {stored} positions imported, {rows} rows left out"
    )?;
    if users > 0 {
        let names: Vec<&str> = invited.iter().map(UserId::as_str).collect();
        writeln!(
            out,
            "`waystream user link NAME` prints a link for each to come in and choose a password: {}",
            names.join(", ")
        )?;
    }
    Ok(())
}

impl Source {
    fn of(args: &TraccarArgs) -> anyhow::Result<Self> {
        let Some(url) = &args.url else {
            return Ok(Self::Tables(args.tables.clone().context("neither a folder nor --url")?));
        };
        let since = args.since.as_deref().context("--since is missing")?;
        let since = Timestamp::parse(since).with_context(|| format!("--since: {since:?} is not an ISO 8601 time"))?;
        let token = args.token.as_deref().context("--token is missing")?;
        Ok(Self::Server { server: Server::new(url, token, args.ca_file.as_deref(), args.insecure)?, since })
    }

    /// What the rows of a table are, but for those that are left out. The table fits into memory.
    async fn read<T>(
        &self,
        table: &str,
        needed: bool,
        make: impl Fn(&Row) -> Result<T, RowFault>,
        left_out: &mut LeftOut,
    ) -> anyhow::Result<Vec<T>> {
        let rows = self.rows(table, needed).await?.into_iter();
        rows.filter_map(|row| left_out.taken(table, row.and_then(|row| make(&row))).transpose()).collect()
    }

    async fn rows(&self, table: &str, needed: bool) -> anyhow::Result<Vec<Result<Row, RowFault>>> {
        match self {
            Self::Tables(folder) => match file(folder, table) {
                Some((path, manner)) => {
                    let input = open_plain(&path).with_context(|| format!("could not open {}", path.display()))?;
                    Ok(traccar::table(input, manner).collect())
                }
                None if needed => anyhow::bail!("there is no tc_{table}.csv or tc_{table}.tsv in {}", folder.display()),
                None => Ok(Vec::new()),
            },
            Self::Server { server, .. } => {
                // An administrator is told of what is linked to nobody only so; to others it makes no difference.
                let rows = server.rows(&format!("api/{table}"), &[("all", "true")]).await?;
                Ok(rows.into_iter().map(Ok).collect())
            }
        }
    }

    /// Hands on all positions of these devices; gives how many rows were none.
    async fn positions(self, devices: &HashMap<i64, DeviceId>, to: &mpsc::Sender<Vec<TrackPoint>>) -> anyhow::Result<u64> {
        match self {
            Self::Tables(folder) => {
                let Some(table) = file(&folder, "positions") else { return Ok(0) };
                let (devices, to) = (devices.clone(), to.clone());
                tokio::task::spawn_blocking(move || read_positions(&table, &devices, &to)).await.context("reading failed")?
            }
            Self::Server { server, since } => {
                let mut left_out = LeftOut::default();
                let now = crate::now();
                for key in devices.keys() {
                    let mut from = since;
                    while from < now {
                        let until = from.plus_millis(WINDOW_MS).min(now);
                        let (id, begin, end) = (key.to_string(), from.to_string(), until.to_string());
                        let asked = [("deviceId", id.as_str()), ("from", begin.as_str()), ("to", end.as_str())];
                        let mut batch = Vec::new();
                        for row in server.rows("api/positions", &asked).await? {
                            batch.extend(left_out.taken("positions", traccar::point(&row, devices))?);
                        }
                        // A closed channel means that storing has failed, which is told there.
                        if !batch.is_empty() && to.send(batch).await.is_err() {
                            return Ok(left_out.0);
                        }
                        from = until;
                    }
                }
                Ok(left_out.0)
            }
        }
    }
}

/// The file of a table, if there is one, and how it is written.
fn file(folder: &Path, table: &str) -> Option<(PathBuf, Manner)> {
    let manners = [("csv", Manner::Csv), ("csv.gz", Manner::Csv), ("tsv", Manner::Tabs), ("tsv.gz", Manner::Tabs)];
    let mut files = manners.into_iter().map(|(ending, manner)| (folder.join(format!("tc_{table}.{ending}")), manner));
    files.find(|(path, _)| path.exists())
}

fn read_positions(
    (path, manner): &(PathBuf, Manner),
    devices: &HashMap<i64, DeviceId>,
    to: &mpsc::Sender<Vec<TrackPoint>>,
) -> anyhow::Result<u64> {
    let mut left_out = LeftOut::default();
    let input = open_plain(path).with_context(|| format!("could not open {}", path.display()))?;
    let mut batch = Vec::with_capacity(BATCH);
    for row in traccar::table(input, *manner) {
        batch.extend(left_out.taken("positions", row.and_then(|row| traccar::point(&row, devices)))?);
        if batch.len() == BATCH && to.blocking_send(std::mem::take(&mut batch)).is_err() {
            return Ok(left_out.0);
        }
    }
    drop(to.blocking_send(batch));
    Ok(left_out.0)
}
