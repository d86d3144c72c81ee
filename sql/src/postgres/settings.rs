//! Settings of one connection, as far as clients ask for them. Nothing of them acts on other connections.

use super::failure::Failure;
use std::collections::BTreeMap;
use std::time::Duration;

/// Version that clients are told, by which they choose what they ask: that of the catalog tables.
pub(super) const SERVER_VERSION: &str = "16.6";

/// Name as it is reported, and value at the start. Those of which clients are told when they change come first.
const DEFAULTS: [(&str, &str); REPORTED + 24] = [
    ("application_name", ""),
    ("client_encoding", "UTF8"),
    ("DateStyle", "ISO, MDY"),
    ("default_transaction_read_only", "on"),
    ("in_hot_standby", "off"),
    ("integer_datetimes", "on"),
    ("IntervalStyle", "postgres"),
    ("is_superuser", "off"),
    ("server_encoding", "UTF8"),
    ("server_version", SERVER_VERSION),
    ("session_authorization", ""),
    ("standard_conforming_strings", "on"),
    ("TimeZone", "UTC"),
    // From here on clients ask.
    ("bytea_output", "hex"),
    ("client_min_messages", "notice"),
    ("default_transaction_isolation", "read committed"),
    ("enable_seqscan", "on"),
    ("escape_string_warning", "on"),
    ("extra_float_digits", "1"),
    ("geqo", "on"),
    ("idle_in_transaction_session_timeout", "0"),
    ("idle_session_timeout", "0"),
    ("jit", "off"),
    ("lc_collate", "C"),
    ("lc_ctype", "C"),
    ("lc_messages", "C"),
    ("lc_monetary", "C"),
    ("lc_numeric", "C"),
    ("lc_time", "C"),
    ("lock_timeout", "0"),
    ("max_identifier_length", "63"),
    ("row_security", "on"),
    ("search_path", "\"$user\", public"),
    ("server_version_num", "160006"),
    ("statement_timeout", "0"),
    ("transaction_isolation", "read committed"),
    ("transaction_read_only", "on"),
];
const REPORTED: usize = 13;

/// What nobody can change.
const FIXED: [&str; 9] = [
    "in_hot_standby",
    "integer_datetimes",
    "is_superuser",
    "max_identifier_length",
    "server_encoding",
    "server_version",
    "server_version_num",
    "session_authorization",
    "lc_collate",
];

/// Most settings of a connection's own, `prefix.name`.
const MAX_OWN: usize = 64;
/// Longest value.
const MAX_VALUE: usize = 1_024;

/// Values by lower-case name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Settings {
    values: BTreeMap<String, String>,
    /// What `RESET` goes back to.
    initial: BTreeMap<String, String>,
}

impl Settings {
    /// Of a connection that was asked for with these.
    pub(super) fn new(user: &str, parameters: &BTreeMap<String, String>) -> Result<Self, Failure> {
        let values: BTreeMap<String, String> = DEFAULTS.iter().map(|(n, v)| (n.to_lowercase(), (*v).to_owned())).collect();
        let mut settings = Self { initial: BTreeMap::new(), values };
        settings.values.insert("session_authorization".to_owned(), user.to_owned());
        for (name, value) in parameters {
            match name.as_str() {
                "user" | "database" | "replication" => {}
                "options" => {
                    for (name, value) in options(value) {
                        settings.set(&name, &value)?;
                    }
                }
                name if name.starts_with("_pq_.") => {}
                name => drop(settings.set(name, value)?),
            }
        }
        settings.initial = settings.values.clone();
        Ok(settings)
    }

