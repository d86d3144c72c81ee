//! Who is at our broker. It is told by what we stand between it and its clients: from where each really comes, and under which name
//! it is in. The file of passwords is looked at again; whose line is gone or is another is cut.

use super::guesses::Guesses;
use super::passwords::Passwords;
use crate::config::MQTT;
use crate::metrics;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio_util::sync::CancellationToken;

/// How often the file is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(super) struct Clients {
    file: Option<PathBuf>,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    /// `None`: nobody is asked for one.
    passwords: Option<Passwords>,
    /// What the file was when it was read, and when it was looked at last.
    read: Option<Stamp>,
    looked_at: Option<Stamp>,
    guesses: Guesses,
    /// By the address from which the broker hears them: that of our end of the connection to it.
    connected: HashMap<SocketAddr, Client>,
}

/// Tells whether a file is another.
type Stamp = (SystemTime, u64);

/// Who a client is, whatever it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Who {
    /// From where it comes.
    pub(super) peer: SocketAddr,
    /// What its certificate calls it, where one has to be shown.
    pub(super) certificate: Option<String>,
}

#[derive(Debug)]
struct Client {
    who: Who,
    /// Shown with the right password.
    name: Option<String>,
    cut: CancellationToken,
}

/// A connected client, until it is dropped.
pub(super) struct Place {
    clients: Arc<Clients>,
    at: SocketAddr,
    /// Cancelled when the client has to go.
    pub(super) cut: CancellationToken,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.clients.known().connected.remove(&self.at);
    }
}

