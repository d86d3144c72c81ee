//! What a machine or strangers do to the distributed system: the clock of a role jumps, the disks of all roles are full, everybody comes at
//! once while whom they come to is killed, floods, poison. Nothing answered is lost, nothing doubled. `SEED` repeats a run, `FAULTS` says how many
//! of each kind (1). What ends or freezes roles and servers: `faults.rs`; the same hardships of one process: `hardships.rs`.

use crate::clock::Clock;
use crate::common::{System, seed};
use crate::deployment::Deployment;
use crate::lifecycle::fix;
use crate::recorded::{PATIENCE, Recorded, Reporting};
use crate::rival::organisation_of;
use crate::small_disk::SmallDisk;
use crate::strangers::{self, Strangers};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use tokio::task::JoinSet;
use tokio::time::timeout;
use waystream::trackers::Tracker;
use waystream::trackers::teltonika::Teltonika;
use waystream_connectors::protocol::Fix;
use waystream_domain::DeviceId;
use waystream_sql::output::Format;

const RECORDS_PER_PACKET: usize = 5;
const POSITIONS_PER_FAULT: usize = 4_000;
const AT_ONCE: usize = 5_000;
const HOUR_S: i64 = 3_600;
/// Of a role's own: what it keeps there is some kilobytes.
const DISK_MB: usize = 32;

const ROLES: [(&str, &str); 4] =
    [("connect", "connect"), ("dataflow", "dataflow"), ("archive", "archive"), ("gateway", "gateway,sql")];

/// What goes wrong.
#[derive(Debug, Clone, Copy)]
enum Hardship {
    /// The clock of the role of this number goes wrong by an hour and by a day, both ways, and then right again.
    Clock(usize),
    /// Nothing more can be written to the disk of any role.
    FullDisks,
    /// Thousands of trackers come at once; the process that they come to is killed when a tenth have been answered, and all others come again.
    Storm,
    /// See [`Strangers`].
    Strangers,
}

impl Hardship {
    const ALL: [Self; 7] =
        [Self::Clock(0), Self::Clock(1), Self::Clock(2), Self::Clock(3), Self::FullDisks, Self::Storm, Self::Strangers];
}

/// A role, with a disk and a clock of its own.
struct Machine {
    /// None while it is being started again.
    system: Option<System>,
    roles: &'static str,
    clock: Clock,
    disk: SmallDisk,
    _folders: [tempfile::TempDir; 2],
}

impl Machine {
    fn start(deployment: &Deployment, roles: &'static str) -> Self {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let (clock, disk) = (Clock::new(folders[0].path()), SmallDisk::new(folders[1].path(), DISK_MB));
        let mut machine = Self { system: None, roles, clock, disk, _folders: folders };
        machine.start_again(deployment);
        machine
    }

    /// kill -9 if it runs, and it is started.
    fn start_again(&mut self, deployment: &Deployment) {
        if let Some(system) = self.system.take() {
            system.kill().unwrap();
        }
        let mut command = self.disk.command();
        self.clock.rule(command.args(["--roles", self.roles]));
        let system = System::spawn(command, &self.disk.path(), self.disk.folder(), deployment.settings());
        self.system = Some(system.unwrap());
    }

    fn system(&self) -> &System {
        self.system.as_ref().unwrap()
    }
}

/// All of it: who reports, to whom, and who else has reported.
struct Scene<'a> {
    deployment: &'a Deployment,
    machines: BTreeMap<&'static str, Machine>,
    reporting: &'a Reporting,
    /// Positions that are reported in all, and until the next hardship.
    positions: usize,
    part: usize,
    /// Trackers that come in storms, and what they have delivered.
    crowd: BTreeMap<DeviceId, Vec<Fix>>,
}

