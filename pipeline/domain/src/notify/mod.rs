//! Notifications: which events somebody wants to be told of, how, and what has become of each telling.
//!
//! A [`Report`] tells by itself, once a day or week. A [`NotificationRule`] picks events and names a [`Channel`]. The [`Matcher`] decides what follows from an event; each telling is a
//! [`Delivery`], whose id follows from the rule and the event, and whose record in the log is its whole state.

mod channel;
mod delivery;
mod matching;
mod report;
mod retries;
mod rule;
mod words;

pub use channel::{Channel, MAX_RECIPIENTS, Secret, Target, Topic};
pub use delivery::{Content, Delivery, DeliveryState, Names};
pub use matching::{MAX_AGE_MS, Matcher, Verdict};
pub use report::{Every, LATEST_MS, LocalTime, LocalTimeText, Per, Period, Report, ReportFormat};
pub use retries::{Outcome, Retries};
pub use rule::{MAX_EVERY_MIN, NotificationRule};
pub use words::headline;
