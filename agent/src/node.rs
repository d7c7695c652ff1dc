//! The node: what every look and every act shares. Which containers are this
//! agent's business is decided here, and nowhere else.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::future::try_join_all;
use jiff::Timestamp;
use quaymaster_proto::database::{DatabaseIdentity, DatabaseLook};
use quaymaster_proto::{Act, Component, ContainerId, FileDigest, Floor, Reason, Refusal};
use tracing::Instrument as _;

use crate::config::{AgentConfig, ComponentConfig};
use crate::config_file::{self, ConfigFile};
use crate::container::ContainerSpec;
use crate::container::spec::SpecKey;
use crate::disk;
use crate::engine::{Container, Engine, Listed, Mount};
use crate::fence::Fence;
use crate::floor::{self, FloorError};
use crate::guards::{Guard, Guards};
use crate::ledger::{Admission, Event, LedgerSlot, Work};
use crate::quay::database::{self, Asked};
use crate::quay::settings::{Settings, passwords_in_address};
use crate::secret::Secret;
use crate::standing::Board;
use crate::starters::files::Starters;
use crate::surroundings::{LockedBy, Surroundings};
use crate::telemetry;
use crate::worker::config::refused;
use crate::worker::names::{self, Owner};

/// Everything that looks and acts share.
#[derive(Debug)]
pub(crate) struct Node<E> {
    /// agent.yaml.
    pub(crate) config: AgentConfig,
    /// The container engine.
    pub(crate) engine: E,
    /// Everything else that it asks.
    pub(crate) surroundings: Surroundings,
    /// What stands between an order and the world.
    pub(crate) guards: Guards,
    /// Of its spec digests.
    pub(crate) spec_key: SpecKey,
    /// What it is at, for people.
    pub(crate) board: Board,
    /// Who else starts containers here.
    pub(crate) starters: Starters,
    /// What stood against the floor.
    pub(crate) fence: Fence,
    certificate_end: Mutex<Timestamp>,
    ledger: Mutex<LedgerSlot>,
}

/// What the agent keeps in its state directory, and what it looks at on the
/// host.
#[derive(Debug)]
pub(crate) struct Kept {
    /// Orders and what became of them.
    pub(crate) ledger: LedgerSlot,
    /// Of its spec digests.
    pub(crate) spec_key: SpecKey,
    /// Who else starts containers here.
    pub(crate) starters: Starters,
}

#[cfg(test)]
impl Kept {
    /// With a key that every test knows, on a host without any files.
    pub(crate) fn in_tests(ledger: LedgerSlot) -> Self {
        let starters = Starters::under("/nonexistent");
        Self { ledger, spec_key: Self::spec_key_in_tests(), starters }
    }

    pub(crate) fn spec_key_in_tests() -> SpecKey {
        SpecKey::new([7; 32])
    }
}

/// What a Quay on this node reads, as far as the agent needs it.
#[derive(Debug)]
pub(crate) struct QuayView {
    /// config.yaml's digest.
    pub(crate) config: FileDigest,
    /// Since when it has been as it is.
    pub(crate) config_since: Timestamp,
    /// With the container's override laid over them.
    pub(crate) settings: Settings,
    /// The container's.
    pub(crate) mounts: Vec<Mount>,
    /// Secret values of the container's environment.
    environment: Vec<Secret>,
}

impl QuayView {
    /// Every text that must not reach a log line.
    pub(crate) fn secrets(&self) -> Vec<Secret> {
        let mut all = self.settings.secrets();
        all.extend(self.environment.iter().cloned());
        all
    }
}

