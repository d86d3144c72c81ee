//! Parts of questions that tools ask and the engine can't answer, exchanged for what they come to here.

use super::command::Places;
use crate::{SqlError, statement};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

/// What is asked, and what it comes to. Compared word by word; `$0` stands for any parameter.
const PARTS: [(&str, &str); 13] = [
    // Grafana: the schemas in which names are looked for. The indexed set of `string_to_array` is what can't be planned.
    (
        "SELECT CASE WHEN trim(s[i]) = '\"$user\"' THEN user ELSE trim(s[i]) END FROM generate_series(
            array_lower(string_to_array(current_setting('search_path'),','),1),
            array_upper(string_to_array(current_setting('search_path'),','),1)) as i,
            string_to_array(current_setting('search_path'),',') s",
        "'public'",
    ),
    // ADBC: all types can be received; the table has the names of the functions for it, not their numbers.
    ("(typreceive != 0 OR typsend != 0)", "true"),
    // SQLAlchemy: there are no indexes, so whatever is said of one is said of none.
    ("unnest(pg_catalog.pg_index.indkey)", "pg_catalog.pg_index.indnkeyatts"),
    ("unnest(pg_catalog.pg_index.indclass)", "pg_catalog.pg_index.indnkeyatts"),
    ("generate_subscripts(pg_catalog.pg_index.indkey, $0::INTEGER)", "pg_catalog.pg_index.indnkeyatts"),
    ("pg_catalog.pg_class.reloptions", "NULL AS reloptions"),
    (
        "pg_catalog.pg_namespace.nspname NOT LIKE $0::VARCHAR || '%' ESCAPE '/'",
        r"pg_catalog.pg_namespace.nspname NOT LIKE 'pg\_%'",
    ),
    // And there is one sort order.
    (
        "(SELECT pg_catalog.pg_type.typcollation FROM pg_catalog.pg_type
            WHERE pg_catalog.pg_type.oid = pg_catalog.pg_attribute.atttypid) != pg_catalog.pg_attribute.attcollation",
        "false",
    ),
    // psql: options and privileges, of which there are none; the tables have not even all of the columns.
    (
        "pg_catalog.array_to_string(c.reloptions || array(select 'toast.' || x from pg_catalog.unnest(tc.reloptions) x), ', ')",
        "NULL",
    ),
    ("pg_catalog.array_to_string(c.relacl, E'\\n')", "NULL"),
    ("pg_catalog.array_to_string(n.nspacl, E'\\n')", "NULL"),
    ("pg_catalog.array_to_string(p.proacl, E'\\n')", "NULL"),
    ("pg_catalog.array_to_string(setconfig, E'\\n')", "NULL"),
];

