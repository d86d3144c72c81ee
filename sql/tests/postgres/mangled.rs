//! Conversations that make sense, and then bytes of them mangled, before the sign-in, in its middle and behind it: nothing panics, every
//! connection ends once nothing more is said on it, what the server has said is whole, and whoever comes next is served. `SEED` says one
//! run again, `CASES` tries more; proptest prints what failed in its smallest form.

use crate::client::{Client, prove, sasl_first, startup, table};
use crate::server::{Server, options};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::RngSeed;
use std::hash::{BuildHasher, RandomState};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use waystream_sql::SqlOptions;

const CASES: u32 = 150;
/// A server that has said nothing for so long is taken to wait for more.
const QUIET: Duration = Duration::from_millis(100);
/// Who is not answered, or not hung up on, after so long waits for ever.
const PATIENCE: Duration = Duration::from_secs(10);
/// Types of the server's messages.
const ANSWERS: &[u8] = b"RSKZTDCEIGHdcv123nst";

/// What is written where a number may stand.
const NUMBERS: &[u32] = &[0, 1, 3, 4, 5, 255, 9_999, 10_001, 65_536, 1 << 20, 1 << 30, i32::MAX as u32, 1 << 31, u32::MAX];

/// How far a conversation is when it is mangled.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    /// Nothing was said.
    Stranger,
    /// The server has asked for a proof.
    Proving,
    /// Signed in.
    Guest,
}

/// What is done to messages. Places are modulo what there is.
#[derive(Debug, Clone)]
enum Edit {
    /// A byte of a message.
    Flip(Index, Index, u8),
    /// Four bytes anywhere in a message.
    Number(Index, Index, u32),
    /// The length that a message says.
    Length(Index, u32),
    /// A message is shorter, and says so or not.
    Shorten(Index, Index, bool),
    Kind(Index, u8),
    Repeat(Index, usize),
    Swap(Index, Index),
    Delete(Index),
    Insert(Index, Vec<u8>),
    /// From a byte of a message on.
    CutOff(Index, Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    let place = any::<Index>;
    let number = || prop_oneof![4 => select(NUMBERS), 1 => any::<u32>()];
    prop_oneof![
        3 => (place(), place(), 1_u8..).prop_map(|(of, at, bits)| Edit::Flip(of, at, bits)),
        4 => (place(), place(), number()).prop_map(|(of, at, number)| Edit::Number(of, at, number)),
        3 => (place(), number()).prop_map(|(of, length)| Edit::Length(of, length)),
        3 => (place(), place(), any::<bool>()).prop_map(|(of, at, honest)| Edit::Shorten(of, at, honest)),
        1 => (place(), any::<u8>()).prop_map(|(of, kind)| Edit::Kind(of, kind)),
        1 => (place(), 2_usize..40).prop_map(|(of, times)| Edit::Repeat(of, times)),
        2 => (place(), place()).prop_map(|(a, b)| Edit::Swap(a, b)),
        1 => place().prop_map(Edit::Delete),
        1 => (place(), vec(any::<u8>(), 1..60)).prop_map(|(at, noise)| Edit::Insert(at, noise)),
        1 => (place(), place()).prop_map(|(of, at)| Edit::CutOff(of, at)),
    ]
}

/// Where a message says its length: behind its type, which first messages don't have.
fn length_at(message: &[u8]) -> usize {
    usize::from(message.first().is_some_and(|first| *first != 0))
}

fn put(message: &mut [u8], at: usize, number: u32) {
    for (place, byte) in message.iter_mut().skip(at).zip(number.to_be_bytes()) {
        *place = byte;
    }
}

fn mangle(messages: &mut Vec<Vec<u8>>, edit: &Edit) {
    let count = messages.len();
    if count == 0 {
        return;
    }
    match edit {
        Edit::Flip(of, at, bits) => {
            let message = &mut messages[of.index(count)];
            if !message.is_empty() {
                let at = at.index(message.len());
                message[at] ^= bits;
            }
        }
        Edit::Number(of, at, number) => {
            let message = &mut messages[of.index(count)];
            let at = at.index(message.len() + 1);
            put(message, at, *number);
        }
        Edit::Length(of, length) => {
            let message = &mut messages[of.index(count)];
            let at = length_at(message);
            put(message, at, *length);
        }
        Edit::Shorten(of, at, honest) => {
            let message = &mut messages[of.index(count)];
            message.truncate(at.index(message.len() + 1));
            let length_at = length_at(message);
            if *honest && message.len() >= length_at + 4 {
                let length = (message.len() - length_at) as u32;
                put(message, length_at, length);
            }
        }
        Edit::Kind(of, kind) => {
            if let Some(first) = messages[of.index(count)].first_mut() {
                *first = *kind;
            }
        }
        Edit::Repeat(of, times) => {
            let message = messages[of.index(count)].clone();
            messages.extend(std::iter::repeat_n(message, times - 1));
        }
        Edit::Swap(a, b) => messages.swap(a.index(count), b.index(count)),
        Edit::Delete(at) => drop(messages.remove(at.index(count))),
        Edit::Insert(at, noise) => messages.insert(at.index(count), noise.clone()),
        Edit::CutOff(of, at) => {
            let of = of.index(count);
            messages.truncate(of + 1);
            let length = messages[of].len();
            messages[of].truncate(at.index(length + 1));
        }
    }
}

fn first(code: u32, body: &[u8]) -> Vec<u8> {
    [&(8 + body.len() as u32).to_be_bytes()[..], &code.to_be_bytes(), body].concat()
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &(4 + body.len() as u32).to_be_bytes(), body].concat()
}

