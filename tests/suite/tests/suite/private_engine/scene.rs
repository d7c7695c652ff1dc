//! One window that is disturbed: what is waited for is what the witness has seen, and however it
//! ends, it ends as an undisturbed one does.

use std::time::Duration;

use bollard::models::{ContainerUpdateBody, RestartPolicy, RestartPolicyNameEnum};
use bollard::query_parameters::StartContainerOptions;
use quaymaster_lab::cluster::lab_file::EngineKind;
use quaymaster_lab::cluster::wait::until;
use quaymaster_lab::record::{EngineAction, QuayEvent, QuayRecord, Seen, read_directory};
use quaymaster_suite::cluster;
use quaymaster_suite::command::finish;
use quaymaster_suite::container::{is_running, policy};
use quaymaster_suite::upgrade::{apply_arguments, resume_arguments};
use quaymaster_suite::{Planned, Shape, TestLab};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;

use crate::whole::is_complete;

pub(super) const ONE: &str = "quay-1";
pub(super) const TWO: &str = "quay-2";

/// Generous: a loaded machine is no failure.
pub(super) const BOUND: Duration = Duration::from_secs(60);
/// So many times a run may have to be taken up again.
const RESUMES: usize = 3;
const DONE: i32 = 0;
/// The exit code of a run that went back.
const PUT_BACK: i32 = 7;

/// Two hosts that can be restarted and cut off.
pub(super) fn shape() -> Shape {
    let mut shape = Shape::of(2);
    shape.engine = EngineKind::Private;
    shape
}

/// A window from 2.9.5 to 3.0.5 with its coordinator at work.
pub(super) struct Window {
    pub(super) lab: TestLab,
    pub(super) coordinator: Child,
    pub(super) plan: Planned,
    pub(super) before: cluster::Seen,
}

impl Window {
    pub(super) async fn begin(shape: Shape) -> Self {
        let lab = TestLab::up(shape).await;
        let before = lab.look().await;
        let plan = lab.plan(Some("synchronous")).await;
        let coordinator = lab.spawn_quaymaster(apply_arguments(&plan));
        Self { lab, coordinator, plan, before }
    }

    /// Begins one and makes its coordinator stand still when every node's stop has been asked.
    /// Returns when every old Quay has ended: in the dark, and before the migrating start.
    pub(super) async fn held_in_the_dark() -> Self {
        let mut shape = shape();
        // Long enough that no stop is over before all are asked.
        shape.pace.stop_seconds = 1.5;
        let window = Self::begin(shape).await;
        for node in window.lab.nodes() {
            window.until_engine(&node, EngineAction::Kill).await;
        }
        window.signal(Signal::STOP);
        for node in window.lab.nodes() {
            window.until_engine(&node, EngineAction::Die).await;
        }
        window
    }

    /// Begins one and returns in the middle of its migration, with so many seconds of it to go.
    pub(super) async fn migrating(seconds: f64) -> Self {
        let mut shape = shape();
        // It has about a dozen revisions.
        shape.pace.revision_seconds = seconds / 10.0;
        let window = Self::begin(shape).await;
        window.until_quay(ONE, |event| matches!(event, QuayEvent::RevisionApplied { .. })).await;
        window
    }

    pub(super) fn signal(&self, signal: Signal) {
        let id = self.coordinator.id().and_then(|id| i32::try_from(id).ok());
        let id = id.and_then(Pid::from_raw).expect("the coordinator runs");
        kill_process(id, signal).expect("it can be signalled");
    }

    pub(super) async fn until_engine(&self, node: &str, action: EngineAction) {
        self.until_seen(|seen| {
            matches!(seen, Seen::Engine(event) if event.node == node && event.action == action)
        })
        .await;
    }

    pub(super) async fn until_quay(&self, node: &str, is_it: impl Fn(&QuayEvent) -> bool) {
        self.until_seen(|seen| {
            matches!(seen, Seen::Quay(QuayRecord { node: of, event, .. })
                if of == node && is_it(event))
        })
        .await;
    }

    async fn until_seen(&self, is_it: impl Fn(&Seen) -> bool) {
        let layout = self.lab.lab().layout();
        let places = [layout.witness(), layout.observed()];
        until("a record", BOUND, async || {
            let mut all = places.iter().flat_map(|place| read_directory(place).unwrap());
            if all.any(|record| is_it(&record.seen)) { Ok(()) } else { Err("not yet".to_owned()) }
        })
        .await
        .unwrap();
    }

