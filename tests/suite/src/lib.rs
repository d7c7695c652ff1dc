//! What the suites have in common: a small quick lab that is always taken down
//! (`lab`), the product's commands and their outcomes (`command`, `upgrade`),
//! the witness's word (`verdict`), what can be seen of a cluster from outside
//! (`cluster`, `container`), a network aside from the machine's own (`machine`), an agent as systemd runs it (`service`, `unit`), a
//! terminal to look at (`pane`), and snapshots in which only what an operator reads
//! differs (`redact`).

pub mod cluster;
pub mod command;
pub mod container;
pub mod lab;
pub mod machine;
pub mod pane;
pub mod redact;
pub mod service;
pub mod unit;
pub mod upgrade;
pub mod verdict;

pub use command::Outcome;
pub use lab::{Shape, TestLab};
pub use pane::Pane;
pub use upgrade::Planned;
pub use verdict::Verdict;
