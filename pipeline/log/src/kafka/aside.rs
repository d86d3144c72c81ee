//! Clients whose end takes a while end on a thread of their own, not where they happen to be dropped.

use std::ops::Deref;

/// A value that is dropped on another thread.
pub(super) struct Aside<T: Send + 'static>(Option<T>);

impl<T: Send + 'static> Aside<T> {
    pub(super) fn new(value: T) -> Self {
        Self(Some(value))
    }
}

impl<T: Send + 'static> Deref for Aside<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("it is there until it is dropped")
    }
}

impl<T: Send + 'static> Drop for Aside<T> {
    fn drop(&mut self) {
        let value = self.0.take();
        let ended = std::thread::Builder::new().name("kafka-end".into()).spawn(move || drop(value));
        if let Err(error) = ended {
            // The closure, and the value in it, has been dropped here.
            tracing::debug!(%error, "a kafka client was ended in place");
        }
    }
}
