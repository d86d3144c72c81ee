//! What the broker asks us: may this client subscribe (hardly ever), may it publish, and is its report durable now.

use super::clients::Clients;
use super::external::{MAX_SESSIONS, SESSION_IDLE, admitted, pause};
use super::payload::{Around, Sessions, understand};
use crate::config::ConnectorsConfig;
use crate::faults::Source;
use crate::ingest::{Ingest, NotStored, Taken};
use crate::now;
use crate::protocol::{Decoded, Fault, FaultKind};
use crate::protocols::owntracks;
use crate::shown::Shown;
use async_trait::async_trait;
use rmqtt::codec::v5::SubscribeAckReason;
use rmqtt::hook::{Handler, HookResult, Parameter, ReturnType};
use rmqtt::session::Session;
use rmqtt::types::{AuthResult, ConnectInfo, Publish, PublishAclResult, SubscribeAclResult};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;
use waystream_domain::DeviceId;

/// What OwnTracks names its topics, and the protocol that its positions have, whichever way they come.
const ROOT: &str = "owntracks";
/// Where OwnTracks listens for commands.
const COMMANDS: &str = "cmd";

/// Sessions of clients that are away outlive the broker, and hooks live as long as they: they must not keep the log open. All
/// clones are one.
#[derive(Clone)]
pub(super) struct Hooks {
    ingest: Weak<Ingest>,
    config: Arc<ConnectorsConfig>,
    clients: Arc<Clients>,
    /// Of topics on which trackers speak their own protocols.
    sessions: Arc<Mutex<Sessions>>,
}

/// What becomes of a publication.
enum Verdict {
    /// It is durable, or there was nothing in it to store.
    Done,
    /// This client may not do this, and will not be allowed to if it tries again.
    Refused,
    /// The log did not take it. The client has to send it again, so it must not be acknowledged.
    NotStored,
}

impl Hooks {
    pub(super) fn new(ingest: Weak<Ingest>, config: Arc<ConnectorsConfig>, clients: Arc<Clients>) -> Self {
        let sessions = Sessions::new(MAX_SESSIONS, SESSION_IDLE, Instant::now());
        Self { ingest, config, clients, sessions: Arc::new(Mutex::new(sessions)) }
    }

    async fn publish(&self, session: &Session, publish: &Publish) -> Verdict {
        let Some(ingest) = self.ingest.upgrade() else { return Verdict::NotStored };
        // One that is gone, or was cut, is not answered: it has to say again what it said last.
        let Some(client) = self.clients.who(session.id.remote_addr) else { return Verdict::NotStored };
        let is_known = self.clients.ask() || client.certificate.is_some();
        let shown = if is_known { Shown::SignedIn } else { Shown::Nothing };
        let nobody = Source { protocol: ROOT, device: None, peer: Some(client.peer), shown };
        let username = client.certificate.as_deref().or(session.id.username.as_ref().map(AsRef::as_ref));
        if let Some(topic) = own_topic(&publish.topic, username) {
            return self.owntracks(&ingest, topic, nobody, publish).await;
        }
        match self.other(&ingest, username, nobody, publish).await {
            Ok(Some(true)) => return Verdict::Done,
            Ok(Some(false)) => return Verdict::Refused,
            Err(_) => return Verdict::NotStored,
            Ok(None) => {}
        }
        let fault = Fault::new(FaultKind::NoDevice, "a topic that this client may not publish to");
        ingest.faults().tell(nobody, &fault);
        Verdict::Refused
    }

    /// On a topic that is set: whether its device may report. `None`: it is no such topic, or not this client's.
    async fn other(
        &self,
        ingest: &Ingest,
        username: Option<&str>,
        nobody: Source<'_>,
        publish: &Publish,
    ) -> Result<Option<bool>, NotStored> {
        let topics = &self.config.mqtt.topics;
        let Some(told) = topics.iter().find_map(|one| one.topic.told(&publish.topic)) else { return Ok(None) };
        // Who gives a name speaks for the device of that name, whatever the message says.
        let named = username.and_then(|name| DeviceId::new(name).ok());
        if username.is_some() && (named.is_none() || told.device.is_some_and(|device| Some(device) != named)) {
            return Ok(None);
        }
        let received_at = now();
        let understood = {
            // A decoder that a panic left behind is at worst one that knows no login.
            let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
            let mut around = Around { received_at, config: &self.config, sessions: &mut sessions };
            understand(topics, &publish.topic, &publish.payload, named, &mut around)
        };
        for message in understood {
            let source = Source { protocol: message.protocol, ..nobody };
            slow_down(ingest, source, &message.decoded).await;
            let Some(reports) = admitted(ingest, received_at, source, message).await? else { return Ok(Some(false)) };
            ingest.store(source, received_at, reports).await?;
        }
        Ok(Some(true))
    }

