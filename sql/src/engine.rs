//! The engine: asks each question on its own threads, within limits, and hands the rows over as they come.

use crate::context::Core;
#[cfg(any(feature = "flight", feature = "postgres"))]
use crate::context::Planned;
use crate::fair::{Place, Places};
use crate::manner::{Manner, Plain};
use crate::memory::Memory;
use crate::room::Room;
use crate::{LatestPositions, Scope, SqlError, metrics, priority};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::physical_plan::ExecutionPlan;
use std::future::Future;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use waystream_domain::{OrganisationId, SharedCatalog};
use waystream_store::Store;

/// Limits of the engine.
#[derive(Debug, Clone)]
pub struct SqlOptions {
    /// Threads that work on questions, all together.
    pub threads: usize,
    /// Memory for sorting, grouping and joining, all questions together; beyond three quarters of it sorts and groupings use
    /// temporary files. While several organisations ask, each may use its share only. What is on its way between threads may be
    /// as much again.
    pub memory_bytes: usize,
    /// Temporary files, all questions together.
    pub spill_bytes: u64,
    /// Where they are, for this engine alone: what a process that was killed has left there is removed. `None`: where the system
    /// has such.
    pub spill_folder: Option<PathBuf>,
    /// Longest time for one query.
    pub deadline: Duration,
    /// Most rows that one query returns; the rest is cut off, and the result says so.
    pub max_rows: usize,
    /// By how much these threads are nicer than those that start the engine, for systems whose threads can be so: 0 to 19. What
    /// they may share is the processor that nobody else needs.
    pub nice: u8,
    /// Most queries at once. Where there are several organisations each has its share of them, see [`crate::fair`]; one more waits for
    /// `busy_after`, then is refused.
    pub queries: usize,
    /// Most queries of one organisation that wait for a turn; one more is refused at once.
    pub waiting: usize,
    /// How long a query waits for its turn.
    pub busy_after: Duration,
}

impl Default for SqlOptions {
    fn default() -> Self {
        Self {
            // Half of the machine: live tracking goes first.
            threads: std::thread::available_parallelism().map_or(1, NonZeroUsize::get).div_ceil(2),
            memory_bytes: 512 << 20,
            spill_bytes: 4 << 30,
            spill_folder: None,
            deadline: Duration::from_secs(30),
            max_rows: 100_000,
            // A tenth of what others get who want the same processor.
            nice: 10,
            queries: 8,
            waiting: 64,
            busy_after: Duration::from_secs(5),
        }
    }
}

/// Answers questions about history.
pub struct SqlEngine {
    pub(crate) core: Arc<Core>,
    options: SqlOptions,
    turns: Places,
    /// Own threads, behind all others: a question that computes for seconds must not delay live tracking. `None` only while dropping.
    runtime: Option<Runtime>,
}

impl SqlEngine {
    /// An engine over a store and a catalog that somebody else keeps up to date.
    pub fn new(store: Arc<dyn Store>, catalog: SharedCatalog, options: SqlOptions) -> Result<Self, SqlError> {
        let memory = Memory::new(options.memory_bytes, options.spill_bytes, options.spill_folder.as_deref())?;
        // So that they are among the metrics before the first file.
        metrics::spilled(0, 0);
        let nice = priority::behind(options.nice);
        let runtime = Builder::new_multi_thread()
            .worker_threads(options.threads.max(1))
            .thread_name("sql")
            // Planning recurses: see MAX_OPERATORS.
            .thread_stack_size(32 << 20)
            .on_thread_start(move || priority::step_back(nice))
            .enable_all()
            .build()?;
        let (latest, partitions) = (OnceLock::new(), options.threads.max(1));
        let core = Core { store, catalog, latest, memory, partitions, fix_room: Room::default() };
        let turns = Places::new(options.queries, options.waiting);
        Ok(Self { core: Arc::new(core), options, turns, runtime: Some(runtime) })
    }

    /// From now on `latest_positions` comes from there. The first source stays.
    pub fn serve_latest(&self, source: Arc<dyn LatestPositions>) {
        self.core.latest.get_or_init(|| source);
    }

    /// Runs one reading statement (SELECT, EXPLAIN, SHOW, DESCRIBE) on the tables of the scope (`docs/sql.md` lists them) and
    /// `information_schema`.
    pub async fn query(&self, scope: &Scope, sql: &str) -> Result<QueryResult, SqlError> {
        let question = self.question(scope, sql);
        self.start(Question { max_rows: self.options.max_rows, ..question }).await
    }

    /// The same with no limit on rows: for who takes them as they come.
    pub(crate) async fn query_all(&self, scope: &Scope, sql: &str) -> Result<QueryResult, SqlError> {
        self.start(self.question(scope, sql)).await
    }

