//! What a Quay is: nothing here asks one, or touches a file.

pub mod config_edit;
pub mod database_uri;
pub mod health;
pub mod log;
pub mod mode_probe;
pub mod progress;
pub mod settings;
mod yaml;
