//! A phone with OwnTracks in MQTT mode: JSON on `owntracks/<user>/<device>`, QoS 1, answered by PUBACK.

use super::{ANSWER_TIMEOUT, SendError};
use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, QoS};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::timeout;
use waystream_connectors::protocol::Fix;
use waystream_domain::units;

/// Longer than any pause between two reports, because nobody polls the connection in between.
const KEEP_ALIVE: Duration = Duration::from_secs(300);

/// One device.
pub struct OwnTracks {
    server: SocketAddr,
    topic: String,
    connection: Option<(AsyncClient, EventLoop)>,
}

impl OwnTracks {
    /// A device that has not connected yet; it is known by its topic, `owntracks/<user>/<device>`.
    pub fn new(server: SocketAddr, topic: impl Into<String>) -> Self {
        Self { server, topic: topic.into(), connection: None }
    }

    /// Publishes one message a fix, the next after the PUBACK of the one before.
    pub async fn send(&mut self, fixes: &[Fix]) -> Result<(), SendError> {
        let (client, mut events) = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect(),
        };
        for fix in fixes {
            client
                .publish(&self.topic, QoS::AtLeastOnce, false, payload(&self.topic, fix))
                .await
                .map_err(|e| SendError::NoAnswer(e.to_string()))?;
            timeout(ANSWER_TIMEOUT, acknowledged(&mut events)).await.map_err(|_| SendError::NoAnswer("silence".into()))??;
        }
        // Kept only after a complete exchange: with a new connection nothing of an old one is left in flight.
        self.connection = Some((client, events));
        Ok(())
    }

    fn connect(&self) -> (AsyncClient, EventLoop) {
        let mut options = MqttOptions::new(self.topic.replace('/', "-"), self.server.ip().to_string(), self.server.port());
        options.set_keep_alive(KEEP_ALIVE);
        // One message is in flight at a time; the channel holds it until the connection is up.
        AsyncClient::new(options, 1)
    }
}

async fn acknowledged(events: &mut EventLoop) -> Result<(), SendError> {
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Packet::PubAck(_))) => return Ok(()),
            Ok(_) => {}
            Err(rumqttc::ConnectionError::ConnectionRefused(code)) => return Err(SendError::Refused(format!("{code:?}"))),
            Err(e) => return Err(SendError::NoAnswer(e.to_string())),
        }
    }
}

/// The message of one fix. OwnTracks tells times in whole seconds and speed in km/h.
pub fn payload(topic: &str, fix: &Fix) -> Vec<u8> {
    let mut message = serde_json::json!({
        "_type": "location",
        "lat": fix.location.lat_deg(),
        "lon": fix.location.lon_deg(),
        "tst": fix.fix_time.as_millis().div_euclid(1000),
        "tid": topic.get(topic.len().saturating_sub(2)..).unwrap_or("xx"),
        "t": "t",
    });
    if let Some(speed) = fix.speed_mps {
        message["vel"] = units::kmh_from_mps(speed).round().into();
    }
    for (name, value) in [("cog", fix.course_deg), ("alt", fix.altitude_m), ("acc", fix.accuracy_m)] {
        if let Some(value) = value {
            message[name] = value.round().into();
        }
    }
    message.to_string().into_bytes()
}
