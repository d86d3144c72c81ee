//! The tests of the domain in one program: it takes longer to link than most of them to run.
#![allow(clippy::unwrap_used)]

mod fold;
mod jitter;
mod kinds;
mod late;
mod published_fences;
mod states;
mod stored;
