//! The agent's core without its service, host and process: for a simulation of
//! a whole cluster, which brings the engine, Quay, the database and the time.
//! What looks and acts do is the agent's own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;
use quaymaster_proto::act::Order;
use quaymaster_proto::backup::{BackUp, Backup, BackupFacts, CheckBackup, Restore};
use quaymaster_proto::database::{DatabaseIdentity, DatabaseLook};
use quaymaster_proto::health::{BackfillSample, HealthReport};
use quaymaster_proto::image::ResolvedImage;
use quaymaster_proto::job::{JobOrder, JobReport};
use quaymaster_proto::lease::{ClaimLease, Claimed, ReleaseLease, RunLedger};
use quaymaster_proto::node::NodeFacts;
use quaymaster_proto::preview::Preview;
use quaymaster_proto::{
    Act, ActOutcome, Component, ContainerId, Lease, Mode, MountCopy, PortMove, Reason, Refusal,
    RunId,
};

use tokio::task::AbortHandle;

use crate::backup::{BackedUp, BackupConfig, BackupError, Dump, Keeping, Subject};
use crate::config::AgentConfig;
use crate::container::spec::SpecKey;
pub use crate::engine::*;
pub use crate::guards::Guard;
use crate::guards::Guards;
use crate::jobs::Jobs;
use crate::ledger::LedgerSlot;
use crate::looks::follow;
use crate::looks::preview::Change;
use crate::node::{Kept, Node};
use crate::own_thread::Threads;
use crate::quay::database::{Asked, LookError};
use crate::quay::http::{Answer, Target};
use crate::quay::settings::{Settings, SurveyKey};
use crate::starters::files::Starters;
use crate::surroundings::{AskDatabase, AskQuay, LockedBy, Surroundings};
use crate::worker::Worker;

/// Where a write of the ledger stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Writing {
    /// Nothing is on the disk.
    Begins,
    /// It is on the disk, and nobody knows it yet.
    Ended,
}

/// What a Quay answered: status and body; `Err` = nothing, and why.
pub type QuayAnswer = Result<(u16, String), String>;

/// The world around one agent.
pub trait World: Send + Sync + 'static {
    /// What the Quay at this address (`http://host:port`) answers to a GET.
    fn get(&self, address: String, path: String) -> BoxFuture<'static, QuayAnswer>;

    /// What it answers to a manifest list that nobody may push.
    fn put_manifest_list(&self, address: String) -> BoxFuture<'static, QuayAnswer>;

    /// What the database shows that this text (without a password) names.
    fn look_at_database(
        &self,
        shown_as: String,
        sessions: bool,
        counts: bool,
    ) -> BoxFuture<'static, Result<DatabaseLook, String>>;

    /// Dumps the database for a run, where it is as the order has it: a backup,
    /// and whether it was there already. Dropped, it ends.
    fn back_up(
        &self,
        run: RunId,
        order: BackUp,
    ) -> BoxFuture<'static, Result<(Backup, bool), String>>;

    /// Reads the backup of a run back.
    fn check_backup(
        &self,
        run: RunId,
        order: CheckBackup,
    ) -> BoxFuture<'static, Result<Backup, String>>;

    /// Restores the backup of a run.
    fn restore(&self, run: RunId, order: Restore) -> BoxFuture<'static, Result<u64, String>>;

    /// This node's clock.
    fn now(&self) -> Timestamp;

    /// Whether the agent gets past this point of writing its ledger.
    fn writes(&self, writing: Writing) -> bool;
}

/// Everything that an agent is made of.
#[derive(Debug)]
pub struct Parts<'a, E, W> {
    /// agent.yaml.
    pub yaml: &'a str,
    /// What its paths are relative to.
    pub base: &'a Path,
    /// The node's engine.
    pub engine: E,
    /// The rest.
    pub world: Arc<W>,
    /// The guard that is off.
    pub without: Option<Guard>,
}

/// An agent without its service.
#[derive(Debug)]
pub struct SimulatedAgent<E: Engine> {
    node: Arc<Node<E>>,
    worker: Arc<Worker<E>>,
    jobs: Jobs<E>,
    watching: AbortHandle,
}

