//! Whether a device is heard: told when it falls silent, and when it is heard again. By the clock of the log, not by fix times.

use crate::{LinkRules, Timestamp};

/// How long a device has been silent, as far as it was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Link {
    /// Heard.
    #[default]
    Online,
    /// Not heard for a while.
    Late,
    /// Not heard for long.
    Offline,
}

impl Link {
    /// The next thing to be told at that time, and the time from which on it was so.
    pub(crate) fn next(self, heard_at: Timestamp, now: Timestamp, rules: &LinkRules) -> Option<(Self, Timestamp)> {
        let (next, after_ms) = match self {
            Self::Online => (Self::Late, rules.late_ms),
            Self::Late => (Self::Offline, rules.offline_ms),
            Self::Offline => return None,
        };
        (now.millis_since(heard_at) >= after_ms).then(|| (next, heard_at.plus_millis(after_ms)))
    }
}
