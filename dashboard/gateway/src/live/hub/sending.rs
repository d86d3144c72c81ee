//! What goes out to sockets: at every tick what has changed, at every beat what is counted, and to whoever is behind what is missing.

use super::seats::{Followed, Part, Parts, Shown, Watched};
use super::{Client, Hub, Message, Now, TOO_FAR};
use crate::live::board::Board;
use crate::live::client::ClientView;
use crate::live::outbox::taken;
use crate::live::view::{Outgoing, View};
use crate::metrics as names;
use crate::nodes::SocketRef;
use crate::wire::SlotsMessage;
use socketioxide::socket::Sid;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError};

/// Rounds between two looks at what changes by the mere passing of time: links and sessions.
const SWEEP_ROUNDS: u64 = 50;
/// Rounds between two frames of counted cells, and between two looks at who is inside of geofences.
const BEAT_ROUNDS: u64 = 10;

impl Hub {
    /// A turn: the views that have theirs tell what has changed.
    pub(super) fn tick(&mut self, now: Now) {
        self.turns.advance();
        self.go_on_writing(now);
        if self.turns.is_first() {
            self.tell_acknowledged();
            if self.turns.is_round(SWEEP_ROUNDS) {
                self.sweep(now);
            }
        }
        let board = self.shared_board();
        let board = board.read().unwrap_or_else(PoisonError::into_inner);
        let (seq, clients, writing) = (&mut self.seq, &mut self.clients, &mut self.writing);
        let mut sending = Sending { board: &board, now, seq, clients, writing, sent: 0, merged: 0, too_far: Vec::new() };
        let turn = self.turns.turn();
        for watched in self.views.values_mut().filter(|w| w.turn == turn) {
            match &mut watched.shown {
                Shown::All(view) => sending.vehicles(view, &watched.sockets),
                Shown::Parts(parts) => {
                    if self.turns.is_round(BEAT_ROUNDS) {
                        sending.beat(parts);
                    }
                    for (part, Part { sockets, .. }) in &parts.parts {
                        if let Some(view) = parts.area.view_mut(part) {
                            sending.vehicles(view, sockets);
                        }
                    }
                }
            }
            sending.rest(watched);
        }
        let Sending { sent, merged, too_far, .. } = sending;
        metrics::counter!(names::FRAMES_SENT).increment(sent);
        metrics::counter!(names::FRAMES_MERGED).increment(merged);
        too_far.into_iter().for_each(|sid| self.cut(sid, TOO_FAR));
        drop(board);
        if self.turns.is_first() && self.turns.is_round(BEAT_ROUNDS) {
            self.tell_inside();
        }
    }

    /// What has to reach a socket completely is more than it takes at once where thousands of vehicles appear, and frames wait behind it.
    fn go_on_writing(&mut self, now: Now) {
        for sid in std::mem::take(&mut self.writing) {
            let Some(client) = self.clients.get_mut(&sid) else { continue };
            if client.flush(now) {
                self.writing.insert(sid);
            } else if client.outbox.is_empty() {
                self.catch_up(sid, now);
            }
        }
    }

    pub(super) fn catch_up(&mut self, sid: Sid, now: Now) {
        let Some(client) = self.clients.get_mut(&sid) else { return };
        let Some(watched) = self.views.get(&client.seat.view) else { return };
        let board = self.board.read().unwrap_or_else(PoisonError::into_inner);
        let seq = &mut self.seq;
        let sent = client.catch_up(watched, &board, now, &mut || advance(seq));
        metrics::counter!(names::FRAMES_SENT).increment(sent);
    }
}

/// One tick's sending.
struct Sending<'a> {
    board: &'a Board,
    now: Now,
    seq: &'a mut u32,
    clients: &'a mut HashMap<Sid, Client>,
    writing: &'a mut HashSet<Sid>,
    sent: u64,
    merged: u64,
    too_far: Vec<Sid>,
}

