//! Benchmarks: what one machine does, in figures for `RESULTS.md`. Each program in `src/bin` measures one part and prints a
//! table; `--help` says what can be set. Nothing of the product uses this crate.
//!
//! - `log`: the embedded log: records a second, latencies, catching up.
//! - `connectors`: Teltonika trackers in one process, the system in another: durable positions a second, CPU, memory, history.
//! - `distributed`: the same trackers and the program's roles as processes on Kafka and QuestDB, or all in one process: positions a
//!   second of each role, CPU, and a live load for `browser/latency.mjs`.
//! - `endure`: 15,000 trackers and 10,000 sockets for three minutes while faults go on, on the program's roles as processes on Kafka,
//!   QuestDB and Redis (two gateways), or on all in one process: memory, lag, how fast all are well again, what is lost. It fails if
//!   anything is. `--seed` gives the same faults again, `--faults` says which.
//! - `gateway`: the gateway with a simulated fleet behind it, for browsers (`browser/map.mjs`, `browser/replay.mjs`) and sockets to be
//!   measured against.
//! - `fanout`: thousands of sockets that watch fleets, of our gateway and of the usual stack's server: deliveries, latency, CPU, memory.
//! - `replay`: a day of many vehicles replayed to one client without a browser: positions a second, and what each costs the server.
//! - `scale`: memory of many devices' states, restoring them, a dataflow's start, edits among many geofences and devices.
//! - `geofence`: the geofence job on the shared workload, exact against its truth: fold alone, whole job, epoch latency.
//! - `hostile`: a thousand positions a second through one process, without and with SQL that nobody should ask of it: how old positions are when
//!   sockets take them.
//! - `sql`: the questions of fleets over ten million positions, of our SQL over files, over QuestDB, and of QuestDB itself; same answers.

pub mod devices;
pub mod endure;
pub mod fanout;
pub mod fleet;
pub mod fleet_days;
pub mod folded;
pub mod gateway;
pub mod hostile;
pub mod load;
pub mod log;
pub mod past;
pub mod process;
pub mod processes;
pub mod questions;
pub mod replayed;
pub mod report;
pub mod scale;
pub mod served;
pub mod start;
pub mod system;
pub mod teltonika;
pub mod watcher;
pub mod workload;
