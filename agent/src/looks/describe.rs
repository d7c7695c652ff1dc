//! Everything that a plan needs to know of this node, asked all at once.
//!
//! Values of settings and of the environment stay here: names and keyed
//! digests leave.
#![expect(clippy::disallowed_methods, reason = "an effect room: it reads files")]

use std::collections::BTreeMap;
use std::path::Path;

use futures::future::{join_all, try_join_all};
use quaymaster_proto::node::{
    ComponentFacts, ConfigFacts, ContainerFacts, NodeFacts, OtherStarter, ReadableConfig,
};
use quaymaster_proto::{Component, ContainerStatus, Floor, Mode, Refusal, RestartPolicy};

use crate::config::ComponentConfig;
use crate::config_file::ConfigFile;
use crate::disk;
use crate::engine::{Container, Engine, FullContainer};
use crate::node::Node;
use crate::quay::settings::{Settings, SurveyKey, keyed_digest, override_mode};
use crate::secret::Secret;
use crate::starters::{self, Starter, Who};

/// Files beside config.yaml that must be alike on every node: Quay's TLS
/// identity and what it trusts (quay-facts 2.2).
const TLS_SUFFIXES: [&str; 4] = [".cert", ".key", ".crt", ".pem"];

/// No TLS file comes near this, in bytes.
const LONGEST_TLS_FILE: u64 = 1024 * 1024;

/// Labels by which others say that a container is theirs to start, and the
/// command that makes them let go.
const STARTERS: [(&str, &str, &str); 2] = [
    ("PODMAN_SYSTEMD_UNIT", "systemd unit", "systemctl disable --now {}"),
    ("com.docker.swarm.service.name", "swarm service", "docker service rm {}"),
];

/// The same of a compose project, and the command that ends one of its
/// services. podman-compose sets docker's labels too.
const COMPOSED: [(&str, &str); 2] = [
    ("io.podman.compose.project", "podman-compose --project-name {} down"),
    ("com.docker.compose.project", "docker compose --project-name {} rm --stop"),
];

/// Which of a project's services a container is.
const SERVICES: [&str; 2] = ["io.podman.compose.service", "com.docker.compose.service"];

/// A container that is nobody's but its engine's.
const ANEW: &str = "create the container anew with docker run --detach --restart always";

impl<E: Engine> Node<E> {
    /// This node, with its settings' digests keyed for one survey; without a
    /// key, without them.
    pub(crate) async fn describe(&self, key: Option<&SurveyKey>) -> Result<NodeFacts, Refusal> {
        let starters = self.starters.look();
        let components =
            self.config.components.iter().map(|(component, settings)| {
                self.describe_component(*component, settings, &starters)
            });
        let components = try_join_all(components);
        let engine = async { self.engine.facts().await.map_err(Refusal::from) };
        let (engine, components, over) =
            tokio::try_join!(engine, components, self.well_known_override())?;
        let (floor, floor_sightings, floor_problem) = self.describe_floor();
        // Two looks at the ledger in one expression would wait for each other.
        let ledger = self.ledger().head();
        let lease = self.lease();
        let backup = match &self.config.backup {
            Some(config) => Some(self.surroundings.dump.look(config).await),
            None => None,
        };
        let beside_config = self.config.quay_config.parent().unwrap_or_else(|| Path::new("/"));
        Ok(NodeFacts {
            cluster: self.config.cluster.clone(),
            node: self.config.node.clone(),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            now: self.surroundings.now(),
            certificate_not_after: self.certificate_end(),
            engine,
            components,
            config: self.describe_config(key, over.as_ref()),
            ledger,
            lease,
            floor,
            floor_sightings,
            floor_problem,
            backup,
            free_bytes_engine: self.free_bytes_engine(),
            free_bytes_config: disk::free_bytes(beside_config),
        })
    }

    /// A floor that is lost or that nobody can read is told, not taken for none.
    fn describe_floor(&self) -> (Option<Floor>, Vec<String>, String) {
        let mut sightings = self.fence.sightings();
        let mut problem = String::new();
        let floor = self.floor().unwrap_or_else(|error| {
            problem = quaymaster_proto::in_a_line(&error);
            sightings.push(format!("{problem}: no Quay is started here"));
            error.last_known()
        });
        sightings.extend(self.fence.blind().map(|why| format!("nobody watches now: {why}")));
        (floor, sightings, problem)
    }

    async fn describe_component(
        &self,
        component: Component,
        settings: &ComponentConfig,
        starters: &[Starter],
    ) -> Result<ComponentFacts, Refusal> {
        let listed = self.containers_of(component).await?;
        let looks = listed.iter().map(|listed| self.engine.full_container(listed.id.as_str()));
        let found = try_join_all(looks).await?;
        let found = found.into_iter().flatten();
        let facts = found.map(|found| self.describe_container(component, found, starters));
        let mut facts = join_all(facts).await;
        let named = facts.iter().position(|facts| facts.state.name == settings.container);
        let container = named.map(|index| facts.remove(index));
        Ok(ComponentFacts {
            component,
            container_name: settings.container.clone(),
            repositories: settings.repositories.iter().map(ToString::to_string).collect(),
            container,
            others: facts,
        })
    }

