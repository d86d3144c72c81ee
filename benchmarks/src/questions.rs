//! The questions of `sql/fleet.sql`, asked of three: our SQL over files, our SQL over QuestDB, QuestDB itself; and whether the answers
//! are the same.

use crate::fleet_days::{MODELS, Model};
use anyhow::{Context, Result, ensure};
use std::time::{Duration, Instant};
use waystream_sql::output::Format;
use waystream_sql::{Scope, SqlEngine};

/// A question in both dialects.
pub struct Question {
    /// For the table.
    pub name: String,
    ours: String,
    theirs: String,
}

/// The polygon of `$ring`, longitude and latitude.
pub const RING: [(f64, f64); 6] = [(13.2, 52.4), (13.6, 52.4), (13.7, 52.55), (13.5, 52.65), (13.25, 52.6), (13.2, 52.4)];
/// The geofence that has it.
pub const RING_NAME: &str = "ring";

/// All questions, about one device and one fleet where they are about one; `table` is what QuestDB calls the positions.
pub fn all(device: &str, fleet: &str, table: &str) -> Result<Vec<Question>> {
    let text = include_str!("../sql/fleet.sql");
    let fill = |sql: &str, pairs: &[(&str, &str)]| {
        let common = [
            ("$device", format!("'{device}'")),
            ("$fleet", format!("'{fleet}'")),
            ("$rated_kg", of_model(|model| model.rated_kg)),
            ("$nominal_l", of_model(|model| model.nominal_l)),
        ];
        let sql = common.iter().fold(sql.trim().to_owned(), |sql, (name, value)| sql.replace(name, value));
        pairs.iter().fold(sql, |sql, (name, value)| sql.replace(name, value))
    };
    let question = |part: &str| {
        let (name, rest) = part.split_once('\n').context("a name ends its line")?;
        let (ours, theirs) = rest.split_once("-- questdb\n").with_context(|| format!("{name} has both dialects"))?;
        Ok(Question {
            name: name.to_owned(),
            ours: fill(
                ours,
                &[
                    ("$ignition", "attribute_flag(attributes, 'ignition')"),
                    ("$fuel", "attribute_number(attributes, 'fuel_l')"),
                    ("$odometer", "attribute_number(attributes, 'odometer_m')"),
                    ("$model", "attribute_text(attributes, 'model')"),
                    ("$load", "attribute_number(attributes, 'load_kg')"),
                    ("$trouble", "attribute_text(attributes, 'dtcs') IS NOT NULL"),
                    ("$ring", &format!("in_geofence(lat, lon, '{RING_NAME}')")),
                ],
            ),
            theirs: fill(
                theirs,
                &[
                    ("$ignition", "json_extract(attributes, '.ignition') = 'true'"),
                    ("$fuel", "json_extract(attributes, '.fuel_l')::double"),
                    ("$odometer", "json_extract(attributes, '.odometer_m')::double"),
                    ("$model", "json_extract(attributes, '.model')"),
                    ("$load", "json_extract(attributes, '.load_kg')::double"),
                    ("$trouble", "json_extract(attributes, '.dtcs') IS NOT NULL"),
                    ("$ring", &crossings()),
                    ("FROM positions", &format!("FROM {table}")),
                ],
            ),
        })
    };
    text.split("-- query ").skip(1).map(question).collect()
}

/// A figure of the model that a column `model` names: no table has models.
fn of_model(figure: impl Fn(&Model) -> f64) -> String {
    let cases: Vec<String> = MODELS.iter().map(|m| format!("WHEN model = '{}' THEN {:?}", m.name, figure(m))).collect();
    format!("(CASE {} END)", cases.join(" "))
}

