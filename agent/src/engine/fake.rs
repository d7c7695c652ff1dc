//! An engine in memory, for tests of what the agent does with one: a map of
//! containers, a count of starts, and the faults that a test asks for.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use jiff::Timestamp;
use quaymaster_proto::node::{EngineFacts, PublishedPort};
use quaymaster_proto::{
    ContainerId, ContainerState, ContainerStatus, ImageDigest, ImageId, RestartPolicy,
};

use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::{
    Container, EngineChanges, EngineError, EngineErrorKind, EngineImages, EngineLooks,
    FullContainer, Image, Listed, LoggedLine, Mount, PullStep,
};
use crate::container::spec::{ContainerSpec, NetworkSpec, ProcessSpec, StorageSpec};
use crate::jobs::credentials::Login;
use crate::quay::settings::OVERRIDE_VARIABLE;
use crate::secret::Secret;

/// What the engine does wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// Agrees to a restart policy and keeps the old one.
    KeepsPolicy,
    /// Agrees to a stop and leaves the container running.
    KeepsRunning,
    /// Does not start, with an error.
    StartFails,
    /// Does not list its containers.
    Away,
    /// Somebody starts what is about to be removed.
    StartsBeforeRemoval,
    /// Somebody starts whatever was never started, when all are listed.
    StartsWhenListed,
    /// The same with a restart policy given, and no start.
    GetsPolicyWhenListed,
    /// Starts, and then says that it failed.
    StartSaysFailed,
    /// A pull ends with an error inside its stream; the registry refuses.
    PullDenied,
    /// The registry does not answer, and no pull gets anywhere.
    RegistrySilent,
    /// The registry never answers.
    RegistryHangs,
    /// A pull never ends.
    PullHangs,
}

#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) container: Container,
    pub(crate) spec: ContainerSpec,
}

#[derive(Default, Debug)]
pub(crate) struct State {
    pub(crate) containers: BTreeMap<ContainerId, Stored>,
    pub(crate) images: BTreeMap<String, ImageId>,
    /// `repository:tag` names of images.
    pub(crate) tags: BTreeMap<ImageId, Vec<String>>,
    /// Images that a pull of `repository@digest` brings.
    pub(crate) registry: BTreeMap<String, ImageId>,
    /// What the registry has behind `repository:tag`.
    pub(crate) tagged: BTreeMap<String, ImageDigest>,
    /// In what words the next pulls end, half-way.
    pub(crate) broken: VecDeque<&'static str>,
    /// Pulls bring an image that has no digest.
    pub(crate) loses_digests: bool,
    pub(crate) faults: Vec<Fault>,
    /// One that no stop ends, and nothing is said of it.
    pub(crate) unstoppable: Option<ContainerId>,
    /// Every change, in its order.
    pub(crate) done: Vec<String>,
    /// Whoever follows the starts; `None` = nobody, or the engine hung up.
    pub(crate) listener: Option<mpsc::UnboundedSender<()>>,
    /// How often they were followed.
    pub(crate) followed: usize,
    /// How often the containers were listed.
    pub(crate) looks: usize,
}

#[derive(Default, Debug)]
pub(crate) struct FakeEngine(Mutex<State>);

/// The id of the container with this number.
pub(crate) fn container_id(number: u64) -> ContainerId {
    format!("{number:064x}").parse().unwrap()
}

/// The id of the image with this number.
pub(crate) fn image_id(number: u64) -> ImageId {
    format!("sha256:{number:064x}").parse().unwrap()
}

/// A spec with these binds.
pub(crate) fn spec(image: ImageId, binds: &[(&str, &str)]) -> ContainerSpec {
    ContainerSpec {
        image,
        environment: BTreeMap::new(),
        labels: BTreeMap::new(),
        process: ProcessSpec::default(),
        hostname: None,
        domainname: None,
        storage: StorageSpec {
            binds: binds.iter().map(|(source, inside)| format!("{source}:{inside}")).collect(),
            mounts: Vec::new(),
            anonymous_volumes: BTreeSet::new(),
            volumes_from: Vec::new(),
        },
        network: NetworkSpec { mode: "default".to_owned(), ..NetworkSpec::default() },
        restart_policy: RestartPolicy::Always,
        auto_remove: false,
        options: BTreeMap::new(),
        unknown: BTreeMap::new(),
    }
}

