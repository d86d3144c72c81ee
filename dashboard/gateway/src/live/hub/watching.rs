//! What a socket watches: its view, and the alerts that it missed.

use super::{CatchUp, Client, Command, Hub, Inside, Message, Now, PAGE, TOO_FAR};
use crate::auth::SignedIn;
use crate::live::alerts::{Missed, alert};
use crate::live::client::ClientView;
use crate::live::client_cells::ClientCells;
use crate::live::outbox::Outbox;
use crate::live::tiles::Tiles;
use crate::live::view::ViewKey;
use crate::metrics as names;
use crate::nodes::{AckSender, SocketRef};
use crate::wire::{AlertEvent, WatchAnswer, WatchRequest};
use socketioxide::socket::Sid;
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, PoisonError};
use tokio::sync::{mpsc, oneshot};
use waystream_domain::{Catalog, EventId, FleetId};
use waystream_log::{Log, LogError};
use waystream_sql::EventCursor;

impl Hub {
    pub(super) fn watch(&mut self, socket: SocketRef, identity: SignedIn, request: WatchRequest, ack: AckSender, now: Now) {
        let epoch = self.board.read().unwrap_or_else(PoisonError::into_inner).epoch();
        let refuse = |ack: AckSender, error: String| {
            let answer = WatchAnswer { epoch, fleets: Vec::new(), whole: true, cursor: String::new(), error: Some(error) };
            if ack.send(&answer).is_err() {
                tracing::debug!("nobody waits for the answer to watch");
            }
        };
        let own: BTreeSet<FleetId> = self.catalog.fleets_of(identity.organisation()).map(|f| f.id.clone()).collect();
        let fleets = match &request.fleets {
            None => None,
            Some(wanted) => {
                let mut some = BTreeSet::new();
                for text in wanted {
                    match text.parse().ok().filter(|fleet| own.contains(fleet)) {
                        Some(fleet) => drop(some.insert(fleet)),
                        // The same for a fleet that is somebody else's and for one that isn't there.
                        None => return refuse(ack, format!("there is no fleet {text}")),
                    }
                }
                Some(some)
            }
        };
        let after = match request.alerts_after.as_deref().map(str::parse::<EventCursor>).transpose() {
            Ok(after) => after,
            Err(error) => return refuse(ack, error.to_string()),
        };
        let viewport = match request.viewport.map(|v| Tiles::new(&v).ok_or(v)).transpose() {
            Ok(viewport) => viewport,
            Err(v) => return refuse(ack, format!("there is no such part of the map: {v:?}")),
        };
        let only = match request.only.as_deref().map(str::parse::<FleetId>).transpose() {
            Ok(only) => only,
            Err(error) => return refuse(ack, format!("only: {error}")),
        };
        let key = ViewKey { organisation: identity.organisation().clone(), fleets };
        let old = self.clients.get(&socket.id).map(|client| client.seat);
        let seat = self.seat_for(&key, only.as_ref(), viewport, old);
        let shown = key.fleets.as_ref().unwrap_or(&own).iter().map(ToString::to_string).collect();
        let cursor = after.as_ref().unwrap_or(&self.cursor).to_string();
        let answer = WatchAnswer { epoch, fleets: shown, whole: seat.part.is_none(), cursor, error: None };
        if ack.send(&answer).is_err() {
            // Gone, or so full of messages that it can't even be answered.
            return self.cut(socket.id, "does not take answers");
        }
        let sid = socket.id;
        self.next_id += 1;
        let watch = self.next_id;
        if old != Some(seat) {
            self.enter(seat, sid);
        }
        let Some(view) = self.views.get(&seat.view).and_then(|w| w.view(seat.part)) else { return };
        match self.clients.get_mut(&sid) {
            Some(client) => {
                client.window.change_view(view, now);
                client.cells.leave_area();
                client.followed = None;
                client.inside = Inside::asked(request.inside, client.identity.role());
                (client.watched, client.only) = (key.clone(), only);
                (client.seat, client.viewport, client.watch, client.catching_up) = (seat, viewport, watch, None);
            }
            None => {
                let (inside, outbox) = (Inside::asked(request.inside, identity.role()), Outbox::of(identity.role()));
                let acked = socket.extensions.get().unwrap_or_default();
                let client = Client {
                    socket,
                    identity,
                    watched: key.clone(),
                    only,
                    seat,
                    viewport,
                    follow: Vec::new(),
                    window: ClientView::new(view, now),
                    cells: ClientCells::default(),
                    acked,
                    followed: None,
                    inside,
                    outbox,
                    blocked_since: None,
                    watch,
                    catching_up: None,
                };
                self.clients.insert(sid, client);
            }
        }
        if let Some(old) = old.filter(|&old| old != seat) {
            self.leave_seat(old, sid, old.view == seat.view);
        }
        self.follow_devices(sid, &request.follow, now);
        // Whoever has seen alerts may have missed what was said of them.
        if after.is_some() {
            let all = self.all_acknowledged(&key.organisation);
            if let Some(client) = self.clients.get_mut(&sid)
                && !all.into_iter().all(|part| client.outbox.push(part))
            {
                return self.cut(sid, TOO_FAR);
            }
        }
        if let Some(after) = after {
            self.start_catch_up(sid, after);
        }
        self.catch_up(sid, now);
        metrics::gauge!(names::SOCKETS).set(self.clients.len() as f64);
    }

