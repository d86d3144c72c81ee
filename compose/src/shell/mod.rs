//! `waystream sql` without a query: statements and commands from a terminal, with history and completion, or from a pipe.

mod complete;
mod input;

use crate::access::Access;
use anyhow::Context;
use complete::Words;
use futures::TryStreamExt;
use input::{Command, HELP, Input, Splitter};
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{Config, Editor};
use serde::Deserialize;
use std::io::{self, BufRead, IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Instant;
use tokio::signal::unix::{SignalKind, signal};
use waystream_sql::output::Format;

const TABLES: &str = "SELECT table_name AS table, table_type AS kind FROM information_schema.tables \
                      WHERE table_schema = 'public' ORDER BY table_name";
const NAMES: &str = "SELECT DISTINCT name FROM (SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public' \
                     UNION ALL SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' \
                     UNION ALL SELECT routine_name FROM information_schema.routines) ORDER BY name";

/// What is told of a query that Ctrl-C has ended.
const CANCELLED: &str = "cancelled";

/// Files that include each other end here.
const MAX_INCLUDED: usize = 8;

/// Asks until the input ends; gives whether every statement was answered.
pub(crate) async fn run(access: &Access, format: Format, history: &Path, out: &mut impl Write) -> anyhow::Result<bool> {
    let interactive = io::stdin().is_terminal();
    let mut shell = Shell { access, format, interactive, timing: false, failed: false, out };
    match interactive {
        true => shell.converse(history).await?,
        false => {
            let lines = tokio::task::spawn_blocking(|| io::stdin().lock().lines().collect::<Result<Vec<_>, _>>());
            let _ended: ControlFlow<()> = shell.all(&lines.await?.context("could not read the input")?, 0).await?;
        }
    }
    Ok(!shell.failed)
}

/// Ends at the next Ctrl-C, if anybody is there to press it.
async fn interrupted(interactive: bool) {
    if interactive && let Ok(mut interrupts) = signal(SignalKind::interrupt()) {
        interrupts.recv().await;
    } else {
        std::future::pending::<()>().await;
    }
}

struct Shell<'a, W> {
    access: &'a Access,
    format: Format,
    /// Somebody is there: Ctrl-C is for the query, not for the shell.
    interactive: bool,
    timing: bool,
    failed: bool,
    out: &'a mut W,
}

