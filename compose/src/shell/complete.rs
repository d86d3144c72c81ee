//! Completion of what is being typed: keywords, tables, columns, functions.

use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};

const KEYWORDS: [&str; 38] = [
    "AND",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "COUNT",
    "DESC",
    "DISTINCT",
    "ELSE",
    "END",
    "EXISTS",
    "EXPLAIN",
    "FROM",
    "GROUP",
    "HAVING",
    "IN",
    "INTERVAL",
    "IS",
    "JOIN",
    "LEFT",
    "LIKE",
    "LIMIT",
    "NOT",
    "NULL",
    "ON",
    "OR",
    "ORDER",
    "OVER",
    "PARTITION",
    "SELECT",
    "SHOW",
    "THEN",
    "UNION",
    "WHEN",
    "WHERE",
    "WITH",
];

/// All words that can be completed.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// Sorted, each once.
    words: Vec<String>,
}

impl Words {
    pub(super) fn new(names: impl IntoIterator<Item = String>) -> Self {
        let mut words: Vec<String> = names.into_iter().chain(KEYWORDS.map(str::to_owned)).collect();
        words.sort_unstable();
        words.dedup();
        Self { words }
    }

    /// Where the word begins that ends here, and what it may become. Keywords in the case in which they were begun.
    fn candidates(&self, line: &str, end: usize) -> (usize, Vec<String>) {
        let before = &line[..end];
        let start = before
            .rfind(|c: char| !c.is_alphanumeric() && c != '_')
            .map_or(0, |at| at + before[at..].chars().next().map_or(0, char::len_utf8));
        let begun = &before[start..];
        if begun.is_empty() {
            return (start, Vec::new());
        }
        let lower = begun.chars().all(|c| !c.is_uppercase());
        let fits =
            |word: &&String| word.len() >= begun.len() && word.as_bytes()[..begun.len()].eq_ignore_ascii_case(begun.as_bytes());
        let shown = |word: &String| if lower { word.to_lowercase() } else { word.clone() };
        (start, self.words.iter().filter(fits).map(shown).collect())
    }
}

impl Completer for Words {
    type Candidate = String;

    fn complete(&self, line: &str, end: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.candidates(line, end))
    }
}

impl Hinter for Words {
    type Hint = String;
}

impl Highlighter for Words {}
impl Validator for Words {}
impl Helper for Words {}

#[cfg(test)]
mod tests {
    use super::Words;

    #[test]
    fn the_word_before_the_cursor_is_completed() {
        let words = Words::new(["positions", "speed_mps", "speed_kmh"].map(str::to_owned));
        let of = |line: &str| words.candidates(line, line.len());
        assert_eq!(of("select avg(sp"), (11, vec!["speed_kmh".into(), "speed_mps".into()]));
        assert_eq!(of("SELECT * FR"), (9, vec!["FROM".into()]));
        assert_eq!(of("select * fr"), (9, vec!["from".into()]));
        assert_eq!(of("from positions p where p.speed_m"), (25, vec!["speed_mps".into()]));
        assert_eq!(of("select 'ä"), (8, vec![]));
        assert_eq!(of("select "), (7, vec![]));
    }
}
