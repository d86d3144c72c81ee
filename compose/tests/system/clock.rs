//! A clock that jumps for one process, by faketime, which stands between the two.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A wait of the C library that ends at a time of the clock, as librdkafka's do, goes by the kernel's clock, which does not jump: one that
/// began while the clock was a day ahead would last a day, as on no machine whose clock is set. This one ends when the clock that jumps
/// says so, and takes longer if that is put back meanwhile, as the kernel's does.
const TIMEDWAIT: &str = "
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <threads.h>
#include <time.h>
static const long long SECOND = 1000000000, LOOK_AGAIN = 50000000;
static long long now(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * SECOND + now.tv_nsec;
}
int cnd_timedwait(cnd_t *condition, mtx_t *mutex, const struct timespec *until) {
    for (;;) {
        long long left = until->tv_sec * SECOND + until->tv_nsec - now(CLOCK_REALTIME);
        if (left <= 0) return thrd_timedout;
        long long look = now(CLOCK_MONOTONIC) + (left < LOOK_AGAIN ? left : LOOK_AGAIN);
        struct timespec then = { look / SECOND, look % SECOND };
        int waited = pthread_cond_clockwait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex, CLOCK_MONOTONIC, &then);
        if (waited != ETIMEDOUT) return waited ? thrd_error : thrd_success;
    }
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
        let (source, ours) = (folder.join("timedwait.c"), folder.join("timedwait.so"));
        std::fs::write(&source, TIMEDWAIT).unwrap();
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
