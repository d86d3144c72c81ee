//! Statements about the connection, carried out.

use super::command::{Command, CopyFormat, Statement};
use super::connection::Connection;
use super::extended::{Portal, Prepared, Run, State, texts};
use super::failure::Failure;
use super::rows::{COPY_BEGIN, Framing, csv_header, description, fields};
use super::session::Session;
use super::settings::spelling;
use bytes::{BufMut, BytesMut};
use datafusion::common::ParamValues;
use pgwire::api::portal::Format;
use pgwire::messages::PgWireBackendMessage as Out;
use pgwire::messages::copy::{CopyData, CopyDone, CopyOutResponse};
use pgwire::messages::data::DataRow;
use pgwire::messages::response::TransactionStatus;
use pgwire::messages::startup::ParameterStatus;
use std::sync::Arc;

/// What binary COPY ends with.
const COPY_END: &[u8] = b"\xff\xff";

impl Statement {
    /// What may run in a transaction that has failed.
    pub(super) fn ends_transaction(&self) -> bool {
        matches!(self, Self::Command(Command::Commit | Command::Rollback | Command::RollbackTo))
    }
}

impl Session {
    /// Carries it out.
    pub(super) async fn command(
        &mut self,
        command: &Command,
        text: &str,
        run: Run,
        connection: &mut Connection,
    ) -> Result<(), Failure> {
        self.scope()?;
        let Run { values, format: wanted, describe } = run;
        match command {
            Command::Begin => self.transaction = TransactionStatus::Transaction,
            Command::Commit | Command::Rollback => {
                let failed = self.transaction == TransactionStatus::Error;
                self.transaction = TransactionStatus::Idle;
                self.portals.clear();
                let commits = *command == Command::Commit && !failed;
                return connection.complete(if commits { "COMMIT" } else { "ROLLBACK" });
            }
            Command::RollbackTo => {
                if self.transaction == TransactionStatus::Error {
                    self.transaction = TransactionStatus::Transaction;
                }
            }
            Command::Savepoint | Command::Release | Command::SetTransaction | Command::Unlisten => {}
            Command::Set { name, value } => {
                let told = match value {
                    Some(value) => self.settings.set(name, value)?,
                    None => self.settings.reset(name)?,
                };
                self.tell(told, connection)?;
            }
            Command::Reset(name) => {
                let told = self.settings.reset(name)?;
                self.tell(told, connection)?;
            }
            Command::ResetAll => self.reset_all(connection)?,
            Command::DiscardAll => {
                self.statements.clear();
                self.portals.clear();
                self.reset_all(connection)?;
            }
            Command::Deallocate(None) => self.statements.clear(),
            Command::Deallocate(Some(name)) => {
                let missing = || Failure::error("26000", format!("prepared statement \"{name}\" does not exist"));
                self.statements.remove(name).map(drop).ok_or_else(missing)?;
            }
            Command::CloseCursor(None) => self.portals.clear(),
            Command::CloseCursor(Some(name)) => {
                self.portal(name)?;
                self.portals.remove(name);
            }
            Command::Show(name) => return self.show(name, describe, connection),
            Command::ShowAll => {
                let rows: Vec<_> = self.settings.all().map(|(name, value)| vec![name, value, ""]).collect();
                return table(&["name", "setting", "description"], &rows, describe, connection);
            }
            Command::Declare { name, question } => {
                let declared = self.declare(name, &text[*question..], values, connection).await;
                return declared.map_err(|failure| failure.located(&text[*question..], &text[..*question]));
            }
            Command::Prepare { name, types, question } => {
                let prepared = self.remember(name.clone(), &text[*question..], types, connection).await;
                prepared.map_err(|failure| failure.located(&text[*question..], &text[..*question]))?;
            }
            Command::Execute { name, values } => {
                return self.run_prepared(name, values, Run { values: None, format: wanted, describe }, connection).await;
            }
            Command::Fetch { name, rows } => {
                let cursor = self.portal_mut(name)?;
                if matches!(cursor.state, State::Ready) {
                    cursor.format = wanted;
                }
                if let (true, Some(schema)) = (describe, &cursor.statement.schema) {
                    connection.put(&description(&fields(schema, &cursor.format)?))?;
                }
                let (sent, _) = self.advance(name, rows.unwrap_or(usize::MAX), connection).await?;
                return connection.complete(format!("FETCH {sent}"));
            }
            Command::Copy { question: (start, end), format } => {
                let copied = self.copy(&text[*start..*end], *format, values, connection).await;
                return copied.map_err(|failure| failure.located(&text[*start..*end], &text[..*start]));
            }
        }
        connection.complete(command.tag())
    }

    fn reset_all(&mut self, connection: &mut Connection) -> Result<(), Failure> {
        self.settings.reset_all();
        for (name, value) in self.settings.reported() {
            connection.put(&Out::ParameterStatus(ParameterStatus::new(name.to_owned(), value.to_owned())))?;
        }
        Ok(())
    }

