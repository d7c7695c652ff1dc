//! What a rollback takes down, and what it leaves alone.

use quaymaster_proto::ContainerStatus;

use super::floors::new_only;
use super::*;

fn down(container: Option<&ContainerId>, destroys_migration: bool) -> TakeDown {
    TakeDown {
        component: Component::Quay,
        container: container.cloned(),
        generation: generation(NEW_IMAGE, Mode::Complete),
        grace_seconds: 10,
        destroys_migration,
    }
}

#[tokio::test]
async fn a_migration_is_ended_by_an_order_that_says_so_and_by_no_other() {
    let mut rig = Rig::new().await;
    let staged = rig.ready().await;
    rig.next(rig.migrate(&staged)).await.unwrap();
    refused(rig.next(down(Some(&staged), false)).await, Reason::NotOurs, "may be migrating");
    assert!(rig.engine().state().containers[&staged].container.state.status.is_alive());
    let outcome = rig.next(down(Some(&staged), true)).await.unwrap();
    assert_eq!(outcome.how, How::Changed);
    let state = outcome.container.unwrap();
    assert!(!state.status.is_alive() && state.restart_policy == RestartPolicy::No);
    assert_eq!(state.name, "quay.quaymaster-q69g5fav-undone");
    assert_eq!(rig.again(down(Some(&staged), true)).await.unwrap().how, How::Already);
    // Its end is on record: nobody takes it for one that migrates any more.
    rig.reopen_ledger();
    assert!(!rig.worker.node.ledger().may_be_migrating(&staged));
}

#[tokio::test]
async fn an_earlier_attempt_that_a_person_started_by_hand_is_ended_with_the_last_one() {
    let mut rig = Rig::new().await;
    let first = rig.ready().await;
    rig.next(rig.migrate(&first)).await.unwrap();
    rig.alter(&first, |stored| stored.container.state.status = ContainerStatus::Exited);
    let another = StageContainer { attempt: 2, ..rig.stage() };
    let last = rig.next(another).await.unwrap().container.unwrap().id;
    rig.next(rig.migrate(&last)).await.unwrap();
    rig.alter(&first, |stored| stored.container.state.status = ContainerStatus::Running);
    refused(rig.next(down(Some(&last), false)).await, Reason::NotOurs, "may be migrating");
    let state = rig.next(down(Some(&last), true)).await.unwrap().container.unwrap();
    assert_eq!(state.id, last);
    for id in [&first, &last] {
        let state = rig.engine().state().containers[id].container.state.clone();
        assert!(!state.status.is_alive() && state.name.contains("-undone"), "{}", state.name);
        assert!(!rig.worker.node.ledger().may_be_migrating(id));
    }
    assert_eq!(rig.again(down(Some(&last), true)).await.unwrap().how, How::Already);
}

#[tokio::test]
async fn what_serves_under_the_well_known_name_is_ended_and_loses_name_and_policy() {
    let mut rig = Rig::new().await;
    let staged = rig.ready().await;
    rig.next(rig.migrate(&staged)).await.unwrap();
    rig.serve(&staged).await;
    let promote = Promote {
        component: Component::Quay,
        container: staged.clone(),
        generation: generation(NEW_IMAGE, Mode::Complete),
        restart_policy: RestartPolicy::Always,
    };
    rig.next(promote).await.unwrap();
    let state = rig.next(down(Some(&staged), false)).await.unwrap().container.unwrap();
    assert!(!state.status.is_alive() && state.restart_policy == RestartPolicy::No);
    assert_eq!(state.name, "quay.quaymaster-q69g5fav-undone");
}

#[tokio::test]
async fn what_never_started_is_removed_and_nothing_of_its_generation_starts_any_more() {
    let mut rig = Rig::new().await;
    let staged = rig.ready().await;
    // Where the answer to its staging was lost nobody knows its id.
    let outcome = rig.next(down(None, false)).await.unwrap();
    assert_eq!((outcome.how, outcome.container), (How::Changed, None));
    assert!(!rig.engine().state().containers.contains_key(&staged));
    assert_eq!(rig.again(down(None, false)).await.unwrap().how, How::Already);
    let another = rig.at(2, 21, rig.stage()).await.unwrap().container.unwrap().id;
    refused(rig.at(2, 22, rig.migrate(&another)).await, Reason::Superseded, "rolled back");
    rig.set_revision(TARGET).await;
    refused(rig.at(2, 23, rig.start(&another)).await, Reason::Superseded, "rolled back");
    assert_eq!(rig.engine().starts(), 0);
}

#[tokio::test]
async fn one_that_is_gone_is_down_and_one_of_another_generation_is_left_alone() {
    let mut rig = Rig::new().await;
    let staged = rig.ready().await;
    let old = rig.old.clone();
    refused(rig.next(down(Some(&old), true)).await, Reason::Drifted, "runs image");
    rig.engine().state().containers.remove(&staged);
    assert_eq!(rig.next(down(Some(&staged), true)).await.unwrap().how, How::Already);
}

#[tokio::test]
async fn behind_a_restore_the_floor_is_lowered_by_what_the_agent_itself_reads() {
    let mut rig = Rig::new().await;
    rig.ready().await;
    rig.next(SetFloor { from: None, to: new_only() }).await.unwrap();
    rig.set_revision(TARGET).await;
    let expected =
        ExpectedDatabase { identity: rig.identity(), revisions: vec![BEFORE.to_owned()] };
    let lower = LowerFloor { from: new_only(), to: None, database: Some(expected) };
    refused(rig.next(lower.clone()).await, Reason::Database, "is at revision");
    assert_eq!(rig.worker.node.describe(None).await.unwrap().floor, Some(new_only()));
    rig.set_revision(BEFORE).await;
    assert_eq!(rig.next(lower).await.unwrap().how, How::Changed);
    assert_eq!(rig.worker.node.describe(None).await.unwrap().floor, None);
}
