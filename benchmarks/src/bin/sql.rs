//! `sql`: the questions of fleets, asked of our SQL over files, of our SQL over QuestDB, and of QuestDB itself; the answers are compared.

use anyhow::{Context, Result, ensure};
use clap::Parser;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};
use waystream_benchmarks::fleet_days::{self, FleetDays};
use waystream_benchmarks::questions::{self, Question, RING, RING_NAME};
use waystream_benchmarks::report::{self, Row, grouped, per_second};
use waystream_domain::catalog::{Fleet, Organisation};
use waystream_domain::geofence::{Geofence, Polygon, Shape};
use waystream_domain::{Catalog, CatalogEdit, CatalogEntry, LatLon, OrganisationId, Timestamp};
use waystream_log::{Offsets, Topic};
use waystream_sql::{Scope, SqlEngine, SqlOptions};
use waystream_store::parquet::{ParquetOptions, ParquetStore};
use waystream_store::questdb::{QuestDbOptions, QuestDbStore};
use waystream_store::{ArchiveBatch, Archived, Store};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures questions about history.
#[derive(Debug, Parser)]
struct Args {
    /// Positions.
    #[arg(long, default_value_t = 10_000_000)]
    rows: usize,
    /// Vehicles; a week of one has about 8,000 positions.
    #[arg(long, default_value_t = 1_250)]
    vehicles: u32,
    /// Times that each question is asked once it has been answered, or more often if that takes next to no time; the median counts. With 0
    /// the first time does.
    #[arg(long, default_value_t = 5)]
    repeat: usize,
    /// Questions to ask, by the beginnings of their names; without it all.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Print how our SQL reads and works out each question, instead of measuring it.
    #[arg(long)]
    explain: bool,
    /// Host and port of QuestDB's HTTP interface; without it only our SQL over files is asked.
    #[arg(long)]
    questdb: Option<String>,
    /// QuestDB's own folder, to know how large it is.
    #[arg(long)]
    questdb_folder: Option<PathBuf>,
    /// Where to make folders; on the disk that is to be measured.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
}

/// Positions handed to a store at a time, and until it makes them durable.
const BATCH: usize = 50_000;
const FLUSH: usize = 500_000;

/// A question is asked for so long at least: what is answered in a millisecond is else told by what was asked of another before.
const ENOUGH: Duration = Duration::from_millis(300);

/// Tables of a run have names of their own.
const PREFIX: &str = "bench_";

/// One of the three that are asked.
enum Asked {
    Ours(&'static str, Box<SqlEngine>),
    Theirs(reqwest::Client, String),
}

impl Asked {
    fn name(&self) -> &'static str {
        match self {
            Self::Ours(name, _) => name,
            Self::Theirs(..) => "QuestDB itself",
        }
    }

