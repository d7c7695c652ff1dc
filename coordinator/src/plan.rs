//! A plan: one window of one cluster, decided in full before anything changes.
//!
//! Plans are built from facts, re-checked by someone who does not know how
//! they were built, written to a file that people read, and identified by
//! their digest. Nothing here is a secret.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use quaymaster_proto::database::DatabaseIdentity;
use quaymaster_proto::preview::SpecFinding;
use quaymaster_proto::{
    ClusterName, Component, ContainerId, FileDigest, Floor, ImageDigest, ImageId, Mode, NodeName,
    PlanDigest, PortMove, RestartPolicy, SpecDigest, StepNumber,
};
use serde::{Deserialize, Serialize};

use crate::preflight::{Code, Waiver};

mod backup;
pub mod build;
pub mod check;
pub mod companion;
pub mod drift;
pub mod file;
pub mod members;
mod outage;
pub mod request;
pub mod situation;
mod step;
mod steps;

pub use backup::{PlannedBackup, PlannedStorage};
pub use companion::{CompanionNext, CompanionPlan, Fate, PlannedCompanion};
pub use outage::{Advice, Basis, Forecast, ForecastBackfill, ForecastPart, PartOfOutage};
pub use step::{Gate, Inverse, Stage, Step, Verb, What, Width};

/// The version of the plan's format that this code writes and reads.
pub const PLAN_VERSION: u32 = 1;

/// One window of one cluster.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// `PLAN_VERSION`.
    pub version: u32,
    /// For which cluster.
    pub cluster: ClusterName,
    /// From what to what.
    pub window: Window,
    /// The database under it.
    pub database: PlannedDatabase,
    /// What leads back past the point of no return.
    pub backup: PlannedBackup,
    /// The Quay that will run.
    pub image: PlannedImage,
    /// What the release demands of published ports.
    pub port_moves: Vec<PortMove>,
    /// What becomes of the containers beside the Quays, by component; empty
    /// where the cluster has none.
    pub companions: BTreeMap<Component, CompanionPlan>,
    /// Every node of the cluster file, in its order.
    pub nodes: Vec<PlannedNode>,
    /// The node that migrates.
    pub first: NodeName,
    /// What is done, in order.
    pub steps: Vec<Step>,
    /// What takes it back, in order, as long as it can be taken back: of each
    /// step only what was begun.
    pub back: Vec<Step>,
    /// What leads back past the point of no return, by the backup: on a person's
    /// order alone. Empty where the backup is waived.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rollback: Vec<Step>,
    /// How long things may take.
    pub timings: PlannedTimings,
    /// What is expected.
    pub forecast: Forecast,
    /// Things to know that refuse nothing.
    pub warnings: Vec<PlannedWarning>,
    /// What was found and does not count, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waivers: Vec<Waiver>,
    /// When the facts were taken.
    pub surveyed_at: Timestamp,
    /// Whether every Quay of the cluster is a lab's.
    pub is_lab: bool,
}

impl Plan {
    /// The node of that name.
    pub fn node(&self, name: &NodeName) -> Option<&PlannedNode> {
        self.nodes.iter().find(|node| node.name == *name)
    }

    /// The step of that number.
    pub fn step(&self, number: StepNumber) -> Option<&Step> {
        let mut all = self.steps.iter().chain(&self.back).chain(&self.rollback);
        all.find(|step| step.number == number)
    }

    /// The steps of the way that a step belongs to.
    pub fn way_of(&self, step: &Step) -> &[Step] {
        match step.stage {
            Stage::Serving | Stage::Dark | Stage::Beyond => &self.steps,
            Stage::Back => &self.back,
            Stage::Rollback => &self.rollback,
        }
    }

    /// The last step of a rollback that nobody may miss: behind it the database
    /// is again what the window found, and one node holds up no other.
    pub fn restored_at(&self) -> Option<StepNumber> {
        let mut dark = self.rollback.iter().filter(|step| step.what == What::Gate(Gate::Dark));
        dark.next_back().map(|step| step.number)
    }

    /// The step whose intent is the point of no return.
    pub fn point_of_no_return(&self) -> Option<StepNumber> {
        self.steps
            .iter()
            .find(|step| step.what == What::Act(Verb::StartMigrating))
            .map(|step| step.number)
    }

    /// The first step of a kind for the Quays.
    pub fn first_step(&self, what: What) -> Option<&Step> {
        self.step_of(Component::Quay, what)
    }

    /// The first step of a kind for a component.
    pub fn step_of(&self, component: Component, what: What) -> Option<&Step> {
        self.steps.iter().find(|step| step.component == component && step.what == what)
    }

    /// Where a component's next image comes from; `None` = it gets no next
    /// container in this window.
    pub fn image_of(&self, component: Component) -> Option<&PlannedImage> {
        match component {
            Component::Quay => Some(&self.image),
            Component::Clair | Component::Builder | Component::Mirror => {
                self.companions.get(&component)?.next.as_ref().map(|next| &next.image)
            }
        }
    }

    /// How long a component's container may take to stop, in seconds.
    pub fn stop_grace_seconds(&self, component: Component) -> u32 {
        let companion = self.companions.get(&component);
        companion.map_or(self.timings.stop_grace_seconds, |plan| plan.stop_grace_seconds)
    }
}

