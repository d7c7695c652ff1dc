mod holds;
mod kept;
mod preflight;
mod screen;
mod storage;

use std::collections::BTreeMap;
use std::time::Duration;

use quaymaster_proto::database::Session;
use quaymaster_proto::health::{BackfillSample, HealthReport, HealthRoute, HealthVerdict};
use quaymaster_proto::{Component, ContainerStatus, Mode, NodeName, Reason};

use self::screen::Screen;
use super::*;
use crate::catalogue::Catalogue;
use crate::cluster::Cluster;
use crate::plan::{CheckedPlan, Gate, Verb, What, Window};
use crate::report::fixture::{events, start, state};
use crate::run::{Event, GateFailure, Problem, RunState, WaitingOn};
use crate::survey::{ClusterFacts, Reader, Silence, Survey, fixture};
use crate::watch::{Sight, Watch};

const UNICODE: Style = Style { unicode: true, colour: false };

fn background() -> Window {
    fixture::window(1, 2, ("2.9.5", Mode::Absent), ("3.0.5", Mode::Background))
}

fn synchronous() -> Window {
    fixture::window(1, 1, ("2.9.5", Mode::Absent), ("3.0.5", Mode::Complete))
}

fn second() -> Window {
    fixture::window(2, 2, ("3.0.5", Mode::Background), ("3.0.5", Mode::Complete))
}

/// A little after the survey.
fn soon() -> jiff::Timestamp {
    fixture::survey_time() + jiff::SignedDuration::from_secs(4)
}

fn checked(count: u8, window: &Window) -> CheckedPlan {
    let cluster = fixture::cluster(count);
    let facts = match window.from.mode {
        Mode::Absent => fixture::on_2_9_5(&cluster),
        Mode::Background | Mode::Complete | Mode::Other => fixture::on_background(&cluster),
    };
    fixture::plan(&cluster, &facts, window).check().unwrap()
}

/// Every line fits, but for one word that is longer than a line, and commands
/// that are to be copied.
fn fits(text: &str) {
    for line in text.lines() {
        let words = line.split_whitespace().count();
        let is_command = ["docker ", "cp ", "rm "].iter().any(|it| line.trim().starts_with(it));
        assert!(line.chars().count() <= 80 || words <= 2 || is_command, "{line}");
        assert_eq!(line, line.trim_end());
    }
}

fn rendered_plan(count: u8, window: &Window) -> String {
    let checked = checked(count, window);
    let next = format!("quaymaster apply plans/{}.json", checked.digest().short());
    let text = plan(&checked, soon(), &next, UNICODE);
    fits(&text);
    text
}

#[test]
fn plans_both_ways_for_one_node() {
    let windows = [background(), second(), synchronous()];
    let texts = windows.map(|window| rendered_plan(1, &window));
    insta::assert_snapshot!(texts.join("\n\n"));
}

#[test]
fn plans_both_ways_for_three_nodes() {
    let windows = [background(), second(), synchronous()];
    let texts = windows.map(|window| rendered_plan(3, &window));
    insta::assert_snapshot!(texts.join("\n\n"));
}

#[test]
fn plans_both_ways_for_six_nodes() {
    let windows = [background(), second(), synchronous()];
    let texts = windows.map(|window| rendered_plan(6, &window));
    insta::assert_snapshot!(texts.join("\n\n"));
}

#[test]
fn plans_of_a_cluster_with_builders_clair_and_a_mirror() {
    let cluster = fixture::cluster(6);
    let beside = [
        ("quay-2", Component::Builder),
        ("quay-5", Component::Builder),
        ("quay-1", Component::Clair),
        ("quay-3", Component::Mirror),
    ];
    let texts = [background(), second(), synchronous()].map(|window| {
        let mut facts = match window.number {
            1 => fixture::on_2_9_5(&cluster),
            _ => fixture::on_background(&cluster),
        };
        for (node, component) in beside {
            fixture::add_companion(&mut facts, node, component);
            if window.number == 2 && component != Component::Mirror {
                fixture::retire_companion(&mut facts, node, component);
            }
        }
        let checked = fixture::plan(&cluster, &facts, &window).check().unwrap();
        let text = plan(&checked, soon(), "quaymaster apply PLAN", UNICODE);
        fits(&text);
        text
    });
    insta::assert_snapshot!(texts.join("\n\n"));
}

