//! The way of a fix into the log: its device is looked up (or registered), its position appended, and only then the caller told.

mod reports;

use crate::clocks::Clocks;
use crate::contest::Contests;
use crate::faults::{Faults, Source};
use crate::flow::Flow;
use crate::protocol::{Decoded, Fault, FaultKind, Fix};
use crate::quarantine::{Kept, Quarantine};
use crate::readers::{MAX_FUTURE_MS, hex};
use crate::tray::{Refused, Tray};
use crate::vocabulary as name;
use crate::{metrics, now, shown};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::collections::BTreeSet;
use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::BuildHasher;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tracing::{error, warn};
use waystream_domain::catalog::Device;
use waystream_domain::{
    Actor, CatalogEdit, CatalogEntry, DeviceId, FleetId, Handover, Position, Timestamp, UnknownDevicePolicy, codec,
};
use waystream_log::catalog::CatalogHandle;
use waystream_log::{Log, LogError, Record, Topic};

/// Who edits the catalog where a device is the cause.
pub(crate) const BY: &Actor = &Actor::Connectors;
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
const MAX_BACKOFF: Duration = Duration::from_secs(2);
/// With so many devices in the catalog unknown ones are refused: bounds what strangers can make us keep.
const MAX_DEVICES: usize = 1_000_000;
/// Devices are registered one at a time per shard: each once, and thousands of new ones still share the log's fsyncs.
const REGISTRATION_SHARDS: usize = 64;

/// What happens to a device that is not in the catalog. Organisations may let in less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownDevices {
    /// It is put into the catalog, in the default fleet.
    #[default]
    Accept,
    /// Its positions are not taken, and it is told so if its protocol can. Its owners see it, and adopt it if they like.
    Refuse,
}

impl From<UnknownDevices> for UnknownDevicePolicy {
    fn from(setting: UnknownDevices) -> Self {
        match setting {
            UnknownDevices::Accept => Self::Accept,
            UnknownDevices::Refuse => Self::Tray,
        }
    }
}

/// How fixes are taken.
#[derive(Debug, Clone)]
pub struct IngestOptions {
    /// What happens to unknown devices.
    pub unknown_devices: UnknownDevices,
    /// Where unknown devices go if they are accepted.
    pub fleet: FleetId,
    /// How long an append is tried again before its report is given up, unanswered.
    pub patience: Duration,
    /// Clocks of devices that report now. `None`: what comes was recorded in the past and has its times as they are.
    pub clocks: Option<Clocks>,
    /// Where messages go that nothing here understands.
    pub quarantine: Quarantine,
}

/// Takes fixes. Cheap to clone; all clones are one, but for the fleet that unknown devices come into.
#[derive(Clone)]
pub struct Ingest(Arc<Inner>, NewDevices);

/// Where unknown devices go.
#[derive(Debug, Clone)]
enum NewDevices {
    /// Into the default fleet.
    AsSet,
    /// Into this one, if it is the same organisation's: whoever sends has named it.
    Named(FleetId),
    /// Into this one: whoever may choose has chosen it.
    Chosen(FleetId),
}

struct Inner {
    log: Arc<dyn Log>,
    catalog: CatalogHandle,
    options: IngestOptions,
    faults: Faults,
    tray: Tray,
    flow: Flow,
    contests: Contests,
    hasher: RandomState,
    registering: [Mutex<()>; REGISTRATION_SHARDS],
}

/// A device that may report, and the fleet it is in. Only [`Ingest::admit`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    device: DeviceId,
    fleet: FleetId,
    /// Who had it before.
    before: Option<Arc<Handover>>,
}

impl Admitted {
    /// The device.
    pub fn device(&self) -> &DeviceId {
        &self.device
    }
}

/// Fixes of one device.
#[derive(Debug)]
pub struct Report {
    /// Whose.
    pub from: Admitted,
    /// In the order in which the device told them.
    pub fixes: Vec<Fix>,
}

/// A message as it came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) datagram: bool,
    /// The message by which its connection had said whose it is.
    pub(crate) login: Option<&'a [u8]>,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// All that was good in it is durable.
    Stored,
    /// Its device may not report.
    Refused,
}