    /// Plain SQL, as many rows as there are, as long as a query may take.
    pub(crate) fn question(&self, scope: &Scope, sql: &str) -> Question {
        Question {
            scope: scope.clone(),
            sql: sql.to_owned(),
            max_rows: usize::MAX,
            deadline: self.options.deadline,
            manner: Arc::new(Plain),
        }
    }

    /// Queries that run now.
    pub fn running(&self) -> usize {
        self.turns.held()
    }

    /// Runs what was asked.
    pub(crate) async fn start(&self, question: Question) -> Result<QueryResult, SqlError> {
        let result = self.begin(question).await;
        if let Err(error) = &result {
            metrics::failed(error.kind());
        }
        result
    }

    async fn begin(&self, question: Question) -> Result<QueryResult, SqlError> {
        let Question { scope, sql, max_rows, deadline, manner } = question;
        let started = Instant::now();
        let turn = self.turn(scope.organisation()).await?;
        let core = self.core.clone();
        let (schema_out, schema) = oneshot::channel();
        let mut rows = self.spawn(Some(deadline), move |out| async move {
            let _turn = turn;
            // Here, not before: parser and planner recurse, and these threads have the stack for it.
            let statement = manner.parse(&sql)?;
            let planned = core.plan(&scope, statement, manner.as_ref()).await?;
            let rows = planned.start(manner.as_ref()).await?;
            let reading = core.read(rows).await?;
            // Also if the query is stopped, and behind its stream.
            let _counted = Files(reading.plan.clone());
            let mut reading = reading;
            if schema_out.send(reading.rows.schema()).is_err() {
                return Ok(());
            }
            let (mut left, mut truncated) = (max_rows, false);
            while let Some(batch) = reading.next().await? {
                truncated = batch.num_rows() > left;
                let batch = if truncated { batch.slice(0, left) } else { batch };
                left -= batch.num_rows();
                if out.send(Ok(Piece::Rows(batch))).await.is_err() {
                    return Ok(());
                }
                if truncated {
                    break;
                }
            }
            // Nobody listening is no fault.
            out.send(Ok(Piece::End { truncated })).await.ok();
            Ok(())
        });
        let schema = match rows.wait(schema).await? {
            Ok(schema) => schema,
            // The task ended before it knew the schema: it says why.
            Err(_) => {
                let why = rows.next().await.and_then(Result::err);
                return Err(why.unwrap_or_else(|| SqlError::Store("query broke off".into())));
            }
        };
        metrics::planned(started.elapsed());
        Ok(QueryResult { schema, rows, truncated: false })
    }

    /// Whether there is no other organisation to leave something to.
    pub(crate) fn is_for_one(&self) -> bool {
        self.core.catalog.read().unwrap_or_else(PoisonError::into_inner).organisations.len() <= 1
    }

    /// Plans a question, and looks at what comes of it.
    #[cfg(any(feature = "flight", feature = "postgres"))]
    pub(crate) async fn look<T, F, L>(&self, question: Question, look: L) -> Result<T, SqlError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, SqlError>> + Send + 'static,
        L: FnOnce(Planned, Arc<dyn Manner>) -> F + Send + 'static,
    {
        let Question { scope, sql, deadline, manner, .. } = question;
        let turn = self.turn(scope.organisation()).await?;
        let core = self.core.clone();
        let mut answer = self.spawn(Some(deadline), move |out| async move {
            let _turn = turn;
            let statement = manner.parse(&sql)?;
            let planned = core.plan(&scope, statement, manner.as_ref()).await?;
            let seen = look(planned, manner).await?;
            out.send(Ok(seen)).await.ok();
            Ok(())
        });
        answer.next().await.unwrap_or_else(|| Err(SqlError::Store("planning broke off".into())))
    }

    /// Waits until an organisation may run one more query.
    pub(crate) async fn turn(&self, organisation: &OrganisationId) -> Result<Turn, SqlError> {
        match self.turns.take(organisation, self.is_for_one(), self.options.busy_after).await {
            Ok(place) => {
                metrics::running(1.0);
                Ok(Turn { _place: place })
            }
            Err(why) => {
                metrics::turned_away(why.as_str());
                Err(SqlError::Busy)
            }
        }
    }

    /// Runs `job` on the engine's threads; what it sends comes out of the answer. Dropping the answer stops the job.
    pub(crate) fn spawn<T, F, J>(&self, deadline: Option<Duration>, job: J) -> Rows<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<(), SqlError>> + Send,
        J: FnOnce(mpsc::Sender<Result<T, SqlError>>) -> F + Send + 'static,
    {
        let (out, receiver) = mpsc::channel(2);
        let runtime = self.runtime.as_ref().expect("taken only by drop");
        let task = runtime.spawn(async move {
            if let Err(error) = job(out.clone()).await {
                // Nobody listening is no fault.
                out.send(Err(error)).await.ok();
            }
        });
        let deadline = deadline.map(|after| (Instant::now() + after, after));
        Rows { receiver, deadline, ended: false, task: AbortOnDropHandle::new(task) }
    }

