//! `waystream store`: what an operator does with history as a whole, beside a running system or on a folder on which none runs.

use crate::access::with_history;
use crate::cli::RunArgs;
use crate::commands::settings;
use crate::config::Config;
use crate::folder::{self, DataFolder};
use crate::history::History;
use crate::store::StoreConfig;
use anyhow::Context;
use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::{Path, PathBuf, absolute};
use std::sync::PoisonError;
use std::time::Duration;
use waystream_domain::{Actor, CatalogEdit, CatalogEntry, DeviceId, Erasure};
use waystream_store::Copied;
use waystream_store::parquet::ParquetStore;

/// How often it is looked whether something is done.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What to do with the store.
#[derive(Debug, Clone, Args)]
pub struct StoreArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: StoreAction,
}

/// What to do with the store.
#[derive(Debug, Clone, Subcommand)]
pub enum StoreAction {
    /// Compare every file with its checksum, and name those that are damaged.
    Check {
        /// Settings and data folder; a system may be running on it.
        #[command(flatten)]
        run: RunArgs,
    },
    /// Merge small files and remove what is past its time now, rather than within the next minutes.
    Compact {
        /// Settings and data folder; a system may be running on it.
        #[command(flatten)]
        run: RunArgs,
    },
    /// Copy all history into a new folder, each file checked. Where the folder is on the same disk the copy takes no room.
    Export {
        /// Settings and data folder; a system may be running on it.
        #[command(flatten)]
        run: RunArgs,
        /// The folder; until it is whole it is called DIR.part.
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// Put an exported store into a data folder that has no history yet. No system may be running on that.
    Import {
        /// Settings and data folder.
        #[command(flatten)]
        run: RunArgs,
        /// What `export` has written.
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// Erase what a device has told until now, whosever it was, for ever.
    Erase {
        /// Settings and data folder; a system may be running on it.
        #[command(flatten)]
        run: RunArgs,
        /// Its id.
        #[arg(value_name = "DEVICE")]
        device: String,
    },
}

/// What to do with the store, on the way to the process that has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreOrder {
    /// Look for damage.
    Check,
    /// Keep house now.
    Compact,
    /// Copy it.
    Export {
        /// To there: an absolute path.
        folder: PathBuf,
    },
    /// Erase a device's history.
    Erase {
        /// Whose.
        device: DeviceId,
    },
    /// Erase again what the catalog says is erased: what was imported may be older than that.
    EraseAgain,
}

/// `waystream store`.
pub async fn run(args: &StoreArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let path = |folder: &Path| absolute(folder).with_context(|| format!("{} is no path", folder.display()));
    let (run, order) = match &args.action {
        StoreAction::Check { run } => (run, StoreOrder::Check),
        StoreAction::Compact { run } => (run, StoreOrder::Compact),
        StoreAction::Export { run, folder } => (run, StoreOrder::Export { folder: path(folder)? }),
        StoreAction::Import { run, folder } => {
            let copied = import(&settings(run)?, path(folder)?).await?;
            writeln!(out, "imported {}", in_words(&copied))?;
            (run, StoreOrder::EraseAgain)
        }
        StoreAction::Erase { run, device } => {
            let device = device.parse().with_context(|| format!("{device:?} is not a device"))?;
            (run, StoreOrder::Erase { device })
        }
    };
    let said = with_history(&settings(run)?, |history| async move { history.keep(&order).await }).await?;
    Ok(out.write_all(said.as_bytes())?)
}

async fn import(config: &Config, from: PathBuf) -> anyhow::Result<Copied> {
    anyhow::ensure!(matches!(config.store, StoreConfig::Parquet { .. }), "only the embedded store can be imported");
    let data = DataFolder::take_alone(&config.data)?;
    let to = folder::store(data.path());
    let copied = tokio::task::spawn_blocking(move || ParquetStore::import(&from, &to)).await.context("importing failed")?;
    copied.context("could not import the store")
}

/// Carries it out, and says for people what came of it.
pub async fn carry_out(history: &History, order: &StoreOrder) -> anyhow::Result<String> {
    match order {
        StoreOrder::Check => {
            let damage = history.store.check().await.context("could not check the store")?;
            anyhow::ensure!(damage.is_empty(), "{}", damage.join("\n"));
            Ok("nothing is damaged\n".to_owned())
        }
        StoreOrder::Compact => {
            history.store.flush().await.context("could not write what is in memory")?;
            history.store.maintain(crate::now()).await.context("could not compact the store")?;
            Ok("done\n".to_owned())
        }
        StoreOrder::Export { folder } => {
            let copied = history.store.copy_to(folder).await.context("could not export the store")?;
            Ok(format!("exported {}\n", in_words(&copied)))
        }
        StoreOrder::Erase { device } => erase(history, device).await,
        StoreOrder::EraseAgain => {
            history.erase_again().await?;
            Ok(String::new())
        }
    }
}

/// Asks for it in the catalog, so that all processes learn of it, and waits until it is done.
async fn erase(history: &History, device: &DeviceId) -> anyhow::Result<String> {
    let known = || {
        let shared = history.catalog.shared();
        let catalog = shared.read().unwrap_or_else(PoisonError::into_inner);
        catalog.erasures.get(device).cloned()
    };
    let under_way = known().is_some_and(|known| known.is_under_way());
    anyhow::ensure!(!under_way, "the history of {device} is being erased already");
    let (device, until) = (device.clone(), crate::now());
    let asked = Erasure { device: device.clone(), organisation: None, fleets: None, until, done_at: None, problem: None };
    let edit = vec![CatalogEdit::Put(CatalogEntry::Erasure(asked))];
    history.catalog.edit(&Actor::CommandLine, edit).await.context("could not change the catalog")?;
    loop {
        let known = known().filter(|known| known.until == until).context("somebody has asked for more at the same time")?;
        if let Some(problem) = &known.problem {
            anyhow::bail!("could not erase the history of {device}: {problem}");
        }
        if known.done_at.is_some() {
            return Ok(format!("the history of {device} is erased; the log forgets it as it forgets everything\n"));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

fn in_words(copied: &Copied) -> String {
    let Copied { files, rows, bytes } = copied;
    format!("{rows} rows in {files} files, {bytes} bytes")
}
