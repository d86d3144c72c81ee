//! Splits what a client sends into statements, and finds those that are about the connection: transactions, settings, cursors.
//! All others are questions for the engine.

use super::failure::Failure;
use super::prepare::{execute, prepare};
use crate::statement::{MAX_BYTES, tokens};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

/// One statement.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Statement {
    /// For the engine.
    Question,
    /// About the connection.
    Command(Command),
}

/// What is about the connection.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Command {
    Begin,
    Commit,
    Rollback,
    Savepoint,
    Release,
    RollbackTo,
    /// No value: as at the start.
    Set {
        name: String,
        value: Option<String>,
    },
    /// `SET TRANSACTION …`, which changes nothing where everything is read only.
    SetTransaction,
    Show(String),
    ShowAll,
    Reset(String),
    ResetAll,
    DiscardAll,
    /// Without a name: all.
    Deallocate(Option<String>),
    /// Without a name: all.
    CloseCursor(Option<String>),
    Unlisten,
    /// A cursor over a question that begins at this byte of the statement.
    Declare {
        name: String,
        question: usize,
    },
    /// So many rows, or all.
    Fetch {
        name: String,
        rows: Option<usize>,
    },
    /// A question that begins at this byte of the statement, to be run later, and the types of its values as far as they are said.
    Prepare {
        name: String,
        types: Vec<u32>,
        question: usize,
    },
    /// What was prepared, with values.
    Execute {
        name: String,
        values: Vec<Option<String>>,
    },
    /// The rows of a question that stands in these bytes of the statement.
    Copy {
        question: (usize, usize),
        format: CopyFormat,
    },
}

/// How COPY writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CopyFormat {
    Text,
    Csv { header: bool },
    Binary,
}

/// A statement and where it begins in the text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part<'a> {
    pub(super) text: &'a str,
    pub(super) start: usize,
    pub(super) statement: Statement,
}

/// The statements of a text, without those that say nothing.
pub(super) fn split(text: &str) -> Result<Vec<Part<'_>>, Failure> {
    if text.len() > MAX_BYTES {
        return Err(Failure::error("54000", format!("query is longer than {MAX_BYTES} bytes")));
    }
    let tokens = tokens(text).map_err(|e| Failure::from(e).located(text, ""))?;
    let places = Places::new(text);
    let mut parts = Vec::new();
    for tokens in tokens.split(|t| t.token == Token::SemiColon) {
        let words: Vec<&TokenWithSpan> = tokens.iter().filter(|t| !matches!(t.token, Token::Whitespace(_))).collect();
        let (Some(first), Some(last)) = (words.first(), words.last()) else { continue };
        let start = places.byte(first.span.start.line, first.span.start.column);
        let end = places.byte(last.span.end.line, last.span.end.column);
        let byte = |token: &TokenWithSpan| places.byte(token.span.start.line, token.span.start.column) - start;
        parts.push(Part { text: &text[start..end], start, statement: classify(&words, &byte)? });
    }
    Ok(parts)
}

/// From lines and columns to bytes, each at once: a text may have as many statements as fit into it.
pub(super) struct Places {
    /// Where each character begins.
    characters: Vec<usize>,
    /// The number of each line's first character.
    lines: Vec<usize>,
    end: usize,
}

impl Places {
    pub(super) fn new(text: &str) -> Self {
        let ends = text.chars().enumerate().filter(|(_, c)| *c == '\n').map(|(i, _)| i + 1);
        Self {
            characters: text.char_indices().map(|(i, _)| i).collect(),
            lines: std::iter::once(0).chain(ends).collect(),
            end: text.len(),
        }
    }

    pub(super) fn byte(&self, line: u64, column: u64) -> usize {
        let index = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).saturating_sub(1);
        let character = self.lines.get(index(line)).map(|first| first.saturating_add(index(column)));
        character.and_then(|character| self.characters.get(character)).copied().unwrap_or(self.end)
    }
}

/// The words of a statement, as they are taken one by one.
pub(super) struct Words<'a> {
    rest: &'a [&'a TokenWithSpan],
}

