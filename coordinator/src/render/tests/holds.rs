//! Holds: what is so, what ends it, and what a person may do by hand.

use quaymaster_proto::{ActOutcome, Epoch, How};

use super::*;
use crate::plan::Step;
use crate::run::log::LogTail;
use crate::run::{Cause, Crossing, Evidence, Settlement, Word};
use crate::verifier::fake::good;
use crate::verify::account::{Failed, LeftOut};
use crate::verify::{Account, Check, WhyNot};

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
        explained(&plan, What::Gate(Gate::Dark), |plan| {
            let sessions = vec![psql()];
            let failure = GateFailure::ForeignSessions { sessions };
            let step = step(plan, What::Gate(Gate::Dark));
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

const BEGUN: &str =
    "INFO  [alembic.runtime.migration] Running upgrade 13411de1c0ff -> 10f45ee2310b";

fn log(lines: &[&str]) -> Option<LogTail> {
    let mut tail = LogTail::default();
    lines.iter().for_each(|line| tail.see(line));
    Some(tail.whole())
}

fn exited(revision: Option<&str>, log: Option<LogTail>) -> GateFailure {
    let revision = revision.map(str::to_owned);
    GateFailure::Exited { node: "quay-1".parse().unwrap(), exit_code: 255, revision, log }
}

fn at_first_gate(plan: &CheckedPlan, failure: GateFailure) -> String {
    explained(plan, What::Gate(Gate::FirstNode), |plan| {
        let step = step(plan, What::Gate(Gate::FirstNode));
        vec![Event::Closed { step, failure, at: start() }]
    })
}

#[test]
fn a_migration_that_ended_says_whether_it_may_be_started_again() {
    let (plan, last) = (checked(3, &background()), checked(3, &second()));
    let boot = "configuration bundle is either not mounted or setup has not been completed";
    let refused = "Exception: Configuration flag `V3_UPGRADE_MODE` must be set.";
    let half = log(&[BEGUN, "Traceback (most recent call last):", "OperationalError: disk full"]);
    let texts = [
        at_first_gate(&plan, exited(Some("481623ba00ba"), log(&[boot]))),
        at_first_gate(&last, exited(Some("481623ba00ba"), log(&["Killed"]))),
        at_first_gate(&plan, exited(Some("5b7503aada1b"), log(&[refused]))),
        at_first_gate(&plan, exited(Some("5b7503aada1b"), None)),
        at_first_gate(&plan, exited(Some("13411de1c0ff"), half)),
        at_first_gate(&plan, exited(None, None)),
    ];
    insta::assert_snapshot!(texts.join("\n\n"));
}

#[test]
fn whatever_else_closes_the_first_gate_has_a_way_on() {
    let plan = checked(3, &background());
    let first = || plan.plan().first.clone();
    let health = WaitingOn::Health { nodes: vec![(first(), "502".into())] };
    let limit = Duration::from_secs(6 * 3600);
    let failures = [
        GateFailure::Gone { node: first() },
        GateFailure::Restarted { node: first() },
        GateFailure::WrongMode { node: first(), mode: Mode::Complete },
        GateFailure::Database { problem: "quay-1 reaches another database: a instead of b".into() },
        GateFailure::TooLong { limit, on: Box::new(health) },
    ];
    let texts = failures.map(|failure| at_first_gate(&plan, failure));
    insta::assert_snapshot!(texts.join("\n\n"));
}

fn unreachable() -> Problem {
    Problem::Unreachable { detail: "connection refused: no agent listens there".into() }
}

fn failed(step: &Step, node: &NodeName, problem: Problem) -> [Event; 2] {
    let (number, at) = (step.number, start());
    [
        Event::Intended { step: number, node: node.clone(), at },
        Event::Failed { step: number, node: node.clone(), problem, at },
    ]
}

fn done(step: &Step, node: &NodeName) -> [Event; 2] {
    let (number, at) = (step.number, start());
    let outcome =
        ActOutcome { how: How::Changed, container: None, config: None, engine_time: None };
    let (node, settlement) = (node.clone(), Settlement::Met(outcome));
    [
        Event::Intended { step: number, node: node.clone(), at },
        Event::Settled { step: number, node, settlement, at },
    ]
}

/// A run that turned back at its dark gate; quay-2 does not do its part of a
/// step.
fn back(plan: &CheckedPlan, stuck: What, node: &str, problem: &Problem) -> String {
    explained(plan, What::Act(Verb::StartMigrating), |plan| {
        let gate = plan.plan().steps.iter().rfind(|step| step.what == What::Gate(Gate::Dark));
        let (step, at) = (gate.unwrap().number, start());
        let failure = GateFailure::ForeignSessions { sessions: vec![psql()] };
        let because = Cause::Closed { step, failure };
        let mut happened = vec![
            Event::Driven { epoch: Epoch::FIRST.next(), by: "alice@admin-1".into(), at },
            Event::TurnedBack { because, crossing: Crossing::NotIntended, at },
        ];
        let quays = plan.plan().back.iter().filter(|step| step.component == Component::Quay);
        for step in quays {
            let is_stuck = |of: &NodeName| step.what == stuck && of.as_str() == node;
            if let What::Gate(_) = step.what {
                if let Some(of) = step.nodes.iter().find(|of| is_stuck(of)) {
                    let Problem::AtGate { failure } = problem else { unreachable!() };
                    let (step, failure) = (step.number, (**failure).clone());
                    happened.push(Event::LeftBehind { step, node: of.clone(), failure, at });
                }
                let (step, since) = (step.number, at);
                let evidence = all_healthy();
                happened.push(Event::Passed { step, evidence, since, at });
                continue;
            }
            let is_behind = happened
                .iter()
                .any(|event| matches!(event, Event::Failed { .. } | Event::LeftBehind { .. }));
            for of in &step.nodes {
                if is_stuck(of) && !is_behind {
                    happened.extend(failed(step, of, problem.clone()));
                } else if !(is_behind && of.as_str() == node) {
                    happened.extend(done(step, of));
                }
            }
        }
        happened
    })
}

#[test]
fn a_way_back_that_is_held_says_what_is_left_to_do_by_hand() {
    let plan = checked(3, &background());
    let ended = GateFailure::Exited {
        node: "quay-2".parse().unwrap(),
        exit_code: 1,
        revision: None,
        log: None,
    };
    let at_gate = Problem::AtGate { failure: Box::new(ended) };
    let texts = [
        back(&plan, What::Act(Verb::RemoveStaged), "quay-1", &unreachable()),
        back(&plan, What::Act(Verb::RestoreConfig), "quay-2", &unreachable()),
        back(&plan, What::Act(Verb::Promote), "quay-2", &unreachable()),
        back(&plan, What::Gate(Gate::Healthy), "quay-2", &at_gate),
    ];
    insta::assert_snapshot!(texts.join("\n\n"));
}

/// Whoever is left behind is not asked for again.
fn all_healthy() -> Evidence {
    let nodes = ["quay-1", "quay-2", "quay-3"].map(|node| (node.parse().unwrap(), start()));
    Evidence::Healthy { healthy_at: nodes.to_vec() }
}

#[test]
fn past_the_point_of_no_return_each_hold_has_its_way_on() {
    let plan = checked(3, &background());
    let (one, two): (NodeName, NodeName) = ("quay-1".parse().unwrap(), "quay-2".parse().unwrap());
    let texts = [
        explained(&plan, What::Act(Verb::StartMigrating), |plan| {
            let step = plan.plan().first_step(What::Act(Verb::StartMigrating)).unwrap();
            failed(step, &one, unreachable()).to_vec()
        }),
        explained(&plan, What::Gate(Gate::Healthy), |plan| {
            let (step, at) = (step(plan, What::Gate(Gate::Healthy)), start());
            let failure = GateFailure::Exited {
                node: two.clone(),
                exit_code: 137,
                revision: None,
                log: log(&["Killed"]),
            };
            let evidence = all_healthy();
            let mut happened = vec![
                Event::LeftBehind { step, node: two.clone(), failure, at },
                Event::Passed { step, evidence, since: at, at },
            ];
            let promote = plan.plan().first_step(What::Act(Verb::Promote)).unwrap();
            let others = promote.nodes.iter().filter(|node| **node != two);
            happened.extend(others.flat_map(|node| done(promote, node)));
            happened
        }),
        explained(&plan, What::Act(Verb::Start), |plan| {
            let step = plan.plan().first_step(What::Act(Verb::Start)).unwrap();
            let others = step.nodes.iter().filter(|node| **node != two);
            let mut happened: Vec<Event> = others.flat_map(|node| done(step, node)).collect();
            happened.extend(failed(step, &two, unreachable()));
            let gate = self::step(plan, What::Gate(Gate::Healthy));
            let (evidence, at) = (all_healthy(), start());
            happened.push(Event::Passed { step: gate, evidence, since: at, at });
            let promote = plan.plan().first_step(What::Act(Verb::Promote)).unwrap();
            let others = promote.nodes.iter().filter(|node| **node != two);
            happened.extend(others.flat_map(|node| done(promote, node)));
            happened
        }),
    ];
    insta::assert_snapshot!(texts.join("\n\n"));
}

#[test]
fn a_window_that_is_not_verified_is_held_while_it_serves() {
    let plan = checked(3, &background());
    let list = |fault: &str| Failed {
        check: Check::Schema1,
        fault: fault.to_owned(),
        remedy: "read the log of the Quay container, and mend what it names".to_owned(),
    };
    let mut second = good("quay-2");
    second.failed = vec![list("the pull of schema 1 was answered with 500"), list("it was gone")];
    second.left = vec![
        LeftOut { check: Check::OldImages, why: WhyNot::NothingToSample },
        LeftOut { check: Check::CleanUp, why: WhyNot::Rests(Check::Repository) },
    ];
    let account = Account { places: vec![good("quay-1"), second, good("quay-3")] };
    let (step, at) = (step(&plan, What::Gate(Gate::Verified)), start());
    let held = explained(&plan, What::Gate(Gate::Verified), |_| {
        let failure = GateFailure::NotVerified { account: account.clone() };
        vec![Event::Closed { step, failure, at }]
    });
    let places = vec![("quay-1".to_owned(), Check::List), ("quay-2".to_owned(), Check::Token)];
    let waits = explained(
        &plan,
        What::Gate(Gate::Verified),
        waits(Gate::Verified, WaitingOn::Verification { places }),
    );
    let waived = Some(Word { by: "bob@admin-2".into(), because: Some("a known tag".into()) });
    let mut events = events(&plan, Some(What::Gate(Gate::Verified)));
    let evidence = Evidence::Verified { account, waived };
    events.push(Event::Passed { step, evidence, since: at, at });
    events.push(Event::Finished { at });
    let figures = crate::report::report(plan.plan(), &state(&events));
    let report = report(&plan, &figures, "quaymaster", UNICODE);
    fits(&report);
    insta::assert_snapshot!([waits, held, report].join("\n\n"));
}
