//! The service: convert, hand on, convert back. Every refusal becomes a status
//! in one place, and every method is authorised by one table.
#![expect(clippy::disallowed_methods, reason = "an effect room: it asks the clock")]

mod acts;
mod authorize;
mod looks;
pub(crate) mod tls;
mod traced;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use quaymaster_proto::wire::agent_server::{Agent, AgentServer};
use quaymaster_proto::{Reason, Refusal, wire};
use tokio::sync::Semaphore;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::tokio_stream::Stream;
use tonic::{Request, Response, Status};

use self::authorize::{Admitted, Method};
use self::tls::{Caller, Connection};
use self::traced::Traced;
use crate::engine::Engine;
use crate::jobs::Jobs;
use crate::node::Node;
use crate::plans;
use crate::worker::Worker;

/// How often an idle connection is asked whether it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// How long it may take to answer that.
const KEEP_ALIVE_LIMIT: Duration = Duration::from_secs(10);

/// Calls at once on one connection: a coordinator needs a handful.
const STREAMS: u32 = 64;

/// The longest message that is read, in bytes: room for a plan that is refused
/// by name for its length.
const LONGEST_MESSAGE: usize = plans::LONGEST + 1024 * 1024;

/// Looks at once that may block a thread each: callers who ask again and again
/// while a file server is gone must leave threads for acts and the watchdog.
const LOOKS: usize = 16;

/// The agent's side of the wire.
#[derive(Debug)]
pub(crate) struct Service<E> {
    node: Arc<Node<E>>,
    worker: Arc<Worker<E>>,
    jobs: Jobs<E>,
    looks: Arc<Semaphore>,
}

type Answer<T> = Result<Response<T>, Status>;

impl<E: Engine> Service<E> {
    pub(crate) fn new(node: Arc<Node<E>>, worker: Arc<Worker<E>>, jobs: Jobs<E>) -> Self {
        Self { node, worker, jobs, looks: Arc::new(Semaphore::new(LOOKS)) }
    }

    /// Who calls, and the message, where the caller may call this method.
    fn admit<T>(&self, request: Request<T>, method: Method) -> Result<(Admitted, T), Status> {
        let (_, extensions, message) = request.into_parts();
        let caller = extensions.get::<Arc<Caller>>().ok_or_else(|| {
            Status::from(Refusal::new(Reason::Role, "the connection shows no certificate"))
        })?;
        let who = authorize::authorize(caller, method, &self.node.config.cluster, Timestamp::now());
        match who {
            Ok(admitted) => {
                tracing::debug!(who = admitted.who, %method, peer = %caller.address, "Called.");
                Ok((admitted, message))
            }
            Err(refusal) => {
                tracing::warn!(%method, peer = %caller.address, "Refused a call: {refusal}.");
                Err(refusal.into())
            }
        }
    }
}

/// Serves until `stop`, then lets the open calls end.
pub(crate) async fn serve<E: Engine>(
    service: Service<E>,
    connections: ReceiverStream<std::io::Result<Connection>>,
    stop: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE_LIMIT))
        .max_concurrent_streams(STREAMS)
        .add_service(Traced(AgentServer::new(service).max_decoding_message_size(LONGEST_MESSAGE)))
        .serve_with_incoming_shutdown(connections, stop)
        .await
}

