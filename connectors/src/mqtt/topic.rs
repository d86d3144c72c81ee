//! Topics of subscriptions: which publications they are for, and what of the topic says whose they are.

use smol_str::SmolStr;
use waystream_domain::{DeviceId, FleetId};

/// A topic filter whose levels may be named: `{device}` and `{fleet}` stand for one level each, as `+` does. `$share/group/` in
/// front shares it with others who name the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    text: String,
    /// Of publications: without `$share/group/`.
    levels: Vec<Level>,
    shared: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Level {
    Device,
    Fleet,
    One,
    Rest,
    Word(SmolStr),
}

/// What a topic tells.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) device: Option<DeviceId>,
    pub(super) fleet: Option<FleetId>,
}

impl Template {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let shared = if text.starts_with("$share/") { 2 } else { 0 };
        let mut levels = Vec::new();
        for level in text.split('/').skip(shared) {
            if levels.last() == Some(&Level::Rest) {
                return Err(format!("topic {text:?}: # is the last level only"));
            }
            levels.push(match level {
                "{device}" => Level::Device,
                "{fleet}" => Level::Fleet,
                "+" => Level::One,
                "#" => Level::Rest,
                word if word.contains(['+', '#', '{', '}', '\0']) => {
                    return Err(format!("topic {text:?}: {word:?} is no level; there are {{device}}, {{fleet}}, + and #"));
                }
                word => Level::Word(word.into()),
            });
        }
        let once = |wanted: &Level| levels.iter().filter(|level| *level == wanted).count() <= 1;
        if levels.is_empty() || text.is_empty() || !once(&Level::Device) || !once(&Level::Fleet) {
            return Err(format!("topic {text:?}: it needs a level, and {{device}} and {{fleet}} at most once"));
        }
        Ok(Self { text: text.into(), levels, shared })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// What the broker is asked for.
    pub(super) fn filter(&self) -> String {
        let shared = self.text.split('/').take(self.shared).map(str::to_owned);
        let levels = self.levels.iter().map(|level| match level {
            Level::Device | Level::Fleet | Level::One => "+".to_owned(),
            Level::Rest => "#".to_owned(),
            Level::Word(word) => word.to_string(),
        });
        shared.chain(levels).collect::<Vec<_>>().join("/")
    }

    /// What a topic tells; `None`: it is not of this subscription. A level that is no id tells nothing.
    pub(super) fn told(&self, topic: &str) -> Option<Told> {
        let mut told = Told::default();
        let mut names = topic.split('/');
        for level in &self.levels {
            match level {
                Level::Rest => return Some(told),
                Level::One => drop(names.next()?),
                Level::Word(word) if names.next()? == word => {}
                Level::Word(_) => return None,
                Level::Device => told.device = DeviceId::new(names.next()?).ok(),
                Level::Fleet => told.fleet = FleetId::new(names.next()?).ok(),
            }
        }
        names.next().is_none().then_some(told)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn levels_say_whose_a_publication_is() {
        let template = Template::parse("$share/us/trackers/{fleet}/{device}/gps").unwrap();
        assert_eq!(template.filter(), "$share/us/trackers/+/+/gps");
        let told = template.told("trackers/north/van-1/gps").unwrap();
        assert_eq!((told.fleet.unwrap().as_str(), told.device.unwrap().as_str()), ("north", "van-1"));
        for other in ["trackers/north/van-1", "trackers/north/van-1/gps/x", "trackers/north/van-1/status", ""] {
            assert_eq!(template.told(other), None, "{other}");
        }
        let rest = Template::parse("a/{device}/#").unwrap();
        assert!(rest.told("a/b").is_some() && rest.told("a/b/c/d").is_some() && rest.told("b/b").is_none());
        assert_eq!(Template::parse("+/x").unwrap().told("any/x"), Some(Told::default()));
    }

    #[test]
    fn what_no_broker_would_take_is_refused() {
        for text in ["", "a/#/b", "a+/b", "{car}/x", "{device}/{device}", "$share/us"] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }
}
