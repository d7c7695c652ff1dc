//! What fails before the point of no return leads back by itself; without a
//! proof nobody is started.

use std::collections::BTreeSet;

use super::stage::{Death, Stage, first_window, second_window};
use super::*;
use crate::nodes::fake::{FakeFleet, dump};
use crate::plan::PlannedBackup;
use crate::run::order::NoTask;
use crate::run::{ActState, Crossing, Direction, Settlement, order};

const VERBS: [&str; 6] =
    ["pull", "stage-container", "stage-config", "ensure-stopped", "set-floor", "put-config"];

fn crossing(stage: &Stage) -> Crossing {
    match stage.state().direction {
        Direction::Back { crossing, .. } => crossing,
        Direction::There | Direction::Rollback { .. } => panic!("it did not turn back"),
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_fails_before_the_point_of_no_return_leads_back() {
    for window in [first_window(Mode::Complete), first_window(Mode::Background), second_window()] {
        for verb in VERBS {
            for node in ["quay-1", "quay-2"] {
                let stage = Stage::new(3, &window);
                stage.fleet.backfill(&[0.995]);
                stage.fleet.refuse(node, verb, Reason::Drifted);
                let ended = stage.runner(true).await.drive(Patience::Leave).await.unwrap();
                if verb == "pull" && window == second_window() {
                    assert_eq!(ended, Ended::Done, "its image is there");
                    continue;
                }
                assert!(
                    matches!(&ended, Ended::Back { because: Cause::Failed { failures, .. } }
                    if failures.len() == 1 && failures[0].0.as_str() == node),
                    "{verb}: {ended:?}"
                );
                stage.assert_as_before();
                assert_eq!(crossing(&stage), Crossing::NotIntended);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_backup_that_fails_leads_back() {
    for window in [first_window(Mode::Complete), second_window()] {
        let stage = Stage::new(3, &window);
        stage.fleet.backfill(&[0.995]);
        stage.fleet.refuse("quay-1", "back up", Reason::Database);
        let ended = stage.runner(true).await.drive(Patience::Leave).await.unwrap();
        assert!(
            matches!(&ended, Ended::Back { because: Cause::Failed { step, .. } }
                if stage.plan.plan().step(*step).unwrap().what == What::Act(Verb::BackUp)),
            "{ended:?}"
        );
        stage.assert_as_before();
        assert_eq!(crossing(&stage), Crossing::NotIntended);
    }
}

/// Whoever comes next has its agent compare the backup with the database: in
/// between nobody watched.
#[tokio::test(start_paused = true)]
async fn a_new_process_asks_for_the_backup_again_until_the_migration_is_intended() {
    let whole = Stage::new(3, &first_window(Mode::Complete));
    whole.runner(true).await.drive(Patience::Leave).await.unwrap();
    let is_start = |event: &Event| is_intent_of(&whole, event, Verb::StartMigrating);
    let start = whole.book.appends(is_start);
    let mut seen = BTreeSet::new();
    for appends in start - 6..=start + 1 {
        let stage = Stage::new(3, &first_window(Mode::Complete));
        stage.book.die(Some(Death { appends, keeps_last: true }));
        stage.runner(true).await.drive(Patience::Leave).await.unwrap_err();
        let left = stage.book.events();
        let is_backup = |event: &&Event| is_intent_of(&whole, event, Verb::BackUp);
        let before = left.iter().filter(is_backup).count();
        let wanted = if left.iter().any(is_start) { before } else { before + 1 };
        stage.book.die(None);
        stage.runner(true).await.drive(Patience::Leave).await.unwrap();
        stage.assert_well_done();
        let events = stage.book.events();
        let asked = events.iter().filter(|event| is_intent_of(&stage, event, Verb::BackUp));
        assert_eq!(asked.count(), wanted, "after {appends} appends");
        seen.insert(wanted);
    }
    assert_eq!(seen.len(), 2, "on both sides of the intent");
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_to_migrate_without_a_backup_or_a_waiver() {
    let stage = Stage::new(3, &first_window(Mode::Complete));
    stage.runner(true).await.drive(Patience::Leave).await.unwrap();
    let is_backup = |event: &Event| {
        matches!(event, Event::Settled { settlement: Settlement::BackedUp { .. }, .. })
    };
    let events = stage.book.events().into_iter().filter(|event| !is_backup(event));
    let until = |event: &Event| !is_intent_of(&stage, event, Verb::StartMigrating);
    let events: Vec<Event> = events.take_while(until).collect();
    let state = RunState::replay(&events).unwrap();
    let mut plan = stage.plan.plan().clone();
    let task = |plan: &Plan| {
        let step = plan.first_step(What::Act(Verb::StartMigrating)).unwrap();
        order::task(plan, &state, step, &plan.first).map(drop)
    };
    assert_eq!(task(&plan), Err(NoTask::NoBackup));
    let mut waive = |because: &str| {
        plan.backup = PlannedBackup::Waived { because: because.to_owned(), newest: None };
        task(&plan)
    };
    assert_eq!(waive(" "), Err(NoTask::NoBackup));
    assert_eq!(waive("a snapshot was taken"), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_start_that_is_refused_is_proven_never_to_have_been_made() {
    let stage = Stage::new(3, &first_window(Mode::Background));
    stage.fleet.refuse("quay-1", "start-migrating", Reason::Database);
    let ended = stage.runner(true).await.drive(Patience::Leave).await.unwrap();
    assert!(matches!(ended, Ended::Back { .. }), "{ended:?}");
    assert_eq!(crossing(&stage), Crossing::NeverStarted);
    stage.assert_as_before();
}

#[tokio::test(start_paused = true)]
async fn a_first_node_that_is_silent_for_a_moment_still_proves_it() {
    let stage = Stage::new(3, &first_window(Mode::Background));
    stage.fleet.refuse("quay-1", "start-migrating", Reason::Database);
    let mut runner = stage.runner(true).await;
    let driving = tokio::spawn(async move { runner.drive(Patience::Leave).await });
    while !stage.book.events().iter().any(|event| is_intent_of(&stage, event, Verb::PutConfig)) {
        tokio::task::yield_now().await;
        tokio::time::advance(std::time::Duration::from_millis(10)).await;
    }
    stage.fleet.mute_claim("quay-1");
    let ended = driving.await.unwrap().unwrap();
    assert!(matches!(ended, Ended::Back { .. }), "{ended:?}");
    assert_eq!(crossing(&stage), Crossing::NeverStarted);
    stage.assert_as_before();
}

#[tokio::test(start_paused = true)]
async fn a_start_that_is_not_answered_leads_back_by_the_same_proof() {
    let stage = Stage::new(3, &first_window(Mode::Background));
    stage.fleet.lose("quay-1", "start-migrating");
    let ended = stage.runner(true).await.drive(Patience::Leave).await.unwrap();
    assert!(matches!(ended, Ended::Back { .. }), "{ended:?}");
    assert_eq!(crossing(&stage), Crossing::NeverStarted);
    stage.assert_as_before();
}

#[tokio::test(start_paused = true)]
async fn without_the_proof_nobody_is_started() {
    let stage = Stage::new(3, &first_window(Mode::Background));
    stage.fleet.lose("quay-1", "start-migrating");
    stage.fleet.lose("quay-1", "remove-staged");
    let ended = stage.runner(true).await.drive(Patience::Leave).await.unwrap();
    assert!(matches!(ended, Ended::Failed { .. }), "{ended:?}");
    assert!(stage.has_crossed());
    assert!(stage.fleet.tally().started.is_empty());
    assert!(stage.fleet.tally().returned.is_empty());

    // Whoever goes on looks for itself whether it is dark, and starts then.
    stage.fleet.forgive();
    assert_eq!(stage.runner(true).await.drive(Patience::Leave).await.unwrap(), Ended::Done);
    stage.assert_well_done();
}

#[tokio::test(start_paused = true)]
async fn a_start_whose_answer_was_lost_is_not_taken_back() {
    let stage = Stage::new(3, &first_window(Mode::Background));
    let mut runner = stage.runner(true).await;
    let fleet = stage.fleet.clone();
    let driving = tokio::spawn(async move { runner.drive(Patience::Leave).await });
    while fleet.tally().started.is_empty() {
        tokio::task::yield_now().await;
        tokio::time::advance(std::time::Duration::from_millis(1)).await;
    }
    driving.abort();
    assert!(driving.await.is_err());
    // The container lives: there is no way back, and the run goes forward.
    assert_eq!(stage.runner(true).await.drive(Patience::Leave).await.unwrap(), Ended::Done);
    stage.assert_well_done();
}

#[tokio::test(start_paused = true)]
async fn a_backup_that_its_node_goes_on_with_is_no_stranger_to_a_later_process() {
    let back_up = What::Act(Verb::BackUp);
    for appends in 0.. {
        let stage = Stage::new(3, &first_window(Mode::Complete));
        let mut runner = stage.runner(true).await;
        stage.book.die(Some(Death { appends, keeps_last: true }));
        runner.drive(Patience::Leave).await.unwrap_err();
        stage.book.die(None);
        let step = stage.plan.plan().first_step(back_up).unwrap();
        if !stage.state().has_begun(step.number) {
            continue;
        }
        stage.fleet.connect(dump());
        let ended = stage.runner(true).await.drive(Patience::Leave).await.unwrap();
        assert_eq!(ended, Ended::Done);
        stage.assert_well_done();
        break;
    }
}

#[tokio::test(start_paused = true)]
async fn a_foreign_session_ends_the_window_before_anything_starts() {
    let stage = Stage::new(3, &first_window(Mode::Background));
    stage.fleet.connect(psql());
    let ended = stage.runner(true).await.drive(Patience::Leave).await.unwrap();
    let failure = GateFailure::ForeignSessions { sessions: vec![psql()] };
    assert!(
        matches!(&ended, Ended::Back { because: Cause::Closed { failure: found, .. } }
        if *found == failure),
        "{ended:?}"
    );
    stage.assert_as_before();
}

/// A run whose first stops are being asked.
async fn driven_into_the_dark(
    stage: &Stage,
) -> (FakeFleet, tokio::task::JoinHandle<Result<Ended, RunError>>) {
    let mut runner = stage.runner(true).await;
    let driving = tokio::spawn(async move { runner.drive(Patience::Leave).await });
    while !stage.book.events().iter().any(|event| is_intent_of(stage, event, Verb::Stop)) {
        tokio::task::yield_now().await;
        tokio::time::advance(std::time::Duration::from_millis(10)).await;
    }
    (stage.fleet.clone(), driving)
}

#[tokio::test(start_paused = true)]
async fn a_node_that_falls_silent_in_the_dark_does_not_keep_the_others_there() {
    let stage = Stage::new(3, &first_window(Mode::Complete));
    let (fleet, driving) = driven_into_the_dark(&stage).await;
    fleet.silence("quay-3");
    let ended = driving.await.unwrap().unwrap();
    assert!(
        matches!(&ended, Ended::Failed { failures, .. }
        if failures.len() == 1 && failures[0].0.as_str() == "quay-3"),
        "{ended:?}"
    );
    let returned: Vec<String> =
        stage.fleet.tally().returned.iter().map(ToString::to_string).collect();
    assert_eq!(returned, ["quay-1", "quay-2"]);

    fleet.forgive();
    let ended = stage.runner(true).await.drive(Patience::Leave).await.unwrap();
    assert!(matches!(ended, Ended::Back { .. }), "{ended:?}");
    stage.assert_as_before();
}

#[tokio::test(start_paused = true)]
async fn a_first_node_that_was_never_asked_to_migrate_does_not_keep_the_others_there() {
    let stage = Stage::new(3, &first_window(Mode::Complete));
    let (fleet, driving) = driven_into_the_dark(&stage).await;
    fleet.silence("quay-1");
    let ended = driving.await.unwrap().unwrap();
    assert!(
        matches!(&ended, Ended::Failed { failures, .. }
        if failures.len() == 1 && failures[0].0.as_str() == "quay-1"),
        "{ended:?}"
    );
    let returned: Vec<String> =
        stage.fleet.tally().returned.iter().map(ToString::to_string).collect();
    assert_eq!(returned, ["quay-2", "quay-3"]);

    fleet.forgive();
    let ended = stage.runner(true).await.drive(Patience::Leave).await.unwrap();
    assert!(matches!(ended, Ended::Back { .. }), "{ended:?}");
    stage.assert_as_before();
}

#[tokio::test(start_paused = true)]
async fn one_agent_that_can_grant_no_lease_does_not_keep_the_others_there() {
    let stage = Stage::new(3, &first_window(Mode::Complete));
    let (fleet, driving) = driven_into_the_dark(&stage).await;
    for verb in ["set-floor", "claim"] {
        fleet.refuse("quay-3", verb, Reason::Ledger);
    }
    let ended = driving.await.unwrap().unwrap();
    assert!(
        matches!(&ended, Ended::Failed { failures, .. }
        if failures.len() == 1 && failures[0].0.as_str() == "quay-3"),
        "{ended:?}"
    );
    let returned: Vec<String> =
        stage.fleet.tally().returned.iter().map(ToString::to_string).collect();
    assert_eq!(returned, ["quay-1", "quay-2"]);
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_migration_in_the_dark_is_told_and_nobody_is_started() {
    let stage = Stage::new(3, &first_window(Mode::Complete));
    let (fleet, driving) = driven_into_the_dark(&stage).await;
    fleet.move_database("b918abdbee43");
    let ended = driving.await.unwrap().unwrap();
    let Ended::Closed { failure: GateFailure::Database { problem }, .. } = &ended else {
        panic!("{ended:?}")
    };
    assert!(problem.contains("somebody else has migrated it"), "{problem}");
    assert!(stage.fleet.tally().returned.is_empty());
    let state = stage.state();
    assert!(
        matches!(next(stage.plan.plan(), &state), Next::Closed { .. }),
        "the hold is on record"
    );
}

#[tokio::test(start_paused = true)]
async fn an_old_quay_that_comes_up_in_the_dark_ends_the_window() {
    let stage = Stage::new(3, &first_window(Mode::Background));
    die_before(&stage, |event| is_intent_of(&stage, event, Verb::StartMigrating)).await;
    stage.fleet.set_old_container("quay-2", ContainerStatus::Running);
    let ended = stage.runner(true).await.drive(Patience::Leave).await.unwrap();
    assert!(
        matches!(&ended, Ended::Back {
        because: Cause::Closed { failure: GateFailure::Alive { containers }, .. } }
        if containers[0].contains("quay-2")),
        "{ended:?}"
    );
    assert!(stage.fleet.tally().started.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_changed_is_not_stopped_and_left_without_what_was_staged() {
    let drifted = |ended: Ended| {
        assert!(
            matches!(&ended, Ended::Back {
            because: Cause::Closed { failure: GateFailure::Drifted { changes }, .. } }
            if changes.len() == 1 && changes[0].contains("quay-2")),
            "{ended:?}"
        );
    };
    let stage = Stage::new(3, &first_window(Mode::Background));
    stage.fleet.replace_container("quay-2");
    drifted(stage.runner(true).await.drive(Patience::Leave).await.unwrap());
    assert!(stage.fleet.tally().returned.is_empty(), "nothing was stopped");

    let stage = Stage::new(3, &first_window(Mode::Background));
    die_before(&stage, |event| is_intent_of(&stage, event, Verb::Stop)).await;
    stage.fleet.replace_container("quay-2");
    drifted(stage.runner(true).await.drive(Patience::Leave).await.unwrap());

    // Builders and mirrors are stopped while the registry serves: that they
    // rest is no reason to stop Quays that nobody has looked at since.
    let stage = Stage::with(3, &first_window(Mode::Background), &BESIDE);
    let whole = Stage::with(3, &first_window(Mode::Background), &BESIDE);
    die_before_as(&stage, whole, |event| is_intent_of(&stage, event, Verb::Stop)).await;
    stage.fleet.replace_container("quay-2");
    drifted(stage.runner(true).await.drive(Patience::Leave).await.unwrap());
    assert!(!stage.fleet.tally().companions.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_process_that_dies_on_the_way_back_is_followed_by_one_that_finishes_it() {
    for verb in ["ensure-stopped", "put-config", "start-migrating"] {
        for keeps_last in [false, true] {
            for appends in 0.. {
                let stage = Stage::with(3, &first_window(Mode::Complete), &BESIDE);
                stage.fleet.refuse("quay-1", verb, Reason::Drifted);
                let mut runner = stage.runner(true).await;
                stage.book.die(Some(Death { appends, keeps_last }));
                let ended = runner.drive(Patience::Leave).await;
                drop(runner);
                stage.book.die(None);
                if ended.is_ok() {
                    assert!(appends > 20, "{verb}: the whole run was written in {appends}");
                    break;
                }
                if stage.state().finished_at.is_none() {
                    let ended = stage.runner(true).await.drive(Patience::Leave).await.unwrap();
                    assert!(matches!(ended, Ended::Back { .. }), "{verb} at {appends}: {ended:?}");
                }
                stage.assert_as_before();
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_fails_among_the_rest_does_not_stop_the_others() {
    for verb in ["ensure-running", "promote"] {
        let stage = Stage::new(3, &first_window(Mode::Complete));
        stage.fleet.refuse("quay-2", verb, Reason::Database);
        let ended = stage.runner(true).await.drive(Patience::Leave).await.unwrap();
        assert!(
            matches!(&ended, Ended::Failed { failures, .. }
            if failures.len() == 1 && failures[0].0.as_str() == "quay-2"),
            "{verb}: {ended:?}"
        );
        assert!(stage.has_crossed());
        assert_eq!(stage.fleet.tally().promoted.len(), 2, "{verb}");

        stage.fleet.forgive();
        assert_eq!(stage.runner(true).await.drive(Patience::Leave).await.unwrap(), Ended::Done);
        stage.assert_well_done();
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_answered_on_the_way_back_is_on_record() {
    let stage = Stage::new(2, &first_window(Mode::Background));
    stage.fleet.refuse("quay-2", "put-config", Reason::Config);
    stage.runner(true).await.drive(Patience::Leave).await.unwrap();
    let state = stage.state();
    let asked = stage.plan.plan().back.iter().flat_map(|step| {
        let state = &state;
        step.nodes.iter().map(move |node| (step, state.act_state(step.number, node)))
    });
    let done = asked.filter(|(_, act)| matches!(act, ActState::Done { .. }));
    let mut verbs: Vec<String> = done.map(|(step, _)| format!("{:?}", step.what)).collect();
    verbs.dedup();
    insta::assert_snapshot!(verbs.join("\n"));
}

/// A run that goes back and whose quay-2 does not come up.
async fn held_on_the_way_back() -> Stage {
    let stage = Stage::new(3, &first_window(Mode::Background));
    stage.fleet.refuse("quay-1", "put-config", Reason::Drifted);
    stage.fleet.fresh_one_dies("quay-2");
    let ended = stage.runner(true).await.drive(Patience::Leave).await.unwrap();
    let failed = |failures: &[(NodeName, Problem)]| {
        failures.len() == 1
            && failures[0].0.as_str() == "quay-2"
            && matches!(failures[0].1, Problem::AtGate { .. })
    };
    assert!(matches!(&ended, Ended::Failed { failures, .. } if failed(failures)), "{ended:?}");
    stage
}

async fn retried(stage: &Stage) -> Ended {
    let mut runner = stage.runner(false).await;
    let plan = Arc::clone(&stage.plan);
    runner.retry(plan.plan(), &"quay-2".parse().unwrap()).await.unwrap().unwrap();
    runner.drive(Patience::Leave).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_node_that_does_not_come_back_is_tried_again_with_another_container() {
    let stage = held_on_the_way_back().await;
    let ended = stage.runner(false).await.drive(Patience::Leave).await.unwrap();
    assert!(matches!(ended, Ended::Failed { .. }), "looking again helps nothing: {ended:?}");
    let ended = retried(&stage).await;
    assert!(matches!(ended, Ended::Back { .. }), "{ended:?}");
    stage.assert_as_before();
    assert_eq!(stage.state().attempt(&"quay-2".parse().unwrap()), 2);
}

#[tokio::test(start_paused = true)]
async fn another_machine_goes_on_with_a_way_back_that_was_tried_again() {
    let stage = held_on_the_way_back().await;
    stage.fleet.fresh_one_dies("quay-2");
    assert!(matches!(retried(&stage).await, Ended::Failed { .. }));
    let elsewhere = leases::rebuilt(&stage).await;
    let ended = retried(&elsewhere).await;
    assert!(matches!(ended, Ended::Back { .. }), "{ended:?}");
    elsewhere.assert_as_before();
    assert_eq!(elsewhere.state().attempt(&"quay-2".parse().unwrap()), 3);
}
