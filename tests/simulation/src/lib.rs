//! The world around a simulated cluster: hosts with their engines, Quays, the
//! database, and a witness who sees it all. Time is tokio's, stopped and moved
//! on when nothing is left to do; chance comes from a seed. The tests put the
//! real coordinator and the real agents into it.

pub mod backup;
pub mod chance;
pub mod database;
pub mod engine;
pub mod life;
mod mishaps;
mod quay;
mod shown;
mod witness;
pub mod world;