fn ask(sql: &str) -> Vec<u8> {
    message(b'Q', &[sql.as_bytes(), b"\0"].concat())
}

fn parse(name: &str, sql: &str, types: &[u32]) -> Vec<u8> {
    let mut body = [name.as_bytes(), b"\0", sql.as_bytes(), b"\0"].concat();
    body.extend((types.len() as u16).to_be_bytes());
    types.iter().for_each(|oid| body.extend(oid.to_be_bytes()));
    message(b'P', &body)
}

/// Values in binary for a statement, in a portal of the same name.
fn bind(name: &str, values: &[&[u8]]) -> Vec<u8> {
    let mut body = [name.as_bytes(), b"\0", name.as_bytes(), b"\0", b"\0\x01\0\x01"].concat();
    body.extend((values.len() as u16).to_be_bytes());
    for value in values {
        body.extend((value.len() as u32).to_be_bytes());
        body.extend(*value);
    }
    body.extend(b"\0\x01\0\x01");
    message(b'B', &body)
}

/// A list of one element, in binary.
fn list(of: u32, element: &[u8]) -> Vec<u8> {
    let head: Vec<u8> = [1, 0, of, 1, 1, element.len() as u32].iter().flat_map(|n| n.to_be_bytes()).collect();
    [&head[..], element].concat()
}

/// What a connection begins with.
fn hello(version: u32, more: &[(&str, &str)]) -> Vec<u8> {
    first(version, &startup(&[&[("user", "anna"), ("database", "waystream")][..], more].concat()))
}

