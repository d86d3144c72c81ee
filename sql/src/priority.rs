//! How much of the processor the threads that answer questions get: what live tracking leaves.

/// How nice a thread is that stands so far behind the calling one; `None`: the system can't tell. Threads that come later inherit from whoever
/// starts them, so it is asked once, of one that answers no questions.
#[cfg(target_os = "linux")]
pub(crate) fn behind(by: u8) -> Option<i32> {
    // Nobody's id means the calling thread here. Further than that niceness doesn't go.
    rustix::process::getpriority_process(None).ok().map(|now| now.saturating_add(i32::from(by)).min(MOST))
}

/// Makes the calling thread that nice. Being nicer needs no right; where a sandbox forbids the call, questions are answered all the same.
#[cfg(target_os = "linux")]
pub(crate) fn step_back(to: Option<i32>) {
    if let Some(nice) = to {
        rustix::process::setpriority_process(None, nice).ok();
    }
}

/// Where a system knows niceness of whole processes only, it stays as it is.
#[cfg(not(target_os = "linux"))]
pub(crate) fn behind(_: u8) -> Option<i32> {
    None
}

/// See above.
#[cfg(not(target_os = "linux"))]
pub(crate) fn step_back(_: Option<i32>) {}

#[cfg(target_os = "linux")]
const MOST: i32 = 19;

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{SqlEngine, SqlOptions};
    use rustix::process::getpriority_process;
    use waystream_domain::SharedCatalog;
    use waystream_store::parquet::{ParquetOptions, ParquetStore};

    #[tokio::test]
    async fn threads_that_answer_questions_are_behind_all_others() {
        let folder = tempfile::tempdir().unwrap();
        let store = ParquetStore::open(folder.path(), ParquetOptions::default()).unwrap();
        let options = SqlOptions { nice: 3, ..SqlOptions::default() };
        let engine = SqlEngine::new(store, SharedCatalog::default(), options).unwrap();
        let mut asked = engine.spawn(None, |out| async move {
            // Files are read on threads for what blocks.
            let reading = tokio::task::spawn_blocking(|| getpriority_process(None).unwrap()).await.unwrap();
            out.send(Ok((getpriority_process(None).unwrap(), reading))).await.ok();
            Ok(())
        });
        let nicer = (getpriority_process(None).unwrap() + 3).min(MOST);
        assert_eq!(asked.next().await.unwrap().unwrap(), (nicer, nicer));
    }
}