    async fn describe_container(
        &self,
        component: Component,
        found: FullContainer,
        starters: &[Starter],
    ) -> ContainerFacts {
        let effective_mode = self.mode_of(component, &found.container).await;
        let FullContainer {
            container,
            spec,
            image,
            image_reference,
            override_config,
            inspected: _,
        } = found;
        let override_mode = override_config.as_ref().and_then(|json| {
            // What cannot be read may say anything.
            override_mode(json.expose()).unwrap_or(Some(Mode::Other))
        });
        let owner_restart_policy = match container.state.restart_policy {
            RestartPolicy::No => self.ledger().owner_policy(&container.state.id),
            RestartPolicy::Always
            | RestartPolicy::UnlessStopped
            | RestartPolicy::OnFailure { .. } => None,
        };
        ContainerFacts {
            owner_restart_policy,
            other_starters: other_starters(&container, spec.auto_remove, starters),
            image_reference,
            image_tags: image.tags,
            image_digests: image.digests,
            spec: spec.digest(&self.spec_key),
            environment_names: spec.environment_names().map(ToOwned::to_owned).collect(),
            override_mode,
            has_override_config: override_config.is_some(),
            effective_mode,
            ports: container.ports,
            labels: container.labels,
            state: container.state,
        }
    }

    /// The mode that a running Quay shows.
    pub(crate) async fn mode_of(
        &self,
        component: Component,
        container: &Container,
    ) -> Option<Mode> {
        if !component.migrates() || container.state.status != ContainerStatus::Running {
            return None;
        }
        let mut targets = self.targets(component, Some(container))?;
        self.effective_mode(&mut targets).await
    }

    /// What the Quay with the well-known name lays over config.yaml.
    async fn well_known_override(&self) -> Result<Option<Secret>, Refusal> {
        let Some(settings) = self.config.components.get(&Component::Quay) else { return Ok(None) };
        let found = self.engine.full_container(settings.container.as_str()).await?;
        Ok(found.and_then(|found| found.override_config))
    }

    fn describe_config(&self, key: Option<&SurveyKey>, over: Option<&Secret>) -> ConfigFacts {
        let path = self.config.quay_config.display().to_string();
        let unusable = |problem: String| ConfigFacts::Unusable { path: path.clone(), problem };
        let file = match ConfigFile::read(&self.config.quay_config) {
            Ok(file) => file,
            Err(error) => return unusable(error.in_one_line()),
        };
        let settings = match Settings::read(&file.bytes) {
            Ok(settings) => settings,
            Err(error) => return unusable(quaymaster_proto::in_a_line(&error)),
        };
        let keyed_values = key.map(|key| keyed_values(&file, &settings, key)).unwrap_or_default();
        let mode = settings.mode();
        // What cannot be laid over leaves nothing proven.
        let setup_complete = match over {
            None => settings.setup_complete(),
            Some(json) => {
                settings.overridden_by(json.expose()).is_ok_and(|laid| laid.setup_complete())
            }
        };
        ConfigFacts::Readable(ReadableConfig {
            path,
            file_identity: file.identity(),
            size: file.bytes.len() as u64,
            sha256: file.digest,
            owner: file.owner,
            group: file.group,
            permissions: file.permissions,
            keyed_values,
            mode,
            setup_complete,
        })
    }
}

fn keyed_values(
    file: &ConfigFile,
    settings: &Settings,
    key: &SurveyKey,
) -> BTreeMap<String, String> {
    let digests = settings.keyed_digests(key).into_iter();
    let mut values: BTreeMap<String, String> =
        digests.map(|(name, digest)| (name, hex(&digest))).collect();
    values.extend(tls_files(file.directory(), key));
    values
}

/// Keyed digests of the TLS files beside config.yaml, as `file:<name>`.
fn tls_files(directory: &Path, key: &SurveyKey) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut digests = BTreeMap::new();
    for entry in entries {
        let file_name = entry.file_name();
        let Some(name) = file_name.to_str() else { continue };
        let is_tls = TLS_SUFFIXES.iter().any(|suffix| name.ends_with(suffix));
        let path = entry.path();
        let is_file = path.metadata().is_ok_and(|m| m.is_file() && m.len() <= LONGEST_TLS_FILE);
        if !is_tls || !is_file {
            continue;
        }
        let name = format!("file:{name}");
        // A file that cannot be read differs from any that can.
        let digest = match std::fs::read(&path) {
            Ok(bytes) => hex(&keyed_digest(key, &name, &bytes)),
            Err(_) => "unreadable".to_owned(),
        };
        digests.insert(name, digest);
    }
    digests
}

fn other_starters(
    container: &Container,
    auto_remove: bool,
    starters: &[Starter],
) -> Vec<OtherStarter> {
    let mut all = owners(&container.labels, auto_remove);
    let who = Who { name: &container.state.name, id: container.state.id.as_str() };
    all.extend(starters::starters_of(starters, who));
    all
}

