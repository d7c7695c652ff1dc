//! The suites. `docker` drives a real engine and `postgres` a real PostgreSQL;
//! the others run on every machine.
#![expect(clippy::disallowed_methods, reason = "tests of processes: files, clocks and waits")]
#![expect(clippy::unwrap_used, reason = "a test may unwrap")]

#[path = "suite/by_hand.rs"]
mod by_hand;
#[path = "suite/naive.rs"]
mod naive;
#[path = "suite/whole.rs"]
mod whole;
