//! A Quay cluster to practise on. `quay` is a stand-in Quay, `engine` a
//! stand-in container engine, `witness` judges what they saw, `cluster` builds
//! and ends a whole lab.

pub mod engine;
pub mod quay;
pub mod record;
