//! `waystream quarantine`: messages that were not understood, and what they mean now.

use crate::access::with_history;
use crate::cli::{QuarantineAction, QuarantineFilter};
use crate::commands::settings;
use crate::config::Config;
use anyhow::Context;
use std::io::Write;
use waystream_connectors::decode;
use waystream_connectors::files::TrackPoint;
use waystream_connectors::quarantine::{self, Kept};
use waystream_connectors::vocabulary;
use waystream_domain::DeviceId;

/// Lists or decodes again.
pub async fn run(action: &QuarantineAction, out: &mut impl Write) -> anyhow::Result<()> {
    match action {
        QuarantineAction::List(filter) => {
            for kept in select(filter, &settings(&filter.run)?)? {
                let device = kept.device.as_ref().map_or("-", DeviceId::as_str);
                let peer = kept.peer.map_or_else(|| "-".to_owned(), |peer| peer.to_string());
                let Kept { received_at, protocol, reason, hex, .. } = &kept;
                writeln!(out, "{received_at}\t{protocol}\t{device}\t{peer}\t{reason}\t{hex}")?;
            }
            Ok(())
        }
        QuarantineAction::Replay(filter) => replay(filter, out).await,
    }
}

fn select(filter: &QuarantineFilter, config: &Config) -> anyhow::Result<Vec<Kept>> {
    let folder = crate::folder::quarantine(&config.data);
    let mut all = quarantine::read(&folder).with_context(|| format!("could not read {}", folder.display()))?;
    all.retain(|kept| filter.protocol.as_ref().is_none_or(|name| *name == kept.protocol));
    all.retain(|kept| {
        filter.device.as_deref().is_none_or(|id| kept.device.as_ref().is_some_and(|device| device.as_str() == id))
    });
    Ok(all)
}

async fn replay(filter: &QuarantineFilter, out: &mut impl Write) -> anyhow::Result<()> {
    let config = settings(&filter.run)?;
    let mut points = Vec::new();
    let (mut understood, mut others) = (0u64, 0u64);
    for kept in select(filter, &config)? {
        let decoded = match decode::again(&kept) {
            Ok(decoded) if decoded.not_understood().is_none() => decoded,
            _ => {
                others += 1;
                continue;
            }
        };
        understood += 1;
        for mut fix in decoded.fixes {
            if let Some(device) = fix.device.take().or_else(|| decoded.device.clone()) {
                let clocks = &config.connectors.utc_offset_min;
                let right = clocks.right(&kept.protocol, &device, fix.fix_time, kept.received_at);
                fix.fix_time = right.fix_time;
                if right.rollover {
                    fix.attributes.set(vocabulary::CLOCK_CORRECTED_WEEKS, 1024);
                }
                points.push(TrackPoint { device, fix });
            }
        }
    }
    let stored = match points.is_empty() {
        true => 0,
        false => {
            with_history(&config, |history| async move {
                let stored = history.store(points).await?;
                history.settle().await?;
                Ok(stored)
            })
            .await?
        }
    };
    writeln!(out, "{understood} messages understood now, {stored} positions stored; {others} are not understood")?;
    Ok(())
}
