//! What the loop tells while it works.

use jiff::Timestamp;
use quaymaster_proto::{NodeName, StepNumber};

use crate::run::{Event, WaitingOn};

/// One thing to show.
#[derive(Clone, PartialEq, Debug)]
pub enum Progress {
    /// It is in the journal.
    Happened(Event),
    /// A gate was looked at again; the reason's kind is as before.
    Looked {
        /// Which gate.
        step: StepNumber,
        /// What it waits for.
        on: WaitingOn,
        /// When.
        at: Timestamp,
    },
    /// A node does not answer and is asked again.
    Retrying {
        /// In which step.
        step: StepNumber,
        /// Which.
        node: NodeName,
        /// Why.
        problem: String,
    },
    /// A pull goes on.
    Pulling {
        /// In which step.
        step: StepNumber,
        /// Where.
        node: NodeName,
        /// So far.
        done_bytes: u64,
        /// In all; 0 = not known.
        total_bytes: u64,
        /// What it waits for or tries again; empty where it simply goes on.
        note: String,
    },
}
