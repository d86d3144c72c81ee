//! Who comes in, and how.

use crate::client::{Client, Received, error, kinds, startup};
use crate::common::fixture;
use crate::people::{CatalogDoor, certificate};
use crate::server::{PATIENCE, Server, options};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use waystream_domain::TokenScope;
use waystream_sql::SqlOptions;
use waystream_sql::postgres::{Postgres, PostgresError, PostgresOptions};
use waystream_tls::TlsFiles;

#[tokio::test]
async fn any_valid_token_of_the_user_signs_in_and_nothing_else() {
    let server = Server::start().await;
    let (_, second) = server.token("anna", &[TokenScope::Sql, TokenScope::Read]);
    for secret in [&server.anna, &second] {
        let mut anna = server.connect("anna", secret).await.unwrap();
        assert_eq!(anna.query("SELECT current_user").await.unwrap(), [[Some("anna".to_owned())]]);
        assert!(anna.told.iter().any(|told| told == "server_encoding=UTF8"), "{:?}", anna.told);
    }
    let (_, reader) = server.token("anna", &[TokenScope::Read]);
    for (user, secret) in [
        ("anna", server.bert.as_str()),
        ("anna", ""),
        ("anna", "ws_0_1"),
        ("anna", &reader),
        ("nobody", &server.anna),
        ("Anna", &server.anna),
        ("", &server.anna),
    ] {
        let refused = server.connect(user, secret).await.err().unwrap();
        assert_eq!((refused.severity.as_str(), refused.code.as_str()), ("FATAL", "28P01"), "{user} {refused:?}");
        assert_eq!(refused.message, "user name or token is wrong");
    }
    server.revoke(&second);
    assert!(server.connect("anna", &second).await.is_err() && server.connect("anna", &server.anna).await.is_ok());
    server.stop().await;
}

#[tokio::test]
async fn a_user_who_does_not_exist_looks_like_one_whose_token_is_wrong() {
    let server = Server::start().await;
    let mut seen = Vec::new();
    for user in ["anna", "nobody", "nobody"] {
        let mut client = Client::reach(server.address).await;
        client.send_first(196_608, &startup(&[("user", user)])).await;
        let mechanisms = client.receive().await;
        client.send('p', b"SCRAM-SHA-256\0\0\0\0\x09n,,n=,r=x").await;
        let challenge = client.receive().await;
        let text = String::from_utf8(challenge.1[4..].to_vec()).unwrap();
        let (nonce, salt) = text.split_once(",s=").unwrap();
        let zeros = "A".repeat(43) + "=";
        client.send('p', format!("c=biws,{nonce},p={zeros}").as_bytes()).await;
        let (kind, body) = client.receive().await;
        seen.push((kinds(&[mechanisms, challenge]), salt.len(), kind, error(&body)));
        seen.last_mut().unwrap().0.push_str(if user == "nobody" { salt } else { "" });
    }
    assert_eq!(seen[1], seen[2], "the salt of a user who does not exist stays the same");
    assert_eq!((seen[0].1, seen[0].2, &seen[0].3), (seen[1].1, seen[1].2, &seen[1].3));
    server.stop().await;
}

#[tokio::test]
async fn where_others_can_reach_it_there_is_tls_or_an_explicit_word() {
    let f = fixture(SqlOptions::default()).await;
    let door = Arc::new(CatalogDoor(f.catalog.clone()));
    let open = PostgresOptions { listen: (Ipv4Addr::UNSPECIFIED, 0).into(), ..options() };
    let refused = Postgres::bind(open.clone(), f.engine.clone(), door.clone()).await;
    assert!(matches!(refused, Err(PostgresError::Open(_))));
    let explicit = PostgresOptions { insecure: true, ..open.clone() };
    assert!(Postgres::bind(explicit, f.engine.clone(), door.clone()).await.is_ok());

    // A certificate that can't be used is an error now, and never a reason to do without.
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    certificate(folder.path(), "good");
    certificate(folder.path(), "other");
    std::fs::write(path("empty.pem"), "").unwrap();
    for (certificate, key) in
        [("none.pem", "good.key"), ("good.pem", "none.key"), ("empty.pem", "good.key"), ("good.pem", "other.key")]
    {
        let tls = Some(TlsFiles { certificate: path(certificate), key: path(key) });
        let refused = Postgres::bind(PostgresOptions { tls, ..open.clone() }, f.engine.clone(), door.clone()).await;
        assert!(matches!(refused, Err(PostgresError::Tls(_))), "{certificate} {key}");
    }
}

