//! How somebody is told: by webhook, e-mail or MQTT.

use crate::{ChannelId, Event, OrganisationId};
use serde::{Deserialize, Serialize};
use std::fmt;
use url::Url;

/// Most recipients of one channel.
pub const MAX_RECIPIENTS: usize = 50;
/// Shortest secret, bytes.
const MIN_SECRET: usize = 16;
/// Longest secret, bytes.
const MAX_SECRET: usize = 256;
const MAX_URL: usize = 2_048;
/// RFC 5321: 64 before the @, 255 after it, 254 together.
const MAX_ADDRESS: usize = 254;
const MAX_TOPIC: usize = 512;

/// A way to tell somebody, kept by an organisation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Channel {
    /// Its key.
    pub id: ChannelId,
    /// Owner.
    pub organisation: OrganisationId,
    /// For people.
    pub name: String,
    /// Where to.
    pub target: Target,
}

/// Where to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Target {
    /// A POST to an address of the web, signed.
    Webhook {
        /// `https://…` or `http://…`.
        url: String,
        /// The receiver has it too.
        secret: Secret,
    },
    /// An e-mail to all of them.
    Email {
        /// Addresses.
        to: Vec<String>,
    },
    /// A publication on the server's broker.
    Mqtt {
        /// Behind the server's own prefix.
        topic: Topic,
    },
}

/// A text that is shown to nobody. It is written in the catalog, as signing needs it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Channel {
    /// What is wrong with it by itself.
    ///
    /// # Errors
    /// `field: what is wrong`.
    pub fn check(&self) -> Result<(), String> {
        match &self.target {
            Target::Webhook { url, secret } => {
                check_url(url).map_err(|wrong| format!("url: {wrong}"))?;
                if !(MIN_SECRET..=MAX_SECRET).contains(&secret.0.len()) {
                    return Err(format!("secret: it has {MIN_SECRET} to {MAX_SECRET} bytes"));
                }
            }
            Target::Email { to } => {
                if to.is_empty() || to.len() > MAX_RECIPIENTS {
                    return Err(format!("to: there are 1 to {MAX_RECIPIENTS} recipients"));
                }
                if let Some(wrong) = to.iter().find(|address| !is_address(address)) {
                    return Err(format!("to: {wrong:?} is not an e-mail address"));
                }
            }
            Target::Mqtt { topic } => drop(Topic::parse(&topic.0).map_err(|wrong| format!("topic: {wrong}"))?),
        }
        Ok(())
    }

    /// `webhook`, `email` or `mqtt`.
    pub const fn kind(&self) -> &'static str {
        match self.target {
            Target::Webhook { .. } => "webhook",
            Target::Email { .. } => "email",
            Target::Mqtt { .. } => "mqtt",
        }
    }
}