    /// Runs what blocks, or computes for long, on threads that are behind live tracking like those that answer questions.
    pub async fn aside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, SqlError> {
        let runtime = self.runtime.as_ref().expect("taken only by drop");
        runtime.spawn_blocking(work).await.map_err(|e| SqlError::Store(format!("work was given up: {e}")))
    }

    pub(crate) fn deadline(&self) -> Duration {
        self.options.deadline
    }
}

/// What is asked, and how.
pub(crate) struct Question {
    pub(crate) scope: Scope,
    pub(crate) sql: String,
    pub(crate) max_rows: usize,
    pub(crate) deadline: Duration,
    pub(crate) manner: Arc<dyn Manner>,
}

/// The right to run a query, as long as it is held.
pub(crate) struct Turn {
    _place: Place,
}

impl Drop for Turn {
    fn drop(&mut self) {
        metrics::running(-1.0);
    }
}

/// Counts the temporary files of a query when it is over.
struct Files(Arc<dyn ExecutionPlan>);

impl Drop for Files {
    fn drop(&mut self) {
        let (files, bytes) = files(&self.0);
        metrics::spilled(files, bytes);
    }
}

/// How many files a plan and what is below it have written, and bytes in them.
fn files(plan: &Arc<dyn ExecutionPlan>) -> (usize, usize) {
    let told = plan.metrics();
    let own = told.map_or((0, 0), |m| (m.spill_count().unwrap_or(0), m.spilled_bytes().unwrap_or(0)));
    plan.children().into_iter().map(files).fold(own, |(files, bytes), more| (files + more.0, bytes + more.1))
}

impl Drop for SqlEngine {
    fn drop(&mut self) {
        // Waiting for threads is not allowed on somebody else's runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// What a job on the engine's threads sends. Past the deadline it says so once and the job is stopped.
pub(crate) struct Rows<T> {
    receiver: mpsc::Receiver<Result<T, SqlError>>,
    deadline: Option<(Instant, Duration)>,
    ended: bool,
    task: AbortOnDropHandle<()>,
}

impl<T> Rows<T> {
    /// The next piece; `None` after the last one or after an error.
    pub(crate) async fn next(&mut self) -> Option<Result<T, SqlError>> {
        if self.ended {
            return None;
        }
        let next = match self.deadline {
            None => self.receiver.recv().await,
            Some((at, after)) => match tokio::time::timeout_at(at, self.receiver.recv()).await {
                Ok(next) => next,
                Err(_) => Some(Err(SqlError::Deadline(after))),
            },
        };
        match next {
            Some(Ok(piece)) => Some(Ok(piece)),
            Some(Err(error)) => {
                self.ended = true;
                self.task.abort();
                Some(Err(error))
            }
            None => {
                self.ended = true;
                // A fault in the engine must not look like the end of the rows.
                (&mut self.task).await.err().map(|e| Err(SqlError::Store(format!("query broke off: {e}"))))
            }
        }
    }

    /// Waits for something else that the job does, within the same deadline.
    async fn wait<O>(&mut self, other: impl Future<Output = O>) -> Result<O, SqlError> {
        match self.deadline {
            None => Ok(other.await),
            Some((at, after)) => match tokio::time::timeout_at(at, other).await {
                Ok(done) => Ok(done),
                Err(_) => Err(SqlError::Deadline(after)),
            },
        }
    }
}

enum Piece {
    Rows(RecordBatch),
    End { truncated: bool },
}

/// Rows of a query as they come. Dropping it stops the query.
pub struct QueryResult {
    schema: SchemaRef,
    rows: Rows<Piece>,
    truncated: bool,
}

impl QueryResult {
    /// Columns.
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// The next rows; `None` at the end or after an error.
    pub async fn next(&mut self) -> Option<Result<RecordBatch, SqlError>> {
        match self.rows.next().await? {
            Ok(Piece::Rows(batch)) => Some(Ok(batch)),
            Ok(Piece::End { truncated }) => {
                self.truncated = truncated;
                None
            }
            Err(error) => {
                metrics::failed(error.kind());
                Some(Err(error))
            }
        }
    }

    /// When it will be stopped.
    #[cfg(any(feature = "flight", feature = "postgres"))]
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.rows.deadline.map(|(at, _)| at)
    }

    /// All rows (at most `SqlOptions::max_rows`).
    pub async fn collect(&mut self) -> Result<Vec<RecordBatch>, SqlError> {
        let mut all = Vec::new();
        while let Some(batch) = self.next().await {
            all.push(batch?);
        }
        Ok(all)
    }

    /// After the end: whether rows were cut off at `SqlOptions::max_rows`.
    pub fn truncated(&self) -> bool {
        self.truncated
    }
}
