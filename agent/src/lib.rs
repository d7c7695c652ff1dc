//! The agent: one on every Quay node, the only thing that touches containers
//! and config.yaml there.
//!
//! Pure rooms:
//! - `config`: agent.yaml
//! - `container`: what an owner asked of a container, and what the next gets;
//!   `engine::inspect` translates the engine's words
//! - `secret`: a text that no log can print
//! - `quay`: what a Quay is: its config.yaml, database address, health, mode,
//!   backfill and start-up log

pub mod config;
pub mod container;
pub mod engine {
    pub mod inspect;
}
pub mod quay;
pub mod secret;
