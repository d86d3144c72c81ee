//! What a certificate calls whose it is: the common name of its subject (RFC 5280, 4.1.2.6). Only certificates that have been checked
//! are read, but nothing is believed of their lengths.

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
const VERSION: u8 = 0xa0;
/// UTF8String, PrintableString and IA5String: all of them are UTF-8.
const TEXTS: [u8; 3] = [0x0c, 0x13, 0x16];
/// 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// The common name in a certificate (DER); `None`: it has none, or several.
pub(crate) fn common_name(certificate: &[u8]) -> Option<String> {
    let (certificate, _) = tagged(SEQUENCE, certificate)?;
    let (mut fields, _) = tagged(SEQUENCE, certificate)?;
    if fields.first() == Some(&VERSION) {
        fields = element(fields)?.2;
    }
    // Serial number, algorithm, issuer, validity.
    for _ in 0..4 {
        fields = element(fields)?.2;
    }
    let (mut subject, _) = tagged(SEQUENCE, fields)?;
    let mut found = None;
    while !subject.is_empty() {
        let (mut names, others) = tagged(SET, subject)?;
        subject = others;
        while !names.is_empty() {
            let (name, others) = tagged(SEQUENCE, names)?;
            names = others;
            let (kind, value) = tagged(OBJECT_IDENTIFIER, name)?;
            if kind != COMMON_NAME {
                continue;
            }
            let (tag, text, _) = element(value)?;
            if !TEXTS.contains(&tag) || found.is_some() {
                return None;
            }
            found = Some(std::str::from_utf8(text).ok()?.to_owned());
        }
    }
    found.filter(|name| !name.is_empty())
}

/// What is in the first element, if it is of this kind, and what comes after it.
fn tagged(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = element(bytes)?;
    (found == tag).then_some((content, rest))
}

/// Tag and content of the first element, and what comes after it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |length, digit| (length << 8) | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}
