//! Staging, stopping, config and promotion; and which orders are let in.

use quaymaster_proto::{ContainerStatus, RestartPolicy};

use super::*;

#[tokio::test]
async fn a_staged_container_is_created_once_and_never_started() {
    let mut rig = Rig::new().await;
    let order = rig.stage();
    let outcome = rig.next(order.clone()).await.unwrap();
    let staged = outcome.container.unwrap();
    assert_eq!(outcome.how, How::Changed);
    assert_eq!(staged.name, "quay.quaymaster-q69g5fav-next");
    assert_eq!((staged.restart_policy, staged.ever_started()), (RestartPolicy::No, false));
    assert_eq!(staged.image, image_id(NEW_IMAGE));
    let again = rig.again(order).await.unwrap();
    assert_eq!((again.how, again.container.unwrap().id), (How::Already, staged.id));
}

#[tokio::test]
async fn before_a_quay_is_staged_its_node_keeps_its_config_directory_and_its_specs() {
    let mut rig = Rig::new().await;
    let config = rig.directory.path().join("config");
    let other = std::fs::File::create(config.join("dump")).unwrap();
    other.set_len(1 << 30).unwrap();
    let order = rig.stage();
    refused(rig.next(order).await, Reason::Config, "it holds more than 10000 files or 64 MB");
    assert_eq!(rig.engine().state().containers.len(), 1, "nothing was created");

    std::fs::remove_file(config.join("dump")).unwrap();
    let clair = rig.engine().run(9, "clair", spec(image_id(OLD_IMAGE), &[]));
    let order = rig.stage();
    rig.next(order).await.unwrap();
    let kept = rig.directory.path().join("state/kept").join(format!("{RUN}.quay-1.node"));
    let digests = std::fs::read_to_string(kept.join("SHA256SUMS")).unwrap();
    let names: Vec<&str> = digests.lines().map(|line| &line[66..]).collect();
    assert_eq!(names, ["config.tar", "quay.json", "clair.json"]);
    let text = std::fs::read_to_string(kept.join("clair.json")).unwrap();
    assert!(text.contains(clair.as_str()), "{text}");
}

#[tokio::test]
async fn a_container_that_is_not_as_the_plan_saw_it_is_not_staged_from() {
    let mut rig = Rig::new().await;
    let mut drifted = rig.stage();
    drifted.spec = "c".repeat(64).parse().unwrap();
    refused(rig.next(drifted).await, Reason::Drifted, "spec");
    let mut unpulled = rig.stage();
    unpulled.generation.image = image_id(404);
    refused(rig.next(unpulled).await, Reason::Image, "not on this node");
    let mut foreign = rig.stage();
    foreign.container = rig.engine().run(5, "postgres", spec(image_id(1), &[]));
    refused(rig.next(foreign).await, Reason::NotOurs, "postgres");
    let mut missing = rig.stage();
    missing.component = Component::Builder;
    let tags = vec!["evil.org/quay:v3.0.5".to_owned()];
    rig.engine().state().tags.insert(image_id(NEW_IMAGE), tags);
    refused(rig.next(rig.stage()).await, Reason::Image, "evil.org/quay:v3.0.5");
    let tags = vec!["evil.org/x:y".to_owned(), "quay.io/redhat/quay:v3.0.5".to_owned()];
    rig.engine().state().tags.insert(image_id(NEW_IMAGE), tags);
    assert_eq!(rig.next(rig.stage()).await.unwrap().how, How::Changed);
    refused(rig.next(missing).await, Reason::NoComponent, "builder");
}

#[tokio::test]
async fn the_policy_goes_before_the_stop_and_the_name_after_it() {
    let mut rig = Rig::new().await;
    let outcome = rig.next(rig.stop()).await.unwrap();
    assert_eq!(
        rig.engine().state().done,
        ["policy no", "stop", "rename quay.quaymaster-q69g5fav-old"]
    );
    assert!(outcome.engine_time.is_some());
    assert_eq!(rig.again(rig.stop()).await.unwrap().how, How::Already);
    assert_eq!(rig.engine().state().done.len(), 3);
}

#[tokio::test]
async fn an_engine_that_keeps_the_policy_is_not_asked_to_stop() {
    let mut rig = Rig::new().await;
    rig.fault(Fault::KeepsPolicy);
    refused(rig.next(rig.stop()).await, Reason::Engine, "keeps restart policy `always`");
    assert_eq!(rig.engine().state().done, ["policy no"]);
    rig.heal();
    rig.fault(Fault::KeepsRunning);
    refused(rig.again(rig.stop()).await, Reason::Engine, "still running");
    rig.heal();
    assert_eq!(rig.again(rig.stop()).await.unwrap().how, How::Changed);
}

