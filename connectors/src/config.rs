//! What can be set: which listeners there are, where they listen, who may report, and the limits of connections.

use crate::clocks::Clocks;
use crate::ingest::UnknownDevices;
use crate::mqtt::{ExternalBroker, OwnBroker};
use crate::protocol::Checksums;
use crate::protocols;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use waystream_domain::FleetId;
use waystream_tls::{Encryption, TlsFiles};

/// Settings of the connectors. By default every protocol listens on its usual port, on loopback only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConnectorsConfig {
    /// Where listeners listen that have no address of their own.
    pub address: IpAddr,
    /// TLS over TCP, also MQTT and HTTP; who begins with it is spoken to in it. None: nobody is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsFiles>,
    /// By listener, certificates of an authority: who connects there has to show one of it, and may speak for the device that it names only.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub client_ca_files: BTreeMap<ListenerName, PathBuf>,
    /// Whether devices elsewhere may do without TLS.
    pub insecure: bool,
    /// By name of the protocol, `mqtt` or `any`: `false` (off), a port, or `"address:port"`. Those not named have their usual port.
    pub listeners: BTreeMap<ListenerName, Listen>,
    /// Our own MQTT broker.
    pub mqtt: OwnBroker,
    /// MQTT brokers of others to take positions from.
    pub brokers: Vec<ExternalBroker>,
    /// `accept` or `refuse`.
    pub unknown_devices: UnknownDevices,
    /// The fleet of accepted unknown devices.
    pub fleet: FleetId,
    /// By protocol, what a wrong checksum means: `refuse` (the default) or `count`.
    pub checksums: BTreeMap<ListenerName, Checksums>,
    /// Local time of devices.
    pub utc_offset_min: Clocks,
    /// Megabytes of messages that nothing here understands, kept to be decoded again after an upgrade.
    pub quarantine_mb: u64,
    /// Limits of connections.
    pub limits: Limits,
}

/// Where one listener listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Listen {
    /// `true`: on the usual port; `false`: not at all.
    Switch(bool),
    /// On this port; 0: on a free one.
    Port(u16),
    /// On this address and port.
    Address(SocketAddr),
}

/// The name of a protocol that has a listener, `mqtt`, or `any` (the port that recognises protocols).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListenerName(&'static str);

/// Limits of connections.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections in all, over all protocols. One of MQTT counts as three: so many file descriptors it takes.
    pub max_connections: usize,
    /// Connections from one address. Mobile operators put thousands of devices behind one.
    pub max_connections_per_address: usize,
    /// Seconds until a connection has to have said which device it is.
    pub login_timeout_s: u64,
    /// Seconds from the first byte of a frame to its last.
    pub frame_timeout_s: u64,
    /// Seconds without a byte after which a device is taken for gone.
    pub idle_timeout_s: u64,
    /// Messages of one device a second, over TCP, UDP, MQTT and HTTP; for some seconds more at once. 0: as many as it likes.
    pub max_messages_per_device_s: u32,
    /// Senders of datagrams that are remembered on each port, and at most twice as many.
    pub max_udp_senders: usize,
    /// Seconds of silence after which a sender of datagrams is forgotten: its address may be another device's then.
    pub udp_idle_timeout_s: u64,
    /// Sessions of MQTT clients at our broker, also of those that have gone and may come back within two hours. With so many nobody new comes in.
    pub max_mqtt_sessions: usize,
    /// Seconds for which a report is held while the log is in trouble; then the connection is closed, unanswered.
    pub patience_s: u64,
    /// Seconds for reports under way to be stored and answered when we stop.
    pub grace_s: u64,
}

/// The name of the MQTT listener.
pub(crate) const MQTT: &str = "mqtt";
/// The name of the listener that recognises what it is spoken to in.
pub(crate) const ANY: &str = "any";
/// Free among the ports of trackers, and easy to remember.
const ANY_PORT: u16 = 5000;
/// Registered with IANA.
const MQTT_PORT: u16 = 1883;

impl Default for ConnectorsConfig {
    fn default() -> Self {
        Self {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            tls: None,
            client_ca_files: BTreeMap::new(),
            insecure: false,
            listeners: BTreeMap::new(),
            mqtt: OwnBroker::default(),
            brokers: Vec::new(),
            unknown_devices: UnknownDevices::default(),
            fleet: FleetId::new("default").expect("a plain word is an id"),
            checksums: BTreeMap::new(),
            utc_offset_min: Clocks::default(),
            quarantine_mb: 16,
            limits: Limits::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 18_000,
            max_connections_per_address: 18_000,
            login_timeout_s: 10,
            frame_timeout_s: 30,
            idle_timeout_s: 30 * 60,
            max_messages_per_device_s: 1_000,
            max_udp_senders: 16_384,
            udp_idle_timeout_s: 5 * 60,
            max_mqtt_sessions: 100_000,
            patience_s: 60,
            grace_s: 4,
        }
    }
}

