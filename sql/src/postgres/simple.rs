//! The simple protocol: a text with statements, all of them answered, the first that fails ends it.

use super::command::{Part, Statement, split};
use super::connection::Connection;
use super::extended::Run;
use super::failure::Failure;
use super::rows::{Framing, description};
use super::session::Session;
use pgwire::api::portal::Format;
use pgwire::messages::PgWireBackendMessage as Out;
use pgwire::messages::response::EmptyQueryResponse;

impl Session {
    pub(super) async fn simple(&mut self, text: &str, connection: &mut Connection) -> Result<(), Failure> {
        self.portals.remove("");
        let parts = split(text)?;
        if parts.is_empty() {
            // Also of an empty text somebody may have lost the right to ask.
            self.scope()?;
            return connection.put(&Out::EmptyQueryResponse(EmptyQueryResponse::new()));
        }
        for Part { text: part, start, statement } in parts {
            self.admit(&statement)?;
            let answered = match &statement {
                Statement::Question => self.question_simply(part, connection).await,
                Statement::Command(command) => {
                    let run = Run { values: None, format: Format::UnifiedText, describe: true };
                    self.command(command, part, run, connection).await
                }
            };
            answered.map_err(|failure| failure.located(part, &text[..start]))?;
            self.configure(connection)?;
        }
        Ok(())
    }

    async fn question_simply(&mut self, text: &str, connection: &mut Connection) -> Result<(), Failure> {
        let starting = self.start(text, None, Format::UnifiedText, Framing::Rows)?;
        let mut rows = connection.guarded(starting).await?;
        connection.put(&description(&rows.fields))?;
        let (sent, _) = connection.send(&mut rows, usize::MAX).await?;
        connection.complete(tag(text, sent))
    }
}

/// What a statement that gave rows says at its end.
pub(super) fn tag(text: &str, rows: usize) -> String {
    let first = text.split(|c: char| !c.is_ascii_alphabetic()).find(|word| !word.is_empty()).unwrap_or_default();
    match first.to_uppercase().as_str() {
        "EXPLAIN" => "EXPLAIN".to_owned(),
        "SHOW" | "DESCRIBE" => "SHOW".to_owned(),
        _ => format!("SELECT {rows}"),
    }
}