/// All that clients say, as far as it is known before the server has spoken.
fn conversations() -> Vec<(Phase, Vec<Vec<u8>>)> {
    let (tls, gss, end) = (first(80_877_103, b""), first(80_877_104, b""), message(b'X', b""));
    let wrong = message(b'p', b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    let proof = message(b'p', &sasl_first());
    let portal = |kind, name: &str| message(kind, &[&b"P"[..], name.as_bytes(), b"\0"].concat());
    let execute = |name: &str, most: u32| message(b'E', &[name.as_bytes(), b"\0", &most.to_be_bytes()[..]].concat());
    let (flush, sync) = (message(b'H', b""), message(b'S', b""));
    let interval = [&1_000_000_i64.to_be_bytes()[..], &[0; 8]].concat();
    let numeric: Vec<u8> = [2_u16, 0, 0, 1, 1, 5_000].iter().flat_map(|n| n.to_be_bytes()).collect();
    let lists = [list(1_186, &interval), list(1_700, &numeric)];
    vec![
        (Phase::Stranger, vec![tls, hello(196_608, &[]), proof.clone(), wrong.clone(), end.clone()]),
        (Phase::Stranger, vec![gss, hello(196_610, &[("options", "-c statement_timeout=5s")]), proof.clone(), wrong]),
        (Phase::Stranger, vec![hello(196_608, &[("replication", "true"), ("_pq_.x", "1")]), proof.clone()]),
        (Phase::Stranger, vec![hello(196_608, &[]), ask("SELECT 1"), proof, sync.clone(), end.clone()]),
        (Phase::Stranger, vec![first(80_877_102, &[0, 0, 0, 1, 2, 3, 4, 5])]),
        (Phase::Stranger, vec![vec![0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3]]),
        (Phase::Proving, vec![ask("SELECT device FROM positions LIMIT 3"), end.clone()]),
        (
            Phase::Guest,
            vec![
                ask("SELECT device, lat, fix_time FROM positions ORDER BY 1, 3 LIMIT 3; SHOW server_version"),
                ask("BEGIN; DECLARE c CURSOR FOR SELECT * FROM events"),
                ask("FETCH 2 FROM c"),
                ask("PREPARE s AS SELECT $1::int + 1; EXECUTE s(1)"),
                ask("SET application_name = 'x'; ROLLBACK"),
                end.clone(),
            ],
        ),
        (
            Phase::Guest,
            vec![
                parse("s", "SELECT 1 FROM positions WHERE fix_time > $1 OR lat < $2 OR device = ANY($3)", &[1_184, 701, 1_009]),
                bind("s", &[&(-1_000_000_000_i64).to_be_bytes(), &99.0_f64.to_be_bytes(), &list(25, b"n1")]),
                message(b'D', b"Ss\0"),
                portal(b'D', "s"),
                execute("s", 5),
                flush,
                execute("s", 0),
                portal(b'C', "s"),
                sync.clone(),
                message(b'C', b"Ss\0"),
                sync.clone(),
                end.clone(),
            ],
        ),
        (
            Phase::Guest,
            vec![
                parse("v", "SELECT $1, $2, $3, $4, $5, $6, $7", &[1_186, 1_700, 1_187, 1_231, 1_082, 1_083, 17]),
                bind("v", &[&interval, &numeric, &lists[0], &lists[1], &[0, 0, 1, 0], &[0; 8], b"xyz"]),
                execute("v", 0),
                sync.clone(),
                end.clone(),
            ],
        ),
        (
            Phase::Guest,
            vec![
                ask("COPY (SELECT device, lat, attributes FROM positions LIMIT 5) TO STDOUT"),
                ask("COPY (SELECT device, fix_time FROM positions LIMIT 5) TO STDOUT (FORMAT binary)"),
                ask("COPY positions FROM STDIN"),
                message(b'd', b"n1\t52.0\n"),
                message(b'c', b""),
                message(b'f', b"no\0"),
                message(b'p', b"late\0"),
                sync,
                end,
            ],
        ),
    ]
}

/// Panics on the server's threads since somebody looked. Those of the engine are told to who asked.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

static SERVER: LazyLock<(Runtime, Server)> = LazyLock::new(|| {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| match std::thread::current().name() {
        Some("wire") => PANICS.lock().unwrap().push(panic.to_string()),
        _ => usual(panic),
    }));
    let runtime = Builder::new_multi_thread().worker_threads(2).thread_name("wire").enable_all().build().unwrap();
    let limits = SqlOptions { deadline: Duration::from_secs(2), threads: 2, memory_bytes: 32 << 20, ..SqlOptions::default() };
    let server = runtime.block_on(Server::start_with(options(), limits));
    (runtime, server)
});

/// A connection, as far as the phase says; who has to prove something still has to say it.
async fn reach(server: &Server, phase: Phase, messages: &mut Vec<Vec<u8>>) -> TcpStream {
    match phase {
        Phase::Stranger => TcpStream::connect(server.address).await.unwrap(),
        Phase::Proving => {
            let mut client = Client::reach(server.address).await;
            client.send_first(196_608, &startup(&[("user", "anna")])).await;
            let challenge = client.challenge().await.unwrap();
            messages.insert(0, message(b'p', prove(&challenge, &server.anna).0.as_bytes()));
            client.tcp
        }
        Phase::Guest => server.anna().await.tcp,
    }
}

/// Says it, takes what is answered, and says that nothing more will come: what was answered, and whether the server hung up in order.
async fn converse(mut tcp: TcpStream, said: &[u8]) -> Result<(Vec<u8>, bool), String> {
    // A server that has hung up already is noticed when its answer is read.
    drop(tcp.write_all(said).await);
    let mut answer = Vec::new();
    while let Ok(read) = timeout(QUIET, tcp.read_buf(&mut answer)).await {
        match read {
            Ok(0) => return Ok((answer, true)),
            Ok(_) => {}
            Err(_) => return Ok((answer, false)),
        }
    }
    drop(tcp.shutdown().await);
    match timeout(PATIENCE, tcp.read_to_end(&mut answer)).await {
        Ok(ended) => Ok((answer, ended.is_ok())),
        Err(_) => Err("the connection was held open".into()),
    }
}

