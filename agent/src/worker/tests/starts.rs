//! The starts: at most once, on proven ground, and nothing touches a
//! migration.

use quaymaster_proto::RestartPolicy;
use quaymaster_proto::database::Session;

use super::*;

#[tokio::test]
async fn the_migrating_start_happens_once_whoever_asks_again() {
    let mut rig = Rig::new().await;
    let staged = rig.ready().await;
    let order = rig.migrate(&staged);
    let first = rig.next(order.clone()).await.unwrap();
    assert_eq!(first.how, How::Changed);
    assert!(first.engine_time.is_some());
    // Again, from a new process, and after it has ended: its state, no start.
    assert_eq!(rig.again(order.clone()).await.unwrap().how, How::Already);
    assert_eq!(rig.at(2, 1, rig.stage()).await.unwrap().how, How::Already);
    rig.engine().end(&staged, 255);
    let after = rig.at(2, rig.step, order).await.unwrap();
    assert_eq!((after.how, after.container.unwrap().exit_code), (How::Already, 255));
    assert_eq!(rig.engine().starts(), 1);
}

#[tokio::test]
async fn a_start_that_failed_to_start_may_be_asked_for_again() {
    let mut rig = Rig::new().await;
    let staged = rig.ready().await;
    let order = rig.migrate(&staged);
    rig.fault(Fault::StartFails);
    refused(rig.next(order.clone()).await, Reason::Engine, "did not start");
    rig.heal();
    assert_eq!(rig.again(order).await.unwrap().how, How::Changed);
    assert!(rig.engine().look(&staged).state.ever_started());
}

#[tokio::test]
async fn what_the_engine_shows_counts_and_not_what_it_says() {
    let mut rig = Rig::new().await;
    let staged = rig.ready().await;
    rig.fault(Fault::StartSaysFailed);
    assert_eq!(rig.next(rig.migrate(&staged)).await.unwrap().how, How::Changed);
}

#[tokio::test]
async fn every_ground_of_a_start_is_checked_before_it() {
    let mut rig = Rig::new().await;
    let staged = rig.ready().await;
    let order = rig.migrate(&staged);

    let mut other = order.clone();
    other.database.identity = DatabaseIdentity::new("sqlite:/elsewhere").unwrap();
    refused(rig.next(other).await, Reason::Database, "/elsewhere");

    let mut later = order.clone();
    later.database.revisions = vec![TARGET.to_owned()];
    refused(rig.next(later).await, Reason::Database, BEFORE);

    let mut otherwise = order.clone();
    otherwise.config = "b".repeat(64).parse().unwrap();
    refused(rig.next(otherwise).await, Reason::Drifted, "config.yaml");

    let mut mode = order.clone();
    mode.generation.mode = Mode::Background;
    refused(rig.next(mode).await, Reason::NotOurs, "not staged");

    let mut image = order.clone();
    image.generation.image = image_id(7);
    refused(rig.next(image).await, Reason::Drifted, "image");

    let mut gone = order.clone();
    gone.container = container_id(99);
    refused(rig.next(gone).await, Reason::Drifted, "not on this node");

    rig.engine().run(2, "quay.quaymaster-00000000-next", spec(image_id(OLD_IMAGE), &[]));
    refused(rig.next(order).await, Reason::Drifted, "is running");
    assert_eq!(rig.engine().starts(), 0);
}

#[tokio::test]
async fn a_policy_on_a_staged_container_would_start_it_again() {
    let mut rig = Rig::new().await;
    let staged = rig.ready().await;
    rig.alter(&staged, |stored| {
        stored.container.state.restart_policy = RestartPolicy::Always;
    });
    refused(rig.next(rig.migrate(&staged)).await, Reason::Drifted, "restart policy");
}

