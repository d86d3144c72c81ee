//! Old deliveries are forgotten: what is not wanted any more leaves the topic, which otherwise keeps the newest of every key.

use crate::{config::NotifyConfig, metrics};
use std::collections::HashSet;
use waystream_domain::Timestamp;
use waystream_domain::notify::{Delivery, DeliveryState};
use waystream_log::{Log, LogError, Offsets, Record, Topic};

const BATCH: usize = 512;
const DAY_MS: i64 = 86_400_000;

/// Removes what has been delivered or dead for long, of these partitions.
pub(crate) async fn tidy(log: &dyn Log, partitions: &[u32], config: &NotifyConfig, now: Timestamp) -> Result<(), LogError> {
    let from: Offsets = partitions.iter().map(|partition| ((Topic::Deliveries, *partition), 0)).collect();
    if from.is_empty() {
        return Ok(());
    }
    let mut reader = log.read(Topic::Deliveries, &from).await?;
    let mut old = HashSet::new();
    while let Some(batch) = reader.try_next(BATCH).await? {
        for entry in batch.entries {
            // Of each key the last word counts.
            match entry.value.as_deref().map(Delivery::decode) {
                Some(Ok(delivery)) if is_old(&delivery, config, now) => drop(old.insert(entry.key)),
                _ => drop(old.remove(&entry.key)),
            }
        }
    }
    let forgotten = old.len() as u64;
    let mut removals = old.into_iter().map(Record::removal).peekable();
    while removals.peek().is_some() {
        log.append(Topic::Deliveries, removals.by_ref().take(BATCH).collect()).await?;
    }
    metrics::forgotten(forgotten);
    Ok(())
}

fn is_old(delivery: &Delivery, config: &NotifyConfig, now: Timestamp) -> bool {
    let days = match delivery.state {
        DeliveryState::Pending { .. } => return false,
        DeliveryState::Delivered => config.keep_delivered_days,
        DeliveryState::Dead { .. } => config.keep_dead_days,
    };
    now.millis_since(delivery.changed_at) > i64::from(days) * DAY_MS
}
