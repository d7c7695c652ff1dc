//! What the coordinator's journal says happened, in the witness's words.

use std::collections::BTreeSet;
use std::path::Path;

use jiff::Timestamp;
use quaymaster::journal::Record;
use quaymaster::journal::store::{self, JournalError};
use quaymaster::plan::Gate;
use quaymaster::run::{Event, Evidence, IllegalEvent, Settlement};
use quaymaster_proto::{ContainerState, ContainerStatus, RunId, StepNumber};

use crate::witness::{JournalClaim, Occurrence};

#[derive(Debug, thiserror::Error)]
pub enum JournalReadError {
    #[error("its records cannot be had")]
    Records { source: JournalError },
    #[error("the records of run {run} do not fold into a state")]
    Replay { run: RunId, source: IllegalEvent },
}

#[derive(Debug)]
pub(super) struct Intent {
    pub(super) run: String,
    pub(super) step: StepNumber,
    pub(super) at: Timestamp,
}

#[derive(Default, Debug)]
pub(super) struct JournalSays {
    pub(super) claims: Vec<JournalClaim>,
    /// Of every window whose first node passed its own gate, in order: its run, and all looks at the
    /// dark. No one but the coordinator can tell how long it looked around.
    pub(super) dark_gates: Vec<(String, f64)>,
    /// Every order that was taken down before it was sent.
    pub(super) intents: Vec<Intent>,
    pub(super) is_backfill_waived: bool,
    /// Containers of attempts that a person ordered.
    pub(super) ordered_retries: Vec<String>,
    /// When the database was a backup's again: what a person ordered.
    pub(super) restores: Vec<Timestamp>,
    /// When a person ordered each rollback: from then on a migration is ended.
    pub(super) rollbacks: Vec<Timestamp>,
    /// Nodes with such an attempt.
    retried: BTreeSet<String>,
}

/// A state directory without a journal says nothing.
pub(super) async fn read(state: &Path) -> Result<JournalSays, JournalReadError> {
    let history = match store::read(state).await {
        Ok(history) => history,
        Err(JournalError::Absent { .. }) => return Ok(JournalSays::default()),
        Err(source) => return Err(JournalReadError::Records { source }),
    };
    let mut says = JournalSays::default();
    for run in history.runs() {
        if let Some(Err(source)) = history.replay(run) {
            return Err(JournalReadError::Replay { run, source });
        }
        let records = history.load(run);
        let gate = dark_gates(&records).map(|seconds| (run.to_string(), seconds));
        says.dark_gates.extend(gate);
        for record in records {
            if let Event::Intended { step, at, .. } = &record.event {
                says.intents.push(Intent { run: run.to_string(), step: *step, at: *at });
            }
            says.hear(&record.event);
        }
    }
    Ok(says)
}

impl JournalSays {
    fn hear(&mut self, event: &Event) {
        match event {
            Event::Settled { step: _, node, settlement: Settlement::Met(outcome), at } => {
                let Some(container) = &outcome.container else { return };
                if self.retried.contains(node.as_str()) {
                    self.ordered_retries.push(container.id.to_string());
                }
                self.claims.extend(occurrences(container).into_iter().map(|what| JournalClaim {
                    node: node.to_string(),
                    container_id: container.id.to_string(),
                    what,
                    at: *at,
                }));
            }
            Event::RollbackOrdered { at, .. } => self.rollbacks.push(*at),
            Event::Retried { node, .. } => {
                self.retried.insert(node.to_string());
            }
            Event::Approved { gate: Gate::Backfill, by: _, because: Some(_), at: _ } => {
                self.is_backfill_waived = true;
            }
            Event::Settled { settlement: Settlement::Restored { .. }, at, .. } => {
                self.restores.push(*at);
            }
            Event::Settled {
                settlement: Settlement::Pulled { .. } | Settlement::BackedUp { .. },
                ..
            }
            | Event::Approved { .. }
            | Event::Started { .. }
            | Event::Driven { .. }
            | Event::Intended { .. }
            | Event::Failed { .. }
            | Event::Waiting { .. }
            | Event::Passed { .. }
            | Event::Closed { .. }
            | Event::LeftBehind { .. }
            | Event::TurnedBack { .. }
            | Event::HandedOver { .. }
            | Event::LeftOut { .. }
            | Event::Sampled { .. }
            | Event::TagsCounted { .. }
            | Event::Finished { .. }
            | Event::RollbackCalledOff { .. }
            | Event::RolledBack { .. }
            | Event::WentBack { .. } => {}
        }
    }
}

/// What must have happened to a container for it to be as the journal took it down.
fn occurrences(container: &ContainerState) -> Vec<Occurrence> {
    let mut all = vec![Occurrence::Created];
    if container.ever_started() {
        all.push(Occurrence::Started);
    }
    match container.status {
        ContainerStatus::Exited | ContainerStatus::Dead => all.push(Occurrence::Stopped),
        ContainerStatus::Created
        | ContainerStatus::Running
        | ContainerStatus::Paused
        | ContainerStatus::Restarting
        | ContainerStatus::Removing => {}
    }
    all
}

/// Seconds that all looks at the dark took, in a window whose first node then passed its own gate.
fn dark_gates(records: &[&Record]) -> Option<f64> {
    let passed: Vec<_> = records
        .iter()
        .filter_map(|record| {
            let Event::Passed { step: _, evidence, since, at } = &record.event else { return None };
            Some((evidence, at.duration_since(*since).as_secs_f64().max(0.0)))
        })
        .collect();
    passed.iter().find(|(evidence, _)| matches!(evidence, Evidence::FirstNode { .. }))?;
    let dark = passed.iter().filter(|(evidence, _)| matches!(evidence, Evidence::Dark { .. }));
    Some(dark.map(|(_, seconds)| seconds).sum())
}
