//! What a socket must get in order and completely: alerts, catalog edits, new names. Waits here while the socket is full.

use crate::nodes::SocketRef;
use crate::wire::{AlertEvent, CatalogMessage, DetailMessage, SlotsMessage};
use socketioxide::{SendError, SocketError};
use std::collections::VecDeque;
use std::sync::Arc;
use waystream_domain::catalog::Role;

/// Messages that may wait; a client that is further behind is cut and catches up by cursor when it reconnects.
const MAX_WAITING: usize = 4_096;

/// One message.
#[derive(Debug, Clone)]
pub(crate) enum Message {
    /// Event `alert`.
    Alert(Arc<AlertEvent>),
    /// Event `catalog`.
    Catalog(Arc<CatalogMessage>),
    /// Event `slots`.
    Slots(Arc<SlotsMessage>),
    /// Event `detail`.
    Detail(DetailMessage),
}

impl Message {
    /// Whether it says no more than which devices there are, and how they are told of.
    fn is_of_devices(&self) -> bool {
        match self {
            Self::Alert(_) => false,
            Self::Catalog(edit) => match edit.as_ref() {
                CatalogMessage::Fleet { .. } | CatalogMessage::Device { .. } => true,
                CatalogMessage::Geofence { .. } | CatalogMessage::Acknowledgements { .. } => false,
            },
            Self::Slots(_) | Self::Detail(_) => true,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Outbox {
    waiting: VecDeque<Message>,
    /// Of what else there is its socket is told nothing.
    devices_only: bool,
}

impl Outbox {
    /// For somebody of this role.
    pub(crate) fn of(role: Role) -> Self {
        Self { waiting: VecDeque::new(), devices_only: !role.looks_around() }
    }

    /// Puts a message at the end; `false` if too many are waiting.
    pub(crate) fn push(&mut self, message: Message) -> bool {
        if self.devices_only && !message.is_of_devices() {
            return true;
        }
        if self.waiting.len() >= MAX_WAITING {
            return false;
        }
        self.waiting.push_back(message);
        true
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Sends what the socket takes; whether that was something.
    pub(crate) fn flush(&mut self, socket: &SocketRef) -> bool {
        let before = self.waiting.len();
        while let Some(message) = self.waiting.front() {
            let sent = match message {
                Message::Alert(alert) => taken(socket.emit("alert", alert.as_ref())),
                Message::Catalog(edit) => taken(socket.emit("catalog", edit.as_ref())),
                Message::Detail(detail) => taken(socket.emit("detail", detail)),
                Message::Slots(slots) => taken(socket.emit("slots", slots.as_ref())),
            };
            if !sent {
                break;
            }
            self.waiting.pop_front();
        }
        self.waiting.len() < before
    }
}

/// Whether a socket took what was sent. A message that can't be serialised would block all others: it counts as sent.
pub(crate) fn taken(sent: Result<(), SendError>) -> bool {
    match sent {
        Ok(()) => true,
        Err(SendError::Socket(SocketError::InternalChannelFull | SocketError::Closed)) => false,
        Err(error) => {
            tracing::error!(%error, "message could not be serialised");
            true
        }
    }
}