impl<'a> Words<'a> {
    pub(super) fn next(&mut self) -> Option<&'a Token> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(&first.token)
    }

    /// The next one, which is not taken.
    pub(super) fn ahead(&self) -> Option<&'a TokenWithSpan> {
        self.rest.first().copied()
    }

    /// Takes the next token if it is this one.
    pub(super) fn is_token(&mut self, token: &Token) -> bool {
        let found = self.ahead().is_some_and(|next| next.token == *token);
        if found {
            self.rest = &self.rest[1..];
        }
        found
    }

    /// Takes the next word if it is this one.
    pub(super) fn is(&mut self, word: &str) -> bool {
        let found = matches!(self.rest.first().map(|t| &t.token), Some(Token::Word(w)) if w.value.eq_ignore_ascii_case(word));
        if found {
            self.rest = &self.rest[1..];
        }
        found
    }

    /// Takes the next words if they are these.
    fn are(&mut self, words: &[&str]) -> bool {
        let mut ahead = Words { rest: self.rest };
        let found = words.iter().all(|word| ahead.is(word));
        if found {
            self.rest = ahead.rest;
        }
        found
    }

    pub(super) fn name(&mut self) -> Option<String> {
        match self.next()? {
            Token::Word(w) if w.quote_style.is_none() => Some(w.value.to_lowercase()),
            Token::Word(w) => Some(w.value.clone()),
            Token::SingleQuotedString(s) => Some(s.clone()),
            _ => None,
        }
    }

    /// A name that may have dots.
    fn setting(&mut self) -> Option<String> {
        let mut name = self.name()?;
        while matches!(self.rest.first().map(|t| &t.token), Some(Token::Period)) {
            self.next();
            name = format!("{name}.{}", self.name()?);
        }
        Some(name)
    }

    pub(super) fn over(&self) -> bool {
        self.rest.is_empty()
    }
}

fn classify(words: &[&TokenWithSpan], byte: &dyn Fn(&TokenWithSpan) -> usize) -> Result<Statement, Failure> {
    let mut w = Words { rest: words };
    let wrong = || Failure::error("42601", "syntax error");
    let Some(Token::Word(first)) = w.next() else { return Ok(Statement::Question) };
    let command = match first.value.to_uppercase().as_str() {
        "BEGIN" | "START" => Command::Begin,
        "COMMIT" | "END" => Command::Commit,
        "ROLLBACK" | "ABORT" => {
            let _optional = w.is("WORK") || w.is("TRANSACTION");
            if w.is("TO") { Command::RollbackTo } else { Command::Rollback }
        }
        "SAVEPOINT" => Command::Savepoint,
        "RELEASE" => Command::Release,
        "SET" => set(&mut w).ok_or_else(wrong)?,
        "SHOW" => match show(&mut w) {
            Some(command) => command,
            None => return Ok(Statement::Question),
        },
        "RESET" => match w.setting().ok_or_else(wrong)? {
            all if all == "all" => Command::ResetAll,
            name => Command::Reset(name),
        },
        "DISCARD" => Command::DiscardAll,
        "DEALLOCATE" => {
            let _optional = w.is("PREPARE");
            Command::Deallocate(if w.is("ALL") { None } else { Some(w.name().ok_or_else(wrong)?) })
        }
        "CLOSE" => Command::CloseCursor(if w.is("ALL") { None } else { Some(w.name().ok_or_else(wrong)?) }),
        "UNLISTEN" => Command::Unlisten,
        "DECLARE" => {
            let name = w.name().ok_or_else(wrong)?;
            while !w.is("FOR") {
                w.next().ok_or_else(wrong)?;
            }
            let question = w.rest.first().map(|t| byte(t)).ok_or_else(wrong)?;
            Command::Declare { name, question }
        }
        "PREPARE" => prepare(&mut w, byte)?,
        "EXECUTE" => execute(&mut w)?,
        "FETCH" => fetch(&mut w).ok_or_else(|| Failure::error("0A000", "cursors go forward only"))?,
        "COPY" => copy(&mut w, byte)
            .ok_or_else(|| Failure::error("25006", "only reading is possible here: COPY (SELECT …) TO STDOUT"))?,
        _ => return Ok(Statement::Question),
    };
    Ok(Statement::Command(command))
}

