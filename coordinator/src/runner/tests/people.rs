//! What only a person orders, and when it is declined.

use super::stage::{Stage, first_window, second_window};
use super::*;
use crate::run::{Crossing, Direction};

pub(super) const REFUSED: &[&str] =
    &["Exception: Configuration flag `V3_UPGRADE_MODE` must be set."];
const BEGUN: &[&str] = &[
    "INFO  [alembic.runtime.migration] Running upgrade 5b7503aada1b -> 5cbbfc95bac7, x",
    "Killed",
];

pub(super) async fn failed(mode: Mode, log: &[&'static str]) -> Stage {
    let stage = Stage::new(3, &first_window(mode));
    stage.fleet.first_exits_with(255);
    stage.fleet.first_says(log);
    let ended = stage.runner(true).await.drive(Patience::Leave).await.unwrap();
    let Ended::Closed { failure: GateFailure::Exited { log: Some(said), .. }, .. } = &ended else {
        panic!("{ended:?}")
    };
    assert_eq!(said.lines, log);
    assert!(stage.fleet.tally().returned.is_empty(), "never by itself");
    stage
}

#[tokio::test(start_paused = true)]
async fn a_start_that_applied_nothing_can_be_aborted() {
    let stage = failed(Mode::Background, REFUSED).await;
    let mut runner = stage.runner(true).await;
    let plan = Arc::clone(&stage.plan);
    runner.abort(plan.plan(), Some("the file was wrong".to_owned())).await.unwrap().unwrap();
    let ended = runner.drive(Patience::Leave).await.unwrap();
    assert!(matches!(ended, Ended::Back { because: Cause::Person { .. } }), "{ended:?}");
    assert!(matches!(
        stage.state().direction,
        Direction::Back { crossing: Crossing::NothingApplied, .. }
    ));
    assert_eq!(stage.fleet.tally().returned.len(), 3);
    assert_eq!(stage.fleet.tally().migrating_starts, 1);
}

#[tokio::test(start_paused = true)]
async fn one_that_was_killed_inside_its_first_revision_cannot() {
    let stage = failed(Mode::Background, BEGUN).await;
    let mut runner = stage.runner(true).await;
    let plan = Arc::clone(&stage.plan);
    let declined = runner.abort(plan.plan(), None).await.unwrap().unwrap_err();
    assert!(matches!(&declined, Declined::Because(why) if why.contains("log")), "{declined:?}");
    let declined = runner.retry(plan.plan(), &plan.plan().first).await.unwrap().unwrap_err();
    assert!(
        matches!(&declined, Declined::Because(why) if why.contains("changes tables")),
        "{declined:?}"
    );
    assert!(stage.has_crossed());
    assert!(stage.fleet.tally().returned.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_retry_is_another_container_and_a_persons_order() {
    let stage = failed(Mode::Complete, REFUSED).await;
    // Going on alone starts nothing anew.
    stage.runner(true).await.drive(Patience::Leave).await.unwrap();
    assert_eq!(stage.fleet.tally().migrating_starts, 1);

    stage.fleet.mend_first();
    let mut runner = stage.runner(true).await;
    let plan = Arc::clone(&stage.plan);
    runner.retry(plan.plan(), &plan.plan().first).await.unwrap().unwrap();
    assert_eq!(runner.drive(Patience::Leave).await.unwrap(), Ended::Done);
    assert_eq!(stage.fleet.tally().migrating_starts, 2);
    assert_eq!(stage.fleet.tally().violations, Vec::<String>::new());
    assert_eq!(stage.fleet.tally().promoted.len(), 3);
    assert_eq!(stage.state().attempt(&plan.plan().first), 2);
}

fn somebody() -> quaymaster_proto::database::Session {
    quaymaster_proto::database::Session {
        pid: 77,
        user: "alice".to_owned(),
        application: "psql".to_owned(),
        address: "10.9.9.9".to_owned(),
        since: None,
    }
}

/// The second window, whose migration died and is tried again, with somebody on
/// the database before its second start.
async fn tried_again(log: &[&'static str]) -> (Stage, Ended) {
    let stage = Stage::new(3, &second_window());
    stage.fleet.backfill(&[0.995]);
    stage.fleet.first_exits_with(1);
    stage.fleet.first_says(log);
    let ended = stage.runner(true).await.drive(Patience::Leave).await.unwrap();
    assert!(matches!(ended, Ended::Closed { .. }), "{ended:?}");
    stage.fleet.mend_first();
    stage.fleet.connect(somebody());
    let mut runner = stage.runner(true).await;
    let plan = Arc::clone(&stage.plan);
    runner.retry(plan.plan(), &plan.plan().first).await.unwrap().unwrap();
    let ended = runner.drive(Patience::Leave).await.unwrap();
    (stage, ended)
}

#[tokio::test(start_paused = true)]
async fn a_second_container_that_is_removed_says_nothing_of_the_first() {
    let running = "INFO [alembic.runtime.migration] Running upgrade 481623ba00ba -> b918abdbee43";
    let (stage, ended) = tried_again(&[running]).await;
    assert!(
        matches!(&ended, Ended::Closed { failure: GateFailure::ForeignSessions { .. }, .. }),
        "{ended:?}"
    );
    assert!(stage.fleet.tally().returned.is_empty(), "nobody is started");
    let plan = Arc::clone(&stage.plan);
    let declined = stage.runner(true).await.abort(plan.plan(), None).await.unwrap().unwrap_err();
    assert!(
        matches!(&declined, Declined::Because(why) if why.contains("an earlier container")),
        "{declined:?}"
    );
    // Nor does a machine that makes the run anew from its nodes.
    let rebuilt = leases::rebuilt(&stage).await;
    assert!(rebuilt.state().direction.is_there());
    stage.fleet.forgive();
    assert_eq!(stage.runner(true).await.drive(Patience::Leave).await.unwrap(), Ended::Done);
    assert_eq!(stage.fleet.tally().promoted.len(), 3);
    assert_eq!(stage.fleet.tally().violations, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn where_no_attempt_applied_anything_an_abort_still_can_be() {
    let (stage, ended) = tried_again(&["Exception: Unable to connect"]).await;
    assert!(matches!(ended, Ended::Closed { .. }), "{ended:?}");
    assert!(stage.fleet.tally().returned.is_empty(), "never by itself");
    stage.fleet.forgive();
    let mut runner = stage.runner(true).await;
    let plan = Arc::clone(&stage.plan);
    runner.abort(plan.plan(), None).await.unwrap().unwrap();
    let ended = runner.drive(Patience::Leave).await.unwrap();
    assert!(matches!(ended, Ended::Back { .. }), "{ended:?}");
    assert_eq!(stage.fleet.tally().returned.len(), 3);
    assert_eq!(stage.fleet.tally().migrating_starts, 1);
}

#[tokio::test(start_paused = true)]
async fn before_the_outage_an_abort_leaves_nothing_behind() {
    let stage = Stage::new(3, &first_window(Mode::Background));
    let mut runner = stage.runner(false).await;
    let waiting = runner.drive(Patience::Leave).await.unwrap();
    assert!(matches!(waiting, Ended::Waiting { .. }), "{waiting:?}");
    let plan = Arc::clone(&stage.plan);
    runner.abort(plan.plan(), None).await.unwrap().unwrap();
    let ended = runner.drive(Patience::Leave).await.unwrap();
    assert!(matches!(ended, Ended::Back { .. }), "{ended:?}");
    assert!(stage.fleet.tally().returned.is_empty());
    assert!(stage.state().went_back());
}

#[tokio::test(start_paused = true)]
async fn the_first_nodes_part_is_another_ones_only_at_the_target() {
    let stage = Stage::new(3, &first_window(Mode::Background));
    die_before(&stage, |event| is_answer_to(&stage, event, Verb::StartMigrating)).await;
    let plan = Arc::clone(&stage.plan);
    let heir = "quay-2".parse().unwrap();
    stage.fleet.silence("quay-1");
    let declined = stage.runner(true).await.hand_over(plan.plan(), &heir).await.unwrap();
    assert!(
        matches!(&declined, Err(Declined::Because(why)) if why.contains("not over")),
        "{declined:?}"
    );

    tokio::time::advance(crate::nodes::fake::MIGRATION).await;
    let mut runner = stage.runner(true).await;
    runner.hand_over(plan.plan(), &heir).await.unwrap().unwrap();
    let ended = runner.drive(Patience::Leave).await.unwrap();
    assert!(
        matches!(&ended, Ended::Failed { failures, .. }
        if failures.len() == 1 && failures[0].0.as_str() == "quay-1"),
        "{ended:?}"
    );
    assert_eq!(stage.fleet.tally().promoted.len(), 2);
    assert_eq!(stage.fleet.tally().violations, Vec::<String>::new());

    stage.fleet.forgive();
    assert_eq!(stage.runner(true).await.drive(Patience::Leave).await.unwrap(), Ended::Done);
    stage.assert_well_done();
}

#[tokio::test(start_paused = true)]
async fn a_hand_over_needs_no_dark_any_more() {
    let stage = Stage::new(3, &first_window(Mode::Background));
    die_before(&stage, |event| is_answer_to(&stage, event, Verb::StartMigrating)).await;
    stage.fleet.silence("quay-1");
    // Going on alone looks for the dark again, and the first node is silent.
    let ended = stage.runner(true).await.drive(Patience::Leave).await.unwrap();
    assert!(matches!(&ended, Ended::Closed { .. } | Ended::Failed { .. }), "{ended:?}");
    assert!(stage.fleet.tally().returned.is_empty());
    tokio::time::advance(crate::nodes::fake::MIGRATION).await;
    let plan = Arc::clone(&stage.plan);
    let mut runner = stage.runner(true).await;
    runner.hand_over(plan.plan(), &"quay-2".parse().unwrap()).await.unwrap().unwrap();
    let ended = runner.drive(Patience::Leave).await.unwrap();
    assert!(
        matches!(&ended, Ended::Failed { failures, .. }
        if failures.len() == 1 && failures[0].0.as_str() == "quay-1"),
        "{ended:?}"
    );
    assert_eq!(stage.fleet.tally().promoted.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_first_node_that_ends_beside_others_starts_again_as_one_of_them() {
    let stage = Stage::new(3, &first_window(Mode::Complete));
    die_before(&stage, |event| is_intent_of(&stage, event, Verb::Promote)).await;
    stage.fleet.end_staged("quay-1");
    let plan = Arc::clone(&stage.plan);
    let mut runner = stage.runner(true).await;
    runner.retry(plan.plan(), &plan.plan().first).await.unwrap().unwrap();
    assert_eq!(runner.drive(Patience::Leave).await.unwrap(), Ended::Done);
    assert_eq!(stage.fleet.tally().migrating_starts, 1);
    assert_eq!(stage.fleet.tally().promoted.len(), 3);
    assert_eq!(stage.fleet.tally().violations, Vec::<String>::new());
}

fn gone() -> String {
    "its host is burnt".to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_run_ends_without_a_node_that_a_person_gives_up() {
    let stage = Stage::new(3, &first_window(Mode::Background));
    stage.fleet.lose("quay-3", "ensure-running");
    let ended = stage.runner(true).await.drive(Patience::Leave).await.unwrap();
    assert!(matches!(ended, Ended::Failed { .. }), "{ended:?}");
    assert_eq!(stage.fleet.tally().promoted.len(), 2, "the others serve");
    let (plan, lost) = (Arc::clone(&stage.plan), "quay-3".parse().unwrap());
    let mut runner = stage.runner(true).await;
    runner.go_without(plan.plan(), &lost, gone()).await.unwrap().unwrap();
    assert_eq!(runner.drive(Patience::Leave).await.unwrap(), Ended::Done);
    let report = crate::report::report(plan.plan(), &stage.state());
    assert_eq!(report.left_out, [(lost, gone())]);
    assert_eq!(report.nodes_done, 2);
    assert_eq!(stage.fleet.tally().violations, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_way_back_ends_without_a_node_that_a_person_gives_up() {
    let stage = Stage::new(3, &first_window(Mode::Background));
    stage.fleet.refuse("quay-2", "put-config", Reason::Drifted);
    stage.fleet.lose("quay-3", "recreate");
    let ended = stage.runner(true).await.drive(Patience::Leave).await.unwrap();
    assert!(matches!(ended, Ended::Failed { .. }), "{ended:?}");
    let (plan, lost) = (Arc::clone(&stage.plan), "quay-3".parse().unwrap());
    let mut runner = stage.runner(true).await;
    runner.go_without(plan.plan(), &lost, gone()).await.unwrap().unwrap();
    let ended = runner.drive(Patience::Leave).await.unwrap();
    assert!(matches!(ended, Ended::Back { .. }), "{ended:?}");
    assert_eq!(stage.fleet.tally().returned.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_given_up_whom_the_window_needs() {
    let stage = failed(Mode::Background, REFUSED).await;
    let plan = Arc::clone(&stage.plan);
    let mut runner = stage.runner(true).await;
    let declined = async |runner: &mut Runner<_, _>, node: &str, words: &str| {
        let node = node.parse().unwrap();
        let heard = runner.go_without(plan.plan(), &node, words.to_owned()).await;
        match heard.unwrap().unwrap_err() {
            Declined::Because(why) => why,
            declined @ (Declined::Ended(_) | Declined::CalledOff) => panic!("{declined:?}"),
        }
    };
    let why = declined(&mut runner, "quay-2", "its host is burnt").await;
    assert!(why.contains("has to be seen dark"), "{why}");
    let why = declined(&mut runner, "quay-2", " ").await;
    assert!(why.contains("how the Quay of quay-2 is kept"), "{why}");
    let why = declined(&mut runner, "quay-9", "its host is burnt").await;
    assert!(why.contains("no node quay-9"), "{why}");
    assert!(stage.state().left_out.is_empty());

    let stage = Stage::new(2, &first_window(Mode::Background));
    stage.fleet.lose("quay-2", "ensure-running");
    stage.runner(true).await.drive(Patience::Leave).await.unwrap();
    let plan = Arc::clone(&stage.plan);
    let first = stage.runner(true).await.go_without(plan.plan(), &plan.plan().first, gone()).await;
    assert!(
        matches!(first.unwrap(), Err(Declined::Because(why)) if why.contains("first node's part"))
    );
}
