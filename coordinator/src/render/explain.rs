//! Why a run waits or holds, since when, what ends it, what can still be
//! undone, and what to type next.

use jiff::Timestamp;
use quaymaster_proto::{Mode, NodeName};
use serde_json::{Value, json};

use super::figures::{duration, time};
use super::registry::{registry, undo};
use super::text::{labelled, names, next_lines};
use super::words::{failure, problem, remedy, step_title, waiting};
use super::{JSON_VERSION, Style, Tone};
use crate::plan::{CheckedPlan, Plan, PlannedImage, Stage, Step, Verb, What};
use crate::report::between;
use crate::run::order::staged;
use crate::run::{
    ActState, Direction, GateFailure, GateState, Next, Problem, RunState, WaitingOn, next,
};

/// A run at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Explained<'a> {
    /// Its plan.
    pub plan: &'a CheckedPlan,
    /// What happened.
    pub state: &'a RunState,
    /// The time.
    pub now: Timestamp,
    /// How a command begins: `quaymaster`, with what finds this cluster.
    pub program: &'a str,
}

/// Every answer.
pub(super) struct Answers {
    pub(super) stands: String,
    pub(super) registry: String,
    pub(super) why: Vec<String>,
    pub(super) since: Option<Timestamp>,
    pub(super) ends: Vec<String>,
    pub(super) undo: String,
    pub(super) next: String,
}

/// The screen.
pub fn explain(explained: &Explained<'_>, style: Style) -> String {
    let Explained { plan, state, now, program: _ } = *explained;
    let window = &plan.plan().window;
    let answers = answers(explained);
    let title = format!(
        "Window {} of {}   {} {} {}   plan {}",
        window.number,
        window.of,
        window.from,
        style.arrow(),
        window.to,
        plan.digest().short()
    );
    let mut out = style.paint(Tone::Heading, &title) + "\n";
    out.push_str(&labelled("run", &state.run.to_string()));
    out.push_str(&labelled("stands", &answers.stands));
    out.push_str(&labelled("registry", &answers.registry));
    out.push_str(&several("why", &answers.why));
    if let Some(since) = answers.since {
        let words = format!("{}, for {}", time(since), duration(between(since, now)));
        out.push_str(&labelled("since", &words));
    }
    out.push_str(&several("ends", &answers.ends));
    out.push_str(&labelled("undo", &answers.undo));
    out.push_str(&next_lines(explained.program, &[answers.next]));
    out
}

fn several(label: &str, lines: &[String]) -> String {
    let mut out = String::new();
    for (index, line) in lines.iter().enumerate() {
        out.push_str(&labelled(if index == 0 { label } else { "" }, line));
    }
    out
}

/// The same where no run is unfinished.
pub fn explain_nothing(program: &str) -> String {
    "nothing waits: no run of this cluster is unfinished\n".to_owned()
        + &next_lines(program, &[format!("{program} status")])
}

/// The same for programs.
pub fn explain_json(explained: &Explained<'_>) -> Value {
    let Answers { stands, registry, why, since, ends, undo, next } = answers(explained);
    json!({
        "version": JSON_VERSION,
        "explain": {
            "run": explained.state.run,
            "plan": explained.plan.digest(),
            "stands": stands,
            "registry": registry,
            "why": why,
            "since": since,
            "ends": ends,
            "undo": undo,
            "next": next,
        },
    })
}

/// `step 7 of 14, dark gate`
pub(super) fn where_it_stands(explained: &Explained<'_>) -> String {
    let plan = explained.plan.plan();
    let place = |step: &Step| match step.stage {
        Stage::Back => format!("on the way back, {}", step_title(step)),
        Stage::Serving | Stage::Dark | Stage::Beyond => {
            format!("step {} of {}, {}", step.number, plan.steps.len(), step_title(step))
        }
    };
    match next(plan, explained.state) {
        Next::Ask { step, nodes } => format!("{}, on {}", place(step), names(&nodes)),
        Next::Look { step, .. } => place(step),
        Next::Failed { step, .. } => format!("HELD at {}", place(step)),
        Next::Closed { step, .. } => format!("HELD at {}", place(step)),
        Next::Done if explained.state.direction == Direction::There => {
            "every step is done".to_owned()
        }
        Next::Done => format!("put back to {}", plan.window.from),
    }
}

