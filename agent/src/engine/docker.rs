//! A Docker Engine on its unix socket. With `inspect`, the only room that
//! names bollard.

mod convert;
mod create;
mod raw;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::auth::DockerCredentials;
use bollard::errors::Error as DockerError;
use bollard::models::{
    ContainerInspectResponse, ContainerUpdateBody, ImageInspect, RestartPolicy as DockerPolicy,
    RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    CreateImageOptionsBuilder, EventsOptionsBuilder, InspectContainerOptions,
    ListContainersOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder,
    RenameContainerOptionsBuilder, StartContainerOptions, StopContainerOptionsBuilder,
};
use bollard::{API_DEFAULT_VERSION, Docker};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use jiff::Timestamp;
use quaymaster_proto::node::EngineFacts;
use quaymaster_proto::telemetry::engine;
use quaymaster_proto::{ContainerId, ImageDigest, RestartPolicy};

use self::raw::RawEngine;
use super::{
    Container, EngineChanges, EngineError, EngineErrorKind, EngineImages, EngineLooks,
    FullContainer, Image, Listed, LoggedLine, PullStep, inspect,
};
use crate::container::spec::ContainerSpec;
use crate::jobs::credentials::Login;
use crate::secret::Secret;
use crate::telemetry;

/// The limit of a call, until the engine begins to answer.
const CALL_LIMIT: u64 = 120;

/// What a stop may take on top of its grace: the engine waits for the kill and
/// for the container's file systems.
const STOP_SLACK: Duration = Duration::from_secs(60);

/// The oldest API with all that is used here (Docker 19.03).
const OLDEST_API: (usize, usize) = (1, 40);

/// The header whose Base64 bollard writes in the wrong alphabet.
const LOGIN_HEADER: &str = "x-registry-auth";

/// Why an engine is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// No answer, or an answer that is none.
    #[error("cannot use the container engine at `{socket}`")]
    Unreachable {
        /// The socket.
        socket: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Older than what is used here.
    #[error(
        "the container engine at `{socket}` speaks API {api_version}; at least {}.{} is needed \
         (Docker 19.03): update the engine",
        OLDEST_API.0, OLDEST_API.1
    )]
    TooOld {
        /// The socket.
        socket: String,
        /// As it says.
        api_version: String,
    },
}

/// A connection to an engine; each call opens a socket of its own.
#[derive(Clone)]
pub(crate) struct DockerEngine {
    docker: Docker,
    raw: RawEngine,
    data_root: Option<PathBuf>,
}

impl std::fmt::Debug for DockerEngine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("DockerEngine")
    }
}

impl DockerEngine {
    /// Connects, and refuses an engine that is too old.
    pub(crate) async fn connect(socket: &Path) -> Result<Self, ConnectError> {
        let shown = socket.display().to_string();
        let failed = |source: DockerError| ConnectError::Unreachable {
            socket: socket.display().to_string(),
            source: Box::new(source),
        };
        let docker =
            Docker::connect_with_unix(&shown, CALL_LIMIT, API_DEFAULT_VERSION).map_err(failed)?;
        let version = docker.version().await.map_err(failed)?;
        let api_version = version.api_version.unwrap_or_default();
        if convert::api_version(&api_version).is_none_or(|api| api < OLDEST_API) {
            return Err(ConnectError::TooOld { socket: shown, api_version });
        }
        let docker = docker.negotiate_version().await.map_err(failed)?;
        let docker = docker.with_request_modifier(|mut request| {
            // Docker reads this header in Base64's URL alphabet alone.
            let headers = request.headers_mut();
            let login = headers.get(LOGIN_HEADER).and_then(|value| value.to_str().ok());
            let login = login.map(|value| value.replace('+', "-").replace('/', "_"));
            if let Some(value) = login.and_then(|value| value.try_into().ok()) {
                headers.insert(LOGIN_HEADER, value);
            }
            request
        });
        let data_root = docker.info().await.map_err(failed)?.docker_root_dir.map(PathBuf::from);
        let raw = RawEngine::new(socket).map_err(|source| ConnectError::Unreachable {
            socket: shown,
            source: Box::new(source),
        })?;
        Ok(Self { docker, raw, data_root })
    }

    async fn inspect(&self, which: &str) -> Result<Option<ContainerInspectResponse>, EngineError> {
        let found = self.docker.inspect_container(which, None::<InspectContainerOptions>).await;
        absent_is_none(found, || format!("inspect container `{which}`"))
    }

    async fn inspect_image(&self, reference: &str) -> Result<Option<ImageInspect>, EngineError> {
        let found = self.docker.inspect_image(reference).await;
        absent_is_none(found, || format!("inspect image `{reference}`"))
    }
}

impl EngineLooks for DockerEngine {
    fn data_root(&self) -> Option<&Path> {
        self.data_root.as_deref()
    }

