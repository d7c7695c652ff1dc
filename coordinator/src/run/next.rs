//! What comes next: a pure function of the plan and of what has happened.

use std::collections::BTreeSet;

use quaymaster_proto::{Component, NodeName};

use crate::plan::{Gate, Plan, Stage, Step, Verb, What};
use crate::run::act_state::ActState;
use crate::run::event::{Evidence, GateFailure, Problem};
use crate::run::ran;
use crate::run::state::{Direction, GateState, RunState};
use crate::run::turn::Crossing;

/// What a run does next.
#[derive(Clone, PartialEq, Debug)]
pub enum Next<'a> {
    /// Ask these nodes, all at once.
    Ask {
        /// The step.
        step: &'a Step,
        /// Those that are not done.
        nodes: Vec<NodeName>,
    },
    /// Look at this gate.
    Look {
        /// The step.
        step: &'a Step,
        /// For these nodes.
        nodes: Vec<NodeName>,
    },
    /// Nothing: nodes failed, and a process that takes the run in hand anew
    /// will ask them again.
    Failed {
        /// The step at which the first one failed.
        step: &'a Step,
        /// Each.
        failures: Vec<(NodeName, Problem)>,
    },
    /// Nothing: a gate will not open by itself.
    Closed {
        /// The step.
        step: &'a Step,
        /// Why.
        failure: GateFailure,
    },
    /// Every step is done.
    Done,
}

/// Decides. Steps go strictly in order: a step begins when the one before is
/// done on all of its nodes.
///
/// Up to the first node's gate one failure stops everything. Behind it, and on
/// the way back, a node that fails is left behind: it holds up nobody, and the
/// run ends at it when the others are through.
pub fn next<'a>(plan: &'a Plan, state: &RunState) -> Next<'a> {
    match state.direction {
        Direction::There => there(plan, state),
        Direction::Back { crossing, .. } => back(plan, state, crossing),
        Direction::Rollback { .. } => roll_back(plan, state),
    }
}

fn there<'a>(plan: &'a Plan, state: &RunState) -> Next<'a> {
    let mut walk = Walk::new(state);
    for step in &plan.steps {
        walk.leaves_behind = leaves_behind(plan, step);
        let nodes = step.nodes.clone();
        let decision = match (step.what, &state.handed_over) {
            // Whoever has the part starts as any other node does, and is looked
            // at as the first one would be.
            (What::Act(Verb::StartMigrating), Some(heir)) => {
                let start = plan.first_step(What::Act(Verb::Start));
                start.and_then(|start| walk.act(start, vec![heir.clone()]))
            }
            // There is no start left to be dark for.
            (What::Gate(Gate::Dark), Some(_)) => None,
            (What::Gate(Gate::FirstNode), Some(heir)) => {
                walk.gate(plan, step, Gate::FirstNode, vec![heir.clone()])
            }
            (What::Act(Verb::BackUp), None) => {
                walk.act_again(step, nodes, |_| has_begun_to_migrate(plan, state))
            }
            (What::Act(_), _) => walk.act(step, nodes),
            (What::Gate(gate), _) => walk.gate(plan, step, gate, nodes),
        };
        if let Some(next) = decision {
            return next;
        }
    }
    walk.end()
}

fn back<'a>(plan: &'a Plan, state: &RunState, crossing: Crossing) -> Next<'a> {
    let mut walk = Walk::new(state);
    // A run turns back only where its crossing is known: whatever becomes of the
    // rest, every other node goes back.
    walk.leaves_behind = true;
    for step in &plan.back {
        let is_undone = |node: &NodeName| {
            takes_back(plan, step)
                .is_some_and(|there| state.begun.contains(&(there.number, node.clone())))
        };
        let is_evidence = crossing == Crossing::NothingApplied
            && step.what == What::Act(Verb::RemoveStaged)
            && step.component == Component::Quay;
        // What is verified is the whole registry: another run, taken over, may
        // have stopped what this one never touched.
        let is_whole = step.what == What::Gate(Gate::Verified) && step.nodes.iter().any(is_undone);
        let nodes = step.nodes.iter().filter(|node| {
            // A container that has run is kept: it is what the proof rests on.
            (is_whole || is_undone(node)) && !(is_evidence && **node == plan.first)
        });
        let nodes: Vec<NodeName> = nodes.cloned().collect();
        let decision = walk.back(plan, step, nodes);
        if let Some(next) = decision {
            return next;
        }
    }
    walk.end()
}

