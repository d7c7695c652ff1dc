//! A host's engine as its agent is given it: the world's containers, a moment
//! for every call, and a point before and after each at which the agent may
//! die.
#![expect(clippy::disallowed_methods, reason = "it waits in tokio's time")]

use std::path::Path;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use jiff::Timestamp;
use quaymaster_agent::container::ContainerSpec;
use quaymaster_agent::container::spec::StorageSpec;
use quaymaster_agent::engine::{
    Container, EngineChanges, EngineError, EngineErrorKind, EngineImages, EngineLooks,
    FullContainer, Image, Listed, LoggedLine, Login, Mount, PullStep,
};
use quaymaster_agent::secret::Secret;
use quaymaster_proto::node::{EngineFacts, PublishedPort};
use quaymaster_proto::{ContainerId, ImageDigest, RestartPolicy};
use tokio::time::sleep;

use crate::life::Life;
use crate::witness::Witness;
use crate::world::{
    Cause, DIGEST, IMAGES, Phase, REPOSITORY, Release, Stored, World, digest, release_of,
};

/// Of one call.
const CALL: Duration = Duration::from_millis(1);
/// How long the old release takes to stop.
const STOP: Duration = Duration::from_millis(400);

/// One agent's way to its engine.
#[derive(Clone, Debug)]
pub struct AgentEngine {
    /// The world.
    pub world: World,
    /// On which host.
    pub node: usize,
    /// The agent's.
    pub life: Life,
}

impl AgentEngine {
    /// One more point; a dead agent does not get past it.
    pub fn point(&self) -> bool {
        if !self.life.lasts() {
            return false;
        }
        let mut state = self.world.state();
        let host = &mut state.hosts[self.node];
        host.points += 1;
        if host.fuse.is_some_and(|fuse| host.points >= fuse) {
            host.fuse = None;
            self.life.end();
            host.deaths.send_modify(|deaths| *deaths += 1);
            drop(state);
            self.world.note(format!("quay-{}: its agent dies", self.node + 1));
            return false;
        }
        true
    }

    async fn enter(&self, tried: &str) -> Result<(), EngineError> {
        if !self.point() {
            return Err(unreachable(tried));
        }
        sleep(CALL).await;
        self.world.look_at_configs();
        if !self.life.lasts() || !self.world.state().hosts[self.node].is_up {
            return Err(unreachable(tried));
        }
        Ok(())
    }

    /// A change was made; whether its maker still hears of it.
    fn leave(&self, tried: &str) -> Result<(), EngineError> {
        if self.point() { Ok(()) } else { Err(unreachable(tried)) }
    }

    fn see<T>(&self, which: &str, read: impl FnOnce(&Stored) -> T) -> Option<T> {
        let state = self.world.state();
        let mut all = state.hosts[self.node].containers.values();
        all.find(|stored| stored.state.id.as_str() == which || stored.state.name == which).map(read)
    }

    fn change(
        &self,
        id: &ContainerId,
        tried: &str,
        change: impl FnOnce(&mut Stored),
    ) -> Result<(), EngineError> {
        let mut state = self.world.state();
        let stored = state.stored(self.node, id).ok_or_else(|| status(tried, 404))?;
        change(stored);
        stored.changed.send_modify(|changes| *changes += 1);
        Ok(())
    }
}

fn error(tried: &str, kind: EngineErrorKind, source: &'static str) -> EngineError {
    EngineError { tried: tried.to_owned(), kind, source: source.into() }
}

fn unreachable(tried: &str) -> EngineError {
    error(tried, EngineErrorKind::Unreachable, "connection refused")
}

fn status(tried: &str, status: u16) -> EngineError {
    error(tried, EngineErrorKind::Status(status), "the engine's own words")
}

fn mounts(spec: &ContainerSpec) -> Vec<Mount> {
    let binds = spec.storage.binds.iter().map(|bind| StorageSpec::bind_parts(bind));
    let mount = |(source, destination, _): (&str, &str, &str)| Mount {
        source: source.to_owned(),
        destination: destination.to_owned(),
    };
    binds.map(mount).collect()
}

fn container(stored: &Stored) -> Container {
    let ports = stored.spec.network.ports.iter().flat_map(|(inside, hosts)| {
        hosts.iter().map(|host| PublishedPort {
            container_port: inside.number(),
            protocol: inside.protocol().to_owned(),
            host_address: host.address.clone(),
            host_port: host.port.parse().unwrap_or_default(),
        })
    });
    Container {
        state: stored.state.clone(),
        labels: stored.spec.labels.clone(),
        mounts: mounts(&stored.spec),
        ports: ports.collect(),
    }
}

