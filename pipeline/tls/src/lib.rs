//! TLS of our own ports: certificate and key from files, read again when they have changed, and who may do without. And TLS towards
//! servers of others, and one request over it. And how many connections of a port one sender may have.
//!
//! A port with TLS also hears those who speak without it, as far as [`Entrance`] lets them: one port serves new devices and old ones.

mod client;
mod files;
mod https;
mod name;
mod places;

pub use client::{Exposed, TlsClient, TlsTrust, TrustError, is_local_host, trust_system_and};
pub use files::{TlsError, TlsFiles};
pub use https::{AskError, Https, connect};
pub use places::{Place, Places, sender};

use files::LOOK_AGAIN;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
pub use tokio_rustls::client::TlsStream as ClientTlsStream;
pub use tokio_rustls::server::TlsStream;

/// First byte of whoever begins with TLS: the content type of a handshake (RFC 8446, 5.1).
const HANDSHAKE: u8 = 0x16;

/// What can be set of a port: TLS, and whether it is needed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Encryption {
    /// Certificate and key; none: nobody is spoken to in TLS.
    pub files: Option<TlsFiles>,
    /// Whether others than this machine may do without.
    pub insecure: bool,
}

/// Others would be spoken to in the open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("others can reach {0}: set tls, or insecure = true")]
pub struct Open(pub SocketAddr);

impl Encryption {
    /// Whether such a port may be opened there.
    pub fn suffices(&self, address: SocketAddr) -> Result<(), Open> {
        if is_local(address.ip()) || self.files.is_some() || self.insecure { Ok(()) } else { Err(Open(address)) }
    }

    /// Reads the files. `port`: what to call it in the log. `protocols`: what is spoken inside (ALPN), where clients ask.
    pub fn entrance(self, port: &'static str, protocols: &[&[u8]]) -> Result<Entrance, TlsError> {
        let tls = self.files.map(|files| ServerTls::load(files, None, port, protocols)).transpose()?;
        Ok(Entrance { tls, insecure: self.insecure, asks_for_certificates: false })
    }

    /// The same for clients that have to show a certificate of this authority. Nobody may do without TLS then, from wherever.
    pub fn entrance_of_clients(
        self,
        client_ca: PathBuf,
        port: &'static str,
        protocols: &[&[u8]],
    ) -> Result<Entrance, TlsError> {
        let Some(files) = self.files else {
            return Err(TlsError::Clients { path: client_ca, error: "tls is not set".into() });
        };
        let tls = Some(ServerTls::load(files, Some(client_ca), port, protocols)?);
        Ok(Entrance { tls, insecure: false, asks_for_certificates: true })
    }
}

/// Decides how a connection is spoken to.
#[derive(Debug)]
pub struct Entrance {
    tls: Option<ServerTls>,
    insecure: bool,
    asks_for_certificates: bool,
}

/// How a connection is spoken to.
pub enum Welcome {
    /// As it is.
    Plain,
    /// By what this acceptor makes of it.
    Tls(TlsAcceptor),
    /// Not at all: it came without TLS from elsewhere.
    Refused,
}

impl Entrance {
    /// Looks at the first byte, once it is there, and takes none. The caller bounds the time. Without TLS it does not wait.
    pub async fn welcome(&self, stream: &TcpStream, peer: IpAddr) -> io::Result<Welcome> {
        let Some(tls) = &self.tls else { return Ok(Welcome::Plain) };
        if begins_with_tls(stream).await? {
            return Ok(Welcome::Tls(tls.acceptor()));
        }
        Ok(if self.may_do_without(peer) { Welcome::Plain } else { Welcome::Refused })
    }

    /// TLS, if there is any.
    pub fn tls(&self) -> Option<&ServerTls> {
        self.tls.as_ref()
    }

    /// Whether this peer may speak without TLS.
    pub fn may_do_without(&self, peer: IpAddr) -> bool {
        !self.asks_for_certificates && (self.tls.is_none() || self.insecure || is_local(peer))
    }

    /// Whether clients have to show a certificate.
    pub fn asks_for_certificates(&self) -> bool {
        self.asks_for_certificates
    }
}

/// What the certificate calls a client that it has shown: its common name.
pub fn client_name<T>(stream: &TlsStream<T>) -> Option<String> {
    let (_, connection) = stream.get_ref();
    name::common_name(connection.peer_certificates()?.first()?)
}

