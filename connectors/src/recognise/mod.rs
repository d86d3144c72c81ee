//! Which protocol a connection speaks, by its first bytes: for the port that takes them all. Pure.
//!
//! Every entry of [`SIGNS`] says of some bytes whether a stream of its protocol can begin so. An answer holds for all longer
//! beginnings too, so that TCP segmentation cannot change what is recognised.

mod datagram;
mod patterns;

pub use datagram::recognise_datagram;

use crate::protocol::Protocol;
use crate::protocols;
use patterns::{
    More, No, Sign, Verdict, Yes, after_digits, any, binary_suntech, bracket, hashed_imei, http, is_owntracks, like, not,
    packed_bracket, packed_clock, packed_jt600, telic, xirgo,
};

/// What some first bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recognised {
    /// One protocol begins so.
    As(&'static str),
    /// More bytes are needed.
    Undecided,
    /// Several protocols begin so.
    Ambiguous(Vec<&'static str>),
    /// No protocol begins so.
    Unknown,
}

/// So many first bytes tell; more are not waited for.
pub const MAX_FIRST_BYTES: usize = 1024;

/// Which protocol begins with `first`.
pub fn recognise(first: &[u8]) -> Recognised {
    let mut certain = Vec::new();
    let mut open = Vec::new();
    for (name, sign) in SIGNS {
        match sign(first) {
            Verdict::Yes => certain.push(*name),
            Verdict::More => open.push(*name),
            Verdict::No => {}
        }
    }
    match certain[..] {
        _ if !open.is_empty() && first.len() < MAX_FIRST_BYTES => Recognised::Undecided,
        [] if open.is_empty() => Recognised::Unknown,
        [] => Recognised::Ambiguous(open),
        [one] => Recognised::As(one),
        _ => Recognised::Ambiguous(certain),
    }
}

/// The protocols that are recognised; the others have their own ports only.
pub fn recognised_protocols() -> impl Iterator<Item = &'static Protocol> {
    SIGNS.iter().filter_map(|(name, _)| protocols::by_name(name))
}

