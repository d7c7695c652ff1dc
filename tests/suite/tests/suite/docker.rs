//! The whole upgrade on Docker Engine: what `docker inspect` shows before and
//! after.

use quaymaster_lab::cluster::lab_file::EngineKind;
use quaymaster_suite::container::{policy, ports};
use quaymaster_suite::{Shape, TestLab};

use crate::whole::succeeded;

#[tokio::test]
async fn three_nodes_in_two_windows() {
    let mut shape = Shape::of(3);
    shape.engine = EngineKind::Docker;
    let lab = TestLab::up(shape).await;
    let before = lab.look().await;
    for (node, containers) in &before.containers {
        let old = containers.values().next().unwrap();
        assert_eq!(policy(old), "always", "{node}");
        let inside: Vec<String> = ports(old).into_keys().collect();
        assert_eq!(inside, ["443/tcp", "80/tcp"], "{node}");
        assert_eq!(lab.owners_part(node, old).await.sysctls["net.core.somaxconn"], "4096");
    }

    lab.apply(&lab.plan(Some("background")).await).await.expect_code(0);
    let between = lab.look().await;
    assert_eq!(between.revision.as_deref(), Some("481623ba00ba"));
    succeeded(&lab, &before, &between, "background").await;

    lab.apply(&lab.plan(None).await).await.expect_code(0);
    let after = lab.look().await;
    assert_eq!(after.revision.as_deref(), Some("b918abdbee43"));
    succeeded(&lab, &before, &after, "complete").await;
    for node in lab.nodes() {
        let inside: Vec<String> = ports(&lab.quay_of(&node).await).into_keys().collect();
        assert_eq!(inside, ["8080/tcp", "8443/tcp"], "{node}");
    }
    let verdict = lab.check().await;
    verdict.expect_clean();
    assert_eq!(verdict.migrations(), 2);
}

mod companions {
    use quaymaster_lab::cluster::lab_file::EngineKind;

    #[tokio::test]
    async fn they_return_with_the_last_window_of_the_background_way() {
        crate::companions::background(EngineKind::Docker).await;
    }

    #[tokio::test]
    async fn they_return_with_the_one_window_of_the_synchronous_way() {
        crate::companions::synchronous(EngineKind::Docker).await;
    }
}

/// Where the database is one address for the containers and another for the agents.
mod postgres {
    use quaymaster_lab::cluster::lab_file::{DatabaseKind, EngineKind};
    use quaymaster_suite::{Shape, TestLab};

    use crate::whole::is_complete;

    #[tokio::test]
    async fn two_nodes_in_one_window() {
        let mut shape = Shape::of(2);
        shape.engine = EngineKind::Docker;
        shape.database = DatabaseKind::Postgres;
        let lab = TestLab::up(shape).await;
        let before = lab.look().await;
        lab.apply(&lab.plan(Some("synchronous")).await).await.expect_code(0);
        is_complete(&lab, &before, 1).await;
    }
}
