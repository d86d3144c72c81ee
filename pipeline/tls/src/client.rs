//! TLS towards servers of others: whom we trust, and who we say we are; and which servers a password may go to without.

use crate::is_local;
use serde::{Deserialize, Serialize};
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::WantsClientCert;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, ConfigBuilder, RootCertStore};

/// Whom we trust, and who we say we are; all files are PEM. They are read once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsTrust {
    /// Certificates that we trust; by default those of the operating system.
    pub ca_file: Option<PathBuf>,
    /// Our certificate and those between it and the server's root, where the server wants one.
    pub certificate_file: Option<PathBuf>,
    /// The key of our certificate.
    pub key_file: Option<PathBuf>,
}

/// Why there is no TLS towards a server.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A file can't be read, or is not PEM.
    #[error("could not read {}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        error: pem::Error,
    },
    /// The file, or the operating system, has none.
    #[error("no certificate that we could trust")]
    NoRoots,
    /// One of the two is missing.
    #[error("a certificate needs its key, and a key its certificate")]
    HalfIdentity,
    /// What the certificate of the server is compared with.
    #[error("{0:?} is no name that a certificate could have")]
    Name(String),
    /// Certificates can't be used, or not with this key.
    #[error(transparent)]
    Unusable(#[from] rustls::Error),
}

impl TlsTrust {
    /// Reads the files.
    pub fn config(&self) -> Result<Arc<ClientConfig>, TrustError> {
        let roots = match &self.ca_file {
            Some(path) => with_file(RootCertStore::empty(), path)?,
            None => of_system(),
        };
        let builder = trusting(roots)?;
        let config = match (&self.certificate_file, &self.key_file) {
            (None, None) => builder.with_no_client_auth(),
            (Some(chain), Some(key)) => {
                let key = PrivateKeyDer::from_pem_file(key).map_err(|error| TrustError::File { path: key.clone(), error })?;
                builder.with_client_auth_cert(certificates(chain)?, key)?
            }
            _ => return Err(TrustError::HalfIdentity),
        };
        Ok(Arc::new(config))
    }
}

/// Trusts what the operating system trusts, and the certificates of a file: for servers that may be anybody's.
pub fn trust_system_and(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, TrustError> {
    let roots = match ca_file {
        Some(path) => with_file(of_system(), path)?,
        None => of_system(),
    };
    Ok(Arc::new(trusting(roots)?.with_no_client_auth()))
}

fn trusting(roots: RootCertStore) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, TrustError> {
    if roots.is_empty() {
        return Err(TrustError::NoRoots);
    }
    // Named, as there may be more than one provider in the program.
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    Ok(builder.with_safe_default_protocol_versions()?.with_root_certificates(roots))
}

fn of_system() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

pub(crate) fn with_file(mut roots: RootCertStore, path: &Path) -> Result<RootCertStore, TrustError> {
    for certificate in certificates(path)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let failed = |error| TrustError::File { path: path.to_owned(), error };
    CertificateDer::pem_file_iter(path).map_err(failed)?.map(|certificate| certificate.map_err(failed)).collect()
}

/// Speaks TLS to one server. Cheap to clone.
#[derive(Clone)]
pub struct TlsClient {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl std::fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsClient").field("name", &self.name).finish_non_exhaustive()
    }
}

impl TlsClient {
    /// Reads the files. `host`: the server's name or address, without brackets; its certificate has to be for that.
    pub fn new(trust: &TlsTrust, host: &str) -> Result<Self, TrustError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| TrustError::Name(host.to_owned()))?;
        Ok(Self { connector: TlsConnector::from(trust.config()?), name })
    }

    /// Encrypts a connection. The caller bounds the time.
    pub async fn connect(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.name.clone(), stream).await
    }
}

/// A password would go to another machine in the open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("others could read the password on its way to {server}: use TLS ({tls}), or set {setting} = true")]
pub struct Exposed {
    /// Where to.
    pub server: String,
    /// How TLS is asked for there.
    pub tls: &'static str,
    /// What allows it all the same.
    pub setting: &'static str,
}

/// This machine itself, by its number or as `localhost`. Of other names nobody knows where they lead tomorrow.
pub fn is_local_host(host: &str) -> bool {
    let number = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || number.is_ok_and(is_local)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::process::Command;

    #[test]
    fn only_this_machine_is_local_by_name_or_number() {
        for (host, local) in [
            ("localhost", true),
            ("LocalHost", true),
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("[::1]", true),
            ("localhost.example.org", false),
            ("redis", false),
            ("192.0.2.1", false),
            ("0.0.0.0", false),
            ("", false),
        ] {
            assert_eq!(is_local_host(host), local, "{host:?}");
        }
    }

    #[test]
    fn files_that_can_not_be_trusted_are_told_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let arguments = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout one.key -out one.pem -subj /CN=a -days 2";
        let made = Command::new("openssl").args(arguments.split(' ')).current_dir(folder.path()).output().unwrap();
        assert!(made.status.success());
        let file = |name: &str| Some(folder.path().join(name));
        std::fs::write(folder.path().join("empty.pem"), "").unwrap();
        let trust = |ca: &str| TlsTrust { ca_file: file(ca), ..TlsTrust::default() };
        let whole = TlsTrust { certificate_file: file("one.pem"), key_file: file("one.key"), ..trust("one.pem") };
        assert!(whole.config().is_ok());
        let half = TlsTrust { key_file: None, ..whole.clone() };
        let wrong_way_round = TlsTrust { certificate_file: file("one.pem"), key_file: file("one.pem"), ..trust("one.pem") };
        for (trust, told) in [
            (trust("nowhere.pem"), "nowhere.pem"),
            (trust("empty.pem"), "no certificate that we could trust"),
            (half, "a certificate needs its key"),
            (wrong_way_round, "one.pem"),
        ] {
            let error = trust.config().unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
        let error = TlsClient::new(&whole, "not a name").unwrap_err().to_string();
        assert!(error.contains("not a name"), "{error}");
    }
}
