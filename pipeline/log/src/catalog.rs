//! The catalog as the log tells it: read whole at start, then followed; edits go into the log first and come back from there.
//!
//! This is the only way to edit it, and who does has to say who it is: a record of each change is in the topic `audit` before the
//! change is made. So no change is without a record; a record may be without its change, if the log failed between the two, or another process
//! was first (an owner who stays has a second record, which says so).

use crate::{Log, LogError, Offsets, Record, Topic, metrics};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::{Mutex, broadcast, watch};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use waystream_domain::catalog::{Role, User};
use waystream_domain::codec::{decode_catalog, encode_audit, encode_catalog};
use waystream_domain::{
    Actor, AuditRecord, Catalog, CatalogEdit, CatalogEntry, FleetId, OrganisationId, SharedCatalog, Timestamp, puts_names,
};

/// Edits that a subscriber may be behind; further ones are lost to it, and it must look at the whole catalog again.
const SUBSCRIBER_EDITS: usize = 4096;
const BATCH: usize = 1024;

/// The catalog of this process. Cheap to clone.
#[derive(Clone)]
pub struct CatalogHandle {
    log: Arc<dyn Log>,
    shared: SharedCatalog,
    edits: broadcast::Sender<Arc<CatalogEdit>>,
    applied: watch::Receiver<u64>,
    /// Held while somebody puts a user or a device, or takes from an organisation one of its owners.
    turns: Arc<Mutex<()>>,
}

/// Keeps a [`CatalogHandle`] up to date while it runs.
pub struct CatalogFollower {
    reader: Box<dyn crate::LogReader>,
    shared: SharedCatalog,
    edits: broadcast::Sender<Arc<CatalogEdit>>,
    /// Offset in the catalog's only partition up to which edits are applied.
    applied: watch::Sender<u64>,
}

impl CatalogFollower {
    /// Reads the whole catalog; the handle is complete as of now. Then [`Self::run`] it.
    pub async fn start(log: Arc<dyn Log>) -> Result<(CatalogHandle, Self), LogError> {
        let from = Offsets::from([((Topic::Catalog, 0), 0)]);
        let reader = log.read(Topic::Catalog, &from).await?;
        let (edits, _) = broadcast::channel(SUBSCRIBER_EDITS);
        let (applied, watching) = watch::channel(0);
        let shared = Arc::new(RwLock::new(Catalog::default()));
        let turns = Arc::default();
        let handle = CatalogHandle { log, shared: Arc::clone(&shared), edits: edits.clone(), applied: watching, turns };
        let mut follower = Self { reader, shared, edits, applied };
        while let Some(batch) = follower.reader.try_next(BATCH).await? {
            follower.apply(&batch);
        }
        Ok((handle, follower))
    }

    /// Follows until cancelled, or until the log is closed.
    pub async fn run(mut self, cancel: CancellationToken) -> Result<(), LogError> {
        while let Some(batch) = cancel.run_until_cancelled(self.reader.next(BATCH)).await {
            self.apply(&batch?);
        }
        Ok(())
    }

    fn apply(&self, batch: &crate::Batch) {
        let edits = batch.entries.iter().filter_map(|entry| {
            let key = String::from_utf8_lossy(&entry.key);
            match decode_catalog(&key, entry.value.as_deref()) {
                Ok(edit) => Some(Arc::new(edit)),
                Err(e) => {
                    metrics::catalog_fault();
                    warn!(%key, offset = entry.offset, error = %e, "catalog record left out");
                    None
                }
            }
        });
        let edits: Vec<_> = edits.collect();
        let mut catalog = self.shared.write().unwrap_or_else(PoisonError::into_inner);
        for edit in edits {
            catalog.apply(edit.as_ref().clone());
            // Sent under the lock: whoever subscribes and looks under a read lock misses nothing and sees nothing twice.
            // Without subscribers there is nobody to miss it.
            drop(self.edits.send(edit));
        }
        drop(catalog);
        self.applied.send_replace(batch.next);
    }
}

impl CatalogHandle {
    /// The catalog as it is now, for look-ups.
    pub fn shared(&self) -> SharedCatalog {
        Arc::clone(&self.shared)
    }

