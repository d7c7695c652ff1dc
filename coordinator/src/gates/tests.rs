use std::time::Duration;

use jiff::Timestamp;
use quaymaster_proto::backup::BACKUP_APPLICATION;
use quaymaster_proto::database::{DatabaseIdentity, DatabaseLook, Session};
use quaymaster_proto::health::{HealthReport, HealthRoute, HealthVerdict};
use quaymaster_proto::node::ConfigFacts;
use quaymaster_proto::{ContainerState, ContainerStatus, Floor, Generation, ImageId, Mode};

use super::dark::{DarkLook, Own};
use super::health::Course;
use super::*;
use crate::nodes::fake::psql;
use crate::plan::{Gate, Plan, Step, What};
use crate::run::Ran;
use crate::survey::{ClusterFacts, fixture};

const BEGUN: Duration = Duration::ZERO;
const LONG: Duration = Duration::from_secs(3600);

mod backfill;

fn first_window() -> (ClusterFacts, Plan) {
    let cluster = fixture::cluster(3);
    let facts = fixture::on_2_9_5(&cluster);
    let window = fixture::window(1, 2, ("2.9.5", Mode::Absent), ("3.0.5", Mode::Background));
    let plan = fixture::plan(&cluster, &facts, &window);
    (facts, plan)
}

fn second_window() -> Plan {
    let cluster = fixture::cluster(3);
    let facts = fixture::on_background(&cluster);
    let window = fixture::window(2, 2, ("3.0.5", Mode::Background), ("3.0.5", Mode::Complete));
    fixture::plan(&cluster, &facts, &window)
}

fn image() -> ImageId {
    format!("sha256:{}", fixture::hex('b', 0)).parse().unwrap()
}

fn judge_dark(plan: &Plan, looks: &[DarkLook], waited: Duration) -> Judgement {
    let found = std::slice::from_ref(&plan.database.revision);
    dark::judge(plan, looks, found, Own::Nothing, waited)
}

/// Every Quay stopped, and these sessions.
fn dark(facts: &ClusterFacts, sessions: Option<Vec<Session>>) -> Vec<DarkLook> {
    let nodes = facts.nodes.iter().map(|(node, survey)| {
        let mut facts = survey.facts.clone();
        let generation = Generation { image: image(), mode: Mode::Background };
        facts.floor = Some(Floor { generation, below: Vec::new() });
        let container = facts.components[0].container.as_mut().unwrap();
        container.state.status = ContainerStatus::Exited;
        let database =
            DatabaseLook { sessions: sessions.clone(), ..survey.database().unwrap().clone() };
        DarkLook {
            node: node.clone(),
            migrating: None,
            config: None,
            floor: facts.floor.clone(),
            facts: Ok(facts),
            database: Ok(database),
        }
    });
    nodes.collect()
}

/// What ran on the nodes before it was dark.
fn ran(facts: &ClusterFacts) -> Vec<Ran> {
    let nodes = facts.nodes.iter().map(|(node, survey)| {
        let quay = &survey.facts.components[0].container.as_ref().unwrap().state;
        let (node, container) = (node.clone(), quay.id.clone());
        Ran { node, container, started_at: quay.started_at }
    });
    nodes.collect()
}

fn session(application: &str, address: &str) -> Session {
    let (application, address) = (application.to_owned(), address.to_owned());
    Session { application, address, ..psql() }
}

#[test]
fn the_dark_knows_agents_and_expected_sessions_and_nobody_else() {
    let (facts, mut plan) = first_window();
    plan.timings.expected_sessions = vec!["pg_exporter".to_owned(), "10.0.0.7".to_owned()];
    let agent = session("quaymaster-agent/prod/quay-2", "10.0.0.12");
    let exporter = session("pg_exporter", "10.0.0.50");
    let pooler = session("", "10.0.0.7");
    let named = vec![agent, exporter.clone(), pooler.clone()];
    let looks = dark(&facts, Some(named.clone()));
    let evidence = Evidence::Dark { sessions: Some(vec![exporter, pooler]), ran: ran(&facts) };
    assert_eq!(judge_dark(&plan, &looks, BEGUN), Judgement::Pass(evidence));

    let mut with_psql = named;
    with_psql.push(psql());
    let looks = dark(&facts, Some(with_psql));
    let on = WaitingOn::Sessions { sessions: vec![psql()] };
    assert_eq!(judge_dark(&plan, &looks, BEGUN), Judgement::Wait(on));
    let failure = GateFailure::ForeignSessions { sessions: vec![psql()] };
    assert_eq!(judge_dark(&plan, &looks, SETTLE), Judgement::Fail(failure));
}

