//! Which protocol a datagram speaks. Pure. There is no more to wait for, and few datagrams begin with a login.

use super::patterns::{More, No, Sign, Verdict, Yes, after_digits, any, like};
use super::{MAX_FIRST_BYTES, Recognised, SIGNS};
use crate::protocol::{Protocol, Transport};
use crate::protocols;

/// Where a datagram begins otherwise than a stream does.
const DATAGRAM_SIGNS: &[(&str, Sign)] = &[
    // Length, number, `01`, number, length and digits of the IMEI.
    ("teltonika", |b| like(b, "%.%.%.%.%1%.%0\u{f}%d%d%d%d%d%d")),
    // What the options head holds (the id at least), then the id of packed digits and what kind of id that is.
    ("calamp", |b| match b {
        [0x81 | 0x83 | 0x85 | 0x87 | 0xc1 | 0xc3 | 0xc7, length @ 1..=10, rest @ ..] => {
            let (id, kind) = rest.split_at_checked(usize::from(*length)).unwrap_or_default();
            let packed = id.iter().all(|byte| byte >> 4 <= 9 && matches!(byte & 0xf, 0..=9 | 0xf));
            if packed && matches!(kind, [1, 0..=7, ..]) { Yes } else { No }
        }
        _ => No,
    }),
    // As a stream it begins like Intellitrac's: an id and a time of 14 digits.
    ("wondex", |b| {
        let time = b.iter().position(|byte| *byte == b',').map_or(&[][..], |comma| &b[comma + 1..]);
        any([after_digits(b, 6..=16, ",").min(after_digits(time, 14..=14, ",")), like(b, "\u{d0}\u{d7}")])
    }),
];

/// Which protocol the first datagram of a sender speaks. Among several, those that usually come as datagrams go before those that
/// come as streams.
pub fn recognise_datagram(datagram: &[u8]) -> Recognised {
    // Text whose line end went without saying.
    let begins = [&datagram[..datagram.len().min(MAX_FIRST_BYTES)], b"\r\n"].concat();
    let mut found: Vec<(&'static Protocol, Verdict)> = Vec::new();
    for (name, sign) in DATAGRAM_SIGNS.iter().chain(SIGNS) {
        let Some(protocol) = protocols::by_name(name) else { continue };
        if matches!(protocol.transport, Transport::Http { .. }) || found.iter().any(|(known, _)| known.name == *name) {
            continue;
        }
        match sign(&begins) {
            No => {}
            verdict => found.push((protocol, verdict)),
        }
    }
    // Whether it is certain, and whether its datagrams are known.
    let rank = |(protocol, verdict): &(&'static Protocol, Verdict)| (*verdict, protocol.speaks_udp());
    let best = found.iter().map(rank).max();
    let names: Vec<&'static str> = found.iter().filter(|one| Some(rank(one)) == best).map(|(one, _)| one.name).collect();
    match names[..] {
        [] => Recognised::Unknown,
        // The beginning of a message that is cut off.
        _ if best.is_some_and(|(verdict, _)| verdict == More) => Recognised::Unknown,
        [one] => Recognised::As(one),
        _ => Recognised::Ambiguous(names),
    }
}