/// Up to the restore everything has to be down on every node; behind it a node
/// that fails is left behind, as on the way back.
fn roll_back<'a>(plan: &'a Plan, state: &RunState) -> Next<'a> {
    let mut walk = Walk::new(state);
    let is_restored = has_been_restored(plan, state);
    for step in &plan.rollback {
        walk.leaves_behind = leaves_behind(plan, step);
        let nodes = step.nodes.clone();
        let decision = match step.what {
            // Of no matter as soon as something is down: the restore looks again.
            What::Act(Verb::CheckBackup) => {
                walk.act_again(step, nodes, |_| !state.can_be_called_off())
            }
            // Somebody may have started it again.
            What::Act(Verb::TakeDown) => walk.act_again(step, nodes, |_| is_restored),
            What::Act(_) | What::Gate(_) => walk.back(plan, step, nodes),
        };
        if let Some(next) = decision {
            return next;
        }
    }
    walk.end()
}

/// Whether a node that fails in a step holds up no other.
pub fn leaves_behind(plan: &Plan, step: &Step) -> bool {
    match step.stage {
        Stage::Serving | Stage::Dark => false,
        Stage::Beyond => {
            let gate = plan.first_step(What::Gate(Gate::FirstNode));
            gate.is_some_and(|gate| step.number > gate.number)
        }
        Stage::Back => true,
        Stage::Rollback => plan.restored_at().is_some_and(|restored| step.number > restored),
    }
}

fn has_been_restored(plan: &Plan, state: &RunState) -> bool {
    let restore = plan.rollback.iter().find(|step| step.what == What::Act(Verb::Restore));
    restore.is_some_and(|step| {
        let mut acts = step.nodes.iter().map(|node| state.act_state(step.number, node));
        acts.all(|act| matches!(act, ActState::Done { .. }))
    })
}

/// Whether the backup is of no matter any more: what it is of is gone. Until
/// then each process has its agent compare it with the database again.
fn has_begun_to_migrate(plan: &Plan, state: &RunState) -> bool {
    let start = plan.point_of_no_return();
    start.is_some_and(|start| state.begun.contains(&(start, plan.first.clone())))
}

/// Whether what the window found has its name again on a node, by the way that
/// a step belongs to.
fn is_back(plan: &Plan, state: &RunState, of: &Step, node: &NodeName) -> bool {
    let is_promote =
        |step: &&Step| step.component == of.component && step.what == What::Act(Verb::Promote);
    plan.way_of(of)
        .iter()
        .find(is_promote)
        .is_some_and(|step| matches!(state.act_state(step.number, node), ActState::Done { .. }))
}

/// The step that a step of the way back takes back.
pub fn takes_back<'a>(plan: &'a Plan, step: &Step) -> Option<&'a Step> {
    let verb = match step.what {
        What::Act(Verb::RemoveStaged) => Verb::StageContainer,
        What::Act(Verb::RemoveStagedConfig) => Verb::StageConfig,
        What::Act(Verb::RestoreConfig) => Verb::PutConfig,
        What::Act(Verb::LowerFloor) => Verb::SetFloor,
        What::Act(Verb::Recreate | Verb::Start | Verb::Promote)
        | What::Gate(Gate::Healthy | Gate::Verified) => Verb::Stop,
        What::Act(
            Verb::Pull
            | Verb::StageContainer
            | Verb::StageConfig
            | Verb::Stop
            | Verb::SetFloor
            | Verb::BackUp
            | Verb::PutConfig
            | Verb::StartMigrating
            | Verb::CheckBackup
            | Verb::TakeDown
            | Verb::Restore,
        )
        | What::Gate(
            Gate::Backfill | Gate::Approval | Gate::Unchanged | Gate::Dark | Gate::FirstNode,
        ) => return None,
    };
    plan.step_of(step.component, What::Act(verb))
}

