//! Containers that cannot be made again as they are.

use quaymaster_suite::{Shape, TestLab};

use super::{PLAN, refused};

#[tokio::test]
async fn settings_that_nobody_knows_and_settings_that_cannot_be_carried_over() {
    let lab = TestLab::up(Shape::of(3)).await;
    let known = |node: &str| lab.lab().node(node).unwrap().container.clone();
    lab.create_with_unknown("quay-1", &known("quay-1"), "FluxLimit", "9").await;
    lab.create_anew("quay-2", &known("quay-2"), |host| {
        host.links = Some(vec!["redis:redis".to_owned()]);
    })
    .await;
    lab.create_anew("quay-3", &known("quay-3"), |host| {
        host.publish_all_ports = Some(true);
    })
    .await;
    refused(&lab, "containers-that-cannot-be-carried-over", "cluster.yaml", PLAN).await;
}
