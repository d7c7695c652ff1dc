use std::collections::BTreeMap;

use jiff::SignedDuration;
use quaymaster_proto::database::Session;
use quaymaster_proto::{Component, Mode, NodeName, Reason, StepNumber};

use super::*;
use crate::catalogue::Catalogue;
use crate::plan::{CheckedPlan, Gate, Step, Verb};
use crate::render::tagged::pictures;
use crate::render::{Size, cut, width};
use crate::report::fixture::{events, state};
use crate::run::{Event, GateFailure, Problem};
use crate::survey::fixture;
use crate::verify::Check;

fn plan(nodes: u8) -> CheckedPlan {
    let cluster = fixture::cluster(nodes);
    let window = fixture::window(1, 2, ("2.9.5", Mode::Absent), ("3.0.5", Mode::Background));
    fixture::plan(&cluster, &fixture::on_2_9_5(&cluster), &window).check().unwrap()
}

/// In one window, with containers beside the Quays.
fn synchronous() -> CheckedPlan {
    let cluster = fixture::cluster(6);
    let mut facts = fixture::on_2_9_5(&cluster);
    for (node, component) in [
        ("quay-2", Component::Builder),
        ("quay-5", Component::Builder),
        ("quay-1", Component::Clair),
        ("quay-3", Component::Mirror),
    ] {
        fixture::add_companion(&mut facts, node, component);
    }
    let window = fixture::window(1, 1, ("2.9.5", Mode::Absent), ("3.0.5", Mode::Complete));
    fixture::plan(&cluster, &facts, &window).check().unwrap()
}

fn second_plan() -> CheckedPlan {
    let cluster = fixture::cluster(3);
    let window = fixture::window(2, 2, ("3.0.5", Mode::Background), ("3.0.5", Mode::Complete));
    fixture::plan(&cluster, &fixture::on_background(&cluster), &window).check().unwrap()
}

fn name(number: u8) -> NodeName {
    format!("quay-{number}").parse().unwrap()
}

/// A run at one moment.
struct Shown {
    plan: CheckedPlan,
    events: Vec<Event>,
    pulls: BTreeMap<NodeName, Pull>,
    retries: BTreeMap<NodeName, String>,
    /// After the last event.
    seconds: i64,
    warned: bool,
}

impl Shown {
    /// Everything before a step.
    fn before(plan: CheckedPlan, what: What) -> Self {
        let mut events = events(&plan, None);
        let number = plan.plan().first_step(what).unwrap().number;
        let begins = events.iter().position(|event| step_of(event) == Some(number));
        events.truncate(begins.unwrap());
        let (pulls, retries) = (BTreeMap::new(), BTreeMap::new());
        Self { plan, events, pulls, retries, seconds: 12, warned: false }
    }

    /// A step's nodes are asked.
    fn asked(plan: CheckedPlan, verb: Verb) -> Self {
        let mut shown = Self::before(plan, What::Act(verb));
        let step = shown.step(What::Act(verb));
        let (number, at) = (step.number, shown.last());
        shown.events.extend(step.nodes.into_iter().map(|node| Event::Intended {
            step: number,
            node,
            at,
        }));
        shown
    }

    /// A gate is waited for.
    fn waits(plan: CheckedPlan, gate: Gate, on: WaitingOn) -> Self {
        let mut shown = Self::before(plan, What::Gate(gate));
        let (step, at) = (shown.step(What::Gate(gate)).number, shown.last());
        shown.events.push(Event::Waiting { step, on, at });
        shown
    }

    fn step(&self, what: What) -> Step {
        self.plan.plan().first_step(what).unwrap().clone()
    }

    fn last(&self) -> Timestamp {
        self.events.last().unwrap().at()
    }

    fn failed(mut self, node: NodeName, problem: Problem) -> Self {
        let step = self.present();
        let at = self.last();
        self.events.push(Event::Failed { step, node, problem, at });
        self
    }

    fn settled(mut self, nodes: &[NodeName]) -> Self {
        let step = self.present();
        let whole = events(&self.plan, None);
        self.events.extend(whole.into_iter().filter(|event| {
            matches!(event, Event::Settled { step: of, node, .. }
                if *of == step && nodes.contains(node))
        }));
        self
    }

    fn present(&self) -> StepNumber {
        self.events.iter().filter_map(step_of).max().unwrap()
    }