    async fn facts(&self) -> Result<EngineFacts, EngineError> {
        let tried = || "ask the engine what it is".to_owned();
        let version = self.docker.version().await.map_err(|error| failure(error, tried()))?;
        let info = self.docker.info().await.map_err(|error| failure(error, tried()))?;
        Ok(convert::facts(version, info))
    }

    async fn live_restore(&self) -> Option<bool> {
        self.docker.info().await.ok()?.live_restore_enabled
    }

    async fn container(&self, which: &str) -> Result<Option<Container>, EngineError> {
        let found = self.inspect(which).await?;
        found.map(|found| convert::container(&found)).transpose()
    }

    async fn full_container(&self, which: &str) -> Result<Option<FullContainer>, EngineError> {
        let Some(raw) = self.raw.container(which).await? else { return Ok(None) };
        let tried = || format!("read the spec of `{which}`");
        let found =
            inspect::container_model(&raw).map_err(|error| convert::senseless(tried(), error))?;
        let container = convert::container(&found)?;
        let reference = container.state.image.as_str();
        let image = self.inspect_image(reference).await?.ok_or_else(|| {
            convert::senseless(format!("inspect image `{reference}`"), "it is gone")
        })?;
        let spec = inspect::container_spec(&raw, &image)
            .map_err(|error| convert::senseless(tried(), error))?;
        let image = convert::image(&image)?;
        let config = found.config.unwrap_or_default();
        let override_config = convert::override_config(config.env.as_deref().unwrap_or_default());
        let image_reference = config.image.unwrap_or_default();
        let inspected = Secret::new(format!("{raw:#}"));
        Ok(Some(FullContainer {
            container,
            spec,
            image,
            image_reference,
            override_config,
            inspected,
        }))
    }

    async fn containers(&self) -> Result<Vec<Listed>, EngineError> {
        let options = ListContainersOptionsBuilder::default().all(true).build();
        let tried = || "list the containers".to_owned();
        let found = self.docker.list_containers(Some(options)).await;
        let found = found.map_err(|error| failure(error, tried()))?;
        found.into_iter().map(convert::listed).collect()
    }

    fn log(&self, id: &ContainerId) -> BoxStream<'static, Result<LoggedLine, EngineError>> {
        let options = LogsOptionsBuilder::default()
            .follow(true)
            .stdout(true)
            .stderr(true)
            .timestamps(true)
            .tail("all")
            .build();
        let tried = format!("follow the log of container {}", id.short());
        stream::lines(self.docker.logs(id.as_str(), Some(options)).boxed(), tried)
    }

    fn starts(&self, since: Timestamp) -> BoxStream<'static, Result<(), EngineError>> {
        // Nothing else: checks of health, to name one, come every few seconds.
        let kinds = ["start", "restart", "unpause", "rename"].map(ToOwned::to_owned);
        let filters =
            HashMap::from([("type", vec!["container".to_owned()]), ("event", kinds.into())]);
        // An engine keeps its last events: none is missed before it answers.
        let nanoseconds = since.subsec_nanosecond();
        let since = format!("{}.{nanoseconds:09}", since.as_second());
        let options = EventsOptionsBuilder::default().filters(&filters).since(&since).build();
        self.docker
            .events(Some(options))
            .map(|event| match event {
                Ok(_) => Ok(()),
                Err(error) => Err(failure(error, "follow the engine's events".to_owned())),
            })
            .boxed()
    }

    fn changes(&self, id: &ContainerId) -> BoxStream<'static, Result<(), EngineError>> {
        let filters = HashMap::from([
            ("type", vec!["container".to_owned()]),
            ("container", vec![id.as_str().to_owned()]),
        ]);
        let options = EventsOptionsBuilder::default().filters(&filters).build();
        let tried = format!("follow the events of container {}", id.short());
        let events = self.docker.events(Some(options));
        events
            .map(move |event| match event {
                Ok(_) => Ok(()),
                Err(error) => Err(failure(error, tried.clone())),
            })
            .boxed()
    }
}

impl EngineImages for DockerEngine {
    async fn image(&self, reference: &str) -> Result<Option<Image>, EngineError> {
        let found = self.inspect_image(reference).await?;
        found.map(|found| convert::image(&found)).transpose()
    }

    async fn registry_digest(
        &self,
        reference: &str,
        login: Option<&Login>,
    ) -> Result<ImageDigest, EngineError> {
        let tried = || format!("ask the registry for `{reference}`");
        let found = self.docker.inspect_registry_image(reference, login.map(credentials)).await;
        let found = found.map_err(|error| failure(error, tried()))?;
        let digest = found.descriptor.digest.unwrap_or_default();
        digest.parse().map_err(|error| convert::senseless(tried(), error))
    }

    fn pull(
        &self,
        repository: &str,
        digest: &ImageDigest,
        login: Option<&Login>,
    ) -> BoxStream<'static, Result<PullStep, EngineError>> {
        let tried = format!("pull `{repository}@{digest}`");
        let options = CreateImageOptionsBuilder::default()
            .from_image(repository)
            .tag(digest.as_str())
            .build();
        let steps = self.docker.create_image(Some(options), None, login.map(credentials));
        steps
            .map(move |step| match step {
                Ok(info) => Ok(convert::pull_step(info)),
                Err(error) => Err(failure(error, tried.clone())),
            })
            .boxed()
    }
}

