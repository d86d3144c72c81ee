//! The real binary on a folder of its own, as tests start, kill and ask it.

use anyhow::{Context, bail};
use rand::RngExt;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use waystream::app::{Core, organisation};
use waystream::config::Config;
use waystream::control::Remote;
use waystream::folder::{Contact, DataFolder};
use waystream::tasks::Tasks;
use waystream_connectors::ListenerName;
use waystream_domain::geofence::{Checks, Defaults, from_geojson};
use waystream_domain::{CatalogEdit, CatalogEntry};

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_waystream");

/// Twice what was measured under full load (`benchmarks/RESULTS.md`): who goes beyond keeps what should go.
const MOST_MEMORY_KIB: u64 = 2_500 << 10;

/// Recorded data beside the checkout.
pub(crate) fn shared(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(path)
}

/// A running system; killed when dropped.
pub(crate) struct System {
    child: Child,
    /// How to reach it.
    pub(crate) contact: Contact,
    /// What it said on standard output up to being ready.
    pub(crate) said: Vec<String>,
}

impl System {
    /// The one-time link that it has printed.
    pub(crate) fn sign_in_link(&self) -> &str {
        let mut words = self.said.iter().flat_map(|line| line.split_whitespace());
        words.find(|word| word.contains("/sign-in?token=")).expect("it has printed a link")
    }

    /// A browser that has signed in by the link and keeps its cookie.
    pub(crate) async fn browser(&self) -> reqwest::Client {
        let browser = reqwest::Client::builder().cookie_store(true).build().unwrap();
        browser.get(self.sign_in_link()).send().await.unwrap().error_for_status().unwrap();
        browser
    }

    /// A cookie of a session made by the link.
    pub(crate) async fn cookie(&self) -> String {
        cookie_by(self.sign_in_link()).await
    }

    /// Starts `run` on a folder with these settings, and waits until it is ready.
    pub(crate) fn start(folder: &Path, settings: &str) -> anyhow::Result<Self> {
        Self::start_command(folder, settings, &["run"])
    }

    /// Starts a command that runs a system.
    pub(crate) fn start_command(folder: &Path, settings: &str, arguments: &[&str]) -> anyhow::Result<Self> {
        let mut command = Command::new(BINARY);
        command.args(arguments);
        Self::spawn(command, folder, folder, settings)
    }

    /// Starts a system by a command of any kind. `its_folder`: what the folder is called where the command runs.
    pub(crate) fn spawn(mut command: Command, folder: &Path, its_folder: &Path, settings: &str) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        std::fs::write(folder.join("settings.toml"), settings)?;
        let mut child = command
            .arg("--config")
            .arg(its_folder.join("settings.toml"))
            .arg("--data")
            .arg(its_folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        let mut said = Vec::new();
        // The line that says that everything listens is the last.
        loop {
            match lines.next() {
                Some(line) => said.push(line?),
                None => bail!("ended before it was ready: {}, having said {said:?}", child.wait()?),
            }
            if said.last().is_some_and(|line| line.starts_with("Ready")) {
                break;
            }
        }
        // What it says later is not of interest, but must not block it.
        std::thread::spawn(move || lines.for_each(drop));
        let contact = Contact::read(folder)?;
        Ok(Self { child, contact, said })
    }

    /// The address of a listener.
    pub(crate) fn address(&self, listener: &str) -> SocketAddr {
        self.contact.listeners[listener]
    }

    /// Its history.
    pub(crate) fn remote(&self) -> Remote {
        Remote::new(self.contact.clone())
    }

    /// How it has ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Panics if it has ever had more memory than any such system needs.
    pub(crate) fn check_memory(&self) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let most_kib: u64 = most.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(most_kib < MOST_MEMORY_KIB, "it had {most_kib} KiB of memory");
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str) -> anyhow::Result<()> {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()).status()?;
        anyhow::ensure!(status.success(), "kill failed");
        Ok(())
    }

    /// kill -9.
    pub(crate) fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to stop, and waits for the end.
    pub(crate) fn terminate(mut self) -> anyhow::Result<(ExitStatus, Duration)> {
        let asked = Instant::now();
        self.signal("TERM")?;
        Ok((self.child.wait()?, asked.elapsed()))
    }
}

