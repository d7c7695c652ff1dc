//! The way back: staged things removed, the kept file restored, what ran made
//! anew; and further attempts.

use quaymaster_proto::{ContainerStatus, RestartPolicy};

use super::*;

fn remove(container: &ContainerId) -> RemoveStaged {
    RemoveStaged { component: Component::Quay, container: Some(container.clone()) }
}

fn recreate(rig: &Rig, attempt: u32) -> Recreate {
    Recreate {
        component: Component::Quay,
        container: rig.old.clone(),
        generation: generation(OLD_IMAGE, Mode::Absent),
        attempt,
    }
}

fn promote(container: &ContainerId) -> Promote {
    Promote {
        component: Component::Quay,
        container: container.clone(),
        generation: generation(OLD_IMAGE, Mode::Absent),
        restart_policy: RestartPolicy::Always,
    }
}

fn start_old(rig: &Rig, container: &ContainerId) -> EnsureRunning {
    EnsureRunning {
        component: Component::Quay,
        container: container.clone(),
        generation: generation(OLD_IMAGE, Mode::Absent),
        ground: Some(Ground {
            database: ExpectedDatabase {
                identity: rig.identity(),
                revisions: vec![BEFORE.to_owned()],
            },
            config: rig.digest(),
        }),
    }
}

#[tokio::test]
async fn a_staged_container_that_never_started_is_removed_and_never_started_again() {
    let mut rig = Rig::new().await;
    let staged = rig.ready().await;
    let migrate = rig.migrate(&staged);
    // The intent of its start is on record, yet the engine says: never.
    rig.fault(Fault::StartFails);
    refused(rig.next(migrate.clone()).await, Reason::Engine, "did not start");
    rig.heal();
    assert_eq!(rig.next(remove(&staged)).await.unwrap().how, How::Changed);
    assert_eq!(rig.again(remove(&staged)).await.unwrap().how, How::Already);
    // Another process stages again: another container.
    let again = rig.at(2, 21, rig.stage()).await.unwrap().container.unwrap().id;
    assert_ne!(again, staged);
    assert_eq!(rig.at(2, 22, remove(&again)).await.unwrap().how, How::Changed);
    rig.at(3, 23, rig.stage()).await.unwrap();
}

#[tokio::test]
async fn what_was_given_up_is_not_started_even_where_it_is_still_there() {
    let mut rig = Rig::new().await;
    let staged = rig.ready().await;
    let (act, work) = (rig.act(1, rig.step + 1), Work::Act(remove(&staged).order()));
    rig.worker.node.admit(&act, &work).unwrap();
    rig.worker.node.record(&act, &work, Event::Intended).unwrap();
    rig.step += 1;
    refused(rig.next(rig.migrate(&staged)).await, Reason::Superseded, "gave it up");
    rig.set_revision(TARGET).await;
    refused(rig.at(2, 21, rig.start(&staged)).await, Reason::Superseded, "gave it up");
    assert_eq!(rig.engine().starts(), 0);
}

#[tokio::test]
async fn without_proof_nothing_is_taken_for_never_started() {
    let mut rig = Rig::new().await;
    let staged = rig.ready().await;
    // It started: whatever became of it.
    rig.next(rig.migrate(&staged)).await.unwrap();
    refused(rig.next(remove(&staged)).await, Reason::AlreadyRan, "is running");
    rig.engine().end(&staged, 1);
    refused(rig.next(remove(&staged)).await, Reason::AlreadyRan, "is exited");
    assert!(rig.engine().state().containers.contains_key(&staged));
    // It is gone, and not by this agent.
    rig.engine().state().containers.remove(&staged);
    refused(rig.next(remove(&staged)).await, Reason::Drifted, "nothing proves");
    // It is none of this run's.
    refused(rig.next(remove(&rig.old.clone())).await, Reason::NotOurs, "not staged by run");
}

#[tokio::test]
async fn a_start_that_comes_between_look_and_removal_is_seen() {
    let mut rig = Rig::new().await;
    let staged = rig.ready().await;
    rig.fault(Fault::StartsBeforeRemoval);
    refused(rig.next(remove(&staged)).await, Reason::AlreadyRan, "is running");
    assert!(rig.engine().state().containers.contains_key(&staged));
    // It ends, and somebody prunes it: what was once on record stays.
    rig.engine().end(&staged, 1);
    rig.engine().state().containers.remove(&staged);
    refused(rig.again(remove(&staged)).await, Reason::Drifted, "nothing proves");
    rig.reopen_ledger();
    refused(rig.at(2, 21, remove(&staged)).await, Reason::Drifted, "nothing proves");
}

