//! HTTP requests from bytes, as `waystream decode` and the quarantine read them.

#[path = "../../src/decode/http.rs"]
mod http;

pub use crate::readers::parse_hex;

use crate::protocol::{Context, HttpDecoded, Protocol, Transport};

/// Requests one after another.
pub fn requests(protocol: &Protocol, mut bytes: &[u8], context: &Context) {
    let Transport::Http { decode } = protocol.transport else { return };
    while !bytes.trim_ascii().is_empty() {
        let Ok(request) = http::next(&mut bytes) else { return };
        let HttpDecoded { .. } = request.with(|request| decode(request, context));
    }
}
