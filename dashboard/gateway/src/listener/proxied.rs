//! Who asks, where proxies stand in front.

use axum::http::HeaderMap;
use std::net::{IpAddr, SocketAddr};
use waystream_domain::Network;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// Whether an address is that of a proxy that is trusted.
pub(super) fn is_proxy(proxies: &[Network], address: IpAddr) -> bool {
    proxies.iter().any(|network| network.contains(address))
}

/// The other end; if that is a proxy, whom it asks for. Each proxy adds at the end whom it has heard, so nothing counts that stands before
/// the first one who is no proxy: he may have made it up.
pub(super) fn client(headers: &HeaderMap, peer: IpAddr, proxies: &[Network]) -> IpAddr {
    let mut client = peer;
    let lines = headers.get_all(FORWARDED_FOR).iter().rev();
    let mut named = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(',')).map(address);
    while is_proxy(proxies, client) {
        match named.next().flatten() {
            Some(address) => client = address,
            None => break,
        }
    }
    client
}

/// Some proxies tell the port, too.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let alone = text.parse::<IpAddr>().ok();
    alone.or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip())).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_proxies_that_are_trusted_say_who_asks() {
        let proxies = ["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
        for (peer, lines, expected) in [
            // Nobody who is not trusted.
            ("192.0.2.1", &["203.0.113.7"][..], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.7"], "203.0.113.7"),
            ("2001:db8::1", &["203.0.113.7:4711"], "203.0.113.7"),
            ("10.0.0.1", &["[2001:db9::7]:80"], "2001:db9::7"),
            // What the client has made up stands before what the proxy has added.
            ("10.0.0.1", &["127.0.0.1, 203.0.113.7"], "203.0.113.7"),
            ("10.0.0.1", &["127.0.0.1", "203.0.113.7"], "203.0.113.7"),
            ("10.0.0.1", &["198.51.100.1, 203.0.113.7, 10.0.0.2"], "203.0.113.7"),
            // What is no address ends it.
            ("10.0.0.1", &["203.0.113.7, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.7, ,10.0.0.2"], "10.0.0.2"),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(FORWARDED_FOR, line.parse().unwrap());
            }
            let expected: IpAddr = expected.parse().unwrap();
            assert_eq!(client(&headers, peer.parse().unwrap(), &proxies), expected, "{peer} {lines:?}");
        }
    }
}
