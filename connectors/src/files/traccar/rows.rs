//! Rows of a table, whether they come as CSV or as JSON.

use super::super::RowFault;
use crate::protocol::Fault;
use crate::readers::malformed;
use csv::{ByteRecord, ReaderBuilder, Terminator};
use serde_json::Value;
use std::collections::HashMap;
use std::io::{self, Read};

/// A row: by column in lower case, as text. What is empty or NULL is not there.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    line: u64,
    fields: HashMap<String, String>,
}

impl Row {
    /// Makes something of it; what is wrong is told with the row's line.
    pub(super) fn read<T>(&self, make: impl FnOnce(&Self) -> Result<T, Fault>) -> Result<T, RowFault> {
        make(self).map_err(|fault| RowFault::Row { line: self.line, fault })
    }

    /// What a column says.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<f64>, Fault> {
        self.parsed(name, "number")
    }

    pub(super) fn int(&self, name: &str) -> Result<Option<i64>, Fault> {
        self.parsed(name, "whole number")
    }

    pub(super) fn key(&self, name: &str) -> Result<i64, Fault> {
        self.int(name)?.ok_or_else(|| malformed(format_args!("no {name}")))
    }

    /// Databases write truth in several ways.
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        match self.text(name)?.to_ascii_lowercase().as_str() {
            "true" | "t" | "1" | "\u{1}" | "0x01" => Some(true),
            "false" | "f" | "0" | "\0" | "0x00" => Some(false),
            _ => None,
        }
    }

    fn parsed<T: std::str::FromStr>(&self, name: &str, what: &str) -> Result<Option<T>, Fault> {
        let parse = |text: &str| text.parse().map_err(|_| malformed(format_args!("{name}: {text:?} is not a {what}")));
        self.text(name).map(parse).transpose()
    }
}

/// How a table is written down, with a header line in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// RFC 4180: what has commas, quotes or line breaks stands in quotes, and quotes in it are doubled. So do PostgreSQL and H2.
    Csv,
    /// Tabs between columns and a backslash before what would be misread. So do MySQL's client, and PostgreSQL's text format.
    Tabs,
}

impl Manner {
    fn reader<R: Read>(self, input: R) -> csv::Reader<R> {
        let mut builder = ReaderBuilder::new();
        builder.flexible(true);
        if self == Self::Tabs {
            // MySQL leaves a carriage return in a text as it is.
            builder.delimiter(b'\t').quoting(false).terminator(Terminator::Any(b'\n'));
        }
        builder.from_reader(input)
    }

    /// The text of a field; `None` for what is empty or NULL.
    fn text(self, field: &str) -> Option<String> {
        let field = match self {
            Self::Csv => field,
            Self::Tabs => field.strip_suffix('\r').unwrap_or(field),
        };
        match (field, self) {
            ("" | "\\N" | "NULL", _) => None,
            (field, Self::Csv) => Some(field.to_owned()),
            (field, Self::Tabs) => Some(without_backslashes(field)),
        }
    }
}

fn without_backslashes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(next) = chars.next() {
        plain.push(match next {
            '\\' => match chars.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some('0') => '\0',
                Some(other) => other,
                None => next,
            },
            _ => next,
        });
    }
    plain
}

/// The rows of a table. Bytes that are no UTF-8 spoil the letters they are in, not their row: most columns with words are not taken.
pub fn table(input: impl Read, manner: Manner) -> impl Iterator<Item = Result<Row, RowFault>> {
    let mut reader = manner.reader(input);
    let mut record = ByteRecord::new();
    let mut names: Option<Vec<String>> = None;
    let mut ended = false;
    std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let names = match &names {
            Some(names) => names,
            None => match reader.byte_headers() {
                Ok(header) => {
                    let name = |field: &[u8]| {
                        String::from_utf8_lossy(field).trim_start_matches('\u{feff}').trim().to_ascii_lowercase()
                    };
                    names.insert(header.iter().map(name).collect())
                }
                Err(error) => {
                    ended = true;
                    return Some(Err(unreadable(0, error)));
                }
            },
        };
        match reader.read_byte_record(&mut record) {
            Ok(true) => {
                let line = record.position().map_or(0, csv::Position::line);
                let text = |field: &[u8]| manner.text(&String::from_utf8_lossy(field));
                let fields = names.iter().zip(&record).filter_map(|(name, field)| Some((name.clone(), text(field)?)));
                Some(Ok(Row { line, fields: fields.collect() }))
            }
            Ok(false) => {
                ended = true;
                None
            }
            Err(error) => {
                ended = true;
                Some(Err(unreadable(record.position().map_or(0, csv::Position::line), error)))
            }
        }
    })
}

/// The rows of a JSON array of objects. Their line is their place in it, from 1.
pub fn json_rows(text: &str) -> Result<Vec<Row>, serde_json::Error> {
    let objects: Vec<serde_json::Map<String, Value>> = serde_json::from_str(text)?;
    let plain = |value: Value| match value {
        Value::Null => None,
        Value::String(text) => (!text.is_empty()).then_some(text),
        other => Some(other.to_string()),
    };
    let row = |(line, object): (u64, serde_json::Map<String, Value>)| Row {
        line,
        fields: object.into_iter().filter_map(|(name, value)| Some((name.to_ascii_lowercase(), plain(value)?))).collect(),
    };
    Ok((1..).zip(objects).map(row).collect())
}

fn unreadable(line: u64, error: csv::Error) -> RowFault {
    RowFault::Unreadable { line, error: io::Error::new(io::ErrorKind::InvalidData, error) }
}