impl Limits {
    pub(crate) const fn login_timeout(&self) -> Duration {
        Duration::from_secs(self.login_timeout_s)
    }
    pub(crate) const fn frame_timeout(&self) -> Duration {
        Duration::from_secs(self.frame_timeout_s)
    }
    pub(crate) const fn idle_timeout(&self) -> Duration {
        Duration::from_secs(self.idle_timeout_s)
    }
    pub(crate) const fn udp_idle_timeout(&self) -> Duration {
        Duration::from_secs(self.udp_idle_timeout_s)
    }
    pub(crate) const fn patience(&self) -> Duration {
        Duration::from_secs(self.patience_s)
    }
    pub(crate) const fn grace(&self) -> Duration {
        Duration::from_secs(self.grace_s)
    }
}

impl ListenerName {
    /// Every name there is.
    pub fn all() -> impl Iterator<Item = Self> {
        protocols::ALL.iter().map(|protocol| protocol.name).chain([MQTT, ANY]).map(Self)
    }

    /// The name as text.
    pub const fn as_str(self) -> &'static str {
        self.0
    }

    fn usual_port(self) -> u16 {
        match self.0 {
            ANY => ANY_PORT,
            name => protocols::by_name(name).map_or(MQTT_PORT, |protocol| protocol.port),
        }
    }
}

impl TryFrom<String> for ListenerName {
    type Error = String;
    fn try_from(name: String) -> Result<Self, String> {
        Self::all().find(|known| known.0 == name).ok_or_else(|| {
            let known: Vec<_> = Self::all().map(Self::as_str).collect();
            format!("there is no protocol {name:?}; there are {}", known.join(", "))
        })
    }
}

// By hand: derived, it would ask for input that lives for ever.
impl<'de> Deserialize<'de> for ListenerName {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        Self::try_from(String::deserialize(input)?).map_err(serde::de::Error::custom)
    }
}

impl Serialize for ListenerName {
    fn serialize<S: serde::Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        output.serialize_str(self.0)
    }
}

impl ConnectorsConfig {
    /// The same settings with every listener that is on moved to a free port: for tests and for systems side by side.
    #[must_use]
    pub fn on_free_ports(mut self) -> Self {
        for name in ListenerName::all() {
            if self.listens_on(name).is_some() {
                self.listeners.insert(name, Listen::Port(0));
            }
        }
        self
    }

    /// TLS of all listeners.
    pub(crate) fn encryption(&self) -> Encryption {
        Encryption { files: self.tls.clone(), insecure: self.insecure }
    }

    /// What a wrong checksum means in a protocol.
    pub(crate) fn checksums(&self, protocol: &str) -> Checksums {
        self.checksums.iter().find(|(name, _)| name.as_str() == protocol).map(|(_, meaning)| *meaning).unwrap_or_default()
    }

    /// Where a listener listens; `None`: not at all.
    pub(crate) fn listens_on(&self, name: ListenerName) -> Option<SocketAddr> {
        match self.listeners.get(&name) {
            Some(Listen::Switch(false)) => None,
            None | Some(Listen::Switch(true)) => Some(SocketAddr::new(self.address, name.usual_port())),
            Some(Listen::Port(port)) => Some(SocketAddr::new(self.address, *port)),
            Some(Listen::Address(address)) => Some(*address),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn listens(json: &str, name: &str) -> Option<String> {
        let config: ConnectorsConfig = serde_json::from_str(json).unwrap();
        config.listens_on(name.to_owned().try_into().unwrap()).map(|address| address.to_string())
    }

    #[test]
    fn a_listener_is_on_its_usual_port_moved_or_off() {
        assert_eq!(listens("{}", "teltonika").unwrap(), "127.0.0.1:5027");
        assert_eq!(listens("{}", "mqtt").unwrap(), "127.0.0.1:1883");
        assert_eq!(listens(r#"{"listeners": {"mqtt": false}}"#, "mqtt"), None);
        assert_eq!(listens(r#"{"listeners": {"mqtt": 2883}}"#, "mqtt").unwrap(), "127.0.0.1:2883");
        assert_eq!(listens(r#"{"listeners": {"mqtt": "0.0.0.0:1"}}"#, "mqtt").unwrap(), "0.0.0.0:1");
        assert_eq!(listens(r#"{"address": "::1"}"#, "mqtt").unwrap(), "[::1]:1883");
    }

    #[test]
    fn a_setting_that_does_not_exist_is_an_error_that_says_what_does() {
        let error = serde_json::from_str::<ConnectorsConfig>(r#"{"listeners": {"teltonica": 1}}"#).unwrap_err();
        assert!(error.to_string().contains("teltonika"), "{error}");
        assert!(serde_json::from_str::<ConnectorsConfig>(r#"{"limits": {"max": 1}}"#).is_err());
    }
}
