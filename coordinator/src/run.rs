//! A run: what has happened to a plan so far, and what comes next.
//!
//! `event` is what may happen, `state` the one fold of events (live runs,
//! `status`, `explain` and recovery share it), `next` the decision, `order`
//! the words for a node, `attempt` what of it begins anew, `turn` why a run goes
//! back, `rollback` whether a backup leads back, `ran` whether it still holds
//! everything, `log` what the log of a migration says. All of it is pure.

pub mod act_state;
pub mod attempt;
pub mod event;
pub mod illegal;
pub mod log;
pub mod next;
pub mod order;
pub mod ran;
pub mod rebuild;
pub mod rollback;
pub mod state;
pub mod turn;

pub use act_state::ActState;
pub use event::{Event, Evidence, GateFailure, Problem, Settlement, TagsLeft, WaitingOn, Word};
pub use illegal::IllegalEvent;
pub use next::{Next, next};
pub use order::{Task, task};
pub use ran::Ran;
pub use state::{Direction, GateState, RunState};
pub use turn::{Cause, Crossing};