    /// Takes over what a question has set with `set_config`.
    pub(super) fn configure(&mut self, connection: &mut Connection) -> Result<(), Failure> {
        for (name, value) in self.changes.take() {
            let told = self.settings.set(&name, &value)?;
            self.tell(told, connection)?;
        }
        Ok(())
    }

    fn tell(&self, name: Option<&'static str>, connection: &mut Connection) -> Result<(), Failure> {
        let Some(name) = name else { return Ok(()) };
        let value = self.settings.get(name).unwrap_or_default().to_owned();
        connection.put(&Out::ParameterStatus(ParameterStatus::new(name.to_owned(), value)))
    }

    fn show(&self, name: &str, describe: bool, connection: &mut Connection) -> Result<(), Failure> {
        let unknown = || Failure::error("42704", format!("unrecognized configuration parameter \"{name}\""));
        let value = self.settings.get(name).ok_or_else(unknown)?;
        table(&[spelling(name)], &[vec![value]], describe, connection)
    }

    async fn declare(
        &mut self,
        name: &str,
        text: &str,
        values: Option<ParamValues>,
        connection: &mut Connection,
    ) -> Result<(), Failure> {
        if self.transaction != TransactionStatus::Transaction {
            return Err(Failure::error("25P01", "DECLARE CURSOR can only be used in transaction blocks"));
        }
        let planning = self.plan(text, &[])?;
        let (_, schema) = connection.guarded(planning).await?;
        let statement = Prepared {
            text: text.to_owned(),
            statement: Some(Statement::Question),
            parameters: Vec::new(),
            schema: Some(schema),
        };
        let portal = Portal { statement: Arc::new(statement), values, format: Format::UnifiedText, state: State::Ready };
        self.open(name.to_owned(), portal)?;
        connection.complete("DECLARE CURSOR")
    }

    async fn copy(
        &mut self,
        text: &str,
        format: CopyFormat,
        values: Option<ParamValues>,
        connection: &mut Connection,
    ) -> Result<(), Failure> {
        let (wire, code) = match format {
            CopyFormat::Binary => (Format::UnifiedBinary, 1),
            CopyFormat::Text | CopyFormat::Csv { .. } => (Format::UnifiedText, 0),
        };
        let starting = self.start(text, values, wire, Framing::Copy(format))?;
        let mut rows = connection.guarded(starting).await?;
        let columns = rows.fields.len() as i16;
        connection.put(&Out::CopyOutResponse(CopyOutResponse::new(code as i8, columns, vec![code; rows.fields.len()])))?;
        let data = |bytes: &[u8]| Out::CopyData(CopyData::new(bytes.to_vec().into()));
        if format == (CopyFormat::Csv { header: true }) {
            connection.put(&data(&csv_header(&rows.fields)))?;
        }
        let (sent, _) = connection.send(&mut rows, usize::MAX).await?;
        match (format, sent) {
            (CopyFormat::Binary, 0) => connection.put(&data(&[COPY_BEGIN, COPY_END].concat()))?,
            (CopyFormat::Binary, _) => connection.put(&data(COPY_END))?,
            (CopyFormat::Csv { .. } | CopyFormat::Text, _) => {}
        }
        connection.put(&Out::CopyDone(CopyDone::new()))?;
        connection.complete(format!("COPY {sent}"))
    }
}

impl Command {
    fn tag(&self) -> &'static str {
        match self {
            Self::Begin => "BEGIN",
            Self::Commit => "COMMIT",
            Self::Rollback | Self::RollbackTo => "ROLLBACK",
            Self::Savepoint => "SAVEPOINT",
            Self::Release => "RELEASE",
            Self::Set { .. } | Self::SetTransaction => "SET",
            Self::Show(_) | Self::ShowAll => "SHOW",
            Self::Reset(_) | Self::ResetAll => "RESET",
            Self::DiscardAll => "DISCARD ALL",
            Self::Deallocate(None) => "DEALLOCATE ALL",
            Self::Deallocate(Some(_)) => "DEALLOCATE",
            Self::CloseCursor(None) => "CLOSE CURSOR ALL",
            Self::CloseCursor(Some(_)) => "CLOSE CURSOR",
            Self::Unlisten => "UNLISTEN",
            Self::Declare { .. } => "DECLARE CURSOR",
            Self::Prepare { .. } => "PREPARE",
            Self::Execute { .. } => "EXECUTE",
            Self::Fetch { .. } => "FETCH",
            Self::Copy { .. } => "COPY",
        }
    }
}

/// A small answer in text.
fn table(columns: &[&str], rows: &[Vec<&str>], describe: bool, connection: &mut Connection) -> Result<(), Failure> {
    if describe {
        connection.put(&description(&fields(&texts(columns), &Format::UnifiedText)?))?;
    }
    for row in rows {
        let mut data = BytesMut::new();
        for value in row {
            data.put_i32(value.len() as i32);
            data.put_slice(value.as_bytes());
        }
        connection.put(&Out::DataRow(DataRow::new(data, columns.len() as i16)))?;
    }
    connection.complete("SHOW")
}