fn check_url(text: &str) -> Result<(), String> {
    if text.len() > MAX_URL {
        return Err(format!("it has more than {MAX_URL} bytes"));
    }
    let url = Url::parse(text).map_err(|e| format!("not an address of the web: {e}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("it begins with http:// or https://".into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a name and a password don't belong into it: check the signature instead".into());
    }
    if url.host().is_none() {
        return Err("it has no host".into());
    }
    Ok(())
}

fn is_address(text: &str) -> bool {
    let plain = |part: &str, most: usize| {
        !part.is_empty()
            && part.len() <= most
            && !part.starts_with('.')
            && !part.ends_with('.')
            && !part.contains("..")
            && part.chars().all(|c| !c.is_control() && !c.is_whitespace() && !"<>()[]\\,;:\"@".contains(c))
    };
    text.len() <= MAX_ADDRESS && text.split_once('@').is_some_and(|(name, host)| plain(name, 64) && plain(host, 255))
}

/// A topic with words in braces for what an event says: `{organisation}`, `{fleet}`, `{device}`, `{kind}`, `{geofence}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Topic(String);

impl Topic {
    /// Checked.
    ///
    /// # Errors
    /// What is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > MAX_TOPIC {
            return Err(format!("it has 1 to {MAX_TOPIC} bytes"));
        }
        if let Some(wrong) = text.chars().find(|c| matches!(c, '+' | '#') || c.is_control()) {
            return Err(format!("{wrong:?} can't stand in a topic that is published to"));
        }
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let end = rest[at..].find('}').filter(|_| rest[at..].starts_with('{')).ok_or("braces don't match")?;
            let word = &rest[at + 1..at + end];
            if !WORDS.contains(&word) {
                return Err(format!("{{{word}}} is none of {}", WORDS.map(|w| format!("{{{w}}}")).join(", ")));
            }
            rest = &rest[at + end + 1..];
        }
        Ok(Self(text.to_owned()))
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The topic of an event. Characters that can't stand in a topic become `_`; `-` stands for what the event doesn't say.
    pub fn of(&self, organisation: &OrganisationId, event: Option<&Event>) -> String {
        let words = [
            organisation.as_str(),
            event.map_or("-", |e| e.fleet.as_str()),
            event.map_or("-", |e| e.device.as_str()),
            event.map_or("test", |e| e.kind.as_str()),
            event.and_then(|e| e.geofence.as_ref()).map_or("-", |g| g.as_str()),
        ];
        let mut out = String::new();
        let mut rest = self.0.as_str();
        while let Some((before, (word, after))) = rest.split_once('{').and_then(|(b, r)| Some((b, r.split_once('}')?))) {
            out.push_str(before);
            let value = WORDS.iter().position(|w| *w == word).map_or("", |i| words[i]);
            out.extend(value.chars().map(|c| if matches!(c, '+' | '#') { '_' } else { c }));
            rest = after;
        }
        out + rest
    }
}

const WORDS: [&str; 5] = ["organisation", "fleet", "device", "kind", "geofence"];

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(target: Target) -> Option<String> {
        let (id, organisation) = ("c".parse().expect("id"), "o".parse().expect("id"));
        Channel { id, organisation, name: "C".into(), target }.check().err()
    }

    fn webhook(url: &str) -> Option<String> {
        fault(Target::Webhook { url: url.into(), secret: Secret("0123456789abcdef".into()) })
    }

    #[test]
    fn what_is_wrong_is_told_by_field() {
        assert_eq!(webhook("https://hooks.example.org/in?key=7"), None);
        for url in ["", "hooks.example.org", "ftp://example.org", "https://me:pw@example.org/", "https://"] {
            assert!(webhook(url).is_some_and(|wrong| wrong.starts_with("url: ")), "{url}");
        }
        let short = Target::Webhook { url: "https://example.org".into(), secret: Secret("short".into()) };
        assert!(fault(short).is_some_and(|wrong| wrong.starts_with("secret: ")));
        let email = |to: &str| fault(Target::Email { to: vec![to.into()] });
        assert_eq!(email("dispatch+night@fleet.example"), None);
        for to in ["", "me", "@x", "me@", "a b@x.org", "Me <me@x.org>", "me@x.org\r\nBcc: you@y.org", "a@b@c"] {
            assert!(email(to).is_some_and(|wrong| wrong.starts_with("to: ")), "{to}");
        }
        assert!(fault(Target::Email { to: Vec::new() }).is_some_and(|wrong| wrong.starts_with("to: ")));
        let topic = |text: &str| Topic::parse(text).err();
        assert_eq!(topic("{fleet}/{device}/{kind}"), None);
        for text in ["", "a/#", "+/a", "{tyre}", "{fleet", "fleet}", "}{", "a\0b"] {
            assert!(topic(text).is_some(), "{text}");
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        let target = Target::Webhook { url: "https://example.org".into(), secret: Secret("0123456789abcdef".into()) };
        assert!(!format!("{target:?}").contains("0123"));
    }

    #[test]
    fn nothing_that_an_event_says_makes_a_wildcard() {
        let mut event = super::super::matching::tests::event("a/+/#");
        event.geofence = None;
        let topic = Topic::parse("x/{device}/{geofence}/{kind}").expect("fine");
        assert_eq!(topic.of(&"o".parse().expect("id"), Some(&event)), "x/a/_/_/-/enter");
        assert_eq!(topic.of(&"o".parse().expect("id"), None), "x/-/-/test");
    }
}