/// This machine itself, however it is written.
pub fn is_local(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Waits for the first byte and leaves it where it is. One that ends without a byte does not begin with TLS.
pub async fn begins_with_tls(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    Ok(stream.peek(&mut first).await? > 0 && first[0] == HANDSHAKE)
}

/// What accepts TLS connections.
pub struct ServerTls {
    files: TlsFiles,
    /// Who vouches for clients; none: they show nothing.
    client_ca: Option<PathBuf>,
    port: &'static str,
    protocols: Vec<Vec<u8>>,
    now: Mutex<Loaded>,
}

struct Loaded {
    acceptor: TlsAcceptor,
    changed: [Option<SystemTime>; 3],
    looked: Instant,
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerTls").field("files", &self.files).finish_non_exhaustive()
    }
}

impl ServerTls {
    /// What is wrong with the files is told now, not to clients.
    fn load(files: TlsFiles, client_ca: Option<PathBuf>, port: &'static str, protocols: &[&[u8]]) -> Result<Self, TlsError> {
        let protocols: Vec<_> = protocols.iter().map(|name| name.to_vec()).collect();
        let changed = files.changed(client_ca.as_deref());
        let acceptor = files.acceptor(&protocols, client_ca.as_deref())?;
        let now = Mutex::new(Loaded { acceptor, changed, looked: Instant::now() });
        Ok(Self { files, client_ca, port, protocols, now })
    }

    /// For the next connection. Files that have become unusable change nothing.
    pub fn acceptor(&self) -> TlsAcceptor {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if now.looked.elapsed() >= LOOK_AGAIN {
            now.looked = Instant::now();
            self.look(&mut now);
        }
        now.acceptor.clone()
    }