/// The parts, ready to be compared.
pub(super) struct Parts(Vec<(Vec<Token>, &'static str)>);

impl Parts {
    pub(super) fn new() -> Result<Self, SqlError> {
        let words = |sql| Ok::<_, SqlError>(words(&statement::tokens(sql)?).map(|word| word.token.clone()).collect());
        PARTS.iter().map(|(from, to)| Ok((words(from)?, *to))).collect::<Result<_, SqlError>>().map(Self)
    }

    /// The text, of which these are the tokens, with all such parts exchanged; `None` if it has none.
    pub(super) fn exchange(&self, sql: &str, tokens: &[TokenWithSpan]) -> Option<String> {
        let asked: Vec<&TokenWithSpan> = words(tokens).collect();
        let found = |at: usize| {
            if let Some(length) = list_of_rows(&asked[at..]) {
                return Some((length, "NULL::text[]"));
            }
            if let (true, Some(length)) = (at > 0, case_of_one_row(&asked[at.saturating_sub(1)..])) {
                return Some((length, "NULL"));
            }
            let is_here = |from: &[Token]| {
                asked[at..].len() >= from.len() && asked[at..].iter().zip(from).all(|(asked, from)| is_like(&asked.token, from))
            };
            self.0.iter().find(|(from, _)| is_here(from)).map(|(from, to)| (from.len(), *to))
        };
        let places = Places::new(sql);
        let (mut text, mut copied, mut at) = (String::new(), 0, 0);
        while at < asked.len() {
            let Some((length, to)) = found(at) else {
                at += 1;
                continue;
            };
            let (first, last) = (asked[at].span.start, asked[at + length - 1].span.end);
            text.push_str(&sql[copied..places.byte(first.line, first.column)]);
            text.push_str(to);
            copied = places.byte(last.line, last.column);
            at += length;
        }
        (copied > 0).then(|| text + &sql[copied..])
    }
}

fn is_like(asked: &Token, part: &Token) -> bool {
    let any = matches!(part, Token::Placeholder(parameter) if parameter == "$0");
    asked == part || (any && matches!(asked, Token::Placeholder(_)))
}

/// How many words `ARRAY(SELECT …)` has, if they begin so. The engine makes no lists of rows; in the questions of tools they are lists
/// of privileges and the like, of which there are none.
fn list_of_rows(words: &[&TokenWithSpan]) -> Option<usize> {
    begin(words, Keyword::ARRAY)?;
    closed(words)
}

/// How many words `(SELECT …)` has, if it stands behind a `THEN`, which is the first of these words. The engine can't answer such for
/// each row; SQLAlchemy asks so for the defaults, counters and sort orders of columns, of which there are none.
fn case_of_one_row(words: &[&TokenWithSpan]) -> Option<usize> {
    begin(words, Keyword::THEN)?;
    let of_columns = |word: &&TokenWithSpan| matches!(&word.token, Token::Word(w) if ["json_build_object", "pg_get_expr"].contains(&w.value.as_str()));
    words.iter().take(6).any(of_columns).then_some(())?;
    closed(&words[1..])
}

/// Whether it begins with this word and `(SELECT`.
fn begin(words: &[&TokenWithSpan], keyword: Keyword) -> Option<()> {
    let is = |at: usize, keyword| matches!(words.get(at).map(|t| &t.token), Some(Token::Word(w)) if w.keyword == keyword);
    (is(0, keyword) && words.get(1)?.token == Token::LParen && is(2, Keyword::SELECT)).then_some(())
}

/// How many words there are up to the parenthesis that closes the first one.
fn closed(words: &[&TokenWithSpan]) -> Option<usize> {
    let mut depth = 0;
    for (at, word) in words.iter().enumerate() {
        match word.token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => continue,
        }
        if depth == 0 {
            return Some(at + 1);
        }
    }
    None
}

fn words(tokens: &[TokenWithSpan]) -> impl Iterator<Item = &TokenWithSpan> {
    tokens.iter().filter(|t| !matches!(t.token, Token::Whitespace(_) | Token::EOF))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_part_is_exchanged() {
        let parts = Parts::new().expect("the parts are SQL");
        let exchange = |sql: &str| parts.exchange(sql, &statement::tokens(sql).expect("SQL"));
        let asked = format!("SELECT 1 WHERE x IN (\n{}\n) AND y = 'a ''b'", PARTS[0].0.replace(' ', "\n  "));
        assert_eq!(exchange(&asked).as_deref(), Some("SELECT 1 WHERE x IN (\n'public'\n) AND y = 'a ''b'"));
        assert_eq!(exchange("SELECT current_setting('search_path')"), None);
        let parameter = exchange("SELECT generate_subscripts(pg_catalog.pg_index.indkey, $12::INTEGER), $1");
        assert_eq!(parameter.as_deref(), Some("SELECT pg_catalog.pg_index.indnkeyatts, $1"));
        let lists = exchange("SELECT array (SELECT (1)), ARRAY[1], 'ä' AS x, Array(select ')' FROM (SELECT 1))");
        assert_eq!(lists.as_deref(), Some("SELECT NULL::text[], ARRAY[1], 'ä' AS x, NULL::text[]"));
        assert_eq!(exchange("SELECT ARRAY(SELECT 1"), None);
        let case = exchange("SELECT CASE WHEN (SELECT 1) = 1 THEN (SELECT json_build_object(2)) ELSE (3) END");
        assert_eq!(case.as_deref(), Some("SELECT CASE WHEN (SELECT 1) = 1 THEN NULL ELSE (3) END"));
    }
}
