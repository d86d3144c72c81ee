//! Commands: what a device is told to do, and how far that has come.

use crate::{CommandId, DeviceId, LatLon, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// What a device may be told. Which protocol can say which of it is told in `docs/commands.md`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "instruction", rename_all = "snake_case", deny_unknown_fields)]
pub enum Instruction {
    /// Cuts off fuel or ignition.
    EngineStop,
    /// Gives it back.
    EngineResume,
    /// Asks for the place now.
    RequestPosition,
    /// Sets how often it reports.
    ReportEvery {
        /// Between reports.
        seconds: u32,
    },
    /// Switches one output.
    SetOutput {
        /// Counted as the maker does.
        output: u8,
        /// Or off.
        on: bool,
    },
    /// Starts the device anew.
    Restart,
    /// Sets its local time.
    SetUtcOffset {
        /// East of Greenwich is positive.
        minutes: i16,
    },
    /// Raises an alarm if the device moves away from where it is.
    MovementAlarm {
        /// How far, metres.
        radius_m: u16,
    },
    /// Loads other firmware.
    UpdateFirmware {
        /// From where.
        url: String,
    },
    /// The maker's own command, framed as the protocol has it.
    Text {
        /// As in the maker's manual.
        text: String,
    },
    /// The maker's own command in bytes: framed if the protocol has a frame for it, else as they are.
    Bytes {
        /// Two digits each.
        hex: String,
    },
}

/// Longest text or bytes of an instruction.
pub const MAX_INSTRUCTION_BYTES: usize = 512;

impl Instruction {
    /// The name in JSON and in events.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::EngineStop => "engine_stop",
            Self::EngineResume => "engine_resume",
            Self::RequestPosition => "request_position",
            Self::ReportEvery { .. } => "report_every",
            Self::SetOutput { .. } => "set_output",
            Self::Restart => "restart",
            Self::SetUtcOffset { .. } => "set_utc_offset",
            Self::MovementAlarm { .. } => "movement_alarm",
            Self::UpdateFirmware { .. } => "update_firmware",
            Self::Text { .. } => "text",
            Self::Bytes { .. } => "bytes",
        }
    }

    /// What is wrong with it, whatever the device.
    pub fn fault(&self) -> Option<String> {
        let length = |what: &str, text: &str| {
            (text.is_empty() || text.len() > MAX_INSTRUCTION_BYTES)
                .then(|| format!("{what} has 1 to {MAX_INSTRUCTION_BYTES} bytes"))
        };
        match self {
            Self::ReportEvery { seconds } => (!(1..=86_400).contains(seconds)).then(|| "seconds are 1 to 86,400".to_owned()),
            Self::SetUtcOffset { minutes } => (minutes.abs() > 14 * 60).then(|| "minutes are -840 to 840".to_owned()),
            Self::Text { text } => length("text", text)
                .or_else(|| text.chars().any(char::is_control).then(|| "text has control characters: use bytes".to_owned())),
            Self::UpdateFirmware { url } => length("url", url)
                .or_else(|| url.chars().any(|c| c.is_control() || c == ' ').then(|| "url has no spaces".to_owned())),
            Self::Bytes { hex } => length("hex", hex).or_else(|| {
                let digits = hex.len() % 2 == 0 && hex.bytes().all(|digit| digit.is_ascii_hexdigit());
                (!digits).then(|| "hex has two hexadecimal digits for each byte".to_owned())
            }),
            _ => None,
        }
    }
}

/// Something that a device is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// Its key, together with the device.
    pub id: CommandId,
    /// Who is told.
    pub device: DeviceId,
    /// What.
    pub instruction: Instruction,
    /// Who told it.
    pub by: UserId,
    /// When it was given.
    pub queued_at: Timestamp,
    /// Not sent any more from then on: an engine must not stop days later.
    pub expires_at: Timestamp,
    /// Where the device was last seen when the command was given.
    pub place: Option<LatLon>,
    /// How far it has come.
    pub progress: Progress,
}

