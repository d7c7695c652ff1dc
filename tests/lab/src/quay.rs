//! A stand-in for Red Hat Quay 2.9.5 and 3.0.5: it starts, migrates, serves and dies as the facts
//! say the real one does, with the same damage when it is mistreated, and writes down what it saw.
//!
//! It departs from Quay on purpose in these: it migrates SQLite (real Quay skips that), its
//! revisions are one small table each, it has no TLS, no web pages and no images, and Redis is
//! taken to be up. Its own settings come from the environment of its image (`settings`), so that a
//! product that carries a container's environment over does not carry these.

mod answers;
mod backfill;
mod config;
mod database;
mod database_uri;
mod life;
mod log;
mod migration;
pub(crate) mod paths;
mod release;
mod schema;
mod seed;
mod serve;
pub(crate) mod settings;
mod start;
mod witnessed;

pub use database::{DatabaseError, DatabaseState, inspect};
pub use database_uri::{DatabaseUri, InvalidDatabaseUri};
pub use life::main;
pub use seed::{SeedError, seed};
