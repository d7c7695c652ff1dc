//! What a demo came to, as one JSON object and in a few lines for people.
#![expect(clippy::disallowed_methods, reason = "an effect room: the disk is its job")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde::Serialize;

use super::{DemoError, Mode};
use crate::cluster::lab_file::EngineKind;
use crate::witness::{Verdict, Violation, Window};

/// The figures and violations are the witness's, from engine events, probes and the stand-ins' own
/// records.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Summary {
    pub mode: Mode,
    pub engine: EngineKind,
    pub nodes: u8,
    pub from: &'static str,
    pub to: &'static str,
    pub outcome: Outcome,
    pub windows: Vec<WindowFigures>,
    /// `None` where nothing was seen.
    pub backfill: Option<BackfillFigures>,
    pub violations: Vec<Violation>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every node was seen healthy on 3.0.5 in `complete`.
    Completed,
    /// A command of the product did not end with 0.
    Failed,
    /// All commands ended with 0, but not every node was seen to have arrived.
    NotArrived,
    /// Ctrl-C.
    Interrupted,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct WindowFigures {
    pub outage_seconds: Option<f64>,
    pub limit_seconds: Option<f64>,
    pub first_healthy_seconds: Option<f64>,
    /// For people only: the figures' JSON is fixed.
    #[serde(skip)]
    names: String,
}

#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct BackfillFigures {
    /// 1.0 is all.
    pub progress: f64,
    pub total_tags: i64,
}

impl Summary {
    pub(super) fn of(
        mode: Mode,
        engine: EngineKind,
        nodes: u8,
        outcome: Outcome,
        verdict: Option<Verdict>,
    ) -> Self {
        let (windows, backfill, violations) = match verdict {
            Some(verdict) => {
                let backfill = backfill(&verdict);
                let windows = verdict.observed.windows.iter().map(figures).collect();
                (windows, backfill, verdict.violations)
            }
            None => (Vec::new(), None, Vec::new()),
        };
        Self {
            mode,
            engine,
            nodes,
            from: "2.9.5",
            to: "3.0.5",
            outcome,
            windows,
            backfill,
            violations,
        }
    }

    /// Completed, and no invariant broken.
    pub fn is_good(&self) -> bool {
        self.outcome == Outcome::Completed && self.violations.is_empty()
    }

    pub fn write(&self, path: &Path) -> Result<(), DemoError> {
        let failed = |source| DemoError::Summary { path: path.to_owned(), source };
        let mut text = serde_json::to_string(self).map_err(|error| failed(error.into()))?;
        text.push('\n');
        fs::write(path, text).map_err(failed)
    }

    /// For people: windows with their outage against the limit, the backfill, the witness.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.windows.iter().map(WindowFigures::line).collect();
        if let Some(BackfillFigures { progress, total_tags }) = self.backfill {
            lines.push(format!("backfill  {:.2} % of {total_tags} tags", progress * 100.0));
        }
        let nodes = self.nodes;
        lines.push(match self.outcome {
            Outcome::Completed => {
                format!("outcome   all {nodes} nodes healthy on 3.0.5 in complete")
            }
            Outcome::Failed => "outcome   failed: a command did not end with 0".to_owned(),
            Outcome::NotArrived => {
                "outcome   not every node arrived on 3.0.5 in complete".to_owned()
            }
            Outcome::Interrupted => {
                "outcome   interrupted; everything that was made is gone".to_owned()
            }
        });
        if self.violations.is_empty() && self.outcome != Outcome::Interrupted {
            lines.push("witness   no invariant broken".to_owned());
        }
        for Violation { invariant, at: _, nodes, evidence } in &self.violations {
            let nodes = nodes.join(", ");
            lines.push(format!("witness   invariant {invariant} broken ({nodes}): {evidence}"));
        }
        lines
    }
}

impl WindowFigures {
    fn line(&self) -> String {
        let Self { outage_seconds, limit_seconds, first_healthy_seconds, names } = self;
        let seconds = |value: &Option<f64>| match value {
            Some(value) => format!("{value:.2} s"),
            None => "not seen".to_owned(),
        };
        format!(
            "window    {names}: outage {}, limit {}, first node healthy after {}",
            seconds(outage_seconds),
            seconds(limit_seconds),
            seconds(first_healthy_seconds)
        )
    }
}

