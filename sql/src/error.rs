//! What can go wrong with a question, by what the asker does.

use datafusion::arrow::error::ArrowError;
use datafusion::common::{Diagnostic, SchemaError};
use datafusion::error::DataFusionError;
use std::time::Duration;

/// Kinds of mistakes, for programs that tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// It is no statement.
    Syntax,
    /// It names a table that isn't there.
    Table,
    /// It names a column that isn't there.
    Column,
    /// It says what this engine can't do.
    Unsupported,
    /// A value can't be computed: a cast, a division by zero.
    Value,
    /// Another one.
    Other,
}

/// Errors by what the caller can do.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// The question is wrong: change it. Says where, if that is known.
    #[error("{message}{}", place(*.at))]
    Invalid {
        /// What is wrong.
        message: String,
        /// Line and column in the text, both from 1.
        at: Option<(u64, u64)>,
        /// What kind of mistake, as far as that is known.
        flaw: Flaw,
    },
    /// The statement is not a read.
    #[error("only reading is possible here: {0}")]
    ReadOnly(&'static str),
    /// It took longer than allowed, and was stopped: ask for less.
    #[error("query took longer than {} s and was stopped", .0.as_secs_f64())]
    Deadline(Duration),
    /// It needs more memory (or temporary files) than allowed: ask for less.
    #[error("query needs more memory than allowed: {0}")]
    Memory(String),
    /// Too many queries at once, of the asker's organisation or of all: try again later.
    #[error("too many queries at once: try again later")]
    Busy,
    /// History can't be read.
    #[error("history can't be read: {0}")]
    Store(String),
    /// A result could not be written out.
    #[error("result could not be written")]
    Output(#[from] std::io::Error),
}

fn place(at: Option<(u64, u64)>) -> String {
    at.map_or(String::new(), |(line, column)| format!(" (line {line}, column {column})"))
}

impl SqlError {
    /// Short name, for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "invalid",
            Self::ReadOnly(_) => "read_only",
            Self::Deadline(_) => "deadline",
            Self::Memory(_) => "memory",
            Self::Busy => "busy",
            Self::Store(_) | Self::Output(_) => "store",
        }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid { message: message.into(), at: None, flaw: Flaw::Syntax }
    }
}

impl From<DataFusionError> for SqlError {
    fn from(error: DataFusionError) -> Self {
        let span = error.diagnostic().and_then(|d: &Diagnostic| d.span);
        // Words that were put in by a rewrite stand nowhere.
        let at = span.map(|span| (span.start.line, span.start.column)).filter(|(line, _)| *line > 0);
        match error.find_root() {
            DataFusionError::ResourcesExhausted(message) => Self::Memory(first_sentence(message)),
            DataFusionError::ParquetError(_) | DataFusionError::IoError(_) | DataFusionError::ObjectStore(_) => {
                Self::Store(error.strip_backtrace())
            }
            // From temporary files: the store's own are read through the variants above.
            DataFusionError::ArrowError(arrow, _) if matches!(**arrow, ArrowError::IoError(..)) => {
                Self::Memory(first_sentence(&arrow.to_string()))
            }
            // The parser tells the place in the message too: `…, found: x at Line: 1, Column: 8`.
            DataFusionError::SQL(parser, _) => {
                let text = parser.to_string();
                let what = text.split(" at Line: ").next().unwrap_or_default().replace("sql parser error: ", "");
                Self::Invalid { message: what, at, flaw: Flaw::Syntax }
            }
            root => {
                let message = root.strip_backtrace().replace("Error during planning: ", "");
                Self::Invalid { message, at, flaw: flaw(root) }
            }
        }
    }
}

fn flaw(error: &DataFusionError) -> Flaw {
    match error {
        DataFusionError::SchemaError(schema, _) if matches!(**schema, SchemaError::FieldNotFound { .. }) => Flaw::Column,
        DataFusionError::NotImplemented(_) => Flaw::Unsupported,
        DataFusionError::ArrowError(..) | DataFusionError::Execution(_) => Flaw::Value,
        _ => Flaw::Other,
    }
}

/// Messages go on with advice about settings of DataFusion's, which nobody can change here.
fn first_sentence(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    line.split(". Please ").next().unwrap_or_default().to_owned()
}
