//! QuestDB behind HAProxy, which encrypts, with a password of its own: who is trusted is written to and read, who is not is told so.

use crate::server::{Server, free_port};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use waystream_store::contract::{Dice, History};
use waystream_store::questdb::{QuestDbOptions, QuestDbStore, QuestDbTls};
use waystream_store::{Store, StoreError};

fn openssl(folder: &Path, arguments: &str) {
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().expect("openssl is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// `ca.pem`, and in `server.pem` certificate and key for this machine; and `other.pem`, an authority that has signed nothing.
fn certificates(folder: &Path) {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    for (name, subject) in [("ca", "test-ca"), ("other", "other-ca")] {
        openssl(folder, &format!("req -x509 {key} -keyout {name}.key -out {name}.pem -subj /CN={subject} -days 2"));
    }
    std::fs::write(folder.join("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n").expect("written");
    openssl(folder, &format!("req {key} -keyout server.key -out server.csr -subj /CN=localhost"));
    openssl(folder, "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.crt -days 2 -extfile names");
    let [certificate, key] = ["server.crt", "server.key"].map(|file| std::fs::read(folder.join(file)).expect("made"));
    std::fs::write(folder.join("server.pem"), [certificate, key].concat()).expect("written");
}

/// Encrypts what goes to a port; killed when dropped.
struct HaProxy {
    child: Child,
    port: u16,
}

impl HaProxy {
    fn start(folder: &Path, to: u16) -> Self {
        let port = free_port();
        let settings = format!(
            "defaults\n    mode tcp\n    timeout connect 5s\n    timeout client 1m\n    timeout server 1m\n\
             listen questdb\n    bind 127.0.0.1:{port},127.0.0.2:{port} ssl crt {}\n    server questdb 127.0.0.1:{to}\n",
            folder.join("server.pem").display()
        );
        let file = folder.join("haproxy.cfg");
        std::fs::write(&file, settings).expect("written");
        let child = Command::new("haproxy").arg("-db").arg("-f").arg(&file).stdout(Stdio::null()).spawn();
        let mut child = child.expect("haproxy is installed");
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(matches!(child.try_wait(), Ok(None)), "haproxy does not start");
            std::thread::yield_now();
        }
        Self { child, port }
    }
}

impl Drop for HaProxy {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

async fn fails(options: &QuestDbOptions) -> String {
    let store = QuestDbStore::open(options.clone()).expect("opens");
    let asked = tokio::time::timeout(Duration::from_secs(60), store.covered()).await.expect("an answer");
    match asked {
        Err(StoreError::Unavailable(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_questdb_behind_tls_with_a_password_is_used_and_one_that_is_not_trusted_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    certificates(folder.path());
    let server = Server::start_with(&[("QDB_HTTP_USER", "fleet"), ("QDB_HTTP_PASSWORD", "kept: secret")]);
    let proxy = HaProxy::start(folder.path(), server.http_port());
    let options = QuestDbOptions {
        address: ("127.0.0.1".into(), proxy.port),
        tls: Some(QuestDbTls { ca_file: Some(folder.path().join("ca.pem")) }),
        user: Some("fleet".into()),
        password: Some("kept: secret".into()),
        ..server.options()
    };

    let writer = QuestDbStore::open(options.clone()).expect("opens");
    let mut history = History::default();
    Dice::new(25).write(&mut history, 200);
    history.append_all(writer.as_ref()).await;
    assert_eq!(writer.flush().await.expect("flushes"), history.end());
    // Another one has nothing in memory: it reads from the server.
    let reader: Arc<QuestDbStore> = QuestDbStore::open(options.clone()).expect("opens");
    history.check(reader.as_ref()).await;

    let at = format!("https://127.0.0.1:{}", proxy.port);
    let other = QuestDbTls { ca_file: Some(folder.path().join("other.pem")) };
    let told = fails(&QuestDbOptions { tls: Some(other), ..options.clone() }).await;
    assert!(told.contains("can't be reached") && told.contains(&at) && told.contains("invalid peer certificate"), "{told}");
    // The certificate is for this machine's number and for its name, not for its other numbers.
    let told = fails(&QuestDbOptions { address: ("127.0.0.2".into(), proxy.port), ..options.clone() }).await;
    assert!(told.contains("127.0.0.2") && told.contains("invalid peer certificate"), "{told}");
    for (user, password) in [(Some("fleet"), Some("wrong")), (None, None)] {
        let [user, password] = [user, password].map(|text| text.map(str::to_owned));
        let told = fails(&QuestDbOptions { user, password, ..options.clone() }).await;
        assert!(told.contains("does not let us in") && told.contains(&at) && told.contains("401"), "{told}");
        assert!(!told.contains("wrong"), "{told}");
    }
    let told = fails(&QuestDbOptions { user: None, password: None, token: Some("qt1.x".into()), ..options.clone() }).await;
    assert!(told.contains("does not let us in") && !told.contains("qt1"), "{told}");
    // Without TLS nobody is spoken to there.
    let told = fails(&QuestDbOptions { tls: None, ..options.clone() }).await;
    assert!(told.contains(&format!("http://127.0.0.1:{}", proxy.port)), "{told}");

    let nowhere = QuestDbTls { ca_file: Some(folder.path().join("nowhere.pem")) };
    let refused = QuestDbStore::open(QuestDbOptions { tls: Some(nowhere), ..options.clone() });
    assert!(matches!(&refused, Err(StoreError::Refused(reason)) if reason.contains("nowhere.pem")), "{refused:?}");
    let printed = format!("{options:?}{writer:?}");
    assert!(!printed.contains("secret"), "{printed}");
}

#[tokio::test]
async fn a_password_for_questdb_goes_to_other_machines_only_encrypted_or_by_an_explicit_word() {
    let plain = |host: &str| QuestDbOptions { address: (host.into(), 9000), ..QuestDbOptions::default() };
    let with_password = |host: &str| QuestDbOptions { user: Some("fleet".into()), password: Some("x".into()), ..plain(host) };
    let with_token = |host: &str| QuestDbOptions { token: Some("x".into()), ..plain(host) };
    for options in [with_password("questdb"), with_password("192.0.2.1"), with_token("questdb")] {
        let refused = QuestDbStore::open(options.clone());
        let named = |reason: &str| reason.contains(&options.address.0) && reason.contains("insecure = true");
        assert!(matches!(&refused, Err(StoreError::Refused(reason)) if named(reason)), "{refused:?}");
        QuestDbStore::open(QuestDbOptions { insecure: true, ..options }).expect("opens");
    }
    for options in [plain("questdb"), with_password("localhost"), with_password("127.0.0.1"), with_token("::1")] {
        QuestDbStore::open(options).expect("opens");
    }
}
