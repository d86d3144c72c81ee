//! How beginnings of streams are compared: patterns of bytes, each of which some bytes fit, do not fit, or do not fit yet.

use crate::readers::find;

/// Whether a stream of a protocol can begin with some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// It cannot.
    No,
    /// So far it can.
    More,
    /// It does.
    Yes,
}

/// Whether a stream can begin with these bytes.
pub(super) type Sign = fn(&[u8]) -> Verdict;

pub(super) use Verdict::{More, No, Yes};

pub(super) fn any<const N: usize>(verdicts: [Verdict; N]) -> Verdict {
    verdicts.into_iter().max().unwrap_or(No)
}

pub(super) fn not(verdict: Verdict) -> Verdict {
    match verdict {
        No => Yes,
        More => More,
        Yes => No,
    }
}

/// Compares with a pattern of Latin-1 characters: `%d` digit, `%l` capital letter, `%w` small letter, `%m` any letter, `%a` capital
/// letter or digit, `%t` printable, `%.` any byte, `%%` a percent sign, `%0` and `%1` these bytes.
pub(super) fn like(bytes: &[u8], pattern: &str) -> Verdict {
    let mut pattern = pattern.chars();
    let mut bytes = bytes.iter();
    while let Some(wanted) = pattern.next() {
        let class = if wanted == '%' { pattern.next() } else { None };
        let Some(byte) = bytes.next() else { return More };
        let fits = match class {
            None => u32::from(*byte) == u32::from(wanted),
            Some('d') => byte.is_ascii_digit(),
            Some('l') => byte.is_ascii_uppercase(),
            Some('w') => byte.is_ascii_lowercase(),
            Some('m') => byte.is_ascii_alphabetic(),
            Some('a') => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Some('t') => byte.is_ascii_graphic(),
            Some('%') => *byte == b'%',
            Some('0') => *byte == 0,
            Some('1') => *byte == 1,
            Some(_) => true,
        };
        if !fits {
            return No;
        }
    }
    Yes
}

/// So many digits, and behind them a text.
pub(super) fn after_digits(bytes: &[u8], count: std::ops::RangeInclusive<usize>, text: &str) -> Verdict {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    match () {
        () if digits > *count.end() => No,
        () if digits == bytes.len() => More,
        () if digits < *count.start() => No,
        () => like(&bytes[digits..], text),
    }
}

/// `(`, the digits of an id, perhaps a comma, and what stands next.
pub(super) fn bracket(bytes: &[u8], next: fn(&u8) -> bool) -> Verdict {
    let Some((b'(', rest)) = bytes.split_first() else { return if bytes.is_empty() { More } else { No } };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (id, mut rest) = rest.split_at(digits);
    if digits > 20 {
        return No;
    }
    if rest.is_empty() {
        return More;
    }
    let comma = rest[0] == b',';
    if comma {
        rest = &rest[1..];
    }
    match rest.first() {
        None => More,
        Some(byte) if id.len() >= 11 && next(byte) && (comma || byte.is_ascii_uppercase()) => Yes,
        Some(_) => No,
    }
}

/// `#`, 15 digits, `#`, and what stands next.
pub(super) fn hashed_imei<const N: usize>(bytes: &[u8], next: [&str; N]) -> Verdict {
    match like(bytes, "#%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d#") {
        Yes => any(next.map(|next| like(&bytes[17..], next))),
        verdict => verdict,
    }
}

/// `(` and an id of six bytes of packed digits that are no text.
pub(super) fn packed_bracket(bytes: &[u8]) -> Verdict {
    let Some((b'(', rest)) = bytes.split_first() else { return if bytes.is_empty() { More } else { No } };
    let id = &rest[..rest.len().min(6)];
    match id {
        _ if !id.iter().all(|byte| byte >> 4 <= 9 && byte & 0xf <= 9) => No,
        [_, _, _, _, _, _] if id.iter().all(u8::is_ascii_digit) => No,
        [_, _, _, _, _, _] => Yes,
        _ => More,
    }
}

pub(super) fn is_packed(byte: &u8) -> bool {
    byte >> 4 <= 9 && byte & 0xf <= 9
}