/// By name of the protocol.
const SIGNS: &[(&str, Sign)] = &[
    // A login of 15 digits, or (after a lost connection) a packet of one of the codecs.
    ("teltonika", |b| {
        let packet = like(b, "%0%0%0%0%0%0%.%.");
        let codec = match b.get(8) {
            None => More,
            Some(0x07 | 0x08 | 0x0c | 0x0d | 0x10 | 0x8e) => Yes,
            Some(_) => No,
        };
        any([like(b, "%0\u{f}%d%d%d%d%d%d"), like(b, "%0\u{10}%d%d%d%d%d%d"), packet.min(codec)])
    }),
    ("gt06", |b| any([like(b, "xx"), like(b, "yy")])),
    ("h02", |b| any([like(b, "*%m%m,").min(not(like(b, "*ET,"))), packed_clock(b).min(not(packed_jt600(b, 2)))])),
    ("gl200", |b| {
        let binary = ["+RSP", "+BSP", "+EVT", "+BVT", "+HBD", "+CRD", "+BRD", "+LGN", "+INF", "+BNF", "+%0"];
        let binary = any(binary.map(|head| like(b, head)));
        any([like(b, "+RESP:"), like(b, "+BUFF:"), like(b, "+ACK"), binary])
    }),
    ("gps103", |b| {
        // A heartbeat is the bare IMEI.
        any([like(b, "##%t"), like(b, "imei:%d"), after_digits(b, 14..=16, ";"), after_digits(b, 14..=16, "imei:")])
    }),
    ("wialon", |b| any([like(b, "#%l#"), like(b, "#%l%l#"), like(b, "2.0;%d"), after_digits(b, 4..=20, "#")])),
    ("jt808", |b| any([like(b, "~%."), like(b, "\u{e7}"), bracket(b, |next| next.is_ascii_digit())])),
    ("tk103", |b| {
        let words = like(b, "(%l").min(not(like(b, "(TL%l,")));
        any([bracket(b, |next| next.is_ascii_uppercase()), words])
    }),
    // The IMEI as a number of 64 bits has 13 leading zeros at least; then the command.
    ("ruptela", |b| {
        let command = match b.get(10) {
            None => More,
            Some(1..=0x10 | 0x25 | 0x44) => Yes,
            Some(_) => No,
        };
        let imei = match b.get(2..10) {
            Some([0, 0, 0, ..]) => No,
            Some([0, 0..=3, ..]) => Yes,
            Some(_) => No,
            None => like(b, "%.%.%0").min(More),
        };
        // No packet has more than 4 KiB.
        let length = match b.first() {
            None => More,
            Some(0..=0x0f) => Yes,
            Some(_) => No,
        };
        length.min(imei).min(command)
    }),
    // A letter counts; where Fifotrack has a digit.
    ("meitrack", |b| {
        like(b, "$$%t%d").min(not(like(b, "$$%d"))).min(any([
            like(b, "$$%t%d%d,"),
            like(b, "$$%t%d%d%d,"),
            like(b, "$$%t%d%d%d%d,"),
        ]))
    }),
    ("suntech", |b| {
        let universal = ["STT;", "ALT;", "ALV;", "EMG;", "EVT;", "UEX;", "HTE;", "BLE;", "BSA;", "RES;", "CMD;", "TRV;"];
        let family = any([like(b, "ST%d%d%d"), like(b, "SA%d%d%d")]);
        any([family, any(universal.map(|head| like(b, head))), binary_suntech(b)])
    }),
    ("watch", |b| any([like(b, "[%a%a*"), like(b, "[%a%a%a*"), like(b, "[%a*")])),
    // The kind and number in 12 digits, then date and time in 12; or one number of 10, 19 or 21 digits. A length may stand before.
    ("telic", |b| any([telic(b), like(b, "%.%0%0%0%d").min(telic(b.get(4..).unwrap_or_default()))])),
    ("jt600", |b| {
        let text = b.get(12..).unwrap_or_default();
        let text = any([like(text, "%l%d%d,"), like(text, "%d"), like(text, "@JT")]);
        // With one byte of kind the date stands where H02 has it: there the length is no second. With two, a year stands where H02
        // has the month.
        let short = packed_jt600(b, 1).min(not(packed_clock(b)));
        any([like(b, "(%d%d%d%d%d%d%d%d%d%d,").min(text), short, packed_jt600(b, 2)])
    }),
    ("trv", |b| any([like(b, "TRV%l"), like(b, "IWAP")])),
    ("xexun", |b| {
        let sentence = any([like(b, "GPRMC,"), like(b, "GNRMC,")]);
        // The time of sending, the owner's number, and the sentence.
        let number = b.split(|byte| *byte == b',').nth(1);
        let sent = match number {
            Some(number) if number.len() > 20 => No,
            _ => after_digits(b, 10..=12, ","),
        };
        let rest = b.splitn(3, |byte| *byte == b',').nth(2).unwrap_or_default();
        any([sentence, sent.min(any([like(rest, "GPRMC,"), like(rest, "GNRMC,")]))])
    }),
    ("t55", |b| {
        // A sentence, or the id in front of one.
        let line = any([after_digits(b, 8..=20, "$"), after_digits(b, 13..=16, ",$"), after_digits(b, 13..=16, "\r")]);
        let words = ["$GP", "$GN", "$ID,", "$DEVID", "$IMEI", "$PCPTI", "$PSIWMDID", "$PUBX", "$CONNECT", "IMEI ", "QZE,"];
        any([line, any(words.map(|head| like(b, head)))])
    }),
    // The length's high byte is no letter, which Meitrack has in its place.
    ("meiligao", |b| match b.get(2) {
        None => any([like(b, "$$"), like(b, "@@")]).min(More),
        Some(0..=0x0f) => any([like(b, "$$%."), like(b, "@@%.")]),
        Some(_) => No,
    }),
    ("eelink", |b| any([like(b, "gg"), like(b, "EL")])),
    // `01`, length, the first tag: the version of the hardware, then that of the software; or the IMEI, or the device's number; or (by
    // satellite) a part of 28 bytes.
    ("galileo", |b| {
        any([like(b, "%1%.%.\u{4}"), like(b, "%1%.%.%1%.\u{2}"), like(b, "%1%.%.\u{3}%d"), like(b, "%1%.%.%1%0\u{1c}")])
    }),
    ("egts", |b| any([like(b, "%1%0%.\u{b}%0"), like(b, "%1%0%.\u{10}%0")])),
    // The length's low byte is larger than Meiligao's high byte ever is.
    ("castel", |b| match b.get(2) {
        None => any([like(b, "$$"), like(b, "@@")]).min(More),
        Some(0..=0x0f) => No,
        Some(_) => any([like(b, "@@%.%0"), like(b, "@@%.%1"), like(b, "$$%.%0")]),
    }),
    ("totem", |b| any([like(b, "$$0%d%d%d%a%a%d"), like(b, "$$%a%a%d%d%d%d%d")]).min(not(xirgo(b)))),
    ("fifotrack", |b| any([like(b, "$$%d%d,%d"), like(b, "$$%d%d%d,%d"), like(b, "$$%d%d%d%d,%d")])),
    ("laipac", |b| any(["$AVRMC,", "$AVSYS,", "$EAVSYS,", "$ECHK,"].map(|head| like(b, head)))),
    ("upro", |b| like(b, "*%l%l20%d")),
    ("its", |b| any(["$,%t", "$Header,", "$NRM,", "$EPB,", "$RLP,", "$NMP,", "$LGN,", "$TEL%d"].map(|head| like(b, head)))),
    ("taip", |b| like(b, ">R%l%l")),
    // Mark, then a type that is no text.
    ("t800x", |b| {
        let kind = match b.get(2) {
            None => More,
            Some(0x01..=0x1f | 0x80..=0xff) => Yes,
            Some(_) => No,
        };
        // No message has more than 511 bytes.
        let length = any([like(b, "%.%.%.%0"), like(b, "%.%.%.%1")]);
        any(["##", "%%%%", "&&", "''"].map(|mark| like(b, mark))).min(kind).min(length)
    }),
    ("gosafe", |b| any([like(b, "*GS%d%d,"), like(b, "\u{f8}\u{6}")])),
    ("ulbotech", |b| any([like(b, "*TS%d%d,"), like(b, "\u{f8}%1")])),
    ("pt502", |b| {
        let kinds =
            ["$POS,", "$PHO%d", "$PHD%d", "$FUS%d", "$HDA,", "$HDB,", "$DFR,", "$FDA,", "$CPA,", "$TOW,", "$GOF,", "$IN1,"];
        any([any(kinds.map(|head| like(b, head))), like(b, "\u{bf}\u{fb}")])
    }),
    ("huasheng", |b| any([like(b, "\u{c0}%0%0%0"), like(b, "\u{c0}%1\u{c}%0")])),
    ("easytrack", |b| like(b, "*ET,%d")),
    ("megastek", |b| any([like(b, "STX"), like(b, "LOGSTX"), like(b, "$MGV%d"), like(b, "%d%d%d%d$MGV")])),
    ("minifinder", |b| like(b, "!%a,")),
    ("cguard", |b| {
        any([like(b, "IDRO:"), like(b, "ID:%d"), like(b, "BC:%d"), like(b, "NV:%d"), like(b, "VERSION:"), like(b, "PING\r")])
    }),
    ("startek", |b| like(b, "&&%t%d%d")),
    ("v680", |b| hashed_imei(b, ["#%d#", "#%d%d#", "%d", "%w"])),
    ("tlt2h", |b| hashed_imei(b, ["#%d%d%d%d", "%l"])),
    ("vt200", packed_bracket),
    ("khd", |b| like(b, "))%.%0")),
    ("cellocator", |b| any([like(b, "MCGP"), like(b, "MCPG")])),
    ("gpsgate", |b| any([like(b, "$FRLIN,"), like(b, "$FRCMD,"), like(b, "$FRVER,")])),
    // A mark of another make's is set by installers: not told apart from others.
    ("atrack", |b| any(["@P", "@R", "\u{fe}\u{2}%0", "$INFO=", "$OK\r", "$ERROR="].map(|head| like(b, head)))),
    ("arnavi", |b| {
        let header = ["\u{ff}\"", "\u{ff}#", "\u{ff}$", "\u{ff}%%"].map(|head| like(b, head));
        any([any(header), like(b, "[%1"), like(b, "$AV,V%d")])
    }),
    ("navis", |b| like(b, "@NTC")),
    // The kind, then the version; IMEIs have a leading byte that is small.
    ("aplicom", |b| {
        let version = match b.get(1) {
            None => More,
            Some(0x01..=0x03 | 0xc1..=0xc3) => Yes,
            Some(_) => No,
        };
        any(["D", "E", "F", "H"].map(|kind| like(b, kind))).min(version)
    }),
    ("tk102", |b| like(b, "[%.%d%d%d%d%d%d%d%d%d%d")),
    ("xirgo", xirgo),
    ("ivt401", |b| like(b, "(TL%l,")),
    ("dmt", |b| like(b, "\u{2}U")),
    ("pt60", |b| any([like(b, "@B#@"), like(b, "@G#@")])),
    ("gotop", |b| any([after_digits(b, 15..=15, ",CMD-"), after_digits(b, 15..=15, ",ALM-")])),
    ("minifinder2", |b| like(b, "\u{ab}")),
    ("gt02", |b| like(b, "hh")),
    ("json", |b| like(b, JSON_LINES)),
    ("osmand", |b| if http(b) == Yes { not(is_owntracks(b)).min(not(like(b, JSON_LINES))) } else { http(b) }),
    ("owntracks", |b| http(b).min(is_owntracks(b)).min(not(like(b, JSON_LINES)))),
];

