//! The way of a command to its device: found in the catalog when the device is there, claimed, sent, and told what became of it.
//!
//! A claim is an entry of the catalog like any other, and the first one wins everywhere, so a command is sent by one connection
//! of one process. It is claimed durably before its first byte is written: who dies between the two leaves a command that is
//! [`Progress::Uncertain`], told as such and not sent again. An event is appended before its progress is: it may be told twice,
//! under one id, but is never lost.

use crate::ingest::{BY, Ingest, NotStored};
use crate::newest::Newest;
use crate::now;
use crate::protocol::{Context, Decoder};
use bytes::Bytes;
use smol_str::{SmolStr, format_smolstr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use waystream_domain::{
    Attributes, CatalogEdit, CatalogEntry, Command, DeviceId, Event, EventId, EventKind, LatLon, Progress, Timestamp, codec,
};
use waystream_log::catalog::CatalogHandle;
use waystream_log::{Record, Topic};

/// Longest answer that is kept, bytes.
const MAX_ANSWER_BYTES: usize = 1024;
/// Label of what is told here about the log.
const LABEL: &str = "command";

/// Brings commands to devices. Cheap to clone; all clones are one.
#[derive(Clone)]
pub(crate) struct Commands(Arc<Inner>);

struct Inner {
    ingest: Ingest,
    catalog: CatalogHandle,
    /// This process in this run.
    run: SmolStr,
    /// How many claims it has made.
    claims: AtomicU64,
}

/// A command that is ours to send, and the bytes that say it.
pub(crate) struct Claimed {
    command: Arc<Command>,
    pub(crate) bytes: Bytes,
}

impl Commands {
    pub(crate) fn new(ingest: Ingest, catalog: CatalogHandle) -> Self {
        let run = format_smolstr!("{:x}-{:x}/", std::process::id(), now().as_millis());
        Self(Arc::new(Inner { ingest, catalog, run, claims: AtomicU64::new(0) }))
    }

    /// Wakes the connections of devices for which a command comes, until `stop`.
    pub(crate) async fn wake(self, newest: Newest, stop: CancellationToken) {
        let mut edits = self.0.catalog.subscribe();
        loop {
            let edit = tokio::select! {
                () = stop.cancelled() => return,
                edit = edits.recv() => edit,
            };
            match edit.as_deref() {
                Ok(CatalogEdit::Put(CatalogEntry::Command(command))) if command.progress == Progress::Queued => {
                    newest.wake(&command.device);
                }
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => {
                    let catalog = self.0.catalog.shared();
                    let catalog = catalog.read().unwrap_or_else(PoisonError::into_inner);
                    catalog.commands.keys().for_each(|device| newest.wake(device));
                }
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// The next command for a device that is there, claimed; `None`: there is no more. Those that can't go to it are told as failed
    /// on the way. `seen`: where the device was last.
    pub(crate) async fn next(
        &self,
        device: &DeviceId,
        seen: Option<LatLon>,
        decoder: &mut dyn Decoder,
        datagram: bool,
    ) -> Result<Option<Claimed>, NotStored> {
        while let Some(command) = self.waiting(device) {
            let at = now();
            let context = if datagram { Context::datagram(at) } else { Context::stream(at) };
            if matches!(command.progress, Progress::Sending { .. }) {
                self.told(&command, EventKind::CommandFailed, seen, at, "reason", "uncertain").await?;
                self.advance(&command, Progress::Uncertain { at }).await?;
            } else if command.expires_at <= at {
                self.told(&command, EventKind::CommandFailed, seen, at, "reason", "expired").await?;
                self.advance(&command, Progress::Expired { at }).await?;
            } else {
                match decoder.say(device, &command.instruction, &context) {
                    Err(reason) => {
                        self.told(&command, EventKind::CommandFailed, seen, at, "reason", &reason).await?;
                        self.advance(&command, Progress::Failed { at, reason }).await?;
                    }
                    Ok(bytes) => {
                        let number = self.0.claims.fetch_add(1, Ordering::Relaxed);
                        let claim = Progress::Sending { at, by: format_smolstr!("{}{number}", self.0.run) };
                        if self.advance(&command, claim).await? {
                            return Ok(Some(Claimed { command, bytes }));
                        }
                    }
                }
            }
        }
        Ok(None)
    }

    /// The claimed command has been written, or the connection broke while it was.
    pub(crate) async fn done(&self, claimed: Claimed, seen: Option<LatLon>, written: bool) -> Result<(), NotStored> {
        let (command, at) = (claimed.command, now());
        if self.first(&command.device, |kept| (kept.id == command.id).then_some(())).is_none() {
            // The device was removed meanwhile, or handed over: whose it is now has not given this command.
            return Ok(());
        }
        if written {
            self.told(&command, EventKind::CommandSent, seen, at, "", "").await?;
            self.advance(&command, Progress::Sent { at }).await?;
        } else {
            self.told(&command, EventKind::CommandFailed, seen, at, "reason", "uncertain").await?;
            self.advance(&command, Progress::Uncertain { at }).await?;
        }
        Ok(())
    }

    /// The device answered: that is for the oldest command that has gone to it and is not answered. Without one it is not told.
    pub(crate) async fn answered(&self, device: &DeviceId, seen: Option<LatLon>, answer: &str) -> Result<(), NotStored> {
        let unanswered = self.first(device, |command| match &command.progress {
            Progress::Sent { at } | Progress::Uncertain { at } => Some(*at),
            _ => None,
        });
        let Some((command, sent_at)) = unanswered else { return Ok(()) };
        let end = answer.char_indices().map(|(at, _)| at).take_while(|at| *at <= MAX_ANSWER_BYTES).last().unwrap_or(0);
        let answer = if answer.len() > MAX_ANSWER_BYTES { &answer[..end] } else { answer };
        let at = now();
        self.told(&command, EventKind::CommandAnswered, seen, at, "answer", answer).await?;
        self.advance(&command, Progress::Answered { sent_at, at, answer: answer.into() }).await?;
        Ok(())
    }

    /// The oldest command that waits, or that an earlier run was about to send.
    fn waiting(&self, device: &DeviceId) -> Option<Arc<Command>> {
        let found = self.first(device, |command| match &command.progress {
            Progress::Queued => Some(()),
            Progress::Sending { by, .. } => (!by.starts_with(self.0.run.as_str())).then_some(()),
            _ => None,
        });
        found.map(|(command, ())| command)
    }

    fn first<T>(&self, device: &DeviceId, wanted: impl Fn(&Command) -> Option<T>) -> Option<(Arc<Command>, T)> {
        let catalog = self.0.catalog.shared();
        // Catalog edits are applied whole, so what a panicked writer left is still a catalog.
        let catalog = catalog.read().unwrap_or_else(PoisonError::into_inner);
        catalog.commands_of(device).find_map(|command| Some((Arc::clone(command), wanted(command)?)))
    }

    /// Writes how far a command has come; whether that is so now, or somebody else was first.
    async fn advance(&self, command: &Command, progress: Progress) -> Result<bool, NotStored> {
        let next = Command { progress, ..command.clone() };
        let edit = CatalogEdit::Put(CatalogEntry::Command(next.clone()));
        self.0.ingest.persist(LABEL, || self.0.catalog.edit(BY, vec![edit.clone()])).await?;
        Ok(self.first(&command.device, |now| (*now == next).then_some(())).is_some())
    }

    /// Appends an event with one attribute more than all of them have.
    async fn told(
        &self,
        command: &Command,
        kind: EventKind,
        seen: Option<LatLon>,
        at: Timestamp,
        name: &'static str,
        value: &str,
    ) -> Result<(), NotStored> {
        let Some(fleet) = self.0.ingest.fleet_of(&command.device) else { return Ok(()) };
        let mut attributes = Attributes::default();
        attributes.set("command", command.id.as_str());
        attributes.set("instruction", command.instruction.name());
        attributes.set("by", command.by.as_str());
        if !name.is_empty() {
            attributes.set(name, value);
        }
        let event = Event {
            id: EventId::of_command(&command.device, &command.id, kind),
            kind,
            device: command.device.clone(),
            fleet,
            geofence: None,
            geofence_version: None,
            fix_time: at,
            received_at: at,
            location: seen.or(command.place).unwrap_or(LatLon::NULL_ISLAND),
            revises: None,
            retracted: false,
            attributes,
        };
        let key = Bytes::copy_from_slice(command.device.as_str().as_bytes());
        let record = Record::new(key, codec::encode_event(&event));
        self.0.ingest.append(LABEL, Topic::Events, vec![record]).await
    }
}