impl<W: Write> Shell<'_, W> {
    /// Reads from a terminal.
    async fn converse(&mut self, history: &Path) -> anyhow::Result<()> {
        let mut editor: Editor<Words, DefaultHistory> =
            Editor::with_config(Config::builder().auto_add_history(true).build()).context("could not set up the terminal")?;
        // There is none before the first time.
        drop(editor.load_history(history));
        editor.set_helper(Some(Words::new(self.names().await?)));
        writeln!(self.out, "waystream {}: \\? for help, \\q to end", env!("CARGO_PKG_VERSION"))?;
        let mut splitter = Splitter::default();
        let mut kept = Ok(());
        loop {
            let prompt = if splitter.is_open() { "      ...> " } else { "waystream> " };
            // The terminal is read on a thread that may wait.
            let (back, line) = tokio::task::spawn_blocking(move || {
                let line = editor.readline(prompt);
                (editor, line)
            })
            .await?;
            editor = back;
            match line {
                Ok(line) => {
                    // Before it is answered: however the shell ends, what was typed is there the next time.
                    kept = editor.append_history(history);
                    for input in splitter.line(&line) {
                        if self.one(input, 0).await?.is_break() {
                            return Ok(());
                        }
                    }
                }
                // Ctrl-C: begin anew.
                Err(ReadlineError::Interrupted) => splitter.clear(),
                Err(ReadlineError::Eof) => break,
                Err(error) => return Err(error).context("could not read from the terminal"),
            }
        }
        kept.with_context(|| format!("could not write {}", history.display()))
    }

    /// Does all of a text.
    async fn all(&mut self, lines: &[String], depth: usize) -> anyhow::Result<ControlFlow<()>> {
        let mut splitter = Splitter::default();
        for line in lines {
            for input in splitter.line(line) {
                if self.one(input, depth).await?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        match splitter.end() {
            Some(last) => self.one(Ok(last), depth).await,
            None => Ok(ControlFlow::Continue(())),
        }
    }

    async fn one(&mut self, input: Result<Input, String>, depth: usize) -> anyhow::Result<ControlFlow<()>> {
        match input {
            Ok(Input::Statement(query)) => self.ask(&query).await?,
            Ok(Input::Command(Command::Quit)) => return Ok(ControlFlow::Break(())),
            Ok(Input::Command(Command::Include(file))) => return self.include(file, depth).await,
            Ok(Input::Command(command)) => self.command(command).await?,
            Err(error) => self.fail(&error)?,
        }
        Ok(ControlFlow::Continue(()))
    }

    async fn include(&mut self, file: PathBuf, depth: usize) -> anyhow::Result<ControlFlow<()>> {
        if depth == MAX_INCLUDED {
            self.fail(&format!("{}: files include each other", file.display()))?;
            return Ok(ControlFlow::Continue(()));
        }
        match tokio::fs::read_to_string(&file).await {
            Ok(text) => {
                let lines: Vec<String> = text.lines().map(str::to_owned).collect();
                Box::pin(self.all(&lines, depth + 1)).await
            }
            Err(error) => {
                self.fail(&format!("could not read {}: {error}", file.display()))?;
                Ok(ControlFlow::Continue(()))
            }
        }
    }

    async fn command(&mut self, command: Command) -> anyhow::Result<()> {
        let quoted = |text: &str| text.replace('\'', "''");
        match command {
            Command::Tables => self.ask(TABLES).await,
            Command::Columns(table) => {
                self.ask(&format!(
                    "SELECT column_name AS column, data_type AS type, is_nullable AS nullable FROM information_schema.columns \
                     WHERE table_schema = 'public' AND table_name = '{}' ORDER BY ordinal_position",
                    quoted(&table)
                ))
                .await
            }
            Command::Functions(part) => {
                self.ask(&format!(
                    "SELECT DISTINCT routine_name AS function, syntax_example AS syntax, description FROM information_schema.routines \
                     WHERE strpos(routine_name, lower('{}')) > 0 ORDER BY function",
                    quoted(&part)
                ))
                .await
            }
            Command::Timing => {
                self.timing = !self.timing;
                Ok(writeln!(self.out, "timing is {}", if self.timing { "on" } else { "off" })?)
            }
            Command::Format(name) => match name.parse() {
                Ok(format @ (Format::Table | Format::Csv | Format::Json)) => {
                    self.format = format;
                    Ok(())
                }
                _ => self.fail(&format!("there is no format {name}; there are table, csv and json")),
            },
            Command::Help => Ok(write!(self.out, "{HELP}")?),
            Command::Include(_) | Command::Quit => Ok(()),
        }
    }

    /// Prints the answer; a query that can't be answered is told and no more.
    async fn ask(&mut self, query: &str) -> anyhow::Result<()> {
        let started = Instant::now();
        if let Err(error) = self.print(query).await? {
            return self.fail(&error);
        }
        if self.timing {
            writeln!(self.out, "{:.1} ms", started.elapsed().as_secs_f64() * 1000.0)?;
        }
        Ok(self.out.flush()?)
    }

    /// The inner result is the query's: an error's text.
    async fn print(&mut self, query: &str) -> anyhow::Result<Result<(), String>> {
        let mut interrupted = pin!(interrupted(self.interactive));
        let begun = tokio::select! {
            begun = self.access.answer(query, self.format) => begun,
            () = &mut interrupted => return Ok(Err(CANCELLED.to_owned())),
        };
        let mut pieces = match begun {
            Ok(pieces) => pieces,
            Err(error) => return Ok(Err(format!("{error:#}"))),
        };
        loop {
            // Dropping an answer ends its query.
            let piece = tokio::select! {
                piece = pieces.try_next() => piece,
                () = &mut interrupted => return Ok(Err(CANCELLED.to_owned())),
            };
            match piece {
                Ok(Some(piece)) => self.out.write_all(&piece)?,
                Ok(None) => return Ok(Ok(())),
                Err(error) => return Ok(Err(format!("{error:#}"))),
            }
        }
    }

    fn fail(&mut self, error: &str) -> anyhow::Result<()> {
        self.failed = true;
        Ok(writeln!(io::stderr(), "error: {error}")?)
    }

    /// Of tables, columns and functions.
    async fn names(&self) -> anyhow::Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Answer {
            rows: Vec<(String,)>,
        }
        let answer = self.access.ask(NAMES, Format::Json).await?;
        let Answer { rows } = serde_json::from_slice(&answer).context("could not understand the list of names")?;
        Ok(rows.into_iter().map(|(name,)| name).collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::access::with_history;
    use crate::config::{Config, Overrides};
    use std::time::Duration;

    #[tokio::test(flavor = "multi_thread")]
    async fn an_interrupt_ends_the_query_and_not_the_shell() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::load(None, &Overrides { data: Some(folder.path().to_owned()), roles: None }).unwrap();
        // From here on an interrupt doesn't end this process.
        let _handled = signal(SignalKind::interrupt()).unwrap();
        with_history(&config, |access| async move {
            let mut out = Vec::new();
            let (access, out) = (&access, &mut out);
            let mut shell = Shell { access, format: Format::Csv, interactive: true, timing: false, failed: false, out };
            let endless = "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t";
            let interrupting = async {
                // One may come before the query has begun.
                for _ in 0..1_000 {
                    let own = std::process::id().to_string();
                    tokio::process::Command::new("kill").args(["-INT", &own]).status().await.unwrap();
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            let printed = tokio::select! {
                printed = shell.print(endless) => printed?,
                () = interrupting => Ok(()),
            };
            assert_eq!(printed, Err(CANCELLED.to_owned()));
            shell.print("SELECT 42 AS answer").await?.unwrap();
            assert_eq!(String::from_utf8_lossy(shell.out), "answer\n42\n");
            Ok(())
        })
        .await
        .unwrap();
    }
}