pub(super) fn answers(explained: &Explained<'_>) -> Answers {
    let plan = explained.plan.plan();
    let state = explained.state;
    let base = Answers {
        stands: where_it_stands(explained),
        registry: registry(plan, state, explained.now),
        why: Vec::new(),
        since: None,
        ends: Vec::new(),
        undo: undo(plan, state),
        next: format!("{} resume", explained.program),
    };
    match next(plan, state) {
        Next::Ask { step, nodes } => asked(base, explained, step, &nodes),
        Next::Look { step, .. } => looked(base, explained, step),
        Next::Failed { step, failures } => failed(base, explained, step, &failures),
        Next::Closed { step, failure } => closed(base, explained, step, &failure),
        Next::Done => Answers {
            why: vec!["it does not wait: every step is done".to_owned()],
            next: format!("{} status", explained.program),
            ..base
        },
    }
}

fn asked(base: Answers, explained: &Explained<'_>, step: &Step, nodes: &[NodeName]) -> Answers {
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

fn looked(base: Answers, explained: &Explained<'_>, step: &Step) -> Answers {
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
        | WaitingOn::Answer { .. } => {}
    }
    answers
}

fn ends(explained: &Explained<'_>, on: &WaitingOn) -> Vec<String> {
    let timings = &explained.plan.plan().timings;
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
            "you, if what is left may wait: quaymaster approve backfill --because WORDS".to_owned(),
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
        WaitingOn::Answer { .. } => vec!["their agents' answers".to_owned()],
    };
    lines.to_vec()
}

fn failed(
    base: Answers,
    explained: &Explained<'_>,
    step: &Step,
    failures: &[(NodeName, Problem)],
) -> Answers {
    let (plan, state) = (explained.plan.plan(), explained.state);
    let since = |node: &NodeName| match state.act_state(step.number, node) {
        ActState::Failed { at, problem: _ } => Some(*at),
        ActState::Pending | ActState::InFlight { .. } | ActState::Done { .. } => None,
    };
    let mut ends = Vec::new();
    for (node, why) in failures {
        let words = remedy(why, node);
        if !words.is_empty() {
            ends.push(format!("{node}: {words}"));
        }
        if let Some(command) = by_hand(plan, state, step, node) {
            ends.push(format!("{node}, by hand: {command}"));
        }
    }
    ends.push(format!("then {}; what is done already is found done", base.next));
    Answers {
        why: failures.iter().map(|(node, why)| format!("{node}: {}", problem(why))).collect(),
        since: failures.iter().filter_map(|(node, _)| since(node)).min(),
        ends,
        ..base
    }
}

/// The plain command that does a node's part of a step. Starts on the database
/// are never done by hand: an agent's proof belongs to them.
fn by_hand(plan: &Plan, state: &RunState, step: &Step, node: &NodeName) -> Option<String> {
    let container = plan.node(node)?.container(step.component)?;
    match step.what {
        What::Act(Verb::Pull) => match plan.image_of(step.component)? {
            PlannedImage::Pull { repository, tag: _, digest } => {
                Some(format!("docker pull {repository}@{digest}"))
            }
            PlannedImage::Loaded { .. } | PlannedImage::Present { .. } => None,
        },
        What::Act(Verb::Stop) => {
            let id = container.container.short();
            let grace = plan.stop_grace_seconds(step.component);
            Some(format!("docker update --restart=no {id}; docker stop -t {grace} {id}"))
        }
        What::Act(Verb::Start) if !step.component.migrates() => {
            let id = staged(plan, state, node, step.component)?;
            Some(format!("docker start {}", id.short()))
        }
        What::Act(
            Verb::StageContainer
            | Verb::StageConfig
            | Verb::PutConfig
            | Verb::StartMigrating
            | Verb::Start
            | Verb::Promote
            | Verb::SetFloor
            | Verb::RemoveStaged
            | Verb::RemoveStagedConfig
            | Verb::RestoreConfig
            | Verb::LowerFloor
            | Verb::Recreate,
        )
        | What::Gate(_) => None,
    }
}

