//! What goes wrong, and when: drawn from a seed.

use super::sockets::Sockets;
use super::system::System;
use super::trackers::Fixes;
use super::{PATIENCE, Span, now_ms};
use crate::teltonika::{Tracker, flood, imei};
use anyhow::{Context, Result};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// About one so often.
const EVERY_S: u64 = 20;
/// The end of the time is free of them.
const CALM: Duration = Duration::from_secs(30);
/// How long a process stands still.
const FROZEN: Duration = Duration::from_secs(5);
/// How long sockets read nothing.
const SOCKETS_FROZEN: Duration = Duration::from_secs(20);
/// How many sockets read nothing, and how many connections send rubbish.
const MANY: usize = 100;
/// A flood: how long it lasts, how many packets it has at most, and how many records each of them.
const FLOOD: (Duration, u32, u8) = (Duration::from_secs(5), 2_000, 50);
/// A flood tells of the past: its fixes are a second apart, and none may be from the future.
const FLOOD_FROM_MS: i64 = 2 * 24 * 3_600 * 1_000;
/// Rubbish of one connection.
const RUBBISH_BYTES: usize = 4 * 1024;
/// Whoever was sent rubbish has hung up by then.
const RUBBISH_FOR: Duration = Duration::from_secs(10);

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Fault {
    /// kill -9 of the process that trackers report to, and started again at once.
    Kill,
    /// A process stands still for some seconds.
    Freeze,
    /// kill -9 of a gateway.
    Gateway,
    /// kill -9 of the dataflow.
    Dataflow,
    /// kill -9 of Kafka.
    Kafka,
    /// Many sockets read nothing for some time.
    Sockets,
    /// Many connections send rubbish.
    Rubbish,
    /// A device sends as fast as it can.
    Flood,
}

impl Fault {
    /// What can happen to all in one process.
    pub const EMBEDDED: [Self; 5] = [Self::Kill, Self::Freeze, Self::Sockets, Self::Rubbish, Self::Flood];
    /// What can happen to a process for each role.
    pub const DISTRIBUTED: [Self; 8] =
        [Self::Kill, Self::Freeze, Self::Gateway, Self::Dataflow, Self::Kafka, Self::Sockets, Self::Rubbish, Self::Flood];
}

/// One that has happened.
pub struct Happened {
    /// What, and to whom.
    pub what: String,
    /// From its beginning until it was over, as far as it is ours: the process runs again, the rubbish is sent.
    pub lasted: Span,
}

/// Who makes faults happen.
pub struct Faults {
    rng: StdRng,
    /// Device of the next flood; above those of all trackers.
    next_number: u32,
    floods: JoinSet<(String, Vec<i64>)>,
    rubbish: JoinSet<()>,
}

