//! To a real SMTP server: Debian's python3-aiosmtpd, which puts what it takes into a Maildir.

use crate::common::{System, config, enter, in_time};
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use waystream_domain::notify::{DeliveryState, Target};
use waystream_notify::{Encryption, NotifyConfig, SmtpConfig};

pub(crate) fn free_port() -> u16 {
    // Below those that the kernel gives to whoever asks for any: it would give this one away before it is listened on.
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    std::iter::repeat_with(|| rand::random_range(12_000..32_000)).take(1_000).find(free).unwrap()
}

pub(crate) async fn server(port: u16, maildir: &Path, more: &[&str]) -> Child {
    let mut command = Command::new("aiosmtpd");
    command.args(["-n", "-l", &format!("127.0.0.1:{port}"), "-c", "aiosmtpd.handlers.Mailbox"]).args(more).arg(maildir);
    let server = command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn();
    let server = server.expect("aiosmtpd is installed (Debian: python3-aiosmtpd)");
    in_time(async {
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    server
}

pub(crate) fn settings(port: u16) -> NotifyConfig {
    let smtp = SmtpConfig {
        host: "127.0.0.1".into(),
        port,
        encryption: Encryption::None,
        ca_file: None,
        from: "Fleet <fleet@waystream.example>".into(),
        user: None,
        password: None,
        password_file: None,
        insecure: false,
    };
    NotifyConfig { smtp: Some(smtp), tries: 1_000, longest_pause_s: 1, ..config() }
}

pub(crate) fn mails(maildir: &Path) -> Vec<String> {
    let Ok(files) = std::fs::read_dir(maildir.join("new")) else { return Vec::new() };
    files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect()
}

pub(crate) fn to(addresses: &[&str]) -> Target {
    Target::Email { to: addresses.iter().map(|a| (*a).to_owned()).collect() }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_e_mail_waits_for_its_server_and_has_the_id_of_its_delivery() {
    let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
    let maildir = folder.path().join("mail");
    let system = System::telling(settings(port), &[("mail", to(&["night@fleet.example", "boss@fleet.example"]))]).await;
    system.happen(&[enter("Van 7", 1)]).await;
    let fails = |d: &waystream_domain::notify::Delivery| matches!(&d.state, DeliveryState::Pending { last_error: Some(error), .. } if error.contains("refused"));
    system.until(|all| all.len() == 1 && all[0].attempts >= 2 && fails(&all[0])).await;
    let _server = server(port, &maildir, &[]).await;
    let delivered = system.until_all(1, &["delivered"]).await.remove(0);
    let mails = mails(&maildir);
    assert_eq!(mails.len(), 1);
    for line in [
        "Subject: Van 7 entered depot",
        "From: Fleet <fleet@waystream.example>",
        "To: night@fleet.example, boss@fleet.example",
        &format!("Message-ID: <{}@waystream.example>", delivered.id),
        "Auto-Submitted: auto-generated",
        "Place      52.229676, 21.012229",
        "speed_mps  5.5",
        "X-RcptTo: night@fleet.example, boss@fleet.example",
    ] {
        assert!(mails[0].lines().any(|found| found.trim_end() == line), "{line} is not in\n{}", mails[0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_will_never_take_is_dead_at_once() {
    let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
    let maildir = folder.path().join("mail");
    // It takes no more than 64 bytes.
    let _server = server(port, &maildir, &["-s", "64"]).await;
    let system = System::telling(settings(port), &[("mail", to(&["night@fleet.example"]))]).await;
    system.happen(&[enter("Van 7", 1)]).await;
    let dead = system.until_all(1, &["dead"]).await.remove(0);
    assert_eq!(dead.attempts, 1);
    let DeliveryState::Dead { reason } = &dead.state else { panic!("{dead:?}") };
    assert!(reason.contains("552"), "{reason}");
    assert_eq!(mails(&maildir).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_in_the_settings_it_says_so() {
    let system = System::telling(config(), &[("mail", to(&["night@fleet.example"]))]).await;
    system.happen(&[enter("Van 7", 1)]).await;
    let dead = system.until_all(1, &["dead"]).await.remove(0);
    let DeliveryState::Dead { reason } = &dead.state else { panic!("{dead:?}") };
    assert!(reason.contains("[notify.smtp]"), "{reason}");
}

#[test]
fn settings_that_make_no_sense_are_told_by_name_and_no_password_is_shown() {
    let smtp = |change: fn(&mut SmtpConfig)| {
        let mut config = settings(25);
        config.smtp.iter_mut().for_each(change);
        waystream_notify::Notifier::new(config).map(drop).map_err(|e| e.to_string())
    };
    assert_eq!(smtp(|_| {}), Ok(()));
    assert!(smtp(|s| s.from = "nobody".into()).unwrap_err().starts_with("notify.smtp.from: "));
    assert!(smtp(|s| s.user = Some("me".into())).unwrap_err().starts_with("notify.smtp.user: "));
    assert!(smtp(|s| s.password_file = Some("missing".into())).unwrap_err().starts_with("notify.smtp.password_file: "));
    let zero = waystream_notify::Notifier::new(NotifyConfig { tries: 0, ..config() }).unwrap_err();
    assert_eq!(zero.to_string(), "notify.tries: it is at least 1");
    let with_password =
        SmtpConfig { password: Some(waystream_notify::Password("hunter2".into())), ..settings(25).smtp.unwrap() };
    let shown = format!("{with_password:?} {}", serde_json::to_string(&with_password).unwrap());
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_password_for_mail_or_mqtt_goes_to_other_machines_only_encrypted_or_by_an_explicit_word() {
    let refused = |settings: &str| {
        let config: NotifyConfig = serde_json::from_str(settings).unwrap();
        waystream_notify::Notifier::new(config).err().map(|error| error.to_string())
    };
    let smtp = |host: &str, more: &str| {
        let signed_in = r#""from": "us@example.org", "user": "us", "password": "hunter2""#;
        refused(&format!(r#"{{"smtp": {{"host": "{host}", "port": 25, {signed_in}{more}}}}}"#))
    };
    let mqtt = |host: &str, more: &str| {
        refused(&format!(r#"{{"mqtt": {{"host": "{host}", "port": 25, "user": "us", "password": "hunter2"{more}}}}}"#))
    };
    let none = r#", "encryption": "none""#;
    for host in ["mail.example.org", "192.0.2.1"] {
        for told in [smtp(host, none), mqtt(host, "")] {
            let told = told.unwrap();
            assert!(told.contains(&format!("on its way to {host}:25")) && told.contains("insecure = true"), "{told}");
            assert!(!told.contains("hunter2"), "{told}");
        }
        for told in [
            smtp(host, ""),
            smtp(host, r#", "encryption": "tls""#),
            smtp(host, &format!(r#"{none}, "insecure": true"#)),
            mqtt(host, r#", "tls": {}"#),
            mqtt(host, r#", "insecure": true"#),
        ] {
            // Certificates are another matter.
            assert!(told.is_none_or(|told| !told.contains("on its way")), "{host}");
        }
    }
    for host in ["localhost", "127.0.0.1", "::1"] {
        assert_eq!((smtp(host, none), mqtt(host, "")), (None, None));
    }
}