    async fn owntracks(&self, ingest: &Ingest, topic: &str, nobody: Source<'_>, publish: &Publish) -> Verdict {
        let mut decoded = owntracks::decode_mqtt(topic, &publish.payload);
        slow_down(ingest, nobody, &decoded).await;
        match ingest.take(nobody, now(), &mut decoded).await {
            Ok(Taken::Stored) => Verdict::Done,
            Ok(Taken::Refused) => Verdict::Refused,
            Err(_) => Verdict::NotStored,
        }
    }
}

#[async_trait]
impl Handler for Hooks {
    async fn hook(&self, parameter: &Parameter, accumulated: Option<HookResult>) -> ReturnType {
        match parameter {
            Parameter::ClientAuthenticate(client) => {
                let name: Option<&str> = client.username().map(AsRef::as_ref);
                let password: Option<&[u8]> = client.password().map(AsRef::as_ref);
                let at = client.id().remote_addr;
                // A name besides that of a certificate would be another's.
                let certificate = self.clients.who(at).and_then(|who| who.certificate);
                let is_another = certificate.is_some() && name.is_some() && certificate.as_deref() != name;
                if !is_another && !self.clients.ask() {
                    return (true, accumulated);
                }
                let right = !is_another && self.clients.admit(at, name, password, Instant::now());
                let result = if right { AuthResult::Allow(false, None) } else { AuthResult::BadUsernameOrPassword };
                (false, Some(HookResult::AuthResult(result)))
            }
            Parameter::MessagePublishCheckAcl(session, publish) => {
                let result = match self.publish(session, publish).await {
                    Verdict::Done => PublishAclResult::allow(),
                    // MQTT 3 has no "no" but the end of the connection; MQTT 5 acknowledges with the reason.
                    Verdict::Refused => PublishAclResult::rejected(!speaks_mqtt_5(session).await, None),
                    Verdict::NotStored => PublishAclResult::rejected(true, Some("not stored".into())),
                };
                (false, Some(HookResult::PublishAclResult(result)))
            }
            Parameter::ClientSubscribeCheckAcl(session, subscribe) => {
                let certificate = self.clients.who(session.id.remote_addr).and_then(|who| who.certificate);
                let username = certificate.as_deref().or(session.id.username.as_ref().map(AsRef::as_ref));
                let result = if is_own_command_topic(&subscribe.topic_filter, username) {
                    SubscribeAclResult::new_success(subscribe.opts.qos(), None)
                } else {
                    SubscribeAclResult::new_failure(SubscribeAckReason::NotAuthorized)
                };
                (false, Some(HookResult::SubscribeAclResult(result)))
            }
            _ => (true, accumulated),
        }
    }
}

/// Holds back the answer to a device that floods: the broker reads no further from it until then.
async fn slow_down(ingest: &Ingest, source: Source<'_>, decoded: &Decoded) {
    let pause = pause(ingest, source, decoded, Instant::now());
    if !pause.is_zero() {
        tokio::time::sleep(pause).await;
    }
}

async fn speaks_mqtt_5(session: &Session) -> bool {
    session.connect_info().await.is_ok_and(|info| matches!(*info, ConnectInfo::V5(..)))
}

/// `owntracks/<user>/<device>` of a topic that begins so, if the client may publish there. OwnTracks appends `/event`, `/info`
/// and the like for messages other than locations.
fn own_topic<'a>(topic: &'a str, username: Option<&str>) -> Option<&'a str> {
    let mut levels = topic.split('/');
    let (root, user, device) = (levels.next()?, levels.next()?, levels.next()?);
    let own = root == ROOT && !user.is_empty() && !device.is_empty() && username.is_none_or(|name| name == user);
    let own = own && levels.next() != Some(COMMANDS);
    own.then(|| &topic[..root.len() + 1 + user.len() + 1 + device.len()])
}

/// `owntracks/<user>/<device>/cmd` under the client's own name, without wildcards.
fn is_own_command_topic(filter: &str, username: Option<&str>) -> bool {
    let levels: Vec<&str> = filter.split('/').collect();
    matches!(levels[..], [ROOT, user, device, COMMANDS] if Some(user) == username && !["+", "#"].contains(&device))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_publishes_under_its_own_name_only() {
        assert_eq!(own_topic("owntracks/jane/phone", None), Some("owntracks/jane/phone"));
        assert_eq!(own_topic("owntracks/jane/phone/event", Some("jane")), Some("owntracks/jane/phone"));
        assert_eq!(own_topic("owntracks/jane/phone", Some("bob")), None);
        for topic in ["owntracks/jane", "owntracks//phone", "owntracks/jane/", "other/jane/phone", "owntracks/jane/phone/cmd"] {
            assert_eq!(own_topic(topic, None), None, "{topic}");
        }
    }

    #[test]
    fn a_client_listens_to_its_own_commands_only() {
        assert!(is_own_command_topic("owntracks/jane/phone/cmd", Some("jane")));
        assert!(!is_own_command_topic("owntracks/jane/phone/cmd", None));
        for filter in
            ["#", "owntracks/#", "owntracks/+/+", "owntracks/jane/+/cmd", "owntracks/jane/phone", "owntracks/bob/phone/cmd"]
        {
            assert!(!is_own_command_topic(filter, Some("jane")), "{filter}");
        }
    }
}
