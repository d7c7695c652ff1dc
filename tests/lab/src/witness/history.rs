//! The records folded into what they tell: every run of a Quay process from its start to its end,
//! and what engines, probes and config files showed meanwhile. Pure.

use jiff::Timestamp;

use super::Process;
use super::generation::Generation;
use crate::record::{
    Act, ConfigSeen, EngineAction, EngineEvent, LabAct, MigrationResult, ProbeChange, QuayEvent,
    QuayRecord, Record, Seen, Session,
};

#[derive(Debug, Default)]
pub(super) struct History {
    /// In the order of their starts.
    pub(super) runs: Vec<Run>,
    pub(super) events: Vec<(Timestamp, EngineEvent)>,
    pub(super) probes: Vec<(Timestamp, ProbeChange)>,
    pub(super) configs: Vec<(Timestamp, ConfigSeen)>,
    /// When the database was a backup's again.
    pub(super) restores: Vec<Timestamp>,
    /// When a person ordered a rollback.
    pub(super) rollbacks: Vec<Timestamp>,
    /// What the lab did to a node.
    acts: Vec<(Timestamp, String, Act)>,
    /// Mapped and total tags.
    backfill: Vec<(Timestamp, i64, i64)>,
    /// With the node that saw it.
    pub(super) damage: Vec<(Timestamp, String, String)>,
}

/// One process of Quay.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) node: String,
    pub(super) container_id: String,
    /// It serves nobody, and migrates like any other.
    pub(super) is_mirror: bool,
    /// Somebody who is not the product started it: what follows from its start is not the
    /// product's doing, that it runs on is.
    pub(super) is_by_hand: bool,
    pub(super) generation: Generation,
    pub(super) started: Timestamp,
    /// `None` while it runs.
    pub(super) ended: Option<Timestamp>,
    pub(super) migration: Option<Migration>,
    pub(super) healthy: Option<Timestamp>,
    pub(super) refused: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Migration {
    pub(super) begun: Timestamp,
    pub(super) from: Option<String>,
    pub(super) target: String,
    pub(super) sessions: Vec<Session>,
    /// The first revision that was stamped.
    pub(super) changed: Option<Timestamp>,
    pub(super) ended: Option<(Timestamp, MigrationResult)>,
}

/// How a process ended by itself, as it wrote down.
#[derive(Clone, Copy)]
enum Leaving {
    /// A refused or failed start: the process is gone within moments.
    Failed(Timestamp),
    Stopped(Timestamp),
}

impl History {
    pub(super) fn of(records: &[Record]) -> Self {
        let mut history = Self::default();
        for record in records {
            let at = record.moment();
            match &record.seen {
                Seen::Engine(event) => history.events.push((at, event.clone())),
                Seen::Probe(change) => history.probes.push((at, change.clone())),
                Seen::Config(seen) => history.configs.push((at, seen.clone())),
                Seen::Lab(LabAct { node, act }) => {
                    history.acts.push((at, node.clone(), act.clone()));
                }
                Seen::Quay(_) => {}
            }
        }
        let mut leaving = Vec::new();
        for record in records {
            if let Seen::Quay(quay) = &record.seen {
                history.take(record.moment(), quay, &mut leaving);
            }
        }
        for (index, left) in leaving.into_iter().enumerate() {
            history.runs[index].ended = history.end_of(index, left);
            if let Some(asked) = history.engine_start_of(&history.runs[index]) {
                history.runs[index].started = asked;
            }
        }
        history.runs.sort_by_key(|run| run.started);
        history.mark_what_is_by_hand();
        history
    }

    fn mark_what_is_by_hand(&mut self) {
        for (told, node, act) in &self.acts {
            let (container_id, until, most) = match act {
                Act::StartByHand { container_id } => (container_id, None, 1),
                Act::AlwaysByHand { container_id } => {
                    let mut events = self.events.iter();
                    let stop = events.find(|(at, event)| {
                        at >= told
                            && event.action == EngineAction::Kill
                            && is_same(&event.container_id, container_id)
                    });
                    (container_id, stop.map(|(at, _)| *at), usize::MAX)
                }
                Act::CutPower | Act::EngineEnding | Act::EngineBack | Act::TakenDown => continue,
            };
            let is_it = |run: &&mut Run| {
                run.started >= *told
                    && until.is_none_or(|until| run.started <= until)
                    && run.is_in(node, container_id)
            };
            self.runs.iter_mut().filter(is_it).take(most).for_each(|run| run.is_by_hand = true);
        }
    }