impl<E: Engine> Node<E> {
    pub(crate) fn new(
        config: AgentConfig,
        engine: E,
        surroundings: Surroundings,
        certificate_end: Timestamp,
        kept: Kept,
    ) -> Self {
        let Kept { ledger, spec_key, starters } = kept;
        let (certificate_end, ledger) = (Mutex::new(certificate_end), Mutex::new(ledger));
        let (board, fence) = (Board::default(), Fence::default());
        let guards = Guards::all();
        Self {
            config,
            engine,
            surroundings,
            guards,
            spec_key,
            board,
            starters,
            fence,
            certificate_end,
            ledger,
        }
    }

    /// End of this agent's certificate.
    pub(crate) fn certificate_end(&self) -> Timestamp {
        *self.certificate_end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is a new certificate.
    pub(crate) fn set_certificate_end(&self, end: Timestamp) {
        *self.certificate_end.lock().unwrap_or_else(PoisonError::into_inner) = end;
    }

    /// The ledger; never held across an await.
    pub(crate) fn ledger(&self) -> MutexGuard<'_, LedgerSlot> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets an order in, or says why not.
    pub(crate) fn admit(&self, act: &Act, work: &Work) -> Result<Admission, Refusal> {
        self.of_this_cluster(&act.cluster)?;
        let admission = self.ledger().get()?.index().admit(act, work);
        let admission = self.unless_off(Guard::Lease, admission, Admission::New)?;
        self.board.begins(act, work);
        Ok(admission)
    }

    /// Puts on record what became of an order.
    pub(crate) fn record(&self, act: &Act, work: &Work, event: Event) -> Result<(), Refusal> {
        self.board.ends(act, work, &event);
        #[cfg(feature = "simulation")]
        self.may_write(crate::simulation::Writing::Begins)?;
        let written = self.ledger().get()?.append(act, work, event);
        #[cfg(feature = "simulation")]
        self.may_write(crate::simulation::Writing::Ended)?;
        written.map_err(|error| error.refusal())
    }

    /// What may not run on this node any more.
    pub(crate) fn floor(&self) -> Result<Option<Floor>, FloorError> {
        let recorded = self.ledger().floor();
        floor::read(&self.config.state, recorded)
    }

    /// The part of agent.yaml about a component.
    pub(crate) fn component(&self, component: Component) -> Result<&ComponentConfig, Refusal> {
        self.config.components.get(&component).ok_or_else(|| {
            Refusal::new(
                Reason::NoComponent,
                format!("agent.yaml of node `{}` has no component `{component}`", self.config.node),
            )
            .with_remedy("add the component to agent.yaml, or take it out of the plan")
        })
    }

    /// Whose this node's containers of a component are.
    pub(crate) fn owner(&self, component: Component) -> Owner<'_> {
        Owner { cluster: &self.config.cluster, node: &self.config.node, component }
    }