    /// The node's old Quay, by its id.
    pub(super) fn old(&self, node: &str) -> String {
        self.before.containers[node].keys().next().unwrap().clone()
    }

    pub(super) async fn runs(&self, node: &str, id: &str) -> bool {
        self.lab.containers(node).await.get(id).is_some_and(is_running)
    }

    /// No old Quay runs.
    pub(super) async fn expect_dark(&self) {
        for node in self.lab.nodes() {
            assert!(!self.runs(&node, &self.old(&node)).await, "the old Quay of {node} runs");
        }
    }

    /// Somebody who is not the product starts a container of a node, as a cron job would.
    pub(super) async fn start_by_hand(&self, node: &str, id: &str) {
        self.lab.lab().tell_of_start_by_hand(node, id).unwrap();
        let engine = self.lab.engine(node);
        engine.start_container(id, None::<StartContainerOptions>).await.unwrap();
    }

    /// Somebody who is not the product lets the engine revive a container.
    pub(super) async fn set_always_by_hand(&self, node: &str, id: &str) {
        let always =
            RestartPolicy { name: Some(RestartPolicyNameEnum::ALWAYS), maximum_retry_count: None };
        let update =
            ContainerUpdateBody { restart_policy: Some(always), ..ContainerUpdateBody::default() };
        self.lab.lab().tell_of_policy_by_hand(node, id).unwrap();
        self.lab.engine(node).update_container(id, update).await.unwrap();
    }

    /// Waits until an engine has revived a container.
    pub(super) async fn until_revived(&self, node: &str, id: &str) {
        until("the engine to revive the old Quay", BOUND, async || {
            if self.runs(node, id).await { Ok(()) } else { Err("it is stopped".to_owned()) }
        })
        .await
        .unwrap();
    }

    /// Waits until a container has ended and nothing starts it again.
    pub(super) async fn until_stopped(&self, node: &str, id: &str) {
        until("the agent to stop what is below the floor", BOUND, async || {
            let shown = self.lab.containers(node).await.remove(id).expect("it is kept");
            match (is_running(&shown), policy(&shown).as_str()) {
                (false, "no") => Ok(()),
                (runs, policy) => Err(format!("it runs: {runs}, policy {policy}")),
            }
        })
        .await
        .unwrap();
    }

    /// Lets the run end, takes it up again where it has not come to its end, and judges. One that
    /// has gone back has left what it found, and the same window is possible again.
    pub(super) async fn ends_well(self) {
        let Self { lab, coordinator, mut plan, before } = self;
        let mut outcome = finish(coordinator, "apply").await;
        for _ in 0..RESUMES {
            match outcome.code {
                Some(DONE) => break,
                Some(PUT_BACK) => {
                    eprintln!("put back after:\n{}", outcome.page());
                    is_as_found(&lab, &before).await;
                    plan = lab.plan(Some("synchronous")).await;
                    outcome = lab.apply(&plan).await;
                }
                _ => {
                    eprintln!("taken up again after:\n{}", outcome.page());
                    outcome = lab.quaymaster(resume_arguments(&plan)).await;
                }
            }
        }
        outcome.expect_code(DONE);
        is_upgraded(&lab, &before).await;
    }
}

/// What an undisturbed window leaves, and the witness's word.
pub(super) async fn is_upgraded(lab: &TestLab, before: &cluster::Seen) {
    is_complete(lab, before, 1).await;
    assert_eq!(lab.check().await.damage(), Vec::<String>::new());
}

/// What a window that went back leaves: the service, the files and the database that it found.
async fn is_as_found(lab: &TestLab, before: &cluster::Seen) {
    let after = lab.look().await;
    assert_eq!(after.revision, before.revision);
    assert_eq!(after.configs, before.configs);
    for (node, containers) in &before.containers {
        let (found, serves) = (containers.values().next().unwrap(), lab.quay_of(node).await);
        assert_eq!(serves.image, found.image, "{node}");
        assert!(is_running(&serves), "{node}");
        assert_eq!(
            lab.owners_part(node, &serves).await,
            lab.owners_part(node, found).await,
            "what the owner of {node} asked for"
        );
    }
    lab.check().await.expect_clean();
}