/// Its agent goes on with what an earlier process left to it.
#[test]
fn what_the_run_itself_has_at_the_database_is_no_stranger() {
    let (facts, plan) = first_window();
    let dump = session(BACKUP_APPLICATION, "10.0.0.11");
    let looks = dark(&facts, Some(vec![dump.clone()]));
    let judged = |looks: &[DarkLook], own| dark::judge(&plan, looks, &[], own, LONG);
    let evidence = Evidence::Dark { sessions: Some(vec![dump]), ran: ran(&facts) };
    for own in [Own::BackUp, Own::Restore] {
        assert_eq!(judged(&looks, own), Judgement::Pass(evidence.clone()));
    }
    assert!(matches!(judged(&looks, Own::Nothing), Judgement::Fail(_)));

    // An emptied database has no revision to read.
    let mut emptied = looks.clone();
    emptied.iter_mut().for_each(|look| look.database = Err("no alembic_version".to_owned()));
    assert!(matches!(judged(&emptied, Own::Restore), Judgement::Pass(_)));
    assert!(!matches!(judged(&emptied, Own::BackUp), Judgement::Pass(_)));

    // Whoever lives is seen all the same.
    let mut alive = looks;
    let quay = alive[1].facts.as_mut().unwrap().components[0].container.as_mut().unwrap();
    quay.state.status = ContainerStatus::Running;
    let judged = judged(&alive, Own::Restore);
    assert!(matches!(judged, Judgement::Fail(GateFailure::Alive { .. })), "{judged:?}");
}

#[test]
fn a_database_without_a_list_of_sessions_is_told_apart_from_an_empty_list() {
    let (facts, mut plan) = first_window();
    let judged = |plan: &Plan, sessions| judge_dark(plan, &dark(&facts, sessions), BEGUN);
    let empty = Evidence::Dark { sessions: Some(Vec::new()), ran: ran(&facts) };
    assert_eq!(judged(&plan, Some(Vec::new())), Judgement::Pass(empty));
    // PostgreSQL has one: an agent that brings none has not looked.
    let unread = judged(&plan, None);
    assert!(matches!(unread, Judgement::Wait(WaitingOn::Answer { .. })), "{unread:?}");
    plan.database.kind = "sqlite".to_owned();
    assert_eq!(
        judged(&plan, None),
        Judgement::Pass(Evidence::Dark { sessions: None, ran: ran(&facts) })
    );
}

#[test]
fn any_living_quay_keeps_it_from_being_dark() {
    let (facts, plan) = first_window();
    for status in [ContainerStatus::Running, ContainerStatus::Paused, ContainerStatus::Restarting] {
        let mut looks = dark(&facts, None);
        let quay = &mut looks[1].facts.as_mut().unwrap().components[0];
        // Not the well-known one: a copy that somebody made.
        let mut copy = quay.container.clone().unwrap();
        copy.state.name = "quay-copy".to_owned();
        copy.state.status = status;
        quay.others.push(copy);
        let on = WaitingOn::Containers { nodes: vec!["quay-2".parse().unwrap()] };
        assert_eq!(judge_dark(&plan, &looks, BEGUN), Judgement::Wait(on), "{status}");
        let judged = judge_dark(&plan, &looks, SETTLE);
        assert!(
            matches!(&judged, Judgement::Fail(GateFailure::Alive { containers })
                if containers[0].contains("quay-2") && containers[0].contains("quay-copy")),
            "{judged:?}"
        );
    }
}

/// As with a share that is not mounted on one of its nodes, or is slow to show
/// what another one wrote.
#[test]
fn right_before_the_migrating_start_every_node_has_to_see_the_edited_config() {
    let (facts, plan) = first_window();
    let mut looks = dark(&facts, Some(Vec::new()));
    for (look, node) in looks.iter_mut().zip(&plan.nodes) {
        look.config = Some(node.config.to.clone());
        let ConfigFacts::Readable(config) = &mut look.facts.as_mut().unwrap().config else {
            panic!("the fixture's can be read")
        };
        config.sha256 = node.config.to.clone();
    }
    let judged = judge_dark(&plan, &looks, BEGUN);
    assert!(matches!(judged, Judgement::Pass(Evidence::Dark { .. })), "{judged:?}");

    let before = &plan.nodes[1].config;
    let ConfigFacts::Readable(config) = &mut looks[1].facts.as_mut().unwrap().config else {
        panic!("the fixture's can be read")
    };
    config.sha256 = before.from.clone();
    let why = format!("{} instead of {}", before.from.short(), before.to.short());
    let nodes = vec![("quay-2".parse().unwrap(), why)];
    let on = WaitingOn::Config { nodes: nodes.clone() };
    assert_eq!(judge_dark(&plan, &looks, SETTLE), Judgement::Wait(on));
    assert_eq!(judge_dark(&plan, &looks, LONG), Judgement::Fail(GateFailure::Config { nodes }));
}

