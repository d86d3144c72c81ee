//! Who comes in, and how.

use crate::common::fixture;
use crate::people::{CatalogDoor, certificate, token};
use crate::server::{Client, Server, options, query, row, told};
use hyper_util::rt::TokioIo;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;
use tonic::transport::{Endpoint, Uri};
use waystream_domain::TokenScope;
use waystream_sql::SqlOptions;
use waystream_sql::flight::{Flight, FlightError, FlightOptions};
use waystream_tls::{TlsClient, TlsFiles, TlsTrust};

/// How HTTP/2 begins.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

#[tokio::test]
async fn a_token_opens_by_itself_and_with_its_users_name() {
    let server = Server::start().await;
    let mut anna = server.stranger().await;
    anna.handshake("anna", &server.anna).await.unwrap();
    assert_eq!(anna.token(), Some(&server.anna));
    assert_eq!(row(&query(&mut anna, "SELECT count(*) AS n FROM positions").await.unwrap()), ["1000"]);
    let mut bert = server.client(&server.bert).await;
    assert_eq!(row(&query(&mut bert, "SELECT count(*) AS n FROM positions").await.unwrap()), ["500"]);

    let (_, reader) = token(&server.fixture.catalog, "anna", &[TokenScope::Read]);
    for (user, secret) in [
        ("anna", server.bert.as_str()),
        ("anna", ""),
        ("anna", "ws_0_1"),
        ("anna", &reader),
        ("nobody", &server.anna),
        ("Anna", &server.anna),
        ("", &server.anna),
    ] {
        let mut client = server.stranger().await;
        let refused = client.handshake(user, secret).await.unwrap_err().to_string();
        assert!(refused.contains("user name or token is wrong"), "{user}: {refused}");
    }
    let wrong = format!("{}0", server.anna);
    for secret in [wrong.as_str(), &reader, "", "ws_"] {
        let mut client = server.client(secret).await;
        let refused = query(&mut client, "SELECT 1").await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{refused}");
        assert!(refused.message().contains("user name or token is wrong"), "{refused}");
    }
    // Each call, not only the first: the connection of who was let in opens nothing to others.
    anna.set_token(wrong);
    assert_eq!(query(&mut anna, "SELECT 1").await.unwrap_err().code(), Code::Unauthenticated);
    bert.clear_token();
    assert_eq!(told(bert.get_catalogs().await.unwrap_err()).code(), Code::Unauthenticated);
    server.stop().await;
}

#[tokio::test]
async fn where_others_can_reach_it_there_is_tls_or_an_explicit_word() {
    let f = fixture(SqlOptions::default()).await;
    let door = Arc::new(CatalogDoor(f.catalog.clone()));
    let open = FlightOptions { listen: (Ipv4Addr::UNSPECIFIED, 0).into(), ..options() };
    let refused = Flight::bind(open.clone(), f.engine.clone(), door.clone()).await;
    assert!(matches!(refused, Err(FlightError::Open(_))));
    let explicit = FlightOptions { insecure: true, ..open.clone() };
    assert!(Flight::bind(explicit, f.engine.clone(), door.clone()).await.is_ok());
    // A certificate that can't be used is an error now, and never a reason to do without.
    let tls = Some(TlsFiles { certificate: "nowhere.pem".into(), key: "nowhere.key".into() });
    let refused = Flight::bind(FlightOptions { tls, ..open }, f.engine.clone(), door).await;
    assert!(matches!(refused, Err(FlightError::Tls(_))));
}

#[tokio::test]
async fn tls_is_spoken_by_who_wants_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    certificate(folder.path(), "good");
    certificate(folder.path(), "other");
    let tls = TlsFiles { certificate: path("good.pem"), key: path("good.key") };
    let server = Server::start_with(FlightOptions { tls: Some(tls), ..options() }, SqlOptions::default()).await;
    let address = server.address;
    let reach = async |ca: &str| {
        let trust = TlsTrust { ca_file: Some(path(ca)), ..TlsTrust::default() };
        let tls = TlsClient::new(&trust, "localhost").unwrap();
        let connector = tower::service_fn(move |_: Uri| {
            let tls = tls.clone();
            async move { Ok::<_, io::Error>(TokioIo::new(tls.connect(TcpStream::connect(address).await?).await?)) }
        });
        server.endpoint().connect_with_connector(connector).await
    };
    let mut encrypted = Client::new(reach("good.pem").await.unwrap());
    encrypted.handshake("anna", &server.anna).await.unwrap();
    assert_eq!(row(&query(&mut encrypted, "SELECT 6 * 7 AS n").await.unwrap()), ["42"]);
    assert!(reach("other.pem").await.is_err());
    // On this machine it goes without.
    assert_eq!(row(&query(&mut server.anna().await, "SELECT 6 * 7 AS n").await.unwrap()), ["42"]);
    server.stop().await;
}