    /// Whether a container is this component's: by its name, by our labels or
    /// names, or because it mounts the same config.
    pub(crate) fn belongs<'a>(
        &self,
        component: Component,
        name: &str,
        labels: &std::collections::BTreeMap<String, String>,
        mut sources: impl Iterator<Item = &'a str>,
    ) -> bool {
        let Some(settings) = self.config.components.get(&component) else { return false };
        if settings.container == name || self.owner(component).is_on(labels) {
            return true;
        }
        // Labelled for another cluster, node or component, or another's name.
        if labels.contains_key(names::CLUSTER)
            || self.config.components.values().any(|other| {
                other.container == name
                    || other.container != settings.container
                        && names::is_given(&other.container, name)
            })
        {
            return false;
        }
        names::is_given(&settings.container, name)
            || component == Component::Quay && sources.any(|source| self.holds_config(source))
    }

    /// Whether a path of the host is config.yaml or its directory.
    pub(crate) fn holds_config(&self, source: &str) -> bool {
        let file = &self.config.quay_config;
        let real = file.canonicalize();
        let is = |path: &Path| {
            is_place(source, path) || path.parent().is_some_and(|up| is_place(source, up))
        };
        is(file) || real.is_ok_and(|real: PathBuf| is(&real))
    }

    /// Every container of a component, running or not.
    pub(crate) async fn containers_of(&self, component: Component) -> Result<Vec<Listed>, Refusal> {
        let mut all = self.engine.containers().await?;
        all.retain(|listed| {
            let sources = listed.sources.iter().map(String::as_str);
            self.belongs(component, &listed.name, &listed.labels, sources)
        });
        Ok(all)
    }

    /// The container with this id, which must be the component's.
    pub(crate) async fn ours(
        &self,
        component: Component,
        id: &ContainerId,
    ) -> Result<Container, Refusal> {
        self.component(component)?;
        let found = self.engine.container(id.as_str()).await?;
        let found = found.ok_or_else(|| gone(id))?;
        let sources = found.mounts.iter().map(|mount| mount.source.as_str());
        if self.belongs(component, &found.state.name, &found.labels, sources) {
            return Ok(found);
        }
        Err(Refusal::new(
            Reason::NotOurs,
            format!(
                "container {} (`{}`) is no {component} of node `{}`",
                id.short(),
                found.state.name,
                self.config.node
            ),
        )
        .with_remedy("plan again; an agent acts only on what its agent.yaml names"))
    }

    /// The same container, looked at once more.
    pub(crate) async fn again(&self, id: &ContainerId) -> Result<Container, Refusal> {
        self.engine.container(id.as_str()).await?.ok_or_else(|| gone(id))
    }

    /// Every container of this node that is a Quay, and lives or may come back
    /// by itself. A mirror is a Quay that migrates too (quay-facts 2.1).
    pub(crate) async fn living_quays(&self) -> Result<Vec<Container>, Refusal> {
        let living = self.living_quays_by_component().await?;
        Ok(living.into_iter().map(|(_, quay)| quay).collect())
    }

    /// The same, each with what it is.
    pub(crate) async fn living_quays_by_component(
        &self,
    ) -> Result<Vec<(Component, Container)>, Refusal> {
        let mut living = Vec::new();
        for component in [Component::Quay, Component::Mirror] {
            if !self.config.components.contains_key(&component) {
                continue;
            }
            let all = self.containers_of(component).await?;
            let looks = all.iter().map(|listed| self.engine.container(listed.id.as_str()));
            let seen = try_join_all(looks).await?.into_iter().flatten();
            let seen = seen.filter(|container| container.state.status.is_alive());
            living.extend(seen.map(|container| (component, container)));
        }
        Ok(living)
    }

    /// config.yaml as it lies there now.
    pub(crate) fn read_config(&self) -> Result<ConfigFile, Refusal> {
        ConfigFile::read(&self.config.quay_config).map_err(refused)
    }

    /// Refuses a config.yaml that is mounted as a file: a container would never
    /// see the renamed one, and this host could not rename at all.
    pub(crate) async fn refuse_mounted_file(&self) -> Result<(), Refusal> {
        let file = &self.config.quay_config;
        let real = file.canonicalize().unwrap_or_else(|_| file.clone());
        if config_file::is_mount_point(&real) {
            return Err(Refusal::new(
                Reason::Config,
                format!(
                    "something is mounted right at `{}`: it cannot be replaced",
                    real.display()
                ),
            )
            .with_remedy(
                "mount its directory instead; in the unit of the agent, `ReadWritePaths=` names the \
                 directory",
            ));
        }
        let is_file = |source: &String| is_place(source, file) || is_place(source, &real);
        for listed in self.containers_of(Component::Quay).await? {
            if listed.sources.iter().any(is_file) {
                return Err(Refusal::new(
                    Reason::Config,
                    format!(
                        "container `{}` mounts `{}` itself, not its directory: it would not see a \
                         new file",
                        listed.name,
                        file.display()
                    ),
                )
                .with_remedy(
                    "create the container anew with the directory mounted at /conf/stack",
                ));
            }
        }
        Ok(())
    }

    /// What a Quay in this container would read; without an id, the one with
    /// the well-known name, or else the newest that this agent staged, or else
    /// any of this node.
    pub(crate) async fn quay_view(&self, id: Option<&ContainerId>) -> Result<QuayView, Refusal> {
        let file = self.read_config()?;
        let invalid = |error: crate::quay::settings::SettingsError| {
            Refusal::new(Reason::Config, format!("cannot read `{}`: {error}", file.path.display()))
        };
        let mut settings = Settings::read(&file.bytes).map_err(invalid)?;
        let (mut mounts, mut environment) = (Vec::new(), Vec::new());
        if let Some(which) = self.viewpoint(id).await?
            && let Some(found) = self.engine.full_container(&which).await?
        {
            environment = secret_values(&found.spec);
            if let Some(json) = found.override_config {
                settings = settings.overridden_by(json.expose()).map_err(invalid)?;
                environment.push(json);
            }
            mounts = found.container.mounts;
        }
        let (config, config_since) = (file.digest, file.since);
        Ok(QuayView { config, config_since, settings, mounts, environment })
    }

    async fn viewpoint(&self, id: Option<&ContainerId>) -> Result<Option<String>, Refusal> {
        if let Some(id) = id {
            return Ok(Some(id.to_string()));
        }
        let well_known = self.component(Component::Quay)?.container.as_str();
        let all = self.containers_of(Component::Quay).await?;
        let named = all.iter().find(|listed| listed.name == well_known);
        let owner = self.owner(Component::Quay);
        let staged = || {
            let staged = all.iter().filter(|listed| owner.is_on(&listed.labels));
            staged.max_by_key(|listed| listed.created)
        };
        let which = named.or_else(staged).or_else(|| all.first());
        Ok(which.map(|listed| listed.id.to_string()))
    }

    /// Looks into the database that the view leads to.
    pub(crate) async fn look_at_database(
        &self,
        view: &QuayView,
        asked: Asked,
    ) -> Result<DatabaseLook, Refusal> {
        let application = database::application(&self.config.cluster, &self.config.node);
        let span = telemetry::database();
        let database = &self.surroundings.database;
        let look = database.look(&view.settings, &view.mounts, &application, asked);
        let look = look.instrument(span.clone()).await;
        telemetry::looked(&span, &look);
        look.map_err(|error| {
            Refusal::new(Reason::Database, error.in_one_line()).with_remedy(
                "see DB_URI in config.yaml, and whether this node reaches the database",
            )
        })
    }

    /// Locks the database that the view leads to; `Some` = who has it.
    pub(crate) async fn lock_database(
        &self,
        view: &QuayView,
        identity: &DatabaseIdentity,
    ) -> Option<LockedBy> {
        let application = database::application(&self.config.cluster, &self.config.node);
        let database = &self.surroundings.database;
        database.lock(&view.settings, &view.mounts, &application, identity).await
    }
}

