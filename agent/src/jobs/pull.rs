//! One pull, from the look for the image to its id, and in words why it
//! failed.

use futures::StreamExt as _;
use futures::stream::BoxStream;
use quaymaster_proto::job::{JobReport, JobState, PullImage};
use quaymaster_proto::{ImageId, Reason, Refusal};
use tokio::sync::watch;

use super::credentials::{self, Login};
use super::layers::Layers;
use crate::engine::{Engine, EngineError, EngineErrorKind, PullStep};
use crate::node::Node;
use crate::standing::Pulling;
use crate::telemetry;

/// Less than this, in bytes, and no layer of a Quay fits.
const HARDLY_ANY_SPACE: u64 = 64 * 1024 * 1024;

fn pinned(order: &PullImage) -> String {
    format!("{}@{}", order.repository, order.digest)
}

/// The image, where the node has it already.
pub(super) async fn present<E: Engine>(
    node: &Node<E>,
    order: &PullImage,
) -> Result<Option<ImageId>, Refusal> {
    Ok(node.engine.image(&pinned(order)).await?.map(|image| image.id))
}

/// Pulls, and tells how far it has come.
pub(super) async fn pull<E: Engine>(
    node: &Node<E>,
    order: &PullImage,
    report: &watch::Sender<JobReport>,
) -> JobState {
    let shown = node.board.pulling(order);
    let login = match node.login(&order.repository) {
        Ok(login) => login,
        Err(refusal) => {
            return JobState::Failed { problem: format!("{}: {}", refusal, refusal.remedy) };
        }
    };
    let steps = node.engine.pull(&order.repository, &order.digest, login.as_ref());
    if let Err(error) = telemetry::pull(&pinned(order), follow(steps, report, &shown)).await {
        return JobState::Failed { problem: explain(node, order, login, &error).await };
    }
    // Only what the engine has counts, not how the stream ended.
    match present(node, order).await {
        Ok(Some(image)) => JobState::Done { image },
        Ok(None) => JobState::Failed {
            problem: format!("the engine ended the pull of `{}` without the image", pinned(order)),
        },
        Err(refusal) => JobState::Failed { problem: refusal.to_string() },
    }
}

/// Shows how far a pull has come, to its end.
async fn follow(
    mut steps: BoxStream<'static, Result<PullStep, EngineError>>,
    report: &watch::Sender<JobReport>,
    shown: &Pulling<'_>,
) -> Result<(), EngineError> {
    let mut layers = Layers::default();
    while let Some(step) = steps.next().await {
        layers.take(&step?);
        let (done, total) = layers.bytes();
        shown.has_come_to(done, total);
        report.send_modify(|report| (report.done_bytes, report.total_bytes) = (done, total));
    }
    Ok(())
}

/// Why the engine did not pull, by what can be found out now; its own words
/// are different from engine to engine and only repeated.
async fn explain<E: Engine>(
    node: &Node<E>,
    order: &PullImage,
    login: Option<Login>,
    error: &EngineError,
) -> String {
    let said = error.in_one_line();
    let advise = |advice: String| format!("{said}; {advice}");
    let registry = credentials::registry(&order.repository);
    if node.free_bytes_engine().is_some_and(|free| free < HARDLY_ANY_SPACE)
        || said.contains("no space left")
    {
        return advise("the disk with the engine's data is full: make room".to_owned());
    }
    let asked = node.engine.registry_digest(&pinned(order), login.as_ref()).await;
    let status = match asked.as_ref().map_err(|error| error.kind) {
        Ok(_) => None,
        Err(EngineErrorKind::Status(status)) => Some(status),
        Err(
            EngineErrorKind::Unreachable
            | EngineErrorKind::Midway
            | EngineErrorKind::Senseless
            | EngineErrorKind::MadeOtherwise,
        ) => None,
    };
    let denied = ["unauthorized", "denied", "authentication required"];
    let is_denied = matches!(status, Some(401 | 403))
        || denied.iter().any(|word| said.to_lowercase().contains(word));
    if is_denied && login.is_none() {
        return advise(format!(
            "registry `{registry}` wants a login: name a file with one under \
             registries.credentials in agent.yaml"
        ));
    }
    if is_denied {
        return advise(format!(
            "registry `{registry}` refuses the login in agent.yaml's registries.credentials: \
             renew it, or get the right to pull `{}`",
            order.repository
        ));
    }
    let missing = ["not found", "manifest unknown", "name unknown"];
    if status == Some(404) || missing.iter().any(|word| said.to_lowercase().contains(word)) {
        return advise(format!(
            "`{}` does not hold {}: see the repository's name and whether the mirror is complete",
            order.repository, order.digest
        ));
    }
    advise(format!("see whether this node reaches registry `{registry}`, then pull again"))
}

impl<E: Engine> Node<E> {
    /// Refuses a repository that agent.yaml does not name.
    pub(crate) fn allow_repository(
        &self,
        component: quaymaster_proto::Component,
        repository: &str,
    ) -> Result<(), Refusal> {
        let allowed = self.component(component)?;
        if allowed.allows(repository) {
            return Ok(());
        }
        let names: Vec<_> = allowed.repositories.iter().map(ToString::to_string).collect();
        Err(Refusal::new(
            Reason::Image,
            format!(
                "`{repository}` is none of the repositories that agent.yaml allows for {component}"
            ),
        )
        .with_remedy(format!("use one of {}, or add it to agent.yaml", names.join(", "))))
    }

    /// The login that agent.yaml's file has for a repository.
    pub(crate) fn login(&self, repository: &str) -> Result<Option<Login>, Refusal> {
        let Some(path) = &self.config.registry_credentials else { return Ok(None) };
        let refuse = |why: String| {
            Refusal::new(
                Reason::Image,
                format!("cannot read registry logins in `{}`: {why}", path.display()),
            )
            .with_remedy("see registries.credentials in agent.yaml")
        };
        let json =
            super::credentials_file::read(path).map_err(|error| refuse(error.to_string()))?;
        credentials::login(&json, repository).map_err(|error| refuse(error.to_string()))
    }
}
