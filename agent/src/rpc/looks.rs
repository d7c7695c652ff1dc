//! Looks: out of the wire, to the node, and back.

use std::sync::Arc;

use futures::StreamExt as _;
use quaymaster_proto::{Component, ContainerId, InvalidField, Mode, Reason, Refusal, wire};
use tonic::{Response, Status};
use tracing::{Instrument as _, Span};

use super::{Admitted, Answer, Service, Streamed};
use crate::engine::{Engine, LoggedLine};
use crate::looks::follow;
use crate::looks::preview::Change;
use crate::quay::database::Asked;
use crate::quay::settings::SurveyKey;

fn invalid(error: InvalidField) -> Status {
    Refusal::from(error).into()
}

fn component(number: i32) -> Result<Component, Status> {
    Component::from_wire("component", number).map_err(invalid)
}

/// An empty id means the container with the well-known name.
fn container(text: &str) -> Result<Option<ContainerId>, Status> {
    if text.is_empty() {
        return Ok(None);
    }
    let id = text.parse().map_err(|error| invalid(InvalidField::because("container_id", error)))?;
    Ok(Some(id))
}

fn every<W, T>(path: &str, values: Vec<W>) -> Result<Vec<T>, Status>
where
    W: TryInto<T, Error = InvalidField>,
{
    let read: Result<Vec<T>, _> = values.into_iter().map(TryInto::try_into).collect();
    read.map_err(|error| invalid(error.within(path)))
}

impl<E: Engine> Service<E> {
    /// A look that reads files, which may be on a file server that does not
    /// answer. A caller who hangs up does not end it: a thread that waits for a
    /// disk cannot be ended.
    async fn aside<T: Send + 'static>(
        &self,
        look: impl Future<Output = Result<T, Refusal>> + Send + 'static,
    ) -> Result<T, Refusal> {
        let broken_off = || {
            Refusal::new(Reason::Engine, "the look broke off inside the agent")
                .with_remedy("see the agent's log, and ask again")
        };
        let place = Arc::clone(&self.looks).acquire_owned().await.map_err(|_| broken_off())?;
        let look = async move {
            let _place = place;
            look.await
        };
        let look = self.node.surroundings.threads.run(look.instrument(Span::current()));
        look.await.unwrap_or_else(|_| Err(broken_off()))
    }

    pub(super) async fn describe_node(
        &self,
        caller: &Admitted,
        message: wire::DescribeRequest,
    ) -> Answer<wire::NodeDescription> {
        let wire::DescribeRequest { survey_key } = message;
        let length = survey_key.len();
        let key: [u8; 32] = survey_key.try_into().map_err(|_| {
            let reason = format!("has {length} bytes instead of 32");
            invalid(InvalidField::because("survey_key", reason))
        })?;
        let key = caller.may_compare_settings().then(|| SurveyKey::new(key));
        let node = Arc::clone(&self.node);
        let facts = self.aside(async move { node.describe(key.as_ref()).await }).await?;
        Ok(Response::new(facts.into()))
    }

    pub(super) async fn preview_change(
        &self,
        message: wire::PreviewRequest,
    ) -> Answer<wire::PreviewReply> {
        let wire::PreviewRequest {
            mode,
            port_moves,
            component: number,
            mount_copies,
            container_id,
        } = message;
        let change = Change {
            component: component(number)?,
            container: container(&container_id)?,
            mode: Mode::from_wire("mode", mode).map_err(invalid)?,
            port_moves: every("port_moves", port_moves)?,
            mount_copies: every("mount_copies", mount_copies)?,
        };
        let node = Arc::clone(&self.node);
        let preview = self.aside(async move { node.preview(&change).await }).await?;
        Ok(Response::new(preview.into()))
    }

    pub(super) async fn resolve_tag(
        &self,
        message: wire::ResolveImageRequest,
    ) -> Answer<wire::ResolveImageReply> {
        let wire::ResolveImageRequest { component: number, repository, tag } = message;
        let resolved = self.node.resolve_image(component(number)?, &repository, &tag).await?;
        Ok(Response::new(resolved.into()))
    }

    pub(super) async fn look_at_health(
        &self,
        message: wire::HealthRequest,
    ) -> Answer<wire::HealthReport> {
        let wire::HealthRequest { component: number, container_id } = message;
        let id = container(&container_id)?;
        let report = self.node.health(component(number)?, id.as_ref()).await?;
        Ok(Response::new(report.into()))
    }

    pub(super) fn follow_health_of(
        &self,
        message: wire::HealthRequest,
    ) -> Answer<Streamed<wire::HealthReport>> {
        let wire::HealthRequest { component: number, container_id } = message;
        let (component, id) = (component(number)?, container(&container_id)?);
        self.node.component(component)?;
        let reports = follow::follow(Arc::clone(&self.node), component, id);
        let reports = reports.map(|report| Ok(report.map_err(Status::from)?.into()));
        Ok(Response::new(Box::pin(reports)))
    }

    pub(super) async fn look_into_database(
        &self,
        message: wire::LookAtDatabaseRequest,
    ) -> Answer<wire::DatabaseLook> {
        let wire::LookAtDatabaseRequest { sessions, counts } = message;
        let node = Arc::clone(&self.node);
        let look = async move {
            let view = node.quay_view(None).await?;
            node.look_at_database(&view, Asked { sessions, counts }).await
        };
        let look = self.aside(look).await?;
        Ok(Response::new(look.into()))
    }

    pub(super) async fn read_ledger_of(
        &self,
        message: wire::ReadLedgerRequest,
    ) -> Answer<wire::ReadLedgerReply> {
        let wire::ReadLedgerRequest { run } = message;
        let run = if run.is_empty() {
            None
        } else {
            Some(run.parse().map_err(|error| invalid(InvalidField::because("run", error)))?)
        };
        let node = Arc::clone(&self.node);
        let found = self.aside(async move { node.read_ledger(run) }).await?;
        Ok(Response::new(found.into()))
    }

    pub(super) async fn follow_log_of(
        &self,
        message: wire::FollowLogRequest,
    ) -> Answer<Streamed<wire::LogLine>> {
        let wire::FollowLogRequest { component: number, container_id } = message;
        let (component, id) = (component(number)?, container(&container_id)?);
        let node = Arc::clone(&self.node);
        let lines = async move { node.follow_log(component, id.as_ref()).await };
        let lines = self.aside(lines).await?;
        let lines = lines.map(|line| {
            let LoggedLine { at, stderr, text } = line?;
            let at = at.map(|at| at.to_string()).unwrap_or_default();
            Ok(wire::LogLine { at, stderr, text })
        });
        Ok(Response::new(lines.boxed()))
    }
}
