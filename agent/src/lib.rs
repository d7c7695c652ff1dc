//! The agent: one on every Quay node, the only thing that touches containers
//! and config.yaml there.
//!
//! Pure rooms:
//! - `config`: agent.yaml
//! - `secret`: a text that no log can print
//! - `quay`: what a Quay is: its config.yaml, database address, health, mode,
//!   backfill and start-up log

pub mod config;
pub mod quay;
pub mod secret;