#[test]
fn long_names_and_many_hosts_still_fit() {
    let cluster = fixture::cluster(3);
    let mut facts = fixture::on_2_9_5(&cluster);
    for node in facts.nodes.values_mut() {
        let container = node.facts.components[0].container.as_mut().unwrap();
        container.state.name = "registry-of-the-north-production-quay".into();
    }
    let mut plan_of_it = fixture::plan(&cluster, &facts, &background());
    for node in &mut plan_of_it.nodes {
        let host = node.address.clone();
        node.quay.findings[0].reason = format!("becomes 8080 inside, {host} on the host stays");
    }
    let text = plan(&plan_of_it.check().unwrap(), soon(), "quaymaster apply", UNICODE);
    fits(&text);
    let mut screen = Screen::new(3, fixture::on_2_9_5);
    screen.survey.facts = facts;
    insta::assert_snapshot!([text, screen.shown(None).0].join("\n\n"));
}

#[test]
fn a_plain_plan_is_ascii() {
    let text = plan(&checked(3, &background()), soon(), "next", Style::PLAIN);
    assert!(text.is_ascii());
}

#[test]
fn colour_is_only_added() {
    let coloured =
        plan(&checked(3, &background()), soon(), "next", Style { unicode: false, colour: true });
    let mut plain = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        plain.push_str(before);
        rest = after.split_once('m').unwrap().1;
    }
    plain.push_str(rest);
    assert_eq!(plain, plan(&checked(3, &background()), soon(), "next", Style::PLAIN));
    assert_ne!(plain, coloured);
}

/// The screen of a run that stands before a step, after something more.
fn explained(
    plan: &CheckedPlan,
    until: What,
    more: impl FnOnce(&CheckedPlan) -> Vec<Event>,
) -> String {
    let mut events = events(plan, Some(until));
    events.extend(more(plan));
    let state = state(&events);
    let now = state.last_at + jiff::SignedDuration::from_secs(190);
    let text = explain(&Explained { plan, state: &state, now, program: "quaymaster" }, UNICODE);
    fits(&text);
    text
}

fn step(plan: &CheckedPlan, what: What) -> quaymaster_proto::StepNumber {
    plan.plan().first_step(what).unwrap().number
}

fn waits(gate: Gate, on: WaitingOn) -> impl FnOnce(&CheckedPlan) -> Vec<Event> {
    move |plan| vec![Event::Waiting { step: step(plan, What::Gate(gate)), on, at: start() }]
}

fn psql() -> Session {
    Session {
        pid: 4711,
        user: "quay".into(),
        application: "psql".into(),
        address: "10.0.0.9".into(),
        since: None,
    }
}

#[test]
fn explain_says_why_it_waits_and_what_ends_it() {
    let first = checked(3, &background());
    let last = checked(3, &second());
    let backfill = WaitingOn::Backfill {
        progress: Some(0.412),
        tags_remaining: 17_700_000,
        total_tags: 30_100_000,
        good_samples: 0,
        problem: String::new(),
    };
    let migration =
        WaitingOn::Migration { revision: "c00a1f15968b".into(), target: "481623ba00ba".into() };
    let quay_2: NodeName = "quay-2".parse().unwrap();
    let health = WaitingOn::Health { nodes: vec![(quay_2, "502".into())] };
    let texts = [
        explained(&last, What::Gate(Gate::Backfill), waits(Gate::Backfill, backfill)),
        explained(&first, What::Gate(Gate::Approval), waits(Gate::Approval, WaitingOn::Approval)),
        explained(&first, What::Act(Verb::Stop), |plan| {
            let (step, at) = (step(plan, What::Act(Verb::Stop)), start());
            let intend = |node: &NodeName| Event::Intended { step, node: node.clone(), at };
            plan.plan().nodes.iter().map(|node| intend(&node.name)).collect()
        }),
        explained(&first, What::Gate(Gate::FirstNode), waits(Gate::FirstNode, migration)),
        explained(&first, What::Gate(Gate::Healthy), waits(Gate::Healthy, health)),
    ];
    insta::assert_snapshot!(texts.join("\n\n"));
}

