//! Many Teltonika trackers at once, each packet sent when the one before is answered, as fast as that goes or at a pace.

use crate::process::usage;
use crate::report::Latencies;
use crate::teltonika::Tracker;
use anyhow::Result;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// Connections that are made at a time: a listener's queue is not endless.
const CONNECTING: usize = 100;

/// Trackers that have signed in.
pub struct Load {
    trackers: Vec<Tracker>,
}

/// What the trackers have seen.
pub struct Sent {
    /// All answered.
    pub positions: usize,
    /// From the first packet to the last answer.
    pub took: Duration,
    /// From a packet to its answer.
    pub latencies: Latencies,
    /// Processor time of this process.
    pub own_cpu: Duration,
}

impl Load {
    /// Connects so many, with numbers from 0.
    pub async fn connect(address: SocketAddr, connections: u32) -> Result<Self> {
        let mut numbers = 0..connections;
        let (mut connecting, mut trackers) = (JoinSet::new(), Vec::with_capacity(connections as usize));
        for number in numbers.by_ref().take(CONNECTING) {
            connecting.spawn(Tracker::connect(address, number));
        }
        while let Some(connected) = connecting.join_next().await {
            trackers.push(connected??);
            if let Some(number) = numbers.next() {
                connecting.spawn(Tracker::connect(address, number));
            }
        }
        Ok(Self { trackers })
    }

    /// Each sends so many packets of so many records, which are a second apart; nothing is sent twice.
    pub async fn send(self, packets: u32, records: u8, pace: Pace) -> Result<Sent> {
        let count = self.trackers.len();
        let (before, started) = (usage("self")?, Instant::now());
        let mut devices = JoinSet::new();
        for (n, mut tracker) in self.trackers.into_iter().enumerate() {
            let schedule = match pace {
                Pace::AsAnswered => Schedule::past(packets, records),
                Pace::Every(period) => Schedule::live(period, period * n as u32 / count as u32),
            };
            devices.spawn(async move {
                let mut schedule = schedule;
                let mut latencies = Vec::with_capacity(packets as usize);
                for _ in 0..packets {
                    let first_ms = schedule.next().await;
                    latencies.push(tracker.send(first_ms, records).await?);
                }
                anyhow::Ok(latencies)
            });
        }
        let mut latencies = Latencies::default();
        while let Some(device) = devices.join_next().await {
            latencies.extend(device??);
        }
        let positions = count * packets as usize * usize::from(records);
        Ok(Sent { positions, took: started.elapsed(), latencies, own_cpu: usage("self")?.cpu_since(&before) })
    }
}

/// When packets are sent.
#[derive(Debug, Clone, Copy)]
pub enum Pace {
    /// Each when the one before is answered: the past up to now.
    AsAnswered,
    /// One every so often, the devices spread over it, each with the time at which it was due, even if it has to wait for the
    /// answer to the one before.
    Every(Duration),
}

/// When the next packet of a device is due, and the time of its first record.
struct Schedule {
    next_ms: i64,
    step_ms: i64,
    due: Option<Interval>,
}

impl Schedule {
    fn past(packets: u32, records: u8) -> Self {
        let step_ms = i64::from(records) * 1000;
        Self { next_ms: now_ms() - i64::from(packets) * step_ms, step_ms, due: None }
    }

    fn live(period: Duration, offset: Duration) -> Self {
        let mut due = interval_at(Instant::now() + offset, period);
        due.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let ms = |time: Duration| time.as_millis() as i64;
        Self { next_ms: now_ms() + ms(offset), step_ms: ms(period), due: Some(due) }
    }

    async fn next(&mut self) -> i64 {
        if let Some(due) = &mut self.due {
            due.tick().await;
        }
        let ms = self.next_ms;
        self.next_ms += self.step_ms;
        ms
    }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}
