//! What is typed into the shell: statements that end with a semicolon, and commands that begin with a backslash.

use std::path::PathBuf;

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Input {
    /// SQL, without its semicolon.
    Statement(String),
    Command(Command),
}

/// A command of the shell itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// `\d`: the tables.
    Tables,
    /// `\d NAME`: the columns of one.
    Columns(String),
    /// `\df`: the functions, those whose name contains this text.
    Functions(String),
    /// `\timing`: from now on say how long an answer took, or no longer.
    Timing,
    /// `\format NAME`: how to print from now on.
    Format(String),
    /// `\i FILE`: do what is in a file.
    Include(PathBuf),
    /// `\?`
    Help,
    /// `\q`
    Quit,
}

pub(super) const HELP: &str = "\
SELECT …;            a query; it may take several lines and ends with a semicolon
\\d                   tables
\\d NAME              columns of a table
\\df [TEXT]           functions whose names contain the text
\\format NAME         print as table, csv or json
\\timing              tell how long an answer took, or no longer
\\i FILE              do what is in a file
\\?                   this
\\q                   end (or Ctrl-D); Ctrl-C ends a query only
";

impl Command {
    /// Parses a line that begins with a backslash.
    fn parse(line: &str) -> Result<Self, String> {
        let (name, argument) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let argument = argument.trim().trim_end_matches(';').trim_end();
        let needs = |what: &str| match argument.is_empty() {
            true => Err(format!("{name} needs {what}")),
            false => Ok(argument.to_owned()),
        };
        Ok(match name.trim_end_matches(';') {
            "\\d" | "\\dt" if argument.is_empty() => Self::Tables,
            "\\d" => Self::Columns(argument.to_owned()),
            "\\df" => Self::Functions(argument.to_owned()),
            "\\timing" => Self::Timing,
            "\\format" => Self::Format(needs("table, csv or json")?),
            "\\i" => Self::Include(needs("a file")?.into()),
            "\\?" | "\\h" => Self::Help,
            "\\q" => Self::Quit,
            _ => return Err(format!("there is no command {name}; \\? lists them")),
        })
    }
}

/// Where a text stands at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    Plain,
    /// Up to this quote: `'` or `"`.
    Quoted(char),
    LineComment,
    /// So many are open.
    BlockComment(u32),
}

/// Takes text line by line and gives what is complete.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    /// Of a statement that has not ended.
    begun: String,
}

impl Splitter {
    /// Whether a statement has begun.
    pub(super) fn is_open(&self) -> bool {
        !self.begun.trim().is_empty()
    }

    /// Forgets what has begun.
    pub(super) fn clear(&mut self) {
        self.begun.clear();
    }

    /// One more line.
    pub(super) fn line(&mut self, line: &str) -> Vec<Result<Input, String>> {
        if !self.is_open() && line.trim_start().starts_with('\\') {
            self.clear();
            return vec![Command::parse(line.trim()).map(Input::Command)];
        }
        self.begun.push_str(line);
        self.begun.push('\n');
        let mut complete = Vec::new();
        while let Some(end) = end_of_statement(&self.begun) {
            let rest = self.begun.split_off(end + 1);
            let statement = std::mem::replace(&mut self.begun, rest);
            let statement = statement[..end].trim();
            if !statement.is_empty() {
                complete.push(Ok(Input::Statement(statement.to_owned())));
            }
        }
        complete
    }

    /// The text has ended: its last statement needs no semicolon.
    pub(super) fn end(&mut self) -> Option<Input> {
        let statement = std::mem::take(&mut self.begun).trim().to_owned();
        (!statement.is_empty()).then_some(Input::Statement(statement))
    }
}

/// Where the first semicolon is that is neither quoted nor in a comment.
fn end_of_statement(text: &str) -> Option<usize> {
    let mut within = Within::Plain;
    let mut characters = text.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        let next = characters.peek().map(|(_, next)| *next);
        let (state, both) = match (within, c, next) {
            (Within::Plain, ';', _) => return Some(at),
            (Within::Plain, '\'' | '"', _) => (Within::Quoted(c), false),
            (Within::Plain, '-', Some('-')) => (Within::LineComment, true),
            (Within::Plain, '/', Some('*')) => (Within::BlockComment(1), true),
            // A doubled quote ends and begins again.
            (Within::Quoted(quote), _, _) if c == quote => (Within::Plain, false),
            (Within::LineComment, '\n', _) => (Within::Plain, false),
            (Within::BlockComment(open), '/', Some('*')) => (Within::BlockComment(open + 1), true),
            (Within::BlockComment(1), '*', Some('/')) => (Within::Plain, true),
            (Within::BlockComment(open), '*', Some('/')) => (Within::BlockComment(open - 1), true),
            _ => (within, false),
        };
        within = state;
        if both {
            characters.next();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(lines: &[&str]) -> (Vec<Result<Input, String>>, Option<Input>) {
        let mut splitter = Splitter::default();
        let complete = lines.iter().flat_map(|line| splitter.line(line)).collect();
        (complete, splitter.end())
    }

    fn statement(text: &str) -> Input {
        Input::Statement(text.to_owned())
    }

    #[test]
    fn statements_end_at_semicolons_that_are_not_quoted() {
        let (complete, rest) =
            all(&["SELECT 1; SELECT ';', \"a;b\"", "-- not; here", "/* nor; /* here; */ ; */ , 'it''s;';", "SELECT 3"]);
        let second = "SELECT ';', \"a;b\"\n-- not; here\n/* nor; /* here; */ ; */ , 'it''s;'";
        assert_eq!(complete, [Ok(statement("SELECT 1")), Ok(statement(second))]);
        assert_eq!(rest, Some(statement("SELECT 3")));
        assert_eq!(all(&[";;", "  ", ";"]), (vec![], None));
    }

    #[test]
    fn commands_begin_lines_of_their_own() {
        let (complete, rest) = all(&["\\d", " \\d positions ;", "\\format csv", "\\df h3", "\\x", "\\i", "SELECT", "\\d;"]);
        let command = |command| Ok(Input::Command(command));
        assert_eq!(
            complete,
            [
                command(Command::Tables),
                command(Command::Columns("positions".into())),
                command(Command::Format("csv".into())),
                command(Command::Functions("h3".into())),
                Err("there is no command \\x; \\? lists them".into()),
                Err("\\i needs a file".into()),
                Ok(statement("SELECT\n\\d")),
            ]
        );
        assert_eq!(rest, None);
    }
}
