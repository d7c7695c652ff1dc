//! Back past the point of no return: on order alone, by the window's own backup,
//! and only where nothing else has been over the nodes since.

use quaymaster_proto::act::Order;
use quaymaster_proto::job::JobOrder;

use super::leases::rebuilt;
use super::stage::{Death, Stage, first_window, second_window};
use super::*;
use crate::nodes::fake::{FakeFleet, dump};
use crate::plan::{PlannedBackup, Window};
use crate::render::{self, Explained, Style};
use crate::run::rollback::{NoRollback, backup};
use crate::run::{ActState, Direction, Task, task};

type Process = Runner<FakeFleet, stage::Notebook>;

fn wish(without: &[&str]) -> RollbackWish {
    let how = "its power is off".to_owned();
    let without = without.iter().map(|node| (node.parse().unwrap(), how.clone())).collect();
    RollbackWish { by: "carol@host".to_owned(), because: "it is too slow".to_owned(), without }
}

/// Orders it, and goes on with it.
async fn roll_back(stage: &Stage, mut runner: Process) -> Result<Ended, Declined> {
    runner.roll_back(stage.plan.plan(), wish(&[])).await.unwrap()?;
    Ok(runner.drive(Patience::Leave).await.unwrap())
}

async fn refused(stage: &Stage) -> String {
    match roll_back(stage, stage.late()).await.unwrap_err() {
        Declined::Because(why) => why,
        declined @ (Declined::Ended(_) | Declined::CalledOff) => panic!("{declined:?}"),
    }
}

fn assert_rolled_back(stage: &Stage) {
    let tally = stage.fleet.tally();
    assert_eq!(tally.violations, Vec::<String>::new());
    assert_eq!(tally.restores, 1);
    assert!(stage.state().is_rollback() && stage.state().went_back());
    stage.fleet.assert_as_found();
}

async fn finished(nodes: u8, window: &Window) -> Stage {
    let stage = Stage::new(nodes, window);
    stage.fleet.backfill(&[0.995]);
    assert_eq!(stage.runner(true).await.drive(Patience::Leave).await.unwrap(), Ended::Done);
    stage
}

#[tokio::test(start_paused = true)]
async fn a_window_that_is_done_is_rolled_back_to_what_it_found() {
    for nodes in [1, 3] {
        for window in
            [first_window(Mode::Background), first_window(Mode::Complete), second_window()]
        {
            let stage = finished(nodes, &window).await;
            let ended = roll_back(&stage, stage.late()).await.unwrap();
            assert_eq!(ended, Ended::RolledBack, "{nodes} nodes, {}", window.to);
            assert_rolled_back(&stage);
            // That is the end of it.
            assert!(refused(&stage).await.contains("rolled back already"));
        }
    }
}

/// A person may have started by hand what was staged anywhere; and who was
/// expected in the dark is expected at a restore.
#[tokio::test(start_paused = true)]
async fn every_quay_of_the_run_is_ended_on_whichever_node_and_expected_sessions_stay() {
    let stage = finished(3, &first_window(Mode::Complete)).await;
    let mut plan = stage.plan.plan().clone();
    plan.timings.expected_sessions = vec!["pg_exporter".to_owned()];
    let state = stage.state();
    let (mut ended, mut restored) = (0, 0);
    for step in &plan.rollback {
        for node in &step.nodes {
            match task(&plan, &state, step, node) {
                Ok(Task::Order(Order::TakeDown(down))) if down.component.migrates() => {
                    assert!(down.destroys_migration, "{node}");
                    ended += 1;
                }
                Ok(Task::Job(JobOrder::Restore(restore))) => {
                    assert_eq!(restore.expected_sessions, plan.timings.expected_sessions);
                    restored += 1;
                }
                Ok(Task::Order(_) | Task::Job(_)) | Err(_) => {}
            }
        }
    }
    assert_eq!((ended, restored), (3, 1));
}

/// The pages before and behind it, as a person reads them.
#[tokio::test(start_paused = true)]
async fn what_is_lost_is_said_before_it_and_what_serves_behind_it() {
    let stage = finished(3, &first_window(Mode::Complete)).await;
    let (plan, state) = (stage.plan.plan(), stage.state());
    let made = backup(plan, &state).unwrap();
    insta::assert_snapshot!(
        "rollback_before",
        render::rollback(plan, &state, made, stage.fleet.now())
    );
    roll_back(&stage, stage.late()).await.unwrap();
    let state = stage.state();
    let (plan, now) = (&stage.plan, stage.fleet.now());
    let explained = Explained { plan, state: &state, now, program: "quaymaster" };
    insta::assert_snapshot!("rollback_behind", render::put_back(&explained, Style::PLAIN));
}

