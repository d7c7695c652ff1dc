//! What a run that goes on waits for, and what ends that.

use jiff::Timestamp;
use quaymaster_proto::NodeName;

use super::migration::hand_over;
use super::{Answers, Explained};
use crate::plan::{Step, Verb, What};
use crate::render::figures::duration;
use crate::render::text::names;
use crate::render::words::waiting;
use crate::run::{ActState, GateState, WaitingOn};

pub(super) fn asked(
    base: Answers,
    explained: &Explained<'_>,
    step: &Step,
    nodes: &[NodeName],
) -> Answers {
    let (plan, state) = (explained.plan.plan(), explained.state);
    let since = |node: &NodeName| match state.act_state(step.number, node) {
        ActState::InFlight { since } => Some(*since),
        ActState::Pending | ActState::Done { .. } | ActState::Failed { .. } => None,
    };
    let since: Option<Timestamp> = nodes.iter().filter_map(since).min();
    let why = match since {
        Some(_) => format!("asked, and no answer yet: {}", names(nodes)),
        None => format!("not asked yet: {}", names(nodes)),
    };
    let ends = if step.what == What::Act(Verb::StartMigrating) && plan.nodes.len() > 1 {
        "its answer; until then no other node is started"
    } else {
        "the answer"
    };
    let driver = format!("if no process drives this run: {}", base.next);
    Answers { why: vec![why], since, ends: vec![ends.to_owned(), driver], ..base }
}

pub(super) fn looked(base: Answers, explained: &Explained<'_>, step: &Step) -> Answers {
    let state = explained.state;
    let Some(GateState::Waiting { on, since }) = state.gates.get(&step.number) else {
        return Answers {
            why: vec!["this gate was not looked at yet".to_owned()],
            ends: vec![format!("a process that drives the run: {}", base.next)],
            ..base
        };
    };
    let mut answers = Answers {
        why: vec![format!("it waits for {}", waiting(on))],
        since: Some(*since),
        ends: ends(explained, on),
        ..base
    };
    match on {
        WaitingOn::Approval => {
            let digest = explained.plan.digest().short();
            answers.next = format!("{} resume --accept-irreversible {digest}", explained.program);
        }
        WaitingOn::Backfill { .. } => answers.next = format!("{} resume --wait", explained.program),
        WaitingOn::Containers { .. }
        | WaitingOn::Config { .. }
        | WaitingOn::Sessions { .. }
        | WaitingOn::Migration { .. }
        | WaitingOn::Health { .. }
        | WaitingOn::Lasting { .. }
        | WaitingOn::Verification { .. }
        | WaitingOn::Answer { .. } => {}
    }
    answers
}

fn ends(explained: &Explained<'_>, on: &WaitingOn) -> Vec<String> {
    let plan = explained.plan.plan();
    let timings = &plan.timings;
    let program = explained.program;
    let lines: &[String] = &match on {
        WaitingOn::Approval => vec![
            "the command below, once the plan was read".to_owned(),
            format!("where a process already drives the run: {program} approve dark"),
        ],
        WaitingOn::Backfill { .. } => vec![
            format!(
                "{:.0} % in {} samples in a row; the nodes work on it by themselves",
                timings.backfill.threshold * 100.0,
                timings.backfill.samples
            ),
            "standing still is normal at first: each node's worker begins up to 100 min after \
             its container's start"
                .to_owned(),
            format!("you, if what is left may wait: {program} approve backfill --because WORDS"),
        ],
        WaitingOn::Containers { .. } => {
            vec!["the containers' end; the engine kills them after their grace".to_owned()]
        }
        WaitingOn::Config { .. } => vec![
            "the file server: what one node wrote, the others see within a minute or so".to_owned(),
        ],
        WaitingOn::Sessions { .. } => vec![
            "the end of these sessions; whoever stays is named, and ends the window".to_owned(),
        ],
        WaitingOn::Migration { .. } => vec![format!(
            "the migration's end; after {} the run holds, nothing is ever killed",
            duration(timings.first_node_limit)
        )],
        WaitingOn::Health { .. } => {
            vec!["both health routes of each node answering 200 with every service true".to_owned()]
        }
        WaitingOn::Lasting { needed } => vec![format!("{} of health in a row", duration(*needed))],
        WaitingOn::Verification { .. } if !explained.state.direction.is_there() => {
            vec!["their end, whatever they find: it is only told".to_owned()]
        }
        WaitingOn::Verification { .. } => vec![
            "their end; what fails in passing is asked again, what stays a fault holds the run \
             here while the registry serves"
                .to_owned(),
        ],
        WaitingOn::Answer { nodes } => {
            let mut lines = vec!["their agents' answers".to_owned()];
            let is_first = |(node, _): &(NodeName, String)| *node == plan.first;
            if nodes.iter().any(is_first) && explained.state.has_crossed(plan) {
                lines.extend(hand_over(explained).map(|way| {
                    format!(
                        "if {} is gone for good and the database is at {}: end this process \
                         (Ctrl-C twice; nothing is undone), then {way}",
                        plan.first, plan.database.target
                    )
                }));
            }
            lines
        }
    };
    lines.to_vec()
}
