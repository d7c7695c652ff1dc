//! A stand-in for Red Hat Quay 2.9.5 and 3.0.5: it starts, migrates, serves and dies as the facts
//! say the real one does, with the same damage when it is mistreated, and writes down what it saw.
//!
//! Its answers are those of the recorded real one (`tests/standin_quay/observed.rs`). It departs from
//! Quay on purpose in these:
//! - it migrates SQLite (real Quay skips that), and its revisions are one small table each;
//! - it has no TLS, no web pages and no API, and no other path is there, such as `/secscan` (301) or
//!   `/v2/_catalog`;
//! - its only accounts are the robots that a test or a lab adds (`add_robot`); a person who logs in
//!   is refused (401), is never a superuser who would be told more by the health routes, and is
//!   never locked out (429); a token is a JWT with a signature of the lab's own;
//! - old tags that were seeded have no manifests, and their pull is a 404; it collects no garbage;
//! - that 2.9.5 refuses schema 2 as background mode does is inferred;
//! - Redis is taken to be up, and a database that comes back serves at once, where the real one's
//!   workers give some 500s on their stale connections (quay-observed 2);
//! - while it starts or stops its 502 is nginx's plain page, and its 405 is short; nobody recorded the
//!   real ones;
//! - the answers of 2.9.5 are taken to be those of 3.0.5 without a mode and without `disk_space`:
//!   nobody observed a 2.9.
//!
//! Its own settings come from the environment of its image (`settings`), so that a product that
//! carries a container's environment over does not carry these.

mod answers;
mod backfill;
mod config;
mod database;
mod database_uri;
mod life;
mod log;
mod migration;
pub(crate) mod paths;
mod percent;
mod registry;
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
pub use seed::{RobotError, SeedError, add_robot, seed};
