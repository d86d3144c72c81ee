//! The hub: one task that owns the board, the views and every socket's place in them.

mod acknowledged;
mod editing;
mod inside;
mod seats;
mod sending;
mod watching;

use super::acked::Acked;
use super::alerts::alert;
use super::area::DetailLimits;
use super::board::{Board, Update, is_over};
use super::client::{ClientView, Now};
use super::client_cells::ClientCells;
use super::feed::News;
use super::kills::Kills;
use super::outbox::{Message, Outbox};
use super::tiles::Tiles;
use super::turns::{Turns, next_due};
use super::view::ViewKey;
use crate::auth::{Sessions, SignedIn};
use crate::nodes::{AckSender, SocketRef};
use crate::wire::{AlertEvent, WatchRequest};
use crate::{metrics as names, now};
use inside::Inside;
use seats::{Followed, Seat, Watched};
use socketioxide::socket::Sid;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use waystream_domain::{Catalog, CatalogEdit, DeviceId, EventId, FleetId, OrganisationId};
use waystream_log::catalog::CatalogHandle;
use waystream_log::{Log, LogError};
use waystream_sql::EventCursor;

/// Missed alerts told at a time.
const PAGE: usize = 256;
/// Live alerts that may wait while missed ones are being told.
const MAX_HELD: usize = 4_096;

