//! Looking at containers that come up: reports come by themselves, and the
//! database is asked beside them where its revision matters.
#![expect(clippy::disallowed_methods, reason = "an effect room: it waits for what comes first")]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use quaymaster_proto::NodeName;
use quaymaster_proto::database::DatabaseLook;
use tokio::time::{Instant, sleep, sleep_until};

use super::followers::Seen;
use super::gate::Look;
use super::{Book, RunError, Runner};
use crate::gates::health::Course;
use crate::gates::{Judgement, first_node, healthy};
use crate::nodes::{CallError, DatabaseQuestion, HealthQuestion, Looks, Orders};
use crate::plan::{Gate, Plan, Step};
use crate::run::log::LogTail;
use crate::run::{Event, GateFailure, order};

/// Between two looks at the revision while the first node migrates.
const REVISION: Duration = Duration::from_secs(1);
/// How often the gate's limit is looked at when nothing happens.
const TICK: Duration = Duration::from_secs(1);

type DatabaseCall = Pin<Box<dyn Future<Output = Result<DatabaseLook, CallError>> + Send>>;

/// What is known while the gate waits.
struct Watch {
    courses: Vec<Course>,
    database: Option<DatabaseLook>,
    log: Option<LogTail>,
    calls: FuturesUnordered<DatabaseCall>,
    next_call: Instant,
    /// When the latest reports say that health will have lasted.
    confirm_at: Option<Instant>,
    /// Since all is well but for nodes that do not say whether an old Quay
    /// lives there.
    silent_since: Option<Instant>,
    begun: Instant,
}

impl<N, B> Runner<N, B>
where
    N: Looks + Orders + 'static,
    B: Book,
{
    pub(super) async fn health(
        &mut self,
        plan: &Plan,
        step: &Step,
        gate: Gate,
        nodes: &[NodeName],
    ) -> Result<(), RunError> {
        self.followers.open(plan, &self.state, step.component, &self.nodes);
        let needed = plan.timings.healthy_for;
        let mut watch = Watch::new(nodes);
        for (node, seen) in self.followers.waiting((step.component, nodes)) {
            watch.see(&node, seen, needed);
        }
        loop {
            let judgement = self.judge(plan, step, gate, &mut watch).await;
            if let (Gate::Healthy, Judgement::Fail(failure)) = (gate, &judgement)
                && self.leave_behind(step, failure, &mut watch).await?
            {
                if watch.courses.is_empty() {
                    return Ok(());
                }
                continue;
            }
            if self.settle(step, judgement).await? == Look::Over {
                return Ok(());
            }
            let wants_revision = gate == Gate::FirstNode && watch.wants_revision(plan);
            let confirm_at = watch.confirm_at;
            tokio::select! {
                // In one order: the same answers make the same run.
                biased;
                Some((node, seen)) = self.followers.next((step.component, nodes)) => {
                    watch.see(&node, seen, needed);
                }
                () = until(confirm_at), if confirm_at.is_some() => {
                    for (node, seen) in self.confirm(plan, step, nodes).await {
                        watch.see(&node, seen, needed);
                    }
                }
                Some(answer) = watch.calls.next(), if !watch.calls.is_empty() => {
                    watch.next_call = Instant::now() + REVISION;
                    watch.database = answer.ok().or_else(|| watch.database.take());
                }
                () = sleep_until(watch.next_call), if wants_revision => {
                    let lead = self.state.handed_over.as_ref().unwrap_or(&plan.first);
                    watch.calls.push(self.database_call(lead.clone()));
                }
                () = sleep(TICK) => {}
            }
        }
    }

    /// What ends the gate is looked at once more, from the side that the
    /// reports do not show.
    async fn judge(&self, plan: &Plan, step: &Step, gate: Gate, watch: &mut Watch) -> Judgement {
        let judgement = watch.judge(plan, step, gate);
        let silent_since = watch.silent_since.take();
        match (gate, &judgement) {
            (Gate::FirstNode, Judgement::Pass(_)) => {
                let silent_since =
                    *watch.silent_since.insert(silent_since.unwrap_or_else(Instant::now));
                let stranger = self.roll_call(plan, silent_since.elapsed()).await;
                stranger.unwrap_or(judgement)
            }
            (Gate::FirstNode, Judgement::Fail(GateFailure::Exited { .. })) => {
                watch.database = self.fresh_look(plan).await;
                watch.log = self.read_log(plan, step).await;
                watch.judge(plan, step, gate)
            }
            (_, Judgement::Pass(_) | Judgement::Fail(_) | Judgement::Wait(_)) => judgement,
        }
    }

    /// Leaves the nodes behind whose failure this is; whether it is anybody's.
    /// The registry serves, or is on its way back: the others go on.
    async fn leave_behind(
        &mut self,
        step: &Step,
        failure: &GateFailure,
        watch: &mut Watch,
    ) -> Result<bool, RunError> {
        let nodes = healthy::of_nodes(failure);
        let (at, step) = (self.clock.now(), step.number);
        let left = nodes.iter().filter(|node| watch.courses.iter().any(|it| it.node() == *node));
        let events: Vec<Event> = left
            .map(|node| {
                let (node, failure) = (node.clone(), failure.clone());
                Event::LeftBehind { step, node, failure, at }
            })
            .collect();
        let is_anybodys = !events.is_empty();
        watch.courses.retain(|course| !nodes.contains(course.node()));
        if is_anybodys {
            self.record(events).await?;
        }
        Ok(is_anybodys)
    }

    /// What the container that migrates said last.
    async fn read_log(&self, plan: &Plan, step: &Step) -> Option<LogTail> {
        let component = step.component;
        let container = order::serving(plan, &self.state, &plan.first, component)?;
        self.nodes.read_log(&plan.first, component, &container).await.ok()
    }

    /// The database as the first node that answers reaches it.
    pub(super) async fn fresh_look(&self, plan: &Plan) -> Option<DatabaseLook> {
        let others = plan.nodes.iter().map(|node| &node.name).filter(|node| **node != plan.first);
        for node in std::iter::once(&plan.first).chain(others) {
            let look = self.nodes.look_at_database(node, DatabaseQuestion::default()).await;
            if let Ok(look) = look {
                return Some(look);
            }
        }
        None
    }

    fn database_call(&self, node: NodeName) -> DatabaseCall {
        let nodes = Arc::clone(&self.nodes);
        Box::pin(async move { nodes.look_at_database(&node, DatabaseQuestion::default()).await })
    }

    /// Asks now, rather than wait for the next report of the streams.
    async fn confirm(&self, plan: &Plan, step: &Step, nodes: &[NodeName]) -> Vec<(NodeName, Seen)> {
        let component = step.component;
        join_all(nodes.iter().map(async |node| {
            let container = order::serving(plan, &self.state, node, component);
            let question = HealthQuestion { component, container };
            let report = self.nodes.health(node, &question).await;
            (node.clone(), report.map_err(|error| error.reason()))
        }))
        .await
    }
}