/// Packed digits that are no later than these; all of them.
pub(super) fn within(bytes: &[u8], at: usize, least: [u8; 3], most: [u8; 3]) -> Verdict {
    match bytes.get(at..at + 3) {
        None => More,
        Some(found) => {
            let fits =
                found.iter().zip(least).zip(most).all(|((byte, least), most)| is_packed(byte) && (least..=most).contains(byte));
            if fits { Yes } else { No }
        }
    }
}

/// `$`, an id of 5 or 8 bytes and `hhmmssddmmyy`, all packed digits.
pub(super) fn packed_clock(bytes: &[u8]) -> Verdict {
    let Some((b'$', rest)) = bytes.split_first() else { return if bytes.is_empty() { More } else { No } };
    let clock = |at: usize| {
        let time = within(rest, at, [0, 0, 0], [0x23, 0x59, 0x59]);
        let date = within(rest, at + 3, [1, 1, 0], [0x31, 0x12, 0x49]);
        if rest.iter().take(at).all(is_packed) { time.min(date) } else { No }
    };
    any([clock(5), clock(8)])
}

/// `$`, an id of 5 bytes, `kind_bytes` of kind, a length of two, `ddmmyyhhmmss`.
pub(super) fn packed_jt600(bytes: &[u8], kind_bytes: usize) -> Verdict {
    let Some((b'$', rest)) = bytes.split_first() else { return if bytes.is_empty() { More } else { No } };
    let at = 5 + kind_bytes;
    let length = match rest.get(at) {
        None => More,
        Some(0 | 1) => Yes,
        Some(_) => No,
    };
    let date = within(rest, at + 2, [1, 1, 5], [0x31, 0x12, 0x49]);
    let time = within(rest, at + 5, [0, 0, 0], [0x23, 0x59, 0x59]);
    if rest.iter().take(6).all(is_packed) { length.min(date).min(time) } else { No }
}

pub(super) fn telic(bytes: &[u8]) -> Verdict {
    let rest = bytes.splitn(2, |byte| *byte == b',').nth(1).unwrap_or_default();
    let dated = after_digits(bytes, 12..=12, ",").min(after_digits(rest, 12..=12, ",%d"));
    let numbered = any([after_digits(bytes, 10..=10, "|%d%d%d|"), after_digits(bytes, 19..=19, "|%d")]);
    any([dated, numbered, after_digits(bytes, 21..=21, ",%d%d%d%d%d%d%d%d")])
}

/// `$$`, the digits of an id, and an event.
pub(super) fn xirgo(bytes: &[u8]) -> Verdict {
    like(bytes, "$$%d").min(after_digits(bytes.get(2..).unwrap_or_default(), 9..=16, ",%d%d%d%d,"))
}

/// A type and a length of two bytes below 256.
pub(super) fn binary_suntech(bytes: &[u8]) -> Verdict {
    match bytes {
        [] => More,
        [0x02 | 0x81 | 0x82, rest @ ..] => match rest {
            [] | [0] => More,
            [0, 1..=255, ..] => Yes,
            _ => No,
        },
        _ => No,
    }
}

pub(super) fn http(bytes: &[u8]) -> Verdict {
    any([like(bytes, "GET /"), like(bytes, "POST /"), like(bytes, "PUT /"), like(bytes, "HEAD /")])
}

/// OwnTracks names its user in the head, or says what it sends in the body.
pub(super) fn is_owntracks(bytes: &[u8]) -> Verdict {
    let head_end = find(bytes, b"\r\n\r\n");
    let head = String::from_utf8_lossy(&bytes[..head_end.unwrap_or(bytes.len())]).to_ascii_lowercase();
    match head_end {
        _ if head.contains("\nx-limit-u:") => Yes,
        _ if head.starts_with("get /?") => No,
        None => More,
        Some(_) if !head.contains("json") && !head.contains("\ncontent-length:") => No,
        Some(end) => {
            let body = bytes[end + 4..].trim_ascii_start();
            let told = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
            match body.first() {
                Some(b'{') if find(body, b"\"_type\"").is_some() => Yes,
                Some(b'{') if told.is_some_and(|told| bytes.len() < end + 4 + told) => More,
                None if told.is_some_and(|told| told > 0) => More,
                _ => No,
            }
        }
    }
}