    fn lines(&self, size: Size, style: Style) -> Vec<String> {
        let state = state(&self.events);
        let catalogue = Catalogue::built_in();
        let view = Live {
            plan: &self.plan,
            state: &state,
            catalogue: &catalogue,
            pulls: &self.pulls,
            retries: &self.retries,
            moved_at: Some(state.last_at + SignedDuration::from_secs(self.seconds - 4)),
            warned: self.warned,
            now: state.last_at + SignedDuration::from_secs(self.seconds),
            program: "quaymaster",
        };
        live(&view, size, style)
    }

    fn pictures(&self) -> String {
        pictures(|size, style| self.lines(size, style))
    }
}

fn step_of(event: &Event) -> Option<StepNumber> {
    match event {
        Event::Intended { step, .. }
        | Event::Settled { step, .. }
        | Event::Failed { step, .. }
        | Event::Waiting { step, .. }
        | Event::Passed { step, .. }
        | Event::Closed { step, .. }
        | Event::LeftBehind { step, .. } => Some(*step),
        Event::Started { .. }
        | Event::Driven { .. }
        | Event::Approved { .. }
        | Event::TurnedBack { .. }
        | Event::Retried { .. }
        | Event::HandedOver { .. }
        | Event::LeftOut { .. }
        | Event::Sampled { .. }
        | Event::TagsCounted { .. }
        | Event::Finished { .. }
        | Event::RollbackOrdered { .. }
        | Event::RollbackCalledOff { .. }
        | Event::RolledBack { .. }
        | Event::WentBack { .. } => None,
    }
}

fn refused() -> Problem {
    Problem::Refused {
        reason: Reason::Drifted,
        message: "cannot stop container 0123456789ab: its restart policy is always again".into(),
        remedy: "find out who sets it".into(),
    }
}

fn pull(done_bytes: u64, total_bytes: u64, note: &str) -> Pull {
    Pull { done_bytes, total_bytes, note: note.to_owned() }
}

fn silent() -> String {
    "connection refused: no agent listens there".to_owned()
}

#[test]
fn a_pull_shows_how_far_each_node_is_and_who_is_asked_again() {
    let mut shown = Shown::asked(synchronous(), Verb::Pull).settled(&[name(2)]);
    shown.pulls = BTreeMap::from([
        (name(1), pull(91_000_000, 350_000_000, "")),
        (name(3), pull(350_000_000, 350_000_000, "try 2 of 5 begins in 5 s: unexpected EOF")),
        (name(4), pull(12_000_000, 0, "")),
    ]);
    shown.retries = BTreeMap::from([(name(5), silent())]);
    insta::assert_snapshot!(shown.pictures());
}

#[test]
fn an_approval_is_waited_for_while_all_can_be_undone() {
    insta::assert_snapshot!(Shown::waits(plan(3), Gate::Approval, WaitingOn::Approval).pictures());
}

#[test]
fn the_stops_are_counted_until_it_is_dark() {
    let mut shown =
        Shown::asked(synchronous(), Verb::Stop).settled(&[name(1), name(2), name(3), name(4)]);
    shown.warned = true;
    insta::assert_snapshot!(shown.pictures());
}