impl Clients {
    /// Nobody yet. Reads the file, so that a wrong one is an error at start.
    pub(super) fn new(file: Option<&Path>) -> Result<Self, String> {
        let read = file.and_then(stamp);
        let passwords = file.map(Passwords::read).transpose()?;
        let known = Known { passwords, read, looked_at: read, guesses: Guesses::default(), connected: HashMap::new() };
        Ok(Self { file: file.map(Path::to_owned), known: Mutex::new(known) })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Each statement here leaves it as it should be.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it asks for passwords.
    pub(super) fn ask(&self) -> bool {
        self.file.is_some()
    }

    /// A client has come; the broker hears it from `at`.
    pub(super) fn enter(self: &Arc<Self>, at: SocketAddr, who: Who) -> Place {
        let cut = CancellationToken::new();
        self.known().connected.insert(at, Client { who, name: None, cut: cut.clone() });
        Place { clients: Arc::clone(self), at, cut }
    }

    /// The client that the broker hears from `at`; `None`: it is gone.
    pub(super) fn who(&self, at: Option<SocketAddr>) -> Option<Who> {
        self.known().connected.get(&at?).map(|client| client.who.clone())
    }

    /// Whether a client may come in that the broker hears from `at`. Who has guessed has to wait.
    pub(super) fn admit(&self, at: Option<SocketAddr>, name: Option<&str>, password: Option<&[u8]>, now: Instant) -> bool {
        let mut known = self.known();
        let Known { passwords, guesses, connected, .. } = &mut *known;
        let Some(passwords) = passwords else { return true };
        let (Some(name), Some(password)) = (name, password) else {
            metrics::turned_away(MQTT, "no_password");
            return false;
        };
        // Who is gone already needs no answer.
        let Some(client) = at.and_then(|at| connected.get_mut(&at)) else { return false };
        let address = client.who.peer.ip();
        if guesses.must_wait(address, name, now) {
            metrics::turned_away(MQTT, "too_many_guesses");
            return false;
        }
        if !passwords.allow(name, password) {
            guesses.failed(address, passwords.know(name).then_some(name), now);
            metrics::turned_away(MQTT, "wrong_password");
            return false;
        }
        guesses.succeeded(address, name);
        client.name = Some(name.to_owned());
        true
    }

    /// Looks at the file for ever; for ever too if there is none.
    pub(super) async fn keep_looking(&self) {
        loop {
            tokio::time::sleep(LOOK_AGAIN).await;
            if let Some(file) = &self.file {
                self.look(file);
            }
        }
    }

    /// A file that is being written is left alone until it has been the same for two looks. One that can't be read changes nothing.
    fn look(&self, file: &Path) {
        let found = stamp(file);
        {
            let mut known = self.known();
            let rests = std::mem::replace(&mut known.looked_at, found) == found;
            if !rests || found == known.read {
                return;
            }
            known.read = found;
        }
        match Passwords::read(file) {
            Ok(passwords) => self.replace(passwords),
            Err(error) => tracing::error!(%error, "the new passwords can't be used; the old ones stay"),
        }
    }

    fn replace(&self, passwords: Passwords) {
        let mut known = self.known();
        let Some(old) = known.passwords.replace(passwords) else { return };
        let Known { passwords: Some(new), connected, .. } = &*known else { return };
        let named = connected.values().filter_map(|client| Some((client, client.name.as_deref()?)));
        let gone = named.filter(|(_, name)| !new.agree(&old, name));
        let cut = gone.inspect(|(client, _)| client.cut.cancel()).count();
        tracing::info!(cut, "passwords read again");
    }
}

fn stamp(file: &Path) -> Option<Stamp> {
    let file = file.metadata().ok()?;
    Some((file.modified().ok()?, file.len()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn address(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    fn from(peer: SocketAddr) -> Who {
        Who { peer, certificate: None }
    }

    #[test]
    fn whose_line_is_gone_or_another_is_cut_and_a_bad_file_changes_nothing() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let write = |text: &str| std::fs::write(file.path(), text).unwrap();
        write("jane:secret\nbob:other\neve:third\n");
        let clients = Arc::new(Clients::new(Some(file.path())).unwrap());
        let look = || {
            // As if the file system told times to the second and it had been written within one.
            clients.known().read = None;
            clients.look(file.path());
            clients.look(file.path());
        };
        let enter = |port: u16, name: &str, password: &[u8]| {
            let place = clients.enter(address(port), from(([192, 0, 2, 7], port).into()));
            assert!(clients.admit(Some(address(port)), Some(name), Some(password), Instant::now()));
            place
        };
        let places = [enter(1, "jane", b"secret"), enter(2, "bob", b"other"), enter(3, "eve", b"third")];
        let cut = || places.iter().map(|place| place.cut.is_cancelled()).collect::<Vec<_>>();
        look();
        write("rubbish");
        look();
        assert_eq!(cut(), [false; 3]);
        assert!(clients.admit(Some(address(1)), Some("jane"), Some(b"secret"), Instant::now()), "the old ones stay");
        write("jane:secret\nbob:changed\n");
        look();
        assert_eq!(cut(), [false, true, true]);
        assert_eq!(clients.who(Some(address(1))), Some(from(([192, 0, 2, 7], 1).into())));
        drop(places);
        assert_eq!(clients.who(Some(address(1))), None);
    }

    #[test]
    fn a_file_that_is_being_written_is_left_alone() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "jane:secret\n").unwrap();
        let clients = Arc::new(Clients::new(Some(file.path())).unwrap());
        let place = clients.enter(address(1), from(address(2)));
        let now = Instant::now();
        assert!(clients.admit(Some(address(1)), Some("jane"), Some(b"secret"), now));
        std::fs::write(file.path(), "").unwrap();
        clients.look(file.path());
        std::fs::write(file.path(), "jane:secret\nbob:other\n").unwrap();
        clients.look(file.path());
        assert!(!clients.admit(Some(address(1)), Some("bob"), Some(b"other"), now));
        clients.look(file.path());
        assert!(clients.admit(Some(address(1)), Some("bob"), Some(b"other"), now) && !place.cut.is_cancelled());
    }

    #[test]
    fn guesses_make_a_right_password_wait_too() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "jane:secret\n").unwrap();
        let clients = Arc::new(Clients::new(Some(file.path())).unwrap());
        let _place = clients.enter(address(1), from(address(2)));
        let tried = |password: &[u8], now| clients.admit(Some(address(1)), Some("jane"), Some(password), now);
        let now = Instant::now();
        for _ in 0..5 {
            assert!(!tried(b"guess", now));
        }
        assert!(!tried(b"secret", now) && tried(b"secret", now + Duration::from_secs(2)));
        let anybody = Arc::new(Clients::new(None).unwrap());
        assert!(anybody.admit(None, None, None, now) && !anybody.ask());
    }
}