impl FakeEngine {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Puts a running container there.
    pub(crate) fn run(&self, number: u64, name: &str, spec: ContainerSpec) -> ContainerId {
        let id = self.put(&container_id(number), name, spec);
        let mut state = self.state();
        let stored = state.containers.get_mut(&id).unwrap();
        stored.container.state.status = ContainerStatus::Running;
        stored.container.state.started_at = Some(Timestamp::UNIX_EPOCH);
        if let Some(listener) = &state.listener {
            let _ = listener.send(()); // gone = nobody follows
        }
        id
    }

    fn put(&self, id: &ContainerId, name: &str, spec: ContainerSpec) -> ContainerId {
        let mounts = spec.storage.binds.iter().map(|bind| {
            let (source, destination, _) = StorageSpec::bind_parts(bind);
            Mount { source: source.to_owned(), destination: destination.to_owned() }
        });
        let container = Container {
            state: ContainerState {
                id: id.clone(),
                name: name.to_owned(),
                status: ContainerStatus::Created,
                started_at: None,
                finished_at: None,
                exit_code: 0,
                restart_count: 0,
                restart_policy: spec.restart_policy,
                image: spec.image.clone(),
            },
            labels: spec.labels.clone(),
            mounts: mounts.collect(),
            ports: Vec::<PublishedPort>::new(),
        };
        self.state().containers.insert(id.clone(), Stored { container, spec });
        id.clone()
    }

    pub(crate) fn look(&self, id: &ContainerId) -> Container {
        self.state().containers[id].container.clone()
    }

    /// Ends a container as if by itself.
    pub(crate) fn end(&self, id: &ContainerId, exit_code: i64) {
        let mut state = self.state();
        let stored = state.containers.get_mut(id).unwrap();
        stored.container.state.status = ContainerStatus::Exited;
        stored.container.state.exit_code = exit_code;
        stored.container.state.finished_at = Some(Timestamp::UNIX_EPOCH);
    }

    /// How often anything was started.
    pub(crate) fn starts(&self) -> usize {
        self.state().done.iter().filter(|done| done.starts_with("start")).count()
    }

    fn change(
        &self,
        id: &ContainerId,
        what: String,
        change: impl FnOnce(&mut ContainerState),
    ) -> Result<(), EngineError> {
        let mut state = self.state();
        state.done.push(what);
        let stored = state.containers.get_mut(id).ok_or_else(|| error("change", 404))?;
        change(&mut stored.container.state);
        Ok(())
    }

    /// What somebody else does to what was never started.
    fn meddle(&self) {
        let (starts, gets_policy) =
            (self.has(Fault::StartsWhenListed), self.has(Fault::GetsPolicyWhenListed));
        for stored in self.state().containers.values_mut() {
            let state = &mut stored.container.state;
            if state.ever_started() {
                continue;
            }
            if starts {
                state.status = ContainerStatus::Running;
                state.started_at = Some(Timestamp::UNIX_EPOCH);
            }
            if gets_policy {
                state.restart_policy = RestartPolicy::Always;
            }
        }
    }

    fn has(&self, fault: Fault) -> bool {
        self.state().faults.contains(&fault)
    }

    fn stored(&self, which: &str) -> Option<Stored> {
        let state = self.state();
        let mut all = state.containers.values();
        all.find(|stored| {
            let seen = &stored.container.state;
            seen.id.as_str() == which || seen.name == which
        })
        .cloned()
    }
}

fn error(tried: &str, status: u16) -> EngineError {
    EngineError {
        tried: tried.to_owned(),
        kind: EngineErrorKind::Status(status),
        source: "the engine's own words".into(),
    }
}