impl Sending<'_> {
    /// Ends the tick of a view, for the sockets that watch it.
    fn vehicles(&mut self, view: &mut View, sockets: &HashSet<Sid>) {
        let seq = &mut *self.seq;
        let Some(tick) = view.tick(self.board, self.now.wall, &mut || advance(seq)) else { return };
        for sid in sockets {
            let Some(client) = self.clients.get_mut(sid) else { continue };
            client.take_acknowledged(self.now);
            let direct = client.window.take_tick(&tick);
            if !direct.is_empty() && direct.iter().all(|o| send(&client.socket, o)) {
                self.sent += direct.len() as u64;
                client.window.tick_sent(&tick, view, self.now);
                continue;
            }
            self.merged += 1;
            if !direct.is_empty() {
                client.window.tick_refused(&tick);
            }
            // Frames merge, names don't.
            if let Some(renamed) = &tick.renamed
                && !client.outbox.push(Message::Slots(Arc::clone(renamed)))
            {
                self.too_far.push(*sid);
            }
        }
    }

    /// What counted cells are now is told, once encoded for all who show the same part.
    fn beat(&mut self, Parts { area, parts }: &mut Parts) {
        for (part, before) in area.tell() {
            let Some(after) = area.view(&part) else { continue };
            for sid in parts.get(&part).into_iter().flat_map(|p| &p.sockets) {
                if let Some(client) = self.clients.get_mut(sid) {
                    client.window.move_to(&before, after);
                }
            }
        }
        for (part, Part { sockets, beat }) in parts {
            let Some((since, cells)) = beat.due(area, part, self.now) else { continue };
            let mut shared = None;
            for sid in sockets.iter() {
                let Some(client) = self.clients.get_mut(sid).filter(|c| c.cells.can_take(part, since)) else { continue };
                if cells.is_empty() {
                    client.cells.took(*part, area.state(), None, self.now);
                    continue;
                }
                let outgoing = shared.get_or_insert_with(|| {
                    let seq = advance(self.seq);
                    let frame = beat.frame(part, &cells, (self.now.wall, self.now.up), (self.board.epoch(), seq));
                    Outgoing { slots: None, seq, frame }
                });
                if send(&client.socket, outgoing) {
                    self.sent += 1;
                    client.cells.took(*part, area.state(), Some(outgoing), self.now);
                }
            }
        }
    }

    /// What each socket is behind with; once nobody is, views forget what is over.
    fn rest(&mut self, watched: &mut Watched) {
        let seq = &mut *self.seq;
        for sid in &watched.sockets {
            let Some(client) = self.clients.get_mut(sid) else { continue };
            client.take_acknowledged(self.now);
            if client.flush(self.now) {
                self.writing.insert(*sid);
            }
            if let Some(followed) = &mut client.followed {
                let (sent, renamed) = followed.tick(&client.socket, self.board, self.now, &mut || advance(seq));
                self.sent += sent;
                if let Some(renamed) = renamed
                    && !client.outbox.push(Message::Slots(renamed))
                {
                    self.too_far.push(*sid);
                }
            }
            self.sent += client.catch_up(watched, self.board, self.now, &mut || advance(seq));
        }
        match &mut watched.shown {
            Shown::All(view) => self.compact(view, &watched.sockets),
            Shown::Parts(parts) => {
                for (part, Part { sockets, .. }) in &parts.parts {
                    if let Some(view) = parts.area.view_mut(part) {
                        self.compact(view, sockets);
                    }
                }
            }
        }
    }

    fn compact(&mut self, view: &mut View, sockets: &HashSet<Sid>) {
        let all_know = sockets.iter().filter_map(|sid| self.clients.get(sid)).all(|c| c.window.is_up_to_date(view));
        if all_know && view.compact() {
            for sid in sockets {
                let Some(client) = self.clients.get_mut(sid) else { continue };
                client.window.view_compacted(view);
            }
        }
    }
}

