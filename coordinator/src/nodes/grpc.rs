//! Agents over gRPC with mutual TLS. One lazy connection for each node, kept
//! for the life of the process; every call has a deadline, and every failure
//! is told in our words.

use std::collections::BTreeMap;
use std::error::Error;
use std::future::Future;
use std::time::Duration;

use futures::StreamExt as _;
use quaymaster_proto::database::DatabaseLook;
use quaymaster_proto::health::{BackfillSample, HealthReport};
use quaymaster_proto::lease::RunLedger;
use quaymaster_proto::node::NodeFacts;
use quaymaster_proto::preview::Preview;
use quaymaster_proto::wire::agent_client::AgentClient;
use quaymaster_proto::{Component, ContainerId, InvalidField, NodeName, Refusal, RunId, wire};
use tonic::codegen::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use crate::cluster::{Cluster, ListedNode};
use crate::nodes::{
    CallError, DatabaseQuestion, HealthQuestion, HealthStream, ImageQuestion, Looks, NoAnswer,
    PreviewQuestion, ResolvedImage, SurveyKey, Unreachable,
};
use crate::run::log::LogTail;
use crate::telemetry;

mod connector;
mod orders;
mod tls;

pub use tls::{Identity, TlsError};

/// A look answers from memory, from the engine and from one database query; a
/// hung database makes that last one slow (quay-observed 2: 3 s). An agent
/// gives itself 15 s at most.
const LOOK: Duration = Duration::from_secs(20);

/// An agent gives its counts of tags 120 s, after a look of 10 s.
const COUNTS: Duration = Duration::from_secs(140);

/// A log of a migration is long, and read to its end.
const LOG: Duration = Duration::from_secs(20);

/// An agent waits 60 s for `/upgradeprogress/`, which counts as well.
const SAMPLE: Duration = Duration::from_secs(70);

fn database_deadline(question: DatabaseQuestion) -> Duration {
    let DatabaseQuestion { sessions: _, counts } = question;
    if counts { COUNTS } else { LOOK }
}

/// Every agent of one cluster.
#[derive(Clone, Debug)]
pub struct Fleet {
    agents: BTreeMap<NodeName, Agent>,
}

#[derive(Clone, Debug)]
struct Agent {
    node: NodeName,
    address: String,
    client: AgentClient<InterceptedService<Channel, Carry>>,
}

/// What is put into the metadata of every call.
type Carry = fn(Request<()>) -> Result<Request<()>, Status>;

impl Fleet {
    /// Prepares the connections; each is made at its first call. Needs a
    /// tokio runtime.
    pub fn new(cluster: &Cluster, identity: &Identity) -> Self {
        let agents = cluster
            .nodes
            .iter()
            .map(|ListedNode { name, address }| {
                let (node, address) = (name.clone(), address.to_string());
                let dialler = connector::Dialler {
                    cluster: cluster.name.clone(),
                    node: node.clone(),
                    address: address.clone(),
                    connect: cluster.timings.connect,
                    tls: identity.config.clone(),
                };
                let carry: Carry = telemetry::carry;
                let client = AgentClient::with_interceptor(dialler.channel(), carry);
                (node.clone(), Agent { node, address, client })
            })
            .collect();
        Self { agents }
    }

    fn agent(&self, node: &NodeName, what: &str) -> Result<Agent, CallError> {
        self.agents.get(node).cloned().ok_or_else(|| CallError {
            node: node.clone(),
            address: "no address".to_owned(),
            what: what.to_owned(),
            why: Box::new(NoAnswer::Unreachable(Unreachable::Unknown)),
        })
    }
}

impl Agent {
    fn error(&self, what: &str, why: NoAnswer) -> CallError {
        CallError {
            node: self.node.clone(),
            address: self.address.clone(),
            what: what.to_owned(),
            why: Box::new(why),
        }
    }

    /// Waits for an answer, but not for ever, and reads it.
    async fn answer<W, T>(
        &self,
        what: &str,
        deadline: Duration,
        call: impl Future<Output = Result<Response<W>, Status>> + Send,
    ) -> Result<T, CallError>
    where
        T: TryFrom<W, Error = InvalidField>,
    {
        let reply = match tokio::time::timeout(deadline, call).await {
            Err(_) => {
                let why = Unreachable::Deadline { after: deadline };
                return Err(self.error(what, NoAnswer::Unreachable(why)));
            }
            Ok(Err(status)) => return Err(self.error(what, no_answer(&status))),
            Ok(Ok(response)) => response.into_inner(),
        };
        T::try_from(reply).map_err(|invalid| self.error(what, NoAnswer::Malformed(invalid)))
    }
}

