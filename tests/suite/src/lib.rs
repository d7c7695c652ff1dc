//! What the suites have in common: a small quick lab that is always taken down
//! (`lab`), the product's commands and their outcomes (`command`), what can be
//! seen of a cluster from outside (`cluster`), and snapshots in which only what
//! an operator reads differs (`redact`).

pub mod cluster;
pub mod command;
pub mod lab;
pub mod redact;
pub mod verdict;

pub use command::Outcome;
pub use lab::{Shape, TestLab};
pub use verdict::Verdict;
