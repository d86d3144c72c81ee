//! A real Mosquitto as the broker of somebody else.

use super::in_time;
use std::hash::{BuildHasher, RandomState};
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use waystream_connectors::{ExternalBroker, Subscription, Version};

pub struct Mosquitto {
    pub folder: TempDir,
    pub port: u16,
    child: Child,
}

fn free_port() -> u16 {
    // Below those that the kernel gives to whoever asks for any: it would give this one away before it is listened on.
    let random = || 12_000 + (RandomState::new().hash_one(0) % 20_000) as u16;
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    std::iter::repeat_with(random).take(1_000).find(free).unwrap()
}

impl Mosquitto {
    /// `settings` are lines of its configuration; `FOLDER` in them is a folder of its own.
    pub async fn start(folder: TempDir, settings: &str) -> Self {
        let port = free_port();
        let path = folder.path().to_str().unwrap();
        let settings = settings.replace("FOLDER", path);
        let config =
            format!("user root\nlistener {port} 127.0.0.1\npersistence true\npersistence_location {path}/\n{settings}\n");
        std::fs::write(folder.path().join("mosquitto.conf"), config).unwrap();
        let child = Self::run(folder.path(), port).await;
        Self { folder, port, child }
    }

    async fn run(folder: &Path, port: u16) -> Child {
        let mut command = Command::new("mosquitto");
        command.arg("-c").arg(folder.join("mosquitto.conf")).kill_on_drop(true);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("mosquitto is installed");
        in_time(async {
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        child
    }

    pub async fn restart(&mut self) {
        self.child.kill().await.unwrap();
        self.child = Self::run(self.folder.path(), self.port).await;
    }

    pub async fn publish(&self, arguments: &[&str], payload: &str) {
        self.publish_to("owntracks/jane/phone", arguments, payload.as_bytes()).await;
    }

    pub async fn publish_to(&self, topic: &str, arguments: &[&str], payload: &[u8]) {
        let mut command = Command::new("mosquitto_pub");
        command.args(["-h", "localhost", "-p", &self.port.to_string(), "-q", "1", "-t", topic, "-s"]).args(arguments);
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        in_time(child.stdin.take().unwrap().write_all(payload)).await.unwrap();
        let output = in_time(child.wait_with_output()).await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    pub fn settings(&self) -> ExternalBroker {
        ExternalBroker {
            host: "localhost".into(),
            port: self.port,
            client_id: "waystream-test".into(),
            version: Version::V5,
            topics: vec![Subscription::owntracks("owntracks/+/+").unwrap()],
            username: None,
            password: None,
            password_file: None,
            tls: None,
            insecure: false,
        }
    }
}