#[tokio::test]
async fn a_stop_of_another_image_than_planned_is_refused() {
    let mut rig = Rig::new().await;
    let mut order = rig.stop();
    order.generation.image = image_id(7);
    refused(rig.next(order).await, Reason::Drifted, "image");
    assert!(rig.engine().state().done.is_empty());
}

#[tokio::test]
async fn config_waits_beside_the_file_until_no_quay_lives() {
    let mut rig = Rig::new().await;
    let before = std::fs::read(rig.config()).unwrap();
    let (from, to) = (rig.digest(), rig.digest_in(Mode::Complete));
    let stage = StageConfig { from: from.clone(), to: to.clone(), mode: Mode::Complete };
    let put = PutConfig { from: from.clone(), to: to.clone() };
    refused(rig.next(put.clone()).await, Reason::Drifted, "is running");
    assert_eq!(rig.next(stage.clone()).await.unwrap().how, How::Changed);
    assert_eq!(rig.again(stage.clone()).await.unwrap().how, How::Already);
    assert_eq!(std::fs::read(rig.config()).unwrap(), before);
    let kept = config_file::ConfigFile::read(&rig.config()).unwrap().kept_path(&from);
    assert_eq!(std::fs::read(kept).unwrap(), before);
    refused(rig.next(put.clone()).await, Reason::Drifted, "is running");
    rig.next(rig.stop()).await.unwrap();
    let outcome = rig.next(put.clone()).await.unwrap();
    assert_eq!((outcome.how, outcome.config), (How::Changed, Some(to.clone())));
    assert_eq!(rig.digest(), to);
    assert_eq!(rig.again(put).await.unwrap().how, How::Already);
    assert_eq!(rig.next(stage).await.unwrap().how, How::Already);
}

#[tokio::test]
async fn a_staged_config_without_the_files_mode_is_staged_again() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut rig = Rig::new().await;
    let (from, to) = (rig.digest(), rig.digest_in(Mode::Complete));
    let stage = StageConfig { from: from.clone(), to: to.clone(), mode: Mode::Complete };
    rig.next(stage.clone()).await.unwrap();
    let run = rig.act(1, 1).run;
    let sibling = config_file::ConfigFile::read(&rig.config()).unwrap().sibling(run);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o7777;
    let undress = || {
        std::fs::set_permissions(&sibling, std::fs::Permissions::from_mode(0o400)).unwrap();
    };
    undress();
    assert_eq!(rig.again(stage).await.unwrap().how, How::Changed);
    assert_eq!(mode(&sibling), mode(&rig.config()));
    let before = mode(&rig.config());
    undress();
    rig.next(rig.stop()).await.unwrap();
    rig.next(PutConfig { from, to }).await.unwrap();
    assert_eq!(mode(&rig.config()), before);
}

#[tokio::test]
async fn a_config_that_the_plan_did_not_see_is_left_alone() {
    let mut rig = Rig::new().await;
    let (from, to) = (rig.digest(), rig.digest_in(Mode::Complete));
    let stage = StageConfig { from: from.clone(), to: to.clone(), mode: Mode::Complete };
    let mut wrong = stage.clone();
    wrong.to = "d".repeat(64).parse().unwrap();
    refused(rig.next(wrong).await, Reason::Config, "as the plan expects");
    rig.next(stage.clone()).await.unwrap();
    rig.next(rig.stop()).await.unwrap();
    std::fs::write(rig.config(), "A: 1\n").unwrap();
    refused(rig.next(PutConfig { from, to }).await, Reason::Drifted, "as the plan saw it");
    refused(rig.next(stage).await, Reason::Drifted, "as the plan saw it");
    assert_eq!(std::fs::read(rig.config()).unwrap(), b"A: 1\n");
}

#[tokio::test]
async fn a_config_mounted_as_a_file_is_refused_by_name() {
    let mut rig = Rig::new().await;
    let binds = [(rig.config().to_str().unwrap().to_owned(), "/conf/stack/config.yaml")];
    let binds = binds.each_ref().map(|(source, inside)| (source.as_str(), *inside));
    rig.engine().run(1, "quay", spec(image_id(OLD_IMAGE), &binds));
    let (from, to) = (rig.digest(), rig.digest_in(Mode::Complete));
    let order = StageConfig { from, to, mode: Mode::Complete };
    refused(rig.next(order).await, Reason::Config, "mounts");
}