/// What sockets ask of the hub.
#[expect(clippy::large_enum_variant, reason = "few wait at a time, and a box would cost each of them an allocation")]
pub(crate) enum Command {
    /// A socket has connected; it has a checked identity with it.
    Enter(SocketRef),
    /// See [`WatchRequest`].
    Watch {
        /// Who asks.
        socket: SocketRef,
        /// Checked.
        identity: SignedIn,
        /// What.
        request: WatchRequest,
        /// For the answer, which must come before the first frame.
        ack: AckSender,
    },
    /// What the socket shows.
    Viewport(Sid, Tiles),
    /// Whom it follows.
    Follow(Sid, Vec<String>),
    /// The fleet that it wants to be told of where not all are.
    Only(Sid, Option<FleetId>),
    /// Whether it wants to be told of how many vehicles are inside of each geofence.
    Inside(Sid, bool),
    /// A frame has arrived, and that was waited for.
    Acknowledged(Sid),
    /// The socket is gone.
    Leave(Sid),
    /// The socket must go.
    Cut(Sid, &'static str),
    /// Missed alerts of a socket.
    Missed {
        /// Whose.
        sid: Sid,
        /// Of which `watch`.
        watch: u64,
        /// In order.
        alerts: Vec<Arc<AlertEvent>>,
        /// Asks for the next ones; `None`: these were the last.
        more: Option<oneshot::Sender<()>>,
    },
}

/// What REST may look at. Locked for a look-up or one batch of news, never across an `.await`.
pub(crate) type SharedBoard = Arc<RwLock<Board>>;

struct Client {
    socket: SocketRef,
    identity: SignedIn,
    /// What it watches: alerts are told of that, wherever it sits.
    watched: ViewKey,
    /// See [`crate::wire::OnlyRequest`].
    only: Option<FleetId>,
    seat: Seat,
    /// What it shows; counts where its fleets are large.
    viewport: Option<Tiles>,
    /// Whom it wants to be told of wherever they are.
    follow: Vec<DeviceId>,
    window: ClientView,
    cells: ClientCells,
    acked: Arc<Acked>,
    followed: Option<Followed>,
    inside: Inside,
    outbox: Outbox,
    blocked_since: Option<Duration>,
    watch: u64,
    catching_up: Option<CatchUp>,
}

/// While missed alerts are told, live ones wait.
#[derive(Default)]
struct CatchUp {
    held: VecDeque<Arc<AlertEvent>>,
    more: Option<oneshot::Sender<()>>,
}

/// See the module.
pub(crate) struct Hub {
    log: Arc<dyn Log>,
    sessions: Sessions,
    kills: Kills,
    board: SharedBoard,
    /// The hub's own copy: it knows what an entry was before an edit.
    catalog: Catalog,
    handle: CatalogHandle,
    edits: broadcast::Receiver<Arc<CatalogEdit>>,
    cursor: EventCursor,
    views: HashMap<u64, Watched>,
    /// Views that show a fleet; forgotten whenever views or fleets change.
    views_of_fleet: HashMap<FleetId, Arc<[u64]>>,
    /// Every socket, whatever it has asked for, and whose it is: it goes with the session.
    sockets: HashMap<Sid, (SocketRef, SignedIn)>,
    /// Those that watch.
    clients: HashMap<Sid, Client>,
    /// Those that took some of what has to reach them completely, and wait for the rest.
    writing: HashSet<Sid>,
    followers: HashMap<DeviceId, HashSet<Sid>>,
    /// Alerts of which something was said since the last tick.
    acknowledged: HashMap<OrganisationId, BTreeSet<EventId>>,
    detail: DetailLimits,
    started: Instant,
    seq: u32,
    next_id: u64,
    turns: Turns,
    cut_after: Duration,
    commands: mpsc::Sender<Command>,
}

/// What a hub starts with.
pub(crate) struct HubStart {
    /// To read missed alerts from.
    pub(crate) log: Arc<dyn Log>,
    /// To check sessions again and again.
    pub(crate) sessions: Sessions,
    /// To cut sockets.
    pub(crate) kills: Kills,
    /// With all states.
    pub(crate) board: SharedBoard,
    /// As it was when `edits` began.
    pub(crate) catalog: Catalog,
    /// For the whole catalog, should edits come too fast.
    pub(crate) handle: CatalogHandle,
    /// Every edit after that.
    pub(crate) edits: broadcast::Receiver<Arc<CatalogEdit>>,
    /// Of the first event that will be news.
    pub(crate) cursor: EventCursor,
    /// A socket that has not acknowledged a frame, or has taken no message, for so long is cut.
    pub(crate) cut_after: Duration,
    /// From how many vehicles on not each is told of.
    pub(crate) detail: DetailLimits,
    /// To the hub itself.
    pub(crate) commands: mpsc::Sender<Command>,
}

impl Hub {
    /// A hub without sockets.
    pub(crate) fn new(start: HubStart) -> Self {
        let HubStart { log, sessions, kills, board, catalog, handle, edits, cursor, cut_after, detail, commands } = start;
        let (views, views_of_fleet, sockets, clients, writing, followers, acknowledged) = Default::default();
        Self {
            log,
            sessions,
            kills,
            board,
            catalog,
            handle,
            edits,
            cursor,
            views,
            views_of_fleet,
            sockets,
            clients,
            writing,
            followers,
            acknowledged,
            detail,
            started: Instant::now(),
            seq: 0,
            next_id: 0,
            turns: Turns::default(),
            cut_after,
            commands,
        }
    }