fn set(w: &mut Words<'_>) -> Option<Command> {
    if w.are(&["SESSION", "CHARACTERISTICS"]) || w.is("TRANSACTION") {
        return Some(Command::SetTransaction);
    }
    let _optional = w.is("SESSION") || w.is("LOCAL");
    let name = if w.are(&["TIME", "ZONE"]) {
        "TimeZone".to_owned()
    } else {
        let name = w.setting()?;
        match w.next()? {
            Token::Eq => {}
            Token::Word(to) if to.keyword == Keyword::TO => {}
            _ => return None,
        }
        name
    };
    if w.is("DEFAULT") {
        return Some(Command::Set { name, value: None });
    }
    let mut values = Vec::new();
    while let Some(token) = w.next() {
        match token {
            Token::Comma => continue,
            Token::Minus => {
                let Token::Number(number, _) = w.next()? else { return None };
                values.push(format!("-{number}"));
            }
            Token::SingleQuotedString(s) => values.push(s.clone()),
            Token::Number(number, _) => values.push(number.clone()),
            Token::Word(word) => values.push(word.value.clone()),
            _ => return None,
        }
    }
    (!values.is_empty()).then(|| Command::Set { name, value: Some(values.join(", ")) })
}

fn show(w: &mut Words<'_>) -> Option<Command> {
    if w.are(&["TRANSACTION", "ISOLATION", "LEVEL"]) {
        return Some(Command::Show("transaction_isolation".to_owned()));
    }
    if w.are(&["TIME", "ZONE"]) {
        return Some(Command::Show("TimeZone".to_owned()));
    }
    if w.is("ALL") {
        return Some(Command::ShowAll);
    }
    // What the engine shows.
    if ["TABLES", "COLUMNS", "FUNCTIONS", "CREATE"].iter().any(|word| w.is(word)) {
        return None;
    }
    let name = w.setting()?;
    w.over().then_some(Command::Show(name))
}

fn fetch(w: &mut Words<'_>) -> Option<Command> {
    let forward = w.is("FORWARD");
    let rows = match w.rest.first().map(|t| &t.token)? {
        Token::Number(number, _) => {
            w.next();
            Some(number.parse().ok()?)
        }
        _ if w.is("ALL") => None,
        _ if !forward && w.is("NEXT") => Some(1),
        _ => Some(1),
    };
    let _optional = w.is("FROM") || w.is("IN");
    let name = w.name()?;
    w.over().then_some(Command::Fetch { name, rows })
}

