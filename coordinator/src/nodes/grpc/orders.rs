//! Orders and leases over gRPC.

use std::future::Future;
use std::time::Duration;

use quaymaster_proto::act::{Order, Ordered};
use quaymaster_proto::job::{JobOrder, JobReport};
use quaymaster_proto::lease::{ClaimLease, Claimed, ReleaseLease};
use quaymaster_proto::{Act, ActOutcome, InvalidField, NodeName, wire};
use tonic::{Response, Status};

use super::{Agent, Fleet, LOOK};
use crate::nodes::{CallError, Orders};
use crate::telemetry;

/// A claim is answered when the act in flight has settled.
const CLAIM: Duration = Duration::from_secs(120);

/// An act ends with the engine's answer; a slow disk may take its time over a
/// new container.
const ACT: Duration = Duration::from_secs(60);

/// There is nothing to say but that it is done.
struct Released;

impl TryFrom<wire::ReleaseLeaseReply> for Released {
    type Error = InvalidField;

    fn try_from(wire::ReleaseLeaseReply {}: wire::ReleaseLeaseReply) -> Result<Self, InvalidField> {
        Ok(Self)
    }
}

impl Agent {
    async fn act<W>(
        &self,
        order: &Order,
        call: impl Future<Output = Result<Response<W>, Status>> + Send,
    ) -> Result<ActOutcome, CallError>
    where
        ActOutcome: TryFrom<W, Error = InvalidField>,
    {
        let answer = self.answer(words(order), deadline(order), call);
        telemetry::call(&self.node, &self.address, answer).await
    }
}

/// The grace is spent inside the call (quay-observed 6: a 3.0 Quay burns all
/// of it); every other act is short.
fn deadline(order: &Order) -> Duration {
    match order {
        Order::EnsureStopped(stop) => Duration::from_secs(stop.grace_seconds.into()) + ACT,
        Order::TakeDown(down) => Duration::from_secs(down.grace_seconds.into()) + ACT,
        Order::StageContainer(_)
        | Order::StageConfig(_)
        | Order::PutConfig(_)
        | Order::StartMigrating(_)
        | Order::EnsureRunning(_)
        | Order::Promote(_)
        | Order::SetFloor(_)
        | Order::LowerFloor(_)
        | Order::RestoreConfig(_)
        | Order::RemoveStagedConfig(_)
        | Order::RemoveStaged(_)
        | Order::Recreate(_) => ACT,
    }
}

fn words(order: &Order) -> &'static str {
    match order {
        Order::StageContainer(_) => "create the next container",
        Order::StageConfig(_) => "write the next config.yaml",
        Order::EnsureStopped(_) => "stop Quay",
        Order::PutConfig(_) => "put config.yaml in place",
        Order::StartMigrating(_) => "start the migrating Quay",
        Order::EnsureRunning(_) => "start Quay",
        Order::Promote(_) => "give the container its name and restart policy",
        Order::SetFloor(_) => "write down what may not run any more",
        Order::LowerFloor(_) => "take the floor back",
        Order::RestoreConfig(_) => "put the kept config.yaml back",
        Order::RemoveStagedConfig(_) => "remove the staged config.yaml",
        Order::RemoveStaged(_) => "remove the staged container",
        Order::Recreate(_) => "create a fresh container",
        Order::TakeDown(_) => "take down what the window brought",
    }
}

impl Orders for Fleet {
    async fn claim(&self, node: &NodeName, claim: ClaimLease) -> Result<Claimed, CallError> {
        let what = "claim the lease";
        let agent = self.agent(node, what)?;
        let request = wire::ClaimLeaseRequest::from(claim);
        agent.answer(what, CLAIM, agent.client.clone().claim_lease(request)).await
    }

    async fn release(&self, node: &NodeName, release: ReleaseLease) -> Result<(), CallError> {
        let what = "release the lease";
        let agent = self.agent(node, what)?;
        let request = wire::ReleaseLeaseRequest::from(release);
        let mut client = agent.client.clone();
        agent.answer::<_, Released>(what, LOOK, client.release_lease(request)).await.map(|_| ())
    }

