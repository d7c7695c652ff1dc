//! What a Quay does when it is treated well, and what it leaves behind when it is not.

use std::time::{Duration, Instant};

use quaymaster_lab::record::{MigrationResult, QuayEvent};
use rustix::process::Signal;

use crate::lab::{BACKGROUND, BOUND, COMPLETE, Lab, SET_UP, exit_code, send};

#[tokio::test]
async fn without_a_mode_3_0_5_is_refused_and_nothing_is_changed() {
    let lab = Lab::new(10).await;
    for (name, config, last_line) in [
        ("missing", SET_UP, "Exception: Configuration flag `V3_UPGRADE_MODE` must be set."),
        ("bad", "SETUP_COMPLETE: true\nV3_UPGRADE_MODE: bogus\n", "Exception: Invalid value"),
    ] {
        let container = Lab::container(name, "3.0.5");
        let mut quay = lab.start(&container, config);
        assert_eq!(exit_code(&mut quay).await, Some(255));
        let log = lab.log(&container);
        assert!(log.lines().last().unwrap().starts_with(last_line), "{log}");
        assert!(matches!(
            lab.events(&container)[..],
            [QuayEvent::Started { .. }, QuayEvent::Refused { exit_code: 255, .. }]
        ));
    }
    assert_eq!(lab.state().await.revision.as_deref(), Some("5b7503aada1b"));
}

#[tokio::test]
async fn in_background_it_migrates_serves_and_backfills() {
    let lab = Lab::new(300).await;
    let container = Lab::container("first", "3.0.5");
    let _quay = lab.start(&container, BACKGROUND);
    let events = lab.until_healthy(&container).await;
    let applied =
        events.iter().filter(|event| matches!(event, QuayEvent::RevisionApplied { .. })).count();
    assert_eq!(applied, 18);
    assert_eq!(container.get("/health/instance").await.0, 200);
    assert_eq!(container.get("/health/endtoend").await.0, 200);
    container.until_progress_is_full().await;
    let state = lab.state().await;
    assert_eq!(state.revision.as_deref(), Some("481623ba00ba"));
    assert_eq!((state.visible_tags, state.unmapped_tags), (300, 0));
    assert_eq!(state.damage, [""; 0]);
    let log = lab.log(&container);
    assert!(log.contains("Running upgrade 5b7503aada1b -> 1783530bee68"), "{log}");
    assert!(!log.contains("planted-secret"));
}

#[tokio::test]
async fn in_complete_it_maps_every_tag_before_it_listens_and_hears_no_sigterm() {
    let lab = Lab::new(300).await;
    let container = Lab::container("first", "3.0.5");
    let mut quay = lab.start(&container, COMPLETE);
    let events = lab.until_healthy(&container).await;
    let ended =
        events.iter().position(|event| matches!(event, QuayEvent::MigrationEnded { .. })).unwrap();
    let listening =
        events.iter().position(|event| matches!(event, QuayEvent::Listening { .. })).unwrap();
    assert!(ended < listening, "{events:?}");
    assert_eq!(lab.state().await.unmapped_tags, 0);
    assert_eq!(container.get("/upgradeprogress/").await.0, 404);
    send(&quay, Signal::TERM);
    assert_eq!(container.get("/health/instance").await.0, 200);
    send(&quay, Signal::KILL);
    assert_eq!(exit_code(&mut quay).await, None);
}

#[tokio::test]
async fn a_container_that_has_run_never_gets_healthy_again() {
    let lab = Lab::new(1).await;
    let container = Lab::container("first", "3.0.5");
    let mut quay = lab.start(&container, COMPLETE);
    lab.until_healthy(&container).await;
    quay.kill().await.unwrap();
    let _again = lab.start(&container, COMPLETE);
    container.until_registry_serves().await;
    let (status, body) = container.get("/health/instance").await;
    assert!(body.contains("\"jwtproxy\":false"), "{body}");
    assert_eq!(status, 503);
}

