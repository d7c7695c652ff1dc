//! What speaks against a window before anything is changed: facts in, findings
//! out. Each check is one function beside the findings it can make; all of
//! them always run, so that an operator mends a cluster once.

use std::collections::BTreeMap;

use quaymaster_proto::NodeName;
use serde::Serialize;

use crate::plan::ReleaseInMode;
use crate::plan::situation::Situation;
use crate::survey::{ClusterFacts, Reader};

mod backup;
mod code;
mod companion;
mod config;
mod container;
mod database;
mod documented;
mod generation;
mod image;
mod node;
mod page;
mod storage;
mod verification;
pub mod waiver;

pub use backup::BackupFinding;
pub use code::{Code, UnknownCode, Waivable};
pub use companion::CompanionFinding;
pub use config::{ConfigFinding, DifferingKey};
pub use container::ContainerFinding;
pub use database::DatabaseFinding;
pub use documented::DocumentedFinding;
pub use generation::GenerationFinding;
pub use image::ImageFinding;
pub use node::NodeFinding;
pub use page::Page;
pub use storage::StorageFinding;
pub use verification::VerificationFinding;
pub use waiver::Waiver;

/// What the checks found.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Findings(Vec<Finding>);

impl Findings {
    /// What forbids the window.
    pub fn refusals(&self) -> impl Iterator<Item = &Finding> {
        self.0.iter().filter(|finding| finding.severity() == Severity::Refuses)
    }

    /// What an operator should know.
    pub fn warnings(&self) -> impl Iterator<Item = &Finding> {
        self.0.iter().filter(|finding| finding.severity() == Severity::Warns)
    }

    /// Whether nothing forbids the window.
    pub fn allow(&self) -> bool {
        self.refusals().next().is_none()
    }

    /// Everything, in the order of the checks.
    pub fn all(&self) -> &[Finding] {
        &self.0
    }

    /// These and those.
    #[must_use]
    pub fn and(mut self, more: Self) -> Self {
        self.0.extend(more.0);
        self
    }
}

/// Whether a finding forbids the window.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// No window while it lasts.
    Refuses,
    /// It is told, and nothing more.
    Warns,
}

impl std::fmt::Display for Severity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.pad(match self {
            Self::Refuses => "refuses",
            Self::Warns => "warns",
        })
    }
}

