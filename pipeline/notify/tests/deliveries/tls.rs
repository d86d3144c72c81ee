//! Encrypted, with certificates as `openssl` makes them: who is trusted gets it, who is not doesn't.

use crate::common::{System, config, enter, webhook};
use crate::receiver::Receiver;
use crate::{email, mqtt};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use waystream_domain::notify::{Delivery, DeliveryState};
use waystream_notify::{Encryption, MqttTls, NotifyConfig};

/// `ca.pem`, and `cert.pem` with `key.pem` for this machine, in a folder.
fn certificates(folder: &Path) -> (PathBuf, String, String) {
    let run = |arguments: &str| {
        let output =
            Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().expect("openssl is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    run("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=test-ca");
    run("req -newkey rsa:2048 -nodes -keyout key.pem -out request.pem -subj /CN=localhost");
    std::fs::write(folder.join("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1").unwrap();
    run("x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem -days 2 -extfile names");
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    (folder.join("ca.pem"), path("cert.pem"), path("key.pem"))
}

fn distrusts(all: &[Delivery]) -> bool {
    let error = |d: &Delivery| match &d.state {
        DeliveryState::Pending { last_error: Some(error), .. } => error.to_lowercase().contains("certificate"),
        _ => false,
    };
    all.len() == 1 && error(&all[0])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_encrypted_to_who_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let (ca, certificate, key) = certificates(folder.path());
    let receiver = Receiver::start().await;
    let chain = CertificateDer::pem_file_iter(certificate).unwrap().map(Result::unwrap).collect();
    let server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap())
        .unwrap();
    let (acceptor, router) = (TlsAcceptor::from(Arc::new(server)), receiver.router());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            let service = TowerToHyperService::new(router.clone());
            tokio::spawn(async move {
                drop(auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await);
            });
        }
    });
    let url = format!("https://localhost:{port}/hook");
    let trusting = NotifyConfig { webhook_ca_file: Some(ca), ..config() };
    let system = System::telling(trusting, &[("a", webhook(&url))]).await;
    system.happen(&[enter("van", 1)]).await;
    system.until_all(1, &["delivered"]).await;
    assert_eq!(receiver.so_far().len(), 1);

    let system = System::telling(NotifyConfig { tries: 1_000, longest_pause_s: 1, ..config() }, &[("a", webhook(&url))]).await;
    system.happen(&[enter("van", 1)]).await;
    system.until(distrusts).await;
    assert_eq!(receiver.so_far().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn e_mail_goes_encrypted_to_a_server_that_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let (ca, certificate, key) = certificates(folder.path());
    let (port, maildir) = (email::free_port(), folder.path().join("mail"));
    let _server = email::server(port, &maildir, &["--tlscert", &certificate, "--tlskey", &key]).await;
    let with = |ca_file: Option<PathBuf>| {
        let mut settings = email::settings(port);
        let smtp = settings.smtp.as_mut().unwrap();
        (smtp.encryption, smtp.ca_file) = (Encryption::Starttls, ca_file);
        settings
    };
    let to = email::to(&["night@fleet.example"]);
    let system = System::telling(with(None), &[("mail", to.clone())]).await;
    system.happen(&[enter("van", 1)]).await;
    system.until(distrusts).await;
    let system = System::telling(with(Some(ca)), &[("mail", to)]).await;
    system.happen(&[enter("van", 1)]).await;
    system.until_all(1, &["delivered"]).await;
    assert_eq!(email::mails(&maildir).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn publications_go_encrypted_to_a_broker_that_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let (ca, certificate, key) = certificates(folder.path());
    let port = email::free_port();
    let settings = format!("allow_anonymous true\ncertfile {certificate}\nkeyfile {key}");
    let _broker = mqtt::broker(folder.path(), port, &settings).await;
    let with = |ca_file: Option<PathBuf>| {
        let mut settings = mqtt::settings(port);
        settings.mqtt.as_mut().unwrap().tls = Some(MqttTls { ca_file });
        settings
    };
    let system = System::telling(with(None), &[("a", mqtt::topic("x"))]).await;
    system.happen(&[enter("van", 1)]).await;
    system.until(distrusts).await;
    let system = System::telling(with(Some(ca)), &[("a", mqtt::topic("x"))]).await;
    system.happen(&[enter("van", 1)]).await;
    system.until_all(1, &["delivered"]).await;
}