    fn look(&self, now: &mut Loaded) {
        let changed = self.files.changed(self.client_ca.as_deref());
        if changed == now.changed {
            return;
        }
        now.changed = changed;
        match self.files.acceptor(&self.protocols, self.client_ca.as_deref()) {
            Ok(acceptor) => {
                now.acceptor = acceptor;
                tracing::info!(port = self.port, "certificate read again");
            }
            Err(error) => tracing::error!(port = self.port, %error, "the new certificate can't be used; the old one stays"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::path::Path;
    use std::process::Command;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    fn certificate(folder: &Path, name: &str) -> TlsFiles {
        let arguments = format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout {name}.key -out {name}.pem -subj /CN=localhost -days 2"
        );
        let output = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        TlsFiles { certificate: folder.join(format!("{name}.pem")), key: folder.join(format!("{name}.key")) }
    }

    #[test]
    fn where_others_can_reach_a_port_there_is_tls_or_an_explicit_word() {
        let files = TlsFiles { certificate: "a".into(), key: "b".into() };
        let nothing = Encryption::default();
        for (address, fine) in [
            ("127.0.0.1:1", true),
            ("127.9.9.9:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("0.0.0.0:1", false),
            ("[::]:1", false),
            ("192.0.2.1:1", false),
        ] {
            let address: SocketAddr = address.parse().unwrap();
            assert_eq!(nothing.suffices(address).is_ok(), fine, "{address}");
            assert!(Encryption { insecure: true, ..nothing.clone() }.suffices(address).is_ok());
            assert!(Encryption { files: Some(files.clone()), ..nothing.clone() }.suffices(address).is_ok());
        }
        let told = nothing.suffices("192.0.2.1:8080".parse().unwrap()).unwrap_err().to_string();
        assert_eq!(told, "others can reach 192.0.2.1:8080: set tls, or insecure = true");
    }

    #[tokio::test]
    async fn the_first_byte_tells_and_strangers_may_not_do_without() {
        let folder = tempfile::tempdir().unwrap();
        let files = Some(certificate(folder.path(), "one"));
        let strict = Encryption { files: files.clone(), insecure: false }.entrance("test", &[]).unwrap();
        let lax = Encryption { files, insecure: true }.entrance("test", &[]).unwrap();
        let none = Encryption::default().entrance("test", &[]).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stranger = IpAddr::from([192, 0, 2, 1]);
        for (first, entrance, peer, expected) in [
            (0x16, &strict, stranger, "tls"),
            (0x16, &strict, IpAddr::from([127, 0, 0, 1]), "tls"),
            (b'G', &strict, stranger, "refused"),
            (b'G', &strict, IpAddr::from([127, 0, 0, 1]), "plain"),
            (b'G', &lax, stranger, "plain"),
            (0x16, &lax, stranger, "tls"),
            (0x16, &none, stranger, "plain"),
        ] {
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            client.write_all(&[first]).await.unwrap();
            let (server, _) = listener.accept().await.unwrap();
            let how = match entrance.welcome(&server, peer).await.unwrap() {
                Welcome::Plain => "plain",
                Welcome::Tls(_) => "tls",
                Welcome::Refused => "refused",
            };
            assert_eq!(how, expected, "{first:#x} from {peer}");
        }
    }

    #[test]
    fn a_new_certificate_is_taken_up_and_a_bad_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let files = certificate(folder.path(), "one");
        let other = certificate(folder.path(), "other");
        let tls = ServerTls::load(files.clone(), None, "test", &[]).unwrap();
        let look = || {
            let mut now = tls.now.lock().unwrap();
            // As if the file system told times to the second and it had been written within one.
            now.changed = [None; 3];
            tls.look(&mut now);
            now.acceptor.clone()
        };
        let is = |one: &TlsAcceptor, other: &TlsAcceptor| std::sync::Arc::ptr_eq(one.config(), other.config());
        let first = tls.acceptor();
        assert!(is(&first, &tls.acceptor()));
        std::fs::copy(&other.certificate, &files.certificate).unwrap();
        assert!(is(&look(), &first), "a certificate without its key");
        std::fs::copy(&other.key, &files.key).unwrap();
        let second = look();
        assert!(!is(&second, &first));
        std::fs::write(&files.certificate, "rubbish").unwrap();
        assert!(is(&look(), &second));
    }

    #[test]
    fn files_that_can_not_be_used_are_told_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let good = certificate(folder.path(), "good");
        let other = certificate(folder.path(), "other");
        let missing = TlsFiles { certificate: folder.path().join("missing.pem"), ..good.clone() };
        let mixed = TlsFiles { key: other.key, ..good };
        for (files, told) in [(missing, "missing.pem"), (mixed, "other.key")] {
            let error = ServerTls::load(files, None, "test", &[]).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn a_certificate_tells_one_name_and_rubbish_tells_none() {
        let folder = tempfile::tempdir().unwrap();
        for (subject, name) in [
            ("/CN=356307042441013", Some("356307042441013")),
            ("/C=PL/O=Acme/CN=jane/emailAddress=jane@example.org", Some("jane")),
            ("/O=Acme", None),
            ("/CN=one/CN=two", None),
        ] {
            let mut command = Command::new("openssl");
            command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]);
            command.args(["-keyout", "one.key", "-out", "one.der", "-outform", "DER", "-subj", subject]);
            let output = command.current_dir(folder.path()).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let certificate = std::fs::read(folder.path().join("one.der")).unwrap();
            assert_eq!(name::common_name(&certificate).as_deref(), name, "{subject}");
            for end in 0..certificate.len() {
                assert_eq!(name::common_name(&certificate[..end]), None, "{end} bytes");
            }
            // Whatever a byte says, nothing panics.
            for at in 0..certificate.len() {
                for byte in [0, 0x80, 0x83, 0xff] {
                    let mut changed = certificate.clone();
                    changed[at] = byte;
                    let _name = name::common_name(&changed);
                }
            }
        }
    }

    #[test]
    fn where_certificates_are_asked_for_nobody_does_without() {
        let folder = tempfile::tempdir().unwrap();
        let encryption = Encryption { files: Some(certificate(folder.path(), "one")), insecure: true };
        let ca = certificate(folder.path(), "ca").certificate;
        let entrance = encryption.clone().entrance_of_clients(ca, "test", &[]).unwrap();
        assert!(entrance.asks_for_certificates() && !entrance.may_do_without([127, 0, 0, 1].into()));
        let missing = folder.path().join("missing.pem");
        let empty = folder.path().join("empty.pem");
        std::fs::write(&empty, "").unwrap();
        for (encryption, ca) in [(encryption.clone(), missing), (encryption, empty.clone()), (Encryption::default(), empty)] {
            let error = encryption.entrance_of_clients(ca.clone(), "test", &[]).unwrap_err().to_string();
            assert!(error.contains(ca.to_str().unwrap()), "{error}");
        }
    }
}
