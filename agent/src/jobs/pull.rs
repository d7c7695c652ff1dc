//! One pull, from the look for the image to its id: tried again where another
//! try may help, and given up where it stands still.
#![expect(clippy::disallowed_methods, reason = "an effect room: it waits between two tries")]

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use quaymaster_proto::job::{JobReport, JobState, PullImage};
use quaymaster_proto::{ImageDigest, ImageId, Reason, Refusal};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::credentials::Login;
use super::failure::{Ended, Failure};
use super::layers::Layers;
use super::logins::{self, LoginsError};
use crate::engine::{Engine, EngineError, PullStep};
use crate::node::Node;
use crate::standing::Pulling;
use crate::telemetry;

/// The name that a pull goes by.
pub(super) fn pinned(order: &PullImage) -> String {
    format!("{}@{}", order.repository, order.digest)
}

/// The image, where the node has it already: under the digest of the plan, as
/// its engine says itself.
pub(super) async fn present<E: Engine>(
    node: &Node<E>,
    order: &PullImage,
) -> Result<Option<ImageId>, Refusal> {
    let found = node.engine.image(&pinned(order)).await?;
    Ok(found.filter(|image| has_digest(&image.digests, &order.digest)).map(|image| image.id))
}

/// Docker Hub's images go by several names; the digest is what counts.
fn has_digest(names: &[String], digest: &ImageDigest) -> bool {
    names.iter().any(|name| name.split_once('@').is_some_and(|(_, own)| own == digest.as_str()))
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
        Err(error) => {
            let problem = format!("{}; {}", quaymaster_proto::in_a_line(&error), error.remedy());
            return JobState::Failed { problem };
        }
    };
    let patience = node.config.registries.patience;
    let mut pull = Pull { node, order, login, report, shown, layers: Layers::default() };
    let mut tried = 0;
    loop {
        let failure = match pull.attempt().await {
            Ok(image) => {
                pull.note(String::new());
                return JobState::Done { image };
            }
            Err(failure) => failure,
        };
        tried += 1;
        let pause = patience.pause_after(tried).filter(|_| failure.may_pass);
        let Some(pause) = pause else {
            pull.note(String::new());
            return JobState::Failed { problem: failure.in_words(tried) };
        };
        let (next, all) = (tried + 1, patience.attempts);
        let why = failure.what;
        tracing::warn!(image = pinned(order), tried, why, "A pull is tried again.");
        pull.note(format!("try {next} of {all} begins in {} s: {why}", pause.as_secs()));
        sleep(pause).await;
    }
}

/// A pull over all its tries: what one try brought, the engine keeps.
struct Pull<'a, E> {
    node: &'a Node<E>,
    order: &'a PullImage,
    login: Option<Login>,
    report: &'a watch::Sender<JobReport>,
    shown: Pulling<'a>,
    layers: Layers,
}

/// How a try broke off.
#[derive(Debug, thiserror::Error)]
enum Broken {
    /// The engine ended it.
    #[error(transparent)]
    Engine(EngineError),
    /// Nothing came any more.
    #[error("the pull came no further")]
    Stalled,
}

impl<E: Engine> Pull<'_, E> {
    /// One try.
    async fn attempt(&mut self) -> Result<ImageId, Failure> {
        let (node, order, login) = (self.node, self.order, self.login.clone());
        let stalled_after = node.config.registries.patience.stalled_after;
        let steps = node.engine.pull(&order.repository, &order.digest, login.as_ref());
        match telemetry::pull(&pinned(order), self.follow(steps, stalled_after)).await {
            Ok(()) => {}
            Err(Broken::Engine(error)) => return Err(self.ended().failure(&error).await),
            Err(Broken::Stalled) => return Err(Failure::stalled(order, stalled_after)),
        }
        // Only what the engine has counts, not how the stream ended.
        match present(node, order).await {
            Ok(Some(image)) => Ok(image),
            Ok(None) => Err(self.ended().without_image().await),
            Err(refusal) => Err(Failure::of_engine(refusal.to_string())),
        }
    }

    /// Shows how far a try has come, to its end. Steps that are dropped end the
    /// engine's own pull as well.
    async fn follow(
        &mut self,
        mut steps: BoxStream<'static, Result<PullStep, EngineError>>,
        stalled_after: Duration,
    ) -> Result<(), Broken> {
        self.layers.begin();
        loop {
            match timeout(stalled_after, self.next_move(&mut steps)).await {
                Ok(Some(Ok(()))) => {}
                Ok(None) => return Ok(()),
                Ok(Some(Err(error))) => return Err(Broken::Engine(error)),
                Err(_) => return Err(Broken::Stalled),
            }
        }
    }

    fn ended(&self) -> Ended<'_, E> {
        let Self { node, order, login, report: _, shown: _, layers } = self;
        let (_, total_bytes) = layers.bytes();
        Ended { node, order, login: login.as_ref(), total_bytes }
    }

    /// The next step that brings the pull on; `None` = its end.
    async fn next_move(
        &mut self,
        steps: &mut BoxStream<'static, Result<PullStep, EngineError>>,
    ) -> Option<Result<(), EngineError>> {
        loop {
            let step = match steps.next().await? {
                Ok(step) => step,
                Err(error) => return Some(Err(error)),
            };
            if self.layers.take(&step) {
                self.tell();
                return Some(Ok(()));
            }
        }
    }

    fn tell(&self) {
        let (done, total) = self.layers.bytes();
        let note = self.layers.retried().unwrap_or_default();
        self.shown.has_come_to(done, total);
        self.report.send_modify(|report| {
            (report.done_bytes, report.total_bytes, report.note) = (done, total, note);
        });
    }

    fn note(&self, note: String) {
        self.report.send_modify(|report| report.note = note);
    }
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
    pub(crate) fn login(&self, repository: &str) -> Result<Option<Login>, LoginsError> {
        let Some(path) = &self.config.registries.credentials else { return Ok(None) };
        logins::login(path, repository)
    }
}

impl From<LoginsError> for Refusal {
    fn from(error: LoginsError) -> Self {
        Self::new(Reason::Image, quaymaster_proto::in_a_line(&error)).with_remedy(error.remedy())
    }
}
