//! The cluster file: which nodes there are, how they are reached, and what
//! their operator wants of a run. Text in, values out: no disk is touched, and
//! every mistake of a file is told at once, by its path.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use quaymaster_proto::telemetry::Collector;
use quaymaster_proto::{ClusterName, Component, NodeName};

mod address;
mod backup;
mod fields;
mod mirrors;
mod mistake;
mod nodes;
mod timings;
mod verify;

pub use address::{InvalidAddress, NodeAddress};
pub use backup::StorageBackup;
pub use mirrors::Mirrors;
pub use mistake::{ClusterFileError, Mistake, Trouble};
pub use verify::{InvalidPublicName, PublicName, VerifySettings};

use fields::Fields;

/// Where a cluster file is looked for unless the command line says otherwise.
pub const DEFAULT_PATH: &str = "/etc/quaymaster/cluster.yaml";

/// The only version of the file there is.
const VERSION: u64 = 1;

/// A cluster as its operator describes it.
#[derive(Clone, PartialEq, Debug)]
pub struct Cluster {
    /// As in its certificates.
    pub name: ClusterName,
    /// Who the operator is.
    pub tls: TlsFiles,
    /// Where journal, plans and reports of this cluster lie.
    pub state: PathBuf,
    /// Every node, as listed; at least one.
    pub nodes: Vec<ListedNode>,
    /// The node that migrates; one of `nodes`.
    pub first: NodeName,
    /// The node that backs the database up; one of `nodes`.
    pub backup: NodeName,
    /// What it does about the storage; `None` = nothing.
    pub storage: Option<StorageBackup>,
    /// Where images come from at this site.
    pub mirrors: Mirrors,
    /// When Clair and the builders come back.
    pub auxiliaries: Auxiliaries,
    /// Application names and addresses that may stay connected to the database
    /// in the dark.
    pub expected_sessions: Vec<String>,
    /// How long things may take.
    pub timings: Timings,
    /// As whom and where a verification pushes and pulls.
    pub verify: VerifySettings,
    /// `telemetry.otlp`: where the traces of runs go, such as
    /// `http://10.0.0.5:4317` (OTLP over gRPC; `https` with a certificate of
    /// `tls.ca`). `None` = nowhere.
    pub otlp: Option<Collector>,
}

impl Cluster {
    /// Reads a cluster file that lies in the directory `base`.
    pub fn parse(text: &str, base: &Path) -> Result<Self, ClusterFileError> {
        let value =
            serde_yaml::from_str(text).map_err(|source| ClusterFileError::Yaml { source })?;
        let mut mistakes = Vec::new();
        let cluster = read(value, base, &mut mistakes);
        match cluster {
            Some(cluster) if mistakes.is_empty() => Ok(cluster),
            Some(_) | None => Err(ClusterFileError::Mistakes(mistakes)),
        }
    }

    /// The node of this name, where it is listed.
    pub fn node(&self, name: &NodeName) -> Option<&ListedNode> {
        self.nodes.iter().find(|node| node.name == *name)
    }

    /// Every node's name, as listed.
    pub fn names(&self) -> impl Iterator<Item = &NodeName> {
        self.nodes.iter().map(|node| &node.name)
    }
}

/// One node of the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedNode {
    /// Its name, as in its agent's certificate.
    pub name: NodeName,
    /// Where its agent listens.
    pub address: NodeAddress,
}

/// The operator's certificate and the authority behind everyone's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsFiles {
    /// The authority's certificate (PEM).
    pub ca: PathBuf,
    /// The operator's certificate (PEM).
    pub certificate: PathBuf,
    /// Its key (PEM).
    pub key: PathBuf,
}

/// When Clair and the builders come back in a background upgrade.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Auxiliaries {
    /// After the last window, as documented.
    Completion,
    /// After the first window.
    FirstWindow,
}

/// An operator's settings of time.
#[derive(Clone, PartialEq, Debug)]
pub struct Timings {
    /// From the request to stop until the engine kills, by component.
    pub stop_grace: BTreeMap<Component, StopGrace>,
    /// How long the first node may take before the run holds; 1 s or more. It
    /// is never killed.
    pub first_node_limit: Duration,
    /// How long a node must stay healthy; 0 s or more.
    pub healthy_for: Duration,
    /// When a backfill counts as done.
    pub backfill: BackfillTimings,
    /// How long to try to reach a node; 100 ms or more.
    pub connect: Duration,
}