#[tokio::test(flavor = "multi_thread")]
async fn hardships_of_a_distributed_system_lose_nothing_and_double_nothing() {
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let mut rng = StdRng::seed_from_u64(seed());
    let each = std::env::var("FAULTS").ok().and_then(|each| each.parse().ok()).unwrap_or(1);
    let mut hardships = Hardship::ALL.repeat(each);
    hardships.shuffle(&mut rng);

    let mut recorded = Recorded::read(&[("warsaw_bus", hardships.len() * POSITIONS_PER_FAULT)]);
    let crowd: BTreeMap<_, _> = (0..AT_ONCE).map(|n| (DeviceId::new(format!("98{n:013}")).unwrap(), Vec::new())).collect();
    let deployment = Deployment::start_with_brokers(1, &["warsaw_districts"]).await;
    deployment.put(recorded.catalog()).await;
    // Without geofences, so that nothing has to be told of them.
    deployment.put([strangers::entries(), organisation_of("crowd", crowd.keys())].concat()).await;
    let start = || ROLES.map(|(name, roles)| (name, Machine::start(&deployment, roles)));
    let machines = BTreeMap::from(tokio::task::block_in_place(start));

    let reporting = Reporting::start(&recorded, deployment.trackers, RECORDS_PER_PACKET);
    let positions = recorded.positions();
    let part = positions / (hardships.len() + 1);
    let mut scene = Scene { deployment: &deployment, machines, reporting: &reporting, positions, part, crowd };
    for (n, hardship) in hardships.into_iter().enumerate() {
        reporting.until(part * (n + 1)).await;
        eprintln!("{n}: {hardship:?}");
        scene.strike(hardship, &mut rng).await;
    }
    let Scene { mut machines, crowd, .. } = scene;
    reporting.until(positions).await;
    reporting.end().await;

    for (name, machine) in &mut machines {
        let ended = machine.system.as_mut().unwrap().ended();
        assert!(ended.is_none(), "{name} has ended by itself: {ended:?}");
    }
    let gateway = machines["gateway"].system();
    timeout(PATIENCE, gateway.remote().settle()).await.expect("history catches up").unwrap();
    recorded.tracks.extend(crowd);
    deployment.check(&recorded).await;
    recorded.check_rival(gateway).await;
    machines.values().for_each(|machine| machine.system().check_memory());
}

impl Scene<'_> {
    async fn strike(&mut self, hardship: Hardship, rng: &mut StdRng) {
        match hardship {
            Hardship::Clock(role) => {
                let clock = &self.machines[ROLES[role].0].clock;
                let mut jumps = [HOUR_S, 24 * HOUR_S, -HOUR_S, -24 * HOUR_S];
                jumps.shuffle(rng);
                for to in jumps.into_iter().chain([0]) {
                    clock.jump(to);
                    self.progress(self.part / 10).await;
                }
            }
            Hardship::FullDisks => {
                self.machines.values().for_each(|machine| machine.disk.fill());
                self.progress(self.part / 2).await;
                let gateway = self.machines["gateway"].system().remote();
                let asked = timeout(PATIENCE, gateway.ask("SELECT count(*) AS n FROM positions", Format::Csv)).await;
                asked.expect("who asks is answered").unwrap();
                self.machines.values().for_each(|machine| machine.disk.free());
            }
            Hardship::Storm => {
                let storm = timeout(PATIENCE, self.storm()).await;
                storm.expect("nobody of a storm waits for ever");
            }
            Hardship::Strangers => {
                let seed = rng.random();
                let elsewhere: Vec<SocketAddr> =
                    self.machines["connect"].system().contact.listeners.values().copied().collect();
                let server = self.deployment.trackers;
                let strangers = Strangers::come(server, elsewhere, StdRng::seed_from_u64(seed)).await;
                self.progress(self.part / 2).await;
                strangers.leave().await;
            }
        }
    }

    /// Until so many more positions are answered, or all of them.
    async fn progress(&self, positions: usize) {
        let until = self.reporting.answered() + positions;
        self.reporting.until(until.min(self.positions)).await;
    }

    async fn storm(&mut self) {
        let mut trackers = JoinSet::new();
        for (device, delivered) in &mut self.crowd {
            let fix = fix(delivered.len() as i64);
            delivered.push(fix.clone());
            let mut tracker = Tracker::Teltonika(Teltonika::new(self.deployment.trackers, device.as_str()));
            trackers.spawn(async move { tracker.deliver(&[fix]).await.unwrap() });
        }
        for _ in 0..AT_ONCE / 10 {
            trackers.join_next().await.unwrap().unwrap();
        }
        let connect = self.machines.get_mut("connect").unwrap();
        tokio::task::block_in_place(|| connect.start_again(self.deployment));
        trackers.join_all().await;
    }
}