#[tokio::test]
async fn a_removal_that_a_crash_cut_off_is_found_done() {
    let mut rig = Rig::new().await;
    let staged = rig.ready().await;
    let (act, work) = (rig.act(1, rig.step + 1), Work::Act(remove(&staged).order()));
    rig.worker.node.record(&act, &work, Event::Intended).unwrap();
    rig.engine().state().containers.remove(&staged);
    rig.reopen_ledger();
    assert_eq!(rig.next(remove(&staged)).await.unwrap().how, How::Already);
}

#[tokio::test]
async fn the_kept_file_comes_back_by_its_digest_in_the_dark() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut rig = Rig::new().await;
    let before = std::fs::read(rig.config()).unwrap();
    std::fs::set_permissions(rig.config(), std::fs::Permissions::from_mode(0o640)).unwrap();
    let old = rig.digest();
    rig.ready().await;
    let new = rig.digest();
    let restore = RestoreConfig { from: new.clone(), to: old.clone() };
    let unkept = RestoreConfig { from: new.clone(), to: "e".repeat(64).parse().unwrap() };
    refused(rig.next(unkept).await, Reason::Config, "kept-eeee");
    let other = RestoreConfig { from: "f".repeat(64).parse().unwrap(), to: old.clone() };
    refused(rig.next(other).await, Reason::Drifted, "as the plan saw it");
    let stranger = rig.engine().run(50, "quay", spec(image_id(OLD_IMAGE), &[]));
    refused(rig.next(restore.clone()).await, Reason::Drifted, "is running");
    assert_eq!(rig.digest(), new);
    rig.engine().end(&stranger, 0);
    let outcome = rig.next(restore.clone()).await.unwrap();
    assert_eq!((outcome.how, outcome.config), (How::Changed, Some(old)));
    assert_eq!(std::fs::read(rig.config()).unwrap(), before);
    let mode = rig.config().metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o640);
    // Also beside a Quay that lives: nothing is changed.
    rig.engine().run(51, "quay", spec(image_id(OLD_IMAGE), &[]));
    assert_eq!(rig.again(restore).await.unwrap().how, How::Already);
}

#[tokio::test]
async fn a_kept_file_that_was_changed_is_not_put_back() {
    let mut rig = Rig::new().await;
    let old = rig.digest();
    rig.ready().await;
    let new = rig.digest();
    let kept = config_file::ConfigFile::read(&rig.config()).unwrap().kept_path(&old);
    std::fs::write(kept, "A: 1\n").unwrap();
    let restore = RestoreConfig { from: new.clone(), to: old };
    refused(rig.next(restore).await, Reason::Config, "does not hold");
    assert_eq!(rig.digest(), new);
}

#[tokio::test]
async fn the_staged_config_goes_and_no_other_file() {
    let mut rig = Rig::new().await;
    let (from, to) = (rig.digest(), rig.digest_in(Mode::Complete));
    let remove = RemoveStagedConfig { staged: to.clone() };
    assert_eq!(rig.next(remove.clone()).await.unwrap().how, How::Already);
    let stage = StageConfig { from: from.clone(), to, mode: Mode::Complete };
    rig.next(stage.clone()).await.unwrap();
    let sibling = config_file::ConfigFile::read(&rig.config()).unwrap().sibling(rig.act(1, 1).run);
    let other = RemoveStagedConfig { staged: from.clone() };
    refused(rig.next(other).await, Reason::Config, "as the run staged it");
    assert!(sibling.exists());
    assert_eq!(rig.next(remove).await.unwrap().how, How::Changed);
    assert!(!sibling.exists());
    assert_eq!(rig.digest(), from);
}

#[tokio::test]
async fn what_was_stopped_comes_back_as_a_fresh_container_of_the_same() {
    let mut rig = Rig::new().await;
    let before = rig.engine().state().containers[&rig.old].spec.clone();
    let old = rig.digest();
    let staged = rig.ready().await;
    rig.next(remove(&staged)).await.unwrap();
    let restore = RestoreConfig { from: rig.digest(), to: old };
    rig.next(restore).await.unwrap();
    let outcome = rig.next(recreate(&rig, 1)).await.unwrap();
    let fresh = outcome.container.unwrap();
    assert_eq!((outcome.how, fresh.name.as_str()), (How::Changed, "quay.quaymaster-q69g5fav-back"));
    assert_eq!((fresh.restart_policy, fresh.ever_started()), (RestartPolicy::No, false));
    let spec = rig.engine().state().containers[&fresh.id].spec.clone();
    assert_eq!((spec.image, spec.storage), (before.image, before.storage));
    let again = rig.again(recreate(&rig, 1)).await.unwrap();
    assert_eq!((again.how, again.container.unwrap().id), (How::Already, fresh.id.clone()));
    assert_eq!(rig.next(start_old(&rig, &fresh.id)).await.unwrap().how, How::Changed);
    rig.serve(&fresh.id).await;
    let state = rig.next(promote(&fresh.id)).await.unwrap().container.unwrap();
    assert_eq!((state.name.as_str(), state.restart_policy), ("quay", RestartPolicy::Always));
    // Promoted, it is known again; ended, it is of no more use, and leaves its
    // name and its policy to the next.
    assert_eq!(rig.next(recreate(&rig, 1)).await.unwrap().how, How::Already);
    rig.engine().end(&fresh.id, 1);
    let second = rig.next(recreate(&rig, 1)).await.unwrap();
    assert_eq!(second.how, How::Changed);
    assert_eq!(second.container.unwrap().name, "quay.quaymaster-q69g5fav-back-2");
    let ended = rig.engine().state().containers[&fresh.id].container.state.clone();
    assert_ne!(ended.name, "quay");
    assert_eq!(ended.restart_policy, RestartPolicy::No);
}

