//! Notifications: channels, rules, and what has become of deliveries.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

/// A way to notify.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS, ToSchema)]
pub struct ChannelInfo {
    /// Key.
    pub id: String,
    /// For people.
    pub name: String,
    /// What kind it is.
    #[ts(type = "\"webhook\" | \"email\" | \"mqtt\"")]
    pub r#type: String,
    /// Of a webhook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub url: Option<String>,
    /// Of e-mail: recipients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub to: Option<Vec<String>>,
    /// Of MQTT: the topic behind the server's prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub topic: Option<String>,
}

/// A new or changed way to notify.
#[derive(Clone, Default, Serialize, Deserialize, TS, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChannelEdit {
    /// For people.
    pub name: String,
    /// What kind it is.
    #[ts(type = "\"webhook\" | \"email\" | \"mqtt\"")]
    pub r#type: String,
    /// Of a webhook: `https://…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub url: Option<String>,
    /// Of a webhook: what requests are signed with, 16 to 256 bytes. It is never shown; in a change, missing means as before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub secret: Option<String>,
    /// Of e-mail: 1 to 50 recipients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub to: Option<Vec<String>>,
    /// Of MQTT: with `{organisation}`, `{fleet}`, `{device}`, `{kind}`, `{geofence}` for what the event says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub topic: Option<String>,
}

/// Weekly hours in a time zone, with exceptions by date.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QuietHours {
    /// Name in the IANA database: `Europe/Warsaw`.
    pub time_zone: String,
    /// `mon-fri 22:00-06:00` (until the next morning), `sun 00:00-24:00`.
    pub hours: Vec<String>,
    /// Days on which none begin: `2026-12-25`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(optional, as = "Option<Vec<String>>")]
    pub closed: Vec<String>,
}

/// Which events are told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS, ToSchema)]
pub struct NotificationRuleInfo {
    /// Key.
    pub id: String,
    /// What it says.
    #[serde(flatten)]
    pub rule: NotificationRuleEdit,
}

/// A new or changed rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NotificationRuleEdit {
    /// For people.
    pub name: String,
    /// Off: tells nothing.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Kinds of events, at least one: `enter`, `exit`, `alarm`, …
    pub kinds: Vec<String>,
    /// Keys of fleets; none: all.
    #[serde(default)]
    pub fleets: Vec<String>,
    /// Keys of geofences; none: any, and events about none.
    #[serde(default)]
    pub geofences: Vec<String>,
    /// Nothing is told while these run, nor afterwards.
    #[serde(default)]
    pub quiet_hours: Option<QuietHours>,
    /// After an event of a device was told, further ones of it are not for so many minutes; at most 1440.
    #[serde(default)]
    pub at_most_every_min: u32,
    /// Key of the channel.
    pub channel: String,
}

fn yes() -> bool {
    true
}

fn vehicle() -> String {
    "vehicle".to_owned()
}

/// A summary that is sent by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS, ToSchema)]
pub struct ReportInfo {
    /// Key.
    pub id: String,
    /// What it says.
    #[serde(flatten)]
    pub report: ReportEdit,
}

/// A new or changed report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportEdit {
    /// For people.
    pub name: String,
    /// Off: is not sent.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Keys of fleets; none: all.
    #[serde(default)]
    pub fleets: Vec<String>,
    /// What has a line of its own.
    #[serde(default = "vehicle")]
    #[ts(type = "\"vehicle\" | \"fleet\"")]
    pub per: String,
    /// What it is about: the day before, or the week before, Monday to Sunday, which is told on Monday.
    #[ts(type = "\"day\" | \"week\"")]
    pub every: String,
    /// When it is sent, in its time zone: `07:00`.
    pub time: String,
    /// Name in the IANA database: `Europe/Warsaw`. Days begin at its midnight.
    pub time_zone: String,
    /// What is attached.
    #[ts(type = "\"csv\" | \"xlsx\"")]
    pub format: String,
    /// Key of a channel of type `email`.
    pub channel: String,
}

/// One notification over one channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS, ToSchema)]
pub struct DeliveryInfo {
    /// Key: receivers see the same, however often it is tried.
    pub id: String,
    /// Key of the rule; `null`: a test or a report.
    pub rule: Option<String>,
    /// Key of the channel.
    pub channel: String,
    /// What is told, in a sentence.
    pub headline: String,
    /// Id of the event.
    pub event_id: Option<String>,
    /// Of the event.
    pub kind: Option<String>,
    /// Of the event.
    pub device: Option<String>,
    /// Of the event.
    #[ts(type = "number | null")]
    pub fix_time: Option<i64>,
    /// When it was decided that it is told.
    #[ts(type = "number")]
    pub matched_at: i64,
    /// What has become of it.
    #[ts(type = "\"pending\" | \"delivered\" | \"dead\"")]
    pub state: String,
    /// Since when.
    #[ts(type = "number")]
    pub changed_at: i64,
    /// So far; those before somebody had it tried again are not counted.
    pub attempts: u32,
    /// Of one that is pending.
    #[ts(type = "number | null")]
    pub next_try_at: Option<i64>,
    /// Why it is dead, or why the last attempt failed.
    pub note: Option<String>,
}

/// Deliveries, newest first.
#[derive(Debug, Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct DeliveriesAnswer {
    /// Newest first.
    pub deliveries: Vec<DeliveryInfo>,
    /// There are older ones.
    pub truncated: bool,
}

/// A test is on its way.
#[derive(Debug, Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct TestAnswer {
    /// Key of its delivery: look there for what becomes of it.
    pub delivery: String,
}
