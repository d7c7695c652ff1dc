#![expect(clippy::disallowed_methods, reason = "an effect room: it reads the clock")]
//! The engine's containers: found, created, renamed, updated, removed, and
//! waited for. All changes are made under one lock, and written down before
//! they are told. How containers start and end is in `life`.

use super::{
    container::{Container, CreateBody, Phase, endpoints, is_valid_name},
    event::{Event, EventBus},
    image::StoredImage,
    inspect::{self, Places},
    mount::{MountSource, mounts},
    policy::{Backoff, RestartPolicy},
    port::published_ports,
    reference::ImageReference,
    refusal::Refusal,
    serve::{EngineError, EngineOptions},
    store::{Store, StoreError, fresh_id},
};
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::watch;

/// A container and what is known of it only while the engine runs.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) container: Container,
    pub(crate) backoff: Backoff,
    /// How often the container ended since the engine started.
    pub(crate) endings: u64,
}

/// The engine's containers by id.
#[derive(Debug, Default)]
pub(crate) struct Fleet(pub(crate) BTreeMap<String, Entry>);

/// The engine.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) options: EngineOptions,
    pub(crate) id: String,
    pub(crate) store: Store,
    pub(crate) events: EventBus,
    /// Raised at every change of a container.
    pub(crate) changed: watch::Sender<u64>,
    /// Raised at every line that a container prints.
    pub(crate) logged: watch::Sender<u64>,
    /// Set once the engine is going down.
    pub(crate) closing: watch::Sender<bool>,
    fleet: Mutex<Fleet>,
}

impl Fleet {
    /// Finds a container by its id, its name, or the beginning of its id.
    pub(crate) fn find(&self, key: &str) -> Result<&Entry, Refusal> {
        let key = key.trim_start_matches('/');
        let by_beginning = || {
            let mut begun = self.0.values().filter(|entry| entry.container.id.starts_with(key));
            begun.next().filter(|_| begun.next().is_none() && !key.is_empty())
        };
        self.0
            .get(key)
            .or_else(|| self.named(key))
            .or_else(by_beginning)
            .ok_or_else(|| Refusal::NoSuchContainer(key.to_owned()))
    }

    fn named(&self, name: &str) -> Option<&Entry> {
        self.0.values().find(|entry| entry.container.name == name)
    }

    pub(crate) fn find_mut(&mut self, key: &str) -> Result<&mut Entry, Refusal> {
        let id = self.find(key)?.container.id.clone();
        self.0.get_mut(&id).ok_or(Refusal::NoSuchContainer(id))
    }

    fn refuse_taken(&self, name: &str) -> Result<(), Refusal> {
        if !is_valid_name(name) {
            return Err(Refusal::InvalidName(name.to_owned()));
        }
        match self.named(name) {
            Some(Entry { container, .. }) => {
                Err(Refusal::NameTaken { name: name.to_owned(), holder: container.id.clone() })
            }
            None => Ok(()),
        }
    }
}

impl Engine {
    /// Reads what an earlier engine left in the directory.
    pub(crate) fn open(options: EngineOptions) -> Result<Self, EngineError> {
        let store = Store::open(&options.state)?;
        let options = EngineOptions { state: store.root().to_owned(), ..options };
        let fleet = store.containers()?.into_iter().map(|container| {
            let entry = Entry { container, backoff: Backoff::default(), endings: 0 };
            (entry.container.id.clone(), entry)
        });
        Ok(Self {
            id: store.engine_id()?,
            fleet: Mutex::new(Fleet(fleet.collect())),
            store,
            options,
            events: EventBus::new(),
            changed: watch::Sender::new(0),
            logged: watch::Sender::new(0),
            closing: watch::Sender::new(false),
        })
    }

    pub(crate) fn fleet(&self) -> MutexGuard<'_, Fleet> {
        self.fleet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a changed container down, then tells everyone.
    pub(crate) fn settle(&self, container: &Container, event: Option<Event>) {
        if let Err(error) = self.store.save(container) {
            // The lab's disk is gone; what is in memory still holds.
            self.events.tell(Event::new("error", container, Timestamp::now()).with("error", error));
        }
        if let Some(event) = event {
            self.events.tell(event);
        }
        self.changed.send_modify(|count| *count += 1);
    }

    /// Waits until a look at the containers gives an answer.
    pub(crate) async fn until<T>(&self, mut look: impl FnMut(&Fleet) -> Option<T>) -> T {
        let mut changed = self.changed.subscribe();
        loop {
            if let Some(seen) = look(&self.fleet()) {
                return seen;
            }
            // The sender lives in `self`, so this cannot fail.
            let _ = changed.changed().await;
        }
    }

    /// The image that a reference means; the newest, should several answer.
    pub(crate) fn image(&self, reference: &str) -> Result<StoredImage, Refusal> {
        let wanted = ImageReference::parse(reference);
        let images = self.store.images()?;
        images
            .into_iter()
            .filter(|stored| stored.answers_to(&wanted))
            .max_by_key(|stored| stored.created)
            .ok_or_else(|| Refusal::NoSuchImage(reference.to_owned()))
    }

