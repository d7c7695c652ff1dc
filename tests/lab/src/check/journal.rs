//! What the coordinator's journal says happened, in the witness's words.

use std::collections::BTreeSet;
use std::path::Path;

use quaymaster::journal::Record;
use quaymaster::journal::store::{self, JournalError};
use quaymaster::plan::Gate;
use quaymaster::run::{Event, Evidence, IllegalEvent, Settlement};
use quaymaster_proto::{ContainerState, ContainerStatus, RunId};

use crate::witness::{JournalClaim, Occurrence};

#[derive(Debug, thiserror::Error)]
pub enum JournalReadError {
    #[error("its records cannot be had")]
    Records { source: JournalError },
    #[error("the records of run {run} do not fold into a state")]
    Replay { run: RunId, source: IllegalEvent },
}

#[derive(Default, Debug)]
pub(super) struct JournalSays {
    pub(super) claims: Vec<JournalClaim>,
    /// Of every window that passed its point of no return, in order: all looks at the dark, and the
    /// backup between them. No one but the coordinator can tell how long it looked around.
    pub(super) dark_gates: Vec<f64>,
    pub(super) is_backfill_waived: bool,
    /// Containers of attempts that a person ordered.
    pub(super) ordered_retries: Vec<String>,
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
        says.dark_gates.extend(dark_gates(&records));
        for record in records {
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
            Event::Retried { node, .. } => {
                self.retried.insert(node.to_string());
            }
            Event::Approved { gate: Gate::Backfill, by: _, because: Some(_), at: _ } => {
                self.is_backfill_waived = true;
            }
            Event::Settled {
                settlement:
                    Settlement::Pulled { .. }
                    | Settlement::BackedUp { .. }
                    | Settlement::Restored { .. },
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

/// Seconds that all looks at the dark and the backup between them took, in a window whose first node then passed its own gate.
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
    let looks: f64 = dark.map(|(_, seconds)| seconds).sum();
    Some(looks + backup(records))
}

/// Seconds from the latest order to back up until it was done.
fn backup(records: &[&Record]) -> f64 {
    let mut asked = None;
    let mut took = 0.0;
    for record in records {
        let event = &record.event;
        if let Event::Intended { step, at, .. } = event {
            asked = Some((*step, *at));
        } else if let Event::Settled { step, settlement, at, .. } = event
            && matches!(settlement, Settlement::BackedUp { .. })
            && let Some((_, since)) = asked.filter(|(of, _)| of == step)
        {
            took = at.duration_since(since).as_secs_f64().max(0.0);
        }
    }
    took
}