#[tokio::test]
async fn an_override_that_would_change_the_mode_is_seen() {
    let mut rig = Rig::new().await;
    let staged = rig.ready().await;
    let json = crate::secret::Secret::new(r#"{"V3_UPGRADE_MODE": "background"}"#);
    rig.alter(&staged, |stored| {
        stored.spec.environment.insert("QUAY_OVERRIDE_CONFIG".to_owned(), Some(json));
    });
    refused(rig.next(rig.migrate(&staged)).await, Reason::Drifted, "background");
}

#[tokio::test]
async fn an_override_that_would_undo_the_setup_is_seen() {
    let mut rig = Rig::new().await;
    let staged = rig.ready().await;
    let json = crate::secret::Secret::new(r#"{"SETUP_COMPLETE": false}"#);
    rig.alter(&staged, |stored| {
        stored.spec.environment.insert("QUAY_OVERRIDE_CONFIG".to_owned(), Some(json));
    });
    refused(rig.next(rig.migrate(&staged)).await, Reason::Config, "SETUP_COMPLETE");
    assert_eq!(rig.engine().starts(), 0);
}

#[tokio::test]
async fn another_start_needs_the_target_revision() {
    let mut rig = Rig::new().await;
    let staged = rig.ready().await;
    refused(rig.next(rig.start(&staged)).await, Reason::Database, BEFORE);
    assert_eq!(rig.engine().starts(), 0);
    rig.set_revision(TARGET).await;
    let order = rig.start(&staged);
    assert_eq!(rig.next(order.clone()).await.unwrap().how, How::Changed);
    assert_eq!(rig.again(order.clone()).await.unwrap().how, How::Already);
    rig.engine().end(&staged, 137);
    refused(rig.again(order).await, Reason::AlreadyRan, "137");
    assert_eq!(rig.engine().starts(), 1);
}

#[tokio::test]
async fn nothing_touches_a_container_that_may_be_migrating() {
    let mut rig = Rig::new().await;
    let staged = rig.ready().await;
    rig.next(rig.migrate(&staged)).await.unwrap();
    let stop = EnsureStopped {
        component: Component::Quay,
        container: staged.clone(),
        generation: generation(NEW_IMAGE, Mode::Complete),
        grace_seconds: 10,
        restart_policy: RestartPolicy::Always,
    };
    refused(rig.next(stop.clone()).await, Reason::NotOurs, "not proven");
    let promote = Promote {
        component: Component::Quay,
        container: staged.clone(),
        generation: generation(NEW_IMAGE, Mode::Complete),
        restart_policy: RestartPolicy::Always,
    };
    refused(rig.next(promote).await, Reason::Drifted, "not healthy");
    assert_eq!(rig.engine().look(&staged).state.status.to_string(), "running");
    // Its end is a proof.
    rig.engine().end(&staged, 255);
    assert_eq!(rig.next(stop).await.unwrap().how, How::Changed);
}

#[tokio::test]
async fn a_lost_ledger_does_not_let_a_migration_be_stopped() {
    let mut rig = Rig::new().await;
    let staged = rig.ready().await;
    rig.next(rig.migrate(&staged)).await.unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    *rig.worker.node.ledger() = LedgerSlot::open(elsewhere.path());
    let stop = EnsureStopped {
        component: Component::Quay,
        container: staged.clone(),
        generation: generation(NEW_IMAGE, Mode::Complete),
        grace_seconds: 10,
        restart_policy: RestartPolicy::Always,
    };
    refused(rig.next(stop.clone()).await, Reason::NotOurs, "not proven");
    assert_eq!(rig.engine().look(&staged).state.status.to_string(), "running");
    rig.serve(&staged).await;
    assert_eq!(rig.next(stop).await.unwrap().how, How::Changed);
}

#[tokio::test]
async fn a_quay_that_had_nothing_to_migrate_may_be_stopped_before_it_serves() {
    let mut rig = Rig::new().await;
    let staged = rig.ready().await;
    rig.set_revision(TARGET).await;
    rig.next(rig.start(&staged)).await.unwrap();
    let stop = EnsureStopped {
        component: Component::Quay,
        container: staged.clone(),
        generation: generation(NEW_IMAGE, Mode::Complete),
        grace_seconds: 10,
        restart_policy: RestartPolicy::Always,
    };
    assert_eq!(rig.next(stop).await.unwrap().how, How::Changed);
}

#[tokio::test]
async fn a_start_by_somebody_else_during_the_proof_is_seen() {
    let mut rig = Rig::new().await;
    let staged = rig.ready().await;
    rig.fault(Fault::StartsWhenListed);
    let outcome = rig.next(rig.migrate(&staged)).await.unwrap();
    assert_eq!((outcome.how, rig.engine().starts()), (How::Already, 0));

    let mut rig = Rig::new().await;
    let staged = rig.ready().await;
    rig.set_revision(TARGET).await;
    rig.fault(Fault::StartsWhenListed);
    let outcome = rig.next(rig.start(&staged)).await.unwrap();
    assert_eq!((outcome.how, rig.engine().starts()), (How::Already, 0));
}

#[tokio::test]
async fn a_policy_that_is_given_during_the_proof_is_seen() {
    let mut rig = Rig::new().await;
    let staged = rig.ready().await;
    rig.fault(Fault::GetsPolicyWhenListed);
    refused(rig.next(rig.migrate(&staged)).await, Reason::Drifted, "restart policy");
    assert_eq!(rig.engine().starts(), 0);
}

/// One session of a Quay that nobody stopped, anew at every look.
fn stranger(pid: i64) -> Vec<Session> {
    vec![Session {
        pid,
        user: "quay".to_owned(),
        application: String::new(),
        address: "10.0.0.3".to_owned(),
        since: None,
    }]
}

#[tokio::test]
async fn sessions_that_come_and_go_stand_against_a_migration_until_a_look_finds_none() {
    let mut rig = Rig::new().await;
    let staged = rig.ready().await;
    let order = rig.migrate(&staged);
    rig.show_sessions((1..=9).map(stranger).collect());
    refused(rig.next(order.clone()).await, Reason::Database, "(quay, -, 10.0.0.3)");
    assert_eq!(rig.engine().starts(), 0);
    // One that has just begun says its name, or ends, a moment later.
    rig.show_sessions(vec![stranger(1), stranger(2), Vec::new()]);
    assert_eq!(rig.next(order).await.unwrap().how, How::Changed);
}

#[tokio::test]
async fn what_another_quaymaster_has_locked_is_not_migrated() {
    let mut rig = Rig::new().await;
    let staged = rig.ready().await;
    let order = rig.migrate(&staged);
    let agent = "quaymaster-agent/other/quay-7".to_owned();
    let holder = stranger(7).pop().map(|session| Session { application: agent, ..session });
    rig.lock_database(holder);
    let said = "(quay, quaymaster-agent/other/quay-7, 10.0.0.3)";
    refused(rig.next(order.clone()).await, Reason::Database, said);
    assert_eq!(rig.engine().starts(), 0);
    rig.lock_database(None);
    refused(rig.next(order.clone()).await, Reason::Database, "a session that is gone by now");
    rig.show_sessions(Vec::new());
    assert_eq!(rig.next(order).await.unwrap().how, How::Changed);
}
