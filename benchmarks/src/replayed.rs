//! A client that replays: it asks for a time, takes what comes as fast as it comes, and counts.

use crate::watcher::Watcher;
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::Message;
use waystream_gateway::wire::frame::{FrameKind, decode_frame};

/// The replay's number at its client.
const ID: u32 = 1;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// First moment, milliseconds since 1970.
    pub from_ms: i64,
    /// Last moment.
    pub to_ms: i64,
    /// Times real time.
    pub speed: f64,
}

/// A replay that is open.
pub struct Replayed {
    watcher: Watcher,
    /// Vehicles in it.
    pub vehicles: usize,
    /// Where its clock is, milliseconds since 1970.
    pub clock_ms: i64,
    /// It is over.
    pub done: bool,
    /// Positions that came while it played.
    pub positions: usize,
    /// Their bytes.
    pub bytes: usize,
}

impl Replayed {
    /// Opens one of all vehicles, and takes what it shows at its beginning.
    pub async fn open(mut watcher: Watcher, wanted: Wanted) -> Result<Self> {
        let Wanted { from_ms, to_ms, speed } = wanted;
        let open = json!({ "id": ID, "action": "open", "from": from_ms, "to": to_ms, "speed": speed });
        watcher.say(format!("421{}", json!(["replay", open]))).await?;
        let mut replayed = Self { watcher, vehicles: 0, clock_ms: from_ms, done: false, positions: 0, bytes: 0 };
        let mut ready = false;
        while !ready || replayed.vehicles == 0 {
            match replayed.watcher.message().await? {
                Message::Text(text) => match text.strip_prefix("431") {
                    Some(answer) => {
                        let answer: Value = serde_json::from_str(answer)?;
                        ensure!(answer[0]["ok"] == true, "refused: {answer}");
                        replayed.vehicles = answer[0]["slots"].as_array().context("no slots")?.len();
                        ensure!(replayed.vehicles > 0, "nobody has a history");
                    }
                    // The first comes when everything is loaded.
                    None => ready = replayed.told(&text)?,
                },
                Message::Binary(bytes) => replayed.frame(&bytes).await?,
                _ => {}
            }
        }
        Ok(replayed)
    }

    /// Plays for so long, or until the end; how long it was.
    pub async fn play(&mut self, time: Duration) -> Result<Duration> {
        self.watcher.say(format!("42{}", json!(["replay", { "id": ID, "action": "play" }]))).await?;
        let began = Instant::now();
        while !self.done && began.elapsed() < time {
            match self.watcher.message().await? {
                Message::Text(text) => {
                    self.told(&text)?;
                }
                Message::Binary(bytes) => self.frame(&bytes).await?,
                _ => {}
            }
        }
        Ok(began.elapsed())
    }

    /// Whether it was the replay's state.
    fn told(&mut self, text: &str) -> Result<bool> {
        let Some(state) = text.strip_prefix("42[\"replay_state\",").and_then(|rest| rest.strip_suffix(']')) else {
            return Ok(false);
        };
        let state: Value = serde_json::from_str(state)?;
        if let Some(error) = state["error"].as_str() {
            bail!("replay ended: {error}");
        }
        self.done = state["done"] == true;
        Ok(true)
    }

    async fn frame(&mut self, bytes: &[u8]) -> Result<()> {
        let frame = decode_frame(bytes).context("no frame")?;
        self.clock_ms = frame.t0_ms;
        if frame.head.kind == FrameKind::Delta {
            self.positions += frame.records.len();
            self.bytes += bytes.len();
        }
        let ack = json!(["replay_ack", { "id": ID, "seq": frame.head.seq }]);
        self.watcher.say(format!("42{ack}")).await
    }
}
