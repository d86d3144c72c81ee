//! Replay: history as it would have been seen live, at any speed, over the same frames. Pulled by the browser's
//! acknowledgements: the replay's clock stands still while a browser can't keep up.

mod loading;
mod player;
mod shown;

use crate::auth::{Identity, Sessions, SignedIn};
use crate::in_turn::InTurn;
use crate::metrics::{Refusal, refused};
use crate::nodes::{AckSender, SocketRef};
use crate::wire::{ReplayAck, ReplayAction, ReplayAnswer, ReplayRequest};
use futures::future::BoxFuture;
use loading::{Selection, vehicles_of};
use player::{Control, Player, Step};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;
use waystream_domain::{DeviceId, FleetId, SharedCatalog, Timestamp};
use waystream_sql::fair::{Place, Places};
use waystream_sql::{Devices, SqlEngine};

/// Replays of one socket at a time.
const PER_SOCKET: usize = 4;
/// Replays of all sockets at a time; where there are several organisations, each has its share.
const TOTAL: usize = 64;
/// Devices that may be named in one request.
const MAX_NAMED: usize = 10_000;
/// Slowest and fastest clock.
const SPEEDS: std::ops::RangeInclusive<f64> = 0.1..=1_000.0;

/// What all replays share.
pub(crate) struct ReplayContext {
    sql: Arc<SqlEngine>,
    sessions: Sessions,
    catalog: SharedCatalog,
    places: Places,
}

impl ReplayContext {
    /// Replays from this history.
    pub(crate) fn new(sql: Arc<SqlEngine>, sessions: Sessions, catalog: SharedCatalog) -> Self {
        Self { sql, sessions, catalog, places: Places::new(TOTAL, 0) }
    }
}

/// The replays of one socket.
pub(crate) struct Replays {
    context: Arc<ReplayContext>,
    open: Mutex<HashMap<u32, mpsc::Sender<Control>>>,
    controls: Arc<InTurn>,
}

impl Replays {
    /// None yet.
    pub(crate) fn new(context: Arc<ReplayContext>) -> Self {
        Self { context, open: Mutex::default(), controls: Arc::default() }
    }