    fn start_catch_up(&mut self, sid: Sid, after: EventCursor) {
        let (Some(client), end) = (self.clients.get_mut(&sid), self.cursor.clone()) else { return };
        client.catching_up = Some(CatchUp::default());
        let telling = Telling {
            sid,
            watch: client.watch,
            key: client.watched.clone(),
            catalog: self.catalog.clone(),
            hub: self.commands.clone(),
        };
        let log = Arc::clone(&self.log);
        tokio::spawn(async move {
            if let Err(error) = telling.run(&log, after, end).await {
                tracing::warn!(%error, "missed alerts could not be read");
                // It reconnects and asks again. If the hub is gone, so is the socket.
                telling.hub.send(Command::Cut(sid, "missed alerts could not be read")).await.ok();
            }
        });
    }

    pub(super) fn missed(&mut self, sid: Sid, watch: u64, alerts: Vec<Arc<AlertEvent>>, more: Option<oneshot::Sender<()>>) {
        {
            let mut board = self.board.write().unwrap_or_else(PoisonError::into_inner);
            for alert in &alerts {
                if let Ok(fleet) = alert.fleet.parse::<FleetId>() {
                    board.remember(&EventId::from_text(&alert.event_id), &fleet);
                }
            }
        }
        let Some(client) = self.clients.get_mut(&sid).filter(|c| c.watch == watch) else { return };
        let Some(catch_up) = &mut client.catching_up else { return };
        let last = more.is_none();
        catch_up.more = more;
        let held = if last { std::mem::take(&mut catch_up.held) } else { VecDeque::new() };
        if last {
            client.catching_up = None;
        }
        let all_taken = alerts.into_iter().chain(held).all(|alert| client.outbox.push(Message::Alert(alert)));
        if !all_taken {
            self.cut(sid, TOO_FAR);
        }
    }
}

/// Tells one socket what it missed, page by page, as fast as it takes them.
struct Telling {
    sid: Sid,
    watch: u64,
    key: ViewKey,
    catalog: Catalog,
    hub: mpsc::Sender<Command>,
}

impl Telling {
    async fn run(&self, log: &Arc<dyn Log>, after: EventCursor, end: EventCursor) -> Result<(), LogError> {
        let mut missed = Missed::open(log, &after, &end).await?;
        loop {
            let mut alerts = Vec::with_capacity(PAGE);
            let mut done = false;
            while alerts.len() < PAGE && !done {
                match missed.next().await? {
                    None => done = true,
                    Some((event, cursor)) => {
                        let fleet = self.catalog.fleets.get(&event.fleet);
                        if fleet.is_some_and(|f| self.key.shows(&f.organisation, &f.id)) {
                            alerts.push(Arc::new(alert(&event, Some(&cursor), &self.catalog)));
                        }
                    }
                }
            }
            let (more, asked) = oneshot::channel();
            let page = Command::Missed { sid: self.sid, watch: self.watch, alerts, more: (!done).then_some(more) };
            // Nobody who takes it, or who asks for more: the socket is gone or watches something else.
            if self.hub.send(page).await.is_err() || done || asked.await.is_err() {
                return Ok(());
            }
        }
    }
}
