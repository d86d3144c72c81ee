//! What a connection costs that says nothing at the moment, as most do most of the time.
#![allow(clippy::unwrap_used)]

mod common;

use common::System;
use common::teltonika::{START_MS, data, login, packet};
use peak_alloc::PeakAlloc;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

/// This file has one test only, as others at the same time would be counted too.
#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const CONNECTIONS: u64 = 1000;
const MAX_BYTES: usize = 4096;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_connection_costs_less_than_four_kibibytes() {
    for listener in ["teltonika", "any"] {
        let system = System::start().await;
        let address = system.address(listener);
        // These use no memory of ours: they are of the kernel.
        let connect = move |count: u64| {
            let connected = (0..count).map(|number| {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.write_all(&login(&format!("{:015}", 356_307_042_000_000 + number))).unwrap();
                stream.read_exact(&mut [0]).unwrap();
                stream.write_all(&packet(&data(START_MS, 30))).unwrap();
                stream.read_exact(&mut [0; 4]).unwrap();
                stream
            });
            connected.collect::<Vec<_>>()
        };
        let streams = tokio::task::spawn_blocking(move || connect(CONNECTIONS)).await.unwrap();
        let open = MEMORY.current_usage();
        // What is left when they are gone is not theirs: the log, the catalog.
        tokio::task::spawn_blocking(move || streams.into_iter().for_each(close)).await.unwrap();
        let each = open.saturating_sub(MEMORY.current_usage()) / CONNECTIONS as usize;
        assert!((500..=MAX_BYTES).contains(&each), "{each} bytes each on {listener}");
        system.stop().await;
    }
}

/// Closes a connection and waits until the other side has.
fn close(mut stream: TcpStream) {
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}