type Streamed<T> = std::pin::Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl<E: Engine> Agent for Service<E> {
    type FollowHealthStream = Streamed<wire::HealthReport>;
    type FollowLogStream = Streamed<wire::LogLine>;

    async fn describe(
        &self,
        request: Request<wire::DescribeRequest>,
    ) -> Answer<wire::NodeDescription> {
        let (admitted, message) = self.admit(request, Method::Describe)?;
        self.describe_node(&admitted, message).await
    }

    async fn preview(&self, request: Request<wire::PreviewRequest>) -> Answer<wire::PreviewReply> {
        let (_, message) = self.admit(request, Method::Preview)?;
        self.preview_change(message).await
    }

    async fn resolve_image(
        &self,
        request: Request<wire::ResolveImageRequest>,
    ) -> Answer<wire::ResolveImageReply> {
        let (_, message) = self.admit(request, Method::ResolveImage)?;
        self.resolve_tag(message).await
    }

    async fn health(&self, request: Request<wire::HealthRequest>) -> Answer<wire::HealthReport> {
        let (_, message) = self.admit(request, Method::Health)?;
        self.look_at_health(message).await
    }

    async fn follow_health(
        &self,
        request: Request<wire::HealthRequest>,
    ) -> Answer<Self::FollowHealthStream> {
        let (_, message) = self.admit(request, Method::FollowHealth)?;
        self.follow_health_of(message)
    }

    async fn sample_backfill(
        &self,
        request: Request<wire::SampleBackfillRequest>,
    ) -> Answer<wire::BackfillSample> {
        let (_, wire::SampleBackfillRequest {}) = self.admit(request, Method::SampleBackfill)?;
        Ok(Response::new(self.node.sample_backfill().await?.into()))
    }

    async fn look_at_database(
        &self,
        request: Request<wire::LookAtDatabaseRequest>,
    ) -> Answer<wire::DatabaseLook> {
        let (_, message) = self.admit(request, Method::LookAtDatabase)?;
        self.look_into_database(message).await
    }

    async fn follow_log(
        &self,
        request: Request<wire::FollowLogRequest>,
    ) -> Answer<Self::FollowLogStream> {
        let (_, message) = self.admit(request, Method::FollowLog)?;
        self.follow_log_of(message).await
    }

    async fn get_job(&self, request: Request<wire::GetJobRequest>) -> Answer<wire::JobReport> {
        let (_, wire::GetJobRequest { id }) = self.admit(request, Method::GetJob)?;
        Ok(Response::new(self.jobs.report(&id)?.into()))
    }

    async fn read_ledger(
        &self,
        request: Request<wire::ReadLedgerRequest>,
    ) -> Answer<wire::ReadLedgerReply> {
        let (_, message) = self.admit(request, Method::ReadLedger)?;
        self.read_ledger_of(message).await
    }

    async fn claim_lease(
        &self,
        request: Request<wire::ClaimLeaseRequest>,
    ) -> Answer<wire::ClaimLeaseReply> {
        let (Admitted { who, .. }, message) = self.admit(request, Method::ClaimLease)?;
        self.claim(who, message).await
    }

    async fn release_lease(
        &self,
        request: Request<wire::ReleaseLeaseRequest>,
    ) -> Answer<wire::ReleaseLeaseReply> {
        let (Admitted { who, .. }, message) = self.admit(request, Method::ReleaseLease)?;
        self.release(who, message).await
    }

    async fn stage_container(
        &self,
        request: Request<wire::StageContainerRequest>,
    ) -> Answer<wire::ActReply> {
        let (Admitted { who, .. }, message) = self.admit(request, Method::StageContainer)?;
        self.act(who, message).await
    }

    async fn stage_config(
        &self,
        request: Request<wire::StageConfigRequest>,
    ) -> Answer<wire::ActReply> {
        let (Admitted { who, .. }, message) = self.admit(request, Method::StageConfig)?;
        self.act(who, message).await
    }

    async fn ensure_stopped(
        &self,
        request: Request<wire::EnsureStoppedRequest>,
    ) -> Answer<wire::ActReply> {
        let (Admitted { who, .. }, message) = self.admit(request, Method::EnsureStopped)?;
        self.act(who, message).await
    }

    async fn put_config(&self, request: Request<wire::PutConfigRequest>) -> Answer<wire::ActReply> {
        let (Admitted { who, .. }, message) = self.admit(request, Method::PutConfig)?;
        self.act(who, message).await
    }

    async fn start_migrating(
        &self,
        request: Request<wire::StartMigratingRequest>,
    ) -> Answer<wire::ActReply> {
        let (Admitted { who, .. }, message) = self.admit(request, Method::StartMigrating)?;
        self.act(who, message).await
    }

    async fn ensure_running(
        &self,
        request: Request<wire::EnsureRunningRequest>,
    ) -> Answer<wire::ActReply> {
        let (Admitted { who, .. }, message) = self.admit(request, Method::EnsureRunning)?;
        self.act(who, message).await
    }

    async fn promote(&self, request: Request<wire::PromoteRequest>) -> Answer<wire::ActReply> {
        let (Admitted { who, .. }, message) = self.admit(request, Method::Promote)?;
        self.act(who, message).await
    }

    async fn set_floor(&self, request: Request<wire::SetFloorRequest>) -> Answer<wire::ActReply> {
        let (Admitted { who, .. }, message) = self.admit(request, Method::SetFloor)?;
        self.act(who, message).await
    }

    async fn remove_staged(
        &self,
        request: Request<wire::RemoveStagedRequest>,
    ) -> Answer<wire::ActReply> {
        let (Admitted { who, .. }, message) = self.admit(request, Method::RemoveStaged)?;
        self.act(who, message).await
    }

    async fn remove_staged_config(
        &self,
        request: Request<wire::RemoveStagedConfigRequest>,
    ) -> Answer<wire::ActReply> {
        let (Admitted { who, .. }, message) = self.admit(request, Method::RemoveStagedConfig)?;
        self.act(who, message).await
    }

    async fn restore_config(
        &self,
        request: Request<wire::RestoreConfigRequest>,
    ) -> Answer<wire::ActReply> {
        let (Admitted { who, .. }, message) = self.admit(request, Method::RestoreConfig)?;
        self.act(who, message).await
    }

    async fn lower_floor(
        &self,
        request: Request<wire::LowerFloorRequest>,
    ) -> Answer<wire::ActReply> {
        let (Admitted { who, .. }, message) = self.admit(request, Method::LowerFloor)?;
        self.act(who, message).await
    }

    async fn recreate(&self, request: Request<wire::RecreateRequest>) -> Answer<wire::ActReply> {
        let (Admitted { who, .. }, message) = self.admit(request, Method::Recreate)?;
        self.act(who, message).await
    }

    async fn take_down(&self, request: Request<wire::TakeDownRequest>) -> Answer<wire::ActReply> {
        let (Admitted { who, .. }, message) = self.admit(request, Method::TakeDown)?;
        self.act(who, message).await
    }

    async fn pull_image(
        &self,
        request: Request<wire::PullImageRequest>,
    ) -> Answer<wire::JobReport> {
        let (Admitted { who, .. }, message) = self.admit(request, Method::PullImage)?;
        self.start_pull(who, message).await
    }

    async fn back_up(&self, request: Request<wire::BackUpRequest>) -> Answer<wire::JobReport> {
        let (Admitted { who, .. }, message) = self.admit(request, Method::BackUp)?;
        self.start_backup(who, message).await
    }

    async fn check_backup(
        &self,
        request: Request<wire::CheckBackupRequest>,
    ) -> Answer<wire::JobReport> {
        let (Admitted { who, .. }, message) = self.admit(request, Method::CheckBackup)?;
        self.start_check(who, message).await
    }

    async fn restore(&self, request: Request<wire::RestoreRequest>) -> Answer<wire::JobReport> {
        let (Admitted { who, .. }, message) = self.admit(request, Method::Restore)?;
        self.start_restore(who, message).await
    }

    async fn cancel_job(
        &self,
        request: Request<wire::CancelJobRequest>,
    ) -> Answer<wire::JobReport> {
        let (Admitted { who, .. }, message) = self.admit(request, Method::CancelJob)?;
        self.cancel(&who, message)
    }
}

#[cfg(test)]
mod tests;
