//! The network between one coordinator and the agents, as the coordinator's
//! own port. Messages may be lost, late, or delivered twice.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use quaymaster::nodes::{
    CallError, DatabaseQuestion, HealthQuestion, HealthStream, ImageQuestion, Looks, NoAnswer,
    Orders, PreviewQuestion, ResolvedImage, SurveyKey, Unreachable,
};
use quaymaster::run::log::LogTail;
use quaymaster_proto::act::Order;
use quaymaster_proto::database::DatabaseLook;
use quaymaster_proto::health::{BackfillSample, HealthReport};
use quaymaster_proto::job::{JobOrder, JobReport};
use quaymaster_proto::lease::{ClaimLease, Claimed, ReleaseLease, RunLedger};
use quaymaster_proto::node::NodeFacts;
use quaymaster_proto::preview::Preview;
use quaymaster_proto::{Act, ActOutcome, Component, ContainerId, How, NodeName, Refusal, RunId};
use quaymaster_simulation::life::Life;
use tokio::time::sleep;

use crate::cluster::{Agent, Chosen, Cluster, Ordeal};

/// How long a call waits for an answer that does not come.
const DEADLINE: Duration = Duration::from_secs(3);

/// One coordinator's way to the agents.
#[derive(Clone)]
pub(crate) struct Fleet {
    pub(crate) cluster: Arc<Cluster>,
    /// The coordinator's.
    pub(crate) life: Life,
    /// Who it is.
    pub(crate) who: String,
    /// Which of all processes it is.
    pub(crate) process: u128,
}

/// What becomes of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Arrives,
    /// It does not.
    IsLost,
    /// It does, and the answer does not.
    AnswerIsLost,
    /// Twice, the second time so much later.
    IsRepeated(Duration),
    /// After the caller has given it up.
    IsLate(Duration),
}

pub(crate) fn number(node: &NodeName) -> usize {
    node.as_str().trim_start_matches("quay-").parse::<usize>().unwrap() - 1
}

impl Fleet {
    fn fate(&self) -> (Duration, Fate) {
        let mut network = self.cluster.network.lock().unwrap();
        let trouble = network.trouble;
        let chance = &mut network.chance;
        let Some(trouble) = trouble else { return (Duration::from_millis(2), Fate::Arrives) };
        let delay = chance.millis(1, 6);
        if !chance.once_in(trouble) {
            return (delay, Fate::Arrives);
        }
        let fate = match chance.below(5) {
            0 => Fate::IsLost,
            1 => Fate::AnswerIsLost,
            2 => Fate::IsRepeated(chance.millis(1, 8000)),
            3 => Fate::IsLate(chance.millis(3000, 15_000)),
            _ => return (chance.millis(10, 900), Fate::Arrives),
        };
        (delay, fate)
    }

    fn failed(node: &NodeName, what: &str, why: NoAnswer) -> CallError {
        let address = format!("10.0.0.{}:9643", 11 + number(node));
        CallError { node: node.clone(), address, what: what.to_owned(), why: Box::new(why) }
    }

    /// An order or a pull, which may have an ordeal before it.
    async fn send<T, F>(
        &self,
        node: &NodeName,
        what: &'static str,
        ask: impl Fn(Arc<Agent>) -> F + Clone + Send + Sync + 'static,
    ) -> Result<T, CallError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Refusal>> + Send + 'static,
    {
        let index = number(node);
        let points = || self.cluster.world.state().hosts[index].points;
        let begun = points();
        let (place, ordeal) = {
            let mut network = self.cluster.network.lock().unwrap();
            network.orders.push((index, begun, begun));
            let place = network.orders.len() - 1;
            let is_it = |chosen: Chosen| match chosen {
                Chosen::Place(of) => of == place,
                Chosen::Verb(verb) => verb == what,
            };
            (place, network.ordeal.take_if(|(chosen, _)| is_it(*chosen)).map(|(_, it)| it))
        };
        match ordeal {
            Some(Ordeal::ComesTwice(after)) => self.later(index, after, Arc::new(ask.clone())),
            Some(Ordeal::OutlivesSender(after)) => {
                self.cluster.world.note(format!("{node}: {what} outlives its sender"));
                self.later(index, after, Arc::new(ask));
                self.life.end();
                std::future::pending::<()>().await;
                return Err(Self::failed(node, what, NoAnswer::Unreachable(Unreachable::Unknown)));
            }
            None => {}
        }
        let answer = self.call(node, what, ask).await;
        let ended = points();
        self.cluster.network.lock().unwrap().orders[place].2 = ended;
        answer
    }

