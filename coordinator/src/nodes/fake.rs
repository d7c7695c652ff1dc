//! A whole fleet in memory, for tests: it follows orders as agents do, keeps
//! tokio's time, can be scripted with faults, and notes what must never happen.
#![expect(clippy::disallowed_methods, reason = "it keeps tokio's own time")]

mod kept;
mod script;
mod world;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use quaymaster_proto::act::{Order, StageContainer};
use quaymaster_proto::backup::{BACKUP_APPLICATION, Backup};
use quaymaster_proto::database::{DatabaseLook, Session, TagCounts};
use quaymaster_proto::health::{BackfillSample, HealthReport, HealthRoute, HealthVerdict};
use quaymaster_proto::job::{JobOrder, JobReport, JobState};
use quaymaster_proto::lease::{ClaimLease, Claimed, LedgerEnd, ReleaseLease, RunLedger};
use quaymaster_proto::node::{ComponentFacts, ConfigFacts, ContainerFacts, NodeFacts};
use quaymaster_proto::preview::Preview;
use quaymaster_proto::{
    Act, ActOutcome, Component, ContainerId, ContainerState, ContainerStatus, FileDigest, How,
    Mode, NodeName, Reason, Refusal, RestartPolicy, RunId,
};
use tokio::time::{Instant, sleep};

use crate::nodes::{
    CallError, DatabaseQuestion, HealthQuestion, HealthStream, ImageQuestion, Looks, NoAnswer,
    Orders, PreviewQuestion, ResolvedImage, SurveyKey, Unreachable,
};
use crate::plan::Plan;
use crate::run::log::LogTail;
use crate::survey::{ClusterFacts, fixture};

use kept::Kept;

/// How long things take in the fake.
pub(crate) const LATENCY: Duration = Duration::from_millis(2);
pub(crate) const STOP: Duration = Duration::from_secs(10);
pub(crate) const MIGRATION: Duration = Duration::from_secs(20);
pub(crate) const BOOT: Duration = Duration::from_secs(3);

/// A fleet that obeys.
#[derive(Clone, Debug)]
pub(crate) struct FakeFleet {
    world: Arc<Mutex<World>>,
    begun: Instant,
}

#[derive(Debug)]
struct World {
    nodes: BTreeMap<NodeName, FakeNode>,
    database: DatabaseLook,
    target: String,
    wanted: Mode,
    sessions: Vec<Session>,
    backfill: VecDeque<f64>,
    refusals: BTreeMap<(NodeName, &'static str), Refusal>,
    silent: BTreeSet<NodeName>,
    lost: BTreeSet<(NodeName, &'static str)>,
    unheard_claims: BTreeSet<NodeName>,
    first_exits_with: Option<i64>,
    /// Nodes whose next fresh container ends at once.
    dying: BTreeSet<NodeName>,
    /// What a migrating container says.
    log: Vec<&'static str>,
    migration_began: Option<Instant>,
    tally: Tally,
}

/// What was seen to happen.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Tally {
    /// Containers that were really started to migrate.
    pub(crate) migrating_starts: u32,
    /// Every Quay that was really started, in order.
    pub(crate) started: Vec<NodeName>,
    /// What became of containers beside the Quays, in order: `stop clair quay-1`.
    pub(crate) companions: Vec<String>,
    /// How often the database was restored.
    pub(crate) restores: u32,
    /// Over what the database was to be backed up, each time.
    pub(crate) backups: Vec<FileDigest>,
    /// What must never happen.
    pub(crate) violations: Vec<String>,
    /// Nodes on which what the window found runs again.
    pub(crate) returned: BTreeSet<NodeName>,
    /// Nodes whose new container has its name and policy.
    pub(crate) promoted: BTreeSet<NodeName>,
}

#[derive(Debug)]
struct FakeNode {
    facts: NodeFacts,
    /// What it was made with.
    found: NodeFacts,
    staged: BTreeMap<Component, Staged>,
    kept: Kept,
    /// Containers that were made of ones that had run, and how many.
    recreated: BTreeMap<(Component, u32), ContainerId>,
    fresh: u8,
}

#[derive(Debug)]
struct Staged {
    id: ContainerId,
    attempt: u32,
    started: Option<Instant>,
}

impl FakeFleet {
    /// The cluster as `facts` describe it; `plan` says where it will arrive.
    pub(crate) fn new(facts: &ClusterFacts, plan: &Plan) -> Self {
        let nodes = facts
            .nodes
            .iter()
            .map(|(name, survey)| (name.clone(), FakeNode::new(survey.facts.clone())));
        let world = World {
            nodes: nodes.collect(),
            database: facts.one_database().unwrap().clone(),
            target: plan.database.target.clone(),
            wanted: plan.window.to.mode,
            sessions: Vec::new(),
            backfill: VecDeque::new(),
            refusals: BTreeMap::new(),
            silent: BTreeSet::new(),
            lost: BTreeSet::new(),
            unheard_claims: BTreeSet::new(),
            first_exits_with: None,
            dying: BTreeSet::new(),
            log: Vec::new(),
            migration_began: None,
            tally: Tally::default(),
        };
        Self { world: Arc::new(Mutex::new(world)), begun: Instant::now() }
    }

