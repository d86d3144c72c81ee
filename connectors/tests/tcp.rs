//! Trackers over TCP and UDP, on the real embedded log.
#![allow(clippy::unwrap_used)]

use crate::common;

use common::egts::{ANSWER_BYTES, relayed};
use common::teltonika::{START_MS, Tracker, data, data_of, datagram, login, packet, record};
use common::{System, in_time, short};
use std::collections::BTreeSet;
use tokio::net::UdpSocket;
use waystream_connectors::decode::parse_hex;
use waystream_connectors::{Connectors, ConnectorsConfig, Limits, Listen, UnknownDevices};
use waystream_domain::catalog::Device;
use waystream_domain::{CatalogEdit, CatalogEntry, DeviceId, FleetId, Position};

const IMEI: &str = "356307042441013";
const OTHER_IMEI: &str = "356307042441014";

/// Distinct positions: (device, fix_time) is one.
fn distinct(positions: &[Position]) -> BTreeSet<(String, i64)> {
    positions.iter().map(|p| (p.device.to_string(), p.fix_time.as_millis())).collect()
}

#[tokio::test]
async fn a_report_is_answered_only_when_the_log_has_it() {
    let system = System::start().await;
    let mut tracker = Tracker::login(system.address("teltonika"), IMEI).await;
    system.gate.close();
    tracker.send(&packet(&data(START_MS, 3))).await;
    system.gate.held_up(1).await;
    assert!(tracker.is_unanswered());
    assert_eq!(system.positions().await, []);

    system.gate.open();
    assert_eq!(tracker.acknowledged().await.unwrap(), 3);
    let positions = system.positions().await;
    assert_eq!(positions.len(), 3);
    let first = &positions[0];
    assert_eq!((first.device.as_str(), first.fleet.as_str(), first.protocol.as_str()), (IMEI, "default", "teltonika"));
    assert_eq!(first.fix_time.as_millis() as u64, START_MS);
    assert!(first.received_at > first.fix_time && first.valid);
    system.stop().await;
}

#[tokio::test]
async fn a_new_device_is_in_the_catalog_before_its_first_position() {
    let system = System::start().await;
    Tracker::login(system.address("teltonika"), IMEI).await;
    let device = system.catalog.shared().read().unwrap().devices[&DeviceId::new(IMEI).unwrap()].clone();
    assert_eq!(device.fleet.as_str(), "default");
    system.stop().await;
}

#[tokio::test]
async fn passing_trouble_of_the_log_delays_the_answer_and_loses_nothing() {
    let system = System::start().await;
    let mut tracker = Tracker::login(system.address("teltonika"), IMEI).await;
    system.gate.fail(3);
    assert_eq!(tracker.report(&data(START_MS, 2)).await.unwrap(), 2);
    assert_eq!(system.positions().await.len(), 2);
    system.stop().await;
}

#[tokio::test]
async fn lasting_trouble_of_the_log_closes_the_connection_unanswered() {
    let limits = Limits { patience_s: 0, ..Limits::default() };
    let system = System::start_with(ConnectorsConfig { limits, ..ConnectorsConfig::default() }).await;
    let mut tracker = Tracker::login(system.address("teltonika"), IMEI).await;
    system.gate.fail(1);
    tracker.send(&packet(&data(START_MS, 2))).await;
    assert!(tracker.is_closed().await);
    // The log is back: so is the device, with the same packet.
    let mut tracker = Tracker::login(system.address("teltonika"), IMEI).await;
    assert_eq!(tracker.report(&data(START_MS, 2)).await.unwrap(), 2);
    assert_eq!(system.positions().await.len(), 2);
    system.stop().await;
}

#[tokio::test]
async fn a_device_that_is_set_up_under_another_form_of_its_id_is_that_device() {
    let config = ConnectorsConfig { unknown_devices: UnknownDevices::Refuse, ..ConnectorsConfig::default() };
    let system = System::start_with(config).await;
    let known = Device {
        id: DeviceId::new("657890240584326").unwrap(),
        fleet: FleetId::new("default").unwrap(),
        name: "with the check digit that its messages leave out".into(),
    };
    system
        .catalog
        .edit(&waystream_domain::Actor::CommandLine, vec![CatalogEdit::Put(CatalogEntry::Device(known))])
        .await
        .unwrap();
    let mut tracker = Tracker::connect(system.address("meiligao")).await;
    let position = "242400716578902405843299553136323533332e3937382c412c343632332e313137392c4e2c30373932342e323437312c572c303030302c3030302c\
                    3139313231372c2c2a31437c31312e357c3139347c303030307c313139322c303030307c3835383030307c30303331343809540d0a";
    tracker.send(&parse_hex(position).unwrap()).await;
    system.wait_for_positions(|positions| !positions.is_empty()).await;
    let positions = system.positions().await;
    assert_eq!(positions.iter().map(|position| position.device.as_str()).collect::<Vec<_>>(), ["657890240584326"]);
    system.stop().await;
}