    /// Runs until cancelled.
    pub(crate) async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        mut news: mpsc::Receiver<News>,
        cancel: CancellationToken,
    ) -> Result<(), LogError> {
        let mut due = tokio::time::Instant::now();
        let mut turn = std::pin::pin!(tokio::time::sleep_until(due));
        loop {
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                () = turn.as_mut() => {
                    self.tick(self.now());
                    due = next_due(due, tokio::time::Instant::now());
                    turn.as_mut().reset(due);
                }
                Some(command) = commands.recv() => self.command(command, self.now()),
                news = news.recv() => match news {
                    Some(news) => self.news(news, self.now()),
                    // Who follows the log may have heard of the end first.
                    None if cancel.is_cancelled() => return Ok(()),
                    None => return Err(LogError::Closed("the log is no longer followed".into())),
                },
                edit = self.edits.recv() => match edit {
                    Ok(edit) => self.edit(&edit, self.now()),
                    // Too many edits at once to follow one by one: everybody starts anew from the catalog as it is.
                    Err(broadcast::error::RecvError::Lagged(_)) => self.start_anew(self.now()),
                    Err(broadcast::error::RecvError::Closed) if cancel.is_cancelled() => return Ok(()),
                    Err(broadcast::error::RecvError::Closed) => {
                        return Err(LogError::Closed("the catalog is no longer followed".into()));
                    }
                },
            }
        }
    }

    fn now(&self) -> Now {
        Now { wall: now(), up: self.started.elapsed() }
    }

    fn command(&mut self, command: Command, now: Now) {
        match command {
            Command::Enter(socket) => {
                if let Some(identity) = socket.extensions.get::<SignedIn>() {
                    self.sockets.insert(socket.id, (socket, identity));
                }
            }
            Command::Watch { socket, identity, request, ack } => self.watch(socket, identity, request, ack, now),
            Command::Acknowledged(sid) => {
                if let Some(client) = self.clients.get_mut(&sid) {
                    client.take_acknowledged(now);
                    self.catch_up(sid, now);
                }
            }
            Command::Viewport(sid, viewport) => self.viewport(sid, viewport, now),
            Command::Follow(sid, devices) => self.follow_devices(sid, &devices, now),
            Command::Only(sid, fleet) => self.show_only(sid, fleet, now),
            Command::Inside(sid, on) => self.show_inside(sid, on),
            Command::Leave(sid) => self.leave(sid),
            Command::Cut(sid, reason) => self.cut(sid, reason),
            Command::Missed { sid, watch, alerts, more } => self.missed(sid, watch, alerts, more),
        }
    }

    fn news(&mut self, news: News, now: Now) {
        match news {
            News::Live(live) => {
                let mut updates = Vec::with_capacity(live.len());
                {
                    let mut board = self.board.write().unwrap_or_else(PoisonError::into_inner);
                    let live = live.into_iter().filter(|live| !is_over(live, &self.catalog));
                    updates.extend(live.map(|live| board.apply(live, &self.catalog, now.wall)));
                }
                let board = self.shared_board();
                let board = board.read().unwrap_or_else(PoisonError::into_inner);
                for (slot, update) in updates {
                    match update {
                        Update::None => {}
                        Update::Moved => self.touch(slot, &board),
                        Update::Placed => self.place(slot, &board, now),
                    }
                }
            }
            News::Events { partition, events, next } => {
                for (offset, event) in events {
                    self.cursor.seen(partition, offset);
                    self.board.write().unwrap_or_else(PoisonError::into_inner).note_event(&event);
                    let Some(organisation) = self.organisation_of(&event.fleet) else { continue };
                    let alert = Arc::new(alert(&event, Some(&self.cursor), &self.catalog));
                    self.tell(&organisation, &event.fleet, &alert, now);
                }
                self.cursor.advance(partition, next);
            }
        }
    }

    fn tell(&mut self, organisation: &OrganisationId, fleet: &FleetId, alert: &Arc<AlertEvent>, now: Now) {
        let mut too_far = Vec::new();
        for watched in self.views.values().filter(|w| w.key.organisation == *organisation) {
            for sid in &watched.sockets {
                let Some(client) = self.clients.get_mut(sid) else { continue };
                if !client.watched.shows(organisation, fleet) {
                    continue;
                }
                let taken = match &mut client.catching_up {
                    None => client.outbox.push(Message::Alert(Arc::clone(alert))),
                    Some(catch_up) => {
                        catch_up.held.push_back(Arc::clone(alert));
                        catch_up.held.len() <= MAX_HELD
                    }
                };
                if !taken {
                    too_far.push(*sid);
                } else if client.flush(now) {
                    self.writing.insert(*sid);
                }
            }
        }
        too_far.into_iter().for_each(|sid| self.cut(sid, TOO_FAR));
    }

    fn organisation_of(&self, fleet: &FleetId) -> Option<OrganisationId> {
        Some(self.catalog.fleets.get(fleet)?.organisation.clone())
    }

    // Views

    fn views_of(&mut self, fleet: &FleetId) -> Arc<[u64]> {
        if let Some(views) = self.views_of_fleet.get(fleet) {
            return Arc::clone(views);
        }
        let organisation = self.organisation_of(fleet);
        let shown = |w: &Watched| organisation.as_ref().is_some_and(|o| w.key.shows(o, fleet));
        let views: Arc<[u64]> = self.views.iter().filter(|(_, w)| shown(w)).map(|(id, _)| *id).collect();
        self.views_of_fleet.insert(fleet.clone(), Arc::clone(&views));
        views
    }

    fn touch(&mut self, slot: u32, board: &Board) {
        let vehicle = board.vehicle(slot);
        for id in self.views_of(&vehicle.fleet).iter() {
            if let Some(watched) = self.views.get_mut(id) {
                watched.touch(slot, board);
            }
        }
        for sid in self.followers_of(&vehicle.device) {
            if let Some(followed) = self.clients.get_mut(&sid).and_then(|c| c.followed.as_mut()) {
                followed.view.touch(slot);
            }
        }
    }

    /// Puts a vehicle into the views that show its fleet, and takes it out of all others.
    fn place(&mut self, slot: u32, board: &Board, now: Now) {
        let vehicle = board.vehicle(slot);
        let shown = if vehicle.removed { Arc::default() } else { self.views_of(&vehicle.fleet) };
        for (id, watched) in &mut self.views {
            if shown.contains(id) { watched.place(slot, board) } else { watched.remove(slot) }
        }
        for sid in self.followers_of(&vehicle.device) {
            self.follow(sid, board, now);
            if let Some(followed) = self.clients.get_mut(&sid).and_then(|c| c.followed.as_mut()) {
                followed.view.rename(slot);
                followed.view.touch(slot);
            }
        }
    }

    // Sockets

    fn leave(&mut self, sid: Sid) {
        self.kills.forget(sid);
        self.forget_followed(sid);
        self.sockets.remove(&sid);
        if let Some(client) = self.clients.remove(&sid) {
            self.leave_seat(client.seat, sid, false);
            metrics::gauge!(names::SOCKETS).set(self.clients.len() as f64);
        }
    }

    fn cut(&mut self, sid: Sid, reason: &'static str) {
        tracing::debug!(%sid, reason, "socket cut");
        metrics::counter!(names::SOCKETS_CUT, "reason" => reason).increment(1);
        let watching = self.clients.get(&sid).map(|client| &client.socket);
        if let Some(socket) = watching.or_else(|| self.sockets.get(&sid).map(|(socket, _)| socket)) {
            self.kills.kill(socket);
        }
        self.leave(sid);
    }

    fn sweep(&mut self, now: Now) {
        let late = self.board.write().unwrap_or_else(PoisonError::into_inner).sweep(now.wall);
        let board = self.shared_board();
        let board = board.read().unwrap_or_else(PoisonError::into_inner);
        late.into_iter().for_each(|slot| self.touch(slot, &board));
        drop(board);
        self.sweep_seats(now);
        let mut cut = Vec::new();
        for (sid, client) in &self.clients {
            let blocked = client.blocked_since.map_or(Duration::ZERO, |since| now.up.saturating_sub(since));
            if client.waiting(now).max(blocked) >= self.cut_after {
                cut.push((*sid, "frozen"));
            }
        }
        cut.into_iter().for_each(|(sid, reason)| self.cut(sid, reason));
        self.check_sessions(now);
    }

    fn check_sessions(&mut self, now: Now) {
        let ended = self.sockets.iter().filter(|(_, (_, was))| {
            let identity = self.sessions.identity(was.session(), now.wall);
            identity.is_none_or(|i| {
                let role_is_another = i.role().looks_around() != was.role().looks_around();
                i.organisation() != was.organisation() || role_is_another
            })
        });
        let ended: Vec<Sid> = ended.map(|(sid, _)| *sid).collect();
        ended.into_iter().for_each(|sid| self.cut(sid, "session ended"));
    }
}

const TOO_FAR: &str = "too far behind";
