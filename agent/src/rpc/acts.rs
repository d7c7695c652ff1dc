//! Acts and jobs: out of the wire, to the worker or the jobs, and back.

use quaymaster_proto::act::{Order, Ordered};
use quaymaster_proto::lease::{ClaimLease, ReleaseLease};
use quaymaster_proto::{Act, InvalidField, Refusal, wire};
use tonic::{Response, Status};

use super::{Answer, Service};
use crate::engine::Engine;

/// Every kind of ordered message becomes an act and an order.
pub(super) trait IntoOrder {
    fn into_order(self) -> Result<(Act, Order), InvalidField>;
}

macro_rules! into_order {
    ($($message:ident => $order:ident),* $(,)?) => {
        $(impl IntoOrder for wire::$message {
            fn into_order(self) -> Result<(Act, Order), InvalidField> {
                let Ordered { act, order } = self.try_into()?;
                Ok((act, Order::$order(order)))
            }
        })*
    };
}

into_order! {
    StageContainerRequest => StageContainer,
    StageConfigRequest => StageConfig,
    EnsureStoppedRequest => EnsureStopped,
    PutConfigRequest => PutConfig,
    StartMigratingRequest => StartMigrating,
    EnsureRunningRequest => EnsureRunning,
    PromoteRequest => Promote,
    SetFloorRequest => SetFloor,
    LowerFloorRequest => LowerFloor,
    RestoreConfigRequest => RestoreConfig,
    RemoveStagedConfigRequest => RemoveStagedConfig,
    RemoveStagedRequest => RemoveStaged,
    RecreateRequest => Recreate,
    TakeDownRequest => TakeDown,
}

impl<E: Engine> Service<E> {
    pub(super) async fn act(&self, who: String, message: impl IntoOrder) -> Answer<wire::ActReply> {
        let (act, order) = message.into_order().map_err(Refusal::from)?;
        let outcome = self.jobs.perform(&self.worker, who, act, order).await?;
        Ok(Response::new(outcome.into()))
    }

    pub(super) async fn claim(
        &self,
        who: String,
        message: wire::ClaimLeaseRequest,
    ) -> Answer<wire::ClaimLeaseReply> {
        let claim: ClaimLease = message.try_into().map_err(Refusal::from)?;
        let jobs = self.jobs.clone();
        let claimed = self.worker.claim(who, claim, move |lease| jobs.leave_to(lease.run)).await?;
        Ok(Response::new(claimed.into()))
    }

    pub(super) async fn release(
        &self,
        who: String,
        message: wire::ReleaseLeaseRequest,
    ) -> Answer<wire::ReleaseLeaseReply> {
        let release: ReleaseLease = message.try_into().map_err(Refusal::from)?;
        let jobs = self.jobs.clone();
        self.worker.release(who, release, move |run| jobs.end_with(run)).await?;
        Ok(Response::new(wire::ReleaseLeaseReply {}))
    }

    pub(super) async fn start_pull(
        &self,
        who: String,
        message: wire::PullImageRequest,
    ) -> Answer<wire::JobReport> {
        let Ordered { act, order } = message.try_into().map_err(Refusal::from)?;
        let report = self.jobs.pull(who, act, order).await?;
        Ok(Response::new(report.into()))
    }

    pub(super) async fn start_backup(
        &self,
        who: String,
        message: wire::BackUpRequest,
    ) -> Answer<wire::JobReport> {
        let Ordered { act, order } = message.try_into().map_err(Refusal::from)?;
        let report = self.jobs.back_up(who, act, order).await?;
        Ok(Response::new(report.into()))
    }

    pub(super) async fn start_check(
        &self,
        who: String,
        message: wire::CheckBackupRequest,
    ) -> Answer<wire::JobReport> {
        let Ordered { act, order } = message.try_into().map_err(Refusal::from)?;
        let report = self.jobs.check_backup(who, act, order).await?;
        Ok(Response::new(report.into()))
    }

    pub(super) async fn start_restore(
        &self,
        who: String,
        message: wire::RestoreRequest,
    ) -> Answer<wire::JobReport> {
        let Ordered { act, order } = message.try_into().map_err(Refusal::from)?;
        let report = self.jobs.restore(who, act, order).await?;
        Ok(Response::new(report.into()))
    }

    pub(super) fn cancel(
        &self,
        who: &str,
        message: wire::CancelJobRequest,
    ) -> Answer<wire::JobReport> {
        let wire::CancelJobRequest { act, id } = message;
        let act = act.ok_or_else(|| InvalidField::missing("act"));
        let act = act.and_then(|act| act.try_into().map_err(|e: InvalidField| e.within("act")));
        let act: Act = act.map_err(|error| Status::from(Refusal::from(error)))?;
        let report = self.jobs.cancel(who, &act, &id)?;
        Ok(Response::new(report.into()))
    }
}