impl Followed {
    /// Ends the tick of the followed vehicles: how many frames were sent, and the names that were not told with them.
    fn tick(
        &mut self,
        socket: &SocketRef,
        board: &Board,
        now: Now,
        next_seq: &mut impl FnMut() -> u32,
    ) -> (u64, Option<Arc<SlotsMessage>>) {
        let Some(tick) = self.view.tick(board, now.wall, next_seq) else { return (0, None) };
        let direct = self.window.take_tick(&tick);
        if !direct.is_empty() && direct.iter().all(|o| send(socket, o)) {
            self.window.tick_sent(&tick, &self.view, now);
            return (direct.len() as u64, None);
        }
        if !direct.is_empty() {
            self.window.tick_refused(&tick);
        }
        (0, tick.renamed)
    }
}

impl Client {
    /// Sends what has to arrive completely; whether the socket took some and more is left, so that it should get that soon.
    pub(super) fn flush(&mut self, now: Now) -> bool {
        let takes = self.outbox.flush(&self.socket);
        if !self.outbox.is_empty() {
            self.blocked_since.get_or_insert(now.up);
            return takes;
        }
        self.blocked_since = None;
        if let Some(more) = self.catching_up.as_mut().and_then(|c| c.more.take())
            && more.send(()).is_err()
        {
            tracing::debug!("nobody reads missed alerts any more");
        }
        false
    }

    /// Sends what the socket is behind with. Until it knows all its acknowledgements are waited for.
    fn catch_up(&mut self, watched: &Watched, board: &Board, now: Now, next_seq: &mut impl FnMut() -> u32) -> u64 {
        let mut sent = self.send_missing(watched, board, now, next_seq);
        let is_plain = self.seat.part.is_none() && self.followed.is_none();
        let knows_all = watched.view(self.seat.part).is_none_or(|view| self.window.is_up_to_date(view));
        if is_plain && knows_all {
            return sent;
        }
        self.acked.wait();
        // Said before it was waited for.
        if self.take_acknowledged(now) {
            sent += self.send_missing(watched, board, now, next_seq);
        }
        sent
    }

    /// Cells come first, and go only when their vehicles are there: nobody sees an empty map.
    fn send_missing(&mut self, watched: &Watched, board: &Board, now: Now, next_seq: &mut impl FnMut() -> u32) -> u64 {
        let Self { socket, window, cells, followed, seat, .. } = self;
        let Some(view) = watched.view(seat.part) else { return 0 };
        let mut sent = 0;
        let mut send = |outgoing: &Outgoing| {
            let taken = send(socket, outgoing);
            sent += u64::from(taken);
            taken
        };
        let (place, head) = (watched.cells(seat.part), (board.epoch(), now));
        cells.catch_up(place, false, head, next_seq, &mut send);
        if let Some(Followed { view, window }) = followed {
            window.catch_up(view, board, now, next_seq, &mut send);
        }
        window.catch_up(view, board, now, next_seq, &mut send);
        cells.catch_up(place, window.is_up_to_date(view), head, next_seq, &mut send);
        sent
    }

    /// How long the socket has not acknowledged a frame.
    pub(super) fn waiting(&self, now: Now) -> std::time::Duration {
        let followed = self.followed.as_ref().map(|f| &f.window);
        let vehicles = followed.into_iter().chain([&self.window]).map(|w: &ClientView| w.waiting(now));
        vehicles.chain([self.cells.waiting(now)]).max().unwrap_or_default()
    }

    /// Takes over what the browser has said that it has; whether it has said something. Whatever stream the frame was of: no two have the
    /// same number.
    pub(super) fn take_acknowledged(&mut self, now: Now) -> bool {
        let Some(seq) = self.acked.take() else { return false };
        self.window.acknowledge(seq, now);
        self.cells.acknowledge(seq, now);
        if let Some(followed) = &mut self.followed {
            followed.window.acknowledge(seq, now);
        }
        true
    }
}

fn advance(seq: &mut u32) -> u32 {
    *seq = seq.wrapping_add(1);
    *seq
}

fn send(socket: &SocketRef, outgoing: &Outgoing) -> bool {
    let slots = outgoing.slots.as_ref().is_none_or(|slots| taken(socket.emit("slots", slots.as_ref())));
    slots && taken(socket.emit("f", &outgoing.frame))
}