    async fn ask(&self, question: &Question, scope: &Scope) -> Result<(questions::Rows, Duration)> {
        match self {
            Self::Ours(_, engine) => question.ask_ours(engine, scope).await,
            Self::Theirs(http, url) => question.ask_theirs(http, url).await,
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let dir = tempfile::tempdir_in(&args.dir)?;
    let mut table = Vec::new();
    let (catalog, scope) = catalog(args.vehicles)?;
    let catalog = Arc::new(RwLock::new(catalog));
    let options = || SqlOptions {
        threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        deadline: Duration::from_secs(600),
        memory_bytes: 2 << 30,
        ..SqlOptions::default()
    };

    let mut asked = Vec::new();
    let files = ParquetStore::open(dir.path(), ParquetOptions::default())?;
    let took = fill(files.as_ref(), &args).await.context("files")?;
    table.push(Row::new("files: rows stored a second, compaction included", per_second(args.rows, took)));
    let bytes = size(dir.path())?;
    table.push(Row::new("files: bytes a row", format!("{:.1}", bytes as f64 / args.rows as f64)));
    asked.push(Asked::Ours("files", Box::new(SqlEngine::new(files, catalog.clone(), options())?)));
    if let Some(address) = &args.questdb {
        let (host, port) = address.split_once(':').context("--questdb HOST:PORT")?;
        let server = QuestDbOptions {
            address: (host.to_owned(), port.parse()?),
            table_prefix: PREFIX.to_owned(),
            ..QuestDbOptions::default()
        };
        let store = QuestDbStore::open(server)?;
        let took = fill(store.as_ref(), &args).await.context("QuestDB")?;
        table.push(Row::new("QuestDB: rows stored a second", per_second(args.rows, took)));
        if let Some(folder) = &args.questdb_folder {
            let bytes = size(folder)?;
            table.push(Row::new("QuestDB: bytes a row", format!("{:.1}", bytes as f64 / args.rows as f64)));
        }
        asked.push(Asked::Ours("our SQL over QuestDB", Box::new(SqlEngine::new(store, catalog, options())?)));
        asked.push(Asked::Theirs(reqwest::Client::new(), format!("http://{address}")));
    }

    let device = fleet_days::device(args.vehicles / 2);
    let fleet = fleet_days::fleet(fleet_days::fleets(args.vehicles) / 2);
    let mut slower = 0;
    let mut wanted = questions::all(&device, &fleet, &format!("{PREFIX}positions"))?;
    wanted.retain(|question| args.only.is_empty() || args.only.iter().any(|begin| question.name.starts_with(begin)));
    ensure!(!wanted.is_empty(), "no question is called like that");
    if args.explain {
        for question in wanted {
            for one in &asked {
                if let Asked::Ours(name, engine) = one {
                    let plan = question.explain(engine, &scope).await?;
                    writeln!(std::io::stdout(), "{} of {name}\n{plan}\n", question.name)?;
                }
            }
        }
        return Ok(());
    }
    for question in wanted {
        let (mut figures, mut medians, mut rows) = (Vec::new(), Vec::new(), None);
        for one in &asked {
            let (answer, first_time) = one.ask(&question, &scope).await?;
            let mut times = Vec::new();
            while times.len() < args.repeat || (args.repeat > 0 && times.iter().sum::<Duration>() < ENOUGH) {
                times.push(one.ask(&question, &scope).await?.1);
            }
            times.sort();
            let median = times.get(times.len() / 2).copied().unwrap_or(first_time);
            figures.push(format!("{:.1}", median.as_secs_f64() * 1e3));
            medians.push(median);
            let first = rows.get_or_insert_with(|| answer.clone());
            if let Some(difference) = questions::difference(first, &answer) {
                anyhow::bail!("{}: files and {} differ: {difference}", question.name, one.name());
            }
        }
        slower += usize::from(medians.first() > medians.last());
        let count = grouped(rows.map_or(0, |r| r.len()) as u64);
        table.push(Row::new(format!("{} ({count} rows), ms", question.name), figures.join(" / ")));
    }
    if asked.len() > 1 {
        table.push(Row::new("answers", "the same rows and values from all three"));
        table.push(Row::new("questions that files answer slower than QuestDB itself", slower.to_string()));
    }
    let names: Vec<&str> = asked.iter().map(Asked::name).collect();
    let title = format!("Questions of fleets, {} positions: {}", grouped(args.rows as u64), names.join(" / "));
    Ok(report::print(&title, &table)?)
}

/// One organisation with the vehicles' fleets and the ring.
fn catalog(vehicles: u32) -> Result<(Catalog, Scope)> {
    let organisation = OrganisationId::new("bench")?;
    let mut catalog = Catalog::default();
    let mut put = |entry| catalog.apply(CatalogEdit::Put(entry));
    put(CatalogEntry::Organisation(Organisation { id: organisation.clone(), name: "bench".into() }));
    for number in 0..fleet_days::fleets(vehicles) {
        let id = fleet_days::fleet(number);
        put(CatalogEntry::Fleet(Fleet {
            id: id.parse()?,
            organisation: organisation.clone(),
            name: id,
            rules: Default::default(),
        }));
    }
    let ring = RING.iter().map(|&(lon, lat)| LatLon::new(lat, lon).context("on Earth")).collect::<Result<Vec<_>>>()?;
    put(CatalogEntry::Geofence(Geofence {
        id: RING_NAME.parse()?,
        organisation: organisation.clone(),
        fleet: None,
        group: None,
        name: RING_NAME.into(),
        version: 1,
        shape: Shape::Polygons { polygons: vec![Polygon { rings: vec![ring] }] },
        colour: None,
        rules: Default::default(),
    }));
    let scope = Scope::of_organisation(organisation, &catalog);
    Ok((catalog, scope))
}

/// Puts all positions in, as the archive does it; how long the store took.
async fn fill(store: &dyn Store, args: &Args) -> Result<Duration> {
    let mut took = Duration::ZERO;
    let mut days = FleetDays::new(args.vehicles).take(args.rows);
    let mut offset = 0;
    loop {
        let positions: Vec<_> = days.by_ref().take(BATCH).collect();
        let last = positions.len() < BATCH;
        let archived = positions.into_iter().map(|row| {
            offset += 1;
            Archived { partition: 0, offset, row }
        });
        let positions = archived.collect();
        // As an archive has them: without, QuestDB's rows are those of a flush that was broken off, for who opens the store again.
        let offsets = Offsets::from([((Topic::Positions, 0), offset + 1)]);
        let batch = Arc::new(ArchiveBatch { positions, offsets, ..ArchiveBatch::default() });
        let started = Instant::now();
        store.append(batch).await?;
        if last || (offset as usize).is_multiple_of(FLUSH) {
            store.flush().await?;
        }
        took += started.elapsed();
        if last {
            break;
        }
    }
    let started = Instant::now();
    // Long after: nothing is left to be compacted later.
    let now = Timestamp::from_millis(fleet_days::START_MS + 30 * 86_400_000).context("a time")?;
    for _ in 0..4 {
        store.maintain(now).await?;
    }
    Ok(took + started.elapsed())
}

/// Bytes of all files in a folder.
fn size(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        bytes += if kind.is_dir() { size(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}