fn closed(base: Answers, explained: &Explained<'_>, step: &Step, why: &GateFailure) -> Answers {
    let state = explained.state;
    let since = match state.gates.get(&step.number) {
        Some(GateState::Closed { at, failure: _ }) => Some(*at),
        Some(GateState::Waiting { .. } | GateState::Passed { .. }) | None => None,
    };
    let ends = way_out(step, why);
    let next = match why {
        GateFailure::Drifted { .. } => plan_again(explained),
        GateFailure::Exited { node, .. }
        | GateFailure::Gone { node }
        | GateFailure::Restarted { node } => {
            format!("on {node}, read: {}", log_by_hand(explained, step, node))
        }
        GateFailure::Alive { .. }
        | GateFailure::Config { .. }
        | GateFailure::NoFloor { .. }
        | GateFailure::Database { .. }
        | GateFailure::ForeignSessions { .. }
        | GateFailure::WrongMode { .. }
        | GateFailure::TooLong { .. } => base.next,
    };
    let (why, ends) = (vec![failure(why)], vec![ends.to_owned()]);
    Answers { why, since, ends, next, ..base }
}

/// What opens a gate that has closed.
fn way_out(step: &Step, why: &GateFailure) -> &'static str {
    match why {
        GateFailure::Drifted { .. } => "a new plan, from what is there now",
        GateFailure::Alive { .. } => {
            "stop what lives, and keep its restart policy from reviving it; then resume"
        }
        GateFailure::Config { .. } => {
            "find out why these nodes see another file (a share that is not mounted, or one that \
             is a copy); put the edited file there as well, then resume"
        }
        GateFailure::NoFloor { .. } => {
            "look at these nodes' agents and their state directories; resume sets the floor again"
        }
        GateFailure::Database { .. } => {
            "find out which database each node reaches, and in which state it is, before anything \
             is started"
        }
        GateFailure::ForeignSessions { .. } => {
            "end these sessions and stop what opens them again, then resume. This plan cannot be \
             told to expect them; database.expected_sessions of cluster.yaml counts from the next \
             plan on"
        }
        GateFailure::Exited { .. } if !step.component.migrates() => {
            "read the container's log and mend what it says; start that container by hand with \
             docker start, then resume. The registry serves meanwhile"
        }
        GateFailure::Exited { .. } => {
            "by hand only: this version has no retry. Read the container's log first. Below the \
             target revision the database may be half-way: restore a backup, or let somebody \
             who knows it look before anything is started. At the revision that the plan found, \
             with no migration in the log, the database is untouched"
        }
        GateFailure::Gone { .. } if !step.component.migrates() => {
            "find out who removed the container. Every Quay is back, and the registry serves: \
             this run cannot end, but a new plan can take its place; create the container anew, \
             then plan again"
        }
        GateFailure::Restarted { .. } if !step.component.migrates() => {
            "find out who restarted the container; nothing migrates in it, and the registry \
             serves. Once it is healthy, resume"
        }
        GateFailure::Gone { .. } => {
            "by hand only: this version has no retry. Find out who removed the container; how far \
             it came shows in the database's revision alone"
        }
        GateFailure::Restarted { .. } => {
            "by hand only: this version has no retry. Find out who restarted it: a second start \
             may have migrated a second time, and a Quay that was started again does not become \
             healthy"
        }
        GateFailure::WrongMode { .. } => {
            "look at V3_UPGRADE_MODE in config.yaml and in QUAY_OVERRIDE_CONFIG on that node"
        }
        GateFailure::TooLong { .. } => {
            "look at the node and its log; once it goes on, resume looks again"
        }
    }
}

/// The command that plans the same window from what is there now.
fn plan_again(explained: &Explained<'_>) -> String {
    let window = &explained.plan.plan().window;
    let mode = match (window.number, window.to.mode) {
        (1, Mode::Background) => " --mode background",
        (1, Mode::Complete) => " --mode synchronous",
        // Half-way there is only one way on.
        (_, Mode::Absent | Mode::Background | Mode::Complete | Mode::Other) => "",
    };
    format!("{} plan --to {}{mode}", explained.program, window.to.release)
}

/// What shows the log of the container that was started on a node.
fn log_by_hand(explained: &Explained<'_>, step: &Step, node: &NodeName) -> String {
    match staged(explained.plan.plan(), explained.state, node, step.component) {
        Some(container) => format!("docker logs {}", container.short()),
        None => "docker ps --all, docker logs".to_owned(),
    }
}