fn figures(window: &Window) -> WindowFigures {
    WindowFigures {
        outage_seconds: window.outage_seconds,
        limit_seconds: window.limit_seconds,
        first_healthy_seconds: window.first_healthy_seconds,
        names: format!("{} to {}", window.from, window.to),
    }
}

/// What the stand-ins' own records say last; where no worker ever ran, what the database holds.
fn backfill(verdict: &Verdict) -> Option<BackfillFigures> {
    if let Some(seen) = verdict.observed.backfill {
        return Some(BackfillFigures { progress: seen.progress, total_tags: seen.total_tags });
    }
    let database = verdict.observed.database.as_ref()?;
    let total = database.visible_tags;
    let left = database.unmapped_tags;
    let progress = if total == 0 { 1.0 } else { share(total - left, total) };
    Some(BackfillFigures { progress, total_tags: total })
}

#[expect(clippy::cast_precision_loss, reason = "a share of a count: far from 2^52 tags")]
fn share(part: i64, whole: i64) -> f64 {
    part as f64 / whole as f64
}

/// How many nodes run this generation, and were seen healthy with it.
pub(super) fn nodes_arrived(verdict: &Verdict, generation: &str) -> usize {
    verdict
        .observed
        .processes
        .iter()
        .filter(|process| {
            process.ended.is_none() && process.was_healthy && process.generation == generation
        })
        .map(|process| process.node.as_str())
        .collect::<BTreeSet<_>>()
        .len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::witness::{Backfill, Observed, Process, VERSION};

    fn window(from: &str, to: &str, outage: Option<f64>) -> Window {
        Window {
            from: from.into(),
            to: to.into(),
            began: None,
            outage_seconds: outage,
            limit_seconds: Some(2.0),
            first_healthy_seconds: Some(1.5),
            slowest_stop_seconds: Some(0.3),
            dark_gate_seconds: 0.1,
            backup_seconds: 0.0,
            first_start_seconds: Some(1.0),
            slowest_other_start_seconds: Some(0.6),
        }
    }

    fn process(node: &str, generation: &str) -> Process {
        Process {
            node: node.into(),
            container_id: "ab".into(),
            generation: generation.into(),
            started: jiff::Timestamp::UNIX_EPOCH,
            ended: None,
            has_migrated: false,
            was_healthy: true,
            refused: None,
        }
    }

    fn verdict(violations: Vec<Violation>) -> Verdict {
        Verdict {
            version: VERSION,
            violations,
            observed: Observed {
                moves: Vec::new(),
                windows: vec![
                    window("2.9.5", "3.0.5 background", Some(2.1)),
                    window("3.0.5 background", "3.0.5 complete", None),
                ],
                backfill: Some(Backfill { progress: 1.0, total_tags: 2000 }),
                processes: vec![
                    process("quay-1", "3.0.5 background"),
                    process("quay-1", "3.0.5 complete"),
                    process("quay-2", "3.0.5 complete"),
                    process("quay-3", "3.0.5 background"),
                ],
                database: None,
                damage: Vec::new(),
            },
        }
    }

    fn summary(outcome: Outcome, violations: Vec<Violation>) -> Summary {
        Summary::of(Mode::Background, EngineKind::Standin, 3, outcome, Some(verdict(violations)))
    }

    #[test]
    fn the_json_has_the_names_that_scripts_rely_on() {
        let text = serde_json::to_string(&summary(Outcome::Completed, Vec::new())).unwrap();
        insta::assert_snapshot!(text);
    }

    #[test]
    fn people_read_outage_limit_backfill_and_the_witness() {
        insta::assert_snapshot!(summary(Outcome::Completed, Vec::new()).lines().join("\n"));
        let broken = Violation {
            invariant: 2,
            at: None,
            nodes: vec!["quay-1".into(), "quay-2".into()],
            evidence: "two processes migrated".into(),
        };
        let broken = summary(Outcome::NotArrived, vec![broken]);
        assert!(!broken.is_good());
        insta::assert_snapshot!(broken.lines().join("\n"));
    }

    #[test]
    fn a_node_has_arrived_when_it_runs_that_very_generation() {
        assert_eq!(nodes_arrived(&verdict(Vec::new()), "3.0.5 complete"), 2);
    }
}
