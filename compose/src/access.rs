//! History for commands: of the system that runs on a data folder, or of a folder on which none runs.

use crate::app::Core;
use crate::audit::AuditOrder;
use crate::cli::WhoseArgs;
use crate::config::{Config, Role};
use crate::control::Remote;
use crate::folder::{DataFolder, Owner};
use crate::history::{History, Pieces, Selection};
use crate::people::PeopleOrder;
use crate::storekeeping::StoreOrder;
use crate::tasks::Tasks;
use crate::tokens::TokenOrder;
use anyhow::Context;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use std::future::Future;
use std::pin::pin;
use waystream_connectors::files::TrackPoint;
use waystream_domain::{CatalogEntry, OrganisationId, Position, Timestamp};
use waystream_sql::output::Format;

/// The same questions, answered here or there.
pub enum Access {
    /// By parts opened in this process.
    Here(History),
    /// By a running system.
    There(Remote),
}

impl Access {
    /// See [`History::of`].
    pub fn of(self, organisation: OrganisationId) -> anyhow::Result<Self> {
        Ok(match self {
            Self::Here(history) => Self::Here(history.of(organisation)?),
            Self::There(remote) => Self::There(remote.of(organisation)),
        })
    }

    /// See [`History::store`].
    pub async fn store(&self, points: Vec<TrackPoint>) -> anyhow::Result<usize> {
        match self {
            Self::Here(history) => history.store(points).await,
            Self::There(remote) => remote.store(points).await,
        }
    }

    /// See [`History::add`].
    pub async fn add(&self, entries: Vec<CatalogEntry>) -> anyhow::Result<usize> {
        match self {
            Self::Here(history) => history.add(entries).await,
            Self::There(remote) => remote.add(entries).await,
        }
    }

    /// See [`History::settle`].
    pub async fn settle(&self) -> anyhow::Result<()> {
        match self {
            Self::Here(history) => history.settle().await,
            Self::There(remote) => remote.settle().await,
        }
    }

    /// See [`History::archive_again`].
    pub async fn archive_again(&self, from: Timestamp) -> anyhow::Result<u64> {
        match self {
            Self::Here(history) => history.archive_again(from).await,
            Self::There(remote) => remote.archive_again(from).await,
        }
    }

    /// See [`History::keep`].
    pub async fn keep(&self, order: &StoreOrder) -> anyhow::Result<String> {
        match self {
            Self::Here(history) => history.keep(order).await,
            Self::There(remote) => remote.keep(order).await,
        }
    }

    /// See [`History::answer`].
    pub async fn answer(&self, query: &str, format: Format) -> anyhow::Result<Pieces> {
        match self {
            Self::Here(history) => history.answer(query, format).await,
            Self::There(remote) => remote.answer(query, format).await,
        }
    }

    /// All of an answer.
    pub async fn ask(&self, query: &str, format: Format) -> anyhow::Result<Vec<u8>> {
        self.answer(query, format).await?.try_concat().await
    }

    /// See [`History::tokens`].
    pub async fn tokens(&self, order: &TokenOrder) -> anyhow::Result<String> {
        match self {
            Self::Here(history) => history.tokens(order).await,
            Self::There(remote) => remote.tokens(order).await,
        }
    }

    /// See [`History::people`].
    pub async fn people(&self, order: &PeopleOrder) -> anyhow::Result<String> {
        match self {
            Self::Here(history) => history.people(order).await,
            Self::There(remote) => remote.people(order).await,
        }
    }

    /// See [`History::changes`].
    pub async fn changes(&self, order: &AuditOrder) -> anyhow::Result<String> {
        match self {
            Self::Here(history) => history.changes(order).await,
            Self::There(remote) => remote.changes(order).await,
        }
    }

    /// See [`History::positions`].
    pub async fn positions(&self, selection: &Selection) -> anyhow::Result<BoxStream<'static, anyhow::Result<Vec<Position>>>> {
        match self {
            Self::Here(history) => {
                let positions = history.positions(selection).await?;
                let batches = stream::unfold(positions, |positions| async move {
                    let mut positions = positions?;
                    let batch = positions.next().await?;
                    Some((batch.map_err(anyhow::Error::from), Some(positions)))
                });
                Ok(batches.boxed())
            }
            Self::There(remote) => Ok(remote.positions(selection).await?.boxed()),
        }
    }

    /// See [`History::by_device`].
    pub async fn by_device(&self, selection: &Selection) -> anyhow::Result<Vec<Selection>> {
        match self {
            Self::Here(history) => history.by_device(selection).await,
            Self::There(remote) => remote.by_device(selection).await,
        }
    }
}

/// Does something with the history of one organisation, if one is named, or else of the first.
pub async fn with_history_of<T, F>(config: &Config, whose: &WhoseArgs, work: impl FnOnce(Access) -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>>,
{
    let organisation = whose.organisation.as_deref().map(|id| {
        let parsed: Result<OrganisationId, _> = id.parse();
        parsed.with_context(|| format!("{id:?} is not an organisation"))
    });
    let organisation = organisation.transpose()?;
    with_history(config, |access| async move {
        let access = match organisation {
            Some(organisation) => access.of(organisation)?,
            None => access,
        };
        work(access).await
    })
    .await
}

/// Does something with the history of a data folder.
pub async fn with_history<T, F>(config: &Config, work: impl FnOnce(Access) -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>>,
{
    let folder = match DataFolder::take(&config.data)? {
        Owner::Other(contact) => return work(Access::There(Remote::new(contact))).await,
        Owner::Us(folder) => folder,
    };
    let mut config = config.clone();
    // What belongs to history; where the log is shared, as far as it is this folder's business.
    let shared = config.log.is_shared();
    let roles = [Role::Dataflow, Role::Archive].into_iter().filter(|role| !shared || config.roles.contains(role));
    config.roles = roles.collect();
    let mut tasks = Tasks::default();
    let core = Core::open(&config, folder, &mut tasks).await?;
    let (done, finished) = tokio::sync::oneshot::channel::<()>();
    let work = work(Access::Here(core.history.clone()));
    let worked = async {
        let result = work.await;
        drop(done);
        result
    };
    // The parts run beside the work; the first of them that fails ends the work, which would wait for it in vain.
    let mut parts = pin!(tasks.run_until(async { drop(finished.await) }));
    let result = tokio::select! {
        result = worked => {
            parts.await?;
            result
        }
        early = &mut parts => {
            early?;
            anyhow::bail!("the parts of the system ended early")
        }
    };
    core.close().await;
    result
}