/// One walk over the steps.
struct Walk<'a, 'b> {
    state: &'b RunState,
    /// Whether a failing node is left behind rather than waited for.
    leaves_behind: bool,
    /// Those, and whom a person gave up.
    behind: BTreeSet<NodeName>,
    failed: Option<(&'a Step, Vec<(NodeName, Problem)>)>,
}

impl<'a, 'b> Walk<'a, 'b> {
    fn new(state: &'b RunState) -> Self {
        let behind = state.left_out.keys().cloned().collect();
        Self { state, leaves_behind: false, behind, failed: None }
    }

    /// Nobody is left to ask.
    fn end(self) -> Next<'a> {
        match self.failed {
            Some((step, failures)) => Next::Failed { step, failures },
            None => Next::Done,
        }
    }

    /// A step of a way to what the window found: what was created and started
    /// there is asked for again until it has its name.
    fn back(&mut self, plan: &Plan, step: &'a Step, nodes: Vec<NodeName>) -> Option<Next<'a>> {
        let state = self.state;
        match step.what {
            What::Act(Verb::Recreate | Verb::Start) => {
                self.act_again(step, nodes, |node| is_back(plan, state, step, node))
            }
            What::Act(_) => self.act(step, nodes),
            What::Gate(gate) => self.gate(plan, step, gate, nodes),
        }
    }

    /// As `act`; but what an earlier process left there may have ended since, so
    /// this one asks again until it is over.
    fn act_again(
        &mut self,
        step: &'a Step,
        nodes: Vec<NodeName>,
        is_over: impl Fn(&NodeName) -> bool,
    ) -> Option<Next<'a>> {
        let is_known = |node: &NodeName| {
            self.state.settled_now.contains(&(step.number, node.clone()))
                || !matches!(self.state.act_state(step.number, node), ActState::Done { .. })
        };
        let again =
            |node: &&NodeName| !self.behind.contains(*node) && !is_known(node) && !is_over(node);
        let again: Vec<NodeName> = nodes.iter().filter(again).cloned().collect();
        if again.is_empty() {
            self.act(step, nodes)
        } else {
            Some(Next::Ask { step, nodes: again })
        }
    }

    /// `None` when there is nothing left to do in this step.
    fn act(&mut self, step: &'a Step, mut nodes: Vec<NodeName>) -> Option<Next<'a>> {
        nodes.retain(|node| !self.behind.contains(node));
        let mut to_ask = Vec::new();
        let mut failures = Vec::new();
        for node in nodes {
            match self.state.act_state(step.number, &node) {
                ActState::Pending | ActState::InFlight { .. } => to_ask.push(node),
                ActState::Failed { problem, at: _ } => failures.push((node, problem.clone())),
                ActState::Done { .. } => {}
            }
        }
        // Nodes that can go on do, even when another one failed: what is begun
        // everywhere is easier to finish than what is begun here and there.
        if !to_ask.is_empty() {
            return Some(Next::Ask { step, nodes: to_ask });
        }
        self.fail(step, failures)
    }

    /// `None` when the gate is open for everyone who comes to it.
    fn gate(
        &mut self,
        plan: &Plan,
        step: &'a Step,
        kind: Gate,
        mut nodes: Vec<NodeName>,
    ) -> Option<Next<'a>> {
        if kind == Gate::Unchanged && has_gone_dark(plan, self.state) {
            return None;
        }
        // What is verified is the whole: a node that was left behind comes first.
        if kind == Gate::Verified && self.failed.is_some() {
            return None;
        }
        nodes.retain(|node| !self.behind.contains(node));
        let mut failures = Vec::new();
        for node in &nodes {
            if let ActState::Failed { problem, at: _ } = self.state.act_state(step.number, node) {
                failures.push((node.clone(), problem.clone()));
            }
        }
        nodes.retain(|node| !failures.iter().any(|(failed, _)| failed == node));
        if kind == Gate::Healthy {
            nodes.retain(|node| !self.is_healthy(plan, step, node));
            if !nodes.is_empty() && self.has_passed(step) {
                return Some(Next::Look { step, nodes });
            }
        }
        if !nodes.is_empty() {
            match self.state.gates.get(&step.number) {
                Some(GateState::Passed { .. }) if is_outdated(plan, step, kind, self.state) => {
                    return Some(Next::Look { step, nodes });
                }
                Some(GateState::Passed { .. }) => {}
                Some(GateState::Closed { failure, at: _ }) => {
                    return Some(Next::Closed { step, failure: failure.clone() });
                }
                Some(GateState::Waiting { .. }) | None => return Some(Next::Look { step, nodes }),
            }
        }
        self.fail(step, failures)
    }

