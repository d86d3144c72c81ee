//! What a socket watches: its view, and the alerts that it missed.

use super::{CatchUp, Client, Command, Hub, Message, Now, PAGE, TOO_FAR, Watched};
use crate::auth::Identity;
use crate::live::alerts::{Missed, alert};
use crate::live::client::ClientView;
use crate::live::outbox::Outbox;
use crate::live::view::{View, ViewKey};
use crate::metrics as names;
use crate::nodes::{AckSender, SocketRef};
use crate::wire::{AlertEvent, WatchAnswer, WatchRequest};
use socketioxide::socket::Sid;
use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::{Arc, PoisonError};
use tokio::sync::{mpsc, oneshot};
use waystream_domain::{Catalog, FleetId};
use waystream_log::{Log, LogError};
use waystream_sql::EventCursor;

impl Hub {
    fn view_of(&mut self, key: ViewKey) -> u64 {
        if let Some((id, _)) = self.views.iter().find(|(_, w)| w.key == key) {
            return *id;
        }
        let board = self.board.read().unwrap_or_else(PoisonError::into_inner);
        let shown = board.iter().filter(|(_, v)| {
            !v.removed && self.catalog.fleets.get(&v.fleet).is_some_and(|f| key.shows(&f.organisation, &f.id))
        });
        let view = View::of(shown.map(|(slot, _)| slot));
        drop(board);
        self.next_id += 1;
        self.views.insert(self.next_id, Watched { key, view, sockets: HashSet::new() });
        self.views_of_fleet.clear();
        self.next_id
    }

    pub(super) fn leave_view(&mut self, id: u64, sid: Sid) {
        if let Some(watched) = self.views.get_mut(&id) {
            watched.sockets.remove(&sid);
            if watched.sockets.is_empty() {
                self.views.remove(&id);
                self.views_of_fleet.clear();
            }
        }
    }

    pub(super) fn watch(&mut self, socket: SocketRef, identity: Identity, request: WatchRequest, ack: AckSender, now: Now) {
        let epoch = self.board.read().unwrap_or_else(PoisonError::into_inner).epoch();
        let refuse = |ack: AckSender, error: String| {
            let answer = WatchAnswer { epoch, fleets: Vec::new(), cursor: String::new(), error: Some(error) };
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
        let shown = fleets.as_ref().unwrap_or(&own).iter().map(ToString::to_string).collect();
        let cursor = after.as_ref().unwrap_or(&self.cursor).to_string();
        let answer = WatchAnswer { epoch, fleets: shown, cursor, error: None };
        if ack.send(&answer).is_err() {
            // Gone, or so full of messages that it can't even be answered.
            return self.cut(socket.id, "does not take answers");
        }
        let sid = socket.id;
        let key = ViewKey { organisation: identity.organisation().clone(), fleets };
        let view = self.view_of(key);
        self.next_id += 1;
        let watch = self.next_id;
        let Some(watched) = self.views.get_mut(&view) else { return };
        watched.sockets.insert(sid);
        let mut old_view = None;
        match self.clients.get_mut(&sid) {
            Some(client) => {
                old_view = Some(client.view).filter(|&old| old != view);
                client.window.change_view(&watched.view, now);
                (client.view, client.watch, client.catching_up) = (view, watch, None);
            }
            None => {
                let window = ClientView::new(&watched.view, now);
                let client = Client {
                    socket,
                    identity,
                    view,
                    window,
                    outbox: Outbox::default(),
                    blocked_since: None,
                    watch,
                    catching_up: None,
                };
                self.clients.insert(sid, client);
            }
        }
        if let Some(old) = old_view {
            self.leave_view(old, sid);
        }
        if let Some(after) = after {
            self.start_catch_up(sid, after);
        }
        self.catch_up(sid, now);
        metrics::gauge!(names::SOCKETS).set(self.clients.len() as f64);
    }

    fn start_catch_up(&mut self, sid: Sid, after: EventCursor) {
        let (Some(client), end) = (self.clients.get_mut(&sid), self.cursor.clone()) else { return };
        let Some(watched) = self.views.get(&client.view) else { return };
        client.catching_up = Some(CatchUp::default());
        let telling = Telling {
            sid,
            watch: client.watch,
            key: watched.key.clone(),
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
