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
        macro_rules! send {
            ($inner:ident as $request:ident by $call:ident) => {{
                let request = wire::$request::from(Ordered { act, order: $inner });
                agent.act(&order, client.$call(request)).await
            }};
        }
        match order.clone() {
            Order::StageContainer(inner) => {
                send!(inner as StageContainerRequest by stage_container)
            }
            Order::StageConfig(inner) => send!(inner as StageConfigRequest by stage_config),
            Order::EnsureStopped(inner) => send!(inner as EnsureStoppedRequest by ensure_stopped),
            Order::PutConfig(inner) => send!(inner as PutConfigRequest by put_config),
            Order::StartMigrating(inner) => {
                send!(inner as StartMigratingRequest by start_migrating)
            }
            Order::EnsureRunning(inner) => send!(inner as EnsureRunningRequest by ensure_running),
            Order::Promote(inner) => send!(inner as PromoteRequest by promote),
            Order::SetFloor(inner) => send!(inner as SetFloorRequest by set_floor),
            Order::LowerFloor(inner) => send!(inner as LowerFloorRequest by lower_floor),
            Order::RestoreConfig(inner) => send!(inner as RestoreConfigRequest by restore_config),
            Order::RemoveStagedConfig(inner) => {
                send!(inner as RemoveStagedConfigRequest by remove_staged_config)
            }
            Order::RemoveStaged(inner) => send!(inner as RemoveStagedRequest by remove_staged),
            Order::Recreate(inner) => send!(inner as RecreateRequest by recreate),
            Order::TakeDown(inner) => send!(inner as TakeDownRequest by take_down),
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