#[tokio::test]
async fn a_packet_sent_again_is_the_same_position_again() {
    let system = System::start().await;
    system.gate.close();
    let mut tracker = Tracker::login(system.address("teltonika"), IMEI).await;
    tracker.send(&packet(&data(START_MS, 5))).await;
    system.gate.held_up(1).await;
    drop(tracker);
    let mut again = Tracker::login(system.address("teltonika"), IMEI).await;
    again.send(&packet(&data(START_MS, 5))).await;
    system.gate.held_up(2).await;
    system.gate.open();
    assert_eq!(again.acknowledged().await.unwrap(), 5);
    assert_eq!(distinct(&system.positions().await).len(), 5);
    system.stop().await;
}

#[tokio::test]
async fn packets_in_one_segment_are_answered_in_order_and_a_packet_in_many_segments_once() {
    let system = System::start().await;
    let mut tracker = Tracker::connect(system.address("teltonika")).await;
    let all =
        [login(IMEI), packet(&data(START_MS, 1)), packet(&data(START_MS + 10_000, 2)), packet(&data(START_MS + 20_000, 3))];
    tracker.send(&all.concat()).await;
    assert_eq!(tracker.answer(13).await.unwrap(), [1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3]);
    tracker.stream.set_nodelay(true).unwrap();
    for byte in packet(&data(START_MS + 30_000, 4)) {
        tracker.send(&[byte]).await;
    }
    assert_eq!(tracker.acknowledged().await.unwrap(), 4);
    assert_eq!(system.positions().await.len(), 10);
    system.stop().await;
}

#[tokio::test]
async fn the_newest_connection_of_a_device_wins_and_the_older_may_not_answer() {
    let system = System::start().await;
    let mut older = Tracker::login(system.address("teltonika"), IMEI).await;
    let mut other = Tracker::login(system.address("teltonika"), OTHER_IMEI).await;
    system.gate.close();
    older.send(&packet(&data(START_MS, 1))).await;
    system.gate.held_up(1).await;
    let mut newer = Tracker::login(system.address("teltonika"), IMEI).await;
    system.gate.open();
    assert!(older.is_closed().await);
    assert_eq!(newer.report(&data(START_MS, 1)).await.unwrap(), 1);
    assert_eq!(other.report(&data(START_MS, 1)).await.unwrap(), 1);
    system.stop().await;
}

#[tokio::test]
async fn an_idle_older_connection_is_closed_too() {
    let system = System::start().await;
    let mut older = Tracker::login(system.address("teltonika"), IMEI).await;
    let _newer = Tracker::login(system.address("teltonika"), IMEI).await;
    assert!(older.is_closed().await);
    system.stop().await;
}

#[tokio::test]
async fn bad_input_harms_nobody_else() {
    let system = System::start().await;
    let address = system.address("teltonika");
    let mut good = Tracker::login(address, OTHER_IMEI).await;

    // A wrong checksum is not answered; the same packet whole is.
    let mut tracker = Tracker::login(address, IMEI).await;
    let mut corrupted = packet(&data(START_MS, 1));
    corrupted[20] ^= 1;
    tracker.send(&corrupted).await;
    assert_eq!(tracker.report(&data(START_MS, 1)).await.unwrap(), 1);
    // Three in a row, and the connection is closed.
    tracker.send(&corrupted.repeat(3)).await;
    assert!(tracker.is_closed().await);

    // Larger than any packet: closed before it is read.
    let mut tracker = Tracker::login(address, IMEI).await;
    tracker.send(&[0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff]).await;
    assert!(tracker.is_closed().await);

    // Cut off in the middle of a packet.
    let mut tracker = Tracker::login(address, IMEI).await;
    tracker.send(&packet(&data(START_MS + 5000, 1))[..30]).await;
    drop(tracker);

    // Not a tracker at all.
    let mut tracker = Tracker::connect(address).await;
    tracker.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    drop(tracker);

    // A record that is nowhere on Earth is left out, and the packet answered, so that it is not sent for ever.
    let mut tracker = Tracker::login(address, IMEI).await;
    let records = [record(START_MS + 7000, 910_000_000, 0), record(START_MS + 8000, 520_000_000, 210_000_000)];
    assert_eq!(tracker.report(&data_of(&records)).await.unwrap(), 2);

    assert_eq!(good.report(&data(START_MS, 1)).await.unwrap(), 1);
    let stored = distinct(&system.positions().await);
    let expected = [(IMEI, START_MS), (IMEI, START_MS + 8000), (OTHER_IMEI, START_MS)];
    assert_eq!(stored, expected.map(|(device, at)| (device.to_owned(), at as i64)).into());
    system.stop().await;
}