#[test]
fn the_dark_gate_names_what_still_lives_and_what_is_still_connected() {
    let containers = WaitingOn::Containers { nodes: vec![name(2)] };
    let sessions = WaitingOn::Sessions {
        sessions: vec![Session {
            pid: 4711,
            user: "quay".into(),
            application: "psql".into(),
            address: "10.0.0.9".into(),
            since: None,
        }],
    };
    let texts = [containers, sessions].map(|on| Shown::waits(plan(3), Gate::Dark, on).pictures());
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn the_migration_is_shown_with_its_revisions_and_what_cannot_be_undone() {
    let on = WaitingOn::Migration {
        revision: "c00a1f15968b".to_owned(),
        target: "481623ba00ba".to_owned(),
    };
    let mut shown = Shown::waits(plan(3), Gate::FirstNode, on);
    shown.seconds = 163;
    insta::assert_snapshot!(shown.pictures());
}

#[test]
fn a_migration_whose_way_is_not_known_shows_where_it_is() {
    let on = WaitingOn::Migration {
        revision: "0123456789ab".to_owned(),
        target: "481623ba00ba".to_owned(),
    };
    let mut shown = Shown::waits(plan(1), Gate::FirstNode, on);
    // Longer than was likely.
    shown.seconds = 600;
    insta::assert_snapshot!(shown.pictures());
}

#[test]
fn the_others_come_up_and_the_first_serves_alone() {
    let on = WaitingOn::Health {
        nodes: vec![
            (name(3), "not well: registry_gunicorn".to_owned()),
            (name(5), "nothing behind Quay's own proxy answers yet".to_owned()),
        ],
    };
    insta::assert_snapshot!(Shown::waits(synchronous(), Gate::Healthy, on).pictures());
}

#[test]
fn what_is_beside_the_quays_returns_last_while_all_serve() {
    let plan = synchronous();
    let mut shown = Shown::before(plan.clone(), What::Gate(Gate::Approval));
    let last = plan.plan().step_of(Component::Clair, What::Gate(Gate::Healthy)).unwrap();
    shown.events = events(&plan, None);
    let end = shown.events.iter().position(|event| step_of(event) == Some(last.number));
    shown.events.truncate(end.unwrap() + 1);
    insta::assert_snapshot!(shown.pictures());
}

#[test]
fn the_backfill_has_a_bar() {
    let on = WaitingOn::Backfill {
        progress: Some(0.7841),
        tags_remaining: 6_498_590,
        total_tags: 30_100_000,
        good_samples: 0,
        problem: String::new(),
    };
    let mut shown = Shown::waits(second_plan(), Gate::Backfill, on);
    shown.seconds = 3600;
    insta::assert_snapshot!(shown.pictures());
}

#[test]
fn a_client_looks_at_every_node_while_all_serve() {
    let places = vec![
        (name(1).to_string(), Check::List),
        (name(2).to_string(), Check::Schema2),
        ("https://registry.example.com".to_owned(), Check::OldImages),
    ];
    let on = WaitingOn::Verification { places };
    insta::assert_snapshot!(Shown::waits(synchronous(), Gate::Verified, on).pictures());
}

#[test]
fn a_hold_says_which_node_failed_and_which_gate_closed() {
    let held = Shown::asked(synchronous(), Verb::Stop)
        .settled(&[name(1), name(3), name(5), name(6)])
        .failed(name(2), refused())
        .failed(name(4), Problem::Unreachable { detail: silent() });
    let mut closed = Shown::before(plan(3), What::Gate(Gate::FirstNode));
    let (step, at) = (closed.step(What::Gate(Gate::FirstNode)).number, closed.last());
    let failure = GateFailure::Exited {
        node: name(1),
        exit_code: 255,
        revision: Some("c00a1f15968b".into()),
        log: None,
    };
    closed.events.push(Event::Closed { step, failure, at });
    insta::assert_snapshot!([held.pictures(), closed.pictures()].join("\n"));
}

#[test]
fn the_end_says_what_each_step_took_and_how_long_it_was_dark() {
    let plan = synchronous();
    let mut shown = Shown::before(plan.clone(), What::Gate(Gate::Approval));
    shown.events = events(&plan, None);
    insta::assert_snapshot!(shown.pictures());
}

/// In a low terminal, and without one.
#[test]
fn of_many_nodes_those_that_matter_are_shown_and_the_others_counted() {
    let node = |number| name(number);
    let done: Vec<NodeName> = (1..=90).filter(|number| number % 7 > 0).map(node).collect();
    let mut shown = Shown::asked(plan(120), Verb::Stop).settled(&done).failed(name(100), refused());
    shown.retries = BTreeMap::from([(name(101), silent())]);
    let style = Style { unicode: true, colour: false };
    let sizes = [(80, Some(24)), (160, Some(30)), (80, None)];
    let texts = sizes.map(|(columns, rows)| {
        let lines = shown.lines(Size { columns, rows }, style);
        assert!(rows.is_none_or(|rows| lines.len() <= rows), "{} lines", lines.len());
        assert!(lines.iter().all(|line| width(line) <= columns));
        lines.join("\n")
    });
    insta::assert_snapshot!(texts.join("\n\n----\n"));
}

/// Whatever the terminal and the names: what is drawn is cut, never wrapped.
#[test]
fn a_terminal_of_any_size_holds_what_is_drawn() {
    let mut shown = Shown::asked(synchronous(), Verb::Pull);
    shown.retries = BTreeMap::from([(name(1), "a\nb\u{1b}[2Jc ".repeat(40))]);
    for columns in [1, 20, 40, 79, 119, 120, 121, 300] {
        for rows in [1, 5, 10, 24, 60] {
            let style = Style { unicode: true, colour: true };
            let lines = shown.lines(Size { columns, rows: Some(rows) }, style);
            assert!(lines.len() <= rows.max(1), "{} of {rows} lines", lines.len());
            for line in lines {
                let line = cut(&line, columns, style);
                assert!(width(&line) <= columns && !line.contains('\n'), "{line:?}");
            }
        }
    }
}
