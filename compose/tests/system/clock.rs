//! A clock that jumps for one process, by faketime, which stands between the two.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The C library's waits for a condition go by the kernel's clock, which does not jump. So must this, by which librdkafka says until when
/// it waits: with faketime's it would sleep for as long as the clock was put forward, as no machine does whose clock is set.
const REAL_TIMESPEC_GET: &str = "
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int timespec_get(struct timespec *now, int base) {
    return base == TIME_UTC && !syscall(SYS_clock_gettime, CLOCK_REALTIME, now) ? base : 0;
}
";

/// What it shows is in a file.
pub(crate) struct Clock {
    file: PathBuf,
    libraries: String,
}

impl Clock {
    /// A clock that is right, for now. The folder is its own.
    pub(crate) fn new(folder: &Path) -> Self {
        let (source, ours) = (folder.join("timespec_get.c"), folder.join("timespec_get.so"));
        std::fs::write(&source, REAL_TIMESPEC_GET).unwrap();
        let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&ours).arg(&source).status();
        assert!(built.expect("cc is there").success());
        let libraries = format!("{}:{}", ours.display(), faketime().display());
        let clock = Self { file: folder.join("clock"), libraries };
        clock.jump(0);
        clock
    }

    /// To so many seconds after what is right.
    pub(crate) fn jump(&self, seconds: i64) {
        // In one step, as it is read at any time.
        let next = self.file.with_extension("next");
        std::fs::write(&next, format!("{seconds:+}s\n")).unwrap();
        std::fs::rename(next, &self.file).unwrap();
    }

    /// Lets a command go by it.
    pub(crate) fn rule(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.libraries).env("FAKETIME_TIMESTAMP_FILE", &self.file);
        command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }
}

/// The library that makes a program's clock jump.
fn faketime() -> PathBuf {
    let multiarch = Path::new("/usr/lib").join(format!("{}-linux-gnu", std::env::consts::ARCH));
    let library = multiarch.join("faketime/libfaketimeMT.so.1");
    assert!(library.is_file(), "faketime is not installed: there is no {}", library.display());
    library
}