impl EngineLooks for FakeEngine {
    fn data_root(&self) -> Option<&Path> {
        None
    }

    async fn facts(&self) -> Result<EngineFacts, EngineError> {
        Ok(EngineFacts {
            id: "fake".to_owned(),
            name: "Docker".to_owned(),
            version: "0".to_owned(),
            api_version: "1.41".to_owned(),
        })
    }

    async fn container(&self, which: &str) -> Result<Option<Container>, EngineError> {
        Ok(self.stored(which).map(|stored| stored.container))
    }

    async fn full_container(&self, which: &str) -> Result<Option<FullContainer>, EngineError> {
        Ok(self.stored(which).map(|Stored { container, spec }| FullContainer {
            image: Image {
                id: spec.image.clone(),
                tags: Vec::new(),
                digests: Vec::new(),
                bytes: None,
                postgres: None,
            },
            image_reference: spec.image.to_string(),
            override_config: spec.environment_value(OVERRIDE_VARIABLE).cloned(),
            inspected: Secret::new(format!("{{\"Id\": \"{}\"}}", container.state.id)),
            container,
            spec,
        }))
    }

    async fn containers(&self) -> Result<Vec<Listed>, EngineError> {
        self.state().looks += 1;
        if self.has(Fault::Away) {
            return Err(error("list the containers", 503));
        }
        self.meddle();
        let state = self.state();
        let listed = |Stored { container, spec: _ }: &Stored| Listed {
            id: container.state.id.clone(),
            name: container.state.name.clone(),
            labels: container.labels.clone(),
            sources: container.mounts.iter().map(|mount| mount.source.clone()).collect(),
            // As their numbers say.
            created: i64::from_str_radix(&container.state.id.as_str()[52..], 16).unwrap(),
        };
        Ok(state.containers.values().map(listed).collect())
    }

    fn log(&self, _: &ContainerId) -> BoxStream<'static, Result<LoggedLine, EngineError>> {
        stream::empty().boxed()
    }

    fn starts(&self, _: Timestamp) -> BoxStream<'static, Result<(), EngineError>> {
        let (listener, told) = mpsc::unbounded_channel();
        let mut state = self.state();
        state.followed += 1;
        state.listener = Some(listener);
        UnboundedReceiverStream::new(told).map(Ok).boxed()
    }

    fn changes(&self, _: &ContainerId) -> BoxStream<'static, Result<(), EngineError>> {
        stream::pending().boxed()
    }
}

impl EngineImages for FakeEngine {
    async fn image(&self, reference: &str) -> Result<Option<Image>, EngineError> {
        let state = self.state();
        let known = state
            .images
            .iter()
            .find(|(name, id)| name.as_str() == reference || id.as_str() == reference);
        Ok(known.map(|(_, id)| Image {
            id: id.clone(),
            tags: state.tags.get(id).cloned().unwrap_or_default(),
            digests: state
                .images
                .iter()
                .filter(|(name, of)| *of == id && name.contains('@') && !state.loses_digests)
                .map(|(name, _)| name.clone())
                .collect(),
            bytes: None,
            postgres: reference.strip_prefix("postgres:").map(ToOwned::to_owned),
        }))
    }

    async fn registry_digest(
        &self,
        reference: &str,
        _: Option<&Login>,
    ) -> Result<ImageDigest, EngineError> {
        if self.has(Fault::RegistryHangs) {
            std::future::pending::<()>().await;
        }
        if self.has(Fault::RegistrySilent) {
            return Err(error("ask the registry", 500));
        }
        if self.has(Fault::PullDenied) {
            return Err(error("ask the registry", 401));
        }
        let state = self.state();
        if let Some(digest) = state.tagged.get(reference) {
            return Ok(digest.clone());
        }
        let digest = reference.split_once('@').and_then(|(_, digest)| digest.parse().ok());
        digest
            .filter(|_| state.registry.contains_key(reference))
            .ok_or_else(|| error("ask the registry", 404))
    }