/// Who the container itself says starts or removes it.
fn owners(labels: &BTreeMap<String, String>, auto_remove: bool) -> Vec<OtherStarter> {
    let labelled = STARTERS.iter().filter_map(|(label, what, command)| {
        let name = labels.get(*label)?;
        Some(OtherStarter {
            what: format!("{what} `{name}`"),
            remedy: format!("{}; then {ANEW}", command.replace("{}", name)),
        })
    });
    let removed = auto_remove.then(|| OtherStarter {
        what: "`--rm`, by which the engine removes it when it ends".to_owned(),
        remedy: format!("{ANEW}, without --rm"),
    });
    composed(labels).into_iter().chain(labelled).chain(removed).collect()
}

/// Its compose project. The other services, a database's among them, stay.
fn composed(labels: &BTreeMap<String, String>) -> Option<OtherStarter> {
    let of_project = |&(label, command)| Some((labels.get(label)?, command));
    let (project, command): (&String, &str) = COMPOSED.iter().find_map(of_project)?;
    let end = match SERVICES.iter().find_map(|label| labels.get(*label)) {
        Some(service) => format!("{} {service}", command.replace("{}", project)),
        None => "take the service out of the compose file".to_owned(),
    };
    Some(OtherStarter {
        what: format!("compose project `{project}`"),
        remedy: format!("{end}; then {ANEW}"),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use quaymaster_proto::node::ConfigFacts;

    use super::*;
    use crate::engine::fake::{image_id, spec};
    use crate::looks::rig::node;
    use crate::quay::settings::OVERRIDE_VARIABLE;

    #[tokio::test]
    async fn an_override_that_would_undo_the_setup_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let node = node(&directory);
        std::fs::write(directory.path().join("config.yaml"), "SETUP_COMPLETE: true\n").unwrap();
        let mut quay = spec(image_id(1), &[]);
        for (json, complete) in [
            (None, true),
            (Some("{\"SETUP_COMPLETE\": \"true\"}"), false),
            (Some("{}"), true),
            (Some("{"), false),
        ] {
            let json = json.map(|json| (OVERRIDE_VARIABLE.to_owned(), Some(Secret::new(json))));
            quay.environment = json.into_iter().collect();
            node.engine.run(1, "quay", quay.clone());
            match node.describe(None).await.unwrap().config {
                ConfigFacts::Readable(config) => assert_eq!(config.setup_complete, complete),
                ConfigFacts::Unusable { problem, .. } => panic!("{problem}"),
            }
        }
    }

    #[test]
    fn whoever_else_starts_a_container_is_named() {
        let told = |labels: &[(&str, &str)]| {
            let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            let [compose] = owners(&labels.collect(), false).try_into().unwrap();
            assert_eq!(compose.what, "compose project `registry`");
            compose.remedy
        };
        let project = ("com.docker.compose.project", "registry");
        let service = ("com.docker.compose.service", "quay");
        let podman = ("io.podman.compose.project", "registry");
        // Without a service it would take the database too.
        let end = "docker compose --project-name registry rm --stop quay; then ";
        assert!(told(&[project, service, ("maintainer", "x")]).starts_with(end));
        let end = "podman-compose --project-name registry down quay; then ";
        assert!(told(&[project, service, podman]).starts_with(end));
        assert!(told(&[project]).starts_with("take the service out of the compose file; then "));
        let [removed] = owners(&BTreeMap::new(), true).try_into().unwrap();
        assert!(removed.remedy.ends_with(", without --rm"), "{}", removed.remedy);
        assert!(owners(&BTreeMap::new(), false).is_empty());
    }

    #[tokio::test]
    async fn a_unit_of_the_host_that_starts_a_container_is_told_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let node = node(&directory);
        std::fs::write(directory.path().join("config.yaml"), "SETUP_COMPLETE: true\n").unwrap();
        node.engine.run(1, "quay", spec(image_id(1), &[]));
        node.engine.run(2, "clair", spec(image_id(2), &[]));
        let starters = async || {
            let components = node.describe(None).await.unwrap().components;
            let containers = components.into_iter().filter_map(|component| component.container);
            let named = containers.map(|found| (found.state.name, found.other_starters));
            named.collect::<BTreeMap<_, _>>()
        };
        assert!(starters().await.values().all(Vec::is_empty));
        let units = directory.path().join("host/etc/systemd/system");
        std::fs::create_dir_all(&units).unwrap();
        let text = "[Service]\nExecStart=/usr/bin/docker start -a quay\n";
        std::fs::write(units.join("quay.service"), text).unwrap();
        let found = starters().await;
        assert!(found["clair"].is_empty());
        assert_eq!(found["quay"].len(), 1);
        assert!(found["quay"][0].what.starts_with("systemd unit `quay.service`"));
        // Whoever follows the remedy is believed at once.
        std::fs::remove_file(units.join("quay.service")).unwrap();
        assert!(starters().await.values().all(Vec::is_empty));
    }
}
