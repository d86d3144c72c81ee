//! The frames and messages of a family of protocols, or of one: `FAMILY=text`, `FAMILY=gt06`. None may take too much memory.
//! `SEEDS` names a folder into which it first writes what to begin with.
//!
//! This is the pure part of the connectors, built by itself from the same files: all that understands bytes, and none of what carries
//! them. So fuzzing needs neither Kafka's library nor a broker to be built, and watches none of what runs beside it.
#![no_main]
#![allow(dead_code, unused_imports, unreachable_pub, missing_docs, reason = "parts of files that the whole crate uses")]

// The name by which files say it that the tests use too.
extern crate self as waystream_connectors;

pub mod decode;
mod families;
mod mqtt;
#[path = "../../src/protocol.rs"]
pub mod protocol;
#[path = "../../src/protocols/mod.rs"]
pub mod protocols;
#[path = "../../src/readers/mod.rs"]
mod readers;
#[path = "../../src/recognise/mod.rs"]
mod recognise;
mod seeds;
#[path = "../../src/vocabulary.rs"]
mod vocabulary;

use families::Family;
use libfuzzer_sys::fuzz_target;
use peak_alloc::PeakAlloc;
use seeds::seeds;
use std::path::PathBuf;
use std::sync::LazyLock;

/// Counts every byte of what runs; libFuzzer's own are not counted.
#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Above what was taken before, and the message itself.
const MAX_MESSAGE_MEMORY_BYTES: usize = 1024 * 1024;

static FAMILY: LazyLock<Family> = LazyLock::new(|| {
    let name = std::env::var("FAMILY").expect("FAMILY says what to fuzz");
    Family::by_name(&name).expect("a family or a protocol of this name")
});

fn write_seeds() {
    let Some(folder) = std::env::var_os("SEEDS").map(PathBuf::from) else { return };
    std::fs::create_dir_all(&folder).expect("a folder for seeds");
    for (number, seed) in seeds(&FAMILY).iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{number}")), seed).expect("a file of a seed");
    }
}

fuzz_target!(init: write_seeds(), |input: &[u8]| {
    let family = &*FAMILY;
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    family.run(input);
    let taken = MEMORY.peak_usage() - before;
    assert!(taken <= MAX_MESSAGE_MEMORY_BYTES + input.len(), "{taken} bytes taken for {}", input.len());
});