    /// tokio's time as a timestamp.
    pub(crate) fn now(&self) -> Timestamp {
        let elapsed = self.begun.elapsed();
        fixture::survey_time() + jiff::SignedDuration::try_from(elapsed).unwrap()
    }

    pub(crate) fn tally(&self) -> Tally {
        self.world().tally.clone()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    fn unreachable(node: &NodeName, what: &str, why: Unreachable) -> CallError {
        let (what, why) = (what.to_owned(), Box::new(NoAnswer::Unreachable(why)));
        CallError { node: node.clone(), address: "10.0.0.1:9643".to_owned(), what, why }
    }

    /// On the way there and on the way back.
    async fn reach(&self, node: &NodeName, what: &str) -> Result<(), CallError> {
        sleep(LATENCY).await;
        let is_lost = self.world().lost.iter().any(|(on, verb)| on == node && *verb == what);
        if is_lost || self.world().silent.contains(node) {
            return Err(Self::unreachable(node, what, Unreachable::ConnectionRefused));
        }
        Ok(())
    }

    fn refused(node: &NodeName, what: &str, refusal: Refusal) -> CallError {
        let (what, why) = (what.to_owned(), Box::new(NoAnswer::Refused(refusal)));
        CallError { node: node.clone(), address: "10.0.0.1:9643".to_owned(), what, why }
    }
}

impl Looks for FakeFleet {
    async fn describe(&self, node: &NodeName, _: &SurveyKey) -> Result<NodeFacts, CallError> {
        self.reach(node, "describe the node").await?;
        Ok(self.world().node(node).described())
    }

    async fn preview(&self, node: &NodeName, _: &PreviewQuestion) -> Result<Preview, CallError> {
        Err(Self::unreachable(node, "preview the change", Unreachable::Unknown))
    }

    async fn resolve_image(
        &self,
        node: &NodeName,
        _: &ImageQuestion,
    ) -> Result<ResolvedImage, CallError> {
        Err(Self::unreachable(node, "resolve an image", Unreachable::Unknown))
    }

    async fn health(
        &self,
        node: &NodeName,
        question: &HealthQuestion,
    ) -> Result<HealthReport, CallError> {
        self.reach(node, "look at Quay's health").await?;
        Ok(self.world().report(node, question, self.now()))
    }

    async fn follow_health(
        &self,
        node: &NodeName,
        question: &HealthQuestion,
    ) -> Result<HealthStream, CallError> {
        self.reach(node, "follow Quay's health").await?;
        let (fleet, node, question) = (self.clone(), node.clone(), question.clone());
        let reports = futures::stream::unfold(false, move |is_later| {
            let (fleet, node, question) = (fleet.clone(), node.clone(), question.clone());
            async move {
                if is_later {
                    sleep(Duration::from_millis(200)).await;
                }
                Some((fleet.health(&node, &question).await, true))
            }
        });
        Ok(reports.boxed())
    }

    async fn sample_backfill(&self, node: &NodeName) -> Result<BackfillSample, CallError> {
        self.reach(node, "sample the backfill").await?;
        let at = self.now();
        let mut world = self.world();
        let progress = match world.backfill.len() {
            0 => None,
            1 => world.backfill.front().copied(),
            _ => world.backfill.pop_front(),
        };
        Ok(match progress {
            Some(progress) => BackfillSample::Counted {
                at,
                progress,
                tags_remaining: ((1.0 - progress) * 1000.0).round() as i64,
                total_tags: 1000,
            },
            None => BackfillSample::NoCount {
                at,
                status: Some(404),
                problem: "no such page".to_owned(),
            },
        })
    }

    async fn look_at_database(
        &self,
        node: &NodeName,
        question: DatabaseQuestion,
    ) -> Result<DatabaseLook, CallError> {
        self.reach(node, "look at the database").await?;
        let at = self.now();
        let world = self.world();
        let sessions = question.sessions.then(|| world.sessions.clone());
        let revision = world.revision();
        let counts = question.counts.then_some(TagCounts { visible: 1000, unmapped: 0 });
        Ok(DatabaseLook { at, revision, sessions, counts, ..world.database.clone() })
    }

    async fn read_log(
        &self,
        node: &NodeName,
        _: Component,
        _: &ContainerId,
    ) -> Result<LogTail, CallError> {
        self.reach(node, "read the log").await?;
        let mut tail = LogTail::default();
        self.world().log.iter().for_each(|line| tail.see(line));
        Ok(tail.whole())
    }

    async fn read_ledger(
        &self,
        node: &NodeName,
        run: Option<RunId>,
    ) -> Result<RunLedger, CallError> {
        self.reach(node, "read the ledger").await?;
        let read = self.world().node(node).kept.read(run);
        read.map_err(|refusal| Self::refused(node, "read the ledger", refusal))
    }
}

impl Orders for FakeFleet {
    async fn claim(&self, node: &NodeName, claim: ClaimLease) -> Result<Claimed, CallError> {
        self.reach(node, "claim").await?;
        if let Some(refusal) = self.world().refusals.get(&(node.clone(), "claim")).cloned() {
            return Err(Self::refused(node, "claim", refusal));
        }
        let granted = self.world().node(node).kept.claim(claim, self.now());
        if self.world().unheard_claims.remove(node) {
            return Err(Self::unreachable(node, "claim", Unreachable::Unknown));
        }
        granted.map_err(|refusal| Self::refused(node, "claim", refusal))
    }

