//! Where the Redis is that gateways share.

use serde::{Deserialize, Serialize, Serializer};
use std::fmt;

/// An address with which a password may come, and without which it is printed.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct RedisUrl(pub String);

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((scheme, rest)) = self.0.split_once("://") else { return f.write_str(&self.0) };
        // A path to a socket has user and password behind it.
        let rest = rest.split('?').next().unwrap_or_default();
        match rest.rsplit_once('@') {
            None => write!(f, "{scheme}://{rest}"),
            Some((who, server)) => write!(f, "{scheme}://{}:…@{server}", who.split(':').next().unwrap_or_default()),
        }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl Serialize for RedisUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_password_of_redis_is_not_printed() {
        for (url, printed) in [
            ("", ""),
            ("redis://127.0.0.1:6379", "redis://127.0.0.1:6379"),
            ("rediss://:secret@redis:6379/1", "rediss://:…@redis:6379/1"),
            ("redis://me:se@cret@redis", "redis://me:…@redis"),
            ("redis+unix:///run/redis?pass=secret", "redis+unix:///run/redis"),
        ] {
            let url = RedisUrl(url.into());
            assert_eq!(url.to_string(), printed);
            assert_eq!(serde_json::to_value(&url).unwrap(), printed);
            assert_eq!(format!("{url:?}"), format!("\"{printed}\""));
        }
    }
}
