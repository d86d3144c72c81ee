//! One replay: a clock, the positions it has reached, and the frames that tell them.

use super::loading::{Loaded, Selection, Vehicles, load};
use super::shown::shown;
use crate::live::taken;
use crate::metrics as names;
use crate::nodes::SocketRef;
use crate::wire::frame::{FrameBuilder, FrameHead, FrameKind, FrameRecord, flags};
use crate::wire::{AlertEvent, ReplayAlert, ReplayState};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use waystream_domain::{DeviceId, SharedCatalog, Timestamp};
use waystream_sql::{Fix, FixStream, SqlEngine, SqlError};

/// Time between frames.
const TICK: Duration = Duration::from_millis(100);
/// Ticks between two states that tell the clock.
const STATE_TICKS: u32 = 10;
/// Frames in flight at most.
const WINDOW: usize = 3;

/// What can be asked of a player.
#[derive(Debug)]
pub(crate) enum Control {
    /// Let the clock run.
    Play,
    /// Stop it.
    Pause,
    /// Put it.
    Seek(i64),
    /// Put it on, if it is not put elsewhere meanwhile.
    Step(Step),
    /// Change its speed.
    Speed(f64),
    /// A frame has been shown.
    Acknowledge(u32),
}

/// How far the clock goes on.
#[derive(Debug)]
pub(crate) enum Step {
    /// To a moment.
    To(Timestamp),
    /// To the next fix of a device, or of anybody.
    NextFix(Option<DeviceId>),
}

/// Whose next fix is waited for.
enum Whose {
    Nobodys,
    Anybodys,
    Of(u32),
}

impl Whose {
    fn is_it(&self, slot: u32) -> bool {
        match self {
            Self::Nobodys => false,
            Self::Anybodys => true,
            Self::Of(one) => *one == slot,
        }
    }
}

/// What waits for its turn to be sent.
enum Outgoing {
    Frame(u32, Bytes),
    Alert(Box<AlertEvent>),
    State(ReplayState),
}

/// See the module.
pub(crate) struct Player {
    id: u32,
    socket: SocketRef,
    selection: Selection,
    vehicles: Vehicles,
    clock: Timestamp,
    /// Of the clock, what is less than a millisecond.
    rest_ms: f64,
    ticked_at: Instant,
    speed: f64,
    playing: bool,
    /// Is taken when the client has taken what was told before.
    step: Option<Step>,
    stream: Option<FixStream>,
    /// The newest fix shown of every vehicle, by slot.
    shown: Vec<Option<Fix>>,
    ahead: VecDeque<Fix>,
    alerts: VecDeque<AlertEvent>,
    outgoing: VecDeque<Outgoing>,
    in_flight: VecDeque<u32>,
    seq: u32,
    ticks: u32,
}

impl Player {
    /// A player that stands at the beginning.
    pub(crate) fn new(id: u32, socket: SocketRef, selection: Selection, vehicles: Vehicles, speed: f64) -> Self {
        let clock = selection.from;
        let (ahead, alerts, outgoing, in_flight) = Default::default();
        let shown = vec![None; vehicles.roster.len()];
        Self {
            id,
            socket,
            selection,
            vehicles,
            clock,
            rest_ms: 0.0,
            ticked_at: Instant::now(),
            speed,
            playing: false,
            step: None,
            stream: None,
            shown,
            ahead,
            alerts,
            outgoing,
            in_flight,
            seq: 0,
            ticks: 0,
        }
    }

    /// Runs until its controls are dropped or history can't be read.
    pub(crate) async fn run(mut self, sql: Arc<SqlEngine>, catalog: SharedCatalog, mut controls: mpsc::Receiver<Control>) {
        metrics::gauge!(names::REPLAYS).increment(1);
        if let Err(error) = self.play(&sql, &catalog, &mut controls).await {
            self.playing = false;
            let state = ReplayState { error: Some(error.to_string()), ..self.state() };
            if !taken(self.socket.emit("replay_state", &state)) {
                tracing::debug!(%error, "replay ended and its socket could not be told");
            }
        }
        metrics::gauge!(names::REPLAYS).decrement(1);
    }

