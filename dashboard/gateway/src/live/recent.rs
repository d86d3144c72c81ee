//! The events that were told last, so that an alert can be acknowledged before the archive has it, or while it is away.

use std::collections::{HashMap, VecDeque};
use waystream_domain::{EventId, FleetId};

/// Events that are remembered: some megabytes. A busy gateway's last minutes, when the archive is seconds behind.
const REMEMBERED: usize = 20_000;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct RecentEvents {
    fleets: HashMap<EventId, FleetId>,
    oldest_first: VecDeque<EventId>,
}

impl RecentEvents {
    /// It has happened, or something about it has changed.
    pub(crate) fn note(&mut self, event: &EventId, fleet: &FleetId) {
        if self.fleets.insert(event.clone(), fleet.clone()).is_some() {
            return;
        }
        self.oldest_first.push_back(event.clone());
        if self.oldest_first.len() > REMEMBERED
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.fleets.remove(&oldest);
        }
    }

    /// The fleet of an event that is remembered.
    pub(crate) fn fleet(&self, event: &EventId) -> Option<&FleetId> {
        self.fleets.get(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_remembered_and_one_that_is_told_twice_counts_once() {
        let id = |n: usize| EventId::from_text(&format!("a/-/alarm/{n}"));
        let north: FleetId = "north".parse().expect("id");
        let mut recent = RecentEvents::default();
        for n in 0..REMEMBERED {
            recent.note(&id(n), &north);
            recent.note(&id(n), &north);
        }
        assert_eq!(recent.fleet(&id(0)), Some(&north));
        recent.note(&id(REMEMBERED), &north);
        assert_eq!(recent.fleet(&id(0)), None);
        assert!(recent.fleet(&id(1)).is_some() && recent.fleet(&id(REMEMBERED)).is_some());
        assert_eq!(recent.fleets.len(), REMEMBERED);
    }
}
