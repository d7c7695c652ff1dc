//! What the agent relies on in a container engine, asked through the same
//! client that the agent uses.
//!
//! With `QUAYMASTER_DOCKER=1` the tests that need nothing but an engine run on
//! this machine's Docker; else, and for the rest always, each test has a
//! stand-in engine of its own.
#![expect(clippy::disallowed_methods, reason = "a suite of effects on a real socket")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed step is a failed test")]
#![expect(clippy::wildcard_enum_match_arm, reason = "what a test does not want is all the rest")]

mod bench;
mod boot;
mod containers;
mod faults;
mod images;
mod restarts;
mod streams;
