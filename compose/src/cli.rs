//! The command line.

use crate::config::Role;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

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
    /// Ask history with SQL, one query or many in a shell.
    Sql(SqlArgs),
    /// Check the settings and print the result.
    CheckConfig(CheckConfigArgs),
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
pub struct ImportArgs {
    /// Settings and data folder. A system that runs on the folder takes the tracks itself.
    #[command(flatten)]
    pub run: RunArgs,
    /// Recorded tracks: CSV (gzipped or not), GPX, NMEA.
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
}

/// What to export.
#[derive(Debug, Clone, Args)]
pub struct ExportArgs {
    /// Settings and data folder; a system may be running on it.
    #[command(flatten)]
    pub run: RunArgs,
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
    /// Where to write; standard output by default.
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
}

/// What to ask.
#[derive(Debug, Clone, Args)]
pub struct SqlArgs {
    /// Settings and data folder; a system may be running on it.
    #[command(flatten)]
    pub run: RunArgs,
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
