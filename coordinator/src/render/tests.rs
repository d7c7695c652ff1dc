use std::collections::BTreeMap;
use std::time::Duration;

use quaymaster_proto::database::Session;
use quaymaster_proto::health::{BackfillSample, HealthReport, HealthRoute, HealthVerdict};
use quaymaster_proto::{Component, ContainerStatus, Mode, NodeName, Reason};

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

/// Every line fits, but for one word that is longer than a line.
fn fits(text: &str) {
    for line in text.lines() {
        let words = line.split_whitespace().count();
        assert!(line.chars().count() <= 80 || words <= 2, "{line}");
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

struct Screen {
    cluster: Cluster,
    survey: Survey,
    health: BTreeMap<NodeName, HealthReport>,
    backfill: Option<BackfillSample>,
    unread: Option<String>,
    watch: Option<Watch>,
    now: jiff::Timestamp,
}

impl Screen {
    fn new(count: u8, facts: fn(&Cluster) -> ClusterFacts) -> Self {
        let cluster = fixture::cluster(count);
        let facts = facts(&cluster);
        let report = HealthReport {
            at: fixture::survey_time(),
            container: None,
            instance: HealthRoute { status: Some(200), ..HealthRoute::default() },
            endtoend: HealthRoute { status: Some(200), ..HealthRoute::default() },
            verdict: HealthVerdict::Healthy,
            effective_mode: None,
        };
        let health = cluster.names().map(|name| (name.clone(), report.clone())).collect();
        let survey = Survey { facts, silent: BTreeMap::new() };
        Self {
            cluster,
            survey,
            health,
            backfill: None,
            unread: None,
            watch: None,
            now: fixture::survey_time(),
        }
    }

    fn shown(&self, run: Option<RunSeen<'_>>) -> (String, serde_json::Value) {
        self.with_view(run, |view| {
            let text = status(view, UNICODE);
            fits(&text);
            (text, status_json(view))
        })
    }

    /// The screen of a watch, an age after its last look.
    fn watched(&self, run: Option<RunSeen<'_>>, size: Size, style: Style) -> Vec<String> {
        self.with_view(run, |status| {
            let (interval, age) = (Duration::from_secs(2), Some(Duration::from_millis(1_400)));
            watched(&Watched { status, interval, age, ends: "q or Ctrl-C ends it" }, size, style)
        })
    }

    fn with_view<T>(&self, run: Option<RunSeen<'_>>, show: impl FnOnce(&StatusView<'_>) -> T) -> T {
        let catalogue = Catalogue::built_in();
        show(&StatusView {
            cluster: &self.cluster,
            survey: &self.survey,
            reader: Reader { catalogue: &catalogue, mirrors: &self.cluster.mirrors },
            health: &self.health,
            backfill: self.backfill.as_ref(),
            run,
            unread: self.unread.as_deref(),
            watch: self.watch.as_ref(),
            now: self.now,
            program: "quaymaster",
        })
    }

    /// Every node is looked at, so many seconds before the screen.
    fn look(&mut self, seconds: i64) {
        let at = fixture::survey_time() - jiff::SignedDuration::from_secs(seconds);
        let catalogue = Catalogue::built_in();
        let reader = Reader { catalogue: &catalogue, mirrors: &self.cluster.mirrors };
        let watch = self.watch.get_or_insert_with(|| Watch::new(at));
        for name in self.cluster.names() {
            let node = self.survey.facts.nodes.get(name);
            let sight = node.map(|node| {
                let generation = reader.generation(&self.survey.facts, node).ok();
                let verdict = self.health.get(name).map(|report| report.verdict);
                Sight::of(node, generation, verdict)
            });
            watch.see(name, sight, at);
        }
    }

    fn fall_silent(&mut self, name: &NodeName) {
        let address = self.survey.facts.nodes.remove(name).unwrap().address;
        let silence = Silence {
            address,
            problem: "connection refused: no agent listens there".into(),
            remedy: "start the agent there: systemctl start quaymaster-agent".into(),
        };
        self.survey.silent.insert(name.clone(), silence);
        self.health.remove(name);
    }
}

#[test]
fn status_before_between_and_after_the_windows() {
    let before = Screen::new(3, fixture::on_2_9_5).shown(None).0;
    let mut between = Screen::new(3, fixture::on_background);
    between.backfill = Some(BackfillSample::Counted {
        at: fixture::survey_time(),
        progress: 0.784_199,
        tags_remaining: 6_500_000,
        total_tags: 30_100_000,
    });
    let after = Screen::new(3, fixture::on_complete).shown(None).0;
    insta::assert_snapshot!([before, between.shown(None).0, after].join("\n\n"));
}

#[test]
fn a_status_without_its_run_still_shows_the_nodes() {
    let mut screen = Screen::new(1, fixture::on_2_9_5);
    screen.unread = Some("journal `state/journal.db` cannot be trusted".into());
    let (text, json) = screen.shown(None);
    insta::assert_snapshot!(text);
    assert_eq!(json["status"]["run_problem"], "journal `state/journal.db` cannot be trusted");
}

#[test]
fn status_of_a_cluster_in_trouble() {
    let mut screen = Screen::new(6, fixture::on_2_9_5);
    let mut names = screen.cluster.names().cloned().collect::<Vec<_>>().into_iter();
    let (one, two, three, four, five) = (
        names.next().unwrap(),
        names.next().unwrap(),
        names.next().unwrap(),
        names.next().unwrap(),
        names.next().unwrap(),
    );
    let sick = screen.health.get_mut(&one).unwrap();
    sick.verdict = HealthVerdict::Unhealthy;
    sick.endtoend.services.insert("database".into(), false);
    let node =
        |screen: &mut Screen, name: &NodeName| screen.survey.facts.nodes.remove(name).unwrap();

    screen.fall_silent(&two);

    let mut down = node(&mut screen, &three);
    let container = down.facts.components[0].container.as_mut().unwrap();
    container.state.status = ContainerStatus::Exited;
    container.state.finished_at = Some("2026-11-22T01:58:00Z".parse().unwrap());
    screen.survey.facts.nodes.insert(three.clone(), down);
    screen.health.get_mut(&three).unwrap().verdict = HealthVerdict::Down;

    let mut ahead = node(&mut screen, &four);
    let container = ahead.facts.components[0].container.as_mut().unwrap();
    container.image_reference = "quay.io/redhat/quay:v3.0.5".into();
    container.image_tags.clear();
    container.effective_mode = Some(Mode::Complete);
    container.state.restart_count = 3;
    screen.survey.facts.nodes.insert(four, ahead);

    let mut ending = node(&mut screen, &five);
    ending.facts.certificate_not_after = "2026-12-01T00:00:00Z".parse().unwrap();
    screen.survey.facts.nodes.insert(five, ending);

    insta::assert_snapshot!(screen.shown(None).0);
}

#[test]
fn a_watch_of_a_quiet_cluster_says_how_old_it_is() {
    let mut screen = Screen::new(3, fixture::on_background);
    screen.backfill = Some(BackfillSample::Counted {
        at: fixture::survey_time(),
        progress: 0.784_199,
        tags_remaining: 6_500_000,
        total_tags: 30_100_000,
    });
    screen.look(60);
    insta::assert_snapshot!(tagged::pictures(|size, style| screen.watched(None, size, style)));
}

#[test]
fn a_watch_marks_what_changed_and_who_fell_silent() {
    let mut screen = Screen::new(6, fixture::on_2_9_5);
    fixture::add_companion(&mut screen.survey.facts, "quay-3", Component::Clair);
    screen.look(600);
    let names: Vec<NodeName> = screen.cluster.names().cloned().collect();
    let state = |screen: &mut Screen, name: &NodeName, place: usize| {
        let node = screen.survey.facts.nodes.get_mut(name).unwrap();
        node.facts.components[place].container.as_mut().unwrap().state.clone()
    };
    let set = |screen: &mut Screen, name: &NodeName, place: usize, state| {
        let node = screen.survey.facts.nodes.get_mut(name).unwrap();
        node.facts.components[place].container.as_mut().unwrap().state = state;
    };
    // quay-2 restarts, Clair beside quay-3 ends, quay-4 is sick for a while, quay-5 falls silent.
    let mut restarted = state(&mut screen, &names[1], 0);
    restarted.started_at = Some("2026-11-22T02:07:30Z".parse().unwrap());
    set(&mut screen, &names[1], 0, restarted);
    screen.health.get_mut(&names[3]).unwrap().verdict = HealthVerdict::Unhealthy;
    screen.look(140);
    let mut ended = state(&mut screen, &names[2], 1);
    ended.status = ContainerStatus::Exited;
    set(&mut screen, &names[2], 1, ended);
    screen.health.get_mut(&names[3]).unwrap().verdict = HealthVerdict::Healthy;
    screen.look(90);
    screen.fall_silent(&names[4]);
    screen.look(12);
    insta::assert_snapshot!(tagged::pictures(|size, style| screen.watched(None, size, style)));
    let json = screen.with_view(None, |status| {
        let interval = Duration::from_secs(2);
        watched_json(&Watched { status, interval, age: None, ends: "" })
    });
    insta::assert_json_snapshot!(json["watch"]);
    assert_eq!(json["status"]["nodes"][4]["silent_since"], "2026-11-22T02:09:48Z");
}

#[test]
fn a_watch_shows_where_a_run_stands_and_why_it_waits() {
    let plan = checked(3, &background());
    let mut happened = events(&plan, Some(What::Gate(Gate::FirstNode)));
    let (step, at) = (step(&plan, What::Gate(Gate::FirstNode)), happened.last().unwrap().at());
    let on =
        WaitingOn::Migration { revision: "c00a1f15968b".into(), target: "481623ba00ba".into() };
    happened.push(Event::Waiting { step, on, at });
    let state = state(&happened);
    let run = RunSeen { plan: &plan, state: &state };
    let mut screen = Screen::new(3, fixture::on_2_9_5);
    screen.look(20);
    screen.now = at + jiff::SignedDuration::from_secs(63);
    insta::assert_snapshot!(tagged::pictures(|size, style| {
        screen.watched(Some(run), size, style)
    }));
}

#[test]
fn a_watch_of_many_nodes_shows_those_that_matter() {
    let mut screen = Screen::new(120, fixture::on_2_9_5);
    screen.look(60);
    let names: Vec<NodeName> = screen.cluster.names().cloned().collect();
    screen.fall_silent(&names[77]);
    screen.health.get_mut(&names[99]).unwrap().verdict = HealthVerdict::Down;
    screen.look(10);
    let size = Size { columns: 80, rows: Some(24) };
    let lines = screen.watched(None, size, UNICODE);
    assert!(lines.len() <= 24, "{} lines", lines.len());
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn status_for_programs() {
    let plan = checked(1, &background());
    let state = state(&events(&plan, Some(What::Gate(Gate::Dark))));
    let (text, json) =
        Screen::new(1, fixture::on_2_9_5).shown(Some(RunSeen { plan: &plan, state: &state }));
    insta::assert_snapshot!(text);
    insta::assert_json_snapshot!(json);
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

#[test]
fn a_hold_says_what_failed_where_and_what_to_do() {
    let plan = checked(3, &background());
    let quay_2: NodeName = "quay-2".parse().unwrap();
    let node = quay_2.clone();
    let texts = [
        explained(&plan, What::Act(Verb::Stop), |plan| {
            let (step, at) = (step(plan, What::Act(Verb::Stop)), start());
            let problem = Problem::Unreachable {
                detail: "connection refused: no agent listens there".into(),
            };
            vec![
                Event::Intended { step, node: node.clone(), at },
                Event::Failed { step, node, problem, at },
            ]
            .into_iter()
            .chain(settled_elsewhere(plan, step, &quay_2))
            .collect()
        }),
        explained(&plan, What::Act(Verb::Stop), |plan| {
            let (step, at) = (step(plan, What::Act(Verb::Stop)), start());
            let problem = Problem::Unreachable { detail: "no answer within 30s".into() };
            let failed = |node: &NodeName| {
                let (node, problem) = (node.clone(), problem.clone());
                [
                    Event::Intended { step, node: node.clone(), at },
                    Event::Failed { step, node, problem, at },
                ]
            };
            let nodes = plan.plan().nodes.iter();
            nodes.flat_map(|node| failed(&node.name)).collect()
        }),
        explained(&plan, What::Gate(Gate::Unchanged), |plan| {
            let failure = GateFailure::Drifted { changes: vec!["quay-2: config.yaml".into()] };
            let step = step(plan, What::Gate(Gate::Unchanged));
            vec![Event::Closed { step, failure, at: start() }]
        }),
        explained(&plan, What::Gate(Gate::FirstNode), |plan| {
            let failure = GateFailure::Restarted { node: plan.plan().first.clone() };
            let step = step(plan, What::Gate(Gate::FirstNode));
            vec![Event::Closed { step, failure, at: start() }]
        }),
        explained(&plan, What::Gate(Gate::Dark), |plan| {
            let sessions = vec![psql()];
            let failure = GateFailure::ForeignSessions { sessions };
            let step = step(plan, What::Gate(Gate::Dark));
            vec![Event::Closed { step, failure, at: start() }]
        }),
        explained(&plan, What::Gate(Gate::FirstNode), |plan| {
            let failure = GateFailure::Exited {
                node: plan.plan().first.clone(),
                exit_code: 255,
                revision: Some("c00a1f15968b".into()),
            };
            let step = step(plan, What::Gate(Gate::FirstNode));
            vec![Event::Closed { step, failure, at: start() }]
        }),
    ];
    insta::assert_snapshot!(texts.join("\n\n"));
}

/// The others did what the one did not.
fn settled_elsewhere(
    plan: &CheckedPlan,
    step: quaymaster_proto::StepNumber,
    except: &NodeName,
) -> Vec<Event> {
    let whole = events(plan, None);
    let of_others = whole.into_iter().filter(|event| {
        matches!(event, Event::Intended { step: of, node, .. } | Event::Settled { step: of, node, .. }
            if *of == step && node != except)
    });
    of_others.collect()
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
