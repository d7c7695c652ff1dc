//! The coordinator: surveys a cluster, plans one window, runs it, and can
//! always say what it did and why it waits.
//!
//! Pure rooms: `cluster` (the cluster file), `catalogue` (releases as data),
//! `survey` (what agents said), `preflight`, `plan`, `run` (fold and next
//! step), `gates`, `guards`, `heal`, `report`, `forecast`, `measured`, `verify` (what
//! a verification checks, and what came of it), `watch`, `render`. Effect rooms: `nodes` (agents
//! over gRPC), `journal`, `runner` (the one loop where the three meet), `registry` (a client of
//! registries), `verifier` (a verification, done), `telemetry` (traces of a run), `commands`.

pub mod args;
pub mod catalogue;
pub mod cluster;
pub mod commands;
mod duration_text;
pub mod exit;
pub mod forecast;
pub mod gates;
pub mod guards;
pub mod heal;
pub mod journal;
pub mod measured;
pub mod nodes;
pub mod plan;
pub mod preflight;
pub mod registry;
pub mod render;
pub mod report;
pub mod run;
pub mod runner;
pub mod survey;
mod telemetry;
pub mod verifier;
pub mod verify;
pub mod watch;

pub use commands::main;