impl<E: Engine> Drop for SimulatedAgent<E> {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

impl<E: Engine> SimulatedAgent<E> {
    /// An agent as it is right after its start.
    pub async fn start<W: World>(parts: Parts<'_, E, W>) -> Result<Self, String> {
        let Parts { yaml, base, engine, world, without } = parts;
        let config = AgentConfig::parse(yaml, base).map_err(|error| error.to_string())?;
        let surroundings = surroundings(&world);
        // The same every time: what is simulated is to be the same every time.
        let spec_key = SpecKey::new([7; 32]);
        let starters = Starters::under("/nonexistent");
        let kept = Kept { ledger: LedgerSlot::open(&config.state), spec_key, starters };
        let mut node = Node::new(config, engine, surroundings, Timestamp::MAX, kept);
        node.guards = Guards::without(without);
        let node = Arc::new(node);
        let (worker, jobs) =
            (Arc::new(Worker::new(Arc::clone(&node))), Jobs::new(Arc::clone(&node)));
        let _ = worker.look_over_fence().await; // told, and tried again
        let watcher = Arc::clone(&worker);
        let watching = tokio::spawn(async move { match watcher.keep_fence().await {} });
        Ok(Self { node, worker, jobs, watching: watching.abort_handle() })
    }

    /// The engine that it was given.
    pub fn engine(&self) -> &E {
        &self.node.engine
    }

    /// See `Node::describe`.
    pub async fn describe(&self, key: &[u8; 32]) -> Result<NodeFacts, Refusal> {
        self.node.describe(Some(&SurveyKey::new(*key))).await
    }

    /// See `Node::preview`.
    pub async fn preview(
        &self,
        (component, container): (Component, Option<ContainerId>),
        mode: Mode,
        port_moves: Vec<PortMove>,
        mount_copies: Vec<MountCopy>,
    ) -> Result<Preview, Refusal> {
        self.node.preview(&Change { component, container, mode, port_moves, mount_copies }).await
    }

    /// See `Node::resolve_image`.
    pub async fn resolve_image(
        &self,
        component: Component,
        repository: &str,
        tag: &str,
    ) -> Result<ResolvedImage, Refusal> {
        self.node.resolve_image(component, repository, tag).await
    }

    /// See `Node::health`.
    pub async fn health(
        &self,
        component: Component,
        id: Option<&ContainerId>,
    ) -> Result<HealthReport, Refusal> {
        self.node.health(component, id).await
    }

    /// See `looks::follow`.
    pub fn follow_health(
        &self,
        component: Component,
        id: Option<ContainerId>,
    ) -> BoxStream<'static, Result<HealthReport, Refusal>> {
        follow::follow(Arc::clone(&self.node), component, id).boxed()
    }

    /// See `Node::sample_backfill`.
    pub async fn sample_backfill(&self) -> Result<BackfillSample, Refusal> {
        self.node.sample_backfill().await
    }

    /// See `Node::look_at_database`.
    pub async fn look_at_database(
        &self,
        sessions: bool,
        counts: bool,
    ) -> Result<DatabaseLook, Refusal> {
        let view = self.node.quay_view(None).await?;
        self.node.look_at_database(&view, Asked { sessions, counts }).await
    }

    /// See `Node::follow_log`.
    pub async fn read_log(
        &self,
        component: Component,
        id: &ContainerId,
    ) -> Result<BoxStream<'static, Result<LoggedLine, Refusal>>, Refusal> {
        self.node.follow_log(component, Some(id)).await
    }

    /// See `Node::read_ledger`.
    pub fn read_ledger(&self, run: Option<RunId>) -> Result<RunLedger, Refusal> {
        self.node.read_ledger(run)
    }

    /// See `Worker::claim`.
    pub async fn claim(&self, who: &str, claim: ClaimLease) -> Result<Claimed, Refusal> {
        let jobs = self.jobs.clone();
        self.worker.claim(who.to_owned(), claim, move |lease| jobs.leave_to(lease.run)).await
    }

    /// See `Worker::release`.
    pub async fn release(&self, who: &str, release: ReleaseLease) -> Result<(), Refusal> {
        let jobs = self.jobs.clone();
        self.worker.release(who.to_owned(), release, move |run| jobs.end_with(run)).await
    }

    /// Whose the node is.
    pub fn lease(&self) -> Option<Lease> {
        self.node.lease()
    }

    /// See `Jobs::perform`.
    pub async fn order(&self, who: &str, act: Act, order: Order) -> Result<ActOutcome, Refusal> {
        self.jobs.perform(&self.worker, who.to_owned(), act, order).await
    }

    /// See `Jobs`.
    pub async fn begin(&self, who: &str, act: Act, order: JobOrder) -> Result<JobReport, Refusal> {
        let who = who.to_owned();
        match order {
            JobOrder::Pull(order) => self.jobs.pull(who, act, order).await,
            JobOrder::BackUp(order) => self.jobs.back_up(who, act, order).await,
            JobOrder::CheckBackup(order) => self.jobs.check_backup(who, act, order).await,
            JobOrder::Restore(order) => self.jobs.restore(who, act, order).await,
        }
    }

    /// See `Jobs::report`.
    pub fn job(&self, id: &str) -> Result<JobReport, Refusal> {
        self.jobs.report(id)
    }
}

