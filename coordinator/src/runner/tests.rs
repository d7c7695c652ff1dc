mod back;
mod heal;
mod journal;
mod leases;
mod people;
mod rollback;
mod stage;
mod verification;

use proptest::prelude::*;
use quaymaster_proto::{Component, ContainerStatus, Mode, Reason};

use self::stage::{Death, Stage, approval, first_window, second_window};
use super::*;
use crate::nodes::fake::psql;
use crate::plan::{Gate, Verb, What};
use crate::run::Evidence;

#[tokio::test(start_paused = true)]
async fn a_whole_window_runs_to_its_end() {
    for nodes in [1, 3, 6] {
        for window in
            [first_window(Mode::Background), first_window(Mode::Complete), second_window()]
        {
            let stage = Stage::new(nodes, &window);
            stage.fleet.backfill(&[0.991]);
            let ended = stage.runner(true).await.drive(Patience::Leave).await.unwrap();
            assert_eq!(ended, Ended::Done, "{nodes} nodes, {} to {}", window.from, window.to);
            stage.assert_well_done();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_outage_holds_no_wait_that_is_not_needed() {
    let stage = Stage::new(3, &first_window(Mode::Background));
    stage.runner(true).await.drive(Patience::Leave).await.unwrap();
    let figures = crate::report::report(stage.plan.plan(), &stage.state());
    let (outage, limit) = (figures.outage.unwrap(), figures.limit.unwrap().sum());
    // Virtual time: what is over is waits of ours, not the machine's. That the
    // first node's health lasts is asked for by the plan.
    let over = outage - limit - stage.plan.plan().timings.healthy_for;
    assert!(over <= std::time::Duration::from_millis(300), "{outage:?} {limit:?}");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_dies_at_any_record_is_followed_by_one_that_finishes() {
    for window in [first_window(Mode::Background), second_window()] {
        for keeps_last in [false, true] {
            for appends in 0.. {
                let stage = Stage::new(3, &window);
                stage.fleet.backfill(&[0.995]);
                let mut runner = stage.runner(true).await;
                stage.book.die(Some(Death { appends, keeps_last }));
                let ended = runner.drive(Patience::Leave).await;
                drop(runner);
                stage.book.die(None);
                if ended.is_ok() {
                    assert!(appends > 15, "the whole run was written in {appends} appends");
                    break;
                }
                if stage.state().finished_at.is_none() {
                    let ended = stage.runner(true).await.drive(Patience::Leave).await.unwrap();
                    assert_eq!(ended, Ended::Done, "died after {appends} appends");
                }
                stage.assert_well_done();
            }
        }
    }
}

const BESIDE: [(&str, Component); 4] = [
    ("quay-1", Component::Clair),
    ("quay-2", Component::Builder),
    ("quay-3", Component::Builder),
    ("quay-3", Component::Mirror),
];

#[tokio::test(start_paused = true)]
async fn containers_beside_the_quays_stop_before_and_return_after_them() {
    let stage = Stage::with(3, &first_window(Mode::Complete), &BESIDE);
    let ended = stage.runner(true).await.drive(Patience::Leave).await.unwrap();
    assert_eq!(ended, Ended::Done);
    stage.assert_well_done();
    insta::assert_snapshot!(stage.fleet.tally().companions.join("\n"), @r"
    stop builder quay-2
    stop builder quay-3
    stop mirror quay-3
    stop clair quay-1
    start builder quay-2
    start builder quay-3
    start clair quay-1
    start mirror quay-3
    promote builder quay-2
    promote builder quay-3
    promote clair quay-1
    promote mirror quay-3
    ");
}

#[tokio::test(start_paused = true)]
async fn a_death_among_the_companions_is_followed_by_a_finish() {
    for appends in 0.. {
        let stage = Stage::with(3, &first_window(Mode::Complete), &BESIDE);
        let mut runner = stage.runner(true).await;
        stage.book.die(Some(Death { appends, keeps_last: appends % 2 == 0 }));
        let ended = runner.drive(Patience::Leave).await;
        drop(runner);
        stage.book.die(None);
        if ended.is_ok() {
            assert!(appends > 40, "the whole run was written in {appends} appends");
            break;
        }
        if stage.state().finished_at.is_none() {
            let ended = stage.runner(true).await.drive(Patience::Leave).await.unwrap();
            assert_eq!(ended, Ended::Done, "died after {appends} appends");
        }
        stage.assert_well_done();
        assert_eq!(stage.fleet.tally().companions.len(), 12, "died after {appends} appends");
    }
}

fn is_intent_of(stage: &Stage, event: &Event, verb: Verb) -> bool {
    let step = stage.plan.plan().first_step(What::Act(verb)).unwrap().number;
    matches!(event, Event::Intended { step: found, .. } if *found == step)
}

#[tokio::test(start_paused = true)]
async fn a_migration_that_ends_badly_is_told_with_its_code_and_nothing_else_starts() {
    let stage = Stage::new(3, &first_window(Mode::Background));
    stage.fleet.first_exits_with(255);
    let ended = stage.runner(true).await.drive(Patience::Leave).await.unwrap();
    let Ended::Closed { step: _, failure } = ended else { panic!("{ended:?}") };
    assert!(
        matches!(&failure, GateFailure::Exited { node, exit_code: 255, revision: Some(_), log: Some(_) }
            if node.as_str() == "quay-1"),
        "{failure:?}"
    );
    assert!(stage.has_crossed());
    assert_eq!(stage.fleet.tally().started.len(), 1);
    // Taking it in hand again starts nothing anew.
    stage.runner(true).await.drive(Patience::Leave).await.unwrap();
    assert_eq!(stage.fleet.tally().migrating_starts, 1);
}

/// The step of a gate, the last one of its kind.
fn last_gate(stage: &Stage, gate: Gate) -> StepNumber {
    let mut steps = stage.plan.plan().steps.iter();
    steps.rfind(|step| step.what == What::Gate(gate)).unwrap().number
}

/// Somebody starts the old Quay of the node between two processes: the second
/// one must see it at this gate, start nothing more, and go on when it is gone.
async fn assert_held_by_an_old_quay(stage: &Stage, node: &str, gate: Gate) {
    let before = stage.fleet.tally();
    stage.fleet.set_old_container(node, ContainerStatus::Running);
    let ended = stage.runner(true).await.drive(Patience::Leave).await.unwrap();
    assert!(
        matches!(&ended, Ended::Closed { step, failure: GateFailure::Alive { containers } }
            if step.number == last_gate(stage, gate) && containers[0].contains(node)),
        "{ended:?}"
    );
    assert_eq!(stage.fleet.tally(), before);

    stage.fleet.set_old_container(node, ContainerStatus::Exited);
    assert_eq!(stage.runner(true).await.drive(Patience::Leave).await.unwrap(), Ended::Done);
    stage.assert_well_done();
}

/// Runs until this event would be written, which it is not.
async fn die_before(stage: &Stage, is_last: impl Fn(&Event) -> bool) {
    die_before_as(stage, Stage::new(3, &first_window(Mode::Background)), is_last).await;
}

/// `whole` = another one of the same plan, to see when that is.
async fn die_before_as(stage: &Stage, whole: Stage, is_last: impl Fn(&Event) -> bool) {
    let mut runner = stage.runner(true).await;
    whole.runner(true).await.drive(Patience::Leave).await.unwrap();
    let appends = whole.book.appends(is_last);
    stage.book.die(Some(Death { appends, keeps_last: false }));
    runner.drive(Patience::Leave).await.unwrap_err();
    stage.book.die(None);
}

#[tokio::test(start_paused = true)]
async fn the_others_start_only_where_no_old_quay_lives() {
    let stage = Stage::new(3, &first_window(Mode::Background));
    die_before(&stage, |event| is_intent_of(&stage, event, Verb::Start)).await;
    assert_eq!(stage.fleet.tally().started.len(), 1);
    assert_held_by_an_old_quay(&stage, "quay-3", Gate::FirstNode).await;
}

#[tokio::test(start_paused = true)]
async fn an_old_quay_that_comes_up_during_the_migration_holds_the_others() {
    let stage = Stage::new(3, &first_window(Mode::Background));
    let mut runner = stage.runner(true).await;
    let driving = tokio::spawn(async move { runner.drive(Patience::Leave).await });
    while stage.fleet.tally().started.is_empty() {
        tokio::task::yield_now().await;
        tokio::time::advance(std::time::Duration::from_millis(10)).await;
    }
    stage.fleet.set_old_container("quay-2", ContainerStatus::Running);
    let ended = driving.await.unwrap().unwrap();
    assert!(matches!(ended, Ended::Closed { failure: GateFailure::Alive { .. }, .. }), "{ended:?}");
    assert_eq!(stage.fleet.tally().started.len(), 1);
}

/// Its agent stopped it at once; what it may have written is in no backup.
#[tokio::test(start_paused = true)]
async fn an_old_quay_that_ran_behind_the_backup_leads_the_window_back() {
    let stage = Stage::new(3, &first_window(Mode::Background));
    let mut runner = stage.runner(true).await;
    let driving = tokio::spawn(async move { runner.drive(Patience::Leave).await });
    let has = |verb| stage.book.events().iter().any(|event| is_intent_of(&stage, event, verb));
    while !has(Verb::BackUp) {
        tokio::task::yield_now().await;
        tokio::time::advance(std::time::Duration::from_millis(5)).await;
    }
    stage.fleet.run_old_container("quay-3");
    let ended = driving.await.unwrap().unwrap();
    let Ended::Back { because: Cause::Closed { failure, .. } } = &ended else {
        panic!("{ended:?}")
    };
    assert!(
        matches!(failure, GateFailure::StaleBackup { since } if since[0].starts_with("quay-3: ")),
        "{failure:?}"
    );
    assert!(!has(Verb::StartMigrating));
    stage.assert_as_before();
}

/// Nobody drove the run meanwhile: the next process has the database backed up
/// anew, over what has run by then.
#[tokio::test(start_paused = true)]
async fn a_process_says_anew_over_what_the_database_is_backed_up() {
    let stage = Stage::new(3, &first_window(Mode::Background));
    die_before(&stage, |event| is_intent_of(&stage, event, Verb::PutConfig)).await;
    stage.fleet.run_old_container("quay-3");
    let ended = stage.runner(true).await.drive(Patience::Leave).await.unwrap();
    assert_eq!(ended, Ended::Done);
    let orders = stage.fleet.tally().backups;
    assert_eq!(orders.len(), 2);
    assert_ne!(orders[0], orders[1]);
    stage.assert_well_done();
}

fn is_answer_to(stage: &Stage, event: &Event, verb: Verb) -> bool {
    let step = stage.plan.plan().first_step(What::Act(verb)).unwrap().number;
    matches!(event, Event::Settled { step: found, .. } if *found == step)
}

#[tokio::test(start_paused = true)]
async fn a_run_is_never_driven_with_another_plan() {
    let mut stage = Stage::new(3, &first_window(Mode::Background));
    stage.runner(true).await;
    stage.plan = Stage::new(3, &first_window(Mode::Complete)).plan;
    let error = stage.runner(true).await.drive(Patience::Leave).await.unwrap_err();
    assert!(matches!(error, RunError::OtherPlan { .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_backfill_is_left_to_itself_or_waited_for_or_waived() {
    let stage = Stage::new(3, &second_window());
    stage.fleet.backfill(&[0.40, 0.60, 0.80, 0.99, 0.995, 1.0]);
    let mut runner = stage.runner(true).await;
    let ended = runner.drive(Patience::Leave).await.unwrap();
    assert!(matches!(&ended, Ended::Waiting { on: WaitingOn::Backfill { .. }, .. }), "{ended:?}");
    assert_eq!(runner.drive(Patience::Stay).await.unwrap(), Ended::Done);
    stage.assert_well_done();

    let stage = Stage::new(3, &second_window());
    stage.fleet.backfill(&[0.40]);
    let mut runner = stage.runner(true).await;
    let at = stage.fleet.now();
    stage.book.inbox.lock().unwrap().push(approval(Gate::Backfill, at));
    assert_eq!(runner.drive(Patience::Stay).await.unwrap(), Ended::Done);
    let gate = stage.plan.plan().first_step(What::Gate(Gate::Backfill)).unwrap();
    let passed = &stage.state().gates[&gate.number];
    assert!(
        matches!(passed, crate::run::GateState::Passed { evidence: Evidence::Person { .. }, .. }),
        "{passed:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn nobody_goes_dark_without_a_persons_word() {
    let stage = Stage::new(1, &first_window(Mode::Background));
    let mut runner = stage.runner(false).await;
    let ended = runner.drive(Patience::Leave).await.unwrap();
    assert!(matches!(&ended, Ended::Waiting { on: WaitingOn::Approval, .. }), "{ended:?}");
    assert!(stage.fleet.tally().started.is_empty());
    let at = stage.fleet.now();
    stage.book.inbox.lock().unwrap().push(approval(Gate::Approval, at));
    assert_eq!(runner.drive(Patience::Stay).await.unwrap(), Ended::Done);
    stage.assert_well_done();
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 24,
        ..ProptestConfig::default()
    })]

    /// Several deaths in a row, anywhere.
    #[test]
    fn any_number_of_deaths_ends_as_an_undisturbed_run_does(
        deaths in prop::collection::vec((0_usize..20, any::<bool>()), 1..6)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let stage = Stage::new(2, &first_window(Mode::Complete));
            for (appends, keeps_last) in deaths {
                let mut runner = stage.runner(true).await;
                stage.book.die(Some(Death { appends, keeps_last }));
                let ended = runner.drive(Patience::Leave).await;
                stage.book.die(None);
                if ended.is_ok() || stage.state().finished_at.is_some() {
                    return stage.assert_well_done();
                }
            }
            stage.runner(true).await.drive(Patience::Leave).await.unwrap();
            stage.assert_well_done();
        });
    }
}
