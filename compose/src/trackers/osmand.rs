//! A phone with an OsmAnd-protocol app: one HTTP request a fix, parameters in the query, answered 200.

use super::{ANSWER_TIMEOUT, SendError};
use waystream_connectors::protocol::Fix;
use waystream_domain::{AttributeValue, units};

/// One device. Devices share the client's connections, as phones behind one address would.
pub struct OsmAnd {
    client: reqwest::Client,
    url: String,
    id: String,
}

impl OsmAnd {
    /// A device that reports to `server` (`host:port`).
    pub fn new(client: reqwest::Client, server: std::net::SocketAddr, id: impl Into<String>) -> Self {
        Self { client, url: format!("http://{server}/"), id: id.into() }
    }

    /// Sends one request a fix, the next after the answer to the one before.
    pub async fn send(&mut self, fixes: &[Fix]) -> Result<(), SendError> {
        for fix in fixes {
            let request = self.client.post(&self.url).query(&parameters(&self.id, fix)).timeout(ANSWER_TIMEOUT);
            let answer = request.send().await.map_err(|e| SendError::NoAnswer(e.to_string()))?;
            let status = answer.status();
            if status.is_client_error() && status != reqwest::StatusCode::TOO_MANY_REQUESTS {
                return Err(SendError::Refused(format!("{} was answered {status}", self.id)));
            }
            if !status.is_success() {
                return Err(SendError::NoAnswer(format!("answered {status}")));
            }
        }
        Ok(())
    }
}

/// The query of one fix. Speed is in knots in this protocol.
pub fn parameters(id: &str, fix: &Fix) -> Vec<(String, String)> {
    let mut query: Vec<(String, String)> = Vec::with_capacity(10);
    let mut add = |name: &str, value: String| query.push((name.to_owned(), value));
    add("id", id.to_owned());
    add("timestamp", fix.fix_time.to_string());
    add("lat", fix.location.lat_deg().to_string());
    add("lon", fix.location.lon_deg().to_string());
    if !fix.valid {
        add("valid", "false".to_owned());
    }
    if let Some(speed) = fix.speed_mps {
        add("speed", (f64::from(speed) / units::KNOT_MPS).to_string());
    }
    for (name, value) in [("bearing", fix.course_deg), ("altitude", fix.altitude_m), ("accuracy", fix.accuracy_m)] {
        if let Some(value) = value {
            add(name, value.to_string());
        }
    }
    for (name, value) in fix.attributes.iter() {
        add(
            name,
            match value {
                AttributeValue::Bool(v) => v.to_string(),
                AttributeValue::Int(v) => v.to_string(),
                AttributeValue::Float(v) => v.to_string(),
                AttributeValue::Text(v) => v.to_string(),
            },
        );
    }
    query
}