    /// Every edit from now on, whoever made it, in order. A receiver that lags must look at [`Self::shared`] again. To see
    /// the catalog and every later edit without a gap, subscribe while holding a read lock on it.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<CatalogEdit>> {
        self.edits.subscribe()
    }

    /// Makes edits, in order, and records who made them. Returns when they are durable and this process's view has them.
    ///
    /// Ids of fleets are claimed before: the topic is compacted to what was written last, so of two organisations that make one fleet
    /// at once the loser must not write it at all.
    ///
    /// Users and devices that people put come one after the other, so that of two organisations that enter one name at once in this process the
    /// second is refused, and so is who names a device that is being handed over. So do edits by which owners are removed or demoted, as the last one of an organisation is not.
    pub async fn edit(&self, by: &Actor, edits: Vec<CatalogEdit>) -> Result<(), LogError> {
        let turn = if self.takes_turns(by, &edits) { Some(Arc::clone(&self.turns).lock_owned().await) } else { None };
        let (records, claims, leaving) = {
            let known = self.shared.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(taken) = known.taken_from_others(by, &edits) {
                return Err(LogError::Taken(taken));
            }
            if known.is_left_without_owner(by, &edits) {
                return Err(LogError::LastOwner);
            }
            let claims = known.fleet_claims(&edits).map_err(fleet_id)?;
            (AuditRecord::of_edits(now(), by, &edits, &known), claims, known.owners_leaving(&edits))
        };
        record(&*self.log, &records).await?;
        if !claims.is_empty() {
            self.write(&claims).await?;
            let known = self.shared.read().unwrap_or_else(PoisonError::into_inner);
            known.fleet_claims(&edits).map_err(fleet_id)?;
        }
        if let Actor::User { organisation, .. } = by
            && !leaving.is_empty()
        {
            // To the end also if whoever asked has gone meanwhile: half of it would leave somebody who is neither an owner nor gone, or nobody.
            let (handle, by, organisation) = (self.clone(), by.clone(), organisation.clone());
            let steps = tokio::spawn(async move {
                let _turn = turn;
                handle.step_down(&by, &organisation, &leaving).await?;
                handle.write(&edits).await
            });
            return steps.await.unwrap_or_else(|error| Err(LogError::Indeterminate(format!("the edit broke off: {error}"))));
        }
        self.write(&edits).await
    }

    /// Whether these edits wait for others that depend on the same.
    fn takes_turns(&self, by: &Actor, edits: &[CatalogEdit]) -> bool {
        let known = self.shared.read().unwrap_or_else(PoisonError::into_inner);
        matches!(by, Actor::User { .. }) && (puts_names(edits) || !known.owners_leaving(edits).is_empty())
    }

    /// Makes these users no owners, before anything else becomes of them. If others have gone at the same moment, at another gateway, so that
    /// nobody is left, they are owners again: whose step comes last in the topic sees those of all others. Both of two may be back then.
    async fn step_down(&self, by: &Actor, organisation: &OrganisationId, owners: &[Arc<User>]) -> Result<(), LogError> {
        let down = owners.iter().map(|owner| with_role(owner, Role::Viewer));
        self.write(&down.collect::<Vec<_>>()).await?;
        let (records, back) = {
            let known = self.shared.read().unwrap_or_else(PoisonError::into_inner);
            if known.has_owner_besides(organisation, &[]) {
                return Ok(());
            }
            // What else has been changed about them meanwhile stays.
            let back = owners.iter().map(|owner| with_role(known.users.get(&owner.id).unwrap_or(owner), Role::Owner));
            let back: Vec<_> = back.collect();
            (AuditRecord::of_edits(now(), by, &back, &known), back)
        };
        record(&*self.log, &records).await?;
        self.write(&back).await?;
        Err(LogError::LastOwner)
    }

    /// Returns when this process's view has them.
    async fn write(&self, edits: &[CatalogEdit]) -> Result<(), LogError> {
        write(&*self.log, edits).await?;
        let end = self.log.bounds(Topic::Catalog).await?.first().map_or(0, |b| b.next);
        let mut applied = self.applied.clone();
        match applied.wait_for(|at| *at >= end).await {
            Ok(_) => Ok(()),
            Err(_) => Err(LogError::Closed("the catalog is no longer followed".into())),
        }
    }

    /// Records what is no edit, such as a sign-in that failed. Returns when it is durable.
    pub async fn record(&self, what: &AuditRecord) -> Result<(), LogError> {
        self.log.append(Topic::Audit, vec![audit_record(what)]).await
    }
}

fn with_role(user: &User, role: Role) -> CatalogEdit {
    CatalogEdit::Put(CatalogEntry::User(User { role, ..user.clone() }))
}

fn fleet_id(taken: FleetId) -> LogError {
    LogError::Taken(format!("the fleet id {taken}"))
}