impl<E: Engine> Node<E> {
    /// Free bytes where the engine keeps its data, which it writes as root.
    pub(crate) fn free_bytes_engine(&self) -> Option<u64> {
        disk::free_bytes_of_root(self.engine.data_root()?)
    }
}

/// Whether a mount's source is this path, however it is written: an engine
/// keeps the source as its owner wrote it, through any symlink.
fn is_place(source: &str, path: &Path) -> bool {
    let source = Path::new(source);
    source == path || source.canonicalize().is_ok_and(|real| real == path)
}

/// Values of variables whose names say that they are secrets, and passwords in
/// addresses: a proxy's is in a variable whose name says nothing.
fn secret_values(spec: &ContainerSpec) -> Vec<Secret> {
    const WORDS: [&str; 5] = ["SECRET", "PASS", "TOKEN", "KEY", "CREDENTIAL"];
    let is_secret = |name: &str| {
        let name = name.to_uppercase();
        WORDS.iter().any(|word| name.contains(word))
    };
    let mut secrets = Vec::new();
    for (name, value) in &spec.environment {
        let Some(value) = value else { continue };
        secrets.extend(passwords_in_address(value.expose()).into_iter().map(Secret::new));
        if is_secret(name) {
            secrets.push(value.clone());
        }
    }
    secrets
}

