//! The command line.

use crate::config::Role;
use crate::people::{OrganisationArgs, UserArgs};
use crate::storekeeping::StoreArgs;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use waystream_domain::TokenScope;

/// Real-time fleet tracking: trackers report to it, a live map shows them, geofences raise alerts, history can be replayed.
///
/// Without a command it runs: see `waystream run --help`. To look around first: `waystream demo`.
#[derive(Debug, Parser)]
#[command(name = "waystream", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do; `run` if nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Settings of `run`, if nothing else is said.
    #[command(flatten)]
    pub serve: ServeArgs,
}

/// What to run.
#[derive(Debug, Clone, Default, Args)]
pub struct ServeArgs {
    /// Settings and data folder.
    #[command(flatten)]
    pub run: RunArgs,
    /// What this process does [default: everything]. Several processes share the work if their log is on Kafka; each has a data
    /// folder of its own.
    #[arg(long, value_name = "ROLE,…", value_enum, value_delimiter = ',')]
    pub roles: Option<Vec<Role>>,
}

/// Where settings and data are.
#[derive(Debug, Clone, Default, Args)]
pub struct RunArgs {
    /// Settings file; `waystream check-config --defaults` prints all settings with their meaning.
    #[arg(long, value_name = "FILE", env = "WAYSTREAM_CONFIG")]
    pub config: Option<PathBuf>,
    /// Folder that holds everything which survives a restart [default: ./data].
    #[arg(long, value_name = "DIR", env = "WAYSTREAM_DATA")]
    pub data: Option<PathBuf>,
}

/// Whose data.
#[derive(Debug, Clone, Default, Args)]
pub struct WhoseArgs {
    /// Key of the organisation whose they are: nothing of others is shown or touched [default: default].
    #[arg(long, value_name = "ID")]
    pub organisation: Option<String>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the system: listen for trackers, serve the dashboard, keep history.
    Run(ServeArgs),
    /// Show it at work: simulated vehicles (or recorded tracks) that report over real sockets, with an hour of history.
    Demo(DemoArgs),
    /// Explain the bytes of a tracker: one JSON object per position.
    Decode(DecodeArgs),
    /// Messages of trackers that were not understood: look at them, or decode them again after an upgrade.
    Quarantine(QuarantineArgs),
    /// Compute geofence events of recorded tracks, as the live system would.
    Geofence(GeofenceArgs),
    /// Put recorded tracks into history.
    Import(ImportArgs),
    /// Write history into a file.
    Export(ExportArgs),
    /// Write history again from the log, into a store that has lost some of it. What is there already is left as it is.
    Archive(ArchiveArgs),
    /// Check, compact, copy or erase history as it is stored.
    Store(StoreArgs),
    /// Ask history with SQL, one query or many in a shell.
    Sql(SqlArgs),
    /// Secrets by which programs sign in for a user: SQL over Postgres wire and Flight SQL, REST.
    Token(TokenArgs),
    /// Who may sign in, and with which rights.
    User(UserArgs),
    /// Tenants: what one has, others don't see.
    Organisation(OrganisationArgs),
    /// Who changed what, newest first: the catalog of all organisations, and sign-ins.
    Audit(AuditArgs),
    /// Check the settings and print the result.
    CheckConfig(CheckConfigArgs),
}

/// Which changes.
#[derive(Debug, Clone, Args)]
pub struct AuditArgs {
    /// Settings and data folder; a system may be running on it.
    #[command(flatten)]
    pub run: RunArgs,
    /// From this time on (ISO 8601).
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only of this kind of thing: `device`, `geofence`, `user`, `session`.
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,
    /// Only those by this user, and sign-ins as this user that failed.
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
    /// One JSON object a line, instead of columns separated by tabs.
    #[arg(long)]
    pub json: bool,
}

/// What to do with tokens.
#[derive(Debug, Clone, Args)]
pub struct TokenArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: TokenAction,
}

/// What to do with tokens.
#[derive(Debug, Clone, Subcommand)]
pub enum TokenAction {
    /// Make one and print it. It can't be printed again.
    Create {
        /// Settings and data folder; a system may be running on it.
        #[command(flatten)]
        run: RunArgs,
        /// For whom: whoever has the token may do what this user may, as far as the scopes allow it.
        #[arg(long, value_name = "USER")]
        user: String,
        /// What it will be used by, for people.
        #[arg(long, value_name = "TEXT")]
        name: String,
        /// For what.
        #[arg(long, value_name = "SCOPE,…", value_enum, value_delimiter = ',', default_value = "sql")]
        scopes: Vec<Scope>,
        /// How long it is valid [default: until it is revoked].
        #[arg(long, value_name = "N")]
        days: Option<u32>,
    },
    /// One line per token, without its secret; separated by tabs.
    List {
        /// Settings and data folder; a system may be running on it.
        #[command(flatten)]
        run: RunArgs,
    },
    /// Remove one. Whatever uses it is refused from then on.
    Revoke {
        /// Settings and data folder; a system may be running on it.
        #[command(flatten)]
        run: RunArgs,
        /// Its id.
        #[arg(value_name = "ID")]
        id: String,
    },
}

