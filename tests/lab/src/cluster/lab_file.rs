//! `lab.json`: everything that `up` has made outside of its directory, so that `down` can end
//! exactly that, and what `check` has to know.
#![expect(clippy::disallowed_methods, reason = "an effect room: the disk is its job")]

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use quaymaster_proto::Component;
use serde::{Deserialize, Serialize};

use super::process::ProcessId;

/// The version that a lab file carries. A reader refuses any other.
const VERSION: u32 = 1;

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabFile {
    pub version: u32,
    /// The lab's own name, `lab-<N>`; also the value of the label `quaymaster.lab`.
    pub lab: String,
    /// The cluster's name in cluster.yaml and in the certificates.
    pub cluster: String,
    /// `/proc/sys/kernel/random/boot_id`; the process ids below mean nothing after a reboot.
    pub boot_id: String,
    pub engine: EngineKind,
    pub database: DatabaseKind,
    pub tags: u32,
    pub nodes: Vec<LabNode>,
    /// The database as Quay's config.yaml names it; empty until it has been made.
    pub database_uri: String,
    /// `host:port` that the lab's images are pulled from; on Docker `down` removes every image of it.
    pub registry: String,
    pub processes: Vec<LabProcess>,
    pub containers: Vec<LabContainer>,
    /// The lab's own network on Docker, where it needs one.
    pub network: Option<LabNetwork>,
    /// Values that may appear in no log, journal, plan, error or report.
    pub secrets: Vec<Secret>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// One stand-in engine a node; needs neither Docker nor root.
    Standin,
    /// The machine's Docker Engine, shared by all nodes.
    Docker,
    /// One Docker Engine a node, in namespaces of its own, which can be restarted and cut off from
    /// power. Only from within a network namespace that was made for the lab.
    #[value(skip)]
    Private,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum DatabaseKind {
    /// One SQLite file that all nodes share.
    Sqlite,
    /// A PostgreSQL server of the lab's own.
    Postgres,
    /// A MariaDB server of the lab's own.
    Mariadb,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabNode {
    pub name: String,
    pub address: Ipv4Addr,
    pub agent_port: u16,
    pub http_port: u16,
    pub https_port: u16,
    /// The well-known name of the node's Quay container.
    pub container: String,
    /// What stands beside it.
    #[serde(default)]
    pub companions: Vec<LabCompanion>,
    pub engine_socket: PathBuf,
}

/// A container beside a node's Quay.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabCompanion {
    pub component: Component,
    /// Its well-known name.
    pub container: String,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabProcess {
    pub role: Role,
    /// `None` for what the whole lab has once.
    pub node: Option<String>,
    pub id: ProcessId,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Agent,
    Engine,
    Mariadb,
    Observer,
    Postgres,
    Registry,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabContainer {
    pub node: String,
    pub id: String,
}

/// The lab's own network on Docker.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabNetwork {
    pub id: String,
    /// The machine's address in it, which containers and host both reach.
    pub gateway: String,
    pub subnet: String,
}

/// A planted value and what it is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    pub name: String,
    pub value: String,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Secret").field("name", &self.name).finish_non_exhaustive()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum LabFileError {
    #[error("there is no lab in `{}`: it has no lab.json (`quaymaster-lab up --dir` makes one)", dir.display())]
    NoLab { dir: PathBuf },
    #[error("cannot read `{}`", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("`{}` is not a lab file", path.display())]
    Parse { path: PathBuf, source: serde_json::Error },
    #[error("`{}` has version {version}, not {VERSION}; use the quaymaster-lab that made it", path.display())]
    Version { path: PathBuf, version: u32 },
    #[error("cannot write `{}`", path.display())]
    Write { path: PathBuf, source: io::Error },
}

impl LabFile {
    pub fn current_version() -> u32 {
        VERSION
    }

    pub fn read(path: &Path) -> Result<Self, LabFileError> {
        let text = fs::read_to_string(path).map_err(|source| {
            if source.kind() == io::ErrorKind::NotFound {
                LabFileError::NoLab { dir: path.parent().unwrap_or(path).to_owned() }
            } else {
                LabFileError::Read { path: path.to_owned(), source }
            }
        })?;
        let file: Self = serde_json::from_str(&text)
            .map_err(|source| LabFileError::Parse { path: path.to_owned(), source })?;
        if file.version != VERSION {
            return Err(LabFileError::Version { path: path.to_owned(), version: file.version });
        }
        Ok(file)
    }

    /// Replaces the file in one step; it holds the planted secrets, so only its owner may read it.
    pub fn write(&self, path: &Path) -> Result<(), LabFileError> {
        let failed = |source| LabFileError::Write { path: path.to_owned(), source };
        let mut text = serde_json::to_string_pretty(self).map_err(|error| failed(error.into()))?;
        text.push('\n');
        let next = path.with_extension("json.next");
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&next)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .and_then(|()| fs::rename(&next, path))
            .map_err(failed)
    }

    pub fn node(&self, name: &str) -> Option<&LabNode> {
        self.nodes.iter().find(|node| node.name == name)
    }

    pub fn process(&self, role: Role, node: Option<&str>) -> Option<&LabProcess> {
        self.processes
            .iter()
            .find(|process| process.role == role && process.node.as_deref() == node)
    }
}

impl EngineKind {
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            Self::Standin => "a stand-in engine for each (no Docker, no root)",
            Self::Docker => "this machine's Docker Engine under all",
            Self::Private => "a Docker Engine of its own for each",
        }
    }
}

impl DatabaseKind {
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            Self::Sqlite => "one SQLite database",
            Self::Postgres => "one PostgreSQL database",
            Self::Mariadb => "one MariaDB database",
        }
    }
}

impl LabNode {
    pub fn agent(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.address, self.agent_port)
    }

    pub fn companion(&self, component: Component) -> Option<&LabCompanion> {
        self.companions.iter().find(|companion| companion.component == component)
    }

    /// Where the node's Quay is published over plain HTTP.
    pub fn http(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.address, self.http_port)
    }
}