/// Makes the first edits of a log that has no catalog and that nobody follows yet, and records who made them.
pub async fn begin(log: &dyn Log, by: &Actor, edits: &[CatalogEdit]) -> Result<(), LogError> {
    record(log, &AuditRecord::of_edits(now(), by, edits, &Catalog::default())).await?;
    write(log, edits).await
}

async fn record(log: &dyn Log, records: &[AuditRecord]) -> Result<(), LogError> {
    match records {
        [] => Ok(()),
        records => log.append(Topic::Audit, records.iter().map(audit_record).collect()).await,
    }
}

async fn write(log: &dyn Log, edits: &[CatalogEdit]) -> Result<(), LogError> {
    let edits = edits.iter().map(|edit| {
        let (key, value) = encode_catalog(edit);
        Record { key: key.into(), value: value.map(Into::into) }
    });
    log.append(Topic::Catalog, edits.collect()).await
}

fn audit_record(record: &AuditRecord) -> Record {
    let (key, value) = encode_audit(record);
    Record::new(key, value)
}

/// The wall clock: when a change is made is part of its record.
fn now() -> Timestamp {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp::default().plus_millis(since_1970.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::{EmbeddedLog, EmbeddedOptions};
    use crate::{Bounds, Group, LogReader, Membership};
    use async_trait::async_trait;
    use tokio::sync::Semaphore;
    use waystream_domain::audit::Access;
    use waystream_domain::catalog::{Device, Fleet, Organisation};
    use waystream_domain::{CatalogKey, Handover, UserId};

    fn fleet(id: &str) -> CatalogEdit {
        fleet_of(id, "o")
    }

    fn fleet_of(id: &str, organisation: &str) -> CatalogEdit {
        CatalogEdit::Put(CatalogEntry::Fleet(Fleet {
            id: id.parse().expect("id"),
            organisation: organisation.parse().expect("id"),
            name: id.to_uppercase(),
            rules: Default::default(),
        }))
    }

    fn ids(catalog: &CatalogHandle) -> Vec<FleetId> {
        catalog.shared().read().expect("lock").fleets.keys().cloned().collect()
    }

    #[tokio::test]
    async fn an_edit_is_seen_here_at_once_and_by_others_soon_and_after_a_restart() {
        let dir = tempfile::tempdir().expect("folder");
        let log = EmbeddedLog::open(dir.path(), EmbeddedOptions::default()).expect("opens");
        let stop = CancellationToken::new();
        let (one, follower) = CatalogFollower::start(log.clone()).await.expect("starts");
        let following = tokio::spawn(follower.run(stop.clone()));
        let (other, follower) = CatalogFollower::start(log.clone()).await.expect("starts");
        let other_following = tokio::spawn(follower.run(stop.clone()));
        let mut seen = other.subscribe();

        let organisation = Organisation { id: "o".parse().expect("id"), name: "O".into() };
        let put = CatalogEdit::Put(CatalogEntry::Organisation(organisation));
        one.edit(&Actor::CommandLine, vec![put.clone(), fleet("a"), fleet("b")]).await.expect("edits");
        assert_eq!(ids(&one), ["a".parse().expect("id"), "b".parse().expect("id")]);
        // The claims of both fleets come first.
        for _ in 0..2 {
            seen.recv().await.expect("told");
        }
        assert_eq!(*seen.recv().await.expect("told"), put);
        one.edit(&Actor::CommandLine, vec![CatalogEdit::Remove(CatalogKey::Fleet("a".parse().expect("id")))])
            .await
            .expect("edits");
        assert_eq!(ids(&one), ["b".parse().expect("id")]);
        for _ in 0..3 {
            seen.recv().await.expect("told");
        }
        assert_eq!(ids(&other), ["b".parse().expect("id")]);

        stop.cancel();
        following.await.expect("joins").expect("ends well");
        other_following.await.expect("joins").expect("ends well");
        drop((one, other));
        log.close().await;
        let log = EmbeddedLog::open(dir.path(), EmbeddedOptions::default()).expect("opens again");
        let (again, _follower) = CatalogFollower::start(log).await.expect("starts");
        assert_eq!(ids(&again), ["b".parse().expect("id")]);
    }

    #[tokio::test]
    async fn of_two_organisations_that_make_one_fleet_at_once_one_has_its_id_for_ever() {
        let dir = tempfile::tempdir().expect("folder");
        let log = EmbeddedLog::open(dir.path(), EmbeddedOptions::default()).expect("opens");
        let (one, follower) = CatalogFollower::start(log.clone()).await.expect("starts");
        tokio::spawn(follower.run(CancellationToken::new()));
        let (other, follower) = CatalogFollower::start(log.clone()).await.expect("starts");
        tokio::spawn(follower.run(CancellationToken::new()));
        let by = Actor::CommandLine;
        let made = tokio::join!(one.edit(&by, vec![fleet_of("a", "o")]), other.edit(&by, vec![fleet_of("a", "p")]));
        let (winner, loser) = match made {
            (Ok(()), Err(LogError::Taken(_))) => ("o", "p"),
            (Err(LogError::Taken(_)), Ok(())) => ("p", "o"),
            made => panic!("{made:?}"),
        };
        one.edit(&by, vec![CatalogEdit::Remove(CatalogKey::Fleet("a".parse().expect("id")))]).await.expect("edits");

        let (again, follower) = CatalogFollower::start(log.clone()).await.expect("starts");
        tokio::spawn(follower.run(CancellationToken::new()));
        let taken = again.edit(&by, vec![fleet_of("a", loser)]).await;
        assert!(matches!(taken, Err(LogError::Taken(_))), "{taken:?}");
        again.edit(&by, vec![fleet_of("a", winner)]).await.expect("it is its own");
        assert_eq!(ids(&again), ["a".parse().expect("id")]);
    }

    #[tokio::test]
    async fn of_two_organisations_whose_people_enter_one_name_at_once_one_has_it() {
        let dir = tempfile::tempdir().expect("folder");
        let log = EmbeddedLog::open(dir.path(), EmbeddedOptions::default()).expect("opens");
        let (catalog, follower) = CatalogFollower::start(log.clone()).await.expect("starts");
        tokio::spawn(follower.run(CancellationToken::new()));
        let fleets = vec![fleet_of("of-o", "o"), fleet_of("of-p", "p")];
        catalog.edit(&Actor::CommandLine, fleets).await.expect("edits");
        let enter = async |organisation: &str, entry: CatalogEntry| {
            let (user, organisation) = ("owner".parse().expect("id"), organisation.parse().expect("id"));
            let by = Actor::User { user, organisation, via: Access::Password, address: None };
            catalog.edit(&by, vec![CatalogEdit::Put(entry)]).await
        };
        let anna = |organisation: &str| {
            let (id, organisation) = ("anna".parse().expect("id"), organisation.parse().expect("id"));
            CatalogEntry::User(User { id, organisation, role: Role::Viewer, password_hash: None, preferences: None })
        };
        let van = |organisation: &str| {
            let (id, fleet) = ("v7".parse().expect("id"), format!("of-{organisation}").parse().expect("id"));
            CatalogEntry::Device(Device { id, fleet, name: "Van".into() })
        };
        let users = tokio::join!(enter("o", anna("o")), enter("p", anna("p")));
        let devices = tokio::join!(enter("o", van("o")), enter("p", van("p")));
        let shared = catalog.shared();
        let known = shared.read().expect("lock");
        let of_user = &known.users[&"anna".parse::<UserId>().expect("id")].organisation;
        let of_device = known.owner_of(&"v7".parse().expect("id")).expect("it is there");
        for (made, has_it) in [(users, of_user), (devices, of_device)] {
            let winner = match made {
                (Ok(()), Err(LogError::Taken(_))) => "o",
                (Err(LogError::Taken(_)), Ok(())) => "p",
                made => panic!("{made:?}"),
            };
            assert_eq!(has_it.as_str(), winner);
        }
    }

    #[tokio::test]
    async fn a_device_that_is_handed_over_does_not_come_back_by_another_name() {
        let dir = tempfile::tempdir().expect("folder");
        let log = EmbeddedLog::open(dir.path(), EmbeddedOptions::default()).expect("opens");
        let (catalog, follower) = CatalogFollower::start(log.clone()).await.expect("starts");
        tokio::spawn(follower.run(CancellationToken::new()));
        let by = |organisation: &str| {
            let (user, organisation) = ("anna".parse().expect("id"), organisation.parse().expect("id"));
            Actor::User { user, organisation, via: Access::Password, address: None }
        };
        let device = |fleet: &str, name: &str| {
            let (id, fleet) = ("v7".parse().expect("id"), fleet.parse().expect("id"));
            CatalogEdit::Put(CatalogEntry::Device(Device { id, fleet, name: name.into() }))
        };
        let (giver, taker) = (by("o"), by("p"));
        let fleets = vec![fleet_of("of-o", "o"), fleet_of("of-p", "p")];
        catalog.edit(&Actor::CommandLine, fleets).await.expect("edits");
        for _ in 0..10 {
            catalog.edit(&Actor::CommandLine, vec![device("of-o", "Van")]).await.expect("edits");
            let handover = Handover { device: "v7".parse().expect("id"), stays: Vec::new() };
            let moving = vec![CatalogEdit::Put(CatalogEntry::Handover(handover)), device("of-p", "Van")];
            let naming = vec![device("of-o", "Truck")];
            let (moved, named) = tokio::join!(catalog.edit(&taker, moving), catalog.edit(&giver, naming));
            moved.expect("it is handed over");
            assert!(matches!(named, Ok(()) | Err(LogError::Taken(_))), "{named:?}");
            let shared = catalog.shared();
            let known = shared.read().expect("lock");
            assert_eq!(known.owner_of(&"v7".parse().expect("id")).expect("it is there").as_str(), "p");
        }
    }

    #[tokio::test]
    async fn of_owners_who_remove_and_demote_each_other_at_once_one_stays() {
        // In one process, and in two.
        for processes in [1, 2] {
            let dir = tempfile::tempdir().expect("folder");
            let log = EmbeddedLog::open(dir.path(), EmbeddedOptions::default()).expect("opens");
            let mut handles = Vec::new();
            for _ in 0..processes {
                let (handle, follower) = CatalogFollower::start(log.clone()).await.expect("starts");
                tokio::spawn(follower.run(CancellationToken::new()));
                handles.push(handle);
            }
            let user = |name: &str, role: Role| {
                let (id, organisation) = (name.parse().expect("id"), "o".parse().expect("id"));
                CatalogEdit::Put(CatalogEntry::User(User { id, organisation, role, password_hash: None, preferences: None }))
            };
            let owners = ["anna", "bert"];
            for handle in &handles {
                let edits = owners.map(|name| user(name, Role::Owner));
                handle.edit(&Actor::CommandLine, edits.into()).await.expect("edits");
            }
            let by = |name: &str| {
                let (user, organisation) = (name.parse().expect("id"), "o".parse().expect("id"));
                Actor::User { user, organisation, via: Access::Password, address: None }
            };
            let (one, other) = (&handles[0], &handles[processes - 1]);
            let removal = CatalogEdit::Remove(CatalogKey::User("bert".parse().expect("id")));
            let (anna, bert) = (by("anna"), by("bert"));
            let demotion = user("anna", Role::Viewer);
            let made = tokio::join!(one.edit(&anna, vec![removal]), other.edit(&bert, vec![demotion]));

            let (again, _follower) = CatalogFollower::start(log.clone()).await.expect("starts");
            let shared = again.shared();
            let known = shared.read().expect("lock");
            let is_owner = |name: &str| {
                let user = known.users.get(&name.parse::<UserId>().expect("id"));
                user.is_some_and(|user| user.role == Role::Owner)
            };
            let (anna, bert) = (is_owner("anna"), is_owner("bert"));
            match made {
                (Ok(()), Err(LogError::LastOwner)) => assert!(anna && !bert),
                (Err(LogError::LastOwner), Ok(())) => assert!(bert && !anna),
                (Err(LogError::LastOwner), Err(LogError::LastOwner)) => assert!(processes == 2 && anna && bert),
                made => panic!("{made:?}"),
            }
        }
    }

    /// A log that takes only so many appends into one topic; further ones wait, or are refused if the gate is closed.
    struct Gated(Arc<EmbeddedLog>, Topic, Arc<Semaphore>);

    impl Gated {
        fn refusing(log: Arc<EmbeddedLog>, topic: Topic) -> Self {
            let gate = Arc::new(Semaphore::new(0));
            gate.close();
            Self(log, topic, gate)
        }
    }

    #[async_trait]
    impl Log for Gated {
        fn partitions(&self, topic: Topic) -> u32 {
            self.0.partitions(topic)
        }

        async fn append(&self, topic: Topic, records: Vec<Record>) -> Result<(), LogError> {
            if topic == self.1 {
                self.2.acquire().await.map_err(|_| LogError::Unavailable("refusing".into()))?.forget();
            }
            self.0.append(topic, records).await
        }

        async fn read(&self, topic: Topic, from: &Offsets) -> Result<Box<dyn LogReader>, LogError> {
            self.0.read(topic, from).await
        }

        async fn join(&self, group: &str) -> Result<Box<dyn Membership>, LogError> {
            self.0.join(group).await
        }

        async fn commit(&self, group: &Group, records: Vec<(Topic, Record)>, offsets: &Offsets) -> Result<(), LogError> {
            self.0.commit(group, records, offsets).await
        }

        async fn committed(&self, group: &str, topic: Topic) -> Result<Offsets, LogError> {
            self.0.committed(group, topic).await
        }

        async fn bounds(&self, topic: Topic) -> Result<Vec<Bounds>, LogError> {
            self.0.bounds(topic).await
        }

        async fn offsets_at(&self, topic: Topic, time_ms: i64) -> Result<Offsets, LogError> {
            self.0.offsets_at(topic, time_ms).await
        }
    }

    #[tokio::test]
    async fn an_owner_is_let_go_to_the_end_also_if_whoever_asked_goes_in_the_middle() {
        let dir = tempfile::tempdir().expect("folder");
        let log = EmbeddedLog::open(dir.path(), EmbeddedOptions::default()).expect("opens");
        // For the two owners, and the first step.
        let gate = Arc::new(Semaphore::new(2));
        let gated = Arc::new(Gated(log, Topic::Catalog, Arc::clone(&gate)));
        let (catalog, follower) = CatalogFollower::start(gated).await.expect("starts");
        tokio::spawn(follower.run(CancellationToken::new()));
        let [anna, bert]: [UserId; 2] = ["anna", "bert"].map(|name| name.parse().expect("id"));
        let organisation: OrganisationId = "o".parse().expect("id");
        let owner = |id: &UserId| {
            let (id, organisation) = (id.clone(), organisation.clone());
            let user = User { id, organisation, role: Role::Owner, password_hash: None, preferences: None };
            CatalogEdit::Put(CatalogEntry::User(user))
        };
        catalog.edit(&Actor::CommandLine, vec![owner(&anna), owner(&bert)]).await.expect("edits");
        let shared = catalog.shared();
        let role = || shared.read().expect("lock").users.get(&bert).map(|user| user.role);
        let until = async |expected: Option<Role>| {
            while role() != expected {
                tokio::task::yield_now().await;
            }
        };

        let by = Actor::User { user: anna.clone(), organisation: organisation.clone(), via: Access::Password, address: None };
        let (editing, removal) = (catalog.clone(), CatalogEdit::Remove(CatalogKey::User(bert.clone())));
        let asking = by.clone();
        let asked = tokio::spawn(async move { editing.edit(&asking, vec![removal]).await });
        until(Some(Role::Viewer)).await;
        asked.abort();
        assert!(asked.await.is_err(), "it waits at the gate");
        gate.add_permits(1);
        tokio::time::timeout(std::time::Duration::from_secs(20), until(None)).await.expect("he is let go");
        // And the turn is over.
        gate.add_permits(1);
        catalog.edit(&by, vec![owner(&bert)]).await.expect("he is invited again");
    }

    #[tokio::test]
    async fn no_change_is_made_without_a_record_of_it() {
        let dir = tempfile::tempdir().expect("folder");
        let log = EmbeddedLog::open(dir.path(), EmbeddedOptions::default()).expect("opens");
        let end = async |topic: Topic| log.bounds(topic).await.expect("bounds")[0].next;
        // The record can't be written: nothing is changed. The change can't: the record stays.
        for (refused, changed, recorded) in [(Topic::Audit, 0, 0), (Topic::Catalog, 0, 1)] {
            let refusing = Arc::new(Gated::refusing(log.clone(), refused));
            let (catalog, _follower) = CatalogFollower::start(refusing).await.expect("starts");
            let edited = catalog.edit(&Actor::CommandLine, vec![fleet("a")]).await;
            assert!(matches!(edited, Err(LogError::Unavailable(_))), "{edited:?}");
            assert_eq!((end(Topic::Catalog).await, end(Topic::Audit).await), (changed, recorded));
        }
    }

    #[tokio::test]
    async fn an_unreadable_entry_is_left_out_and_harms_no_other() {
        let dir = tempfile::tempdir().expect("folder");
        let log = EmbeddedLog::open(dir.path(), EmbeddedOptions::default()).expect("opens");
        let (key, value) = encode_catalog(&fleet("a"));
        let good = Record::new(key, value.expect("a put has a value"));
        log.append(Topic::Catalog, vec![Record::new("fleet/x", "{"), Record::removal("nonsense"), good])
            .await
            .expect("appends");
        let (catalog, _follower) = CatalogFollower::start(log).await.expect("starts");
        assert_eq!(ids(&catalog), ["a".parse().expect("id")]);
    }
}