/// What a token may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scope {
    /// To look, over REST.
    Read,
    /// To change what the user may change, over REST.
    Edit,
    /// To ask with SQL.
    Sql,
}

impl From<Scope> for TokenScope {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Read => Self::Read,
            Scope::Edit => Self::Edit,
            Scope::Sql => Self::Sql,
        }
    }
}

/// How to show it.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// Settings and data folder; a fresh temporary folder if none is given.
    #[command(flatten)]
    pub run: RunArgs,
    /// Number of simulated vehicles.
    #[arg(long, value_name = "N", default_value_t = 3000, conflicts_with = "tracks")]
    pub vehicles: usize,
    /// Seed of the made-up city and its traffic.
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "tracks")]
    pub seed: u64,
    /// Minutes of history that are there at the start.
    #[arg(long, value_name = "MINUTES", default_value_t = 60, conflicts_with = "tracks")]
    pub history: u32,
    /// Play these recorded tracks instead: CSV (gzipped or not) or GPX. May be given several times.
    #[arg(long, value_name = "FILE")]
    pub tracks: Vec<PathBuf>,
    /// How fast to play recorded tracks: 10 plays ten seconds in one.
    #[arg(long, value_name = "X", default_value_t = 1.0, requires = "tracks")]
    pub speed: f64,
    /// Keep the recorded times; otherwise each fix is said to be taken when it is played.
    #[arg(long, requires = "tracks")]
    pub original_times: bool,
}

/// What to decode.
#[derive(Debug, Clone, Args)]
pub struct DecodeArgs {
    /// Protocol, like `teltonika` or `gt06`.
    #[arg(long, value_name = "NAME")]
    pub protocol: String,
    /// File with the bytes of one connection, as they came; `-` reads standard input.
    #[arg(value_name = "FILE", required_unless_present_any = ["hex", "frames"])]
    pub file: Option<PathBuf>,
    /// The bytes of one connection in hexadecimal.
    #[arg(long, value_name = "HEX", conflicts_with = "file")]
    pub hex: Option<String>,
    /// Messages that are already cut, in order, on one session.
    #[arg(long, value_name = "HEX,…", value_delimiter = ',', conflicts_with_all = ["file", "hex"])]
    pub frames: Vec<String>,
    /// The messages of `--frames` are datagrams (UDP).
    #[arg(long, requires = "frames")]
    pub datagrams: bool,
    /// Also print each answer that the device would get.
    #[arg(long)]
    pub replies: bool,
}

/// What to do with messages that were not understood.
#[derive(Debug, Clone, Args)]
pub struct QuarantineArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: QuarantineAction,
}

/// What to do with messages that were not understood.
#[derive(Debug, Clone, Subcommand)]
pub enum QuarantineAction {
    /// One line per message: time, protocol, device, address, reason, bytes in hexadecimal; separated by tabs.
    List(QuarantineFilter),
    /// Decode them again; what is understood now goes into history. They stay where they are, and doing it twice does no harm.
    Replay(QuarantineFilter),
}

/// Which messages.
#[derive(Debug, Clone, Args)]
pub struct QuarantineFilter {
    /// Settings and data folder; a system may be running on it.
    #[command(flatten)]
    pub run: RunArgs,
    /// Only those of this protocol.
    #[arg(long, value_name = "NAME")]
    pub protocol: Option<String>,
    /// Only those of this device.
    #[arg(long, value_name = "ID")]
    pub device: Option<String>,
}

/// What to compute.
#[derive(Debug, Clone, Args)]
pub struct GeofenceArgs {
    /// GeoJSON or KML with polygons, points with `radius_m`, or lines with `width_m`; or WKT, one geometry a line.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub fences: Vec<PathBuf>,
    /// Recorded tracks.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub tracks: Vec<PathBuf>,
    /// Take the rows in the order of the file, as live data would come; otherwise each device's are put in order of time.
    #[arg(long)]
    pub as_received: bool,
    /// Worker threads.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub workers: usize,
}

