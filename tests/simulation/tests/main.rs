//! The real coordinator and the real agents in a world that is simulated.
#![cfg(test)]
#![expect(clippy::disallowed_methods, reason = "it keeps tokio's time")]
#![expect(clippy::print_stdout, reason = "how many cases there were, and how to look at one")]

mod boundaries;
mod cluster;
mod faults;
mod fleet;
mod guards;
mod operator;
mod registry;
mod seeds;
mod whole;