    async fn play(
        &mut self,
        sql: &Arc<SqlEngine>,
        catalog: &SharedCatalog,
        controls: &mut mpsc::Receiver<Control>,
    ) -> Result<(), SqlError> {
        let (selection, vehicles) = (self.selection.clone(), self.vehicles.clone());
        let loading_from = |at: Timestamp| -> BoxFuture<'static, Result<Loaded, SqlError>> {
            let (sql, catalog, selection, vehicles) =
                (Arc::clone(sql), Arc::clone(catalog), selection.clone(), vehicles.clone());
            async move { load(&sql, &catalog, &selection, &vehicles, at).await }.boxed()
        };
        let mut loading = Some(loading_from(self.clock));
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                control = controls.recv() => match control {
                    None => return Ok(()),
                    Some(Control::Seek(at)) => {
                        let at = Timestamp::from_millis(at).unwrap_or(self.selection.from);
                        self.clock = at.clamp(self.selection.from, self.selection.to);
                        loading = Some(loading_from(self.clock));
                        self.outgoing.clear();
                        self.step = None;
                    }
                    Some(control) => self.control(control),
                },
                loaded = async { loading.as_mut().expect("there is one: see the condition").await }, if loading.is_some() => {
                    loading = None;
                    self.start_from(loaded?);
                }
                _ = tick.tick() => {
                    let free = loading.is_none() && self.outgoing.is_empty() && self.in_flight.len() < WINDOW;
                    if free && let Some(step) = self.step.take() {
                        self.take_step(&step).await?;
                    } else if free && self.playing {
                        self.advance().await?;
                    } else {
                        // Waiting is not played time.
                        self.ticked_at = Instant::now();
                    }
                    self.send();
                }
            }
        }
    }

    fn control(&mut self, control: Control) {
        match control {
            Control::Play => {
                self.playing = self.clock < self.selection.to;
                self.ticked_at = Instant::now();
            }
            Control::Pause => self.playing = false,
            Control::Speed(speed) => self.speed = speed,
            Control::Step(step) => {
                // Of whom nothing is replayed no fix comes next: the clock would run to the end.
                if let Step::NextFix(Some(device)) = &step
                    && self.vehicles.roster.place(device.as_str()).is_none()
                {
                    return;
                }
                self.step = Some(step);
                return;
            }
            Control::Acknowledge(seq) => {
                if let Some(at) = self.in_flight.iter().position(|&s| s == seq) {
                    self.in_flight.drain(..=at);
                }
                return self.send();
            }
            Control::Seek(_) => {}
        }
        self.tell_state();
        self.send();
    }

    /// Instead of one that still waits: who takes nothing but goes on asking must not fill the queue.
    fn tell_state(&mut self) {
        let state = self.state();
        if matches!(self.outgoing.back(), Some(Outgoing::State(_))) {
            self.outgoing.pop_back();
        }
        self.outgoing.push_back(Outgoing::State(state));
    }

    fn state(&self) -> ReplayState {
        ReplayState {
            id: self.id,
            at: self.clock.as_millis(),
            playing: self.playing,
            speed: self.speed,
            done: self.clock >= self.selection.to,
            error: None,
        }
    }

    fn start_from(&mut self, loaded: Loaded) {
        self.stream = Some(loaded.stream);
        self.alerts = loaded.alerts;
        self.ahead.clear();
        self.rest_ms = 0.0;
        self.clock = loaded.at;
        self.ticked_at = Instant::now();
        self.shown.fill(None);
        self.frames(FrameKind::Snapshot, loaded.fixes);
        self.tell_state();
        self.send();
    }

    /// Lets the clock run for the time that has passed.
    async fn advance(&mut self) -> Result<(), SqlError> {
        let elapsed_ms = self.ticked_at.elapsed().as_secs_f64() * 1e3 * self.speed + self.rest_ms;
        self.ticked_at = Instant::now();
        let whole_ms = elapsed_ms.floor();
        self.rest_ms = elapsed_ms - whole_ms;
        self.go_on(&Step::To(self.clock.plus_millis(whole_ms as i64))).await
    }

    async fn take_step(&mut self, step: &Step) -> Result<(), SqlError> {
        self.go_on(step).await?;
        self.rest_ms = 0.0;
        self.ticked_at = Instant::now();
        self.tell_state();
        Ok(())
    }

    /// Puts the clock on, and tells what it has passed by.
    async fn go_on(&mut self, step: &Step) -> Result<(), SqlError> {
        let mut target = match step {
            Step::To(moment) => (*moment).clamp(self.clock, self.selection.to),
            Step::NextFix(_) => self.selection.to,
        };
        let whose = match step {
            Step::To(_) => Whose::Nobodys,
            Step::NextFix(None) => Whose::Anybodys,
            Step::NextFix(Some(device)) => self.vehicles.roster.place(device.as_str()).map_or(Whose::Nobodys, Whose::Of),
        };
        let mut moved = BTreeMap::new();
        loop {
            while let Some(fix) = self.ahead.front().copied().filter(|fix| fix.fix_time <= target) {
                self.ahead.pop_front();
                if whose.is_it(fix.device) {
                    target = fix.fix_time;
                }
                moved.insert(fix.device, fix);
            }
            let Some(stream) = self.stream.as_mut().filter(|_| self.ahead.is_empty()) else { break };
            let waiting = Instant::now();
            let next = stream.next().await.transpose()?;
            // Waiting is not played time, also if it is for history.
            self.ticked_at += waiting.elapsed();
            match next {
                Some(batch) => self.ahead = batch.into(),
                None => self.stream = None,
            }
        }
        self.clock = target;
        self.ticks += 1;
        if !moved.is_empty() {
            self.frames(FrameKind::Delta, moved.into_values());
        }
        while self.alerts.front().is_some_and(|a| a.fix_time <= target.as_millis()) {
            self.outgoing.extend(self.alerts.pop_front().map(|alert| Outgoing::Alert(Box::new(alert))));
        }
        let done = target >= self.selection.to;
        self.playing &= !done;
        if done || self.ticks.is_multiple_of(STATE_TICKS) {
            self.tell_state();
        }
        Ok(())
    }

    /// In order of their slots.
    fn frames(&mut self, kind: FrameKind, fixes: impl IntoIterator<Item = Fix>) {
        let records: Vec<FrameRecord> = fixes
            .into_iter()
            .map(|fix| {
                let before = self.shown[fix.device as usize].replace(fix);
                shown(&fix, before.as_ref())
            })
            .collect();
        let mut rest = records.as_slice();
        loop {
            let mut builder = FrameBuilder::new(self.clock.as_millis());
            let taken = rest.iter().take_while(|record| builder.push(record)).count();
            rest = &rest[taken..];
            self.seq = self.seq.wrapping_add(1);
            let last = if kind == FrameKind::Snapshot && rest.is_empty() { flags::LAST } else { 0 };
            let head = FrameHead { kind, flags: flags::REPLAY | last, epoch: self.id, seq: self.seq };
            self.outgoing.push_back(Outgoing::Frame(self.seq, builder.finish(&head)));
            if rest.is_empty() {
                return;
            }
        }
    }

    /// Sends what the window and the socket take.
    fn send(&mut self) {
        while let Some(next) = self.outgoing.front() {
            let sent = match next {
                Outgoing::Frame(..) if self.in_flight.len() >= WINDOW => false,
                Outgoing::Frame(seq, frame) => {
                    let sent = taken(self.socket.emit("r", &(self.id, frame)));
                    if sent {
                        self.in_flight.push_back(*seq);
                    }
                    sent
                }
                Outgoing::Alert(alert) => {
                    let alert = ReplayAlert { id: self.id, alert: alert.as_ref().clone() };
                    taken(self.socket.emit("replay_alert", &alert))
                }
                Outgoing::State(state) => taken(self.socket.emit("replay_state", state)),
            };
            if !sent {
                return;
            }
            self.outgoing.pop_front();
        }
    }
}
