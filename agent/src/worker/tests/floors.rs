//! The floor: set, kept, taken back, and what it keeps from starting.

use quaymaster_proto::{Below, Floor};

use super::*;

/// What a window to the new release sets.
pub(super) fn new_only() -> Floor {
    Floor {
        generation: generation(NEW_IMAGE, Mode::Complete),
        below: vec![Below { image: image_id(OLD_IMAGE), mode: None }],
    }
}

#[tokio::test]
async fn a_floor_is_set_once_and_taken_back_as_it_was() {
    let mut rig = Rig::new().await;
    let set = SetFloor { from: None, to: new_only() };
    assert_eq!(rig.next(set.clone()).await.unwrap().how, How::Changed);
    assert_eq!(rig.again(set.clone()).await.unwrap().how, How::Already);
    let facts = rig.worker.node.describe(None).await.unwrap();
    assert_eq!((facts.floor, facts.floor_sightings), (Some(new_only()), Vec::new()));
    let other = Floor { below: Vec::new(), ..new_only() };
    let onwards = SetFloor { from: None, to: other.clone() };
    refused(rig.next(onwards).await, Reason::Drifted, "as the plan saw it");
    let lower = LowerFloor { from: other, to: None, database: None };
    // It is not what that run had set; and what is gone already is well.
    refused(rig.next(lower).await, Reason::Drifted, "as the plan saw it");
    let lower = LowerFloor { from: new_only(), to: None, database: None };
    assert_eq!(rig.next(lower.clone()).await.unwrap().how, How::Changed);
    assert_eq!(rig.again(lower).await.unwrap().how, How::Already);
    assert_eq!(rig.worker.node.describe(None).await.unwrap().floor, None);
}

#[tokio::test]
async fn what_is_below_the_floor_is_not_started_whoever_asks() {
    let mut rig = Rig::new().await;
    let staged = rig.ready().await;
    let below = Floor {
        generation: generation(7, Mode::Complete),
        below: vec![Below { image: image_id(NEW_IMAGE), mode: Some(Mode::Complete) }],
    };
    rig.next(SetFloor { from: None, to: below.clone() }).await.unwrap();
    refused(rig.next(rig.migrate(&staged)).await, Reason::Floor, "below the floor");
    refused(rig.at(9, 21, rig.migrate(&staged)).await, Reason::Floor, "below the floor");
    rig.set_revision(TARGET).await;
    refused(rig.at(9, 22, rig.start(&staged)).await, Reason::Floor, "below the floor");
    let recreate = Recreate {
        component: Component::Quay,
        container: rig.old.clone(),
        generation: generation(OLD_IMAGE, Mode::Absent),
        attempt: 1,
    };
    let both = Floor { below: [below.below.clone(), new_only().below].concat(), ..below.clone() };
    rig.at(9, 23, SetFloor { from: Some(below), to: both }).await.unwrap();
    refused(rig.at(9, 24, recreate).await, Reason::Floor, "below the floor");
    assert_eq!(rig.engine().starts(), 0);
}

#[tokio::test]
async fn a_floor_that_nobody_can_read_lets_no_quay_start_and_is_told() {
    let mut rig = Rig::new().await;
    let staged = rig.ready().await;
    let path = rig.directory.path().join("state/floor.json");
    std::fs::write(&path, "{").unwrap();
    refused(rig.next(rig.migrate(&staged)).await, Reason::Floor, "damaged");
    let set = SetFloor { from: None, to: new_only() };
    refused(rig.next(set).await, Reason::Floor, "damaged");
    let facts = rig.worker.node.describe(None).await.unwrap();
    let [told] = facts.floor_sightings.as_slice() else { panic!("{facts:?}") };
    assert!(told.contains("no Quay is started here"), "{told}");
    // Mended, it counts at once.
    std::fs::remove_file(&path).unwrap();
    assert_eq!(rig.next(rig.migrate(&staged)).await.unwrap().how, How::Changed);
}

#[tokio::test]
async fn a_damaged_ledger_does_not_lose_the_floor() {
    let mut rig = Rig::new().await;
    rig.next(SetFloor { from: None, to: new_only() }).await.unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::write(elsewhere.path().join("ledger.jsonl"), "{}\n").unwrap();
    *rig.worker.node.ledger() = LedgerSlot::open(elsewhere.path());
    let facts = rig.worker.node.describe(None).await.unwrap();
    assert_eq!((facts.floor, facts.lease), (Some(new_only()), None));
}

#[tokio::test]
async fn a_floor_whose_file_is_gone_is_lost_and_not_taken_for_none() {
    let mut rig = Rig::new().await;
    let staged = rig.ready().await;
    let path = rig.directory.path().join("state/floor.json");
    let set = SetFloor { from: None, to: new_only() };
    rig.next(set.clone()).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    rig.reopen_ledger();
    // Whoever plans knows what it was, and is told.
    let facts = rig.worker.node.describe(None).await.unwrap();
    assert_eq!(facts.floor, Some(new_only()));
    let [told] = facts.floor_sightings.as_slice() else { panic!("{facts:?}") };
    assert!(told.contains("is gone") && told.contains("no Quay is started here"), "{told}");
    // Asked again, the same step puts it back.
    assert_eq!(rig.again(set).await.unwrap().how, How::Changed);
    assert!(path.exists());
    std::fs::remove_file(&path).unwrap();
    refused(rig.next(rig.migrate(&staged)).await, Reason::Floor, "is gone");
    let over = SetFloor { from: None, to: Floor { below: Vec::new(), ..new_only() } };
    refused(rig.next(over).await, Reason::Drifted, "as the plan saw it");
    // Gone on from.
    let to = Floor { generation: generation(7, Mode::Complete), ..new_only() };
    let onwards = SetFloor { from: Some(new_only()), to: to.clone() };
    assert_eq!(rig.next(onwards).await.unwrap().how, How::Changed);
    std::fs::remove_file(&path).unwrap();
    let other = LowerFloor { from: new_only(), to: None, database: None };
    refused(rig.next(other).await, Reason::Drifted, "as the plan saw it");
    let lower = LowerFloor { from: to, to: None, database: None };
    assert_eq!(rig.next(lower.clone()).await.unwrap().how, How::Changed);
    assert_eq!(rig.again(lower).await.unwrap().how, How::Already);
    assert!(path.exists());
    // What was taken back may be gone.
    std::fs::remove_file(&path).unwrap();
    assert_eq!(rig.worker.node.describe(None).await.unwrap().floor, None);
    assert_eq!(rig.next(rig.migrate(&staged)).await.unwrap().how, How::Changed);
}

#[tokio::test]
async fn a_floor_is_lowered_where_nothing_knows_it_any_more() {
    let rig = Rig::new().await;
    rig.at(1, 1, SetFloor { from: None, to: new_only() }).await.unwrap();
    std::fs::remove_file(rig.directory.path().join("state/floor.json")).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    *rig.worker.node.ledger() = LedgerSlot::open(elsewhere.path());
    let to = Floor { generation: generation(OLD_IMAGE, Mode::Absent), below: Vec::new() };
    let lower = LowerFloor { from: new_only(), to: Some(to.clone()), database: None };
    assert_eq!(rig.at(1, 2, lower).await.unwrap().how, How::Changed);
    assert_eq!(rig.worker.node.describe(None).await.unwrap().floor, Some(to));
}
