//! A Quay cluster to practise on. `quay` is a stand-in Quay, `beside` what stands
//! beside one, `standin` the program that is either, `engine` a stand-in
//! container engine, `host` a machine of its own for a real one, `witness` judges what they saw, `cluster` builds
//! and ends a whole lab.

pub mod bench;
mod beside;
pub mod check;
pub mod cluster;
pub mod database_server;
pub mod demo;
pub mod engine;
pub mod host;
pub mod http;
pub mod images;
pub mod interrupt;
pub mod mariadb;
pub mod observer;
pub mod pki;
pub mod postgres;
pub mod quay;
pub mod record;
pub mod registry;
mod run_as;
pub mod standin;
pub mod witness;