    async fn call<T, F>(
        &self,
        node: &NodeName,
        what: &'static str,
        ask: impl Fn(Arc<Agent>) -> F + Send + Sync + 'static,
    ) -> Result<T, CallError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Refusal>> + Send + 'static,
    {
        let failed = |why| Self::failed(node, what, why);
        let (delay, fate) = self.fate();
        sleep(delay).await;
        let index = number(node);
        let lost = || NoAnswer::Unreachable(Unreachable::Deadline { after: DEADLINE });
        if fate != Fate::Arrives {
            self.cluster.world.note(format!("{node}: {what}: {fate:?}"));
        }
        let ask = Arc::new(ask);
        match fate {
            Fate::IsLost => {
                sleep(DEADLINE).await;
                return Err(failed(lost()));
            }
            Fate::IsLate(after) => {
                self.later(index, after, ask);
                sleep(DEADLINE).await;
                return Err(failed(lost()));
            }
            Fate::IsRepeated(after) => self.later(index, after, Arc::clone(&ask)),
            Fate::Arrives | Fate::AnswerIsLost => {}
        }
        let Some(agent) = self.cluster.agent(index) else {
            return Err(failed(NoAnswer::Unreachable(Unreachable::ConnectionRefused)));
        };
        let mut deaths = self.cluster.world.state().hosts[index].deaths.subscribe();
        let broken = || Unreachable::Lost { problem: "connection reset by peer".to_owned() };
        let asked = tokio::spawn(ask(agent));
        let answer = tokio::select! {
            // Who dies says nothing any more.
            biased;
            _ = deaths.changed() => return Err(failed(NoAnswer::Unreachable(broken()))),
            answer = asked => answer.map_err(|_| failed(NoAnswer::Unreachable(broken())))?,
        };
        if fate == Fate::AnswerIsLost {
            sleep(DEADLINE).await;
            return Err(failed(lost()));
        }
        sleep(Duration::from_millis(1)).await;
        answer.map_err(|refusal| failed(NoAnswer::Refused(refusal)))
    }

    /// A copy of a message that arrives when nobody waits for it.
    fn later<T, F, A>(&self, index: usize, after: Duration, ask: Arc<A>)
    where
        A: Fn(Arc<Agent>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<T, Refusal>> + Send + 'static,
        T: Send + 'static,
    {
        let cluster = Arc::clone(&self.cluster);
        tokio::spawn(async move {
            sleep(after).await;
            if let Some(agent) = cluster.agent(index) {
                let _ = ask(agent).await;
            }
        });
    }
}

impl Looks for Fleet {
    async fn describe(&self, node: &NodeName, key: &SurveyKey) -> Result<NodeFacts, CallError> {
        let key = *key.as_bytes();
        let ask = move |agent: Arc<Agent>| async move { agent.describe(&key).await };
        self.call(node, "describe the node", ask).await
    }

    async fn preview(
        &self,
        node: &NodeName,
        question: &PreviewQuestion,
    ) -> Result<Preview, CallError> {
        let question = question.clone();
        self.call(node, "preview the change", move |agent: Arc<Agent>| {
            let PreviewQuestion { component, container, mode, port_moves, mount_copies } =
                question.clone();
            async move { agent.preview((component, container), mode, port_moves, mount_copies).await }
        })
        .await
    }

    async fn resolve_image(
        &self,
        node: &NodeName,
        question: &ImageQuestion,
    ) -> Result<ResolvedImage, CallError> {
        let question = question.clone();
        self.call(node, "resolve an image", move |agent: Arc<Agent>| {
            let ImageQuestion { component, repository, tag } = question.clone();
            async move { agent.resolve_image(component, &repository, &tag).await }
        })
        .await
    }

    async fn health(
        &self,
        node: &NodeName,
        question: &HealthQuestion,
    ) -> Result<HealthReport, CallError> {
        let question = question.clone();
        self.call(node, "look at the health", move |agent: Arc<Agent>| {
            let HealthQuestion { component, container } = question.clone();
            async move { agent.health(component, container.as_ref()).await }
        })
        .await
    }

    async fn follow_health(
        &self,
        node: &NodeName,
        question: &HealthQuestion,
    ) -> Result<HealthStream, CallError> {
        let HealthQuestion { component, container } = question.clone();
        sleep(Duration::from_millis(2)).await;
        let index = number(node);
        let Some(agent) = self.cluster.agent(index) else {
            let why = NoAnswer::Unreachable(Unreachable::ConnectionRefused);
            return Err(Self::failed(node, "follow the health", why));
        };
        let reports = agent.follow_health(component, container);
        let name = node.clone();
        let reports = reports.map(move |report| {
            let failed =
                |refusal| Self::failed(&name, "follow the health", NoAnswer::Refused(refusal));
            report.map_err(failed)
        });
        let mut deaths = self.cluster.world.state().hosts[index].deaths.subscribe();
        let death = async move {
            let _ = deaths.changed().await;
        };
        let why = Unreachable::Lost { problem: "connection reset by peer".to_owned() };
        let broken = Self::failed(node, "follow the health", NoAnswer::Unreachable(why));
        let end = stream::iter([Err(broken)]);
        Ok(reports.take_until(Box::pin(death)).chain(end).boxed())
    }