#[tokio::test]
async fn tls_is_spoken_by_who_wants_it() {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path(), "good");
    let tls = TlsFiles { certificate: folder.path().join("good.pem"), key: folder.path().join("good.key") };
    let server = Server::start_with(PostgresOptions { tls: Some(tls), ..options() }, SqlOptions::default()).await;
    let port = server.address.port();
    let secret = server.anna.clone();
    let root = folder.path().join("good.pem");
    let psql = move |mode: &str, root: &Path| {
        let target = format!(
            "host=localhost hostaddr=127.0.0.1 port={port} user=anna dbname=waystream sslmode={mode} sslrootcert={}",
            root.display()
        );
        let mut command = Command::new("psql");
        let command =
            command.env("PGPASSWORD", &secret).args(["-X", "-A", "-t", &target, "-c", "SELECT 6 * 7", "-c", "\\conninfo"]);
        let output = command.output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let both = tokio::task::spawn_blocking(move || {
        (psql("verify-full", &root), psql("disable", &root), psql("verify-full", Path::new("/nowhere.pem")))
    });
    let (encrypted, plain, mistrusted) = both.await.unwrap();
    assert!(encrypted.starts_with("42\n") && encrypted.contains("SSL connection (protocol: TLSv1.3"), "{encrypted}");
    assert!(plain.starts_with("42\n") && !plain.contains("SSL"), "on this machine both go: {plain}");
    assert!(!mistrusted.contains("42"), "{mistrusted}");

    // What was sent before the handshake doesn't count as sent over TLS.
    let mut client = Client::reach(server.address).await;
    let mut message = 8u32.to_be_bytes().to_vec();
    message.extend(80_877_103u32.to_be_bytes());
    message.extend(b"\0\0\0\x08\0\x03\0\0user\0anna\0\0");
    client.tcp.write_all(&message).await.unwrap();
    let mut answer = Vec::new();
    client.tcp.read_to_end(&mut answer).await.ok();
    assert!(!answer.contains(&b'R'), "{answer:?}");
    server.stop().await;
}