    fn take(&mut self, at: Timestamp, quay: &QuayRecord, leaving: &mut Vec<Option<Leaving>>) {
        let QuayRecord { node, container_id, release, pid: _, is_mirror, event } = quay;
        if let QuayEvent::Started { mode, config_sha256: _, revision: _ } = event {
            self.runs.push(Run {
                node: node.clone(),
                container_id: container_id.clone(),
                is_mirror: *is_mirror,
                is_by_hand: false,
                generation: Generation::new(release, mode.as_deref()),
                started: at,
                ended: None,
                migration: None,
                healthy: None,
                refused: None,
            });
            leaving.push(None);
            return;
        }
        let Some(index) = self.runs.iter().rposition(|run| run.is_in(node, container_id)) else {
            return;
        };
        let run = &mut self.runs[index];
        match event {
            QuayEvent::Started { .. } | QuayEvent::Listening { .. } => {}
            QuayEvent::Refused { reason, exit_code: _ } => {
                run.refused = Some(reason.clone());
                leaving[index] = Some(Leaving::Failed(at));
            }
            QuayEvent::MigrationBegun { from, target, sessions } => {
                run.migration = Some(Migration {
                    begun: at,
                    from: from.clone(),
                    target: target.clone(),
                    sessions: sessions.clone(),
                    changed: None,
                    ended: None,
                });
            }
            QuayEvent::RevisionApplied { .. } => {
                if let Some(migration) = &mut run.migration {
                    migration.changed.get_or_insert(at);
                }
            }
            QuayEvent::MigrationEnded { result, revision: _ } => {
                if let Some(migration) = &mut run.migration {
                    migration.ended = Some((at, *result));
                }
                if *result == MigrationResult::Failed {
                    leaving[index] = Some(Leaving::Failed(at));
                }
            }
            QuayEvent::Healthy => run.healthy = run.healthy.or(Some(at)),
            QuayEvent::BackfillMoved { mapped, total } => {
                self.backfill.push((at, *mapped, *total));
            }
            QuayEvent::EndedBySignal { signal: _ } => leaving[index] = Some(Leaving::Stopped(at)),
            QuayEvent::Damaged { what } => {
                self.damage.push((at, node.clone(), what.clone()));
            }
        }
    }

    /// The end of a run: the engine's word, or the process's own, or at the latest the next start
    /// of the same container.
    fn end_of(&self, index: usize, leaving: Option<Leaving>) -> Option<Timestamp> {
        let run = &self.runs[index];
        let died = self
            .events_of(run)
            .find(|(at, event)| *at >= run.started && event.action == EngineAction::Die)
            .map(|(at, _)| *at);
        let next = self.runs[index + 1..]
            .iter()
            .find(|later| later.is_in(&run.node, &run.container_id))
            .map(|later| later.started);
        let own = match leaving {
            Some(Leaving::Stopped(at)) => Some(at),
            Some(Leaving::Failed(at)) => Some(died.unwrap_or(at)),
            None => None,
        };
        [died, next, own, self.power_lost(&run.node, run.started)].into_iter().flatten().min()
    }

    /// The first moment from `since` on at which all that ran on a node had been killed with it: no
    /// engine is left to tell of that.
    pub(super) fn power_lost(&self, node: &str, since: Timestamp) -> Option<Timestamp> {
        let mut acts = self.acts_on(node);
        acts.find(|(at, act)| **act == Act::CutPower && *at >= since).map(|(at, _)| at)
    }

    /// Whether a node's engine was being ended and started again by the lab.
    pub(super) fn is_engine_restarting(&self, node: &str, at: Timestamp) -> bool {
        let last = self.acts_on(node).filter(|(then, _)| *then <= at).last();
        last.is_some_and(|(_, act)| *act == Act::EngineEnding)
    }