/// Tells a refusal from a broken line. What the connector found out travels
/// as a source of the status.
fn no_answer(status: &Status) -> NoAnswer {
    if let Some(refusal) = Refusal::from_status(status) {
        return NoAnswer::Refused(refusal);
    }
    let mut innermost: Option<&(dyn Error + 'static)> = None;
    let mut cause: Option<&(dyn Error + 'static)> = Error::source(status);
    while let Some(error) = cause {
        if let Some(fault) = connector::fault_in(error) {
            return NoAnswer::Unreachable(fault);
        }
        innermost = Some(error);
        cause = error.source();
    }
    NoAnswer::Unreachable(match innermost {
        Some(error) => Unreachable::Lost { problem: error.to_string() },
        None => Unreachable::Unexpected {
            problem: format!("{:?}: {}", status.code(), status.message()),
        },
    })
}

impl Looks for Fleet {
    async fn describe(&self, node: &NodeName, key: &SurveyKey) -> Result<NodeFacts, CallError> {
        let what = "describe the node";
        let agent = self.agent(node, what)?;
        let request = wire::DescribeRequest { survey_key: key.as_bytes().to_vec() };
        agent.answer(what, LOOK, agent.client.clone().describe(request)).await
    }

    async fn preview(
        &self,
        node: &NodeName,
        question: &PreviewQuestion,
    ) -> Result<Preview, CallError> {
        let what = "preview the change";
        let agent = self.agent(node, what)?;
        let PreviewQuestion { component, container, mode, port_moves, mount_copies } = question;
        let request = wire::PreviewRequest {
            mode: mode.to_wire(),
            port_moves: port_moves.iter().copied().map(Into::into).collect(),
            component: component.to_wire(),
            mount_copies: mount_copies.iter().cloned().map(Into::into).collect(),
            container_id: container.clone().map(Into::into).unwrap_or_default(),
        };
        agent.answer(what, LOOK, agent.client.clone().preview(request)).await
    }

    async fn resolve_image(
        &self,
        node: &NodeName,
        question: &ImageQuestion,
    ) -> Result<ResolvedImage, CallError> {
        let ImageQuestion { component, repository, tag } = question;
        let what = format!("resolve {repository}:{tag}");
        let agent = self.agent(node, &what)?;
        let request = wire::ResolveImageRequest {
            component: component.to_wire(),
            repository: repository.clone(),
            tag: tag.clone(),
        };
        agent.answer(&what, LOOK, agent.client.clone().resolve_image(request)).await
    }

    async fn health(
        &self,
        node: &NodeName,
        question: &HealthQuestion,
    ) -> Result<HealthReport, CallError> {
        let what = "look at Quay's health";
        let agent = self.agent(node, what)?;
        agent.answer(what, LOOK, agent.client.clone().health(health_request(question))).await
    }

    async fn follow_health(
        &self,
        node: &NodeName,
        question: &HealthQuestion,
    ) -> Result<HealthStream, CallError> {
        let what = "follow Quay's health";
        let agent = self.agent(node, what)?;
        let mut client = agent.client.clone();
        let call = client.follow_health(health_request(question));
        let stream = match tokio::time::timeout(LOOK, call).await {
            Err(_) => {
                let why = Unreachable::Deadline { after: LOOK };
                return Err(agent.error(what, NoAnswer::Unreachable(why)));
            }
            Ok(Err(status)) => return Err(agent.error(what, no_answer(&status))),
            Ok(Ok(response)) => response.into_inner(),
        };
        let reports = stream.map(move |item| {
            let report = item.map_err(|status| agent.error(what, no_answer(&status)))?;
            HealthReport::try_from(report)
                .map_err(|invalid| agent.error(what, NoAnswer::Malformed(invalid)))
        });
        Ok(Box::pin(reports))
    }

    async fn sample_backfill(&self, node: &NodeName) -> Result<BackfillSample, CallError> {
        let what = "sample the backfill";
        let agent = self.agent(node, what)?;
        let request = wire::SampleBackfillRequest {};
        agent.answer(what, SAMPLE, agent.client.clone().sample_backfill(request)).await
    }

    async fn look_at_database(
        &self,
        node: &NodeName,
        question: DatabaseQuestion,
    ) -> Result<DatabaseLook, CallError> {
        let what = "look at the database";
        let agent = self.agent(node, what)?;
        let DatabaseQuestion { sessions, counts } = question;
        let request = wire::LookAtDatabaseRequest { sessions, counts };
        agent
            .answer(
                what,
                database_deadline(question),
                agent.client.clone().look_at_database(request),
            )
            .await
    }

    async fn read_log(
        &self,
        node: &NodeName,
        component: Component,
        container: &ContainerId,
    ) -> Result<LogTail, CallError> {
        let what = "read the container's log";
        let agent = self.agent(node, what)?;
        let request = wire::FollowLogRequest {
            component: component.to_wire(),
            container_id: container.to_string(),
        };
        let mut tail = LogTail::default();
        let reading = async {
            let lines = agent.client.clone().follow_log(request).await?;
            let mut lines = lines.into_inner();
            while let Some(line) = lines.message().await? {
                tail.see(&line.text);
            }
            Ok::<(), Status>(())
        };
        match tokio::time::timeout(LOG, reading).await {
            // A container that runs has no end to its log.
            Err(_) => Ok(tail),
            Ok(Err(status)) => Err(agent.error(what, no_answer(&status))),
            Ok(Ok(())) => Ok(tail.whole()),
        }
    }

    async fn read_ledger(
        &self,
        node: &NodeName,
        run: Option<RunId>,
    ) -> Result<RunLedger, CallError> {
        let what = "read the agent's ledger";
        let agent = self.agent(node, what)?;
        let run = run.map(|run| run.to_string()).unwrap_or_default();
        let request = wire::ReadLedgerRequest { run };
        agent.answer(what, LOOK, agent.client.clone().read_ledger(request)).await
    }
}

fn health_request(question: &HealthQuestion) -> Request<wire::HealthRequest> {
    let HealthQuestion { component, container } = question;
    Request::new(wire::HealthRequest {
        component: component.to_wire(),
        container_id: container.as_ref().map(ToString::to_string).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests;