#[tokio::test]
async fn killed_half_way_the_database_is_wedged_for_good() {
    let lab = Lab::new(10).await;
    let first = Lab::container("first", "3.0.5");
    let mut quay = lab.start_with(&first, BACKGROUND, &[("STANDIN_REVISION_SECONDS", "1")]);
    lab.until(&first, |event| matches!(event, QuayEvent::MigrationBegun { .. })).await;
    let since = Instant::now();
    while lab.state().await.damage.is_empty() {
        assert!(since.elapsed() < BOUND, "no revision was ever half-way");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    quay.kill().await.unwrap();
    for name in ["second", "third"] {
        let container = Lab::container(name, "3.0.5");
        let mut again = lab.start(&container, BACKGROUND);
        assert_eq!(exit_code(&mut again).await, Some(255));
        let events = lab.events(&container);
        assert!(events.iter().any(|event| matches!(event, QuayEvent::Damaged { .. })));
        assert!(lab.log(&container).contains("already exists"), "{}", lab.log(&container));
    }
    let state = lab.state().await;
    assert_eq!(state.revision.as_deref(), Some("5b7503aada1b"));
    assert!(!state.damage.is_empty());
}

#[tokio::test]
async fn two_at_once_leave_damage_and_one_of_them_dies() {
    let lab = Lab::new(10).await;
    let slow = [("STANDIN_REVISION_SECONDS", "0.2")];
    let (first, second) = (Lab::container("first", "3.0.5"), Lab::container("second", "3.0.5"));
    let mut one = lab.start_with(&first, COMPLETE, &slow);
    lab.until(&first, |event| matches!(event, QuayEvent::MigrationBegun { .. })).await;
    let mut other = lab.start_with(&second, COMPLETE, &slow);
    let dead = tokio::select! {
        code = exit_code(&mut one) => (code, &first),
        code = exit_code(&mut other) => (code, &second),
    };
    assert_eq!(dead.0, Some(255));
    let events = lab.events(dead.1);
    assert!(events.iter().any(|event| matches!(
        event,
        QuayEvent::MigrationEnded { result: MigrationResult::Failed, .. }
    )));
    let survivor = if dead.1.name == first.name { &second } else { &first };
    lab.until_healthy(survivor).await;
    let state = lab.state().await;
    assert_eq!(state.revision.as_deref(), Some("b918abdbee43"));
    assert!(!state.damage.is_empty(), "what the dead one had done already stays");
}

#[tokio::test]
async fn the_offline_backfill_may_be_killed_and_run_again() {
    let lab = Lab::new(400).await;
    let first = Lab::container("first", "3.0.5");
    let mut quay = lab.start_with(&first, COMPLETE, &[("STANDIN_OFFLINE_RATE", "100")]);
    lab.until(
        &first,
        |event| matches!(event, QuayEvent::BackfillMoved { mapped, .. } if *mapped > 0),
    )
    .await;
    quay.kill().await.unwrap();
    let state = lab.state().await;
    assert_eq!(state.revision.as_deref(), Some("481623ba00ba"));
    assert!(state.unmapped_tags > 0);
    let second = Lab::container("second", "3.0.5");
    let _again = lab.start(&second, COMPLETE);
    lab.until_healthy(&second).await;
    let state = lab.state().await;
    assert_eq!((state.revision.as_deref(), state.unmapped_tags), (Some("b918abdbee43"), 0));
    assert_eq!(state.damage, [""; 0]);
}

#[tokio::test]
async fn without_setup_complete_every_old_tag_is_lost() {
    let lab = Lab::new(10).await;
    let container = Lab::container("first", "3.0.5");
    let mut quay = lab.start(&container, "V3_UPGRADE_MODE: background\n");
    assert_eq!(exit_code(&mut quay).await, Some(255));
    let state = lab.state().await;
    assert_eq!((state.revision.as_deref(), state.unmapped_tags), (Some("b918abdbee43"), 10));
    assert!(!state.damage.is_empty());
}

#[tokio::test]
async fn the_old_release_serves_stops_when_told_and_refuses_a_newer_database() {
    let lab = Lab::new(10).await;
    let old = Lab::container("old", "2.9.5");
    let mut quay = lab.start(&old, SET_UP);
    lab.until_healthy(&old).await;
    assert_eq!(old.get("/health/instance").await.0, 200);
    assert_eq!(old.get("/upgradeprogress/").await.0, 404);
    assert!(old.get("/").await.1.contains("Quay v2.9.5"));
    send(&quay, Signal::TERM);
    assert_eq!(exit_code(&mut quay).await, Some(0));
    assert!(matches!(lab.events(&old).last(), Some(QuayEvent::EndedBySignal { .. })));

    let new = Lab::container("new", "3.0.5");
    let _quay = lab.start(&new, BACKGROUND);
    lab.until_healthy(&new).await;
    let late = Lab::container("late", "2.9.5");
    let mut quay = lab.start(&late, SET_UP);
    assert_eq!(exit_code(&mut quay).await, Some(255));
    let log = lab.log(&late);
    assert!(log.contains("Can't locate revision identified by '481623ba00ba'"), "{log}");
}