impl EngineChanges for DockerEngine {
    async fn create(&self, name: &str, spec: &ContainerSpec) -> Result<ContainerId, EngineError> {
        telemetry::create(name, self.create_whole(name, spec)).await
    }

    async fn create_anew(
        &self,
        name: &str,
        spec: &ContainerSpec,
    ) -> Result<ContainerId, EngineError> {
        telemetry::create(name, self.create_open(name, spec)).await
    }

    async fn start(&self, id: &ContainerId) -> Result<(), EngineError> {
        let starting = self.docker.start_container(id.as_str(), None::<StartContainerOptions>);
        let started = telemetry::engine(engine::START, id.as_str(), starting).await;
        started.map_err(|error| failure(error, format!("start container {}", id.short())))
    }

    async fn stop(&self, id: &ContainerId, grace: Duration) -> Result<(), EngineError> {
        let seconds = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::default().t(seconds).build();
        let patient = self.docker.clone().with_timeout(grace + STOP_SLACK);
        let stopping = patient.stop_container(id.as_str(), Some(options));
        let stopped = telemetry::engine(engine::STOP, id.as_str(), stopping).await;
        stopped.map_err(|error| failure(error, format!("stop container {}", id.short())))
    }

    async fn remove(&self, id: &ContainerId) -> Result<(), EngineError> {
        // Without force: an engine refuses to remove what runs.
        let options = RemoveContainerOptionsBuilder::default().v(true).build();
        let removing = self.docker.remove_container(id.as_str(), Some(options));
        let removed = telemetry::engine(engine::REMOVE, id.as_str(), removing).await;
        removed.map_err(|error| failure(error, format!("remove container {}", id.short())))
    }

    async fn rename(&self, id: &ContainerId, name: &str) -> Result<(), EngineError> {
        let options = RenameContainerOptionsBuilder::default().name(name).build();
        let renaming = self.docker.rename_container(id.as_str(), options);
        let renamed = telemetry::engine(engine::RENAME, id.as_str(), renaming).await;
        renamed
            .map_err(|error| failure(error, format!("rename container {} to `{name}`", id.short())))
    }

    async fn set_restart_policy(
        &self,
        id: &ContainerId,
        policy: RestartPolicy,
    ) -> Result<(), EngineError> {
        let (name, maximum) = match policy {
            RestartPolicy::No => (RestartPolicyNameEnum::NO, None),
            RestartPolicy::Always => (RestartPolicyNameEnum::ALWAYS, None),
            RestartPolicy::UnlessStopped => (RestartPolicyNameEnum::UNLESS_STOPPED, None),
            RestartPolicy::OnFailure { maximum_retry_count } => {
                (RestartPolicyNameEnum::ON_FAILURE, Some(i64::from(maximum_retry_count)))
            }
        };
        let body = ContainerUpdateBody {
            restart_policy: Some(DockerPolicy { name: Some(name), maximum_retry_count: maximum }),
            ..ContainerUpdateBody::default()
        };
        let updating = self.docker.update_container(id.as_str(), body);
        let updated = telemetry::engine(engine::UPDATE, id.as_str(), updating).await;
        updated.map_err(|error| {
            failure(error, format!("set restart policy `{policy}` on container {}", id.short()))
        })
    }
}

fn credentials(login: &Login) -> DockerCredentials {
    let Login { registry, user, password, identity_token } = login;
    let (username, password) = match identity_token {
        Some(_) => (None, None),
        None => (Some(user.clone()), Some(password.expose().to_owned())),
    };
    DockerCredentials {
        username,
        password,
        identitytoken: identity_token.as_ref().map(|token| token.expose().to_owned()),
        serveraddress: Some(registry.clone()),
        ..DockerCredentials::default()
    }
}

/// Engines answer 404 for what is not there, and nothing else does.
fn absent_is_none<T>(
    found: Result<T, DockerError>,
    tried: impl FnOnce() -> String,
) -> Result<Option<T>, EngineError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(DockerError::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
        Err(error) => Err(failure(error, tried())),
    }
}

fn failure(error: DockerError, tried: String) -> EngineError {
    #[expect(clippy::wildcard_enum_match_arm, reason = "bollard's enum, not ours")]
    let kind = match &error {
        DockerError::DockerResponseServerError { status_code, .. } => {
            EngineErrorKind::Status(*status_code)
        }
        DockerError::DockerStreamError { .. } => EngineErrorKind::Midway,
        DockerError::JsonDataError { .. } | DockerError::JsonSerdeError { .. } => {
            EngineErrorKind::Senseless
        }
        _ => EngineErrorKind::Unreachable,
    };
    EngineError { tried, kind, source: Box::new(error) }
}