#[tokio::test]
async fn what_was_never_stopped_is_the_answer_and_gets_its_policy_back() {
    let mut rig = Rig::new().await;
    rig.next(rig.stage()).await.unwrap();
    // The agent ended between the policy and the stop.
    let (act, work) = (rig.act(1, 2), Work::Act(rig.stop().order()));
    rig.worker.node.record(&act, &work, Event::Intended).unwrap();
    let old = rig.old.clone();
    rig.alter(&old, |stored| stored.container.state.restart_policy = RestartPolicy::No);
    rig.step = 2;
    let outcome = rig.next(recreate(&rig, 1)).await.unwrap();
    assert_eq!((outcome.how, outcome.container.unwrap().id), (How::Already, old.clone()));
    let outcome = rig.next(start_old(&rig, &old)).await.unwrap();
    assert_eq!(outcome.how, How::Already);
    rig.serve(&old).await;
    let state = rig.next(promote(&old)).await.unwrap().container.unwrap();
    assert_eq!((state.name.as_str(), state.restart_policy), ("quay", RestartPolicy::Always));
    let mut other = start_old(&rig, &old);
    other.generation.image = image_id(NEW_IMAGE);
    refused(rig.next(other).await, Reason::Drifted, "image");
    assert_eq!(rig.engine().starts(), 0);
}

#[tokio::test]
async fn what_a_cut_off_stop_left_gives_up_its_name_and_policy() {
    let mut rig = Rig::new().await;
    rig.next(rig.stage()).await.unwrap();
    // It went down, and the engine was gone before the agent could see it.
    let (act, work) = (rig.act(1, 2), Work::Act(rig.stop().order()));
    rig.worker.node.record(&act, &work, Event::Intended).unwrap();
    let old = rig.old.clone();
    rig.engine().end(&old, 0);
    rig.step = 2;
    let fresh = rig.next(recreate(&rig, 1)).await.unwrap().container.unwrap();
    let left = rig.engine().state().containers[&old].container.state.clone();
    assert_eq!(left.name, "quay.quaymaster-q69g5fav-old");
    assert_eq!(left.restart_policy, RestartPolicy::No);
    rig.next(start_old(&rig, &fresh.id)).await.unwrap();
    rig.serve(&fresh.id).await;
    let state = rig.next(promote(&fresh.id)).await.unwrap().container.unwrap();
    assert_eq!(state.name, "quay");
}

#[tokio::test]
async fn an_old_container_that_was_stopped_is_not_started_again() {
    let mut rig = Rig::new().await;
    rig.next(rig.stop()).await.unwrap();
    let old = rig.old.clone();
    refused(rig.next(start_old(&rig, &old)).await, Reason::NotOurs, "was not staged by run");
    let mut other = recreate(&rig, 1);
    other.generation.image = image_id(NEW_IMAGE);
    refused(rig.next(other).await, Reason::Drifted, "image");
}

#[tokio::test]
async fn another_attempt_gets_a_container_of_its_own() {
    let mut rig = Rig::new().await;
    let first = rig.ready().await;
    rig.next(rig.migrate(&first)).await.unwrap();
    rig.engine().end(&first, 255);
    refused(rig.next(rig.stage()).await, Reason::AlreadyRan, "exit code 255");
    let second = StageContainer { attempt: 2, ..rig.stage() };
    let outcome = rig.next(second.clone()).await.unwrap();
    let made = outcome.container.unwrap();
    assert_eq!((outcome.how, made.status), (How::Changed, ContainerStatus::Created));
    assert_eq!(made.name, "quay.quaymaster-q69g5fav-next-2");
    assert_eq!(rig.again(second).await.unwrap().container.unwrap().id, made.id);
    assert_eq!(rig.next(rig.migrate(&made.id)).await.unwrap().how, How::Changed);
    assert_eq!(rig.engine().starts(), 2);
}
