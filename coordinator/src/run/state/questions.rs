//! What is asked of a run's state: read off it, never kept beside it.

use quaymaster_proto::backup::Backup;
use quaymaster_proto::{ContainerId, ImageId, NodeName, StepNumber};

use super::{ATTEMPT, Approval, Direction, RunState};
use crate::plan::{Gate, Plan, PlannedBackup, Step, Verb, What};
use crate::run::act_state::ActState;
use crate::run::event::Settlement;

impl RunState {
    /// Where a node stands in a step.
    pub fn act_state(&self, step: StepNumber, node: &NodeName) -> &ActState {
        self.acts.get(&(step, node.clone())).unwrap_or(&ActState::Pending)
    }

    /// The latest word of a person on a gate.
    pub fn approval(&self, gate: Gate) -> Option<&Approval> {
        self.approvals.iter().rev().find(|approval| approval.gate == gate)
    }

    /// Whether a step was ever intended on any node.
    pub fn has_begun(&self, step: StepNumber) -> bool {
        self.begun.iter().any(|(begun, _)| *begun == step)
    }

    /// Whether the point of no return is behind the run: the migrating start
    /// was intended. A failed one that will be asked again counts: only proof
    /// takes an intent back.
    pub fn has_crossed(&self, plan: &Plan) -> bool {
        match self.direction {
            Direction::There => plan.point_of_no_return().is_some_and(|step| self.has_begun(step)),
            Direction::Back { .. } => false,
            Direction::Rollback { .. } => true,
        }
    }

    /// The steps of the way that it is on.
    pub fn way<'a>(&self, plan: &'a Plan) -> &'a [Step] {
        match self.direction {
            Direction::There => &plan.steps,
            Direction::Back { .. } => &plan.back,
            Direction::Rollback { .. } => &plan.rollback,
        }
    }

    /// Whether it is rolled back, or on its way there.
    pub fn is_rollback(&self) -> bool {
        match self.direction {
            Direction::Rollback { .. } => true,
            Direction::There | Direction::Back { .. } => false,
        }
    }

    /// Whether a rollback has changed nothing yet.
    pub fn can_be_called_off(&self) -> bool {
        match self.direction {
            Direction::Rollback { check, .. } => !self.begun.iter().any(|(step, _)| *step > check),
            Direction::There | Direction::Back { .. } => false,
        }
    }

    /// Whether it ended where its window began.
    pub fn went_back(&self) -> bool {
        self.finished_at.is_some() && self.direction != Direction::There
    }

    /// What came of a step on a node, where it is done.
    fn settlement(&self, step: StepNumber, node: &NodeName) -> Option<&Settlement> {
        match self.act_state(step, node) {
            ActState::Done { settlement, .. } => Some(settlement),
            ActState::Pending | ActState::InFlight { .. } | ActState::Failed { .. } => None,
        }
    }

    /// The image that a pull brought to a node.
    pub fn pulled(&self, step: StepNumber, node: &NodeName) -> Option<&ImageId> {
        match self.settlement(step, node)? {
            Settlement::Pulled { image } => Some(image),
            Settlement::Met(_) | Settlement::BackedUp { .. } | Settlement::Restored { .. } => None,
        }
    }

    /// The container that an act left on a node.
    pub fn container(&self, step: StepNumber, node: &NodeName) -> Option<&ContainerId> {
        match self.settlement(step, node)? {
            Settlement::Met(outcome) => outcome.container.as_ref().map(|container| &container.id),
            Settlement::Pulled { .. }
            | Settlement::BackedUp { .. }
            | Settlement::Restored { .. } => None,
        }
    }

    /// The backup that this run has made, where it has.
    pub fn backup(&self, plan: &Plan) -> Option<&Backup> {
        let step = plan.first_step(What::Act(Verb::BackUp))?;
        let mut settled = step.nodes.iter().filter_map(|node| self.settlement(step.number, node));
        settled.find_map(|settlement| match settlement {
            Settlement::BackedUp { backup } => Some(backup),
            Settlement::Met(_) | Settlement::Pulled { .. } | Settlement::Restored { .. } => None,
        })
    }

    /// Whether the point of no return may be crossed: there is a verified
    /// backup, or somebody waived it in words.
    pub fn has_backup(&self, plan: &Plan) -> bool {
        match &plan.backup {
            PlannedBackup::Taken { .. } => self.backup(plan).is_some(),
            PlannedBackup::Waived { because, .. } => !because.trim().is_empty(),
        }
    }

    /// The number of a step as a node is told it: each attempt of its part has
    /// numbers of its own, higher than those of every one before.
    pub fn wire_step(&self, step: StepNumber, node: &NodeName) -> StepNumber {
        let offset = (self.attempt(node) - 1).saturating_mul(ATTEMPT);
        StepNumber::new(step.get().saturating_add(offset)).unwrap_or(step)
    }

    /// The highest number that a node was ever told; `None` = never any.
    pub fn furthest(&self, node: &NodeName) -> Option<StepNumber> {
        self.told.get(node).copied()
    }

    /// Which attempt of a node's part this is; 1 is the first.
    pub fn attempt(&self, node: &NodeName) -> u32 {
        self.attempts.get(node).copied().unwrap_or(1)
    }

    /// Whether a health gate was ever open for a node.
    pub(in crate::run) fn was_healthy(&self, step: StepNumber, node: &NodeName) -> bool {
        self.healthy.get(&step).is_some_and(|nodes| nodes.contains_key(node))
    }
}
