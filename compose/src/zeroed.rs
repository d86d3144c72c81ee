//! Memory for librdkafka that holds zeros.
//!
//! librdkafka (2.12.1; its issue 5280, still open) reads entries that it has never written if a broker that comes back tells of the leaders
//! of some partitions only; what stands there by chance may end the process. Zeros are taken for a broker that there is not. The C
//! library hands out zeroed memory if it is told so before the process starts; our own memory comes from elsewhere (mimalloc).

use std::os::unix::process::CommandExt;
use std::process::Command;

const TUNABLES: &str = "GLIBC_TUNABLES";
/// What is handed out is filled with the complement.
const ZEROED: &str = "glibc.malloc.perturb=255";

/// Starts this process again, as it was started, if its memory is not zeroed yet. Whoever sets tunables of his own knows why.
pub fn begin_again() {
    if !cfg!(target_env = "gnu") || std::env::var_os(TUNABLES).is_some() {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_else(|| program.clone().into());
    let error = Command::new(program).arg0(name).args(arguments).env(TUNABLES, ZEROED).exec();
    tracing::warn!(%error, "could not start again with zeroed memory");
}
