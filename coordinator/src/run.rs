//! A run: what has happened to a plan so far, and what comes next.
//!
//! `event` is what may happen, `state` the one fold of events (live runs,
//! `status`, `explain` and recovery share it), `next` the decision, `order`
//! the words for a node. All of it is pure.

pub mod event;
pub mod next;
pub mod order;
pub mod state;

pub use event::{Event, Evidence, GateFailure, Problem, Settlement, WaitingOn};
pub use next::{Next, next};
pub use order::{Task, task};
pub use state::{ActState, GateState, IllegalEvent, RunState};