fn finished(plan: &CheckedPlan) -> RunState {
    state(&events(plan, None))
}

#[test]
fn the_report_tells_outage_limit_and_forecast() {
    let first = checked(3, &background());
    let last = checked(1, &second());
    let texts = [&first, &last].map(|plan| {
        let figures = crate::report::report(plan.plan(), &finished(plan));
        let text = report(plan, &figures, "quaymaster", UNICODE);
        fits(&text);
        text
    });
    insta::assert_snapshot!(texts.join("\n\n"));
    let figures = crate::report::report(first.plan(), &finished(&first));
    insta::assert_json_snapshot!(report_json(&first, &figures));
}

#[test]
fn a_live_run_is_a_line_for_each_change() {
    let plan = checked(3, &background());
    let mut events = events(&plan, None);
    events.push(Event::Failed {
        step: step(&plan, What::Act(Verb::Stop)),
        node: "quay-2".parse().unwrap(),
        problem: Problem::Refused {
            reason: Reason::Drifted,
            message: "cannot stop container 0123456789ab: its restart policy is always again"
                .into(),
            remedy: "find out who sets it".into(),
        },
        at: start(),
    });
    events.push(Event::Closed {
        step: step(&plan, What::Gate(Gate::Dark)),
        failure: GateFailure::ForeignSessions { sessions: vec![psql()] },
        at: start(),
    });
    let lines: Vec<String> =
        events.iter().filter_map(|event| event_line(plan.plan(), event, UNICODE)).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn complaints_say_what_is_so_and_what_to_do() {
    let quay_2: NodeName = "quay-2".parse().unwrap();
    let silence = Silence {
        address: "10.0.0.12:9643".parse().unwrap(),
        problem: "its certificate has expired".into(),
        remedy: "renew the agent's certificate and restart the agent".into(),
    };
    let cluster = fixture::cluster(3);
    let mut facts = fixture::on_2_9_5(&cluster);
    let plan = checked(3, &background());
    facts.nodes.get_mut(&quay_2).unwrap().facts.engine.id = "ENGINE-9".into();
    let drifts = crate::plan::drift::drift(plan.plan(), &facts);
    let file = Cluster::parse("version: 2\ncluster: A\n", std::path::Path::new("/")).unwrap_err();

    facts.nodes.get_mut(&quay_2).unwrap().facts.components.clear();
    let catalogue = Catalogue::built_in();
    let reader = Reader { catalogue: &catalogue, mirrors: &cluster.mirrors };
    let findings = crate::preflight::of_cluster(reader, &facts);

    let complaints = [
        Complaint::of_silence([(&quay_2, &silence)]),
        Complaint::of_drift("7d1c0be2a9f4", &drifts, "quaymaster plan --to 3.0.5"),
        Complaint::of_error(&file, "mend /etc/quaymaster/cluster.yaml"),
        Complaint::of_findings(&findings),
    ];
    let texts: Vec<String> = complaints.iter().map(|it| complaint(it, Style::PLAIN)).collect();
    texts.iter().for_each(|text| fits(text));
    insta::assert_snapshot!(texts.join("\n"));
    insta::assert_json_snapshot!(complaint_json(&complaints[0]));
}
