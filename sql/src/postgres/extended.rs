//! The extended protocol: statements are prepared, values bound to them, rows taken as many at a time as the client likes.

use super::command::{Command, Part, Statement, split};
use super::connection::Connection;
use super::failure::Failure;
use super::frontend::{Bind, Target};
use super::parameters::{self, Parameter};
use super::rows::{Framing, RowStream, description, fields, format};
use super::session::Session;
use super::simple::tag;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::ParamValues;
use pgwire::api::portal::Format;
use pgwire::messages::PgWireBackendMessage as Out;
use pgwire::messages::data::{NoData, ParameterDescription};
use pgwire::messages::extendedquery::{BindComplete, CloseComplete, ParseComplete, PortalSuspended};
use pgwire::messages::response::EmptyQueryResponse;
use std::sync::Arc;
use tokio::time::Instant;

/// Most prepared statements of a client, and the bytes of their texts.
const MAX_STATEMENTS: usize = 1_024;
const MAX_TEXTS: usize = 4 << 20;
/// Most portals.
const MAX_PORTALS: usize = 64;

/// A statement that can be run with values.
pub(super) struct Prepared {
    pub(super) text: String,
    /// `None`: it says nothing.
    pub(super) statement: Option<Statement>,
    pub(super) parameters: Vec<Parameter>,
    /// What it gives, if it gives rows.
    pub(super) schema: Option<SchemaRef>,
}

/// A statement with values, on its way.
pub(super) struct Portal {
    pub(super) statement: Arc<Prepared>,
    pub(super) values: Option<ParamValues>,
    pub(super) format: Format,
    pub(super) state: State,
}

/// How a command is run.
pub(super) struct Run {
    pub(super) values: Option<ParamValues>,
    pub(super) format: Format,
    /// The client has not been told of the columns.
    pub(super) describe: bool,
}

/// How far it is.
pub(super) enum State {
    /// Not begun.
    Ready,
    /// Rows are to come.
    Running(Box<RowStream>),
    /// All rows were taken.
    Done,
    /// Its time was over before all rows were taken.
    Expired,
}

impl Portal {
    /// When its query will be stopped, while it runs.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Running(rows) => rows.deadline,
            State::Ready | State::Done | State::Expired => None,
        }
    }

    /// Stops the query if its time is over.
    pub(super) fn expire(&mut self, now: Instant) {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.state = State::Expired;
        }
    }
}

impl Statement {
    /// Where its question stands in its text, if it has one that gives rows at some time.
    fn question(&self, text: &str) -> Option<(usize, usize)> {
        match self {
            Self::Question => Some((0, text.len())),
            Self::Command(Command::Declare { question, .. }) => Some((*question, text.len())),
            Self::Command(Command::Copy { question, .. }) => Some(*question),
            Self::Command(_) => None,
        }
    }
}

impl Session {
    pub(super) async fn parse(
        &mut self,
        name: String,
        text: &str,
        types: &[u32],
        connection: &mut Connection,
    ) -> Result<(), Failure> {
        self.remember(name, text, types, connection).await?;
        connection.put(&Out::ParseComplete(ParseComplete::new()))
    }

    /// Prepares a statement.
    pub(super) async fn remember(
        &mut self,
        name: String,
        text: &str,
        types: &[u32],
        connection: &mut Connection,
    ) -> Result<(), Failure> {
        if name.is_empty() {
            self.statements.remove("");
        } else if self.statements.contains_key(&name) {
            return Err(Failure::error("42P05", format!("prepared statement \"{name}\" already exists")));
        }
        let held: usize = self.statements.values().map(|s| s.text.len()).sum();
        if self.statements.len() >= MAX_STATEMENTS || held + text.len() > MAX_TEXTS {
            return Err(Failure::error("53400", "too many prepared statements"));
        }
        let mut parts = split(text)?;
        let prepared = match (parts.pop(), parts.is_empty()) {
            (None, _) => Prepared { text: String::new(), statement: None, parameters: Vec::new(), schema: None },
            (Some(part), true) => {
                self.admit(&part.statement)?;
                let (start, whole) = (part.start, part.text);
                self.prepare(part, types, connection).await.map_err(|e| e.located(whole, &text[..start]))?
            }
            (Some(_), false) => {
                return Err(Failure::error("42601", "cannot insert multiple commands into a prepared statement"));
            }
        };
        self.statements.insert(name, Arc::new(prepared));
        Ok(())
    }

    async fn prepare(&self, part: Part<'_>, types: &[u32], connection: &mut Connection) -> Result<Prepared, Failure> {
        let Part { text, statement, .. } = part;
        let (mut parameters, mut schema) = (Vec::new(), None);
        if let Some((start, end)) = statement.question(text) {
            let planning = self.plan(&text[start..end], types)?;
            let planned = connection.guarded(planning).await;
            let (taken, given) = planned.map_err(|failure| failure.located(&text[start..end], &text[..start]))?;
            parameters = taken;
            schema = (statement == Statement::Question).then_some(given);
        }
        if let Statement::Command(command) = &statement {
            schema = match command {
                Command::Show(name) => Some(texts(&[super::settings::spelling(name)])),
                Command::ShowAll => Some(texts(&["name", "setting", "description"])),
                Command::Fetch { name, .. } => self.portal(name)?.statement.schema.clone(),
                Command::Execute { name, .. } => self.prepared(name)?.schema.clone(),
                _ => None,
            };
        }
        Ok(Prepared { text: text.to_owned(), statement: Some(statement), parameters, schema })
    }