/// A plan that passed every check, with its digest. The runner accepts nothing
/// else; `plan::check` is its only maker.
#[derive(Clone, PartialEq, Debug)]
pub struct CheckedPlan {
    pub(in crate::plan) plan: Plan,
    pub(in crate::plan) digest: PlanDigest,
}

impl CheckedPlan {
    /// What was checked.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What identifies it.
    pub fn digest(&self) -> &PlanDigest {
        &self.digest
    }
}

/// One trip of the whole cluster through the dark.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// 1 is the first of its hop.
    pub number: u32,
    /// 1 for synchronous, 2 for background.
    pub of: u32,
    /// What was found.
    pub from: ReleaseInMode,
    /// What is wanted.
    pub to: ReleaseInMode,
}

/// A release of Quay in a mode.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseInMode {
    /// As in the catalogue, such as `3.0.5`.
    pub release: String,
    /// The mode in effect.
    pub mode: Mode,
}

impl std::fmt::Display for ReleaseInMode {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { release, mode } = self;
        match mode {
            Mode::Absent => formatter.pad(release),
            Mode::Background | Mode::Complete | Mode::Other => {
                write!(formatter, "{release} in {mode}")
            }
        }
    }
}

/// The database that every node must reach.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedDatabase {
    /// Which.
    pub identity: DatabaseIdentity,
    /// host:port/name, for people.
    pub shown_as: String,
    /// `postgresql` or `sqlite`.
    pub kind: String,
    /// What the survey read.
    pub revision: String,
    /// From which the migration may start.
    pub accepted: Vec<String>,
    /// At which it must arrive.
    pub target: String,
    /// Where a migration that failed may be started again, beside where it may
    /// start at all: what follows there moves data and can be repeated
    /// (quay-facts 10.2).
    pub resumable: Vec<String>,
}

/// Where the next Quay comes from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlannedImage {
    /// From a registry.
    Pull {
        /// Where the agents pull from, mirrors applied, without tag.
        repository: String,
        /// The tag that the digest was resolved from.
        tag: String,
        /// The manifest in the registry.
        digest: ImageDigest,
    },
    /// Not every node reaches a registry, and all have it under one name.
    Loaded {
        /// That name, with its tag.
        reference: String,
        /// The same on every node.
        image: ImageId,
    },
    /// It is what runs already: only the mode changes.
    Present {
        /// The same on every node.
        image: ImageId,
    },
}

/// One node as the plan saw it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedNode {
    /// Its name.
    pub name: NodeName,
    /// Its agent, host:port.
    pub address: String,
    /// Its engine's own id.
    pub engine: String,
    /// Its Quay container.
    pub quay: PlannedContainer,
    /// Its other containers, at most one of a component.
    pub companions: Vec<PlannedCompanion>,
    /// Its config.yaml.
    pub config: PlannedConfig,
    /// What may run on it; `None` = no floor was ever set.
    pub floor: Option<Floor>,
}

impl PlannedNode {
    /// Its container of a component.
    pub fn container(&self, component: Component) -> Option<&PlannedContainer> {
        match component {
            Component::Quay => Some(&self.quay),
            Component::Clair | Component::Builder | Component::Mirror => {
                self.companion(component).map(|companion| &companion.container)
            }
        }
    }

    /// Its companion of a component.
    pub fn companion(&self, component: Component) -> Option<&PlannedCompanion> {
        self.companions.iter().find(|companion| companion.container.component == component)
    }
}

/// The container that runs now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedContainer {
    /// Which component.
    pub component: Component,
    /// Its id.
    pub container: ContainerId,
    /// Its well-known name.
    pub name: String,
    /// Its owner's part of its spec.
    pub spec: SpecDigest,
    /// What it runs.
    pub image: ImageId,
    /// The mode it runs in.
    pub mode: Mode,
    /// Given to its successor after that one's health.
    pub restart_policy: RestartPolicy,
    /// What becomes of its spec where that is not simply carried over.
    pub findings: Vec<SpecFinding>,
}

/// The edit of one config.yaml.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedConfig {
    /// On the node.
    pub path: String,
    /// The file now.
    pub from: FileDigest,
    /// The file then.
    pub to: FileDigest,
    /// 1-based.
    pub line: u32,
    /// Added rather than changed.
    pub inserted: bool,
    /// Who edits it: this node, or another one that shares the file.
    pub writer: NodeName,
}

/// A finding of preflight that refuses nothing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedWarning {
    /// What kind of finding it is.
    pub code: Code,
    /// What is so, and where.
    pub words: String,
    /// What to do about it, in one line.
    pub remedy: String,
}

/// How long things may take in this window.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedTimings {
    /// Between the request to end and the kill, in whole seconds.
    pub stop_grace_seconds: u32,
    /// How long the first node may take; then the run holds.
    #[serde(with = "crate::duration_text")]
    pub first_node_limit: Duration,
    /// How long health must last at the gates.
    #[serde(with = "crate::duration_text")]
    pub healthy_for: Duration,
    /// The backfill gate's.
    pub backfill: PlannedBackfill,
    /// Application names or addresses that may stay connected in the dark.
    pub expected_sessions: Vec<String>,
}

/// When the backfill is far enough.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedBackfill {
    /// A fraction, 0 to 1.
    pub threshold: f64,
    /// So many samples in a row.
    pub samples: u32,
    /// Between two samples.
    #[serde(with = "crate::duration_text")]
    pub poll: Duration,
}
