//! What may come back and what may not: the floor, the way back, a host without power, and what
//! somebody else starts.

use super::*;

/// The first node's new container has been started and refused to go on: nothing was changed.
fn refused_on_the_first() -> Scene {
    let mut scene = Scene::old_cluster();
    scene.stop_old();
    scene.put_modes(3500, "background");
    scene.started(4000, "quay-1/b", BACKGROUND);
    let refused = QuayEvent::Refused { reason: "database".into(), exit_code: 255 };
    scene.quay(4100, "quay-1/b", "3.0.5", refused);
    scene
}

/// Every node has the old mode and a fresh container of the old release.
fn back_at(scene: &mut Scene, millis: i64) {
    for node in NODES {
        scene.config(millis, node, None);
        let container = format!("{node}/d");
        scene.started(millis + 500, &container, OLD);
        scene.healthy(millis + 900, &container, OLD.0);
    }
}

fn by_hand(scene: &mut Scene, millis: i64, container: &str) {
    let (node, _) = container.rsplit_once('/').unwrap();
    scene.lab(millis, node, Act::StartByHand { container_id: container.into() });
    scene.started(millis + 10, container, OLD);
}

#[test]
fn an_old_container_that_comes_back() {
    let mut scene = Scene::in_order();
    for node in NODES {
        scene.stopped(7000, 7100, &format!("{node}/b"));
    }
    scene.started(8000, "quay-2/a", OLD);
    assert_broken(&scene.judge(), 4, "2.9.5 came back on quay-2");
}

#[test]
fn an_old_container_that_comes_back_before_anything_was_changed() {
    let mut scene = Scene::old_cluster();
    scene.stop_old();
    scene.put_modes(3500, "background");
    scene.started(4000, "quay-1/b", BACKGROUND);
    scene.started(4050, "quay-2/a", OLD);
    scene.begun(4100, "quay-1/b", Vec::new());
    let verdict = scene.judge();
    assert_eq!(numbers(&verdict), [1, 4], "{:#?}", verdict.violations);
}

#[test]
fn the_way_back_is_open_until_something_was_changed() {
    let mut scene = refused_on_the_first();
    scene.engine(4300, "quay-1/b", EngineAction::Destroy);
    back_at(&mut scene, 4500);
    assert_eq!(scene.judge().violations, []);
}

#[test]
fn the_way_back_while_a_new_container_is_still_there() {
    let mut scene = refused_on_the_first();
    back_at(&mut scene, 4500);
    scene.engine(9000, "quay-1/b", EngineAction::Destroy);
    assert_broken(&scene.judge(), 4, "while the container on quay-1 in which 3.0.5 background");
}

#[test]
fn the_way_back_after_a_migration_had_begun() {
    let mut scene = Scene::old_cluster();
    scene.stop_old();
    scene.put_modes(3500, "background");
    scene.started(4000, "quay-1/b", BACKGROUND);
    scene.begun(4050, "quay-1/b", Vec::new());
    let result = MigrationResult::Failed;
    let failed = QuayEvent::MigrationEnded { result, revision: None };
    scene.quay(4100, "quay-1/b", "3.0.5", failed);
    scene.engine(4300, "quay-1/b", EngineAction::Destroy);
    back_at(&mut scene, 4500);
    assert_broken(&scene.judge(), 4, "after 3.0.5 background had begun to migrate on quay-1");
}

#[test]
fn after_the_way_back_the_window_may_be_tried_again() {
    let mut scene = refused_on_the_first();
    scene.engine(4300, "quay-1/b", EngineAction::Destroy);
    back_at(&mut scene, 4500);
    for node in NODES {
        scene.stopped(6000, 6100, &format!("{node}/d"));
    }
    scene.put_modes(6500, "background");
    scene.started(7000, "quay-1/e", BACKGROUND);
    scene.migrated(7100, 7500, "quay-1/e", Vec::new());
    scene.healthy(8000, "quay-1/e", "3.0.5");
    assert_eq!(scene.judge().violations, []);
}

#[test]
fn what_somebody_starts_by_hand_is_nobody_elses_doing() {
    let mut scene = Scene::in_order();
    by_hand(&mut scene, 4500, "quay-2/a");
    scene.stopped(4600, 4700, "quay-2/a");
    let verdict = scene.judge();
    assert_eq!(verdict.violations, []);
    assert_eq!(verdict.observed.windows.len(), 1);
}

#[test]
fn what_somebody_starts_below_the_floor_is_not_left_to_run() {
    let mut scene = Scene::in_order();
    by_hand(&mut scene, 7000, "quay-2/a");
    assert_broken(&scene.judge(), 4, "was started by hand on quay-2 below 3.0.5 background");
}

#[test]
fn a_start_beside_what_somebody_started_by_hand() {
    let mut scene = Scene::in_order();
    by_hand(&mut scene, 5600, "quay-2/a");
    scene.stopped(6200, 6300, "quay-2/a");
    assert_broken(&scene.judge(), 1, "while 2.9.5 still ran on quay-2");
}

#[test]
fn what_somebody_has_started_always_is_theirs_until_it_is_told_to_stop() {
    let scene = |last: i64| {
        let mut scene = Scene::in_order();
        scene.lab(7000, "quay-2", Act::AlwaysByHand { container_id: "quay-2/a".into() });
        for start in [7100, 7300, last] {
            scene.started(start, "quay-2/a", OLD);
            scene.engine(start + 50, "quay-2/a", EngineAction::Die);
        }
        scene.engine(7520, "quay-2/a", EngineAction::Kill);
        scene
    };
    assert_eq!(scene(7500).judge().violations, []);
    assert_eq!(numbers(&scene(8000).judge()), [1, 4]);
}

#[test]
fn only_one_start_is_by_hand() {
    let mut scene = Scene::in_order();
    by_hand(&mut scene, 7000, "quay-2/a");
    scene.stopped(7100, 7200, "quay-2/a");
    scene.started(8000, "quay-2/a", OLD);
    let verdict = scene.judge();
    assert_eq!(numbers(&verdict), [1, 4], "{:#?}", verdict.violations);
}

#[test]
fn a_host_without_power_runs_nothing() {
    let scene = |lost_power: bool| {
        let mut scene = Scene::old_cluster();
        scene.stopped(2000, 3000, "quay-1/a");
        scene.stopped(2000, 3000, "quay-2/a");
        // No engine was left to tell of the end of the third.
        if lost_power {
            scene.lab(3010, "quay-3", Act::CutPower);
        }
        scene.put_modes(3500, "background");
        scene.start_new(Vec::new());
        scene
    };
    assert!(numbers(&scene(false).judge()).contains(&1));
    let stopped = |facts: &mut LabFacts| {
        facts.journal = vec![JournalClaim {
            node: "quay-3".into(),
            container_id: "quay-3/a".into(),
            what: Occurrence::Stopped,
            at: moment(3300),
        }];
    };
    assert_eq!(scene(true).judge_with(stopped).violations, []);
}