#[tokio::test]
async fn who_shows_nothing_in_time_is_closed_and_harms_nobody() {
    let options = FlightOptions { startup: Duration::from_millis(400), ..options() };
    let server = Server::start_with(options, SqlOptions::default()).await;
    let mut silent = Vec::new();
    for beginning in
        [&b""[..], b"PRI * HT", PREFACE, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", &[0xff; 64], b"\x16\x03\x01\x02\0\x01"]
    {
        let mut tcp = TcpStream::connect(server.address).await.unwrap();
        tcp.write_all(beginning).await.unwrap();
        silent.push(tcp);
    }
    assert_eq!(row(&query(&mut server.anna().await, "SELECT 1 AS n").await.unwrap()), ["1"]);
    for mut tcp in silent {
        let mut rest = Vec::new();
        // Ended in order or not.
        tcp.read_to_end(&mut rest).await.ok();
    }
    server.stop().await;
}

#[tokio::test]
async fn connections_of_guests_are_counted_and_places_given_back() {
    // Beside another organisation, one has half of them at most.
    let server = Server::start_with(FlightOptions { connections: 4, ..options() }, SqlOptions::default()).await;
    let (mut first, mut second) = (server.anna().await, server.anna().await);
    for client in [&mut first, &mut second] {
        assert_eq!(row(&query(client, "SELECT 1 AS n").await.unwrap()), ["1"]);
    }
    let refused = query(&mut server.anna().await, "SELECT 1").await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert_eq!(row(&query(&mut server.client(&server.bert).await, "SELECT 1 AS n").await.unwrap()), ["1"]);
    drop(first);
    while query(&mut server.anna().await, "SELECT 1").await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server.stop().await;
}

/// Whether a connection from there is taken; then it is open, and has shown nothing.
async fn reach(address: SocketAddr) -> Option<TcpStream> {
    let mut tcp = TcpStream::connect(address).await.unwrap();
    // Where it is closed at once this may fail already.
    drop(tcp.write_all(PREFACE).await);
    let answered = tokio::time::timeout(Duration::from_secs(20), tcp.read(&mut [0; 1])).await.expect("answered, or closed");
    matches!(answered, Ok(1)).then_some(tcp)
}

#[tokio::test]
async fn an_address_has_so_many_connections_that_have_shown_nothing_and_keeps_nobody_out() {
    // Nothing is sent: the kernel only says from where it would be.
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("192.0.2.1:9").expect("this machine has a network");
    let elsewhere = socket.local_addr().unwrap().ip();
    let options = FlightOptions {
        listen: (Ipv4Addr::UNSPECIFIED, 0).into(),
        insecure: true,
        startup: Duration::from_secs(60),
        ..options()
    };
    let server = Server::start_with(options, SqlOptions::default()).await;
    let address = SocketAddr::new(elsewhere, server.address.port());
    let mut silent = Vec::new();
    for _ in 0..16 {
        silent.push(reach(address).await.expect("there is a place"));
    }
    assert!(reach(address).await.is_none(), "it is closed");
    let here = Endpoint::from_shared(format!("http://{}:{}", Ipv4Addr::LOCALHOST, server.address.port())).unwrap();
    let mut anna = Client::new(here.connect().await.unwrap());
    anna.set_token(server.anna.clone());
    assert_eq!(row(&query(&mut anna, "SELECT 1 AS n").await.unwrap()), ["1"]);
    // Places are given back.
    drop(silent);
    while reach(address).await.is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server.stop().await;
}
