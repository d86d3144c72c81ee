//! Askers whose statements nobody should ask, one after the other for as long as it lasts.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Whoever has taken so many bytes of an answer goes away.
const ENOUGH: usize = 1 << 20;

/// What came of a statement that did no harm.
pub const ANSWERED: &str = "answered";

/// What came of one that failed after the beginning of its answer was there.
const BROKEN_OFF: &str = "broken off in the middle";

/// What came of statements, and how often.
pub type Outcomes = BTreeMap<&'static str, usize>;

/// Without end, without measure, or no statement at all.
pub fn statements() -> Vec<String> {
    let mut all: Vec<String> = [
        "SELECT count(*) FROM positions a, positions b, positions c",
        "SELECT * FROM '/etc/passwd'",
        "SELECT a.*, b.* FROM positions a, positions b",
        "SELECT sum(value) FROM generate_series(1, 1000000000000)",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT count(*) FROM generate_series(1, 10000000000) a JOIN generate_series(1, 10000000000) b ON a.value % 2 = b.value % 2",
        "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t",
        "SELECT * FROM read_csv('https://example.org/rows.csv')",
        "SELECT count(DISTINCT value % 50000000) FROM generate_series(1, 1000000000)",
        "SELECT device, corr(lat, lon), stddev(speed_mps), median(speed_mps) FROM positions, generate_series(1, 100000) GROUP BY 1",
        "SELECT sum(value) OVER (ORDER BY value) FROM generate_series(1, 1000000000)",
        "SELECT count(*) FROM (SELECT value FROM generate_series(1, 200000000) ORDER BY value * 7919 % 1000003) AS sorted",
        "SELECT string_agg(value::text, ',') FROM generate_series(1, 1000000000)",
    ]
    .map(str::to_owned)
    .into();
    all.extend([
        format!("SELECT {}1", "1+".repeat(100_000)),
        format!("SELECT {}1{}", "(".repeat(100_000), ")".repeat(100_000)),
        format!("SELECT {}1{}", "CASE WHEN true THEN ".repeat(2_000), " END".repeat(2_000)),
        format!("SELECT '{}'", "x".repeat(4 << 20)),
    ]);
    all
}

/// Askers at work.
pub struct Askers {
    tasks: JoinSet<Result<Outcomes>>,
    stop: CancellationToken,
}

impl Askers {
    /// So many at a dashboard's address, each with a session's cookie and with another statement first.
    pub fn start(address: SocketAddr, cookie: &str, count: usize) -> Self {
        let (statements, stop): (Arc<[String]>, _) = (statements().into(), CancellationToken::new());
        let mut tasks = JoinSet::new();
        for number in 0..count {
            let (asker, stop) = (Asker::new(address, cookie), stop.clone());
            let statements = Arc::clone(&statements);
            tasks.spawn(async move {
                let mut outcomes = Outcomes::new();
                for statement in statements.iter().cycle().skip(number % statements.len()) {
                    let outcome = tokio::select! {
                        () = stop.cancelled() => break,
                        outcome = asker.ask(statement) => outcome?,
                    };
                    *outcomes.entry(outcome).or_default() += 1;
                }
                Ok(outcomes)
            });
        }
        Self { tasks, stop }
    }

    /// Lets them go; what came of all they have asked.
    pub async fn end(mut self) -> Result<Outcomes> {
        self.stop.cancel();
        let mut all = Outcomes::new();
        while let Some(ended) = self.tasks.join_next().await {
            for (outcome, count) in ended?? {
                *all.entry(outcome).or_default() += count;
            }
        }
        Ok(all)
    }
}

/// A program with a session.
pub struct Asker {
    http: reqwest::Client,
    url: String,
    cookie: String,
}

impl Asker {
    /// At a dashboard's address.
    pub fn new(address: SocketAddr, cookie: &str) -> Self {
        let (http, url) = (reqwest::Client::new(), format!("http://{address}/api/sql"));
        Self { http, url, cookie: cookie.to_owned() }
    }

    /// Asks, and takes what is answered, as far as it is bearable. An answer that blames the server is an error.
    pub async fn ask(&self, statement: &str) -> Result<&'static str> {
        let request = self.http.post(&self.url).header("cookie", &self.cookie).header("x-waystream", "1");
        let request = request.json(&json!({ "query": statement, "format": "json" }));
        let mut answer = request.send().await.context("asking")?;
        let outcome = match answer.status().as_u16() {
            200 => ANSWERED,
            400 => "refused as wrong (400)",
            413 => "stopped, or refused as too large (413)",
            429 => "without a turn (429)",
            status => bail!("answered {status}: {}", statement.chars().take(100).collect::<String>()),
        };
        let mut taken = Vec::new();
        while let Some(piece) = answer.chunk().await.context("taking an answer")? {
            taken.extend_from_slice(&piece);
            if taken.len() > ENOUGH {
                return Ok("given up by who asked");
            }
        }
        if outcome == ANSWERED { end_of(&taken) } else { Ok(outcome) }
    }
}

/// What came of a statement whose answer began well: where rows were sent before it failed, that stands at their end.
fn end_of(answer: &[u8]) -> Result<&'static str> {
    let answer: Value = serde_json::from_slice(answer).context("an answer is no JSON")?;
    Ok(if answer.get("error").is_some() { BROKEN_OFF } else { ANSWERED })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_breaks_off_in_the_middle_is_none() {
        let rows = r#"{"columns":[{"name":"error","type":"text"}],"rows":[["error"]],"truncated":"#;
        assert_eq!(end_of(format!("{rows}false}}").as_bytes()).expect("JSON"), ANSWERED);
        assert_eq!(end_of(format!(r#"{rows}true,"error":"too long"}}"#).as_bytes()).expect("JSON"), BROKEN_OFF);
        assert!(end_of(rows.as_bytes()).is_err(), "without its end it is none either");
    }
}
