//! What one signed-in client has: settings, a transaction (as far as clients see one), prepared statements, portals. And its
//! messages, one after the other.

use super::Shared;
use super::cancel::Cancellable;
use super::command::Statement;
use super::configuring::Changes;
use super::connection::Connection;
use super::dialect::Asked;
use super::extended::{Portal, Prepared};
use super::failure::Failure;
use super::frontend::Message;
use super::functions::Facts;
use super::parameters::{self, Parameter};
use super::rows::{Framing, RowStream};
use super::settings::Settings;
use super::startup::Welcome;
use super::stream::Outbound;
use crate::door::LOOK_AGAIN;
use crate::engine::Question;
use crate::{Scope, metrics};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::ParamValues;
use pgwire::api::portal::Format;
use pgwire::messages::PgWireBackendMessage as Out;
use pgwire::messages::response::{ReadyForQuery, TransactionStatus};
use pgwire::messages::startup::{BackendKeyData, ParameterStatus, SecretKey};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::time::Instant;
use waystream_domain::{TokenId, UserId};

/// See the module.
pub(super) struct Session {
    pub(super) shared: Arc<Shared>,
    user: UserId,
    token: TokenId,
    pid: i32,
    pub(super) settings: Settings,
    /// What questions change of them.
    pub(super) changes: Changes,
    pub(super) transaction: TransactionStatus,
    pub(super) statements: HashMap<String, Arc<Prepared>>,
    pub(super) portals: HashMap<String, Portal>,
    /// After an error of the extended protocol: until the client's next Sync.
    skipping: bool,
}

impl Session {
    /// Of a client that has shown a token.
    pub(super) fn new(welcome: Welcome, pid: i32, shared: &Arc<Shared>) -> Result<Self, Failure> {
        let Welcome { user, token, parameters, .. } = welcome;
        let fatal = |failure| match failure {
            Failure::Error(fault) => Failure::Fatal(fault),
            other => other,
        };
        let settings = Settings::new(user.as_str(), &parameters).map_err(fatal)?;
        Ok(Self {
            shared: Arc::clone(shared),
            user,
            token,
            pid,
            settings,
            changes: Changes::default(),
            transaction: TransactionStatus::Idle,
            statements: HashMap::new(),
            portals: HashMap::new(),
            skipping: false,
        })
    }

    /// What a client is told when it has signed in.
    pub(super) fn greet(&self, place: &Cancellable, outbound: &mut Outbound) -> Result<(), Failure> {
        for (name, value) in self.settings.reported() {
            outbound.put(&Out::ParameterStatus(ParameterStatus::new(name.to_owned(), value.to_owned())))?;
        }
        let secret = SecretKey::Bytes(place.secret.clone());
        outbound.put(&Out::BackendKeyData(BackendKeyData::new(place.pid, secret)))?;
        outbound.put(&Out::ReadyForQuery(ReadyForQuery::new(self.transaction)))?;
        Ok(())
    }

    /// Answers until the client goes, or has to.
    pub(super) async fn run(mut self, mut connection: Connection) {
        let why = loop {
            let message = match self.next(&mut connection).await {
                Ok(Some(message)) => message,
                Ok(None) => break Failure::Gone,
                Err(why) => break why,
            };
            if message == Message::Terminate {
                break Failure::Gone;
            }
            if let Err(why) = self.answer(message, &mut connection).await {
                break why;
            }
        };
        // What still runs ends before a slow client is told.
        drop(self);
        if let Some(message) = why.message() {
            why.kind().into_iter().for_each(metrics::postgres_failed);
            drop(connection.outbound.put(&message));
        }
        connection.outbound.close().await;
    }

    /// The next message. Portals whose time is over are closed meanwhile: they hold a query's place. A token that has ended ends the
    /// connection also while nothing is asked.
    async fn next(&mut self, connection: &mut Connection) -> Result<Option<Message>, Failure> {
        let idle = Instant::now() + self.shared.options.idle;
        loop {
            let over = self.portals.values().filter_map(Portal::deadline).min();
            let look = (Instant::now() + LOOK_AGAIN).min(idle);
            let wake = over.map_or(look, |over| over.min(look));
            tokio::select! {
                message = connection.inbound.message() => return message,
                () = tokio::time::sleep_until(wake) => {}
                () = connection.stop.cancelled() => return Err(Failure::stopping()),
            }
            let now = Instant::now();
            if now >= idle {
                return Err(Failure::fatal("57P05", "nothing was asked for too long"));
            }
            self.portals.values_mut().for_each(|portal| portal.expire(now));
            self.scope()?;
        }
    }