    fn has_passed(&self, step: &Step) -> bool {
        matches!(self.state.gates.get(&step.number), Some(GateState::Passed { .. }))
    }

    /// Whether the gate was open for this node. On the way back a process takes
    /// nobody's word for what is not finished yet.
    fn is_healthy(&self, plan: &Plan, step: &Step, node: &NodeName) -> bool {
        let was_seen = self.state.was_healthy(step.number, node)
            || match self.state.gates.get(&step.number) {
                // Where the nodes alone know of the run, they do not know when.
                Some(GateState::Passed { evidence: Evidence::Person { .. }, .. }) => true,
                Some(
                    GateState::Passed { .. } | GateState::Waiting { .. } | GateState::Closed { .. },
                )
                | None => false,
            };
        let is_stale = matches!(step.stage, Stage::Back | Stage::Rollback)
            && !self.state.seen_open.contains(&step.number)
            && !is_back(plan, self.state, step, node);
        was_seen && !is_stale
    }

    fn fail(&mut self, step: &'a Step, failures: Vec<(NodeName, Problem)>) -> Option<Next<'a>> {
        if failures.is_empty() {
            return None;
        }
        if !self.leaves_behind {
            return Some(Next::Failed { step, failures });
        }
        self.behind.extend(failures.iter().map(|(node, _)| node.clone()));
        let (_, all) = self.failed.get_or_insert((step, Vec::new()));
        all.extend(failures);
        None
    }
}

/// Whether a Quay may have been stopped: from then on the cluster is not any
/// more as the plan saw it, and of that the dark gate takes care.
fn has_gone_dark(plan: &Plan, state: &RunState) -> bool {
    // What is stopped before the Quays is no reason not to look again.
    plan.first_step(What::Act(Verb::Stop)).is_some_and(|stop| {
        stop.nodes.iter().any(|node| state.act_state(stop.number, node).may_be_done())
    })
}

/// Whether a gate that an earlier process saw open has to be seen open again:
/// as long as what it guards is still to be done. Nobody watched the cluster
/// in between, and an old Quay may have been started by hand.
fn is_outdated(plan: &Plan, step: &Step, kind: Gate, state: &RunState) -> bool {
    if state.seen_open.contains(&step.number) {
        return false;
    }
    // Each process says anew what the backup is to hold, and has it compared.
    if ran::is_before_backup(plan, step) {
        return !has_begun_to_migrate(plan, state);
    }
    // Behind a restore nodes go on without the one that failed: what they have
    // started is what the window found, each on its own proof.
    let is_restored = plan.restored_at() == Some(step.number);
    let is_begun_behind = |next: &Step| next.number > step.number && state.has_begun(next.number);
    if is_restored && plan.rollback.iter().any(is_begun_behind) {
        return false;
    }
    let guarded = plan.way_of(step).iter().find(|next| {
        next.number > step.number
            && match next.what {
                What::Act(_) => true,
                What::Gate(_) => false,
            }
    });
    let Some(guarded) = guarded else { return false };
    let mut states = guarded.nodes.iter().map(|node| state.act_state(guarded.number, node));
    match kind {
        Gate::Unchanged => true,
        Gate::Dark | Gate::FirstNode => !states.all(|act| matches!(act, ActState::Done { .. })),
        // A person's word stands, mapped tags stay mapped, nothing dangerous
        // follows the health of the others, and nothing at all the verification.
        Gate::Approval | Gate::Backfill | Gate::Healthy | Gate::Verified => false,
    }
}

/// The step that a run stands at; `None` when it is done.
pub fn current_step<'a>(plan: &'a Plan, state: &RunState) -> Option<&'a Step> {
    match next(plan, state) {
        Next::Ask { step, .. }
        | Next::Look { step, .. }
        | Next::Failed { step, .. }
        | Next::Closed { step, .. } => Some(step),
        Next::Done => None,
    }
}