/// Nothing may be answered: the caller closes, and the device sends again.
#[derive(Debug, thiserror::Error)]
pub enum NotStored {
    /// The log was in trouble for longer than [`IngestOptions::patience`].
    #[error("the log did not take it in time")]
    GaveUp(#[source] LogError),
    /// The log will not take this, now or later.
    #[error("the log does not take it")]
    Final(#[source] LogError),
}

impl Ingest {
    /// An ingest into this log, by this catalog.
    pub fn new(log: Arc<dyn Log>, catalog: CatalogHandle, options: IngestOptions, faults: Faults) -> Self {
        Self::with_tray(log, catalog, options, faults, Tray::default(), Flow::new(0))
    }

    /// The same, and devices that are refused are noted in a tray, and those that flood are slowed down.
    pub(crate) fn with_tray(
        log: Arc<dyn Log>,
        catalog: CatalogHandle,
        options: IngestOptions,
        faults: Faults,
        tray: Tray,
        flow: Flow,
    ) -> Self {
        let registering = std::array::from_fn(|_| Mutex::new(()));
        let (contests, hasher) = (Contests::default(), RandomState::new());
        Self(Arc::new(Inner { log, catalog, options, faults, tray, flow, contests, hasher, registering }), NewDevices::AsSet)
    }

    /// The same, but that unknown devices come into this fleet, if one is named and is of the organisation that has the default one.
    #[must_use]
    pub(crate) fn for_fleet(&self, named: Option<FleetId>) -> Self {
        Self(Arc::clone(&self.0), named.map_or(NewDevices::AsSet, NewDevices::Named))
    }

    /// The same, but that unknown devices come into this fleet, whoever has it: whoever asks may choose.
    #[must_use]
    pub fn in_fleet(&self, chosen: FleetId) -> Self {
        Self(Arc::clone(&self.0), NewDevices::Chosen(chosen))
    }

    /// Where faults are told.
    pub fn faults(&self) -> &Faults {
        &self.0.faults
    }

    /// Puts a message into the quarantine if something in it was not understood. `login`: the message by which its connection had
    /// said whose it is.
    pub(crate) fn set_aside(&self, source: Source<'_>, received_at: Timestamp, message: Message<'_>, decoded: &Decoded) {
        let Some(reason) = decoded.not_understood() else { return };
        self.0.options.quarantine.keep(Kept {
            received_at,
            protocol: SmolStr::new_static(source.protocol),
            device: decoded.device.as_ref().or(source.device).cloned(),
            peer: source.peer,
            reason,
            datagram: message.datagram,
            login_hex: message.login.map(hex),
            hex: hex(message.bytes),
        });
    }

    /// Whether this device may report; `None`: it is refused, or something speaks against its being this device (told and counted). A
    /// new device is registered first, once, and durably, so that no position is older than its device. One that is known by one of
    /// `aliases` is that device. So many `positions` wait for it: they are counted if it is refused.
    pub async fn admit(
        &self,
        source: Source<'_>,
        device: &DeviceId,
        aliases: &[DeviceId],
        positions: usize,
    ) -> Result<Option<Admitted>, NotStored> {
        let decided = self.decide(source, device, aliases).await?;
        Ok(decided.inspect_err(|why| metrics::refused_positions(source.protocol, *why, positions)).ok())
    }

    /// The same, with the kind of fault for which it is refused; its positions are the caller's to count.
    async fn decide(
        &self,
        source: Source<'_>,
        device: &DeviceId,
        aliases: &[DeviceId],
    ) -> Result<Result<Admitted, FaultKind>, NotStored> {
        let known = std::iter::once(device).chain(aliases).find_map(|id| self.known(id));
        let who = known.as_ref().map_or(device, |known| &known.device);
        if let Some(fault) = self.contradiction(source, who) {
            self.0.faults.tell(Source { device: Some(who), ..source }, &fault);
            return Ok(Err(fault.kind));
        }
        if let Some(known) = known {
            return Ok(Ok(known));
        }
        let into = self.fleet().map(|fleet| (self.policy(&fleet), fleet));
        let reason = match into {
            None => "a fleet that new devices may not come into",
            Some((UnknownDevicePolicy::Refuse, _)) => "unknown device",
            Some((UnknownDevicePolicy::Tray, fleet)) => {
                let (protocol, address) = (source.protocol, source.peer.map(|peer| peer.ip().to_canonical()));
                self.0.tray.note(&Refused { device, aliases, fleet: &fleet, protocol, address, at: now() });
                "unknown device"
            }
            Some((UnknownDevicePolicy::Accept, _)) if self.devices() >= MAX_DEVICES => "too many devices",
            Some((UnknownDevicePolicy::Accept, fleet)) => {
                return self.register(source.protocol, device, fleet).await.map(Ok);
            }
        };
        let fault = Fault::new(FaultKind::RefusedDevice, reason);
        self.0.faults.tell(Source { device: Some(device), ..source }, &fault);
        Ok(Err(fault.kind))
    }

    /// What speaks against a device being what it says: it shows no or another secret or certificate than its own, or speaks from where
    /// it may not.
    pub(crate) fn contradiction(&self, source: Source<'_>, device: &DeviceId) -> Option<Fault> {
        let catalog = self.0.catalog.shared();
        let catalog = catalog.read().unwrap_or_else(PoisonError::into_inner);
        shown::contradiction(&catalog, device, source.peer, source.shown)
    }

    /// Who speaks in a message, but for those of whom something tells otherwise: nobody is slowed down by what others say in his name.
    pub(crate) fn speakers<'a>(&self, source: Source<'_>, decoded: &'a Decoded) -> BTreeSet<&'a DeviceId> {
        let mut speakers = decoded.speakers();
        speakers.retain(|device| self.contradiction(source, device).is_none());
        speakers
    }

    /// Where unknown devices go: into the default fleet, or another one that was named, of the same organisation. Who names one of
    /// another organisation, or one that may be anybody's tomorrow, puts nothing there.
    fn fleet(&self) -> Option<FleetId> {
        let default = &self.0.options.fleet;
        let named = match &self.1 {
            NewDevices::AsSet => return Some(default.clone()),
            NewDevices::Chosen(fleet) => return Some(fleet.clone()),
            NewDevices::Named(fleet) if fleet == default => return Some(default.clone()),
            NewDevices::Named(fleet) => fleet,
        };
        let catalog = self.0.catalog.shared();
        let catalog = catalog.read().unwrap_or_else(PoisonError::into_inner);
        let organisation = |fleet: &FleetId| catalog.fleets.get(fleet).map(|known| &known.organisation);
        let same = organisation(default).is_some() && organisation(default) == organisation(named);
        same.then(|| named.clone())
    }

    /// What happens to unknown devices that would come into this fleet. Whoever may choose a fleet has chosen it for them.
    fn policy(&self, fleet: &FleetId) -> UnknownDevicePolicy {
        let installation = self.0.options.unknown_devices.into();
        if matches!(self.1, NewDevices::Chosen(_)) {
            return installation;
        }
        let catalog = self.0.catalog.shared();
        let catalog = catalog.read().unwrap_or_else(PoisonError::into_inner);
        catalog.unknown_device_policy(fleet, installation)
    }

    /// How fast devices speak.
    pub(crate) fn flow(&self) -> &Flow {
        &self.0.flow
    }

    /// From where devices speak.
    pub(crate) fn contests(&self) -> &Contests {
        &self.0.contests
    }

    fn devices(&self) -> usize {
        self.0.catalog.shared().read().unwrap_or_else(PoisonError::into_inner).devices.len()
    }

    fn known(&self, device: &DeviceId) -> Option<Admitted> {
        let catalog = self.0.catalog.shared();
        // Catalog edits are applied whole, so what a panicked writer left is still a catalog.
        let catalog = catalog.read().unwrap_or_else(PoisonError::into_inner);
        let entry = catalog.devices.get(device)?;
        let before = catalog.handovers.get(&entry.id).cloned();
        Some(Admitted { device: entry.id.clone(), fleet: entry.fleet.clone(), before })
    }

    async fn register(&self, protocol: &'static str, device: &DeviceId, fleet: FleetId) -> Result<Admitted, NotStored> {
        let shard = self.0.hasher.hash_one(device) as usize % REGISTRATION_SHARDS;
        let _one_at_a_time = self.0.registering[shard].lock().await;
        if let Some(known) = self.known(device) {
            return Ok(known);
        }
        let entry = Device { id: device.clone(), fleet: fleet.clone(), name: device.to_string() };
        let edit = CatalogEdit::Put(CatalogEntry::Device(entry));
        self.persist(protocol, || self.0.catalog.edit(BY, vec![edit.clone()])).await?;
        metrics::registered(protocol);
        Ok(Admitted { device: device.clone(), fleet, before: None })
    }

    /// Appends all fixes of these reports in one go; returns when they are durable. Fixes from the future, and those of a former owner
    /// whose fleet is gone, are told as faults and left out: sending them again would not make them better.
    pub async fn store(&self, source: Source<'_>, received_at: Timestamp, reports: Vec<Report>) -> Result<(), NotStored> {
        let protocol = SmolStr::new_static(source.protocol);
        let mut records = Vec::with_capacity(reports.iter().map(|report| report.fixes.len()).sum());
        for Report { from, fixes } in reports {
            let key = Bytes::copy_from_slice(from.device.as_str().as_bytes());
            for mut fix in fixes {
                if let Some(clocks) = &self.0.options.clocks {
                    let right = clocks.right(source.protocol, &from.device, fix.fix_time, received_at);
                    if right.rollover {
                        let detail = format!("fix time {} is taken as {}", fix.fix_time, right.fix_time);
                        let fault = Fault::new(FaultKind::Rollover, detail);
                        self.0.faults.tell(Source { device: Some(&from.device), ..source }, &fault);
                        fix.attributes.set(name::CLOCK_CORRECTED_WEEKS, 1024);
                    }
                    fix.fix_time = right.fix_time;
                }
                if fix.fix_time.millis_since(received_at) > MAX_FUTURE_MS {
                    let fault = Fault::new(FaultKind::BadTime, format!("fix time {} is in the future", fix.fix_time));
                    self.0.faults.tell(Source { device: Some(&from.device), ..source }, &fault);
                    continue;
                }
                let Some(fleet) = self.fleet_at(&from, fix.fix_time, received_at) else {
                    let fault = Fault::new(FaultKind::BadTime, "a fix of a former owner's time, whose fleet is gone");
                    self.0.faults.tell(Source { device: Some(&from.device), ..source }, &fault);
                    continue;
                };
                let position = position(&from, fleet, fix, received_at, protocol.clone());
                records.push(Record::new(key.clone(), codec::encode_position(&position)));
            }
        }
        if records.is_empty() {
            return Ok(());
        }
        let started = Instant::now();
        self.persist(source.protocol, || self.0.log.append(Topic::Positions, records.clone())).await?;
        metrics::durable(source.protocol, records.len(), started.elapsed());
        Ok(())
    }

    /// Whose history a fix belongs to. What a device tells late of the time before it changed hands is not for whose it is now. `None`:
    /// the fleet that it was in then is no more.
    fn fleet_at(&self, from: &Admitted, fix_time: Timestamp, received_at: Timestamp) -> Option<FleetId> {
        let Some(then) = from.before.as_ref().and_then(|before| before.fleet_at(fix_time, received_at)) else {
            return Some(from.fleet.clone());
        };
        let catalog = self.0.catalog.shared();
        let catalog = catalog.read().unwrap_or_else(PoisonError::into_inner);
        catalog.fleets.contains_key(then).then(|| then.clone())
    }

    /// Whether a fix is none of a former owner's time.
    pub(crate) fn is_of_its_owner(&self, device: &DeviceId, fix_time: Timestamp) -> bool {
        let catalog = self.0.catalog.shared();
        let catalog = catalog.read().unwrap_or_else(PoisonError::into_inner);
        let last = catalog.handovers.get(device).and_then(|handover| handover.stays.last());
        last.is_none_or(|stay| stay.until <= fix_time)
    }

    /// The fleet of a device of the catalog.
    pub(crate) fn fleet_of(&self, device: &DeviceId) -> Option<FleetId> {
        self.known(device).map(|known| known.fleet)
    }

    /// Appends records; returns when they are durable.
    pub(crate) async fn append(&self, label: &'static str, topic: Topic, records: Vec<Record>) -> Result<(), NotStored> {
        self.persist(label, || self.0.log.append(topic, records.clone())).await
    }

    /// Tries until it is done or can't be. Writing twice what may have been written is fine: (device, fix_time) is one position, and an event
    /// or an entry of the catalog is its id.
    pub(crate) async fn persist<F: Future<Output = Result<(), LogError>>>(
        &self,
        protocol: &'static str,
        write: impl Fn() -> F,
    ) -> Result<(), NotStored> {
        let deadline = Instant::now() + self.0.options.patience;
        let mut backoff = FIRST_BACKOFF;
        loop {
            match write().await {
                Ok(()) => return Ok(()),
                Err(error @ (LogError::Unavailable(_) | LogError::Indeterminate(_))) => {
                    metrics::append_retried();
                    if Instant::now() + backoff > deadline {
                        metrics::unanswered(protocol);
                        warn!(protocol, %error, "report given up unanswered");
                        return Err(NotStored::GaveUp(error));
                    }
                }
                Err(error) => {
                    metrics::unanswered(protocol);
                    error!(protocol, %error, "report not taken by the log");
                    return Err(NotStored::Final(error));
                }
            }
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(MAX_BACKOFF);
        }
    }
}

fn position(from: &Admitted, fleet: FleetId, fix: Fix, received_at: Timestamp, protocol: SmolStr) -> Position {
    Position {
        device: from.device.clone(),
        fleet,
        fix_time: fix.fix_time,
        received_at,
        location: fix.location,
        valid: fix.valid && !fix.location.is_null_island(),
        altitude_m: fix.altitude_m,
        speed_mps: fix.speed_mps,
        course_deg: fix.course_deg,
        accuracy_m: fix.accuracy_m,
        protocol,
        attributes: fix.attributes,
    }
}
