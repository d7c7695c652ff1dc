#![expect(clippy::disallowed_methods, reason = "tests wait, and write agent.yaml's files")]

mod dumps;

use crate::node::Kept;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use quaymaster_proto::{Component, Epoch, ImageDigest, StepNumber};

use super::*;
use crate::config::AgentConfig;
use crate::engine::fake::{FakeEngine, Fault, image_id};
use crate::ledger::LedgerSlot;
use crate::quay::http::QuayClient;
use crate::surroundings::Surroundings;

struct Rig {
    _directory: tempfile::TempDir,
    jobs: Jobs<FakeEngine>,
}

impl Rig {
    fn new(credentials: Option<&str>) -> Self {
        Self::of(credentials, "", |_| ())
    }

    /// With this in its agent.yaml, and this changed of what it asks.
    fn with(more: &str, how: impl FnOnce(&mut Surroundings)) -> Self {
        Self::of(None, more, how)
    }

    fn of(credentials: Option<&str>, more: &str, how: impl FnOnce(&mut Surroundings)) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = tempfile::tempdir().unwrap();
        let logins = if let Some(text) = credentials {
            let path = directory.path().join("auth.json");
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
            "registries: { credentials: auth.json }\n"
        } else {
            ""
        };
        let yaml = format!(
            "version: 1\ncluster: prod\nnode: quay-1\nlisten: 127.0.0.1:9643\n\
             tls: {{ ca: ca.crt, certificate: agent.crt, key: agent.key }}\n{logins}{more}\
             engine: unix:///run/none.sock\nstate: state\ncomponents:\n  quay: {{ container: quay, \
             config: config.yaml, repositories: [quay.io/redhat/quay] }}\n"
        );
        let config = AgentConfig::parse(&yaml, directory.path()).unwrap();
        let ledger = LedgerSlot::open(&config.state);
        let engine = FakeEngine::default();
        let name = format!("quay.io/redhat/quay@{}", order().digest);
        engine.state().registry.insert(name, image_id(305));
        let mut surroundings = Surroundings::of_host(QuayClient::new().unwrap());
        how(&mut surroundings);
        let node = Node::new(
            config,
            engine,
            surroundings,
            jiff::Timestamp::UNIX_EPOCH,
            Kept::in_tests(ledger),
        );
        Self { _directory: directory, jobs: Jobs::new(Arc::new(node)) }
    }

    fn engine(&self) -> &FakeEngine {
        &self.jobs.node.engine
    }

    /// As the process with this epoch, which claims the lease where it may.
    async fn pull(&self, epoch: u64) -> Result<JobReport, Refusal> {
        let node = &self.jobs.node;
        let claim = crate::lease::claiming(&act(epoch), node.lease());
        let _ = node.claim(&claim); // refused, and so is the pull
        self.jobs.pull("tester".to_owned(), act(epoch), order()).await
    }

    /// The report of the first state that is not running.
    async fn end(&self) -> JobReport {
        loop {
            let report = self.jobs.report(&job_id(&act(1))).unwrap();
            if report.state != JobState::Running {
                return report;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What a running job says that it waits for.
    async fn note(&self) -> String {
        loop {
            let report = self.jobs.report(&job_id(&act(1))).unwrap();
            assert_eq!(report.state, JobState::Running);
            if !report.note.is_empty() {
                return report.note;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn problem(&self) -> String {
        self.pull(1).await.unwrap();
        match self.end().await.state {
            JobState::Failed { problem } => problem,
            state @ (JobState::Running
            | JobState::Done { .. }
            | JobState::BackedUp(_)
            | JobState::Restored { .. }
            | JobState::Cancelled) => {
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

fn digest(digit: char) -> ImageDigest {
    format!("sha256:{}", digit.to_string().repeat(64)).parse().unwrap()
}

fn order() -> PullImage {
    PullImage {
        component: Component::Quay,
        repository: "quay.io/redhat/quay".to_owned(),
        digest: digest('d'),
        tag: Some("v3.0.5".to_owned()),
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
    assert_eq!(rig.pull(1).await.unwrap_err().reason, Reason::Lease);
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
    assert_eq!(over.reason, Reason::Lease);
    let cancelled = rig.jobs.cancel("tester", &act(2), &first.id).unwrap();
    assert_eq!((cancelled.state, cancelled.done_bytes), (JobState::Cancelled, 3));
    assert_eq!(rig.end().await.state, JobState::Cancelled);
    board.wait_for(|standing| standing.line("us", None) == "serving us").await.unwrap();
    // Asked again, it is tried again.
    rig.engine().state().faults.clear();
    assert_eq!(rig.pull(3).await.unwrap().state, JobState::Running);
    assert_eq!(rig.end().await.state, JobState::Done { image: image_id(305) });
}

#[tokio::test]
async fn a_pull_goes_on_for_its_own_run_and_ends_for_another() {
    let rig = Rig::new(None);
    let refused = rig.jobs.pull("tester".to_owned(), act(1), order()).await.unwrap_err();
    assert_eq!(refused.reason, Reason::Lease);
    rig.engine().state().faults.push(Fault::PullHangs);
    rig.pull(1).await.unwrap();
    rig.jobs.leave_to(act(2).run);
    assert_eq!(rig.pull(2).await.unwrap().state, JobState::Running);
    rig.jobs.leave_to("01ARZ3NDEKTSV4RRFFQ69G5FAW".parse().unwrap());
    assert_eq!(rig.end().await.state, JobState::Cancelled);
    let told = rig.jobs.node.ledger().get().unwrap().index().run(None).unwrap();
    let ends: Vec<_> = told.entries.into_iter().map(|entry| entry.end).collect();
    let [Some(quaymaster_proto::lease::LedgerEnd::Job(report))] = ends.as_slice() else {
        panic!("{ends:?}")
    };
    assert_eq!(report.state, JobState::Cancelled);
}

#[tokio::test]
async fn a_pull_ends_with_the_lease_of_its_run_and_is_begun_anew_under_the_next() {
    let rig = Rig::new(None);
    rig.engine().state().faults.push(Fault::PullHangs);
    rig.pull(1).await.unwrap();
    rig.jobs.end_with("01ARZ3NDEKTSV4RRFFQ69G5FAW".parse().unwrap());
    assert_eq!(rig.pull(1).await.unwrap().state, JobState::Running);
    rig.jobs.end_with(act(1).run);
    assert_eq!(rig.end().await.state, JobState::Cancelled);
    rig.engine().state().faults.clear();
    assert_eq!(rig.pull(2).await.unwrap().state, JobState::Running);
    assert_eq!(rig.end().await.state, JobState::Done { image: image_id(305) });
}

#[test]
fn a_job_ends_once() {
    let report = watch::Sender::new(untouched("job", JobState::Running));
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

    let rig = Rig::new(Some("not json"));
    let problem = rig.problem().await;
    assert!(problem.contains("auth.json"), "{problem}");
}

#[tokio::test]
async fn a_pull_that_brings_another_image_is_refused_with_both_digests() {
    let rig = Rig::new(None);
    rig.engine().state().registry.clear();
    rig.engine().state().tagged.insert("quay.io/redhat/quay:v3.0.5".to_owned(), digest('e'));
    let problem = rig.problem().await;
    assert!(problem.contains("without an image of that digest"), "{problem}");
    for digest in [digest('d'), digest('e')] {
        assert!(problem.contains(digest.as_str()), "{problem}");
    }

    // The engine has what it was asked for under a name of its own making.
    let rig = Rig::new(None);
    rig.engine().state().loses_digests = true;
    let problem = rig.problem().await;
    assert!(problem.contains("without an image of that digest"), "{problem}");

    let rig = Rig::new(None);
    rig.engine().state().tagged.insert("quay.io/redhat/quay:v3.0.5".to_owned(), digest('e'));
    rig.engine().state().broken.push_back("filesystem layer verification failed for digest x");
    let problem = rig.problem().await;
    assert!(problem.contains("serves other bytes"), "{problem}");
    assert!(problem.contains(digest('e').as_str()), "{problem}");
}

#[tokio::test(start_paused = true)]
async fn a_pull_that_breaks_off_is_tried_again_and_says_so() {
    let rig = Rig::new(None);
    rig.engine().state().broken = ["unexpected EOF", "connection reset by peer"].into();
    rig.pull(1).await.unwrap();
    let said = rig.note().await;
    assert!(said.starts_with("try 2 of 5 begins in 5 s: "), "{said}");
    assert!(said.ends_with("unexpected EOF"), "{said}");
    let end = rig.end().await;
    assert_eq!((end.state, end.note.as_str()), (JobState::Done { image: image_id(305) }, ""));
    assert_eq!(rig.engine().state().done.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_pull_that_only_breaks_off_ends() {
    let rig = Rig::new(None);
    rig.engine().state().faults.push(Fault::RegistrySilent);
    let problem = rig.problem().await;
    assert!(problem.contains("tried 5 times"), "{problem}");
    assert!(problem.contains("reaches registry `quay.io`"), "{problem}");
    assert_eq!(rig.engine().state().done.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_pull_that_stands_still_is_given_up_and_tried_again() {
    let rig = Rig::new(None);
    rig.engine().state().faults.push(Fault::PullHangs);
    rig.pull(1).await.unwrap();
    let said = rig.note().await;
    assert!(said.contains("came no further for 10m"), "{said}");
    rig.engine().state().faults.clear();
    assert_eq!(rig.end().await.state, JobState::Done { image: image_id(305) });

    let rig = Rig::new(None);
    rig.engine().state().faults.push(Fault::PullHangs);
    let problem = rig.problem().await;
    assert!(problem.contains("came no further for 10m; tried 5 times"), "{problem}");
}

#[tokio::test]
async fn a_full_disk_is_not_tried_again() {
    let rig = Rig::new(None);
    rig.engine().state().broken = ["write /x: no space left on device"].into();
    let problem = rig.problem().await;
    assert!(problem.contains("is full; 0 MB are to be downloaded"), "{problem}");
    assert_eq!(rig.engine().state().done.len(), 1);
}

#[tokio::test]
async fn only_repositories_of_agent_yaml_are_pulled_from() {
    let rig = Rig::new(None);
    let foreign = PullImage { repository: "evil.org/quay".to_owned(), ..order() };
    rig.jobs.node.claim(&crate::lease::claiming(&act(1), None)).unwrap();
    let refused = rig.jobs.pull("tester".to_owned(), act(1), foreign).await.unwrap_err();
    assert_eq!(refused.reason, Reason::Image);
    assert!(refused.remedy.contains("quay.io/redhat/quay"), "{}", refused.remedy);
    assert!(rig.engine().state().done.is_empty());
    assert_eq!(rig.jobs.report("none").unwrap_err().reason, Reason::Invalid);
}