    /// Does what a browser asks for: what there is to decide at once, in the order of the calls; the rest when the future runs.
    pub(crate) fn act(
        self: &Arc<Self>,
        socket: SocketRef,
        identity: SignedIn,
        request: ReplayRequest,
        ack: AckSender,
    ) -> BoxFuture<'static, ()> {
        let (this, id) = (Arc::clone(self), request.id);
        let control = match request.action {
            ReplayAction::Open { devices, fleet, from, to, speed } => {
                let wanted = Wanted { devices, fleet, from, to, speed };
                let place = self.place(&identity, id);
                return Box::pin(async move {
                    let answer = match this.open(socket, &identity, id, wanted, place).await {
                        Ok(answer) => answer,
                        Err(error) => ReplayAnswer { error: Some(error), ..ReplayAnswer::default() },
                    };
                    if ack.send(&answer).is_err() {
                        tracing::debug!("nobody waits for the answer to replay");
                    }
                });
            }
            ReplayAction::Play => Control::Play,
            ReplayAction::Pause => Control::Pause,
            ReplayAction::Seek { at } => Control::Seek(at),
            ReplayAction::Step { to, device } => match step(to, device.as_deref()) {
                Some(step) => Control::Step(step),
                None => return Box::pin(async {}),
            },
            ReplayAction::Speed { speed } => Control::Speed(speed.clamp(*SPEEDS.start(), *SPEEDS.end())),
            ReplayAction::Close => {
                self.lock().remove(&id);
                return Box::pin(async {});
            }
        };
        Box::pin(self.controls.add(async move { this.control(id, control).await }))
    }

    /// A frame of a replay has been shown.
    pub(crate) async fn acknowledge(&self, ack: ReplayAck) {
        self.control(ack.id, Control::Acknowledge(ack.seq)).await;
    }

    /// Ends all of them.
    pub(crate) fn close_all(&self) {
        self.lock().clear();
    }

    async fn control(&self, id: u32, control: Control) {
        let sender = self.lock().get(&id).cloned();
        if let Some(sender) = sender
            && sender.send(control).await.is_err()
        {
            self.lock().remove(&id);
        }
    }

    async fn open(
        &self,
        socket: SocketRef,
        identity: &Identity,
        id: u32,
        wanted: Wanted,
        place: Result<(Place, mpsc::Receiver<Control>), String>,
    ) -> Result<ReplayAnswer, String> {
        let (place, controls) = place?;
        let selection = self.selection(identity, &wanted)?;
        let (slots, vehicles) =
            vehicles_of(&self.context.sql, &self.context.catalog, &selection).await.map_err(|e| e.to_string())?;
        let (from, to) = (selection.from.as_millis(), selection.to.as_millis());
        let player = Player::new(id, socket.clone(), selection, vehicles, wanted.speed.clamp(*SPEEDS.start(), *SPEEDS.end()));
        let (sql, catalog) = (Arc::clone(&self.context.sql), Arc::clone(&self.context.catalog));
        if !socket.connected() {
            // Gone meanwhile: its disconnect handler has closed what was open before.
            self.close_all();
        }
        tokio::spawn(async move {
            player.run(sql, catalog, controls).await;
            drop(place);
        });
        Ok(ReplayAnswer { ok: true, slots, from, to, error: None })
    }

    /// Taken before anything is looked up: who asks for many at once gets no more. It is free again when nobody listens to its controls.
    fn place(&self, identity: &Identity, id: u32) -> Result<(Place, mpsc::Receiver<Control>), String> {
        if !identity.role().looks_around() {
            return Err("installers see no history".into());
        }
        let alone = self.context.catalog.read().unwrap_or_else(PoisonError::into_inner).organisations.len() <= 1;
        let mut open = self.lock();
        open.retain(|_, sender| !sender.is_closed());
        open.remove(&id);
        if open.len() >= PER_SOCKET {
            refused(Refusal::Replays);
            return Err(format!("only {PER_SOCKET} replays can be open at a time"));
        }
        let place = self.context.places.try_take(identity.organisation(), alone).ok_or_else(|| {
            refused(Refusal::Replays);
            "too many replays of your organisation are open".to_owned()
        })?;
        let (sender, controls) = mpsc::channel(16);
        open.insert(id, sender);
        Ok((place, controls))
    }

    fn selection(&self, identity: &Identity, wanted: &Wanted) -> Result<Selection, String> {
        let time = |ms| Timestamp::from_millis(ms).ok_or("from and to are milliseconds since 1970");
        let (from, to) = (time(wanted.from)?, time(wanted.to)?);
        if from > to {
            return Err("from is after to".into());
        }
        let mut scope = self.context.sessions.scope(identity);
        let fleet: Option<FleetId> = wanted.fleet.as_deref().map(str::parse).transpose().map_err(|e| format!("fleet: {e}"))?;
        if let Some(fleet) = &fleet {
            if !scope.fleets().contains(fleet) {
                return Err(format!("there is no fleet {fleet}"));
            }
            scope = self.context.sessions.scope_of(identity, std::slice::from_ref(fleet));
        }
        let devices = match &wanted.devices {
            Some(names) if names.len() > MAX_NAMED => return Err(format!("more than {MAX_NAMED} devices are named")),
            Some(names) => {
                let ids = names.iter().map(|name| name.parse::<DeviceId>());
                Devices::Only(ids.collect::<Result<_, _>>().map_err(|e| format!("device: {e}"))?)
            }
            None => Devices::All,
        };
        Ok(Selection { scope, devices, from, to })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u32, mpsc::Sender<Control>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `None`: there is no such device or moment.
fn step(to: Option<i64>, device: Option<&str>) -> Option<Step> {
    match to {
        Some(to) => Timestamp::from_millis(to).map(Step::To),
        None => device.map(str::parse).transpose().ok().map(Step::NextFix),
    }
}

struct Wanted {
    devices: Option<Vec<String>>,
    fleet: Option<String>,
    from: i64,
    to: i64,
    speed: f64,
}