#[tokio::test(start_paused = true)]
async fn a_migration_that_ended_badly_is_rolled_back() {
    let stage = Stage::new(3, &first_window(Mode::Complete));
    stage.fleet.first_exits_with(1);
    let ended = stage.runner(true).await.drive(Patience::Leave).await.unwrap();
    assert!(matches!(ended, Ended::Closed { .. }), "{ended:?}");
    assert_eq!(roll_back(&stage, stage.late()).await.unwrap(), Ended::RolledBack);
    assert_rolled_back(&stage);
}

#[tokio::test(start_paused = true)]
async fn what_stands_beside_the_quays_is_taken_down_and_returns_with_them() {
    let beside = [("quay-1", Component::Clair), ("quay-3", Component::Builder)];
    let stage = Stage::with(3, &first_window(Mode::Complete), &beside);
    assert_eq!(stage.runner(true).await.drive(Patience::Leave).await.unwrap(), Ended::Done);
    let before = stage.fleet.tally().companions.len();
    assert_eq!(roll_back(&stage, stage.late()).await.unwrap(), Ended::RolledBack);
    assert_rolled_back(&stage);
    let moves = stage.fleet.tally().companions[before..].join("\n");
    insta::assert_snapshot!(moves, @r"
    take down builder quay-3
    take down clair quay-1
    ");
}

#[tokio::test(start_paused = true)]
async fn a_spoiled_backup_is_found_while_the_registry_serves_and_nothing_is_stopped() {
    let stage = finished(3, &first_window(Mode::Complete)).await;
    let before = stage.state();
    stage.fleet.refuse("quay-1", "check the backup", Reason::Database);
    let why = refused(&stage).await;
    assert!(why.contains("nothing was stopped"), "{why}");
    let after = stage.state();
    assert_eq!((&after.direction, after.finished_at), (&Direction::There, before.finished_at));
    assert_eq!(stage.fleet.tally().restores, 0);
    stage.assert_well_done();
    // Mended, it is looked at anew.
    stage.fleet.forgive();
    assert_eq!(roll_back(&stage, stage.late()).await.unwrap(), Ended::RolledBack);
    assert_rolled_back(&stage);
}

#[tokio::test(start_paused = true)]
async fn it_is_called_off_as_long_as_nothing_was_taken_down() {
    let stage = finished(3, &first_window(Mode::Complete)).await;
    stage.book.die(Some(Death { appends: 1, keeps_last: false }));
    stage.late().roll_back(stage.plan.plan(), wish(&[])).await.unwrap_err();
    stage.book.die(None);
    assert!(stage.state().is_rollback());
    let mut runner = stage.runner(true).await;
    let heard = runner.abort(stage.plan.plan(), None).await.unwrap();
    assert_eq!(heard, Err(Declined::CalledOff));
    assert!(stage.state().direction.is_there() && stage.state().finished_at.is_some());
    stage.assert_well_done();
}

/// What would have been carried out by whoever resumes is not: a person who
/// interrupts it before anything was stopped has changed their mind.
#[tokio::test(start_paused = true)]
async fn interrupted_before_anything_was_stopped_it_is_over() {
    let stage = finished(3, &first_window(Mode::Complete)).await;
    let mut runner = stage.late();
    runner.roll_back(stage.plan.plan(), wish(&[])).await.unwrap().unwrap();
    assert!(runner.stand_down("interrupted").await.unwrap());
    assert!(stage.state().direction.is_there() && stage.state().finished_at.is_some());
    stage.assert_well_done();
    assert_eq!(roll_back(&stage, stage.late()).await.unwrap(), Ended::RolledBack);
    assert_rolled_back(&stage);

    // Once something is down, only on.
    let stage = finished(3, &first_window(Mode::Complete)).await;
    stage.fleet.refuse("quay-3", "take-down", Reason::Engine);
    let mut runner = stage.late();
    runner.roll_back(stage.plan.plan(), wish(&[])).await.unwrap().unwrap();
    runner.drive(Patience::Leave).await.unwrap();
    assert!(!runner.stand_down("interrupted").await.unwrap());
    assert!(stage.state().is_rollback());
}

/// A node that was given up may have come back with the new Quay, which would
/// migrate the restored database.
#[tokio::test(start_paused = true)]
async fn a_node_that_was_left_out_takes_part_again_or_is_left_out_in_words() {
    let stage = || async {
        let stage = Stage::new(3, &first_window(Mode::Complete));
        stage.fleet.lose("quay-3", "ensure-running");
        stage.runner(true).await.drive(Patience::Leave).await.unwrap();
        let (mut runner, node) = (stage.runner(true).await, "quay-3".parse().unwrap());
        let heard = runner.go_without(stage.plan.plan(), &node, "unplugged".to_owned()).await;
        assert_eq!(heard.unwrap(), Ok(()));
        assert_eq!(runner.drive(Patience::Leave).await.unwrap(), Ended::Done);
        stage.fleet.forgive();
        stage
    };
    let back = stage().await;
    assert_eq!(roll_back(&back, back.late()).await.unwrap(), Ended::RolledBack);
    assert_rolled_back(&back);
    assert!(back.state().left_out.is_empty());

    let gone = stage().await;
    gone.fleet.silence("quay-3");
    assert!(refused(&gone).await.contains("--without 'quay-3=HOW'"));
    let mut runner = gone.late();
    runner.roll_back(gone.plan.plan(), wish(&["quay-3"])).await.unwrap().unwrap();
    assert_eq!(runner.drive(Patience::Leave).await.unwrap(), Ended::RolledBack);
    assert_eq!(gone.fleet.tally().returned.len(), 2);
    assert!(gone.state().left_out.contains_key(&"quay-3".parse().unwrap()));

    // Called off, it is left out as before.
    let off = stage().await;
    let mut runner = off.late();
    runner.roll_back(off.plan.plan(), wish(&[])).await.unwrap().unwrap();
    assert!(off.state().left_out.is_empty());
    runner.stand_down("interrupted").await.unwrap();
    assert_eq!(off.state().left_out[&"quay-3".parse().unwrap()], "unplugged");
}

#[tokio::test(start_paused = true)]
async fn whoever_has_a_living_quay_or_the_backup_is_not_left_out() {
    let stage = finished(3, &first_window(Mode::Complete)).await;
    let said = async |without: &str| {
        let heard = stage.late().roll_back(stage.plan.plan(), wish(&[without])).await.unwrap();
        format!("{:?}", heard.unwrap_err())
    };
    assert!(said("quay-3").await.contains("quay-3 answers and has what lives"));
    assert!(said("quay-9").await.contains("the plan has no node quay-9"));
    stage.fleet.silence("quay-1");
    assert!(said("quay-1").await.contains("quay-1 has the backup"));
    assert!(stage.state().direction.is_there());
}

/// Nothing can make its old Quay again, so it is left out, once its Quay is stopped.
#[tokio::test(start_paused = true)]
async fn a_node_that_cannot_take_part_is_left_out_once_nothing_lives_there() {
    let stage = finished(3, &first_window(Mode::Complete)).await;
    stage.fleet.replace_container("quay-3");
    let why = refused(&stage).await;
    assert!(why.contains("quay-3 has no container") && why.contains("--without"), "{why}");
    stage.fleet.end_staged("quay-3");
    let mut runner = stage.late();
    runner.roll_back(stage.plan.plan(), wish(&["quay-3"])).await.unwrap().unwrap();
    assert_eq!(runner.drive(Patience::Leave).await.unwrap(), Ended::RolledBack);
    assert_eq!(stage.fleet.tally().returned.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_dies_between_the_take_down_and_the_restore_can_be_given_up() {
    let stage = finished(3, &first_window(Mode::Complete)).await;
    stage.fleet.lose("quay-3", "take-down");
    let ended = roll_back(&stage, stage.late()).await.unwrap();
    assert!(matches!(ended, Ended::Failed { .. }), "{ended:?}");
    assert_eq!(stage.fleet.tally().restores, 0);
    stage.fleet.silence("quay-3");
    let (mut runner, node) = (stage.runner(true).await, "quay-3".parse().unwrap());
    let heard = runner.go_without(stage.plan.plan(), &node, "unplugged".to_owned()).await.unwrap();
    assert_eq!(heard, Ok(()));
    assert_eq!(runner.drive(Patience::Leave).await.unwrap(), Ended::RolledBack);
    assert_eq!(stage.fleet.tally().returned.len(), 2);
}

/// One that was called off leaves an entry at the node with the backup.
#[tokio::test(start_paused = true)]
async fn another_machine_follows_a_run_that_went_back_behind_one_that_was_called_off() {
    let stage = people::failed(Mode::Complete, people::REFUSED).await;
    let mut runner = stage.late();
    runner.roll_back(stage.plan.plan(), wish(&[])).await.unwrap().unwrap();
    runner.stand_down("interrupted").await.unwrap();
    let mut runner = stage.runner(true).await;
    stage.fleet.refuse("quay-2", "recreate", Reason::Engine);
    runner.abort(stage.plan.plan(), None).await.unwrap().unwrap();
    runner.drive(Patience::Leave).await.unwrap();
    let elsewhere = rebuilt(&stage).await;
    assert!(matches!(elsewhere.state().direction, Direction::Back { .. }));
    elsewhere.fleet.forgive();
    let ended = elsewhere.runner(true).await.drive(Patience::Leave).await.unwrap();
    assert!(matches!(ended, Ended::Back { .. }), "{ended:?}");
    assert_eq!(elsewhere.fleet.tally().returned.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_dies_at_any_record_of_it_is_followed_by_one_that_ends_it() {
    for keeps_last in [false, true] {
        for appends in 0.. {
            let stage = finished(2, &first_window(Mode::Complete)).await;
            let plan = Arc::clone(&stage.plan);
            let mut runner = stage.late();
            stage.book.die(Some(Death { appends, keeps_last }));
            let heard = runner.roll_back(plan.plan(), wish(&[])).await;
            let ended = match heard {
                Ok(Ok(())) => runner.drive(Patience::Leave).await,
                Ok(Err(declined)) => panic!("{declined:?}"),
                Err(error) => Err(error),
            };
            drop(runner);
            stage.book.die(None);
            if ended.is_ok() {
                assert!(appends > 15, "all of it was written in {appends} appends");
                break;
            }
            if !stage.state().is_rollback() {
                assert_eq!(appends, 0, "its order is the first record");
                continue;
            }
            // Another machine knows it from the nodes alone, once something is down.
            let elsewhere = rebuilt(&stage).await;
            let knows = elsewhere.state().is_rollback();
            let down = plan.plan().rollback.iter().find(|it| it.what == What::Act(Verb::TakeDown));
            let (down, state) = (down.unwrap(), stage.state());
            let is_down = down
                .nodes
                .iter()
                .any(|node| matches!(state.act_state(down.number, node), ActState::Done { .. }));
            assert!(knows || !is_down, "after {appends} appends");
            let next = if knows { elsewhere } else { stage };
            if next.state().finished_at.is_none() {
                let ended = next.runner(true).await.drive(Patience::Leave).await.unwrap();
                assert_eq!(ended, Ended::RolledBack, "after {appends} appends");
            }
            let tally = next.fleet.tally();
            assert_eq!(tally.violations, Vec::<String>::new(), "after {appends} appends");
            next.fleet.assert_as_found();
        }
    }
}

/// The agent goes on with it, and whoever looks whether it is dark sees it there.
#[tokio::test(start_paused = true)]
async fn a_restore_that_its_node_goes_on_with_is_no_stranger_to_a_later_process() {
    let restore = What::Act(Verb::Restore);
    for appends in 0.. {
        let stage = finished(3, &first_window(Mode::Complete)).await;
        stage.book.die(Some(Death { appends, keeps_last: true }));
        let mut runner = stage.late();
        if let Ok(heard) = runner.roll_back(stage.plan.plan(), wish(&[])).await {
            heard.unwrap();
            runner.drive(Patience::Leave).await.unwrap_err();
        }
        stage.book.die(None);
        let (plan, state) = (stage.plan.plan(), stage.state());
        let step = plan.rollback.iter().find(|step| step.what == restore).unwrap();
        if !state.has_begun(step.number) {
            continue;
        }
        stage.fleet.connect(dump());
        let ended = stage.runner(true).await.drive(Patience::Leave).await.unwrap();
        assert_eq!(ended, Ended::RolledBack);
        assert_rolled_back(&stage);
        break;
    }
}

/// One of three was left behind.
fn others_serve(stage: &Stage, ended: &Ended) {
    assert!(matches!(ended, Ended::Failed { failures, .. } if failures.len() == 1), "{ended:?}");
    assert_eq!(stage.fleet.tally().returned.len(), 2, "the others serve");
}

/// Once nothing stands in its way a later process ends it.
async fn mended_it_ends(stage: &Stage) {
    stage.fleet.forgive();
    let ended = stage.runner(true).await.drive(Patience::Leave).await.unwrap();
    assert_eq!(ended, Ended::RolledBack);
    assert_rolled_back(stage);
}

#[tokio::test(start_paused = true)]
async fn before_the_restore_a_node_that_fails_holds_it_and_behind_it_is_left_behind() {
    let stage = finished(3, &first_window(Mode::Complete)).await;
    stage.fleet.refuse("quay-3", "take-down", Reason::Engine);
    let ended = roll_back(&stage, stage.late()).await.unwrap();
    assert!(
        matches!(&ended, Ended::Failed { step, .. } if step.what == What::Act(Verb::TakeDown)),
        "{ended:?}"
    );
    assert_eq!(stage.fleet.tally().restores, 0);
    let mut runner = stage.runner(true).await;
    let node = "quay-3".parse().unwrap();
    let heard = runner.go_without(stage.plan.plan(), &node, "unplugged".to_owned()).await.unwrap();
    assert!(matches!(heard, Err(Declined::Because(_))), "{heard:?}");
    stage.fleet.forgive();
    stage.fleet.refuse("quay-3", "recreate", Reason::Engine);
    others_serve(&stage, &stage.runner(true).await.drive(Patience::Leave).await.unwrap());
    mended_it_ends(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn behind_the_restore_the_others_serve_while_one_file_waits_for_a_person() {
    let stage = finished(3, &first_window(Mode::Complete)).await;
    stage.fleet.refuse("quay-2", "restore-config", Reason::Drifted);
    others_serve(&stage, &roll_back(&stage, stage.late()).await.unwrap());
    mended_it_ends(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn a_restore_that_fails_holds_with_everything_down() {
    let stage = finished(3, &first_window(Mode::Complete)).await;
    stage.fleet.refuse("quay-1", "restore", Reason::Database);
    let ended = roll_back(&stage, stage.late()).await.unwrap();
    assert!(
        matches!(&ended, Ended::Failed { step, .. } if step.what == What::Act(Verb::Restore)),
        "{ended:?}"
    );
    assert!(stage.fleet.tally().returned.is_empty());
    mended_it_ends(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn it_is_refused_where_it_could_not_be_done_or_would_undo_another_run() {
    let stage = Stage::new(3, &first_window(Mode::Complete));
    stage.fleet.refuse("quay-2", "put-config", Reason::Drifted);
    stage.runner(true).await;
    assert!(refused(&stage).await.contains("abort leads back"));
    stage.runner(true).await.drive(Patience::Leave).await.unwrap();
    assert!(refused(&stage).await.contains("went back"));

    let stage = finished(3, &first_window(Mode::Complete)).await;
    stage.fleet.silence("quay-3");
    assert!(refused(&stage).await.contains("quay-3 does not answer"));
    stage.fleet.forgive();
    stage.fleet.lose_ledger("quay-2");
    assert!(refused(&stage).await.contains("the floor of quay-2"));
    assert!(stage.state().direction.is_there());
    assert_eq!(stage.fleet.tally().restores, 0);

    // Not over what a person changed, or started.
    let stage = finished(3, &first_window(Mode::Complete)).await;
    stage.fleet.edit_config("quay-3");
    let why = refused(&stage).await;
    assert!(why.contains("config.yaml of quay-3") && why.contains("put"), "{why}");
    let stage = finished(3, &first_window(Mode::Complete)).await;
    stage.fleet.set_old_container("quay-2", ContainerStatus::Running);
    let why = refused(&stage).await;
    assert!(why.contains("did not start: quay-2: container quay"), "{why}");
    // Nor where nothing is left to make the old Quay from.
    let stage = finished(3, &first_window(Mode::Complete)).await;
    stage.fleet.replace_container("quay-2");
    let why = refused(&stage).await;
    assert!(why.contains("quay-2 has no container"), "{why}");
    assert!(stage.state().direction.is_there());

    let stage = finished(3, &first_window(Mode::Complete)).await;
    stage.fleet.driven_by_another("quay-2");
    let why = refused(&stage).await;
    assert!(why.contains("quay-2 was driven by run"), "{why}");

    let mut plan = stage.plan.plan().clone();
    plan.backup =
        PlannedBackup::Waived { because: "the disk array has snapshots".to_owned(), newest: None };
    assert!(matches!(backup(&plan, &stage.state()), Err(NoRollback::Waived { .. })));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_sound_any_more_is_asked_again_by_a_later_process() {
    let stage = finished(2, &first_window(Mode::Complete)).await;
    stage.fleet.refuse("quay-2", "take-down", Reason::Engine);
    roll_back(&stage, stage.late()).await.unwrap();
    let check = stage.plan.plan().rollback[0].number;
    let first = &stage.plan.plan().first;
    let is_done =
        |stage: &Stage| matches!(stage.state().act_state(check, first), ActState::Done { .. });
    assert!(is_done(&stage));
    // Something is down, so the restore itself looks at the backup again.
    stage.fleet.forgive();
    stage.fleet.refuse("quay-1", "check the backup", Reason::Database);
    let ended = stage.runner(true).await.drive(Patience::Leave).await.unwrap();
    assert_eq!(ended, Ended::RolledBack);
    assert_rolled_back(&stage);
}
