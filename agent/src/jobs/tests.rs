#![expect(clippy::disallowed_methods, reason = "tests wait, and write agent.yaml's files")]

use crate::node::Kept;
use std::time::Duration;

use quaymaster_proto::{Component, Epoch, StepNumber};

use super::*;
use crate::config::AgentConfig;
use crate::engine::fake::{FakeEngine, Fault, image_id};
use crate::ledger::LedgerSlot;
use crate::quay::http::QuayClient;

struct Rig {
    _directory: tempfile::TempDir,
    jobs: Jobs<FakeEngine>,
}

impl Rig {
    fn new(credentials: Option<&str>) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = tempfile::tempdir().unwrap();
        let logins = if let Some(text) = credentials {
            std::fs::write(directory.path().join("auth.json"), text).unwrap();
            "registries: { credentials: auth.json }\n"
        } else {
            ""
        };
        let yaml = format!(
            "version: 1\ncluster: prod\nnode: quay-1\nlisten: 127.0.0.1:9643\n\
             tls: {{ ca: ca.crt, certificate: agent.crt, key: agent.key }}\n{logins}\
             engine: unix:///run/none.sock\nstate: state\ncomponents:\n  quay: {{ container: quay, \
             config: config.yaml, repositories: [quay.io/redhat/quay] }}\n"
        );
        let config = AgentConfig::parse(&yaml, directory.path()).unwrap();
        let ledger = LedgerSlot::open(&config.state);
        let engine = FakeEngine::default();
        let name = format!("quay.io/redhat/quay@{}", order().digest);
        engine.state().registry.insert(name, image_id(305));
        let client = QuayClient::new().unwrap();
        let node =
            Node::new(config, engine, client, jiff::Timestamp::UNIX_EPOCH, Kept::in_tests(ledger));
        Self { _directory: directory, jobs: Jobs::new(Arc::new(node)) }
    }

    fn engine(&self) -> &FakeEngine {
        &self.jobs.node.engine
    }

    async fn pull(&self, epoch: u64) -> Result<JobReport, Refusal> {
        self.jobs.pull("tester".to_owned(), act(epoch), order()).await
    }

    /// The report of the first state that is not running.
    async fn end(&self) -> JobReport {
        for _ in 0..500 {
            let report = self.jobs.report(&job_id(&act(1))).unwrap();
            if report.state != JobState::Running {
                return report;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the job never ended");
    }

    async fn problem(&self) -> String {
        self.pull(1).await.unwrap();
        match self.end().await.state {
            JobState::Failed { problem } => problem,
            state @ (JobState::Running | JobState::Done { .. } | JobState::Cancelled) => {
                panic!("did not fail: {state:?}")
            }
        }
    }
}

fn act(epoch: u64) -> Act {
    Act {
        cluster: "prod".parse().unwrap(),
        run: "01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap(),
        epoch: Epoch::new(epoch).unwrap(),
        step: StepNumber::FIRST,
        plan: "a".repeat(64).parse().unwrap(),
    }
}

fn order() -> PullImage {
    PullImage {
        component: Component::Quay,
        repository: "quay.io/redhat/quay".to_owned(),
        digest: format!("sha256:{}", "d".repeat(64)).parse().unwrap(),
    }
}

#[tokio::test]
async fn an_image_is_pulled_once_and_then_it_is_there() {
    let rig = Rig::new(None);
    assert_eq!(rig.pull(1).await.unwrap().state, JobState::Running);
    let done = JobState::Done { image: image_id(305) };
    assert_eq!(rig.end().await.state, done);
    assert_eq!(rig.end().await.done_bytes, 10);
    assert_eq!(rig.pull(2).await.unwrap().state, done);
    assert_eq!(rig.engine().state().done.len(), 1);
}

#[tokio::test]
async fn the_same_step_joins_the_pull_and_a_cancelled_one_ends() {
    let rig = Rig::new(None);
    rig.engine().state().faults.push(Fault::PullHangs);
    let first = rig.pull(1).await.unwrap();
    // A process that took over finds the same job.
    let joined = rig.pull(2).await.unwrap();
    assert_eq!((joined.id.as_str(), &joined.state), (first.id.as_str(), &JobState::Running));
    assert_eq!(rig.pull(1).await.unwrap().id, first.id);
    for _ in 0..500 {
        if rig.jobs.report(&first.id).unwrap().total_bytes == 10 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(rig.engine().state().done.len(), 1);
    let mut board = rig.jobs.node.board.subscribe();
    assert_eq!(board.borrow().line("us", None), "serving us; pulling 30 %");
    let over = rig.jobs.cancel("tester", &Act { epoch: Epoch::FIRST, ..act(1) }, "none");
    assert_eq!(over.unwrap_err().reason, Reason::Invalid);
    let stranger = Act { run: "01ARZ3NDEKTSV4RRFFQ69G5FAW".parse().unwrap(), ..act(1) };
    let refused = rig.jobs.cancel("tester", &stranger, &first.id).unwrap_err();
    assert_eq!(refused.reason, Reason::Superseded);
    // Other nodes were done earlier, and the run went on.
    let later = Act { step: StepNumber::new(2).unwrap(), ..act(2) };
    rig.jobs.node.record(&later, &Work::Pull(order()), Event::Intended).unwrap();
    let over = rig.jobs.cancel("tester", &act(1), &first.id).unwrap_err();
    assert_eq!(over.reason, Reason::Superseded);
    let cancelled = rig.jobs.cancel("tester", &act(2), &first.id).unwrap();
    assert_eq!((cancelled.state, cancelled.done_bytes), (JobState::Cancelled, 3));
    assert_eq!(rig.end().await.state, JobState::Cancelled);
    board.wait_for(|standing| standing.line("us", None) == "serving us").await.unwrap();
    // Asked again, it is tried again.
    rig.engine().state().faults.clear();
    assert_eq!(rig.pull(3).await.unwrap().state, JobState::Running);
    assert_eq!(rig.end().await.state, JobState::Done { image: image_id(305) });
}

#[test]
fn a_job_ends_once() {
    let report = watch::Sender::new(ended("job", JobState::Running));
    let done = JobState::Done { image: image_id(305) };
    assert!(settle(&report, &done));
    assert!(!settle(&report, &JobState::Cancelled));
    assert_eq!(report.borrow().state, done);
}

#[tokio::test]
async fn a_failed_pull_says_what_to_do() {
    let rig = Rig::new(None);
    rig.engine().state().faults.push(Fault::PullDenied);
    let problem = rig.problem().await;
    assert!(problem.contains("wants a login"), "{problem}");

    let rig = Rig::new(Some(r#"{"auths": {"quay.io": {"auth": "cm9ib3Q6aHVudGVyMg=="}}}"#));
    rig.engine().state().faults.push(Fault::PullDenied);
    let problem = rig.problem().await;
    assert!(problem.contains("refuses the login"), "{problem}");
    assert!(!problem.contains("hunter2"), "{problem}");

    let rig = Rig::new(None);
    rig.engine().state().registry.clear();
    let problem = rig.problem().await;
    assert!(problem.contains("without the image"), "{problem}");

    let rig = Rig::new(Some("not json"));
    let problem = rig.problem().await;
    assert!(problem.contains("auth.json"), "{problem}");
}

#[tokio::test]
async fn only_repositories_of_agent_yaml_are_pulled_from() {
    let rig = Rig::new(None);
    let foreign = PullImage { repository: "evil.org/quay".to_owned(), ..order() };
    let refused = rig.jobs.pull("tester".to_owned(), act(1), foreign).await.unwrap_err();
    assert_eq!(refused.reason, Reason::Image);
    assert!(refused.remedy.contains("quay.io/redhat/quay"), "{}", refused.remedy);
    assert!(rig.engine().state().done.is_empty());
    assert_eq!(rig.jobs.report("none").unwrap_err().reason, Reason::Invalid);
}