fn image(release: Release) -> Image {
    let (id, tag) = match release {
        Release::Old => (IMAGES[0], "quay.io/coreos/quay:v2.9.5"),
        Release::New => (IMAGES[1], "quay.io/redhat/quay:v3.0.5"),
    };
    let digests = match release {
        Release::Old => Vec::new(),
        Release::New => vec![format!("{REPOSITORY}@{DIGEST}")],
    };
    let (id, tags) = (id.parse().expect("an id"), vec![tag.to_owned()]);
    Image { id, tags, digests, bytes: None, postgres: None }
}

impl EngineLooks for AgentEngine {
    fn data_root(&self) -> Option<&Path> {
        None
    }

    async fn facts(&self) -> Result<EngineFacts, EngineError> {
        self.enter("ask the engine").await?;
        Ok(EngineFacts {
            id: format!("ENGINE-{}", self.node + 1),
            name: "Docker".to_owned(),
            version: "20.10.24".to_owned(),
            api_version: "1.41".to_owned(),
        })
    }

    async fn container(&self, which: &str) -> Result<Option<Container>, EngineError> {
        self.enter("look at a container").await?;
        Ok(self.see(which, container))
    }

    async fn full_container(&self, which: &str) -> Result<Option<FullContainer>, EngineError> {
        self.enter("look at a container").await?;
        Ok(self.see(which, |stored| {
            let image = image(release_of(&stored.state.image));
            FullContainer {
                container: container(stored),
                spec: stored.spec.clone(),
                image_reference: image.tags[0].clone(),
                image,
                override_config: None,
                inspected: Secret::new("{}"),
            }
        }))
    }

    async fn containers(&self) -> Result<Vec<Listed>, EngineError> {
        self.enter("list containers").await?;
        let state = self.world.state();
        let listed = |stored: &Stored| Listed {
            id: stored.state.id.clone(),
            name: stored.state.name.clone(),
            labels: stored.spec.labels.clone(),
            sources: mounts(&stored.spec).into_iter().map(|mount| mount.source).collect(),
            created: stored.created,
        };
        Ok(state.hosts[self.node].containers.values().map(listed).collect())
    }

    fn log(&self, id: &ContainerId) -> BoxStream<'static, Result<LoggedLine, EngineError>> {
        let lines = self.see(id.as_str(), |stored| {
            let line = |text: &String| LoggedLine { at: None, stderr: false, text: text.clone() };
            let lines: Vec<_> = stored.log.iter().map(line).map(Ok).collect();
            (lines, stored.process.is_some())
        });
        match lines {
            Some((lines, true)) => stream::iter(lines).chain(stream::pending()).boxed(),
            Some((lines, false)) => stream::iter(lines).boxed(),
            None => stream::empty().boxed(),
        }
    }

    /// Nobody watches over a floor here.
    fn starts(&self, since: Timestamp) -> BoxStream<'static, Result<(), EngineError>> {
        let (world, node) = (self.world.clone(), self.node);
        let starts = {
            let state = world.state();
            let mut starts = state.hosts[node].starts.subscribe();
            if starts.borrow_and_update().is_some_and(|last| last >= since) {
                starts.mark_changed();
            }
            starts
        };
        if !world.state().hosts[node].is_up {
            return stream::empty().boxed();
        }
        stream::unfold((world, node, starts), async |(world, node, mut starts)| {
            starts.changed().await.ok()?;
            let is_up = world.state().hosts[node].is_up;
            is_up.then_some((Ok(()), (world, node, starts)))
        })
        .boxed()
    }

    fn changes(&self, id: &ContainerId) -> BoxStream<'static, Result<(), EngineError>> {
        let mut state = self.world.state();
        let Some(stored) = state.stored(self.node, id) else { return stream::pending().boxed() };
        let changes = stored.changed.subscribe();
        stream::unfold(changes, async |mut changes| {
            changes.changed().await.ok()?;
            Some((Ok(()), changes))
        })
        .boxed()
    }
}

impl EngineImages for AgentEngine {
    async fn image(&self, reference: &str) -> Result<Option<Image>, EngineError> {
        self.enter("look at an image").await?;
        let has_new = self.world.state().hosts[self.node].has_image;
        let all = [(Release::Old, true), (Release::New, has_new)];
        let images = all.into_iter().filter(|(_, has)| *has).map(|(release, _)| image(release));
        let is_it = |image: &Image| {
            image.id.as_str() == reference
                || image.tags.iter().chain(&image.digests).any(|name| name == reference)
        };
        Ok(images.into_iter().find(is_it))
    }