impl Faults {
    /// `first_number`: above those of all trackers.
    pub fn new(seed: u64, first_number: u32) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        Self { rng, next_number: first_number, floods: JoinSet::new(), rubbish: JoinSet::new() }
    }

    /// What happens during a time, and how long after its beginning: each kind once before any comes again.
    pub fn schedule(&mut self, kinds: &[Fault], time: Duration) -> Vec<(Duration, Fault)> {
        let faulty = time - CALM.min(time / 3);
        let count = faulty.as_secs().div_ceil(EVERY_S).max(1) as u32;
        let mut kinds = kinds.to_vec();
        kinds.shuffle(&mut self.rng);
        let slot = faulty / count;
        let mut at = |n: u32| slot.mul_f64(f64::from(n) + self.rng.random_range(0.1..0.5_f64));
        (0..count).zip(kinds.into_iter().cycle()).map(|(n, fault)| (at(n), fault)).collect()
    }

    /// Makes it happen; returns when it is over, or goes on by itself.
    pub async fn happen(&mut self, fault: Fault, system: &mut System, sockets: &mut Sockets) -> Result<Happened> {
        let started = now_ms();
        let mut goes_on = Duration::ZERO;
        let names: Vec<&'static str> = system.names().collect();
        let what = match fault {
            Fault::Kill => kill(system, if names.contains(&"all") { "all" } else { "connect" }).await?,
            Fault::Dataflow => kill(system, "dataflow").await?,
            Fault::Gateway => kill(system, self.one_of(&["gateway-1", "gateway-2"])).await?,
            Fault::Kafka => {
                system.kill_kafka().await?;
                "kill -9 of Kafka".to_owned()
            }
            Fault::Freeze => {
                let name = self.one_of(&names);
                system.freeze(name, FROZEN).await?;
                format!("{name} stands still for {} s", FROZEN.as_secs())
            }
            Fault::Sockets => {
                goes_on = SOCKETS_FROZEN;
                let many = MANY.min(sockets.count);
                let first = self.rng.random_range(0..=sockets.count - many);
                sockets.freeze(first, many, SOCKETS_FROZEN).await?;
                format!("{many} sockets read nothing for {} s", SOCKETS_FROZEN.as_secs())
            }
            Fault::Rubbish => {
                for _ in 0..MANY {
                    let bytes = (0..RUBBISH_BYTES).map(|_| self.rng.random()).collect();
                    self.rubbish.spawn(send_rubbish(system.trackers, bytes));
                }
                goes_on = RUBBISH_FOR;
                format!("{MANY} connections send {RUBBISH_BYTES} bytes of rubbish")
            }
            Fault::Flood => {
                goes_on = FLOOD.0;
                self.floods.spawn(flood_with(system.trackers, self.next_number));
                self.next_number += 1;
                format!("a device sends as fast as it can for {} s", FLOOD.0.as_secs())
            }
        };
        Ok(Happened { what, lasted: started..now_ms() + goes_on.as_millis() as i64 })
    }

    fn one_of(&mut self, names: &[&'static str]) -> &'static str {
        names[self.rng.random_range(0..names.len())]
    }

    /// What the floods were answered, once they are over.
    pub async fn end(mut self, deadline: Duration) -> Result<Fixes> {
        let mut answered = Fixes::new();
        let all = async {
            while let Some(flood) = self.floods.join_next().await {
                let (device, fixes) = flood?;
                answered.insert(device, fixes);
            }
            anyhow::Ok(())
        };
        timeout(deadline, all).await.context("a flood is not over")??;
        Ok(answered)
    }
}

async fn kill(system: &mut System, name: &'static str) -> Result<String> {
    system.kill(name).await?;
    Ok(format!("kill -9 of {name}"))
}

/// A new device; it has nothing more to say if its connection ends.
async fn flood_with(address: SocketAddr, number: u32) -> (String, Vec<i64>) {
    let (time, packets, records) = FLOOD;
    let first_ms = now_ms() - FLOOD_FROM_MS;
    let answered = match timeout(PATIENCE, Tracker::connect(address, number)).await {
        Ok(Ok(tracker)) => flood(tracker, first_ms, records, packets, time).await,
        _ => 0,
    };
    let fixes = i64::from(answered) * i64::from(records);
    (imei(number), (0..fixes).map(|n| first_ms + n * 1_000).collect())
}

async fn send_rubbish(address: SocketAddr, bytes: Vec<u8>) {
    let send = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(&bytes).await?;
        stream.read_to_end(&mut Vec::new()).await
    };
    // How it is turned away is the other side's business.
    drop(timeout(RUBBISH_FOR, send).await);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_comes_before_the_calm() {
        let schedule = Faults::new(7, 0).schedule(&Fault::DISTRIBUTED, Duration::from_secs(180));
        assert_eq!(schedule.len(), 8);
        assert!(schedule.is_sorted_by_key(|(at, _)| *at) && schedule[7].0 < Duration::from_secs(150));
        assert!(Fault::DISTRIBUTED.iter().all(|kind| schedule.iter().any(|(_, fault)| fault == kind)));
        assert_eq!(Faults::new(7, 0).schedule(&[Fault::Kill], Duration::from_secs(15)).len(), 1);
    }
}