/// A person reads first what the container said last.
fn with_log(judgement: Judgement, said: Option<&LogTail>) -> Judgement {
    match judgement {
        Judgement::Fail(GateFailure::Exited { node, exit_code, revision, log: _ }) => {
            let log = said.cloned();
            Judgement::Fail(GateFailure::Exited { node, exit_code, revision, log })
        }
        other @ (Judgement::Fail(_) | Judgement::Pass(_) | Judgement::Wait(_)) => other,
    }
}

async fn until(moment: Option<Instant>) {
    if let Some(moment) = moment {
        sleep_until(moment).await;
    }
}

impl Watch {
    fn new(nodes: &[NodeName]) -> Self {
        let now = Instant::now();
        Self {
            courses: nodes.iter().cloned().map(Course::new).collect(),
            database: None,
            log: None,
            calls: FuturesUnordered::new(),
            next_call: now,
            confirm_at: None,
            silent_since: None,
            begun: now,
        }
    }

    fn judge(&self, plan: &Plan, step: &Step, gate: Gate) -> Judgement {
        let waited = self.begun.elapsed();
        match (gate, self.courses.as_slice()) {
            (Gate::FirstNode, [first]) => {
                let judgement = first_node::judge(plan, first, self.database.as_ref(), waited);
                with_log(judgement, self.log.as_ref())
            }
            (_, courses) => healthy::judge(plan, step, courses, waited),
        }
    }

    fn wants_revision(&self, plan: &Plan) -> bool {
        let has_arrived = |seen: &DatabaseLook| first_node::has_arrived(plan, seen);
        self.calls.is_empty() && !self.database.as_ref().is_some_and(has_arrived)
    }

    fn see(&mut self, node: &NodeName, seen: Seen, needed: Duration) {
        let now = Instant::now();
        let Some(course) = self.courses.iter_mut().find(|course| course.node() == node) else {
            return;
        };
        let was_healthy = course.healthy_since().is_some();
        match seen {
            Ok(report) => course.see(report),
            Err(why) => course.lose(why, self.begun.elapsed()),
        }
        if !was_healthy && course.healthy_since().is_some() {
            // It listens, so it has migrated: the revision is worth a look now.
            self.next_call = now;
        }
        let left: Option<Vec<Duration>> =
            self.courses.iter().map(|course| course.left(needed)).collect();
        let longest = left.and_then(|left| left.into_iter().max());
        self.confirm_at = longest.filter(|left| !left.is_zero()).map(|left| now + left);
    }
}
