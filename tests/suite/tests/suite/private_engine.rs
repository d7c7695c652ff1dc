//! Restarts and reboots under a real Docker Engine: each node has its own, in namespaces that are
//! not the machine's, and can lose its engine or its power while the others go on.

mod floors;
mod reboots;
mod restarts;
mod rig;
mod scene;
mod takeover;
