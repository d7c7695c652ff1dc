//! The stand-in Quay as a process, on SQLite: how it lives and dies, and what it answers beside what
//! the real one was recorded to answer.
#![expect(clippy::disallowed_methods, reason = "a test of processes: files, waits and bounds")]
#![expect(clippy::unwrap_used, reason = "a test may unwrap")]

mod lab;
mod lives;
mod observed;
mod verify;