#[tokio::test]
async fn a_fix_from_the_future_is_left_out_and_answered() {
    let system = System::start().await;
    let mut tracker = Tracker::login(system.address("teltonika"), IMEI).await;
    let in_2099 = 4_070_908_800_000;
    let records = [record(in_2099, 520_000_000, 210_000_000), record(START_MS, 520_000_000, 210_000_000)];
    assert_eq!(tracker.report(&data_of(&records)).await.unwrap(), 2);
    assert_eq!(distinct(&system.positions().await), [(IMEI.to_owned(), START_MS as i64)].into());
    system.stop().await;
}

#[tokio::test]
async fn zero_zero_is_kept_and_not_valid() {
    let system = System::start().await;
    let mut tracker = Tracker::login(system.address("teltonika"), IMEI).await;
    tracker.report(&data_of(&[record(START_MS, 0, 0)])).await.unwrap();
    assert!(!system.positions().await[0].valid);
    system.stop().await;
}

#[tokio::test]
async fn an_unknown_device_is_refused_if_the_policy_says_so() {
    let config = ConnectorsConfig { unknown_devices: UnknownDevices::Refuse, ..ConnectorsConfig::default() };
    let system = System::start_with(config).await;
    let mut tracker = Tracker::connect(system.address("teltonika")).await;
    tracker.send(&[login(IMEI), packet(&data(START_MS, 1))].concat()).await;
    assert_eq!(tracker.answer(1).await.unwrap(), [0]);
    assert!(tracker.is_closed().await);
    assert_eq!(system.positions().await, []);
    system.stop().await;
}

#[tokio::test]
async fn one_connection_carries_the_fixes_of_many_devices() {
    let system = System::start_with(ConnectorsConfig { limits: short(), ..ConnectorsConfig::default() }).await;
    let mut relay = Tracker::connect(system.address("egts")).await;
    relay.send(&relayed()).await;
    assert_eq!(relay.answer(ANSWER_BYTES).await.unwrap().len(), ANSWER_BYTES);
    let positions = system.positions().await;
    let devices: BTreeSet<&str> = positions.iter().map(|position| position.device.as_str()).collect();
    assert_eq!((positions.len(), devices.len()), (10, 8));
    assert!(devices.contains("2586625890") && devices.contains("208789630"), "{devices:?}");
    system.stop().await;
}

#[tokio::test]
async fn an_unknown_device_behind_a_relay_is_refused_alone() {
    let config = ConnectorsConfig { unknown_devices: UnknownDevices::Refuse, ..ConnectorsConfig::default() };
    let system = System::start_with(config).await;
    let known = Device {
        id: DeviceId::new("3233214134").unwrap(),
        fleet: FleetId::new("default").unwrap(),
        name: "one of eight".into(),
    };
    system
        .catalog
        .edit(&waystream_domain::Actor::CommandLine, vec![CatalogEdit::Put(CatalogEntry::Device(known))])
        .await
        .unwrap();
    let mut relay = Tracker::connect(system.address("egts")).await;
    relay.send(&relayed()).await;
    assert_eq!(relay.answer(ANSWER_BYTES).await.unwrap().len(), ANSWER_BYTES);
    let positions = system.positions().await;
    assert_eq!(positions.iter().map(|position| position.device.as_str()).collect::<Vec<_>>(), ["3233214134"; 2]);
    system.stop().await;
}