#[tokio::test]
async fn a_healthy_container_gets_name_and_policy_once_the_name_is_free() {
    let mut rig = Rig::new().await;
    let staged = rig.ready().await;
    rig.set_revision(TARGET).await;
    let promote = Promote {
        component: Component::Quay,
        container: staged.clone(),
        generation: generation(NEW_IMAGE, Mode::Complete),
        restart_policy: RestartPolicy::Always,
    };
    refused(rig.next(promote.clone()).await, Reason::Drifted, "created");
    rig.next(rig.start(&staged)).await.unwrap();
    refused(rig.next(promote.clone()).await, Reason::Drifted, "not healthy");
    rig.serve(&staged).await;
    rig.alter(&staged, |stored| stored.container.state.status = ContainerStatus::Restarting);
    refused(rig.next(promote.clone()).await, Reason::Drifted, "restarting");
    rig.alter(&staged, |stored| stored.container.state.status = ContainerStatus::Running);
    let squatter = rig.engine().run(8, "quay", spec(image_id(OLD_IMAGE), &[]));
    refused(rig.next(promote.clone()).await, Reason::Drifted, "is the name of");
    rig.engine().state().containers.remove(&squatter);
    let state = rig.next(promote.clone()).await.unwrap().container.unwrap();
    assert_eq!((state.name.as_str(), state.restart_policy), ("quay", RestartPolicy::Always));
    assert_eq!(rig.again(promote).await.unwrap().how, How::Already);
    // Staged again in the same run: it is there already, under its new name.
    assert_eq!(rig.at(2, 1, rig.stage()).await.unwrap().how, How::Already);
    rig.engine().end(&staged, 1);
    refused(rig.at(3, 1, rig.stage()).await, Reason::AlreadyRan, "exit code 1");
}

#[tokio::test]
async fn a_staged_container_with_a_policy_is_not_taken_for_one() {
    let mut rig = Rig::new().await;
    let staged = rig.next(rig.stage()).await.unwrap().container.unwrap().id;
    rig.alter(&staged, |stored| {
        stored.container.state.restart_policy = RestartPolicy::Always;
    });
    refused(rig.again(rig.stage()).await, Reason::Drifted, "restart policy");
}

#[tokio::test]
async fn a_process_or_a_step_that_is_over_changes_nothing() {
    let mut rig = Rig::new().await;
    rig.at(2, 5, rig.stage()).await.unwrap();
    refused(rig.at(1, 6, rig.stop()).await, Reason::Lease, "epoch 2 of run");
    refused(rig.at(2, 4, rig.stop()).await, Reason::Superseded, "step 5");
    refused(rig.at(2, 5, rig.stop()).await, Reason::Superseded, "another order");
    // A process that takes over may go back to an earlier step.
    rig.at(3, 2, rig.stop()).await.unwrap();
    let mut foreign = rig.act(3, 7);
    foreign.cluster = "other".parse().unwrap();
    let result =
        rig.worker.perform("tester".to_owned(), foreign, rig.stop().order(), |_, _| ()).await;
    refused(result, Reason::WrongCluster, "other");
    let mut replanned = rig.act(3, 7);
    replanned.plan = "b".repeat(64).parse().unwrap();
    let result =
        rig.worker.perform("tester".to_owned(), replanned, rig.stop().order(), |_, _| ()).await;
    refused(result, Reason::Invalid, "plan");
    rig.step = 7;
}

#[tokio::test]
async fn a_damaged_ledger_stops_every_act_and_no_look() {
    let rig = Rig::new().await;
    let other = tempfile::tempdir().unwrap();
    std::fs::create_dir(other.path().join("state")).unwrap();
    std::fs::write(other.path().join("state/ledger.jsonl"), "{}\n").unwrap();
    let worker = Worker::new(Arc::new(node(other.path(), FakeEngine::default())));
    let result =
        worker.perform("tester".to_owned(), rig.act(1, 1), rig.stop().order(), |_, _| ()).await;
    refused(result, Reason::Ledger, "line 1");
    assert!(worker.node.living_quays().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_second_order_is_busy_and_the_same_step_waits_for_its_answer() {
    let rig = Rig::new().await;
    rig.claim(1).await.unwrap();
    let desk = Arc::clone(&rig.worker.desk);
    let held = desk.baton.lock().await;
    let (first, same) = tokio::join!(
        async {
            tokio::select! {
                _ = rig.at(1, 1, rig.stop()) => panic!("the desk is taken"),
                () = until(|| desk.in_flight.lock().unwrap().is_some()) => {}
            }
        },
        async {
            until(|| desk.in_flight.lock().unwrap().is_some()).await;
            refused(rig.at(1, 2, rig.stage()).await, Reason::Busy, "at step 1");
        }
    );
    ((), ()) = (first, same);
    drop(held);
    // The first caller hung up; its act went on.
    until(|| desk.in_flight.lock().unwrap().is_none()).await;
    assert!(rig.engine().look(&rig.old).state.name.ends_with("-old"));
    assert_eq!(rig.at(1, 1, rig.stop()).await.unwrap().how, How::Already);
}
