//! agent.yaml: as typed, then as meant.
//!
//! All mistakes of a file are told at once, each with the path of its key.
//! Nothing here looks at the disk: paths are only made absolute.

mod mistakes;
mod section;
mod words;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use quaymaster_proto::telemetry::Collector;
use quaymaster_proto::{ClusterName, Component, NodeName};

pub use self::mistakes::{ConfigError, Mistake, Problem};
use self::section::Section;
pub use self::words::{EngineSocket, InvalidWord, Probe, ProbeAddress, Repository};
pub use crate::backup::{BackupConfig, DumpProgram};
use crate::jobs::patience::Patience;

/// The only version of agent.yaml so far.
const VERSION: u64 = 1;

/// What an agent is to do, out of agent.yaml.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AgentConfig {
    /// The cluster that the node belongs to.
    pub cluster: ClusterName,
    /// The node.
    pub node: NodeName,
    /// Where the agent listens.
    pub listen: SocketAddr,
    /// Its certificate and whom it trusts.
    pub tls: TlsFiles,
    /// The container engine.
    pub engine: EngineSocket,
    /// Where the agent keeps its ledger.
    pub state: PathBuf,
    /// Where logins are, and how long registries are waited for.
    pub registries: RegistriesConfig,
    /// `None` = this agent is not to back up.
    pub backup: Option<BackupConfig>,
    /// The closed set of what the agent may touch. Quay is always in it.
    pub components: BTreeMap<Component, ComponentConfig>,
    /// Quay's config.yaml on the host.
    pub quay_config: PathBuf,
    /// `telemetry.otlp`: where traces go, such as `http://10.0.0.5:4317` (OTLP
    /// over gRPC; `https` with a certificate of `tls.ca`). `None` = nowhere:
    /// no connection, no thread.
    pub otlp: Option<Collector>,
}

/// PEM files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsFiles {
    /// Whose certificates are trusted.
    pub ca: PathBuf,
    /// The agent's own, with its chain.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// How images are pulled.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RegistriesConfig {
    /// A Docker config.json with the registries' logins.
    pub credentials: Option<PathBuf>,
    /// When a pull is tried again, and when it is given up.
    pub patience: Patience,
}

/// One component's container.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ComponentConfig {
    /// Its well-known name.
    pub container: String,
    /// Where its images may come from. Never empty.
    pub repositories: Vec<Repository>,
    /// Where its health is asked; only Quay's can be set.
    pub probe: Probe,
}

impl ComponentConfig {
    /// Whether an image of this repository may become this component.
    pub fn allows(&self, repository: &str) -> bool {
        self.repositories.iter().any(|allowed| allowed.as_str() == repository)
    }
}

impl AgentConfig {
    /// Reads the text of an agent.yaml. `base` is the directory of that file:
    /// relative paths start there.
    pub fn parse(yaml: &str, base: &Path) -> Result<Self, ConfigError> {
        let (mut file, mistakes) = section::open(yaml)?;
        let config = Self::read(&mut file, base);
        file.close();
        // Everything is there, or something was found missing on the way.
        match (config, mistakes.take()) {
            (Some(config), mistakes) if mistakes.is_empty() => Ok(config),
            (_, mistakes) => Err(ConfigError::Mistakes(mistakes)),
        }
    }

    /// Reads every part before it gives up, so that every mistake is found.
    fn read(file: &mut Section, base: &Path) -> Option<Self> {
        let version = file.number("version");
        if let Some(version) = version
            && version != VERSION
        {
            file.mistake("version", Problem::Version { found: version });
        }
        let cluster = file.word("cluster");
        let node = file.word("node");
        let listen = file.parsed("listen", words::listen);
        let tls = read_tls(file, base);
        let engine = file.word("engine");
        let state = file.path("state", base);
        let registries = read_registries(file, base);
        let components = read_components(file, base);
        let quay_config = components.as_ref().map(|(_, config)| config.as_path());
        let backup = read_backup(file, quay_config);
        let otlp = file.optional_section("telemetry").and_then(|mut part| {
            let otlp = part.optional_word("otlp");
            part.close();
            otlp
        });
        let (components, quay_config) = components?;
        Some(Self {
            cluster: cluster?,
            node: node?,
            listen: listen?,
            tls: tls?,
            engine: engine?,
            state: state?,
            registries,
            backup,
            components,
            quay_config,
            otlp,
        })
    }
}