    fn pull(
        &self,
        repository: &str,
        digest: &ImageDigest,
        _: Option<&Login>,
    ) -> BoxStream<'static, Result<PullStep, EngineError>> {
        let step = |status: &str, done, total| PullStep {
            layer: "layer".to_owned(),
            status: status.to_owned(),
            done,
            total,
        };
        let begun = Ok(step("Downloading", Some(3), Some(10)));
        let name = format!("{repository}@{digest}");
        let mut state = self.state();
        state.done.push(format!("pull {name}"));
        if state.faults.contains(&Fault::PullHangs) {
            return stream::iter([begun]).chain(stream::pending()).boxed();
        }
        if let Some(words) = state.broken.pop_front() {
            let kind = EngineErrorKind::Midway;
            let broken =
                EngineError { tried: format!("pull `{name}`"), kind, source: words.into() };
            return stream::iter([begun, Err(broken)]).boxed();
        }
        let fails = [Fault::PullDenied, Fault::RegistrySilent];
        if fails.iter().any(|fault| state.faults.contains(fault)) {
            return stream::iter([begun, Err(error("pull", 500))]).boxed();
        }
        if let Some(image) = state.registry.get(&name).cloned() {
            state.images.insert(name, image);
        }
        stream::iter([begun, Ok(step("Pull complete", None, None))]).boxed()
    }
}

impl EngineChanges for FakeEngine {
    async fn create(&self, name: &str, spec: &ContainerSpec) -> Result<ContainerId, EngineError> {
        if self.stored(name).is_some() {
            return Err(error("create", 409));
        }
        let mut state = self.state();
        let number = 1000 + state.done.len() as u64;
        state.done.push(format!("create {name}"));
        drop(state);
        Ok(self.put(&container_id(number), name, spec.clone()))
    }

    async fn start(&self, id: &ContainerId) -> Result<(), EngineError> {
        if self.has(Fault::StartFails) {
            self.state().done.push("start failed".to_owned());
            return Err(error("start", 500));
        }
        self.change(id, format!("start {}", id.short()), |state| {
            state.status = ContainerStatus::Running;
            state.started_at = Some(Timestamp::UNIX_EPOCH);
        })?;
        if self.has(Fault::StartSaysFailed) { Err(error("start", 500)) } else { Ok(()) }
    }

    async fn stop(&self, id: &ContainerId, _: Duration) -> Result<(), EngineError> {
        let keeps_running =
            self.has(Fault::KeepsRunning) || self.state().unstoppable.as_ref() == Some(id);
        self.change(id, "stop".to_owned(), |state| {
            if !keeps_running {
                state.status = ContainerStatus::Exited;
                state.finished_at = Some(Timestamp::UNIX_EPOCH);
            }
        })
    }

    async fn remove(&self, id: &ContainerId) -> Result<(), EngineError> {
        if self.has(Fault::StartsBeforeRemoval) {
            self.start(id).await?;
        }
        let mut state = self.state();
        state.done.push(format!("remove {}", id.short()));
        let stored = state.containers.get(id).ok_or_else(|| error("remove", 404))?;
        if stored.container.state.status.is_alive() {
            return Err(error("remove", 409));
        }
        state.containers.remove(id);
        Ok(())
    }

    async fn rename(&self, id: &ContainerId, name: &str) -> Result<(), EngineError> {
        self.change(id, format!("rename {name}"), |state| name.clone_into(&mut state.name))
    }

    async fn set_restart_policy(
        &self,
        id: &ContainerId,
        policy: RestartPolicy,
    ) -> Result<(), EngineError> {
        let keeps_policy = self.has(Fault::KeepsPolicy);
        if self.look(id).state.status == ContainerStatus::Restarting {
            return Err(error("update", 500));
        }
        self.change(id, format!("policy {policy}"), |state| {
            if !keeps_policy {
                state.restart_policy = policy;
            }
        })
    }
}