impl Timings {
    /// The grace of a component.
    pub fn stop_grace(&self, component: Component) -> StopGrace {
        self.stop_grace.get(&component).copied().unwrap_or(StopGrace::Catalogue)
    }
}

/// A component's grace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StopGrace {
    /// What the release catalogue knows of the release that stops.
    Catalogue,
    /// What the operator says; 0 s to 3600 s, in whole seconds.
    Fixed(Duration),
}

/// When a backfill counts as done.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct BackfillTimings {
    /// The fraction that must be reached; 0 to 1.
    pub threshold: f64,
    /// How many samples in a row must show it; 1 or more.
    pub samples: u32,
    /// How often one node is asked; 100 ms or more. Each poll costs two
    /// full-table counts (quay-facts 1.1).
    pub poll: Duration,
}

/// `None` only after a mistake was noted.
fn read(value: serde_yaml::Value, base: &Path, mistakes: &mut Vec<Mistake>) -> Option<Cluster> {
    let mut file = Fields::root(value, mistakes)?;
    version(&mut file, mistakes);
    let name: Option<ClusterName> = file.parsed("cluster", mistakes);
    let tls = tls(&mut file, base, mistakes);
    let state = file.text_if_any("state", mistakes).map(|path| base.join(path));
    let nodes = nodes::read(&mut file, mistakes);
    let first = nodes::first(&mut file, nodes.as_deref(), mistakes);
    let (backup, storage) = backup::read(&mut file, nodes.as_deref(), mistakes);
    let mirrors = mirrors::read(&mut file, mistakes);
    let auxiliaries = auxiliaries(&mut file, mistakes);
    let expected_sessions = expected_sessions(&mut file, mistakes);
    let timings = timings::read(&mut file, mistakes);
    let verify = verify::read(&mut file, base, mistakes);
    let otlp = otlp(&mut file, mistakes);
    file.finish(mistakes);

    let name = name?;
    let state = state.unwrap_or_else(|| Path::new("/var/lib/quaymaster").join(name.as_str()));
    Some(Cluster {
        name,
        tls: tls?,
        state,
        nodes: nodes?,
        backup: backup.or_else(|| first.clone())?,
        storage,
        first: first?,
        mirrors,
        auxiliaries,
        expected_sessions,
        timings,
        verify,
        otlp,
    })
}

fn version(file: &mut Fields, mistakes: &mut Vec<Mistake>) {
    if let Some(found) = file.whole("version", mistakes)
        && found != VERSION
    {
        mistakes.push(Mistake::new(file.at("version"), Trouble::Version { found }));
    }
}

fn tls(file: &mut Fields, base: &Path, mistakes: &mut Vec<Mistake>) -> Option<TlsFiles> {
    let mut tls = file.section("tls", mistakes)?;
    let mut path = |key| tls.text(key, mistakes).map(|path| base.join(path));
    let (ca, certificate, key) = (path("ca"), path("certificate"), path("key"));
    tls.finish(mistakes);
    Some(TlsFiles { ca: ca?, certificate: certificate?, key: key? })
}

fn auxiliaries(file: &mut Fields, mistakes: &mut Vec<Mistake>) -> Auxiliaries {
    match file.text_if_any("auxiliaries", mistakes).as_deref() {
        None | Some("completion") => Auxiliaries::Completion,
        Some("first-window") => Auxiliaries::FirstWindow,
        Some(other) => {
            let trouble = Trouble::NoSuchWord {
                found: other.to_owned(),
                expected: "`completion` or `first-window`",
            };
            mistakes.push(Mistake::new(file.at("auxiliaries"), trouble));
            Auxiliaries::Completion
        }
    }
}

fn expected_sessions(file: &mut Fields, mistakes: &mut Vec<Mistake>) -> Vec<String> {
    let Some(mut database) = file.section_if_any("database", mistakes) else {
        return Vec::new();
    };
    let sessions = database.texts("expected_sessions", mistakes);
    database.finish(mistakes);
    sessions
}

fn otlp(file: &mut Fields, mistakes: &mut Vec<Mistake>) -> Option<Collector> {
    let mut telemetry = file.section_if_any("telemetry", mistakes)?;
    let otlp = telemetry.parsed_if_any("otlp", mistakes);
    telemetry.finish(mistakes);
    otlp
}

#[cfg(test)]
mod tests;
