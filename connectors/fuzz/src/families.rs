//! What is fuzzed together, and what one input of the fuzzer is.

#[path = "../../tests/common/families.rs"]
mod by_name;
#[path = "../../tests/common/feed.rs"]
pub mod feed;

use crate::protocol::{Protocol, Transport};
use crate::protocols::{ALL, by_name};
use crate::recognise::{Recognised, recognise, recognise_datagram};
use crate::{decode, mqtt};
use by_name::{BYTES, HTTP, TEXT};
use feed::{CHECKSUMS, WAYS, context, feed_in};

/// A family to fuzz.
#[derive(Debug, Clone)]
pub enum Family {
    /// Frames and messages of these protocols of TCP and UDP.
    Sockets(Vec<&'static Protocol>),
    /// Requests of these protocols of HTTP, and publications.
    Json(Vec<&'static Protocol>),
    /// The port for all protocols.
    Any,
}

impl Family {
    /// By its name, or that of one protocol alone.
    pub fn by_name(name: &str) -> Option<Self> {
        let all = |names: &[&str]| names.iter().filter_map(|name| by_name(name)).collect();
        match name {
            "text" => Some(Self::Sockets(all(&TEXT))),
            "bytes" => Some(Self::Sockets(all(&BYTES))),
            "json" => Some(Self::Json(all(&HTTP))),
            "any" => Some(Self::Any),
            name => by_name(name).map(|protocol| match protocol.transport {
                Transport::Socket { .. } => Self::Sockets(vec![protocol]),
                Transport::Http { .. } => Self::Json(vec![protocol]),
            }),
        }
    }

    /// The protocols of its messages.
    pub fn protocols(&self) -> Vec<&'static Protocol> {
        match self {
            Self::Sockets(all) | Self::Json(all) => all.clone(),
            Self::Any => ALL.iter().collect(),
        }
    }

    /// Lets it make of an input what it will, in the mode that it says.
    pub fn run(&self, input: &[u8]) {
        let Some(Input { which, mode, first, second }) = Input::parse(input) else { return };
        let (checksums, way) = (CHECKSUMS[usize::from(mode / 4) % 2], WAYS[usize::from(mode) % 4]);
        match self {
            Self::Sockets(all) => {
                feed_in(way, checksums, all[usize::from(which) % all.len()], &[first.to_vec(), second.to_vec()]);
            }
            // Three kinds of bytes: parts of requests, whole requests, and publications.
            Self::Json(all) => {
                let protocol = all[usize::from(which) % all.len()];
                match mode % 3 {
                    0 => feed_in(way, checksums, protocol, &[first.to_vec(), second.to_vec()]),
                    1 => decode::requests(protocol, second, &context(checksums, false)),
                    _ => [first, second].into_iter().for_each(|payload| mqtt::publication(which, payload)),
                }
            }
            Self::Any => {
                let whole = [first, second].concat();
                let (early, recognised) = (recognise(first), recognise(&whole));
                assert!(early == Recognised::Undecided || early == recognised, "{early:?}, then {recognised:?}");
                for found in [recognised, recognise_datagram(&whole)] {
                    if let Recognised::As(name) = found {
                        let protocol = by_name(name).expect("what is recognised is a protocol");
                        feed_in(way, checksums, protocol, std::slice::from_ref(&whole));
                    }
                }
            }
        }
    }
}

/// Two messages, as what a connection is told first decides how the second one is read.
#[derive(Debug, PartialEq)]
pub struct Input<'a> {
    /// Which of the family's protocols.
    pub which: u8,
    /// How it comes, and whether wrong checksums only count.
    pub mode: u8,
    /// The first message.
    pub first: &'a [u8],
    /// The second.
    pub second: &'a [u8],
}

impl<'a> Input<'a> {
    /// A byte that says which, one that says how, the length of the first in two, then both.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let [which, mode, high, low, messages @ ..] = bytes else { return None };
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(messages.len());
        let (first, second) = messages.split_at(length);
        Some(Self { which: *which, mode: *mode, first, second })
    }

    /// The bytes of it; `None`: the first is too long.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        let length = u16::try_from(self.first.len()).ok()?.to_be_bytes();
        Some([&[self.which, self.mode][..], &length, self.first, self.second].concat())
    }
}