/// One thing that a check found: its words say what is so and where.
#[derive(Clone, PartialEq, Debug, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", tag = "about", content = "finding")]
pub enum Finding {
    /// An agent, its engine, its certificate, its clock.
    #[error(transparent)]
    Node(#[from] NodeFinding),
    /// What runs.
    #[error(transparent)]
    Generation(#[from] GenerationFinding),
    /// A container.
    #[error(transparent)]
    Container(#[from] ContainerFinding),
    /// A container beside a Quay.
    #[error(transparent)]
    Companion(#[from] CompanionFinding),
    /// config.yaml.
    #[error(transparent)]
    Config(#[from] ConfigFinding),
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseFinding),
    /// The next image.
    #[error(transparent)]
    Image(#[from] ImageFinding),
    /// What the documented command line gives a Quay.
    #[error(transparent)]
    Documented(#[from] DocumentedFinding),
    /// The backup.
    #[error(transparent)]
    Backup(#[from] BackupFinding),
    /// The storage, and what the backup does about it.
    #[error(transparent)]
    Storage(#[from] StorageFinding),
    /// The verification.
    #[error(transparent)]
    Verification(#[from] VerificationFinding),
}

impl Finding {
    /// What kind of finding it is.
    pub fn code(&self) -> Code {
        match self {
            Self::Node(finding) => finding.code(),
            Self::Generation(finding) => finding.code(),
            Self::Container(finding) => finding.code(),
            Self::Companion(finding) => finding.code(),
            Self::Config(finding) => finding.code(),
            Self::Database(finding) => finding.code(),
            Self::Image(finding) => finding.code(),
            Self::Documented(finding) => finding.code(),
            Self::Backup(finding) => finding.code(),
            Self::Storage(finding) => finding.code(),
            Self::Verification(finding) => finding.code(),
        }
    }

    /// Whether it forbids the window.
    pub fn severity(&self) -> Severity {
        self.code().severity()
    }

    /// Where, where it is one node's.
    pub fn node(&self) -> Option<&NodeName> {
        match self {
            Self::Node(finding) => finding.node(),
            Self::Generation(finding) => finding.node(),
            Self::Container(finding) => finding.node(),
            Self::Companion(finding) => finding.node(),
            Self::Config(finding) => finding.node(),
            Self::Database(finding) => finding.node(),
            Self::Image(finding) => finding.node(),
            Self::Documented(finding) => finding.node(),
            Self::Backup(finding) => finding.node(),
            Self::Storage(finding) => finding.node(),
            Self::Verification(finding) => finding.node(),
        }
    }

    /// What to do about it, in one line.
    pub fn remedy(&self) -> String {
        match self {
            Self::Node(finding) => finding.remedy(),
            Self::Generation(finding) => finding.remedy(),
            Self::Container(finding) => finding.remedy(),
            Self::Companion(finding) => finding.remedy(),
            Self::Config(finding) => finding.remedy(),
            Self::Database(finding) => finding.remedy(),
            Self::Image(finding) => finding.remedy(),
            Self::Documented(finding) => finding.remedy(),
            Self::Backup(finding) => finding.remedy(),
            Self::Storage(finding) => finding.remedy(),
            Self::Verification(finding) => finding.remedy(),
        }
    }
}

/// Checks that need no plan.
pub fn of_cluster(reader: Reader<'_>, facts: &ClusterFacts) -> Findings {
    let mut found: Vec<Finding> = Vec::new();
    for (name, survey) in &facts.nodes {
        found.extend(node::agent(facts, name, survey).map(Finding::from));
        found.extend(node::engine(name, survey).map(Finding::from));
        found.extend(generation::known(reader, facts, name, survey).map(Finding::from));
        found.extend(container::starters(name, survey).into_iter().map(Finding::from));
        found.extend(container::strays(name, survey).into_iter().map(Finding::from));
        found.extend(container::overrides(name, survey).into_iter().map(Finding::from));
        found.extend(companion::there(name, survey).into_iter().map(Finding::from));
        found.extend(companion::mirror(name, survey).map(Finding::from));
        found.extend(config::usable(name, survey).map(Finding::from));
        found.extend(config::setup_complete(name, survey).map(Finding::from));
        found.extend(config::as_it_runs(name, survey).map(Finding::from));
        found.extend(config::compared(name, survey).map(Finding::from));
        found.extend(database::readable(name, survey).map(Finding::from));
        found.extend(database::primary(name, survey).map(Finding::from));
    }
    found.extend(generation::mixed(reader, facts).map(Finding::from));
    found.extend(config::same(facts).map(Finding::from));
    found.extend(database::one(facts).map(Finding::from));
    found.extend(node::clocks(facts).map(Finding::from));
    Findings(found)
}

/// Checks of one window: where it starts, and what it would make of each node.
pub fn of_window(situation: &Situation<'_>) -> Findings {
    let mut found: Vec<Finding> = Vec::new();
    found.extend(database::revision(situation).map(Finding::from));
    found.extend(image::one_generation(situation).map(Finding::from));
    found.extend(companion::successors(situation).into_iter().map(Finding::from));
    found.extend(image::allowed(situation).into_iter().map(Finding::from));
    found.extend(image::available(situation).into_iter().map(Finding::from));
    found.extend(config::editable(situation).into_iter().map(Finding::from));
    found.extend(container::carried_over(situation).into_iter().map(Finding::from));
    found.extend(node::certificates(situation).into_iter().map(Finding::from));
    found.extend(node::poll(situation).map(Finding::from));
    found.extend(node::live_restore(situation).map(Finding::from));
    found.extend(node::upgrades(situation).into_iter().map(Finding::from));
    found.extend(node::room(situation).into_iter().map(Finding::from));
    found.extend(documented::run_line(situation).into_iter().map(Finding::from));
    found.extend(documented::ports(situation).into_iter().map(Finding::from));
    found.extend(config::testing(situation).into_iter().map(Finding::from));
    found.extend(config::tls(situation).into_iter().map(Finding::from));
    found.extend(config::percent(situation).map(Finding::from));
    found.extend(database::trigrams(situation).map(Finding::from));
    found.extend(database::rewritten(situation).map(Finding::from));
    found.extend(database::server(situation).map(Finding::from));
    found.extend(database::redis(situation).into_iter().map(Finding::from));
    found.extend(backup::possible(situation).into_iter().map(Finding::from));
    found.extend(storage::kept(situation).into_iter().map(Finding::from));
    found.extend(verification::ready(situation).map(Finding::from));
    Findings(found)
}

/// What every node runs, where all run the same and it is known.
pub fn common_generation(reader: Reader<'_>, facts: &ClusterFacts) -> Option<ReleaseInMode> {
    generation::common(reader, facts)
}

/// Nodes by what they have in common, the largest group first, of equal ones the first node's.
fn grouped<K: Ord>(pairs: impl IntoIterator<Item = (K, NodeName)>) -> Vec<(K, Vec<NodeName>)> {
    let mut groups: BTreeMap<K, Vec<NodeName>> = BTreeMap::new();
    for (key, node) in pairs {
        groups.entry(key).or_default().push(node);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, nodes)| (std::cmp::Reverse(nodes.len()), nodes.first().cloned()));
    groups
}

/// The first two numbers of a version.
fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.');
    let major = parts.next()?.parse().ok()?;
    let minor = parts.next()?.parse().ok()?;
    Some((major, minor))
}

/// `1.2 GB`
fn gigabytes(bytes: u64) -> String {
    let tenths = bytes.div_ceil(100_000_000);
    format!("{}.{} GB", tenths / 10, tenths % 10)
}

/// `quay-1, quay-2`
fn names(nodes: &[NodeName]) -> String {
    nodes.iter().map(NodeName::as_str).collect::<Vec<_>>().join(", ")
}

/// `quay-1, quay-2: this; quay-3: that`
fn groups_in_words<K: std::fmt::Display>(groups: &[(K, Vec<NodeName>)]) -> String {
    let group = |(key, nodes): &(K, Vec<NodeName>)| format!("{}: {key}", names(nodes));
    groups.iter().map(group).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests;
