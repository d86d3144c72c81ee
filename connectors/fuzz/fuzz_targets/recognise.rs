//! The port for all protocols: what is recognised is so for every longer beginning too.
#![no_main]

use libfuzzer_sys::fuzz_target;
use waystream_connectors::recognise::{Recognised, recognise, recognise_datagram};

fuzz_target!(|input: &[u8]| {
    recognise_datagram(input);
    let whole = recognise(input);
    let first = (0..input.len()).map(|end| recognise(&input[..end])).find(|found| *found != Recognised::Undecided);
    assert!(first.is_none_or(|first| first == whole), "recognised early as something else");
});