    /// The value of one.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(&name.to_lowercase()).map(String::as_str)
    }

    /// All, as they are called.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (spelling(name), value.as_str()))
    }

    /// What a client is told when it has signed in.
    pub(super) fn reported(&self) -> impl Iterator<Item = (&'static str, &str)> {
        DEFAULTS[..REPORTED].iter().filter_map(|(name, _)| Some((*name, self.get(name)?)))
    }

    /// Sets one. Gives its name if clients have to be told of it.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<Option<&'static str>, Failure> {
        let key = name.to_lowercase();
        let invalid = || Failure::error("22023", format!("invalid value for parameter \"{name}\": \"{value}\""));
        if FIXED.contains(&key.as_str()) {
            return Err(Failure::error("55P02", format!("parameter \"{name}\" cannot be changed")));
        }
        if value.len() > MAX_VALUE || value.contains('\0') {
            return Err(invalid());
        }
        let value = match key.as_str() {
            "client_encoding" => match value.to_lowercase().replace(['-', '_', '\''], "").as_str() {
                "utf8" | "unicode" => "UTF8".to_owned(),
                _ => return Err(invalid()),
            },
            // Nothing can be written whatever this says; drivers that set it are not turned away.
            "default_transaction_read_only" | "transaction_read_only" => "on".to_owned(),
            "statement_timeout" => millis(value).ok_or_else(invalid)?.to_string(),
            _ => value.to_owned(),
        };
        if !self.values.contains_key(&key) {
            let own = key.contains('.') && !key.starts_with("datafusion.");
            if !own || self.values.len() >= DEFAULTS.len() + MAX_OWN || key.len() > 128 {
                return Err(Failure::error("42704", format!("unrecognized configuration parameter \"{name}\"")));
            }
        }
        self.values.insert(key, value);
        Ok(DEFAULTS[..REPORTED].iter().map(|(known, _)| *known).find(|known| known.eq_ignore_ascii_case(name)))
    }

    /// Sets one back. Gives its name if clients have to be told of it.
    pub(super) fn reset(&mut self, name: &str) -> Result<Option<&'static str>, Failure> {
        match self.initial.get(&name.to_lowercase()).cloned() {
            Some(value) => self.set(name, &value),
            None => {
                self.values.remove(&name.to_lowercase());
                Ok(None)
            }
        }
    }

    /// Sets all back.
    pub(super) fn reset_all(&mut self) {
        self.values = self.initial.clone();
    }

    /// By when a statement has to be done, if the client is less patient than the server.
    pub(super) fn statement_timeout(&self) -> Option<Duration> {
        let ms = self.get("statement_timeout").and_then(millis).filter(|ms| *ms > 0)?;
        Some(Duration::from_millis(ms))
    }
}

/// As it is called in `SHOW`.
pub(super) fn spelling(name: &str) -> &str {
    DEFAULTS.iter().map(|(known, _)| *known).find(|known| known.eq_ignore_ascii_case(name)).unwrap_or(name)
}

/// `-c name=value` and `--name=value`, as in `PGOPTIONS`.
fn options(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut words = text.split_whitespace();
    while let Some(word) = words.next() {
        let pair = match word.strip_prefix("-c") {
            Some("") => words.next(),
            Some(rest) => Some(rest),
            None => word.strip_prefix("--"),
        };
        if let Some((name, value)) = pair.and_then(|pair| pair.split_once('=')) {
            found.push((name.replace('-', "_"), value.to_owned()));
        }
    }
    found
}

/// A time as Postgres writes it: milliseconds if no unit is said.
fn millis(text: &str) -> Option<u64> {
    let text = text.trim().trim_matches('\'').trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..end].parse().ok()?;
    let unit = match text[end..].trim() {
        "" | "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_connection_has_settings_of_its_own() {
        let asked = BTreeMap::from([
            ("user".to_owned(), "anna".to_owned()),
            ("application_name".to_owned(), "psql".to_owned()),
            ("options".to_owned(), "-c statement_timeout=5s -csearch_path=public --DateStyle=ISO".to_owned()),
        ]);
        let mut settings = Settings::new("anna", &asked).unwrap();
        assert_eq!(settings.statement_timeout(), Some(Duration::from_secs(5)));
        assert_eq!((settings.get("SEARCH_PATH"), settings.get("datestyle")), (Some("public"), Some("ISO")));
        assert_eq!(settings.get("session_authorization"), Some("anna"));
        assert_eq!(settings.set("timezone", "Europe/Riga").unwrap(), Some("TimeZone"));
        assert_eq!(settings.set("my.own", "1").unwrap(), None);
        assert_eq!(settings.reset("TimeZone").unwrap(), Some("TimeZone"));
        assert_eq!(settings.get("timezone"), Some("UTC"));
        settings.reset_all();
        assert_eq!((settings.get("my.own"), settings.get("application_name")), (None, Some("psql")));
        for (name, value) in [
            ("datafusion.execution.target_partitions", "1000"),
            ("nonsense", "1"),
            ("server_version", "1"),
            ("client_encoding", "LATIN1"),
            ("statement_timeout", "soon"),
            ("statement_timeout", "99999999999999999999"),
        ] {
            assert!(settings.set(name, value).is_err(), "{name}");
        }
    }

    #[test]
    fn own_settings_are_bounded() {
        let mut settings = Settings::new("anna", &BTreeMap::new()).unwrap();
        let set: Vec<_> = (0..1_000).filter_map(|i| settings.set(&format!("my.{i}"), "x").ok()).collect();
        assert_eq!(set.len(), MAX_OWN);
        assert!(settings.set("my.1", &"x".repeat(2_000)).is_err());
    }

    #[test]
    fn the_names_are_in_order() {
        assert_eq!(DEFAULTS[REPORTED - 1].0, "TimeZone");
    }
}
