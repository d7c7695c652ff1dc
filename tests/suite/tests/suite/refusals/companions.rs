//! What stands beside a Quay and is not as agent.yaml says.

use bollard::query_parameters::{RemoveContainerOptionsBuilder, StopContainerOptionsBuilder};
use quaymaster_proto::Component;
use quaymaster_suite::{Shape, TestLab};

use super::{PLAN, refused};

#[tokio::test]
async fn a_companion_that_does_not_run_and_one_that_is_gone() {
    let mut shape = Shape::of(3);
    shape.companions = true;
    let lab = TestLab::up(shape).await;
    let (node, clair) = lab.companions(Component::Clair).remove(0);
    let engine = lab.engine(&node);
    let stop = StopContainerOptionsBuilder::default().t(5).build();
    engine.stop_container(&clair, Some(stop)).await.unwrap();
    refused(&lab, "companion-that-does-not-run", "cluster.yaml", PLAN).await;
    let remove = RemoveContainerOptionsBuilder::default().force(true).build();
    engine.remove_container(&clair, Some(remove)).await.unwrap();
    refused(&lab, "companion-that-is-gone", "cluster.yaml", PLAN).await;
}

/// As somebody ran them in 2017: a mirror beside its Quay on a config of its own, a builder that the
/// engine removes, and a unit that starts Clair.
#[tokio::test]
async fn companions_that_would_not_stay_stopped_or_read_something_else() {
    let mut shape = Shape::of(3);
    shape.companions = true;
    let lab = TestLab::up(shape).await;
    let (node, mirror) = lab.companions(Component::Mirror).remove(0);
    let other = lab.dir().join("other-config");
    std::fs::create_dir(&other).unwrap();
    std::fs::copy(lab.lab().layout().config_file(&node), other.join("config.yaml")).unwrap();
    let own = format!("{}:/conf/stack", lab.lab().layout().config(&node).display());
    lab.create_anew(&node, &mirror, |host| {
        let binds = host.binds.as_mut().unwrap();
        let place = binds.iter().position(|bind| *bind == own).unwrap();
        binds[place] = format!("{}:/conf/stack", other.display());
    })
    .await;
    let (node, builder) = lab.companions(Component::Builder).remove(0);
    lab.create_anew(&node, &builder, |host| {
        host.auto_remove = Some(true);
        host.restart_policy = None;
    })
    .await;
    refused(&lab, "companions-of-another-time", "cluster.yaml", PLAN).await;
}