/// How requests of many positions begin.
const JSON_LINES: &str = "POST /positions";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_sign_is_of_a_protocol() {
        assert_eq!(recognised_protocols().count(), SIGNS.len());
    }

    #[test]
    fn nothing_is_undecided_and_noise_is_unknown() {
        assert_eq!(recognise(b""), Recognised::Undecided);
        assert_eq!(recognise(b"\xff\xff\xff\xff"), Recognised::Unknown);
        assert_eq!(recognise(b"hello\r\n"), Recognised::Unknown);
    }

    #[test]
    fn what_no_beginning_can_be_is_not_recognised_when_more_comes() {
        // Found by fuzzing: too many digits for an id, then what follows one.
        let long = b"(864768010159864768010159782,655782,65535,255)";
        let told: Vec<Recognised> = (0..=long.len()).map(|end| recognise(&long[..end])).collect();
        let first = told.iter().position(|told| *told != Recognised::Undecided).unwrap();
        assert!(told[first..].iter().all(|told| *told == Recognised::Unknown), "{told:?}");
    }

    #[test]
    fn http_is_told_apart_by_its_body() {
        let owntracks = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n{\"_type\":\"location\"}";
        assert_eq!(recognise(owntracks), Recognised::As("owntracks"));
        assert_eq!(recognise(&owntracks[..40]), Recognised::Undecided);
        let lines = b"POST /positions HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n{\"device\":\"a\"";
        assert_eq!(recognise(lines), Recognised::As("json"));
        assert_eq!(recognise(&lines[..9]), Recognised::Undecided);
        assert_eq!(recognise(b"GET /?id=1&lat=2&lon=3 HTTP/1.1\r\nHost: a\r\n\r\n"), Recognised::As("osmand"));
        assert_eq!(recognise(b"POST /?id=1&lat=2&lon=3 HTTP/1.1\r\nHost: a\r\n\r\n"), Recognised::As("osmand"));
    }
}