/// Whether what the server said is whole messages of types that it knows.
fn is_whole(phase: Phase, mut answer: &[u8]) -> bool {
    // What is said about TLS is a byte.
    while let (Phase::Stranger, Some(rest)) = (phase, answer.strip_prefix(b"N")) {
        answer = rest;
    }
    while let Some((kind, rest)) = answer.split_first() {
        let Some((length, rest)) = rest.split_first_chunk::<4>() else { return false };
        let body = (u32::from_be_bytes(*length) as usize).checked_sub(4).and_then(|body| rest.get(body..));
        let (true, Some(rest)) = (ANSWERS.contains(kind), body) else { return false };
        answer = rest;
    }
    true
}

async fn check(server: &Server, phase: Phase, messages: &[Vec<u8>], edits: &[Edit]) -> Result<(), TestCaseError> {
    let mut messages = messages.to_vec();
    let tcp = timeout(PATIENCE, reach(server, phase, &mut messages)).await;
    let tcp = tcp.map_err(|_| TestCaseError::fail("nobody is let in"))?;
    edits.iter().for_each(|edit| mangle(&mut messages, edit));
    let ended = converse(tcp, &messages.concat()).await;
    let panics = std::mem::take(&mut *PANICS.lock().unwrap());
    prop_assert!(panics.is_empty(), "{:?}", panics);
    let (answer, in_order) = ended.map_err(TestCaseError::fail)?;
    let answer_text = String::from_utf8_lossy(&answer);
    prop_assert!(!in_order || is_whole(phase, &answer), "{}", answer_text);
    prop_assert!(!answer_text.contains("broke off"), "{}", answer_text);
    let next = timeout(PATIENCE, async { server.anna().await.query("SELECT count(*) FROM positions").await }).await;
    prop_assert_eq!(next.ok(), Some(Ok(vec![vec![Some("1000".to_owned())]])));
    // What was asked ends with who asked it.
    server.until_running(0).await;
    Ok(())
}

fn config() -> ProptestConfig {
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let seed = number("SEED").unwrap_or_else(|| RandomState::new().hash_one(0));
    eprintln!("SEED={seed}");
    ProptestConfig {
        cases: number("CASES").map_or(CASES, |cases| cases as u32),
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        // Some fail by waiting.
        max_shrink_iters: 200,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn mangled_conversations_end_in_time_and_harm_nobody(
        (phase, messages) in select(conversations()),
        edits in vec(edit(), 0..5),
    ) {
        let (runtime, server) = &*SERVER;
        runtime.block_on(check(server, phase, &messages, &edits))?;
    }
}

/// Found by the test above, or by reading what the crates do with lengths.
#[tokio::test]
async fn values_that_lie_are_refused_and_formats_of_another_cursor_too() {
    let server = Server::start().await;
    let mut anna = server.anna().await;
    let huge: Vec<u8> = [1, 0, 25, i32::MAX, 1].iter().flat_map(|n| n.to_be_bytes()).collect();
    let zeros: Vec<u8> = [0_u16, 7, 0, 0].iter().flat_map(|n| n.to_be_bytes()).collect();
    for (oid, value) in [(1_009_u32, &huge[..]), (1_186, b"abc"), (1_186, &[0x7f; 16]), (1_700, &zeros)] {
        anna.parse("", "SELECT $1", &[oid]).await;
        anna.bind("", "", 1, &[Some(value)]).await;
        let all = anna.sync().await;
        assert_eq!(table(&all).unwrap_err().code, "22P03", "{oid}");
    }
    anna.query("BEGIN; DECLARE c CURSOR FOR SELECT 1, 2").await.unwrap();
    anna.parse("", "FETCH c", &[]).await;
    anna.send('B', b"p\0\0\0\0\0\0\0\x02\0\x01\0\x01").await;
    anna.send('S', b"").await;
    anna.until_ready().await;
    anna.query("CLOSE c; DECLARE c CURSOR FOR SELECT 1, 2, 3").await.unwrap();
    anna.execute("p", 0).await;
    let all = anna.sync().await;
    assert_eq!(table(&all).unwrap_err().code, "08P01", "{all:?}");
    anna.query("ROLLBACK").await.unwrap();
    server.stop().await;
}