    async fn order(
        &self,
        node: &NodeName,
        act: Act,
        order: Order,
    ) -> Result<ActOutcome, CallError> {
        let agent = self.agent(node, words(&order))?;
        let mut client = agent.client.clone();
        match order.clone() {
            Order::StageContainer(inner) => {
                let request = wire::StageContainerRequest::from(Ordered { act, order: inner });
                agent.act(&order, client.stage_container(request)).await
            }
            Order::StageConfig(inner) => {
                let request = wire::StageConfigRequest::from(Ordered { act, order: inner });
                agent.act(&order, client.stage_config(request)).await
            }
            Order::EnsureStopped(inner) => {
                let request = wire::EnsureStoppedRequest::from(Ordered { act, order: inner });
                agent.act(&order, client.ensure_stopped(request)).await
            }
            Order::PutConfig(inner) => {
                let request = wire::PutConfigRequest::from(Ordered { act, order: inner });
                agent.act(&order, client.put_config(request)).await
            }
            Order::StartMigrating(inner) => {
                let request = wire::StartMigratingRequest::from(Ordered { act, order: inner });
                agent.act(&order, client.start_migrating(request)).await
            }
            Order::EnsureRunning(inner) => {
                let request = wire::EnsureRunningRequest::from(Ordered { act, order: inner });
                agent.act(&order, client.ensure_running(request)).await
            }
            Order::Promote(inner) => {
                let request = wire::PromoteRequest::from(Ordered { act, order: inner });
                agent.act(&order, client.promote(request)).await
            }
            Order::SetFloor(inner) => {
                let request = wire::SetFloorRequest::from(Ordered { act, order: inner });
                agent.act(&order, client.set_floor(request)).await
            }
            Order::LowerFloor(inner) => {
                let request = wire::LowerFloorRequest::from(Ordered { act, order: inner });
                agent.act(&order, client.lower_floor(request)).await
            }
            Order::RestoreConfig(inner) => {
                let request = wire::RestoreConfigRequest::from(Ordered { act, order: inner });
                agent.act(&order, client.restore_config(request)).await
            }
            Order::RemoveStagedConfig(inner) => {
                let request = wire::RemoveStagedConfigRequest::from(Ordered { act, order: inner });
                agent.act(&order, client.remove_staged_config(request)).await
            }
            Order::RemoveStaged(inner) => {
                let request = wire::RemoveStagedRequest::from(Ordered { act, order: inner });
                agent.act(&order, client.remove_staged(request)).await
            }
            Order::Recreate(inner) => {
                let request = wire::RecreateRequest::from(Ordered { act, order: inner });
                agent.act(&order, client.recreate(request)).await
            }
            Order::TakeDown(inner) => {
                let request = wire::TakeDownRequest::from(Ordered { act, order: inner });
                agent.act(&order, client.take_down(request)).await
            }
        }
    }

    async fn begin(
        &self,
        node: &NodeName,
        act: Act,
        order: JobOrder,
    ) -> Result<JobReport, CallError> {
        let what = match &order {
            JobOrder::Pull(pull) => format!("pull {}@{}", pull.repository, pull.digest),
            JobOrder::BackUp(_) => "back up the database".to_owned(),
            JobOrder::CheckBackup(_) => "read the backup back".to_owned(),
            JobOrder::Restore(_) => "restore the database".to_owned(),
        };
        let agent = self.agent(node, &what)?;
        let mut client = agent.client.clone();
        let answer = async {
            match order {
                JobOrder::Pull(order) => {
                    let request = wire::PullImageRequest::from(Ordered { act, order });
                    agent.answer(&what, ACT, client.pull_image(request)).await
                }
                JobOrder::BackUp(order) => {
                    let request = wire::BackUpRequest::from(Ordered { act, order });
                    agent.answer(&what, ACT, client.back_up(request)).await
                }
                JobOrder::CheckBackup(order) => {
                    let request = wire::CheckBackupRequest::from(Ordered { act, order });
                    agent.answer(&what, ACT, client.check_backup(request)).await
                }
                JobOrder::Restore(order) => {
                    let request = wire::RestoreRequest::from(Ordered { act, order });
                    agent.answer(&what, ACT, client.restore(request)).await
                }
            }
        };
        telemetry::call(&agent.node, &agent.address, answer).await
    }

    async fn job(&self, node: &NodeName, id: &str) -> Result<JobReport, CallError> {
        let what = "look at a job";
        let agent = self.agent(node, what)?;
        let request = wire::GetJobRequest { id: id.to_owned() };
        agent.answer(what, LOOK, agent.client.clone().get_job(request)).await
    }
}