#[tokio::test]
async fn without_tls_the_wish_for_it_is_declined() {
    let server = Server::start().await;
    let mut client = Client::reach(server.address).await;
    for request in [80_877_104, 80_877_103] {
        client.send_first(request, b"").await;
        assert_eq!(client.tcp.read_u8().await.unwrap(), b'N');
    }
    client.send_first(196_608, &startup(&[("user", "anna")])).await;
    client.sign_in(&server.anna).await.unwrap();
    // A newer protocol than there is: the newest that we know.
    let mut newer = Client::reach(server.address).await;
    newer.send_first(196_608 + 99, &startup(&[("user", "anna"), ("_pq_.new", "1")])).await;
    let (kind, body) = newer.receive().await;
    assert_eq!((kind, &body[..]), ('v', &b"\0\x03\0\x02\0\0\0\x01_pq_.new\0"[..]));
    newer.sign_in(&server.anna).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn who_does_not_get_done_is_closed_and_harms_nobody() {
    let options = PostgresOptions { startup: Duration::from_millis(400), ..options() };
    let server = Server::start_with(options, SqlOptions::default()).await;
    let mut half_open = Vec::new();
    for beginning in
        [&b""[..], b"\0\0", b"\0\0\0\x30\0\x03\0\0user", b"\0\0\0\x08\x04\xd2\x16\x2f", b"\0\0\0\x13\0\x03\0\0user\0anna\0\0"]
    {
        let mut client = Client::reach(server.address).await;
        client.tcp.write_all(beginning).await.unwrap();
        half_open.push(client);
    }
    server.anna().await.query("SELECT 1").await.unwrap();
    for mut client in half_open {
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(PATIENCE, client.tcp.read_to_end(&mut rest)).await;
        closed.expect("it is closed").ok();
    }

    // Bytes that make no sense.
    for garbage in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        &[0xff; 64],
        &[0; 64],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03",
        b"\0\0\0\x0c\0\x02\0\0user",
    ] {
        let mut client = Client::reach(server.address).await;
        client.tcp.write_all(garbage).await.unwrap();
        let mut answer = Vec::new();
        client.tcp.read_to_end(&mut answer).await.ok();
        assert!(!answer.contains(&b'R'), "{answer:?}");
    }
    let mut anna = server.anna().await;
    for (garbage, code) in [
        (&b"!\0\0\0\x04"[..], "08P01"),
        (b"Q\0\0\0\x05x", "08P01"),
        (b"Q\xff\xff\xff\xffx", "08P01"),
        (b"Q\0\0\0\0", "08P01"),
        (b"B\0\0\0\x09\0\0\xff\xff\0", "08P01"),
        (b"p\0\0\0\x04", "08P01"),
    ] {
        let mut client = server.anna().await;
        client.tcp.write_all(garbage).await.unwrap();
        let answer = client.until_ready().await;
        assert_eq!(kinds(&answer), "E!", "{garbage:?}");
        assert_eq!(error(&answer[0].1).code, code, "{garbage:?}");
    }
    anna.query("SELECT 1").await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn connections_are_counted_and_silent_ones_closed() {
    // Beside another organisation, one has half of them at most.
    let options = PostgresOptions { connections: 4, idle: Duration::from_secs(3), ..options() };
    let server = Server::start_with(options, SqlOptions::default()).await;
    let (mut one, mut two) = (server.anna().await, server.anna().await);
    let third = server.connect("anna", &server.anna).await.err().unwrap();
    assert_eq!((third.severity.as_str(), third.code.as_str()), ("FATAL", "53300"));
    server.connect("bert", &server.bert).await.unwrap();
    for client in [&mut one, &mut two] {
        client.query("SELECT 1").await.unwrap();
    }
    for client in [&mut one, &mut two] {
        let answer = client.until_ready().await;
        assert_eq!(kinds(&answer), "E!");
        assert_eq!(error(&answer[0].1).code, "57P05");
    }
    while server.connect("anna", &server.anna).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn an_address_has_so_many_connections_that_have_not_signed_in_and_keeps_nobody_out() {
    // Nothing is sent: the kernel only says from where it would be.
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("192.0.2.1:9").expect("this machine has a network");
    let elsewhere = socket.local_addr().unwrap().ip();
    let options = PostgresOptions { listen: ([0, 0, 0, 0], 0).into(), insecure: true, ..options() };
    let server = Server::start_with(options, SqlOptions::default()).await;
    let address = SocketAddr::new(elsewhere, server.address.port());
    let mut silent = Vec::new();
    for _ in 0..16 {
        silent.push(Client::reach(address).await);
    }
    assert_eq!(Client::reach(address).await.receive().await.0, '!', "it is closed");
    let here = SocketAddr::from((Ipv4Addr::LOCALHOST, server.address.port()));
    Client::connect(here, "anna", &server.anna).await.unwrap().query("SELECT 1").await.unwrap();
    // Places are given back.
    drop(silent);
    let body = startup(&[("user", "anna")]);
    let hello = [&(8 + body.len() as u32).to_be_bytes()[..], &196_608_u32.to_be_bytes(), &body].concat();
    loop {
        let mut client = Client::reach(address).await;
        drop(client.tcp.write_all(&hello).await);
        if client.receive().await.0 == 'R' {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server.stop().await;
}

/// Why the server has ended the connection. What it had told of columns before is sent too.
fn farewell(messages: &[Received]) -> String {
    let said = kinds(messages);
    assert!(["E!", "TE!"].contains(&said.as_str()), "{said}");
    error(&messages[messages.len() - 2].1).code
}

#[tokio::test]
async fn a_token_that_is_removed_ends_what_it_began() {
    let server = Server::start().await;
    let (mut idle, mut busy, mut kept) =
        (server.anna().await, server.anna().await, server.connect("bert", &server.bert).await.unwrap());
    kept.query("SELECT 1").await.unwrap();
    busy.send('Q', b"SELECT count(*) FROM generate_series(1, 1000000000000)\0").await;
    server.until_running(1).await;
    server.revoke(&server.anna);
    // Looked at every second.
    assert_eq!(farewell(&busy.until_ready().await), "28000");
    server.until_running(0).await;
    assert_eq!(farewell(&idle.until_ready().await), "28000");
    kept.query("SELECT 1").await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_stops_says_so() {
    let server = Server::start().await;
    let (mut idle, mut busy) = (server.anna().await, server.anna().await);
    busy.send('Q', b"SELECT count(*) FROM generate_series(1, 1000000000000)\0").await;
    server.until_running(1).await;
    server.stop().await;
    for client in [&mut idle, &mut busy] {
        assert_eq!(farewell(&client.until_ready().await), "57P01");
    }
}
