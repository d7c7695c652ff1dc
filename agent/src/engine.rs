//! The container engine, in the agent's words: what it shows and what it can
//! be made to do. `docker` speaks to a real one.
//!
//! Engines differ in messages and codes: after every change its effect is
//! looked up, and only that counts.

pub(crate) mod docker;
#[cfg(test)]
pub(crate) mod fake;
pub mod inspect;

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::future::Future;
use std::path::Path;
use std::time::Duration;

use futures::stream::BoxStream;
use jiff::Timestamp;
use quaymaster_proto::node::{EngineFacts, PublishedPort};
use quaymaster_proto::{
    ContainerId, ContainerState, ImageDigest, ImageId, Reason, Refusal, RestartPolicy,
};

use crate::container::spec::ContainerSpec;
pub use crate::jobs::credentials::Login;
use crate::secret::Secret;

/// A call to the engine that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {tried}")]
pub struct EngineError {
    /// What was tried, on what.
    pub tried: String,
    /// As far as it can be told.
    pub kind: EngineErrorKind,
    /// What the engine said.
    #[source]
    pub source: Box<dyn Error + Send + Sync>,
}

/// How a call to the engine failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EngineErrorKind {
    /// No answer.
    Unreachable,
    /// It answered with this HTTP status.
    Status(u16),
    /// It began to answer and then failed.
    Midway,
    /// Its answer makes no sense.
    Senseless,
    /// It did not answer in the time that it was given.
    Late,
    /// It made something else than it was asked for.
    MadeOtherwise,
}

impl EngineError {
    /// The HTTP status, where the engine answered with one.
    pub fn status(&self) -> Option<u16> {
        match self.kind {
            EngineErrorKind::Status(status) => Some(status),
            EngineErrorKind::Unreachable
            | EngineErrorKind::Midway
            | EngineErrorKind::Senseless
            | EngineErrorKind::Late
            | EngineErrorKind::MadeOtherwise => None,
        }
    }

    /// The error and its causes in one line.
    pub fn in_one_line(&self) -> String {
        let mut line = self.to_string();
        let mut cause = self.source();
        while let Some(source) = cause {
            // Writing to a String cannot fail.
            let _ = write!(line, ": {source}");
            cause = source.source();
        }
        line
    }

    fn remedy(&self) -> &'static str {
        match self.kind {
            EngineErrorKind::Unreachable => {
                "see that the engine runs and that the agent may use its socket"
            }
            EngineErrorKind::Status(_) | EngineErrorKind::Midway | EngineErrorKind::Late => {
                "see the engine's log"
            }
            EngineErrorKind::Senseless => "see that the socket is a Docker engine's",
            EngineErrorKind::MadeOtherwise => {
                "create the present container anew without what the engine makes otherwise"
            }
        }
    }
}

impl From<EngineError> for Refusal {
    fn from(error: EngineError) -> Self {
        Self::new(Reason::Engine, error.in_one_line()).with_remedy(error.remedy())
    }
}

/// A container as its engine shows it, without what only a full look gives.
#[derive(Clone, Debug)]
pub struct Container {
    /// Where it stands.
    pub state: ContainerState,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What is mounted where.
    pub mounts: Vec<Mount>,
    /// Its published ports, with the numbers that the engine chose.
    pub ports: Vec<PublishedPort>,
}

/// One path of the host inside a container.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mount {
    /// On the host.
    pub source: String,
    /// Inside.
    pub destination: String,
}

/// A container with its spec.
#[derive(Clone, Debug)]
pub struct FullContainer {
    /// As the light look shows it.
    pub container: Container,
    /// What its owner asked for.
    pub spec: ContainerSpec,
    /// What its image brings.
    pub image: Image,
    /// What it was created from, as its creator wrote it.
    pub image_reference: String,
    /// `QUAY_OVERRIDE_CONFIG` as its processes get it: its owner's, or else its
    /// image's.
    pub override_config: Option<Secret>,
    /// All that the engine says of it, as JSON.
    pub inspected: Secret,
}

/// One line of the list of containers.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its id.
    pub id: ContainerId,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Sources of its mounts on the host.
    pub sources: Vec<String>,
    /// When it was created, in seconds since 1970; 0 = not told.
    pub created: i64,
}

