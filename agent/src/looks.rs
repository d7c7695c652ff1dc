//! What the agent is asked and changes nothing by answering.

pub(crate) mod describe;
pub(crate) mod follow;
mod footing;
pub(crate) mod health;
pub(crate) mod image;
pub(crate) mod log;
pub(crate) mod preview;
#[cfg(test)]
pub(crate) mod rig;
mod upgrades;
