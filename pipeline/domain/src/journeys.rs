//! Trips and stops of one device out of history: what the fold would tell of the same fixes, by whichever rules.

use crate::{Attributes, EventKind, Fix, Motion, TripRules};

/// Takes in the fixes of one device in order of time.
#[derive(Debug, Clone)]
pub struct Journeys {
    rules: TripRules,
    /// Of the last fix, with it.
    known: Option<(Fix, Motion)>,
    /// The last ignition known.
    ignition: Option<bool>,
}

impl Journeys {
    /// Before the first fix.
    pub const fn new(rules: TripRules) -> Self {
        Self { rules, known: None, ignition: None }
    }

    /// What the next fix shows to have begun or ended; nothing if it is not newer than the last.
    pub fn take(&mut self, fix: Fix) -> Vec<(EventKind, Attributes)> {
        let mut told = Vec::new();
        match &mut self.known {
            Some((last, _)) if fix.fix_time <= last.fix_time => return told,
            Some((last, motion)) => {
                let cut = self.ignition == Some(true) && fix.ignition == Some(false);
                motion.advance(last, &fix, cut, &self.rules, &mut told);
                *last = fix;
            }
            None => self.known = Some((fix, Motion::first(&fix))),
        }
        self.ignition = fix.ignition.or(self.ignition);
        told
    }
}