/// How far a command has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Progress {
    /// Waits for the device.
    Queued,
    /// Somebody is about to send it, and nobody else may.
    Sending {
        /// Since when.
        at: Timestamp,
        /// Which process, in which of its runs.
        by: SmolStr,
    },
    /// The device's connection has taken it.
    Sent {
        /// When.
        at: Timestamp,
    },
    /// It was about to be sent when the process or the connection ended: it is not sent again.
    Uncertain {
        /// When that was noticed.
        at: Timestamp,
    },
    /// The device has answered.
    Answered {
        /// When it was sent.
        sent_at: Timestamp,
        /// When the answer came.
        at: Timestamp,
        /// What it says: text, or hexadecimal digits.
        answer: SmolStr,
    },
    /// It can't be said to this device.
    Failed {
        /// When that was found out.
        at: Timestamp,
        /// Why.
        reason: SmolStr,
    },
    /// The device did not come in time.
    Expired {
        /// When that was noticed.
        at: Timestamp,
    },
    /// Taken back in time.
    Cancelled {
        /// When.
        at: Timestamp,
    },
}

impl Progress {
    /// The name in JSON.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sending { .. } => "sending",
            Self::Sent { .. } => "sent",
            Self::Uncertain { .. } => "uncertain",
            Self::Answered { .. } => "answered",
            Self::Failed { .. } => "failed",
            Self::Expired { .. } => "expired",
            Self::Cancelled { .. } => "cancelled",
        }
    }

    /// Whether it can go on so. What is sent is sent once: nothing leads back to [`Self::Queued`].
    pub const fn may_become(&self, next: &Self) -> bool {
        use Progress::{Answered, Cancelled, Expired, Failed, Queued, Sending, Sent, Uncertain};
        matches!(
            (self, next),
            (Queued, Sending { .. } | Failed { .. } | Expired { .. } | Cancelled { .. })
                | (Sending { .. }, Sent { .. } | Uncertain { .. })
                | (Uncertain { .. }, Sent { .. } | Answered { .. })
                | (Sent { .. }, Answered { .. })
        )
    }

    /// Whether nothing more is done about it here (an answer may still come).
    pub const fn is_over(&self) -> bool {
        !matches!(self, Self::Queued | Self::Sending { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Catalog, CatalogEdit, CatalogEntry, CatalogKey};

    fn command(progress: Progress) -> Command {
        Command {
            id: "0190-ab".parse().expect("id"),
            device: "jane/phone".parse().expect("id"),
            instruction: Instruction::ReportEvery { seconds: 60 },
            by: "dispatcher".parse().expect("id"),
            queued_at: Timestamp::default(),
            expires_at: Timestamp::default().plus_millis(1_000),
            place: None,
            progress,
        }
    }

    #[test]
    fn of_two_claims_the_first_wins_and_nothing_leads_back() {
        let at = Timestamp::default();
        let claim = |by: &str| Progress::Sending { at, by: by.into() };
        let mut catalog = Catalog::default();
        let mut tell = |progress| {
            catalog.apply(CatalogEdit::Put(CatalogEntry::Command(command(progress))));
            let now = catalog.commands_of(&"jane/phone".parse().expect("id")).next().expect("is there");
            now.progress.clone()
        };
        assert_eq!(tell(Progress::Queued), Progress::Queued);
        assert_eq!(tell(claim("a")), claim("a"));
        assert_eq!(tell(claim("b")), claim("a"));
        assert_eq!(tell(Progress::Cancelled { at }), claim("a"));
        assert_eq!(tell(Progress::Sent { at }), Progress::Sent { at });
        assert_eq!(tell(Progress::Queued), Progress::Sent { at });
    }

    #[test]
    fn a_command_and_its_key_survive_as_text() {
        let entry = CatalogEntry::Command(command(Progress::Queued));
        let json = serde_json::to_string(&entry).expect("JSON");
        assert_eq!(serde_json::from_str::<CatalogEntry>(&json).expect("reads"), entry);
        let key = entry.key();
        assert_eq!(key.to_string(), "command/0190-ab/jane/phone");
        assert_eq!(CatalogKey::parse(&key.to_string()), Some(key));
    }

    #[test]
    fn senseless_instructions_are_told_why() {
        let fault = |instruction: Instruction| instruction.fault();
        assert_eq!(fault(Instruction::EngineStop), None);
        assert_eq!(fault(Instruction::ReportEvery { seconds: 0 }).as_deref(), Some("seconds are 1 to 86,400"));
        assert!(fault(Instruction::Bytes { hex: "0g".into() }).is_some());
        assert!(fault(Instruction::Bytes { hex: "0a0".into() }).is_some());
        assert!(fault(Instruction::Text { text: "a\nb".into() }).is_some());
        assert_eq!(fault(Instruction::Text { text: "status".into() }), None);
    }
}