#[test]
fn another_database_a_standby_or_another_revision_is_never_dark_enough() {
    let (facts, plan) = first_window();
    let changes: [fn(&mut DatabaseLook); 3] = [
        |look| look.identity = DatabaseIdentity::new("postgresql:1:2").unwrap(),
        |look| look.in_recovery = true,
        |look| look.revision = "c3d4b7ebcdf7".to_owned(),
    ];
    for change in changes {
        let mut looks = dark(&facts, Some(Vec::new()));
        change(looks[2].database.as_mut().unwrap());
        let judged = judge_dark(&plan, &looks, BEGUN);
        assert!(matches!(judged, Judgement::Fail(GateFailure::Database { .. })), "{judged:?}");
    }
}

#[test]
fn a_silent_node_is_waited_for_and_then_holds_the_window() {
    let (facts, plan) = first_window();
    let mut looks = dark(&facts, Some(Vec::new()));
    looks[0].facts = Err("connection refused".to_owned());
    let nodes = vec![("quay-1".parse().unwrap(), "connection refused".to_owned())];
    let on = WaitingOn::Answer { nodes };
    assert_eq!(judge_dark(&plan, &looks, SETTLE), Judgement::Wait(on.clone()));
    let failure = GateFailure::TooLong { limit: ANSWER, on: Box::new(on) };
    assert_eq!(judge_dark(&plan, &looks, ANSWER), Judgement::Fail(failure));
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn report(plan: &Plan, second: i64, verdict: HealthVerdict) -> HealthReport {
    let quay = &plan.nodes[0].quay;
    HealthReport {
        at: at(second),
        container: Some(ContainerState {
            id: quay.container.clone(),
            name: "quay".to_owned(),
            status: ContainerStatus::Running,
            started_at: Some(at(0)),
            finished_at: None,
            exit_code: 0,
            restart_count: 0,
            restart_policy: quay.restart_policy,
            image: quay.image.clone(),
        }),
        instance: HealthRoute::default(),
        endtoend: HealthRoute::default(),
        verdict,
        effective_mode: Some(plan.window.to.mode),
    }
}

fn others(plan: &Plan) -> &Step {
    plan.first_step(What::Gate(Gate::Healthy)).unwrap()
}

fn at_target(facts: &ClusterFacts, plan: &Plan) -> DatabaseLook {
    let revision = plan.database.target.clone();
    DatabaseLook { revision, ..facts.one_database().unwrap().clone() }
}

fn first_course(plan: &Plan) -> Course {
    Course::new(plan.first.clone())
}

#[test]
fn the_first_node_passes_at_the_target_and_after_lasting_health_alone() {
    let (facts, plan) = first_window();
    let target = at_target(&facts, &plan);
    let mut course = first_course(&plan);
    course.see(report(&plan, 10, HealthVerdict::Healthy));
    let judge =
        |course: &Course, look| first_node::judge(&plan, course, look, Duration::from_secs(1));
    let before = facts.one_database();
    assert!(matches!(judge(&course, before), Judgement::Wait(WaitingOn::Migration { .. })));
    // Nothing is said of a revision that nobody has read.
    let target_revision = plan.database.target.clone();
    let on = WaitingOn::Migration { revision: String::new(), target: target_revision };
    assert_eq!(judge(&course, None), Judgement::Wait(on));
    let lasting = judge(&course, Some(&target));
    assert!(matches!(lasting, Judgement::Wait(WaitingOn::Lasting { .. })), "{lasting:?}");

    course.see(report(&plan, 12, HealthVerdict::Unhealthy));
    course.see(report(&plan, 13, HealthVerdict::Healthy));
    course.see(report(&plan, 17, HealthVerdict::Healthy));
    assert!(matches!(judge(&course, Some(&target)), Judgement::Wait(WaitingOn::Lasting { .. })));
    course.see(report(&plan, 18, HealthVerdict::Healthy));
    let Judgement::Pass(Evidence::FirstNode { healthy_at, .. }) = judge(&course, Some(&target))
    else {
        panic!("{:?}", judge(&course, Some(&target)));
    };
    assert_eq!(healthy_at, at(13));
}

#[test]
fn a_migration_that_takes_too_long_holds_the_window_and_nothing_more() {
    let (facts, plan) = first_window();
    let mut course = first_course(&plan);
    course.see(report(&plan, 10, HealthVerdict::Unhealthy));
    let limit = plan.timings.first_node_limit;
    let judged = first_node::judge(&plan, &course, facts.one_database(), limit);
    assert!(matches!(judged, Judgement::Fail(GateFailure::TooLong { .. })), "{judged:?}");
}

#[test]
fn what_waiting_cannot_mend_fails_by_name() {
    let (facts, plan) = first_window();
    let healthy = || report(&plan, 10, HealthVerdict::Healthy);
    let with_state = |change: fn(&mut ContainerState)| {
        let mut report = healthy();
        change(report.container.as_mut().unwrap());
        report
    };
    let exited = |state: &mut ContainerState| {
        state.status = ContainerStatus::Exited;
        state.exit_code = 255;
    };
    let node = plan.first.clone();
    let cases = [
        (
            with_state(exited),
            GateFailure::Exited {
                node: node.clone(),
                exit_code: 255,
                revision: Some(plan.database.target.clone()),
                log: None,
            },
        ),
        (
            with_state(|state| state.restart_count = 1),
            GateFailure::Restarted { node: node.clone() },
        ),
        (
            HealthReport { effective_mode: Some(Mode::Complete), ..healthy() },
            GateFailure::WrongMode { node: node.clone(), mode: Mode::Complete },
        ),
        (HealthReport { container: None, ..healthy() }, GateFailure::Gone { node }),
    ];
    let target = at_target(&facts, &plan);
    for (report, failure) in cases {
        let mut course = first_course(&plan);
        course.see(report);
        let judged = first_node::judge(&plan, &course, Some(&target), LONG);
        assert_eq!(judged, Judgement::Fail(failure));
    }
}

#[test]
fn the_others_pass_together() {
    let (_, plan) = first_window();
    let mut courses: Vec<Course> =
        plan.nodes[1..].iter().map(|node| Course::new(node.name.clone())).collect();
    courses[0].see(report(&plan, 10, HealthVerdict::Healthy));
    courses[0].see(report(&plan, 30, HealthVerdict::Healthy));
    courses[1].see(report(&plan, 29, HealthVerdict::Unhealthy));
    let judged = healthy::judge(&plan, others(&plan), &courses, BEGUN);
    assert!(
        matches!(&judged, Judgement::Wait(WaitingOn::Health { nodes })
            if nodes.len() == 1 && nodes[0].0.as_str() == "quay-3"),
        "{judged:?}"
    );
    courses[1].see(report(&plan, 31, HealthVerdict::Healthy));
    courses[1].see(report(&plan, 36, HealthVerdict::Healthy));
    assert!(matches!(
        healthy::judge(&plan, others(&plan), &courses, BEGUN),
        Judgement::Pass(Evidence::Healthy { healthy_at }) if healthy_at[1].1 == at(31)
    ));
}

#[test]
fn a_quay_that_ran_behind_the_backup_is_known_by_its_start_whatever_the_clocks_say() {
    let (facts, plan) = first_window();
    let judged = |looks: &[DarkLook], before: Option<&[Ran]>| {
        dark::judge_backup(judge_dark(&plan, looks, BEGUN), before)
    };
    let (before, looks) = (ran(&facts), dark(&facts, Some(Vec::new())));
    assert!(matches!(judged(&looks, Some(&before)), Judgement::Pass(_)));

    // It ran, and was stopped: by a clock that is an hour behind.
    let mut again = looks.clone();
    let quay = again[1].facts.as_mut().unwrap().components[0].container.as_mut().unwrap();
    let started = before[1].started_at.unwrap() - jiff::SignedDuration::from_hours(1);
    quay.state.started_at = Some(started);
    let short = before[1].container.short();
    let since = vec![format!("quay-2: container {short} was started at {started:.0}")];
    let failure = GateFailure::StaleBackup { since };
    assert_eq!(judged(&again, Some(&before)), Judgement::Fail(failure));

    // One that is gone wrote nothing since; and without a record nobody knows.
    let mut fewer = looks.clone();
    fewer[1].facts.as_mut().unwrap().components[0].container = None;
    assert!(matches!(judged(&fewer, Some(&before)), Judgement::Pass(_)));
    let unknown = judged(&looks, None);
    assert!(matches!(unknown, Judgement::Fail(GateFailure::StaleBackup { .. })), "{unknown:?}");
}

#[test]
fn the_dark_needs_every_nodes_floor() {
    let (facts, plan) = first_window();
    let mut looks = dark(&facts, Some(Vec::new()));
    assert!(matches!(judge_dark(&plan, &looks, BEGUN), Judgement::Pass(_)));
    looks[1].facts.as_mut().unwrap().floor = None;
    let nodes = vec!["quay-2".parse().unwrap()];
    let failure = GateFailure::NoFloor { nodes };
    assert_eq!(judge_dark(&plan, &looks, BEGUN), Judgement::Fail(failure));

    // Its ledger knows of one, and the file is gone: nothing is stopped.
    let mut looks = dark(&facts, Some(Vec::new()));
    looks[2].facts.as_mut().unwrap().floor_problem = "floor `floor.json` is gone".to_owned();
    let failure = GateFailure::NoFloor { nodes: vec!["quay-3".parse().unwrap()] };
    assert_eq!(judge_dark(&plan, &looks, BEGUN), Judgement::Fail(failure));
}
