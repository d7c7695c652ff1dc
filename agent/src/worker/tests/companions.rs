//! What stands beside a Quay: a mirror, which is a Quay that migrates, and
//! Clair, which reads no database.

use super::*;

/// A mirror of before beside the Quay, and what it reads.
fn run_mirror(rig: &Rig) -> ContainerId {
    let root = rig.directory.path();
    let (config, db) = (root.join("config"), root.join("db"));
    let binds = [(config.to_str().unwrap(), "/conf/stack"), (db.to_str().unwrap(), "/var/quay-db")];
    rig.engine().run(20, "quay-mirror", spec(image_id(OLD_IMAGE), &binds))
}

fn stage_mirror(rig: &Rig, of: &ContainerId) -> StageContainer {
    let spec = rig.engine().state().containers[of].spec.digest(&Kept::spec_key_in_tests());
    StageContainer {
        component: Component::Mirror,
        container: of.clone(),
        spec,
        port_moves: Vec::new(),
        ..rig.stage()
    }
}

fn stop_mirror(rig: &Rig, mirror: &ContainerId) -> EnsureStopped {
    EnsureStopped { component: Component::Mirror, container: mirror.clone(), ..rig.stop() }
}

#[tokio::test]
async fn a_mirror_starts_beside_the_quay_of_its_own_run_and_beside_no_other() {
    let mut rig = Rig::new().await;
    let old = run_mirror(&rig);
    let staged = rig.next(stage_mirror(&rig, &old)).await.unwrap().container.unwrap().id;
    let quay = rig.ready_with(stop_mirror(&rig, &old)).await;
    rig.set_revision(TARGET).await;
    let start = EnsureRunning { component: Component::Mirror, ..rig.start(&staged) };
    rig.next(rig.start(&quay)).await.unwrap();
    assert_eq!(rig.next(start.clone()).await.unwrap().how, How::Changed);

    // A Quay that this run did not stage may be of any generation.
    let mut rig = Rig::new().await;
    let old = run_mirror(&rig);
    let staged = rig.next(stage_mirror(&rig, &old)).await.unwrap().container.unwrap().id;
    rig.ready_with(stop_mirror(&rig, &old)).await;
    rig.set_revision(TARGET).await;
    rig.engine().run(30, "quay", spec(image_id(NEW_IMAGE), &[]));
    let start = EnsureRunning { component: Component::Mirror, ..rig.start(&staged) };
    refused(rig.next(start).await, Reason::Drifted, "`quay`");
    assert_eq!(rig.engine().starts(), 0);
}

#[tokio::test]
async fn a_mirror_proves_its_database_as_a_quay_does() {
    let mut rig = Rig::new().await;
    let old = run_mirror(&rig);
    let staged = rig.next(stage_mirror(&rig, &old)).await.unwrap().container.unwrap().id;
    rig.ready_with(stop_mirror(&rig, &old)).await;
    let start = EnsureRunning { component: Component::Mirror, ..rig.start(&staged) };
    refused(rig.next(start.clone()).await, Reason::Database, BEFORE);
    let bare = EnsureRunning { ground: None, ..start };
    refused(rig.next(bare).await, Reason::Invalid, "without its database");
    assert_eq!(rig.engine().starts(), 0);
}

#[tokio::test]
async fn a_living_mirror_keeps_config_yaml_from_being_changed() {
    let mut rig = Rig::new().await;
    run_mirror(&rig);
    let (from, to) = (rig.digest(), rig.digest_in(Mode::Complete));
    let config = StageConfig { from: from.clone(), to: to.clone(), mode: Mode::Complete };
    rig.next(config).await.unwrap();
    rig.next(rig.stop()).await.unwrap();
    refused(rig.next(PutConfig { from, to }).await, Reason::Drifted, "quay-mirror");
}

#[tokio::test]
async fn the_policy_of_a_stopped_container_is_told_for_its_successor() {
    let mut rig = Rig::new().await;
    let clair = rig.engine().run(20, "clair", spec(image_id(OLD_IMAGE), &[]));
    let stop = EnsureStopped {
        component: Component::Clair,
        container: clair,
        restart_policy: RestartPolicy::UnlessStopped,
        ..rig.stop()
    };
    rig.next(stop.clone()).await.unwrap();
    // A later window sees `no`, and says so.
    rig.next(EnsureStopped { restart_policy: RestartPolicy::No, ..stop }).await.unwrap();
    let facts = rig.worker.node.describe(None).await.unwrap();
    let clair = facts.component(Component::Clair).unwrap();
    assert_eq!(clair.container, None);
    let [old] = clair.others.as_slice() else { panic!("{clair:?}") };
    assert_eq!(old.state.restart_policy, RestartPolicy::No);
    assert_eq!(old.wanted_restart_policy(), RestartPolicy::UnlessStopped);
}