fn gone(id: &ContainerId) -> Refusal {
    Refusal::new(Reason::Drifted, format!("container {} is not on this node's engine", id.short()))
        .with_remedy("plan again")
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests lay files out on a disk of their own")]
mod tests {
    use super::*;
    use crate::engine::fake::{container_id, image_id, spec};
    use crate::looks::rig::node;

    #[tokio::test]
    async fn a_quay_that_mounts_the_config_through_a_symlink_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let node = node(&directory);
        std::fs::write(directory.path().join("config.yaml"), "A: 1\n").unwrap();
        let links = tempfile::tempdir().unwrap();
        let link = links.path().join("quay-config");
        std::os::unix::fs::symlink(directory.path(), &link).unwrap();
        let source = link.display().to_string();
        let id = node.engine.run(5, "other", spec(image_id(1), &[(&source, "/conf/stack")]));
        let found = node.containers_of(Component::Quay).await.unwrap();
        assert_eq!(found.iter().map(|listed| &listed.id).collect::<Vec<_>>(), [&id]);
        node.refuse_mounted_file().await.unwrap();
        let source = link.join("config.yaml").display().to_string();
        node.engine.run(6, "another", spec(image_id(1), &[(&source, "/conf/stack/config.yaml")]));
        node.refuse_mounted_file().await.unwrap_err();
    }

    #[tokio::test]
    async fn a_config_at_which_something_is_mounted_cannot_be_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let node = node(&directory);
        // Of what is mounted on any host, the one that is always there.
        std::os::unix::fs::symlink("/proc", directory.path().join("config.yaml")).unwrap();
        let refusal = node.refuse_mounted_file().await.unwrap_err();
        assert!(refusal.message.contains("mounted right at `/proc`"), "{refusal}");
    }

    #[tokio::test]
    async fn in_the_dark_the_newest_staged_container_shows_what_will_be_read() {
        let directory = tempfile::tempdir().unwrap();
        let node = node(&directory);
        let source = directory.path().display().to_string();
        let mut staged = spec(image_id(1), &[(&source, "/conf/stack")]);
        node.engine.run(1, "quay.old", staged.clone());
        staged.labels =
            [(names::CLUSTER, "prod"), (names::NODE, "quay-1"), (names::COMPONENT, "quay")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into();
        node.engine.run(2, "quay.before", staged.clone());
        node.engine.run(3, "quay.next", staged.clone());
        assert_eq!(node.viewpoint(None).await.unwrap(), Some(container_id(3).to_string()));
        node.engine.run(4, "quay", staged);
        assert_eq!(node.viewpoint(None).await.unwrap(), Some(container_id(4).to_string()));
    }

    #[tokio::test]
    async fn a_password_in_an_address_of_the_environment_is_a_secret() {
        let directory = tempfile::tempdir().unwrap();
        let node = node(&directory);
        std::fs::write(directory.path().join("config.yaml"), "A: 1\n").unwrap();
        let mut quay = spec(image_id(1), &[]);
        quay.environment = [
            ("HTTP_PROXY", "http://proxy:p%40ss@10.0.0.1:3128"),
            ("QUAY_TOKEN", "t0ken"),
            ("NO_PROXY", "localhost"),
        ]
        .map(|(name, value)| (name.to_owned(), Some(Secret::new(value))))
        .into();
        node.engine.run(1, "quay", quay);
        let secrets = node.quay_view(None).await.unwrap().secrets();
        let secrets: Vec<&str> = secrets.iter().map(Secret::expose).collect();
        assert_eq!(secrets, ["p%40ss", "p@ss", "t0ken"]);
    }
}
