//! What the lab makes go wrong: a file beside the engine's state, read at each
//! request, so that a test can turn a fault on and off while the engine runs.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The content of `<state>/faults.json`; no file means no faults.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Names of containers that cannot be created.
    pub create_fails: BTreeSet<String>,
    /// Names of containers that cannot be started, by whomever.
    pub start_fails: BTreeSet<String>,
    /// Names of containers that start although the request is answered with a
    /// failure.
    pub start_answer_lost: BTreeSet<String>,
    /// Names of containers whose restart policy cannot be changed, as with
    /// Podman before 5.1.
    pub update_fails: BTreeSet<String>,
    /// How long a stop does nothing before it begins.
    pub stop_hangs_seconds: u64,
}
