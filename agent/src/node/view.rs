//! What a Quay on this node reads: config.yaml with its container's override,
//! and through it the database.

use jiff::Timestamp;
use quaymaster_proto::database::{DatabaseIdentity, DatabaseLook};
use quaymaster_proto::{Component, ContainerId, FileDigest, Reason, Refusal};
use tracing::Instrument as _;

use super::Node;
use crate::config_file::ConfigFile;
use crate::container::ContainerSpec;
use crate::engine::{Engine, Mount};
use crate::quay::database::{self, Asked};
use crate::quay::settings::{Settings, SettingsError, passwords_in_address};
use crate::secret::Secret;
use crate::surroundings::LockedBy;
use crate::telemetry;
use crate::worker::config::refused;

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
    /// config.yaml as it lies there now.
    pub(crate) fn read_config(&self) -> Result<ConfigFile, Refusal> {
        ConfigFile::read(&self.config.quay_config).map_err(refused)
    }

    /// What a Quay in this container would read; without an id, the one with
    /// the well-known name, or else the newest that this agent staged, or else
    /// any of this node.
    pub(crate) async fn quay_view(&self, id: Option<&ContainerId>) -> Result<QuayView, Refusal> {
        let file = self.read_config()?;
        let invalid = |error: SettingsError| {
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

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests lay files out on a disk of their own")]
mod tests {
    use super::*;
    use crate::engine::fake::{container_id, image_id, spec};
    use crate::looks::rig::node;
    use crate::worker::names;

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
