//! What a sender shows of itself, and what of it speaks against its being the device that it names.

use crate::protocol::{Fault, FaultKind, HttpRequest};
use std::fmt;
use std::net::SocketAddr;
use waystream_domain::{Catalog, DeviceId};

/// What a sender has shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shown<'a> {
    /// A name.
    Nothing,
    /// A token, of whatever device.
    Token(&'a str),
    /// A certificate that names a device, checked.
    Certificate(&'a str),
    /// It is known to be whose it says: by a broker that asks for passwords, or because we read our own files.
    SignedIn,
}

/// Tokens stay out of logs.
impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Token(_) => "Token(…)",
            Self::Certificate(_) => "Certificate(…)",
            Self::SignedIn => "SignedIn",
        })
    }
}

/// What speaks against it; nothing does where the catalog asks for nothing. A rule that can't be checked, because nobody knows
/// the address, is not met.
pub(crate) fn contradiction(catalog: &Catalog, device: &DeviceId, peer: Option<SocketAddr>, shown: Shown<'_>) -> Option<Fault> {
    if let Shown::Certificate(name) = shown
        && name != device.as_str()
    {
        return Some(Fault::new(FaultKind::WrongCertificate, "the certificate names another device"));
    }
    if let Some(rule) = catalog.device_addresses.get(device) {
        let may = peer.map_or(shown == Shown::SignedIn, |peer| rule.hold(peer.ip()));
        if !may {
            return Some(Fault::new(FaultKind::WrongAddress, "an address that the device may not speak from"));
        }
    }
    let token = catalog.device_tokens.get(device)?;
    let detail = match shown {
        Shown::SignedIn | Shown::Certificate(_) => return None,
        Shown::Token(text) if token.is(text) => return None,
        Shown::Token(_) => "another token than the device's",
        Shown::Nothing => "no token, and the device has one",
    };
    Some(Fault::new(FaultKind::WrongToken, detail))
}

/// The token that a request shows: `token=` in its query, or as a bearer, or as the password of whatever user.
pub(crate) fn token_of(request: &HttpRequest<'_>) -> Option<String> {
    let of_query = request.query().and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix(TOKEN)));
    if let Some(token) = of_query {
        return Some(token.to_owned());
    }
    let (scheme, text) = request.header("authorization")?.split_once(' ')?;
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" => Some(text.trim().to_owned()),
        "basic" => {
            let pair = String::from_utf8(from_base64(text.trim())?).ok()?;
            pair.split_once(':').map(|(_, password)| password.to_owned())
        }
        _ => None,
    }
}

const TOKEN: &str = "token=";

/// The same address without what is shown in it: for what is kept of a request.
pub(crate) fn without_token(uri: &str) -> String {
    let Some((path, query)) = uri.split_once('?') else { return uri.to_owned() };
    let kept: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with(TOKEN)).collect();
    format!("{path}?{}", kept.join("&"))
}

/// RFC 4648, section 4.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    let (mut bits, mut held, mut bytes) = (0_u32, 0, Vec::new());
    for digit in text.trim_end_matches('=').bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(uri: &str, authorization: Option<&str>) -> Option<String> {
        let headers: Vec<_> = authorization.map(|value| ("Authorization", value)).into_iter().collect();
        token_of(&HttpRequest { method: "POST", uri, headers: &headers, body: b"" })
    }

    #[test]
    fn a_token_is_found_where_devices_can_put_it() {
        assert_eq!(shown("/?id=1&token=wdev_1&lat=2", None).as_deref(), Some("wdev_1"));
        assert_eq!(shown("/", Some("Bearer wdev_1")).as_deref(), Some("wdev_1"));
        // jane:wdev_1 and jane:a:b
        assert_eq!(shown("/", Some("Basic amFuZTp3ZGV2XzE=")).as_deref(), Some("wdev_1"));
        assert_eq!(shown("/", Some("basic amFuZTphOmI=")).as_deref(), Some("a:b"));
        assert_eq!(shown("/?id=1&tokens=2", None), None);
        for wrong in ["", "Basic", "Basic ###", "Basic amFuZQ==", "Basic /w==", "Digest x"] {
            assert_eq!(shown("/?id=1&tokens=2", Some(wrong)), None, "{wrong}");
        }
    }

    #[test]
    fn no_token_is_kept_or_printed() {
        assert_eq!(without_token("/?id=1&token=wdev_1&lat=2"), "/?id=1&lat=2");
        assert_eq!((without_token("/?token=wdev_1"), without_token("/a")), ("/?".into(), "/a".into()));
        assert!(!format!("{:?}", Shown::Token("wdev_1")).contains("wdev_1"));
    }
}