impl<E: Engine> Node<E> {
    /// Past a point of writing, or the refusal that a full disk would give.
    pub(crate) fn may_write(&self, writing: Writing) -> Result<(), Refusal> {
        if (self.surroundings.disk)(writing) {
            return Ok(());
        }
        Err(Refusal::new(Reason::Ledger, "cannot append to the ledger: no space left on device")
            .with_remedy("make room"))
    }
}

fn surroundings<W: World>(world: &Arc<W>) -> Surroundings {
    let (clock, disk) = (Arc::clone(world), Arc::clone(world));
    Surroundings {
        quay: Arc::new(Of(Arc::clone(world))),
        database: Arc::new(Of(Arc::clone(world))),
        dump: Arc::new(Of(Arc::clone(world))),
        clock: Arc::new(move || clock.now()),
        threads: Threads::Shared,
        disk: Arc::new(move |writing| disk.writes(writing)),
    }
}

struct Of<W>(Arc<W>);

fn answer(answer: QuayAnswer) -> Answer {
    match answer {
        Ok((status, body)) => Answer::Got { status, body, location: String::new() },
        Err(problem) => Answer::Nothing { problem },
    }
}

impl<W: World> AskQuay for Of<W> {
    fn get<'a>(
        &'a self,
        target: &'a Target,
        path: &'a str,
        limit: Duration,
    ) -> BoxFuture<'a, Answer> {
        let got = self.0.get(target.to_string(), path.to_owned());
        async move {
            let late = |_| Err("no answer in time".to_owned());
            answer(tokio::time::timeout(limit, got).await.unwrap_or_else(late))
        }
        .boxed()
    }

    fn put_manifest_list<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Answer> {
        self.0.put_manifest_list(target.to_string()).map(answer).boxed()
    }
}

impl<W: World> AskDatabase for Of<W> {
    fn look<'a>(
        &'a self,
        settings: &'a Settings,
        _: &'a [Mount],
        _: &'a str,
        asked: Asked,
    ) -> BoxFuture<'a, Result<DatabaseLook, LookError>> {
        async move {
            let uri = settings.database()?;
            let Asked { sessions, counts } = asked;
            let look = self.0.look_at_database(uri.shown_as(), sessions, counts);
            look.await.map_err(|said| LookError::Connect { said })
        }
        .boxed()
    }

    /// A simulated database has no locks: what holds must hold without.
    fn lock<'a>(
        &'a self,
        _: &'a Settings,
        _: &'a [Mount],
        _: &'a str,
        _: &'a DatabaseIdentity,
    ) -> BoxFuture<'a, Option<LockedBy>> {
        std::future::ready(None).boxed()
    }

    fn unlock(&self) {}
}

impl<W: World> Dump for Of<W> {
    fn look<'a>(&'a self, config: &'a BackupConfig) -> BoxFuture<'a, BackupFacts> {
        let facts = BackupFacts {
            directory: config.directory.display().to_string(),
            free_bytes: None,
            dump_versions: vec!["12.4".to_owned()],
            mysql_dump_versions: Vec::new(),
            problem: String::new(),
            newest: None,
        };
        std::future::ready(facts).boxed()
    }

    fn back_up<'a>(
        &'a self,
        subject: Subject<'a>,
        order: &'a BackUp,
    ) -> BoxFuture<'a, Result<BackedUp, BackupError>> {
        let made = self.0.back_up(subject.run, order.clone());
        made.map(|made| made.map(|(backup, was_there)| BackedUp { backup, was_there }))
            .map(|made| made.map_err(told))
            .boxed()
    }

    fn check<'a>(
        &'a self,
        subject: Subject<'a>,
        order: &'a CheckBackup,
    ) -> BoxFuture<'a, Result<Backup, BackupError>> {
        self.0.check_backup(subject.run, order.clone()).map(|made| made.map_err(told)).boxed()
    }

    /// A simulated node has nothing that a person would put back.
    fn keep(&self, _: &Keeping<'_>) -> Result<(), BackupError> {
        Ok(())
    }

    fn restore<'a>(
        &'a self,
        subject: Subject<'a>,
        order: &'a Restore,
    ) -> BoxFuture<'a, Result<u64, BackupError>> {
        self.0.restore(subject.run, order.clone()).map(|made| made.map_err(told)).boxed()
    }
}

fn told(said: String) -> BackupError {
    LookError::Connect { said }.into()
}
