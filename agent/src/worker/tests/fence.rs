//! The floor on sight: what appears below it is stopped, and nothing else.

use quaymaster_proto::{Below, ContainerStatus, Floor, RestartPolicy};

use super::floors::new_only;
use super::*;

impl Rig {
    async fn sightings(&self) -> Vec<String> {
        self.worker.node.describe(None).await.unwrap().floor_sightings
    }

    fn is_alive(&self, id: &ContainerId) -> bool {
        self.engine().look(id).state.status.is_alive()
    }

    /// As if started just now.
    fn started_now(&self, id: &ContainerId) {
        self.alter(id, |stored| {
            stored.container.state.started_at = Some(jiff::Timestamp::now());
        });
    }
}

#[tokio::test]
async fn what_is_below_the_floor_is_stopped_when_the_floor_is_set_and_when_it_appears() {
    let mut rig = Rig::new().await;
    let old = rig.old.clone();
    rig.worker.look_over_fence().await.unwrap();
    assert!(rig.is_alive(&old), "no floor, nothing to stop");
    rig.next(SetFloor { from: None, to: new_only() }).await.unwrap();
    rig.worker.look_over_fence().await.unwrap();
    assert_eq!(rig.engine().state().done, ["policy no", "stop"]);
    let [told] = rig.sightings().await.try_into().unwrap();
    let shown = format!("stopped quay ({}) at 20", old.short());
    assert!(told.starts_with(&shown), "{told}");
    assert!(told.ends_with("is below this node's floor"), "{told}");
    // Whoever starts it again, under whatever name, and a mirror too.
    let binds = [(rig.directory.path().join("config"), "/conf/stack")];
    let binds = binds.each_ref().map(|(source, inside)| (source.to_str().unwrap(), *inside));
    let other = rig.engine().run(60, "by-hand", spec(image_id(OLD_IMAGE), &binds));
    let mirror = rig.engine().run(61, "quay-mirror", spec(image_id(OLD_IMAGE), &[]));
    let foreign = rig.engine().run(62, "postgres", spec(image_id(OLD_IMAGE), &[]));
    // Between two starts, where its policy cannot be changed.
    rig.alter(&old, |stored| {
        stored.container.state.status = ContainerStatus::Restarting;
        stored.container.state.restart_policy = RestartPolicy::Always;
    });
    rig.worker.look_over_fence().await.unwrap();
    assert!(![&old, &other, &mirror].iter().any(|id| rig.is_alive(id)));
    for id in [&old, &other] {
        assert_eq!(rig.engine().look(id).state.restart_policy, RestartPolicy::No);
    }
    assert!(rig.is_alive(&foreign), "it is none of this node's Quays");
    assert_eq!(rig.sightings().await.len(), 4);
}

#[tokio::test]
async fn the_new_one_runs_and_what_the_floor_does_not_know_is_only_told() {
    let rig = Rig::new().await;
    rig.at(1, 1, SetFloor { from: None, to: new_only() }).await.unwrap();
    rig.engine().end(&rig.old, 0);
    let new = rig.engine().run(60, "quay", spec(image_id(NEW_IMAGE), &[]));
    rig.worker.look_over_fence().await.unwrap();
    assert!(rig.is_alive(&new));
    assert!(rig.sightings().await.is_empty());
    rig.engine().end(&new, 0);
    let newer = rig.engine().run(61, "quay", spec(image_id(311), &[]));
    for _ in 0..3 {
        rig.worker.look_over_fence().await.unwrap();
    }
    assert!(rig.is_alive(&newer));
    let [told] = rig.sightings().await.try_into().unwrap();
    assert!(told.ends_with("is none that this node's floor knows; it is left alone"), "{told}");
}

#[tokio::test]
async fn a_migration_is_never_stopped_and_its_end_is() {
    let mut rig = Rig::new().await;
    let staged = rig.ready().await;
    rig.next(rig.migrate(&staged)).await.unwrap();
    // No run would set it so.
    let floor = Floor {
        generation: generation(7, Mode::Complete),
        below: vec![Below { image: image_id(NEW_IMAGE), mode: None }],
    };
    crate::floor::write(&rig.directory.path().join("state"), Some(&floor)).unwrap();
    rig.worker.look_over_fence().await.unwrap();
    assert!(rig.is_alive(&staged));
    let [told] = rig.sightings().await.try_into().unwrap();
    assert!(told.contains("it may be migrating"), "{told}");
    // Nor where the ledger cannot say it any more.
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::write(elsewhere.path().join("ledger.jsonl"), "{}\n").unwrap();
    *rig.worker.node.ledger() = LedgerSlot::open(elsewhere.path());
    rig.worker.look_over_fence().await.unwrap();
    assert!(rig.is_alive(&staged));
    // What was never staged is stopped all the same.
    let other = rig.engine().run(60, "quay", spec(image_id(NEW_IMAGE), &[]));
    rig.worker.look_over_fence().await.unwrap();
    assert!(!rig.is_alive(&other) && rig.is_alive(&staged));
}