    async fn release(&self, node: &NodeName, release: ReleaseLease) -> Result<(), CallError> {
        self.reach(node, "release").await?;
        let released = self.world().node(node).kept.release(&release);
        released.map_err(|refusal| Self::refused(node, "release", refusal))
    }

    async fn order(
        &self,
        node: &NodeName,
        act: Act,
        order: Order,
    ) -> Result<ActOutcome, CallError> {
        self.reach(node, order.verb()).await?;
        let admitted = self.world().node(node).kept.admit(&act);
        admitted.map_err(|refusal| Self::refused(node, order.verb(), refusal))?;
        let refusal = self.world().refusals.get(&(node.clone(), order.verb())).cloned();
        if let Some(refusal) = refusal {
            return Err(Self::refused(node, order.verb(), refusal));
        }
        if matches!(order, Order::EnsureStopped(_)) {
            sleep(STOP).await;
        }
        let carried = self.world().carry_out(node, &order, self.now());
        let end = match &carried {
            Ok(outcome) => LedgerEnd::Met(outcome.clone()),
            Err(refusal) => LedgerEnd::Refused(refusal.clone()),
        };
        self.world().node(node).kept.settle(&act, Some(end), self.now());
        carried.map_err(|refusal| Self::refused(node, order.verb(), refusal))
    }

    async fn begin(
        &self,
        node: &NodeName,
        act: Act,
        order: JobOrder,
    ) -> Result<JobReport, CallError> {
        let (what, id) = match &order {
            JobOrder::Pull(order) => ("pull", format!("pull-{}", order.digest)),
            JobOrder::BackUp(_) => ("back up", "backup".to_owned()),
            JobOrder::CheckBackup(_) => ("check the backup", "backup".to_owned()),
            JobOrder::Restore(_) => ("restore", "restore".to_owned()),
        };
        self.reach(node, what).await?;
        let admitted = self.world().node(node).kept.admit(&act);
        admitted.map_err(|refusal| Self::refused(node, what, refusal))?;
        let refusal = self.world().refusals.get(&(node.clone(), what)).cloned();
        if let Some(refusal) = refusal {
            return Err(Self::refused(node, what, refusal));
        }
        match &order {
            JobOrder::Restore(_) => self.world().restore(),
            JobOrder::BackUp(order) => self.world().tally.backups.push(order.ran.clone()),
            JobOrder::Pull(_) | JobOrder::CheckBackup(_) => {}
        }
        // One that an earlier process began is joined, and ends.
        self.world().sessions.retain(|session| session.application != BACKUP_APPLICATION);
        let note = String::new();
        let done = ended(&id);
        self.world().node(node).kept.settle(&act, Some(LedgerEnd::Job(done)), self.now());
        Ok(JobReport { id, state: JobState::Running, done_bytes: 1, total_bytes: 2, note })
    }

    async fn job(&self, node: &NodeName, id: &str) -> Result<JobReport, CallError> {
        self.reach(node, "look at a job").await?;
        Ok(ended(id))
    }
}

/// A job of that id at its end.
fn ended(id: &str) -> JobReport {
    let state = match id {
        "backup" => JobState::BackedUp(Box::new(backup())),
        "restore" => JobState::Restored { rows: 33 },
        _ => {
            let image = format!("sha256:{}", fixture::hex('b', 0)).parse().unwrap();
            JobState::Done { image }
        }
    };
    let (id, note) = (id.to_owned(), String::new());
    JobReport { id, state, done_bytes: 2, total_bytes: 2, note }
}

/// A backup that took 2:19.
pub(crate) fn backup() -> Backup {
    let begun = fixture::survey_time();
    Backup {
        directory: "/var/backups/quaymaster/01ARZ3NDEKTSV4RRFFQ69G5FAV".to_owned(),
        manifest: fixture::hex('9', 1).parse().unwrap(),
        identity: quaymaster_proto::database::DatabaseIdentity::new(
            "postgresql:7301846093115:16384",
        )
        .unwrap(),
        revision: "5b7503aada1b".to_owned(),
        bytes: 6_412_000_000,
        rows: 61_040_122,
        begun,
        ended: begun + Duration::from_secs(139),
        storage: None,
    }
}

/// What a job has at the database.
pub(crate) fn dump() -> Session {
    let application = BACKUP_APPLICATION.to_owned();
    Session { application, address: "10.0.0.11".to_owned(), ..psql() }
}

/// A session that nobody can name.
pub(crate) fn psql() -> Session {
    Session {
        pid: 4711,
        user: "postgres".to_owned(),
        application: "psql".to_owned(),
        address: "10.0.0.99".to_owned(),
        since: Some(fixture::survey_time()),
    }
}
