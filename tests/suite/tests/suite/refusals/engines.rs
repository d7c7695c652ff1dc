//! Engines and registries that cannot give what the upgrade needs.

use std::fs;

use quaymaster_lab::cluster::lab_file::Role;
use quaymaster_lab::engine::{EngineOptions, RegistryFault, serve};
use quaymaster_suite::command::run_in;
use quaymaster_suite::upgrade::apply_arguments;
use quaymaster_suite::{Shape, TestLab};
use rustix::process::Signal;
use tokio::sync::oneshot;

use super::{BOUND, PLAN, refused, shown};

const ONE: &str = "quay-1";
const TWO: &str = "quay-2";

#[tokio::test]
async fn an_engine_that_is_too_old() {
    let lab = TestLab::up(Shape::of(2)).await;
    let socket = lab.dir().join("engine/old.sock");
    let mut options = EngineOptions::new(&socket, lab.dir().join("engine/old"), TWO);
    options.api_version = "1.39".to_owned();
    options.engine_version = "18.09.1".to_owned();
    let (end, ended) = oneshot::channel::<()>();
    let engine = tokio::spawn(serve(options, async move {
        let _dropped_or_told = ended.await;
    }));
    let path = lab.lab().layout().agent_file(TWO);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("engine/quay-2.sock", "engine/old.sock")).unwrap();
    let agent = lab.lab().process(Role::Agent, Some(TWO)).unwrap();
    agent.end(Signal::TERM, BOUND).await.unwrap();
    let file = path.strip_prefix(lab.dir()).unwrap().to_owned();
    let run = ["run".as_ref(), "--config".as_ref(), file.as_os_str()];
    let outcome = run_in(&lab.binaries().agent, lab.dir(), run).await;
    shown(&lab, "engine-api-1.39", &outcome);
    end.send(()).unwrap();
    engine.await.unwrap().unwrap();
    let outcome = run_in(&lab.binaries().agent, lab.dir(), run).await;
    shown(&lab, "engine-that-does-not-answer", &outcome);
    refused(&lab, "agent-that-does-not-answer", "cluster.yaml", PLAN).await;
}

#[tokio::test]
async fn an_image_that_cannot_be_pulled() {
    let lab = TestLab::up(Shape::of(2)).await;
    for (name, fault) in [
        ("image-that-is-not-there", RegistryFault::Missing),
        ("image-that-is-denied", RegistryFault::Denied),
    ] {
        lab.set_registry_fault(Some(fault));
        refused(&lab, name, "cluster.yaml", PLAN).await;
    }
    lab.set_registry_fault(None);
    let plan = lab.plan(Some("background")).await;
    // Found only half-way: before the first stop, so that the registry goes on serving.
    lab.set_registry_fault(Some(RegistryFault::DiskFull));
    refused(&lab, "image-that-finds-no-space", "cluster.yaml", apply_arguments(&plan)).await;
    lab.set_registry_fault(None);
    // It ended as it began: the same plan may be tried again.
    lab.apply(&plan).await.expect_code(0);
    lab.check().await.expect_clean();
    let after = lab.look().await;
    assert_eq!(after.revision.as_deref(), Some("481623ba00ba"));
    assert_eq!(after.containers[ONE].len(), 2);
}
