//! Trackers of strangers, who harm a system by what they say to it: one floods, one sends poison, and some freeze in the middle of a packet.

use crate::lifecycle::fix;
use crate::recorded::PATIENCE;
use crate::rival::organisation_of;
use rand::RngExt;
use rand::rngs::StdRng;
use std::net::SocketAddr;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;
use waystream::trackers::teltonika::{login, packet};
use waystream_domain::{CatalogEntry, DeviceId};

const FROZEN: usize = 50;
const POISONED_CONNECTIONS: i64 = 1_000;
/// Their names begin so, and nobody else's.
const NAMES: &str = "99";

/// Who they are; what they say that can be understood is not to be among what the others say.
pub(crate) fn entries() -> Vec<CatalogEntry> {
    organisation_of("strangers", &names())
}

/// While this lives they harm a system.
pub(crate) struct Strangers {
    flooding: AbortOnDropHandle<()>,
    poisoning: AbortOnDropHandle<()>,
    _frozen: Vec<TcpStream>,
}

impl Strangers {
    /// They come to where Teltonika trackers report, and with bytes that mean nothing to wherever else somebody listens.
    pub(crate) async fn come(server: SocketAddr, elsewhere: Vec<SocketAddr>, rng: StdRng) -> Self {
        let names = names();
        let mut frozen = Vec::new();
        for name in &names[2..] {
            let (login, packet) = (login(name.as_str()), packet(&[fix(0)]));
            let mut stream = TcpStream::connect(server).await.unwrap();
            stream.write_all(&[&login[..], &packet[..packet.len() / 2]].concat()).await.unwrap();
            frozen.push(stream);
        }
        let flooding = tokio::spawn(flood(server, names[0].clone()));
        let poisoning = tokio::spawn(poison(server, elsewhere, names[1].clone(), rng));
        Self { flooding: AbortOnDropHandle::new(flooding), poisoning: AbortOnDropHandle::new(poisoning), _frozen: frozen }
    }

    /// When all the poison has been sent.
    pub(crate) async fn leave(self) {
        let poisoned = tokio::time::timeout(PATIENCE, self.poisoning).await;
        poisoned.expect("nobody who sends it waits for ever").unwrap();
        self.flooding.abort();
    }
}

fn names() -> Vec<DeviceId> {
    (0..FROZEN + 2).map(|n| DeviceId::new(format!("{NAMES}{n:013}")).unwrap()).collect()
}

/// Says as much as is taken, and waits for no answer.
async fn flood(server: SocketAddr, name: DeviceId) {
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_all(&login(name.as_str())).await.unwrap();
    for n in 0.. {
        // It may be sent away for it.
        if stream.write_all(&packet(&[fix(n)])).await.is_err() {
            return;
        }
    }
}

/// Packets that are cut off, changed, or of lengths that lie; and bytes that mean nothing.
async fn poison(server: SocketAddr, elsewhere: Vec<SocketAddr>, name: DeviceId, mut rng: StdRng) {
    for n in 0..POISONED_CONNECTIONS {
        let (mut bytes, mut to) = (login(name.as_str()), server);
        // Its own name stays: under another one it would not be known whose it is.
        let begins = bytes.len();
        bytes.extend(packet(&[fix(n)]));
        match rng.random_range(0..4) {
            0 => bytes.truncate(rng.random_range(begins..bytes.len())),
            1 => {
                let at = rng.random_range(begins..bytes.len());
                bytes[at] ^= rng.random_range(1..=u8::MAX);
            }
            2 => bytes[begins + 4..begins + 8].copy_from_slice(&rng.random::<u32>().to_be_bytes()),
            _ => {
                bytes = (0..rng.random_range(0..2_000)).map(|_| rng.random::<u8>()).collect();
                to = elsewhere[rng.random_range(0..elsewhere.len())];
            }
        }
        // Some listen for datagrams only, and some close before all is said.
        let Ok(mut stream) = TcpStream::connect(to).await else { continue };
        if stream.write_all(&bytes).await.is_ok() {
            stream.shutdown().await.ok();
        }
    }
}