    async fn answer(&mut self, message: Message, connection: &mut Connection) -> Result<(), Failure> {
        if self.skipping && message != Message::Sync {
            return Ok(());
        }
        let simple = matches!(message, Message::Query(_));
        let answered = match message {
            Message::Query(text) => self.simple(&text, connection).await,
            Message::Parse { name, sql, types } => self.parse(name, &sql, &types, connection).await,
            Message::Bind(bind) => self.bind(&bind, connection),
            Message::Describe(target) => self.describe(&target, connection),
            Message::Execute { portal, max_rows } => self.execute(&portal, max_rows, connection).await,
            Message::Close(target) => self.close(&target, connection),
            Message::Flush => return connection.flush().await,
            Message::Sync => return self.ready(connection).await,
            Message::Copy => Ok(()),
            Message::Password(_) | Message::Terminate => Err(Failure::protocol("message out of place")),
        };
        match answered.and_then(|()| self.configure(connection)) {
            Ok(()) => {}
            Err(Failure::Error(fault)) => {
                let failure = Failure::Error(fault);
                failure.kind().into_iter().for_each(metrics::postgres_failed);
                failure.message().map_or(Ok(()), |message| connection.put(&message))?;
                self.changes = Changes::default();
                self.transaction = self.transaction.to_error_state();
                self.skipping = !simple;
            }
            Err(other) => return Err(other),
        }
        if simple { self.ready(connection).await } else { connection.relieve().await }
    }

    /// The end of a batch: all is sent, and the client may ask again.
    async fn ready(&mut self, connection: &mut Connection) -> Result<(), Failure> {
        self.skipping = false;
        if self.transaction == TransactionStatus::Idle {
            self.portals.clear();
        }
        connection.put(&Out::ReadyForQuery(ReadyForQuery::new(self.transaction)))?;
        connection.flush().await
    }

    /// What may be seen now. Asked before each statement.
    pub(super) fn scope(&self) -> Result<Scope, Failure> {
        self.shared.door.scope(&self.token).ok_or_else(Failure::token_ended)
    }

    /// Whether a statement may run in the transaction as it is.
    pub(super) fn admit(&self, statement: &Statement) -> Result<(), Failure> {
        if self.transaction == TransactionStatus::Error && !statement.ends_transaction() {
            let message = "current transaction is aborted, commands ignored until end of transaction block";
            return Err(Failure::error("25P02", message));
        }
        Ok(())
    }

    /// Starts a question. The future has nothing of the session, so that it can be given up.
    pub(super) fn start(
        &self,
        text: &str,
        values: Option<ParamValues>,
        format: Format,
        framing: Framing,
    ) -> Result<impl Future<Output = Result<RowStream, Failure>> + use<>, Failure> {
        let engine = Arc::clone(&self.shared.engine);
        let question = self.question(text, values)?;
        metrics::postgres_query();
        Ok(async move {
            let result = engine.start(question).await?;
            RowStream::new(&engine, result, &format, framing)
        })
    }

    /// Plans a question: what it takes and what it gives.
    pub(super) fn plan(
        &self,
        text: &str,
        types: &[u32],
    ) -> Result<impl Future<Output = Result<(Vec<Parameter>, SchemaRef), Failure>> + use<>, Failure> {
        let engine = Arc::clone(&self.shared.engine);
        let question = self.question(text, None)?;
        let types = types.to_vec();
        Ok(async move {
            let look = engine.look(question, move |planned, _| async move {
                let schema: SchemaRef = Arc::clone(planned.plan().schema().inner());
                Ok(parameters::of_plan(planned.plan(), &types).map(|parameters| (parameters, schema)))
            });
            look.await?
        })
    }

    fn question(&self, text: &str, values: Option<ParamValues>) -> Result<Question, Failure> {
        let facts = Facts {
            user: self.user.to_string(),
            pid: self.pid,
            settings: self.settings.clone(),
            changes: self.changes.clone(),
        };
        let question = self.shared.engine.question(&self.scope()?, text);
        let deadline = self.settings.statement_timeout().map_or(question.deadline, |own| own.min(question.deadline));
        let manner = Arc::new(Asked { dialect: Arc::clone(&self.shared.dialect), facts, values });
        Ok(Question { deadline, manner, ..question })
    }
}
