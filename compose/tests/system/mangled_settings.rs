//! Settings files made of the defaults and then mangled: each gives settings, or an error that says where. proptest prints what failed in
//! its smallest form, and its seed; `CASES` tries more than usual.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use waystream::config::{Config, DEFAULTS, Overrides};

const CASES: u32 = 300;

/// What is put in the place of a value, or anywhere.
const ODD: &[&str] = &[
    "0",
    "-1",
    "255",
    "65536",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "1e400",
    "nan",
    "0x7f",
    "1_0",
    "true",
    "\"\"",
    "\"nothing\"",
    "\"0.0.0.0:0\"",
    "\"kafka\"",
    "\"questdb\"",
    "\"\\u0000\"",
    "\"🚚\"",
    "'\u{202e}'",
    "[]",
    "[[]]",
    "{}",
    "{ host = \"x\" }",
    "{ a = { b = [1, \"2\"] } }",
    "1979-05-27",
    "\"\"\"",
    "'''",
    "#",
    "=",
    "[",
    "]",
    "\\",
    "\0",
    "\u{feff}",
    "\r",
];

/// What is done to a text.
#[derive(Debug, Clone)]
enum Edit {
    /// Of the line there.
    Delete(Index),
    Double(Index),
    Swap(Index, Index),
    /// A commented setting is set.
    Uncomment(Index),
    /// The value there is another.
    Value(Index, String),
    /// Of the character there.
    Insert(Index, &'static str),
    CutOff(Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    let place = any::<Index>;
    let value =
        prop_oneof![3 => select(ODD).prop_map(str::to_owned), 1 => any::<i64>().prop_map(|n| n.to_string()), 1 => "\\PC{0,6}"];
    prop_oneof![
        1 => place().prop_map(Edit::Delete),
        1 => place().prop_map(Edit::Double),
        1 => (place(), place()).prop_map(|(a, b)| Edit::Swap(a, b)),
        2 => place().prop_map(Edit::Uncomment),
        4 => (place(), value).prop_map(|(at, value)| Edit::Value(at, value)),
        1 => (place(), select(ODD)).prop_map(|(at, odd)| Edit::Insert(at, odd)),
        1 => place().prop_map(Edit::CutOff),
    ]
}

fn mangle(text: &str, edit: &Edit) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let chosen = |lines: &[String], at: &Index, of: fn(&str) -> bool| {
        let places: Vec<usize> = (0..lines.len()).filter(|n| of(&lines[*n])).collect();
        (!places.is_empty()).then(|| places[at.index(places.len())])
    };
    match edit {
        Edit::Delete(at) => {
            if let Some(n) = chosen(&lines, at, |_| true) {
                lines.remove(n);
            }
        }
        Edit::Double(at) => {
            if let Some(n) = chosen(&lines, at, |_| true) {
                lines.insert(n, lines[n].clone());
            }
        }
        Edit::Swap(a, b) => {
            if let (Some(a), Some(b)) = (chosen(&lines, a, |_| true), chosen(&lines, b, |_| true)) {
                lines.swap(a, b);
            }
        }
        Edit::Uncomment(at) => {
            let is_setting = |line: &str| line.starts_with("# ") && (line.contains(" = ") || line.starts_with("# [["));
            if let Some(n) = chosen(&lines, at, is_setting) {
                lines[n] = lines[n][2..].to_owned();
            }
        }
        Edit::Value(at, value) => {
            let is_setting = |line: &str| !line.starts_with('#') && line.contains(" = ");
            if let Some(n) = chosen(&lines, at, is_setting) {
                let name = lines[n].split(" = ").next().unwrap_or_default().to_owned();
                lines[n] = format!("{name} = {value}");
            }
        }
        Edit::Insert(at, _) | Edit::CutOff(at) => {
            let places: Vec<usize> = text.char_indices().map(|(place, _)| place).collect();
            let place = if places.is_empty() { 0 } else { places[at.index(places.len())] };
            let (before, after) = text.split_at(place);
            return if let Edit::Insert(_, odd) = edit { format!("{before}{odd}{after}") } else { before.to_owned() };
        }
    }
    lines.join("\n")
}

/// An error has to say where: the line of a text that is no TOML, or the setting, by its section at least.
fn says_where(error: &str, file: &str) -> bool {
    let sections =
        ["data", "roles", "log", "store", "connectors", "dataflow", "notify", "gateway", "sql", "postgres", "flight", "health"];
    error.contains(" at line ")
        || error.lines().all(|line| {
            let said = line.strip_prefix(file).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(line);
            let setting = said.split(": ").next().unwrap_or_default();
            let is_known = sections.iter().any(|section| setting == *section || setting.starts_with(&format!("{section}.")));
            // One that isn't known stands where sections do.
            is_known || said.contains(": unknown field: ")
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(std::env::var("CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(CASES)))]

    #[test]
    fn mangled_settings_are_settings_or_an_error_that_says_where(edits in vec(edit(), 1..5)) {
        let text = edits.iter().fold(DEFAULTS.to_owned(), |text, edit| mangle(&text, edit));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &text).unwrap();
        match Config::load(Some(file.path()), &Overrides::default()) {
            Ok(config) => {
                // What `check-config` prints is a settings file, of the same settings.
                let printed = config.to_toml().unwrap();
                std::fs::write(file.path(), &printed).unwrap();
                let again = Config::load(Some(file.path()), &Overrides::default());
                let again = again.map_err(|error| TestCaseError::fail(format!("{error:#} in\n{printed}")))?;
                prop_assert_eq!(again.to_toml().unwrap(), printed);
            }
            Err(error) => {
                let error = format!("{error:#}");
                prop_assert!(says_where(&error, &file.path().display().to_string()), "{}", error);
            }
        }
    }
}

#[test]
fn a_wrong_setting_is_named_in_every_section() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml");
    for (settings, says) in [
        ("[log]\nkeep_positions_days = -1\n", "log.keep_positions_days: invalid value"),
        ("[log]\nkind = \"kafka\"\npartitions = \"many\"\n", "log.partitions: invalid type"),
        ("[store]\nkind = \"questdb\"\nmax_exports = \"x\"\n", "store.max_exports: invalid type"),
        ("[sql]\ndeadline_s = 9223372036854775807\n", "sql.deadline_s: 9223372036854775807 is too large"),
        ("[gateway]\nmax_connections = 4000000000\n", "gateway.max_connections: 4000000000 is too large"),
        ("[connectors.limits]\nlogin_timeout_s = 9223372036854775807\n", "connectors.limits.login_timeout_s: "),
    ] {
        std::fs::write(&file, settings).unwrap();
        let error = Config::load(Some(&file), &Overrides::default()).unwrap_err();
        assert!(format!("{error:#}").contains(says), "{settings}: {error:#}");
    }
}
