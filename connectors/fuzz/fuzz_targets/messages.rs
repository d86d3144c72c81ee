//! The frames and messages of every protocol. Input: which protocol (a byte), how long the first message is (two bytes), and two
//! messages: what a connection is told first decides how the second one is read. `PROTOCOL=gt06` looks at one protocol only.
#![no_main]

#[path = "../../tests/common/feed.rs"]
mod feed;

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use waystream_connectors::protocol::Protocol;
use waystream_connectors::protocols::{ALL, by_name};

static ONLY: LazyLock<Option<&'static Protocol>> =
    LazyLock::new(|| std::env::var("PROTOCOL").ok().map(|name| by_name(&name).expect("a protocol of this name")));

fuzz_target!(|input: &[u8]| {
    let [which, high, low, messages @ ..] = input else { return };
    let protocol = ONLY.unwrap_or(&ALL[usize::from(*which) % ALL.len()]);
    let first = usize::from(u16::from_be_bytes([*high, *low])).min(messages.len());
    let (first, second) = messages.split_at(first);
    feed::feed(protocol, &[first.to_vec(), second.to_vec()]);
});