    pub(super) fn bind(&mut self, bind: &Bind, connection: &mut Connection) -> Result<(), Failure> {
        let statement = Arc::clone(self.prepared(&bind.statement)?);
        let values = parameters::values(bind, &statement.parameters)?;
        let columns = statement.schema.as_ref().map_or(0, |schema| schema.fields().len());
        if statement.schema.is_some() {
            parameters::check_formats(&bind.result_formats, columns)?;
        }
        if bind.portal.is_empty() {
            self.portals.remove("");
        }
        let portal = Portal { statement, values: Some(values), format: format(&bind.result_formats), state: State::Ready };
        self.open(bind.portal.clone(), portal)?;
        connection.put(&Out::BindComplete(BindComplete::new()))
    }

    /// Keeps a portal under a name that no other has.
    pub(super) fn open(&mut self, name: String, portal: Portal) -> Result<(), Failure> {
        if self.portals.contains_key(&name) {
            return Err(Failure::error("42P03", format!("cursor \"{name}\" already exists")));
        }
        if self.portals.len() >= MAX_PORTALS {
            return Err(Failure::error("53400", "too many cursors"));
        }
        self.portals.insert(name, portal);
        Ok(())
    }

    pub(super) fn describe(&mut self, target: &Target, connection: &mut Connection) -> Result<(), Failure> {
        let (schema, format) = match target {
            Target::Statement(name) => {
                let statement = Arc::clone(self.prepared(name)?);
                let types = statement.parameters.iter().map(|parameter| parameter.wire.oid()).collect();
                connection.put(&Out::ParameterDescription(ParameterDescription::new(types)))?;
                (statement.schema.clone(), Format::UnifiedText)
            }
            Target::Portal(name) => {
                let portal = self.portal(name)?;
                (portal.statement.schema.clone(), portal.format.clone())
            }
        };
        match schema {
            Some(schema) => connection.put(&description(&fields(&schema, &format)?)),
            None => connection.put(&Out::NoData(NoData::new())),
        }
    }

    pub(super) async fn execute(&mut self, name: &str, max_rows: usize, connection: &mut Connection) -> Result<(), Failure> {
        let portal = self.portal(name)?;
        let statement = Arc::clone(&portal.statement);
        match &statement.statement {
            None => connection.put(&Out::EmptyQueryResponse(EmptyQueryResponse::new())),
            Some(known @ Statement::Command(command)) => {
                self.admit(known)?;
                let run = Run { values: portal.values.clone(), format: portal.format.clone(), describe: false };
                self.command(command, &statement.text, run, connection).await
            }
            Some(known @ Statement::Question) => {
                self.admit(known)?;
                let most = if max_rows == 0 { usize::MAX } else { max_rows };
                let (sent, over) = self.advance(name, most, connection).await?;
                match over {
                    true => connection.complete(tag(&statement.text, sent)),
                    false => connection.put(&Out::PortalSuspended(PortalSuspended::new())),
                }
            }
        }
    }

    /// Sends the next rows of a portal: how many, and whether there are no more.
    pub(super) async fn advance(
        &mut self,
        name: &str,
        most: usize,
        connection: &mut Connection,
    ) -> Result<(usize, bool), Failure> {
        // A token that has ended ends what it began.
        self.scope()?;
        let portal = self.portal(name)?;
        if matches!(portal.state, State::Ready) {
            let text = portal.statement.rows_of();
            let starting = self.start(text, portal.values.clone(), portal.format.clone(), Framing::Rows)?;
            let rows = connection.guarded(starting).await?;
            self.portal_mut(name)?.state = State::Running(Box::new(rows));
        }
        let portal = self.portal_mut(name)?;
        // Whatever interrupts it ends it.
        let mut rows = match std::mem::replace(&mut portal.state, State::Done) {
            State::Running(rows) => rows,
            State::Expired => return Err(Failure::timed_out()),
            State::Ready | State::Done => return Ok((0, true)),
        };
        let (sent, over) = connection.send(&mut rows, most).await?;
        if !over {
            self.portal_mut(name)?.state = State::Running(rows);
        }
        Ok((sent, over))
    }

    pub(super) fn close(&mut self, target: &Target, connection: &mut Connection) -> Result<(), Failure> {
        match target {
            Target::Statement(name) => drop(self.statements.remove(name)),
            Target::Portal(name) => drop(self.portals.remove(name)),
        }
        connection.put(&Out::CloseComplete(CloseComplete::new()))
    }

    pub(super) fn prepared(&self, name: &str) -> Result<&Arc<Prepared>, Failure> {
        let missing = || Failure::error("26000", format!("prepared statement \"{name}\" does not exist"));
        self.statements.get(name).ok_or_else(missing)
    }

    pub(super) fn portal(&self, name: &str) -> Result<&Portal, Failure> {
        self.portals.get(name).ok_or_else(|| Failure::error("34000", format!("cursor \"{name}\" does not exist")))
    }

    pub(super) fn portal_mut(&mut self, name: &str) -> Result<&mut Portal, Failure> {
        self.portals.get_mut(name).ok_or_else(|| Failure::error("34000", format!("cursor \"{name}\" does not exist")))
    }
}

impl Prepared {
    /// Whether it is nothing but a question.
    pub(super) fn is_question(&self) -> bool {
        self.statement == Some(Statement::Question)
    }

    /// What is asked of the engine.
    pub(super) fn rows_of(&self) -> &str {
        let range = self.statement.as_ref().and_then(|statement| statement.question(&self.text));
        range.map_or("", |(start, end)| &self.text[start..end])
    }
}

/// Columns of text.
pub(super) fn texts(names: &[&str]) -> SchemaRef {
    Arc::new(Schema::new(names.iter().map(|name| Field::new(*name, DataType::Utf8, true)).collect::<Vec<_>>()))
}