#[tokio::test]
async fn the_mode_that_a_quay_has_read_decides_and_a_file_that_came_later_does_not() {
    let rig = Rig::new().await;
    rig.engine().end(&rig.old, 0);
    let floor = Floor {
        generation: generation(NEW_IMAGE, Mode::Complete),
        below: vec![Below { image: image_id(NEW_IMAGE), mode: Some(Mode::Background) }],
    };
    rig.at(1, 1, SetFloor { from: None, to: floor }).await.unwrap();
    let write = |mode: &str| {
        let text = format!("SETUP_COMPLETE: true\nV3_UPGRADE_MODE: {mode}\n");
        std::fs::write(rig.config(), text).unwrap();
    };
    write("complete");
    let quay = rig.engine().run(60, "quay", spec(image_id(NEW_IMAGE), &[]));
    rig.started_now(&quay);
    rig.worker.look_over_fence().await.unwrap();
    assert!(rig.is_alive(&quay) && rig.sightings().await.is_empty());
    // Somebody edits the file beside a Quay that runs on what was there before.
    rig.alter(&quay, |stored| {
        stored.container.state.started_at = Some(jiff::Timestamp::UNIX_EPOCH);
    });
    write("background");
    rig.worker.look_over_fence().await.unwrap();
    assert!(rig.is_alive(&quay));
    let [told] = rig.sightings().await.try_into().unwrap();
    assert!(told.contains("its mode cannot be told"), "{told}");
    // Started anew, it reads that.
    rig.started_now(&quay);
    rig.worker.look_over_fence().await.unwrap();
    assert!(!rig.is_alive(&quay));
}

#[tokio::test]
async fn what_an_act_is_at_is_left_until_it_has_settled() {
    let rig = Rig::new().await;
    rig.at(1, 1, SetFloor { from: None, to: new_only() }).await.unwrap();
    let held = rig.worker.desk.baton.lock().await;
    let mut look = std::pin::pin!(rig.worker.look_over_fence());
    tokio::select! {
        _ = &mut look => panic!("an act is at work"),
        () = tokio::time::sleep(std::time::Duration::from_millis(50)) => {}
    }
    assert!(rig.engine().state().done.is_empty());
    drop(held);
    look.await.unwrap();
    assert!(!rig.is_alive(&rig.old));
}

#[tokio::test]
async fn nothing_is_done_before_the_engine_has_shown_what_lives_here() {
    let rig = Rig::new().await;
    rig.at(1, 1, SetFloor { from: None, to: new_only() }).await.unwrap();
    rig.fault(Fault::Away);
    rig.worker.look_over_fence().await.unwrap_err();
    refused(rig.at(1, 2, rig.stage()).await, Reason::Engine, "knows what lives here");
    rig.heal();
    rig.fault(Fault::KeepsRunning);
    rig.worker.look_over_fence().await.unwrap_err();
    refused(rig.at(1, 2, rig.stage()).await, Reason::Engine, "still running");
    rig.heal();
    rig.worker.look_over_fence().await.unwrap();
    rig.at(1, 2, rig.stage()).await.unwrap();
}

#[tokio::test]
async fn the_watch_looks_when_something_starts_and_when_the_engine_is_back() {
    let rig = Rig::new().await;
    crate::floor::write(&rig.directory.path().join("state"), Some(&new_only())).unwrap();
    rig.fault(Fault::Away);
    let seen = async {
        // The engine is away when the agent begins.
        until(|| rig.engine().state().looks > 0).await;
        assert!(rig.is_alive(&rig.old));
        rig.heal();
        until(|| !rig.is_alive(&rig.old) && rig.engine().state().listener.is_some()).await;
        let looks = rig.engine().state().looks;
        let again = rig.engine().run(60, "quay", spec(image_id(OLD_IMAGE), &[]));
        until(|| !rig.is_alive(&again)).await;
        assert!(rig.engine().state().looks > looks);
        // It hangs up, and something starts before it is followed again.
        let followed = rig.engine().state().followed;
        rig.engine().state().listener = None;
        let between = rig.engine().run(61, "quay", spec(image_id(OLD_IMAGE), &[]));
        until(|| !rig.is_alive(&between)).await;
        until(|| rig.engine().state().followed > followed).await;
        // A floor that is set is asked for at once.
        rig.at(1, 1, LowerFloor { from: new_only(), to: None, database: None }).await.unwrap();
        let last = rig.engine().run(62, "quay", spec(image_id(OLD_IMAGE), &[]));
        rig.at(1, 2, SetFloor { from: None, to: new_only() }).await.unwrap();
        until(|| !rig.is_alive(&last)).await;
    };
    tokio::select! {
        never = rig.worker.keep_fence() => match never {},
        () = seen => {}
    }
}

#[tokio::test]
async fn what_cannot_be_stopped_keeps_nothing_else_alive() {
    let rig = Rig::new().await;
    crate::floor::write(&rig.directory.path().join("state"), Some(&new_only())).unwrap();
    let other = rig.engine().run(60, "quay-mirror", spec(image_id(OLD_IMAGE), &[]));
    rig.engine().state().unstoppable = Some(rig.old.clone());
    let refusal = rig.worker.look_over_fence().await.unwrap_err();
    assert!(refusal.message.contains("still running"), "{refusal}");
    assert!(!rig.is_alive(&other) && rig.is_alive(&rig.old));
}

#[tokio::test]
async fn a_quay_whose_mode_nobody_can_tell_yet_is_looked_at_again() {
    let rig = Rig::new().await;
    rig.engine().end(&rig.old, 0);
    let floor = Floor {
        generation: generation(NEW_IMAGE, Mode::Complete),
        below: vec![Below { image: image_id(NEW_IMAGE), mode: Some(Mode::Background) }],
    };
    crate::floor::write(&rig.directory.path().join("state"), Some(&floor)).unwrap();
    let text = "SETUP_COMPLETE: true\nV3_UPGRADE_MODE: background\n";
    std::fs::write(rig.config(), text).unwrap();
    let quay = rig.engine().run(60, "quay", spec(image_id(NEW_IMAGE), &[]));
    let seen = async {
        until(|| rig.engine().state().listener.is_some()).await;
        assert!(rig.is_alive(&quay), "it may have read another file");
        // Without a word of the engine.
        rig.started_now(&quay);
        until(|| !rig.is_alive(&quay)).await;
    };
    tokio::select! {
        never = rig.worker.keep_fence() => match never {},
        () = seen => {}
    }
}