/// Whether a place is in the ring, as QuestDB has to be told: an odd number of edges lies east of it.
fn crossings() -> String {
    let bounds = "lon >= 13.2 AND lon <= 13.7 AND lat >= 52.4 AND lat <= 52.65";
    let edge = |w: &[(f64, f64)]| {
        let [(ax, ay), (bx, by)] = [w[0], w[1]];
        let crosses = format!("({ay} > lat) <> ({by} > lat) AND lon < {} * (lat - {ay}) + {ax}", (bx - ax) / (by - ay));
        (ay != by).then(|| format!("CASE WHEN {crosses} THEN 1 ELSE 0 END"))
    };
    let edges: Vec<String> = RING.windows(2).filter_map(edge).collect();
    format!("({bounds} AND ({}) % 2 = 1)", edges.join(" + "))
}

/// Rows of an answer, values as text.
pub type Rows = Vec<Vec<String>>;

impl Question {
    /// Asks our SQL; the answer as CSV and the time it took.
    pub async fn ask_ours(&self, engine: &SqlEngine, scope: &Scope) -> Result<(Rows, Duration)> {
        let started = Instant::now();
        let csv = ask(engine, scope, &self.ours).await.with_context(|| format!("{}: {}", self.name, self.ours))?;
        let took = started.elapsed();
        Ok((rows(&csv)?, took))
    }

    /// How our SQL reads and works it out, with what each step took.
    pub async fn explain(&self, engine: &SqlEngine, scope: &Scope) -> Result<String> {
        Ok(rows(&ask(engine, scope, &format!("EXPLAIN ANALYZE {}", self.ours)).await?)?.concat().join("\n"))
    }

    /// Asks QuestDB at this address.
    pub async fn ask_theirs(&self, http: &reqwest::Client, url: &str) -> Result<(Rows, Duration)> {
        let started = Instant::now();
        let answer = http.get(format!("{url}/exp")).query(&[("query", &self.theirs)]).send().await?;
        let status = answer.status();
        let csv = answer.bytes().await?;
        let took = started.elapsed();
        ensure!(status.is_success(), "{}: {}: {}", self.name, self.theirs, String::from_utf8_lossy(&csv));
        Ok((rows(&csv)?, took))
    }
}

/// The answer of our SQL as CSV.
async fn ask(engine: &SqlEngine, scope: &Scope, sql: &str) -> Result<Vec<u8>> {
    let mut pieces = engine.stream(scope, sql, Format::Csv).await?;
    let mut csv = Vec::new();
    while let Some(piece) = pieces.next().await {
        csv.extend(piece?);
    }
    Ok(csv)
}

fn rows(csv: &[u8]) -> Result<Rows> {
    let records = csv::Reader::from_reader(csv).into_records();
    records.map(|record| Ok(record?.iter().map(str::to_owned).collect())).collect()
}

/// What differs between two answers; `None` if they are the same rows in any order. Numbers may differ in the last digits: sums
/// are taken in another order.
pub fn difference(a: &Rows, b: &Rows) -> Option<String> {
    if a.len() != b.len() {
        return Some(format!("{} and {} rows", a.len(), b.len()));
    }
    let sorted = |rows: &Rows| {
        let mut rows: Rows = rows.iter().map(|row| row.iter().map(|value| plain(value)).collect()).collect();
        rows.sort();
        rows
    };
    let (a, b) = (sorted(a), sorted(b));
    let differs = |(a, b): (&Vec<String>, &Vec<String>)| a.len() != b.len() || !a.iter().zip(b).all(|(a, b)| is_same(a, b));
    a.iter().zip(&b).find(|pair| differs(*pair)).map(|(a, b)| format!("{a:?} and {b:?}"))
}

/// Times to the millisecond, numbers to six digits, texts as they are.
fn plain(value: &str) -> String {
    if let Some(time) = value.strip_suffix('Z').filter(|v| v.contains('T')) {
        return time.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    match value.parse::<f64>() {
        Ok(number) => format!("{number:.5e}"),
        Err(_) => value.to_owned(),
    }
}

fn is_same(a: &str, b: &str) -> bool {
    a == b || matches!((a.parse::<f64>(), b.parse::<f64>()), (Ok(a), Ok(b)) if (a - b).abs() <= 3e-5 * a.abs().max(b.abs()))
}
