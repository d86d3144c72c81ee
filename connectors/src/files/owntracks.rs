//! Files of OwnTracks' recorder (`2024-06.rec`): a time, what the message was about and the message itself, separated by tabs.
//!
//! Whose they are is the file's place: `rec/USER/DEVICE/2024-06.rec`. They get the same id here as over MQTT.

use super::{RowFault, TrackPoint, next_line};
use crate::protocols::owntracks::decode_mqtt;
use crate::readers::malformed;
use std::collections::VecDeque;
use std::io::BufRead;
use std::path::Path;
use waystream_domain::DeviceId;

/// The device of a file, by the folders that it is in.
pub(super) fn device(path: &Path) -> Option<DeviceId> {
    let device = path.parent()?;
    let user = device.parent()?.file_name()?;
    DeviceId::new(format!("owntracks/{}/{}", user.to_str()?, device.file_name()?.to_str()?)).ok()
}

/// Reads the locations; other messages are passed over.
pub(super) fn read(mut input: impl BufRead, device: DeviceId) -> impl Iterator<Item = Result<TrackPoint, RowFault>> {
    let topic = device.to_string();
    let (mut text, mut line, mut ended) = (Vec::new(), 0, false);
    let mut ready: VecDeque<Result<TrackPoint, RowFault>> = VecDeque::new();
    std::iter::from_fn(move || {
        loop {
            if let Some(row) = ready.pop_front() {
                return Some(row);
            }
            if ended {
                return None;
            }
            match next_line(&mut input, &mut text) {
                Ok(true) => line += 1,
                Ok(false) => {
                    ended = true;
                    continue;
                }
                Err(error) => {
                    ended = true;
                    return Some(Err(RowFault::Unreadable { line, error }));
                }
            }
            if text.is_empty() {
                continue;
            }
            let Some(message) = text.splitn(3, |byte| *byte == b'\t').nth(2) else {
                return Some(Err(RowFault::Row {
                    line,
                    fault: malformed("not a time, a word and a message with tabs between"),
                }));
            };
            let decoded = decode_mqtt(&topic, message);
            ready.extend(decoded.fixes.into_iter().map(|fix| Ok(TrackPoint { device: device.clone(), fix })));
            ready.extend(decoded.faults.iter().map(|fault| Err(RowFault::Row { line, fault: fault.clone() })));
        }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use waystream_domain::Timestamp;

    #[test]
    fn locations_of_a_recording_are_fixes_of_the_device_of_its_folder() {
        let device = device(Path::new("store/rec/jane/phone/2015-08.rec")).unwrap();
        assert_eq!(device.as_str(), "owntracks/jane/phone");
        // As the recorder's own documentation shows its files.
        let text = "2015-08-24T08:00:56Z\t*                 \t{\"_type\":\"location\",\"tst\":1440403256,\"lat\":52.1,\"lon\":21.2,\"vel\":36,\"tid\":\"jp\"}\n\
                    2015-08-24T08:01:00Z\twaypoint          \t{\"_type\":\"waypoint\",\"tst\":1440403260,\"desc\":\"x\"}\n\
                    \n\
                    2015-08-24T08:01:00Z {}\n\
                    2015-08-24T08:02:00Z\t*                 \t{\"_type\":\"location\",\"tst\":1440403320,\"lat\":152.1,\"lon\":21.2}\n";
        let rows: Vec<_> = read(text.as_bytes(), device.clone()).map(|row| row.map_err(|e| e.to_string())).collect();
        let point = rows[0].as_ref().unwrap();
        assert_eq!((&point.device, point.fix.fix_time), (&device, Timestamp::from_secs(1_440_403_256).unwrap()));
        assert_eq!(point.fix.speed_mps, Some(10.0));
        let faults: Vec<&str> = rows[1..].iter().map(|row| row.as_ref().unwrap_err().as_str()).collect();
        assert_eq!(
            faults,
            [
                "line 4: not a time, a word and a message with tabs between (malformed)",
                "line 5: latitude 152.1, longitude 21.2 at 2015-08-24T08:02:00.000Z (out_of_range)",
            ]
        );
    }
}
