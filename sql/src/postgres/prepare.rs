//! Prepared statements as SQL: `PREPARE`, `EXECUTE`.

use super::command::{Command, Words};
use super::connection::Connection;
use super::extended::Run;
use super::failure::Failure;
use super::parameters;
use super::rows::{Framing, description};
use super::session::Session;
use super::simple::tag;
use bytes::Bytes;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};
use std::sync::Arc;

/// Names of types, as `PREPARE` may say them of a parameter, and their numbers.
pub(super) const TYPES: [(&str, u32); 19] = [
    ("unknown", 0),
    ("bool", 16),
    ("boolean", 16),
    ("int8", 20),
    ("bigint", 20),
    ("int2", 21),
    ("smallint", 21),
    ("int4", 23),
    ("int", 23),
    ("integer", 23),
    ("text", 25),
    ("float4", 700),
    ("real", 700),
    ("float8", 701),
    ("double precision", 701),
    ("varchar", 1043),
    ("date", 1082),
    ("timestamptz", 1184),
    ("timestamp with time zone", 1184),
];

/// The rest of `PREPARE name [(type, …)] AS question`.
pub(super) fn prepare(w: &mut Words<'_>, byte: &dyn Fn(&TokenWithSpan) -> usize) -> Result<Command, Failure> {
    let wrong = || Failure::error("42601", "syntax error: PREPARE name [(type, …)] AS SELECT …");
    let name = w.name().ok_or_else(wrong)?;
    let mut types = Vec::new();
    if w.is_token(&Token::LParen) {
        let mut spelled = Vec::new();
        loop {
            match w.next().ok_or_else(wrong)? {
                Token::Word(word) => spelled.push(word.value.to_lowercase()),
                end @ (Token::Comma | Token::RParen) => {
                    let spelled = std::mem::take(&mut spelled).join(" ");
                    let known = TYPES.iter().find(|(name, _)| *name == spelled);
                    let unknown = || Failure::error("42704", format!("PREPARE does not know the type \"{spelled}\""));
                    types.push(known.ok_or_else(unknown)?.1);
                    if *end == Token::RParen {
                        break;
                    }
                }
                _ => return Err(wrong()),
            }
        }
    }
    if !w.is("AS") {
        return Err(wrong());
    }
    let question = w.ahead().map(byte).ok_or_else(wrong)?;
    Ok(Command::Prepare { name, types, question })
}

/// The rest of `EXECUTE name [(value, …)]`.
pub(super) fn execute(w: &mut Words<'_>) -> Result<Command, Failure> {
    let wrong = || Failure::error("42601", "syntax error: EXECUTE name [(value, …)], where values are literals");
    let name = w.name().ok_or_else(wrong)?;
    let mut values = Vec::new();
    if w.is_token(&Token::LParen) {
        loop {
            values.push(literal(w).ok_or_else(wrong)?);
            match w.next().ok_or_else(wrong)? {
                Token::Comma => {}
                Token::RParen => break,
                _ => return Err(wrong()),
            }
        }
    }
    if w.over() { Ok(Command::Execute { name, values }) } else { Err(wrong()) }
}

fn literal(w: &mut Words<'_>) -> Option<Option<String>> {
    Some(match w.next()? {
        Token::SingleQuotedString(text) => Some(text.clone()),
        Token::Number(number, _) => Some(number.clone()),
        Token::Minus => match w.next()? {
            Token::Number(number, _) => Some(format!("-{number}")),
            _ => return None,
        },
        Token::Word(word) if word.quote_style.is_none() => match word.value.to_lowercase().as_str() {
            "null" => None,
            known @ ("true" | "false") => Some(known.to_owned()),
            _ => return None,
        },
        _ => return None,
    })
}

impl Session {
    /// Carries out `EXECUTE`.
    pub(super) async fn run_prepared(
        &mut self,
        name: &str,
        values: &[Option<String>],
        run: Run,
        connection: &mut Connection,
    ) -> Result<(), Failure> {
        let statement = Arc::clone(self.prepared(name)?);
        if !statement.is_question() {
            return Err(Failure::error("0A000", "EXECUTE runs questions only"));
        }
        let values = values.iter().map(|value| value.clone().map(Bytes::from)).collect();
        let values = parameters::values(&parameters::in_text(values), &statement.parameters)?;
        let starting = self.start(statement.rows_of(), Some(values), run.format, Framing::Rows)?;
        let mut rows = connection.guarded(starting).await?;
        if run.describe {
            connection.put(&description(&rows.fields))?;
        }
        let (sent, _) = connection.send(&mut rows, usize::MAX).await?;
        connection.complete(tag(&statement.text, sent))
    }
}