fn copy(w: &mut Words<'_>, byte: &dyn Fn(&TokenWithSpan) -> usize) -> Option<Command> {
    if w.next()? != &Token::LParen {
        return None;
    }
    let start = byte(w.rest.first()?);
    let mut depth = 1;
    let end = loop {
        let at = byte(w.rest.first()?);
        match w.next()? {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break at;
        }
    };
    if !w.are(&["TO", "STDOUT"]) {
        return None;
    }
    let (mut format, mut header) = ("text".to_owned(), false);
    let _optional = w.is("WITH");
    while let Some(token) = w.next() {
        match token {
            Token::LParen | Token::RParen | Token::Comma => {}
            Token::Word(word) => match word.value.to_uppercase().as_str() {
                "FORMAT" => format = w.name()?.to_lowercase(),
                "CSV" => "csv".clone_into(&mut format),
                "BINARY" => "binary".clone_into(&mut format),
                "HEADER" => header = !(w.is("FALSE") || w.is("OFF")),
                "TRUE" | "ON" => {}
                _ => return None,
            },
            _ => return None,
        }
    }
    let format = match format.as_str() {
        "text" if !header => CopyFormat::Text,
        "csv" => CopyFormat::Csv { header },
        "binary" => CopyFormat::Binary,
        _ => return None,
    };
    Some(Command::Copy { question: (start, end), format })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn one(text: &str) -> Statement {
        let mut parts = split(text).unwrap();
        assert_eq!(parts.len(), 1, "{text}");
        parts.remove(0).statement
    }

    #[test]
    fn statements_are_split_where_they_end() {
        let text = "SELECT ';ä' ; -- x; y\n\n SELECT \"a;b\"\n/* ; */;;";
        let parts = split(text).unwrap();
        let texts: Vec<_> = parts.iter().map(|part| part.text).collect();
        assert_eq!(texts, ["SELECT ';ä'", "SELECT \"a;b\""]);
        assert_eq!(&text[parts[1].start..parts[1].start + 6], "SELECT");
        assert!(split(" ; -- nothing").unwrap().is_empty());
        assert!(split("SELECT 'open").is_err() && split(&"x".repeat(300_000)).is_err());
    }

    #[test]
    fn commands_are_told_from_questions() {
        let name = |text: &str| text.to_owned();
        let set = |setting: &str, value: &str| Command::Set { name: name(setting), value: Some(name(value)) };
        for (text, command) in [
            ("begin", Command::Begin),
            ("START TRANSACTION READ ONLY", Command::Begin),
            ("END", Command::Commit),
            ("abort", Command::Rollback),
            ("ROLLBACK TO SAVEPOINT sa_1", Command::RollbackTo),
            ("ROLLBACK", Command::Rollback),
            ("RELEASE SAVEPOINT sa_1", Command::Release),
            ("SET statement_timeout = 100", set("statement_timeout", "100")),
            ("SET LOCAL search_path TO a, 'b'", set("search_path", "a, b")),
            ("SET extra_float_digits = -1", set("extra_float_digits", "-1")),
            ("SET TIME ZONE 'UTC'", set("TimeZone", "UTC")),
            ("SET my.own TO DEFAULT", Command::Set { name: name("my.own"), value: None }),
            ("SET datafusion.x.y = 1", set("datafusion.x.y", "1")),
            ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", Command::SetTransaction),
            ("SHOW server_version", Command::Show(name("server_version"))),
            ("show transaction isolation level", Command::Show(name("transaction_isolation"))),
            ("RESET ALL", Command::ResetAll),
            ("DISCARD ALL", Command::DiscardAll),
            ("DEALLOCATE PREPARE x", Command::Deallocate(Some(name("x")))),
            ("CLOSE ALL", Command::CloseCursor(None)),
            (
                "DECLARE \"C 1\" NO SCROLL CURSOR WITHOUT HOLD FOR SELECT 1",
                Command::Declare { name: name("C 1"), question: 48 },
            ),
            ("FETCH FORWARD 10 FROM \"C 1\"", Command::Fetch { name: name("C 1"), rows: Some(10) }),
            ("FETCH ALL IN c", Command::Fetch { name: name("c"), rows: None }),
            ("FETCH NEXT FROM c", Command::Fetch { name: name("c"), rows: Some(1) }),
            ("COPY (SELECT (1)) TO STDOUT (FORMAT binary)", Command::Copy { question: (6, 16), format: CopyFormat::Binary }),
            (
                "PREPARE \"P 1\" (int, timestamp with time zone) AS SELECT $1",
                Command::Prepare { name: name("P 1"), types: vec![23, 1184], question: 49 },
            ),
            ("PREPARE p AS SELECT 1", Command::Prepare { name: name("p"), types: vec![], question: 13 }),
            ("EXECUTE p", Command::Execute { name: name("p"), values: vec![] }),
            (
                "EXECUTE p (-1, 'it''s', NULL, true)",
                Command::Execute {
                    name: name("p"),
                    values: vec![Some(name("-1")), Some(name("it's")), None, Some(name("true"))],
                },
            ),
            (
                "COPY (SELECT 1) TO STDOUT WITH CSV HEADER",
                Command::Copy { question: (6, 14), format: CopyFormat::Csv { header: true } },
            ),
        ] {
            assert_eq!(one(text), Statement::Command(command), "{text}");
        }
        for text in
            ["SELECT 1", "(SELECT 1)", "WITH a AS (SELECT 1) SELECT 1", "SHOW TABLES", "EXPLAIN SELECT 1", "DROP TABLE x"]
        {
            assert_eq!(one(text), Statement::Question, "{text}");
        }
        for text in [
            "SET",
            "SET x",
            "FETCH BACKWARD 1 FROM c",
            "FETCH LAST FROM c",
            "DECLARE c CURSOR",
            "COPY positions TO STDOUT",
            "COPY (SELECT 1) TO '/tmp/x'",
            "COPY (SELECT 1) TO PROGRAM 'sh'",
            "COPY positions FROM STDIN",
            "CLOSE",
            "PREPARE TRANSACTION 'x'",
            "PREPARE p (money) AS SELECT $1",
            "PREPARE p AS",
            "EXECUTE",
            "EXECUTE p (1 + 1)",
            "EXECUTE p (1) x",
        ] {
            assert!(split(text).is_err(), "{text}");
        }
    }
}
