//! What a Quay is. `http`, `database` and `redis` ask one or what it uses; nothing else here does, or
//! touches a file.

pub mod config_edit;
pub(crate) mod database;
pub mod database_uri;
pub mod health;
pub(crate) mod http;
pub mod log;
pub(crate) mod mode_probe;
pub mod progress;
pub(crate) mod redis;
pub mod settings;
mod yaml;