/// An image on the engine.
#[derive(Clone, Debug)]
pub struct Image {
    /// Its id.
    pub id: ImageId,
    /// `repository:tag` names.
    pub tags: Vec<String>,
    /// `repository@sha256:…` names.
    pub digests: Vec<String>,
    /// What it takes on the disk, where the engine tells.
    pub bytes: Option<u64>,
    /// The version of the PostgreSQL in it, where it says so by a variable.
    pub postgres: Option<String>,
}

/// A line of a container's log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoggedLine {
    /// The engine's time.
    pub at: Option<Timestamp>,
    /// Which stream.
    pub stderr: bool,
    /// Without line end.
    pub text: String,
}

/// One step of a pull.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PullStep {
    /// The layer; empty for the pull as a whole.
    pub layer: String,
    /// In the engine's words.
    pub status: String,
    /// Bytes so far, where told.
    pub done: Option<u64>,
    /// Bytes in all, where told.
    pub total: Option<u64>,
}

/// What an engine shows.
pub trait EngineLooks: Send + Sync + 'static {
    /// Where the engine keeps its data, on the host.
    fn data_root(&self) -> Option<&Path>;

    /// The engine itself.
    fn facts(&self) -> impl Future<Output = Result<EngineFacts, EngineError>> + Send;

    /// Whether containers outlive a restart of it, where it tells.
    fn live_restore(&self) -> impl Future<Output = Option<bool>> + Send {
        std::future::ready(None)
    }

    /// A container by id or name.
    fn container(
        &self,
        which: &str,
    ) -> impl Future<Output = Result<Option<Container>, EngineError>> + Send;

    /// A container with its spec, by id or name.
    fn full_container(
        &self,
        which: &str,
    ) -> impl Future<Output = Result<Option<FullContainer>, EngineError>> + Send;

    /// Every container, running or not.
    fn containers(&self) -> impl Future<Output = Result<Vec<Listed>, EngineError>> + Send;

    /// A container's log from its beginning to its end.
    fn log(&self, id: &ContainerId) -> BoxStream<'static, Result<LoggedLine, EngineError>>;

    /// Some container came to life since then, or got another name.
    fn starts(&self, since: Timestamp) -> BoxStream<'static, Result<(), EngineError>>;

    /// Something happened to this container.
    fn changes(&self, id: &ContainerId) -> BoxStream<'static, Result<(), EngineError>>;
}

/// Images, here and in registries.
pub trait EngineImages: Send + Sync + 'static {
    /// An image by id or `repository@digest`.
    fn image(
        &self,
        reference: &str,
    ) -> impl Future<Output = Result<Option<Image>, EngineError>> + Send;

    /// The digest that a registry has behind `repository:tag` or
    /// `repository@digest`.
    fn registry_digest(
        &self,
        reference: &str,
        login: Option<&Login>,
    ) -> impl Future<Output = Result<ImageDigest, EngineError>> + Send;

    /// Pulls `repository@digest`.
    fn pull(
        &self,
        repository: &str,
        digest: &ImageDigest,
        login: Option<&Login>,
    ) -> BoxStream<'static, Result<PullStep, EngineError>>;
}

/// What an engine can be made to do.
pub trait EngineChanges: Send + Sync + 'static {
    /// Creates a container without starting it. Under its name it is on all of
    /// its networks and what was asked for, or it is not there.
    fn create(
        &self,
        name: &str,
        spec: &ContainerSpec,
    ) -> impl Future<Output = Result<ContainerId, EngineError>> + Send;

    /// The same of a spec that was carried over from nothing: what it leaves open
    /// is the engine's to choose.
    fn create_anew(
        &self,
        name: &str,
        spec: &ContainerSpec,
    ) -> impl Future<Output = Result<ContainerId, EngineError>> + Send {
        self.create(name, spec)
    }

    /// Starts a container.
    fn start(&self, id: &ContainerId) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Asks a container to end and kills it after `grace`.
    fn stop(
        &self,
        id: &ContainerId,
        grace: Duration,
    ) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Removes a container that does not run, with its nameless volumes; never
    /// one that runs.
    fn remove(&self, id: &ContainerId) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Gives a container another name.
    fn rename(
        &self,
        id: &ContainerId,
        name: &str,
    ) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Gives a container another restart policy.
    fn set_restart_policy(
        &self,
        id: &ContainerId,
        policy: RestartPolicy,
    ) -> impl Future<Output = Result<(), EngineError>> + Send;
}

/// All of it.
pub trait Engine: EngineLooks + EngineImages + EngineChanges {}

impl<T: EngineLooks + EngineImages + EngineChanges> Engine for T {}