    async fn sample_backfill(&self, node: &NodeName) -> Result<BackfillSample, CallError> {
        let ask = |agent: Arc<Agent>| async move { agent.sample_backfill().await };
        self.call(node, "sample the backfill", ask).await
    }

    async fn look_at_database(
        &self,
        node: &NodeName,
        question: DatabaseQuestion,
    ) -> Result<DatabaseLook, CallError> {
        let DatabaseQuestion { sessions, counts } = question;
        self.call(node, "look at the database", move |agent: Arc<Agent>| async move {
            agent.look_at_database(sessions, counts).await
        })
        .await
    }

    async fn read_log(
        &self,
        node: &NodeName,
        component: Component,
        container: &ContainerId,
    ) -> Result<LogTail, CallError> {
        let container = container.clone();
        self.call(node, "read the log", move |agent: Arc<Agent>| {
            let container = container.clone();
            async move {
                let mut lines = agent.read_log(component, &container).await?;
                let mut tail = LogTail::default();
                let reading = async {
                    while let Some(line) = lines.next().await {
                        tail.see(&line?.text);
                    }
                    Ok::<(), Refusal>(())
                };
                match tokio::time::timeout(DEADLINE, reading).await {
                    Err(_) => Ok(tail),
                    Ok(read) => read.map(|()| tail.whole()),
                }
            }
        })
        .await
    }

    async fn read_ledger(
        &self,
        node: &NodeName,
        run: Option<RunId>,
    ) -> Result<RunLedger, CallError> {
        let ask = move |agent: Arc<Agent>| async move { agent.read_ledger(run) };
        self.call(node, "read the ledger", ask).await
    }
}

impl Orders for Fleet {
    async fn claim(&self, node: &NodeName, claim: ClaimLease) -> Result<Claimed, CallError> {
        let (who, process) = (self.who.clone(), self.process);
        let (world, index) = (self.cluster.world.clone(), number(node));
        self.call(node, "claim the lease", move |agent: Arc<Agent>| {
            let (who, claim, world) = (who.clone(), claim.clone(), world.clone());
            async move {
                let claimed = agent.claim(&who, claim).await?;
                world.state().hosts[index].driver = Some(process);
                Ok(claimed)
            }
        })
        .await
    }

    async fn release(&self, node: &NodeName, release: ReleaseLease) -> Result<(), CallError> {
        let who = self.who.clone();
        self.call(node, "give the lease back", move |agent: Arc<Agent>| {
            let (who, release) = (who.clone(), release.clone());
            async move { agent.release(&who, release).await }
        })
        .await
    }

    async fn order(
        &self,
        node: &NodeName,
        act: Act,
        order: Order,
    ) -> Result<ActOutcome, CallError> {
        let (who, process, verb) = (self.who.clone(), self.process, order.verb());
        let (world, index) = (self.cluster.world.clone(), number(node));
        self.send(node, verb, move |agent: Arc<Agent>| {
            let (who, act, order) = (who.clone(), act.clone(), order.clone());
            let world = world.clone();
            async move {
                let is_holder = || {
                    let lease = agent.lease();
                    world.state().hosts[index].driver == Some(process)
                        && lease.is_some_and(|lease| lease.is_of(act.run, act.epoch))
                };
                let before = is_holder();
                let floor = match &order {
                    Order::SetFloor(set) => Some(Some(set.to.clone())),
                    Order::LowerFloor(lower) => Some(lower.to.clone()),
                    Order::StageContainer(_)
                    | Order::StageConfig(_)
                    | Order::EnsureStopped(_)
                    | Order::PutConfig(_)
                    | Order::StartMigrating(_)
                    | Order::EnsureRunning(_)
                    | Order::Promote(_)
                    | Order::RestoreConfig(_)
                    | Order::RemoveStaged(_)
                    | Order::RemoveStagedConfig(_)
                    | Order::Recreate(_)
                    | Order::TakeDown(_) => None,
                };
                let outcome = agent.order(&who, act.clone(), order).await?;
                if let Some(floor) = floor {
                    world.see_floor(index, floor.as_ref());
                }
                if outcome.how == How::Changed && !before && !is_holder() {
                    let millis = world.millis();
                    let words = format!("{verb} of {who} in epoch {} without its lease", act.epoch);
                    world.state().witness.blame(millis, 6, &words);
                }
                Ok(outcome)
            }
        })
        .await
    }

    async fn begin(
        &self,
        node: &NodeName,
        act: Act,
        order: JobOrder,
    ) -> Result<JobReport, CallError> {
        let who = self.who.clone();
        self.send(node, order.verb(), move |agent: Arc<Agent>| {
            let (who, act, order) = (who.clone(), act.clone(), order.clone());
            async move { agent.begin(&who, act, order).await }
        })
        .await
    }

    async fn job(&self, node: &NodeName, id: &str) -> Result<JobReport, CallError> {
        let id = id.to_owned();
        self.call(node, "look at a job", move |agent: Arc<Agent>| {
            let id = id.clone();
            async move { agent.job(&id) }
        })
        .await
    }
}