#[tokio::test]
async fn who_says_nothing_or_half_a_frame_is_closed() {
    let system = System::start_with(ConnectorsConfig { limits: short(), ..ConnectorsConfig::default() }).await;
    let mut silent = Tracker::connect(system.address("teltonika")).await;
    let mut half_a_login = Tracker::connect(system.address("teltonika")).await;
    half_a_login.send(&login(IMEI)[..5]).await;
    let mut half_a_frame = Tracker::login(system.address("teltonika"), IMEI).await;
    half_a_frame.send(&packet(&data(START_MS, 1))[..9]).await;
    let mut idle = Tracker::login(system.address("teltonika"), OTHER_IMEI).await;
    for tracker in [&mut silent, &mut half_a_login, &mut half_a_frame, &mut idle] {
        assert!(tracker.is_closed().await);
    }
    system.stop().await;
}

#[tokio::test]
async fn one_address_gets_so_many_connections() {
    let limits = Limits { max_connections_per_address: 2, ..Limits::default() };
    let system = System::start_with(ConnectorsConfig { limits, ..ConnectorsConfig::default() }).await;
    let first = Tracker::login(system.address("teltonika"), "1").await;
    let mut second = Tracker::login(system.address("teltonika"), "2").await;
    let mut third = Tracker::connect(system.address("teltonika")).await;
    assert!(third.is_closed().await);
    assert_eq!(second.report(&data(START_MS, 1)).await.unwrap(), 1);
    drop(first);
    // Its place is given back once its end is noticed.
    in_time(async {
        loop {
            let mut next = Tracker::connect(system.address("teltonika")).await;
            next.send(&login("3")).await;
            if next.answer(1).await.is_ok_and(|answer| answer == [1]) {
                break;
            }
        }
    })
    .await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_trackers_at_once_are_all_stored() {
    let system = System::start().await;
    let address = system.address("teltonika");
    let trackers = (0..1000).map(|n| {
        tokio::spawn(async move {
            let mut tracker = Tracker::login(address, &format!("{:015}", 350_000_000_000_000u64 + n)).await;
            for packet in 0..2 {
                assert_eq!(tracker.report(&data(START_MS + packet * 60_000, 10)).await.unwrap(), 10);
            }
        })
    });
    for tracker in trackers.collect::<Vec<_>>() {
        tracker.await.unwrap();
    }
    let positions = system.positions().await;
    assert_eq!((positions.len(), distinct(&positions).len()), (20_000, 20_000));
    system.stop().await;
}

#[tokio::test]
async fn a_stop_finishes_and_answers_what_is_under_way() {
    let system = System::start().await;
    let address = system.address("teltonika");
    let mut busy = Tracker::login(address, IMEI).await;
    let mut idle = Tracker::login(address, OTHER_IMEI).await;
    system.gate.close();
    busy.send(&packet(&data(START_MS, 7))).await;
    system.gate.held_up(1).await;
    system.begin_stop();
    assert!(idle.is_closed().await);
    system.gate.open();
    assert_eq!(busy.acknowledged().await.unwrap(), 7);
    assert!(busy.is_closed().await);
    assert_eq!(system.positions().await.len(), 7);
    system.stop().await;
}

#[tokio::test]
async fn datagrams_are_answered_to_their_sender_once_durable() {
    let system = System::start().await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(system.address("teltonika")).await.unwrap();
    system.gate.close();
    socket.send(&datagram(IMEI, 5, &data(START_MS, 2))).await.unwrap();
    system.gate.held_up(1).await;
    assert!(socket.try_recv(&mut [0; 16]).is_err());
    system.gate.open();
    let mut answer = [0; 16];
    let bytes = in_time(socket.recv(&mut answer)).await.unwrap();
    assert_eq!(answer[..bytes], [0, 5, 0, 0, 1, 5, 2]);
    // Noise does not stop the listener.
    for noise in [&b"\0"[..], b"hello", &[0xff; 1400]] {
        socket.send(noise).await.unwrap();
    }
    socket.send(&datagram(IMEI, 6, &data(START_MS + 10_000, 1))).await.unwrap();
    in_time(socket.recv(&mut answer)).await.unwrap();
    assert_eq!(answer[5..7], [6, 1]);
    assert_eq!(system.positions().await.len(), 3);
    system.stop().await;
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_names_protocol_and_address() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let mut config = ConnectorsConfig::default().on_free_ports();
    config.listeners.insert("teltonika".to_owned().try_into().unwrap(), Listen::Address(address));
    let error = Connectors::new(config).bind().await.err().unwrap();
    assert_eq!(error.to_string(), format!("could not listen for teltonika on {address}/tcp"));
}
