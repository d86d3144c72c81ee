//! The one binary of waystream.

use clap::Parser;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use waystream::cli::{Cli, Command, ImportFrom};
use waystream::{app, audit, commands, demo, people, quarantine, storekeeping, tokens, traccar, zeroed};

/// Bursts of reports allocate and free on many threads: the system's allocator keeps that memory, this one gives it back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_logging();
    // Every tracker and every browser is a socket; the soft limit is often 1,024.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "could not raise the limit of open files");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ended = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        let ended = runtime.block_on(run(cli));
        // What still blocks a thread has had its time in the orderly end.
        runtime.shutdown_background();
        ended
    });
    match ended {
        Ok(code) => code,
        // Whoever reads our output has closed it, as `head` does.
        Err(error) if error.root_cause().downcast_ref::<io::Error>().is_some_and(is_broken_pipe) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(io::stderr(), "waystream: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let out = &mut io::stdout();
    match cli.command.unwrap_or(Command::Run(cli.serve)) {
        Command::Run(args) => {
            let config = commands::serve_settings(&args)?;
            if config.log.is_shared() {
                zeroed::begin_again();
            }
            app::run(&config).await?;
        }
        Command::Demo(args) => demo::run(&args).await?,
        Command::Decode(args) => return Ok(ExitCode::from(u8::from(!commands::decode(&args, out)?))),
        Command::Quarantine(args) => quarantine::run(&args.action, out).await?,
        Command::Geofence(args) => commands::geofence(&args, out).await?,
        Command::Import(args) => match &args.from {
            Some(ImportFrom::Traccar(args)) => traccar::run(args, out).await?,
            None => commands::import(&args, out).await?,
        },
        Command::Export(args) => commands::export(&args).await?,
        Command::Archive(args) => commands::archive(&args, out).await?,
        Command::Store(args) => storekeeping::run(&args, out).await?,
        Command::Sql(args) => return Ok(ExitCode::from(u8::from(!commands::sql(&args, out).await?))),
        Command::Token(args) => tokens::run(&args, out).await?,
        Command::User(args) => people::run_users(&args, out).await?,
        Command::Organisation(args) => people::run_organisations(&args, out).await?,
        Command::Audit(args) => audit::run(&args, out).await?,
        Command::CheckConfig(args) => commands::check_config(&args, out)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn start_logging() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env();
    // Libraries speak up from warnings on; where the connectors listen is said at the start.
    let filter = filter.unwrap_or_else(|_| "warn,waystream=info,waystream_connectors=warn".into());
    let colours = io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(colours).init();
}

fn is_broken_pipe(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}