impl Drop for System {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A cookie of a session made by a link that signs in.
pub(crate) async fn cookie_by(link: &str) -> String {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let signed_in = client.get(link).send().await.unwrap();
    signed_in.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned()
}

/// Runs a command to its end: its output, and whether it ended well.
pub(crate) fn run(arguments: &[&str]) -> anyhow::Result<(String, String, bool)> {
    let output = Command::new(BINARY).args(arguments).stdin(Stdio::null()).output()?;
    Ok((String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?, output.status.success()))
}

/// Settings with every port free, except those named.
pub(crate) fn settings(fixed: &[(&str, u16)]) -> String {
    let mut listeners: BTreeMap<&str, u16> = ListenerName::all().map(|name| (name.as_str(), 0)).collect();
    listeners.extend(fixed.iter().copied());
    let listeners: String = listeners.iter().map(|(name, port)| format!("{name} = {port}\n")).collect();
    format!("[gateway]\naddress = \"127.0.0.1:0\"\n[connectors.listeners]\n{listeners}")
}

/// Settings with a fixed port for Teltonika, and where that is: trackers find it again after a restart.
pub(crate) fn fixed() -> (String, SocketAddr) {
    let port = free_port().unwrap();
    (settings(&[("teltonika", port)]), (Ipv4Addr::LOCALHOST, port).into())
}

/// What a run's chance comes from. It is printed, and `SEED` gives it again.
pub(crate) fn seed() -> u64 {
    let seed = std::env::var("SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| rand::rng().random());
    eprintln!("SEED={seed}");
    seed
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    // Below those that the kernel gives to whoever asks for any: it would give this one away before it is listened on.
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    std::iter::repeat_with(|| rand::random_range(12_000..32_000)).take(1_000).find(free).context("no port is free")
}

/// One geofence event as the ground truth has it: device, fence, kind, time.
pub(crate) type TruthEvent = (String, String, String, String);

/// The events of a ground truth.
pub(crate) fn truth(name: &str) -> anyhow::Result<Vec<TruthEvent>> {
    let file = std::fs::File::open(shared(&format!("data/truth/{name}.events.csv.gz")))?;
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text)?;
    events(&text)
}

/// Reads `device_id,fence_id,kind,time` with a header line.
pub(crate) fn events(csv: &str) -> anyhow::Result<Vec<TruthEvent>> {
    csv.lines()
        .skip(1)
        .map(|line| {
            let mut fields = line.split(',').map(str::to_owned);
            let mut field = || fields.next().context("a field is missing");
            Ok((field()?, field()?, field()?, field()?))
        })
        .collect()
}

/// The fences of a file, as the catalog has them.
pub(crate) fn fences(file: &str) -> Vec<CatalogEntry> {
    let text = std::fs::read_to_string(shared(file)).unwrap();
    // Published sets have rings that cross themselves.
    let checks = Checks::EvenOdd;
    let defaults = Defaults { organisation: organisation(), fleet: None, id: None, version: 1, checks };
    from_geojson(&text, &defaults).unwrap().into_iter().map(CatalogEntry::Geofence).collect()
}

/// Puts the districts of Warsaw into the catalog of a system that runs.
pub(crate) async fn add_districts(system: &System) {
    system.remote().add(fences("data/fences/warsaw_districts.geojson")).await.unwrap();
}

/// Puts entries into the catalog of a system that does not run.
pub(crate) async fn put(config: &Config, entries: Vec<CatalogEntry>) {
    let mut tasks = Tasks::default();
    let core = Core::open(config, DataFolder::take_alone(&config.data).unwrap(), &mut tasks).await.unwrap();
    let edits = entries.into_iter().map(CatalogEdit::Put).collect();
    core.catalog.edit(&waystream_domain::Actor::CommandLine, edits).await.unwrap();
    tasks.run_until(std::future::ready(())).await.unwrap();
    core.close().await;
}
