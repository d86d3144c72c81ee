//! A browser's side: `socketio_client.mjs` as a child process, and what a page would make of what it gets.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use waystream_gateway::wire::Viewport;
use waystream_gateway::wire::cells::{CELLS_PER_TILE, decode_cells};
use waystream_gateway::wire::frame::{Frame, FrameKind, decode_frame, flags};

/// Nothing that is waited for takes so long unless it never comes.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Browser {
    child: Child,
    commands: ChildStdin,
    events: Lines<BufReader<ChildStdout>>,
    /// Device by slot.
    pub slots: BTreeMap<u32, String>,
    /// Latitude by device, as the frames say.
    pub map: BTreeMap<String, f64>,
    /// The same of followed vehicles.
    pub followed: BTreeMap<String, f64>,
    /// Vehicles by row and column of counted cells, and what viewport they are of.
    pub cells: BTreeMap<(u32, u32), u32>,
    pub viewport: Option<Viewport>,
    /// As `detail` says.
    pub whole: Option<bool>,
    /// Names by device.
    pub names: BTreeMap<String, String>,
    pub alerts: Vec<Value>,
    /// What was told of how many vehicles are inside of geofences.
    pub inside: Vec<Value>,
    pub frames: usize,
    pub complete: bool,
}

#[derive(Debug)]
pub struct Said {
    pub event: String,
    pub args: Vec<Value>,
}

impl Browser {
    pub fn open(url: &str, cookie: &str, transports: &str) -> Self {
        Self::open_from(url, cookie, transports, None)
    }

    pub fn open_from(url: &str, cookie: &str, transports: &str, origin: Option<&str>) -> Self {
        // Tests of the whole program use it too.
        let tests = ["tests", "../dashboard/gateway/tests"].map(|tests| Path::new(env!("CARGO_MANIFEST_DIR")).join(tests));
        let [ours, others] = tests;
        let tests = if ours.join("socketio_client.mjs").exists() { ours } else { others };
        assert!(
            tests.join("../../web/node_modules/socket.io-client").exists(),
            "the client of another maker is not installed: run `npm ci` in dashboard/web"
        );
        let mut command = Command::new("node");
        command.arg(tests.join("socketio_client.mjs")).env("URL", url).env("COOKIE", cookie).env("TRANSPORTS", transports);
        if let Some(origin) = origin {
            command.env("ORIGIN", origin);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let (commands, events) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let events = BufReader::new(events).lines();
        let (slots, map, followed, cells, viewport, whole, names, alerts, inside) = Default::default();
        Self {
            child,
            commands,
            events,
            slots,
            map,
            followed,
            cells,
            viewport,
            whole,
            names,
            alerts,
            inside,
            frames: 0,
            complete: false,
        }
    }

    /// Connects and watches; answers what `watch` answered.
    pub async fn watching(url: &str, cookie: &str, transports: &str, watch: Value) -> (Self, Value) {
        let mut browser = Self::open(url, cookie, transports);
        browser.until("connect").await;
        let answer = browser.ask(json!(["watch", watch])).await;
        (browser, answer)
    }

    pub fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    pub async fn command(&mut self, command: Value) {
        self.commands.write_all(format!("{command}\n").as_bytes()).await.unwrap();
    }

    pub async fn emit(&mut self, arguments: Value) {
        self.command(json!({ "emit": arguments })).await;
    }

    pub async fn ask(&mut self, arguments: Value) -> Value {
        self.command(json!({ "emit": arguments, "ack": true })).await;
        self.until("answer").await.args.remove(0)
    }

    /// The next thing that happens.
    pub async fn next(&mut self) -> Said {
        let line = tokio::time::timeout(PATIENCE, self.events.next_line()).await.expect("something happens").unwrap();
        let said: Value = serde_json::from_str(&line.expect("the client lives")).unwrap();
        let said = Said { event: said["event"].as_str().unwrap().into(), args: said["args"].as_array().unwrap().clone() };
        self.take(&said);
        said
    }

    /// The next thing of this name; what comes before it is taken in.
    pub async fn until(&mut self, event: &str) -> Said {
        let found = async {
            loop {
                let said = self.next().await;
                if said.event == event {
                    return said;
                }
            }
        };
        tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("{event} never came"))
    }

    /// Takes in what comes until this is so.
    pub async fn until_so(&mut self, so: impl Fn(&Self) -> bool) {
        let found = async {
            while !so(self) {
                self.next().await;
            }
        };
        tokio::time::timeout(PATIENCE, found).await.expect("it becomes so");
    }

    fn take(&mut self, said: &Said) {
        match said.event.as_str() {
            "slots" => {
                for row in said.args[0]["slots"].as_array().unwrap() {
                    let (device, name) = (row[1].as_str().unwrap().to_owned(), row[2].as_str().unwrap().to_owned());
                    self.slots.insert(row[0].as_u64().unwrap() as u32, device.clone());
                    self.names.insert(device, name);
                }
            }
            "f" => {
                self.frames += 1;
                if self.take_cells(&bytes(&said.args[0])) {
                    return;
                }
                let frame = frame(&said.args[0]);
                let is_followed = frame.head.flags & flags::FOLLOWED != 0;
                self.complete |= frame.head.flags & flags::LAST != 0 && !is_followed;
                let map = if is_followed { &mut self.followed } else { &mut self.map };
                if is_followed && frame.head.kind == FrameKind::Snapshot {
                    map.clear();
                }
                for record in frame.records {
                    let device = self.slots[&record.slot].clone();
                    if frame.head.kind == FrameKind::Removed {
                        map.remove(&device);
                    } else {
                        map.insert(device, f64::from(record.lat_e6) / 1e6);
                    }
                }
            }
            "detail" => self.whole = said.args[0]["whole"].as_bool(),
            "alert" => self.alerts.push(said.args[0].clone()),
            "inside" => self.inside.push(said.args[0].clone()),
            _ => {}
        }
    }

    fn take_cells(&mut self, bytes: &[u8]) -> bool {
        let Ok(frame) = decode_cells(bytes) else { return false };
        let Viewport { zoom, x, y, w, h } = frame.viewport;
        if frame.head.flags & flags::FULL != 0 || self.viewport.is_none_or(|old| old.zoom != zoom) {
            self.cells.clear();
        }
        let (wide, high, world) = (w * CELLS_PER_TILE, h * CELLS_PER_TILE, CELLS_PER_TILE << zoom);
        let (west, north) = (x * CELLS_PER_TILE, y * CELLS_PER_TILE);
        self.cells.retain(|(row, column), _| (north..north + high).contains(row) && (*column + world - west) % world < wide);
        for record in frame.cells {
            let at = (north + record.cell / wide, (west + record.cell % wide) % world);
            match record.sum.count() as u32 {
                0 => self.cells.remove(&at),
                count => self.cells.insert(at, count),
            };
        }
        self.viewport = (w > 0 && h > 0).then_some(frame.viewport);
        true
    }
}

pub fn frame(hex: &Value) -> Frame {
    decode_frame(&bytes(hex)).expect("a frame as documented")
}

fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().unwrap();
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}
