//! `decode`: nanoseconds of processor time that each protocol takes to cut its streams into frames and to understand its messages, on recorded ones.

use anyhow::Result;
use bytes::BytesMut;
use clap::Parser;
use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};
use waystream_benchmarks::process::thread_cpu;
use waystream_benchmarks::report::machine;
use waystream_connectors::decode::parse_hex;
use waystream_connectors::protocol::{Checksums, Context, Protocol, Transport};
use waystream_connectors::protocols::ALL;
use waystream_domain::Timestamp;

#[path = "../../../connectors/tests/common/cases.rs"]
mod cases;
#[path = "../../../connectors/tests/common/messages.rs"]
mod messages;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Most bytes of a TCP segment on the way.
const SEGMENT_BYTES: usize = 1400;

/// Measures decoders without sockets and without the log.
#[derive(Debug, Parser)]
struct Args {
    /// Milliseconds for each protocol and measure.
    #[arg(long, default_value_t = 200)]
    millis: u64,
}

fn main() -> Result<()> {
    let time = Duration::from_millis(Args::parse().millis);
    let mut out = std::io::stdout().lock();
    writeln!(out, "### Decoders\n\n`cargo run --release -p waystream-benchmarks --bin decode`\n{}\n", machine())?;
    writeln!(
        out,
        "| protocol | messages | bytes each | ns per message | ns per position | ns per frame cut |\n|---|---|---|---|---|---|"
    )?;
    for (protocol, messages) in ALL.iter().zip(messages::MESSAGES.iter()) {
        let Transport::Socket { .. } = protocol.transport else { continue };
        let bytes = messages.iter().map(Vec::len).sum::<usize>() / messages.len().max(1);
        let (message, positions) = understanding(protocol, messages, time)?;
        let position = if positions > 0.0 { format!("{:.0}", message / positions) } else { "–".into() };
        let frame = cutting(protocol, time)?.map_or("–".into(), |frame| format!("{frame:.0}"));
        writeln!(out, "| {} | {} | {bytes} | {message:.0} | {position} | {frame} |", protocol.name, messages.len())?;
    }
    Ok(())
}

/// Nanoseconds per message, and positions per message.
fn understanding(protocol: &Protocol, messages: &[Vec<u8>], time: Duration) -> Result<(f64, f64)> {
    let Transport::Socket { decoder, .. } = protocol.transport else { return Ok((0.0, 0.0)) };
    let context = Context {
        checksums: Checksums::Count,
        ..Context::stream(Timestamp::parse("2026-11-25T00:00:00Z").unwrap_or_default())
    };
    let (started, before, mut count, mut positions) = (Instant::now(), thread_cpu()?, 0usize, 0usize);
    while started.elapsed() < time {
        // One connection has said them all: who it is is known from the first login on.
        let mut decoder = decoder();
        for message in messages {
            positions += black_box(decoder.decode(black_box(message), &context)).fixes.len();
        }
        count += messages.len();
    }
    let took = thread_cpu()?.saturating_sub(before);
    Ok((took.as_nanos() as f64 / count.max(1) as f64, positions as f64 / count.max(1) as f64))
}

/// Nanoseconds per frame; `None` if there is no recorded stream.
fn cutting(protocol: &Protocol, time: Duration) -> Result<Option<f64>> {
    let Transport::Socket { framing, tcp: true, .. } = protocol.transport else { return Ok(None) };
    let streams = cases::lines(&format!("{}.frames.jsonl", protocol.name));
    let streams: Vec<Vec<u8>> = streams.iter().filter_map(|case| parse_hex(case["input_hex"].as_str()?).ok()).collect();
    let (started, before, mut frames) = (Instant::now(), thread_cpu()?, 0usize);
    while started.elapsed() < time && !streams.is_empty() {
        for stream in &streams {
            let (mut framing, mut buffer) = (framing(), BytesMut::new());
            for segment in stream.chunks(SEGMENT_BYTES) {
                buffer.extend_from_slice(segment);
                while let Ok(Some(frame)) = framing.next_frame(&mut buffer) {
                    black_box(frame);
                    frames += 1;
                }
            }
        }
    }
    let took = thread_cpu()?.saturating_sub(before);
    Ok((frames > 0).then(|| took.as_nanos() as f64 / frames as f64))
}