    /// Whether the lab had begun to end the node with all the rest.
    pub(super) fn is_taken_down(&self, node: &str, at: Timestamp) -> bool {
        self.acts_on(node).any(|(then, act)| *act == Act::TakenDown && then <= at)
    }

    fn acts_on(&self, node: &str) -> impl Iterator<Item = (Timestamp, &Act)> {
        self.acts.iter().filter(move |(_, of, _)| of == node).map(|(at, _, act)| (*at, act))
    }

    /// The engine's start event of a run, if it came before the process wrote its first record: the
    /// last one, but none that belongs to an earlier run.
    fn engine_start_of(&self, run: &Run) -> Option<Timestamp> {
        let last_death = self
            .events_of(run)
            .filter(|(at, event)| *at < run.started && event.action == EngineAction::Die)
            .map(|(at, _)| *at)
            .last();
        self.events_of(run)
            .filter(|(at, event)| {
                event.action == EngineAction::Start
                    && *at <= run.started
                    && last_death.is_none_or(|death| *at > death)
            })
            .map(|(at, _)| *at)
            .last()
    }

    pub(super) fn events_of(
        &self,
        run: &Run,
    ) -> impl Iterator<Item = &(Timestamp, EngineEvent)> + use<'_> {
        let container_id = run.container_id.clone();
        self.events.iter().filter(move |(_, event)| is_same(&event.container_id, &container_id))
    }

    /// Whether a restore lies between two runs, the earlier of which had ended by then.
    pub(super) fn is_restored_between(&self, earlier: &Run, later: &Run) -> bool {
        self.restores
            .iter()
            .any(|at| *at <= later.started && earlier.ended.is_some_and(|ended| ended <= *at))
    }

    /// Whether a person had ordered by then to end a run that was there.
    pub(super) fn is_rolled_back(&self, run: &Run, at: Timestamp) -> bool {
        self.rollbacks.iter().any(|ordered| run.started <= *ordered && *ordered <= at)
    }

    /// The first moment from `since` on at which a node's probe found it healthy.
    pub(super) fn probed_healthy(&self, node: &str, since: Timestamp) -> Option<Timestamp> {
        self.probes
            .iter()
            .find(|(at, probe)| probe.node == node && *at >= since && probe.healthy)
            .map(|(at, _)| *at)
    }

    /// A node's config.yaml as it was last seen at `at`.
    pub(super) fn config_at(&self, node: &str, at: Timestamp) -> Option<&ConfigSeen> {
        self.configs
            .iter()
            .rfind(|(seen, config)| *seen <= at && config.node == node)
            .map(|(_, config)| config)
    }

    /// The last mapped and total number of tags before `at`, or of all.
    pub(super) fn backfill_before(&self, at: Option<Timestamp>) -> Option<(i64, i64)> {
        self.backfill
            .iter()
            .rfind(|(seen, _, _)| at.is_none_or(|at| *seen <= at))
            .map(|(_, mapped, total)| (*mapped, *total))
    }
}

impl Run {
    fn is_in(&self, node: &str, container_id: &str) -> bool {
        self.node == node && is_same(&self.container_id, container_id)
    }

    pub(super) fn runs_at(&self, at: Timestamp) -> bool {
        self.started <= at && self.ended.is_none_or(|ended| at < ended)
    }

    pub(super) fn process(&self) -> Process {
        Process {
            node: self.node.clone(),
            container_id: self.container_id.clone(),
            generation: self.generation.to_string(),
            started: self.started,
            ended: self.ended,
            has_migrated: self.migration.is_some(),
            was_healthy: self.healthy.is_some(),
            refused: self.refused.clone(),
        }
    }
}

/// A process in a real container may know only the first digits of its id.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    let length = one.len().min(other.len());
    length > 0 && one.get(..length) == other.get(..length)
}

/// As Quay reckons it: 1 where there is nothing to do.
#[expect(clippy::cast_precision_loss, reason = "as Quay divides")]
pub(super) fn fraction(mapped: i64, total: i64) -> f64 {
    if total == 0 { 1.0 } else { mapped as f64 / total as f64 }
}
