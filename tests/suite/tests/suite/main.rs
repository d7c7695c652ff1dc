//! The suites. `docker` drives a real engine, `private_engine` several of its own,
//! `postgres` a real PostgreSQL, `mariadb` a real MariaDB and `terminal` a real tmux; `deploy` asks systemd's own tools, and `deploy::rights`
//! changes users; the others run on every machine.
#![expect(clippy::disallowed_methods, reason = "tests of processes: files, clocks and waits")]
#![expect(clippy::unwrap_used, reason = "a test may unwrap")]

mod backup;
mod boundaries;
mod by_hand;
mod companions;
mod demo;
mod deploy;
mod docker;
mod gates;
mod kills;
mod mariadb;
mod naive;
mod postgres;
mod private_engine;
mod random;
mod readme;
mod refusals;
mod registries;
mod rollback;
mod secrets;
mod storage;
mod terminal;
mod traces;
mod verify;
mod whole;
