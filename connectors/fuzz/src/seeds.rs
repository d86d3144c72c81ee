//! Writes the recorded messages of every protocol to where `cargo fuzz` begins: `corpus/messages` and `corpus/recognise`.

#[path = "../../tests/common/messages.rs"]
mod messages;

use messages::MESSAGES;
use std::fs;
use std::io;

fn main() -> io::Result<()> {
    for folder in ["messages", "recognise"] {
        fs::create_dir_all(format!("corpus/{folder}"))?;
    }
    for (protocol, messages) in MESSAGES.iter().enumerate() {
        let Some(first) = messages.first() else { continue };
        for (number, message) in messages.iter().enumerate() {
            let [high, low] = u16::try_from(first.len()).unwrap_or(0).to_be_bytes();
            let head = [u8::try_from(protocol).unwrap_or(0), high, low];
            fs::write(format!("corpus/messages/{protocol}-{number}"), [&head[..], first, message].concat())?;
            fs::write(format!("corpus/recognise/{protocol}-{number}"), message)?;
        }
    }
    Ok(())
}