    pub(crate) fn create(&self, name: Option<&str>, body: CreateBody) -> Result<String, Refusal> {
        let CreateBody { host_config, networking_config, config } = body;
        let host_config = host_config.unwrap_or_default();
        let image = self.image(config.image.as_deref().unwrap_or_default())?;
        let id = fresh_id()?;
        let short_id = id.get(..12).unwrap_or(&id);
        let name = name.map_or_else(|| format!("standin_{short_id}"), str::to_owned);
        if self.store.faults()?.create_fails.contains(&name) {
            return Err(Refusal::Fault("create"));
        }
        let config = config.merged_with(&image.image.config, short_id);
        if config.words().is_empty() {
            return Err(Refusal::NoCommand);
        }
        let volumes = config.volumes.iter().flat_map(|volumes| volumes.keys().cloned());
        let mounted = host_config.get("Mounts").and_then(Value::as_array).map_or(0, Vec::len);
        let names = (0..volumes.clone().count() + mounted).map(|_| fresh_id());
        let mut names = names.collect::<Result<Vec<_>, _>>()?;
        // There is a name for everything that could ask for one.
        let fresh_name = || names.pop().unwrap_or_default();
        let container = Container {
            id: id.clone(),
            name,
            created: Timestamp::now(),
            image_id: image.image.id,
            program: image.image.program,
            program_name: image
                .image
                .config
                .entrypoint
                .first()
                .or_else(|| image.image.config.cmd.first())
                .cloned(),
            mounts: mounts(&host_config, volumes, fresh_name).map_err(Refusal::InvalidMount)?,
            ports: published_ports(&host_config).map_err(Refusal::InvalidPort)?,
            policy: policy(&host_config)?.unwrap_or(RestartPolicy::Unset),
            endpoints: endpoints(&host_config, networking_config),
            config,
            host_config,
            phase: Phase::Created,
            exit_code: 0,
            error: String::new(),
            started_at: None,
            finished_at: None,
            manually_stopped: false,
            restart_count: 0,
        };
        self.admit(container)?;
        Ok(id)
    }

    fn admit(&self, container: Container) -> Result<(), Refusal> {
        let mut fleet = self.fleet();
        fleet.refuse_taken(&container.name)?;
        self.settle(&container, Some(Event::new("create", &container, container.created)));
        let entry = Entry { container, backoff: Backoff::default(), endings: 0 };
        fleet.0.insert(entry.container.id.clone(), entry);
        Ok(())
    }

    pub(crate) fn inspect(&self, key: &str) -> Result<Value, Refusal> {
        let fleet = self.fleet();
        let container = &fleet.find(key)?.container;
        let places =
            Places { volumes: &self.store.volumes(), log: &self.store.log_path(&container.id) };
        Ok(inspect::inspect(container, places))
    }

    pub(crate) fn rename(&self, key: &str, name: &str) -> Result<(), Refusal> {
        let mut fleet = self.fleet();
        let name = name.trim_start_matches('/');
        if fleet.find(key)?.container.name == name {
            return Err(Refusal::SameName);
        }
        fleet.refuse_taken(name)?;
        let container = &mut fleet.find_mut(key)?.container;
        let old = std::mem::replace(&mut container.name, name.to_owned());
        let event = Event::new("rename", container, Timestamp::now());
        self.settle(container, Some(event.with("oldName", format!("/{old}"))));
        Ok(())
    }

    /// Changes a restart policy; it counts from the next ending on.
    pub(crate) fn update(&self, key: &str, body: &Map<String, Value>) -> Result<(), Refusal> {
        let policy = policy(body)?;
        let faults = self.store.faults()?;
        let mut fleet = self.fleet();
        let container = &mut fleet.find_mut(key)?.container;
        if faults.update_fails.contains(&container.name) {
            return Err(Refusal::Fault("update"));
        }
        container.policy = policy.unwrap_or(container.policy);
        self.settle(container, Some(Event::new("update", container, Timestamp::now())));
        Ok(())
    }

    pub(crate) async fn remove(
        self: &Arc<Self>,
        key: &str,
        force: bool,
        with_volumes: bool,
    ) -> Result<(), Refusal> {
        let id = self.fleet().find(key)?.container.id.clone();
        if force {
            self.kill_for_removal(&id).await?;
        }
        let mut fleet = self.fleet();
        let container = fleet.find(&id)?.container.clone();
        if container.phase.is_up() {
            return Err(Refusal::StillRunning(id));
        }
        self.store.forget(&id)?;
        for mount in container.mounts.iter().filter(|_| with_volumes) {
            if let MountSource::Volume { name, is_anonymous: true } = &mount.source {
                self.store.remove_volume(name)?;
            }
        }
        fleet.0.remove(&id);
        self.events.tell(Event::new("destroy", &container, Timestamp::now()));
        self.changed.send_modify(|count| *count += 1);
        Ok(())
    }
}

/// Reads `RestartPolicy`, where it is given.
fn policy(given: &Map<String, Value>) -> Result<Option<RestartPolicy>, Refusal> {
    let Some(Value::Object(typed)) = given.get("RestartPolicy") else {
        return Ok(None);
    };
    let name = typed.get("Name").and_then(Value::as_str).unwrap_or_default();
    let limit = typed.get("MaximumRetryCount").and_then(Value::as_u64).unwrap_or(0);
    RestartPolicy::parse(name, u32::try_from(limit).unwrap_or(u32::MAX))
        .map(Some)
        .ok_or_else(|| Refusal::InvalidPolicy(name.to_owned()))
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let reason = std::error::Error::source(&error).map(ToString::to_string);
        Self::Broken(format!("{error}: {}", reason.unwrap_or_default()))
    }
}
