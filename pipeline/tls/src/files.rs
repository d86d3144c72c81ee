//! Certificate and key, as files.

use crate::client::with_file;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};

/// How often the files are looked at.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// Who we say we are; both files are PEM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// Our certificate and those between it and the root.
    #[serde(rename = "certificate_file")]
    pub certificate: PathBuf,
    /// Its key.
    #[serde(rename = "key_file")]
    pub key: PathBuf,
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read, or is not PEM.
    #[error("could not read {}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        error: pem::Error,
    },
    /// No certificate, or not that of the key.
    #[error("certificate {} and key {} can't be used: {error}", files.certificate.display(), files.key.display())]
    Unusable {
        /// Which.
        files: TlsFiles,
        /// Why not.
        error: rustls::Error,
    },
    /// Clients that have to show certificates can't be checked.
    #[error("clients can't be checked against {}: {error}", path.display())]
    Clients {
        /// The authority's certificates.
        path: PathBuf,
        /// Why not.
        error: String,
    },
}

impl TlsFiles {
    pub(crate) fn changed(&self, client_ca: Option<&Path>) -> [Option<SystemTime>; 3] {
        let changed = |path: &Path| path.metadata().and_then(|file| file.modified()).ok();
        [changed(&self.certificate), changed(&self.key), client_ca.and_then(changed)]
    }

    pub(crate) fn acceptor(&self, protocols: &[Vec<u8>], client_ca: Option<&Path>) -> Result<TlsAcceptor, TlsError> {
        let unreadable = |path: &Path, error| TlsError::File { path: path.to_owned(), error };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(&self.certificate).and_then(Iterator::collect);
        let chain = chain.map_err(|e| unreadable(&self.certificate, e))?;
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|e| unreadable(&self.key, e))?;
        // Named, as there may be more than one provider in the program.
        let provider = Arc::new(ring::default_provider());
        let clients = match client_ca {
            Some(path) => checking(path, &provider)?,
            None => WebPkiClientVerifier::no_client_auth(),
        };
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_client_cert_verifier(clients).with_single_cert(chain, key));
        let mut config = config.map_err(|error| TlsError::Unusable { files: self.clone(), error })?;
        config.alpn_protocols = protocols.to_vec();
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// Lets in who shows a certificate of this authority, and nobody else.
fn checking(client_ca: &Path, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let failed = |error: String| TlsError::Clients { path: client_ca.to_owned(), error };
    let roots = with_file(RootCertStore::empty(), client_ca).map_err(|error| failed(error.to_string()))?;
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
    clients.map_err(|error| failed(error.to_string()))
}