/// What to import.
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct ImportArgs {
    /// From another program; files of tracks otherwise.
    #[command(subcommand)]
    pub from: Option<ImportFrom>,
    /// Settings and data folder. A system that runs on the folder takes the tracks itself.
    #[command(flatten)]
    pub run: RunArgs,
    /// The organisation.
    #[command(flatten)]
    pub whose: WhoseArgs,
    /// What the columns of CSV files are called, as `ours=theirs` (`device_id=imei,time=ts,lat=latitude,lon=longitude`).
    #[arg(long, value_name = "OURS=THEIRS,…", value_delimiter = ',')]
    pub columns: Vec<String>,
    /// Recorded tracks, gzipped or not: CSV, GPX, KML, NMEA, recordings of OwnTracks (`rec/USER/DEVICE/*.rec`).
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
}

/// Programs that people come from.
#[derive(Debug, Clone, Subcommand)]
pub enum ImportFrom {
    /// Devices, groups (as fleets), geofences, users and positions of a Traccar server. What is here already stays as it is.
    Traccar(TraccarArgs),
}

/// Where Traccar's data are.
#[derive(Debug, Clone, Args)]
pub struct TraccarArgs {
    /// Settings and data folder. A system that runs on the folder takes everything itself.
    #[command(flatten)]
    pub run: RunArgs,
    /// The organisation.
    #[command(flatten)]
    pub whose: WhoseArgs,
    /// Folder with its tables, each with a header line: tc_devices.csv (or .tsv, with tabs as MySQL writes it) and, if there are, tc_groups,
    /// tc_geofences, tc_positions, tc_users, tc_user_device and tc_user_group, gzipped or not.
    #[arg(value_name = "DIR", required_unless_present = "url", conflicts_with = "url")]
    pub tables: Option<PathBuf>,
    /// Ask the server itself.
    #[arg(long, value_name = "URL", requires_all = ["token", "since"])]
    pub url: Option<String>,
    /// A token made in Traccar's user settings; of users it tells if it is an administrator's.
    #[arg(long, value_name = "TOKEN", env = "TRACCAR_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Positions from this time on (ISO 8601).
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Certificates to trust beside those of the operating system, for a server with one of its own (PEM).
    #[arg(long, value_name = "FILE", requires = "url")]
    pub ca_file: Option<PathBuf>,
    /// Ask another machine by http:// too, though others could read the token on its way there.
    #[arg(long, requires = "url")]
    pub insecure: bool,
    /// Users too who see only some of the devices there; here they see all.
    #[arg(long)]
    pub all_users: bool,
}

/// What to export.
#[derive(Debug, Clone, Args)]
pub struct ExportArgs {
    /// Settings and data folder; a system may be running on it.
    #[command(flatten)]
    pub run: RunArgs,
    /// The organisation.
    #[command(flatten)]
    pub whose: WhoseArgs,
    /// Only these devices; all by default.
    #[arg(long = "device", value_name = "ID")]
    pub devices: Vec<String>,
    /// From this time on (ISO 8601).
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// Before this time (ISO 8601).
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
    /// Format of the file.
    #[arg(long, value_enum, default_value_t = ExportFormat::Csv)]
    pub format: ExportFormat,
    /// Where to write; standard output by default. Until it is whole the file is called FILE.part.
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// What to write again.
#[derive(Debug, Clone, Args)]
pub struct ArchiveArgs {
    /// Settings and data folder; a system may be running on it.
    #[command(flatten)]
    pub run: RunArgs,
    /// What was received from this time on (ISO 8601), as far as the log still has it.
    #[arg(long, value_name = "TIME")]
    pub from: String,
}

/// Formats of exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// One row a position.
    Csv,
    /// Tracks for navigation programs.
    Gpx,
    /// For geographic programs.
    Geojson,
    /// For Google Earth and the like, of trusted positions only.
    Kml,
    /// For pandas, DuckDB and the like: the columns of the table `positions` in SQL.
    Parquet,
    /// An Excel workbook with the same columns.
    Xlsx,
}

/// What to ask.
#[derive(Debug, Clone, Args)]
pub struct SqlArgs {
    /// Settings and data folder; a system may be running on it.
    #[command(flatten)]
    pub run: RunArgs,
    /// The organisation.
    #[command(flatten)]
    pub whose: WhoseArgs,
    /// The query; without one they are read from the terminal, or from standard input.
    #[arg(value_name = "SELECT …")]
    pub query: Option<String>,
    /// How to print the rows.
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    pub format: TableFormat,
}

/// How rows are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TableFormat {
    /// For people.
    Table,
    /// For spreadsheets.
    Csv,
    /// One JSON object with columns and rows.
    Json,
    /// Arrow's IPC stream.
    Arrow,
    /// One Parquet file.
    Parquet,
}

/// What to print.
#[derive(Debug, Clone, Args)]
pub struct CheckConfigArgs {
    /// Settings.
    #[command(flatten)]
    pub run: RunArgs,
    /// Print all settings with their defaults and meaning instead: the start of a file of your own.
    #[arg(long)]
    pub defaults: bool,
}