    async fn registry_digest(
        &self,
        _: &str,
        _: Option<&Login>,
    ) -> Result<ImageDigest, EngineError> {
        self.enter("ask the registry").await?;
        Ok(digest())
    }

    fn pull(
        &self,
        _: &str,
        _: &ImageDigest,
        _: Option<&Login>,
    ) -> BoxStream<'static, Result<PullStep, EngineError>> {
        let engine = self.clone();
        let step = |status: &str| PullStep {
            layer: "layer".to_owned(),
            status: status.to_owned(),
            done: Some(1),
            total: Some(2),
        };
        let begun = stream::iter([Ok(step("Downloading"))]);
        let ended = stream::once(async move {
            sleep(Duration::from_millis(300)).await;
            engine.enter("pull").await?;
            engine.world.state().hosts[engine.node].has_image = true;
            engine.leave("pull")?;
            Ok(step("Pull complete"))
        });
        begun.chain(ended).boxed()
    }
}

impl EngineChanges for AgentEngine {
    async fn create(&self, name: &str, spec: &ContainerSpec) -> Result<ContainerId, EngineError> {
        self.enter("create a container").await?;
        let created = self.world.create(self.node, name, spec.clone());
        let id = created.ok_or_else(|| status("create a container", 409))?;
        self.world.note(format!("quay-{}: {name} is created", self.node + 1));
        self.leave("create a container")?;
        Ok(id)
    }

    async fn start(&self, id: &ContainerId) -> Result<(), EngineError> {
        self.enter("start a container").await?;
        let started = self.world.start(self.node, id, Cause::Agent);
        self.leave("start a container")?;
        started.map_err(|said| error("start a container", EngineErrorKind::Status(500), said))
    }

    async fn stop(&self, id: &ContainerId, grace: Duration) -> Result<(), EngineError> {
        self.enter("stop a container").await?;
        let found = self.see(id.as_str(), |stored| {
            let takes = match release_of(&stored.state.image) {
                Release::Old => STOP.min(grace),
                // Its first process passes no signal on.
                Release::New => grace,
            };
            (takes, stored.process.as_ref().map(|process| process.number))
        });
        let (takes, number) = found.ok_or_else(|| status("stop a container", 404))?;
        let Some(number) = number else { return self.leave("stop a container") };
        {
            let millis = self.world.millis();
            let mut state = self.world.state();
            if let Some(stored) = state.stored(self.node, id) {
                stored.is_stopped = true;
            }
            Witness::see_stop(&mut state, millis, self.node, id);
        }
        let (world, node, stopped) = (self.world.clone(), self.node, id.clone());
        // The engine goes on with it, whoever hangs up.
        let stopping = tokio::spawn(async move {
            sleep(takes).await;
            let is_same = world.state().process(node, &stopped, number).is_some();
            if is_same {
                world.end(node, &stopped, if takes == STOP { 0 } else { 137 }, Cause::Agent);
            }
        });
        let _ = stopping.await;
        self.leave("stop a container")
    }

    async fn remove(&self, id: &ContainerId) -> Result<(), EngineError> {
        self.enter("remove a container").await?;
        let runs = self.see(id.as_str(), |stored| stored.process.is_some());
        match runs {
            None => return Err(status("remove a container", 404)),
            Some(true) => return Err(status("remove a container", 409)),
            Some(false) => {}
        }
        self.world.state().hosts[self.node].containers.remove(id);
        self.world.note(format!("quay-{}: {} is removed", self.node + 1, id.short()));
        self.leave("remove a container")
    }

    async fn rename(&self, id: &ContainerId, name: &str) -> Result<(), EngineError> {
        self.enter("rename a container").await?;
        if self.see(name, |_| ()).is_some() {
            return Err(status("rename a container", 409));
        }
        self.change(id, "rename a container", |stored| name.clone_into(&mut stored.state.name))?;
        self.world.tell_start(self.node);
        self.leave("rename a container")
    }

    async fn set_restart_policy(
        &self,
        id: &ContainerId,
        policy: RestartPolicy,
    ) -> Result<(), EngineError> {
        self.enter("set a restart policy").await?;
        self.change(id, "set a restart policy", |stored| {
            stored.state.restart_policy = policy;
            stored.spec.restart_policy = policy;
        })?;
        self.leave("set a restart policy")
    }
}

impl Stored {
    /// Whether its Quay is well.
    pub fn is_well(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.phase == Phase::Well)
    }
}