fn read_tls(file: &mut Section, base: &Path) -> Option<TlsFiles> {
    let mut part = file.section("tls")?;
    let ca = part.path("ca", base);
    let certificate = part.path("certificate", base);
    let key = part.path("key", base);
    part.close();
    Some(TlsFiles { ca: ca?, certificate: certificate?, key: key? })
}

fn read_registries(file: &mut Section, base: &Path) -> RegistriesConfig {
    let Some(mut part) = file.optional_section("registries") else {
        return RegistriesConfig::default();
    };
    let usual = Patience::default();
    let credentials = part.optional_path("credentials", base);
    let attempts = part.optional_number("attempts", words::attempts);
    let stalled_after = part.optional_parsed("stalled_after", words::stalled_after);
    part.close();
    let patience = Patience {
        attempts: attempts.unwrap_or(usual.attempts),
        stalled_after: stalled_after.unwrap_or(usual.stalled_after),
    };
    RegistriesConfig { credentials, patience }
}

/// Where backups go: where no container sees them, and never by chance beside
/// this file.
fn read_backup(file: &mut Section, quay_config: Option<&Path>) -> Option<BackupConfig> {
    let mut part = file.optional_section("backup")?;
    let directory = part.parsed("directory", |text| words::backup_directory(text, quay_config));
    let pg_dump = part.optional_parsed("pg_dump", words::pg_dump).unwrap_or_default();
    let mysqldump = part.optional_parsed("mysqldump", words::mysqldump).unwrap_or_default();
    let storage_hook = part.optional_parsed("storage_hook", words::storage_hook);
    part.close();
    Some(BackupConfig { directory: directory?, pg_dump, mysqldump, storage_hook })
}

/// The components, and where config.yaml is.
fn read_components(
    file: &mut Section,
    base: &Path,
) -> Option<(BTreeMap<Component, ComponentConfig>, PathBuf)> {
    let mut part = file.section("components")?;
    let quay = part.section("quay").and_then(|mut entry| {
        let component = read_component(&mut entry);
        let config = entry.path("config", base);
        let probe = entry.optional_word("probe");
        entry.close();
        let component = ComponentConfig { probe: probe.unwrap_or(Probe::Auto), ..component? };
        Some((component, config?))
    });
    let mut components = BTreeMap::new();
    for component in [Component::Clair, Component::Builder, Component::Mirror] {
        if let Some(mut entry) = part.optional_section(component.as_str()) {
            components.extend(read_component(&mut entry).map(|config| (component, config)));
            entry.close();
        }
    }
    let (quay, config) = quay.unzip();
    components.extend(quay.map(|quay| (Component::Quay, quay)));
    refuse_shared_names(&part, &components);
    part.close();
    Some((components, config?))
}

fn read_component(entry: &mut Section) -> Option<ComponentConfig> {
    let container = entry.parsed("container", words::container_name);
    let repositories = entry.words("repositories");
    Some(ComponentConfig { container: container?, repositories: repositories?, probe: Probe::Auto })
}

/// Two components cannot be one container.
fn refuse_shared_names(part: &Section, components: &BTreeMap<Component, ComponentConfig>) {
    let mut seen: Vec<&str> = Vec::new();
    for (component, config) in components {
        if seen.contains(&config.container.as_str()) {
            let problem = Problem::SharedContainer { name: config.container.clone() };
            part.mistake(&format!("{component}.container"), problem);
        }
        seen.push(&config.container);
    }
}

#[cfg(test)]
mod tests;
