//! A node as its agent describes it: what a survey collects. No secret is in
//! here: settings are compared by keyed digests.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::backup::BackupFacts;
use crate::container::{ContainerState, RestartPolicy};
use crate::floor::Floor;
use crate::id::{Epoch, FileDigest, PlanDigest, RunId, SpecDigest, StepNumber};
use crate::lease::Lease;
use crate::name::{ClusterName, NodeName};
use crate::words::{Component, Mode};

mod convert;

/// Everything that an agent says of its node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeFacts {
    /// As in agent.yaml.
    pub cluster: ClusterName,
    /// As in agent.yaml.
    pub node: NodeName,
    /// Of the agent's binary.
    pub agent_version: String,
    /// The node's clock.
    pub now: Timestamp,
    /// End of the agent's certificate.
    pub certificate_not_after: Timestamp,
    /// The container engine.
    pub engine: EngineFacts,
    /// One entry for each component in agent.yaml.
    pub components: Vec<ComponentFacts>,
    /// config.yaml.
    pub config: ConfigFacts,
    /// The last act accepted; `None` = never any.
    pub ledger: Option<LedgerHead>,
    /// Who drives it; `None` = nobody.
    pub lease: Option<Lease>,
    /// What may run on it; `None` = no floor was ever set.
    pub floor: Option<Floor>,
    /// Quays that stood against the floor since the agent began, and what it
    /// did about each, in words.
    pub floor_sightings: Vec<String>,
    /// Why the floor is not on its disk as it should be; empty = it is. It may
    /// be known all the same, yet no Quay is started there, and none stopped.
    #[serde(default)]
    pub floor_problem: String,
    /// `None` = it is not to back up.
    #[serde(default)]
    pub backup: Option<BackupFacts>,
    /// Free bytes on the engine's data root, where the agent can see it.
    pub free_bytes_engine: Option<u64>,
    /// Free bytes beside config.yaml.
    pub free_bytes_config: Option<u64>,
}

impl NodeFacts {
    /// The facts of one component, where the node has it.
    pub fn component(&self, component: Component) -> Option<&ComponentFacts> {
        self.components.iter().find(|facts| facts.component == component)
    }
}

/// A container engine.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineFacts {
    /// The engine's own id: another one behind the same socket is drift.
    pub id: String,
    /// "Docker", "Podman".
    pub name: String,
    /// As the engine says it.
    pub version: String,
    /// The newest API it speaks, such as 1.41.
    pub api_version: String,
}

/// The last act that an agent accepted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerHead {
    /// Its run.
    pub run: RunId,
    /// Its epoch.
    pub epoch: Epoch,
    /// Its step.
    pub step: StepNumber,
    /// Its plan.
    pub plan: PlanDigest,
}

/// One component of a node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComponentFacts {
    /// Which.
    pub component: Component,
    /// The well-known name in agent.yaml.
    pub container_name: String,
    /// Repositories that agent.yaml allows.
    pub repositories: Vec<String>,
    /// The container that has the well-known name.
    pub container: Option<ContainerFacts>,
    /// Every other container that is this component's: staged, retired, or
    /// mounting the same config.
    pub others: Vec<ContainerFacts>,
}

impl ComponentFacts {
    /// Every container of this component, the well-known one first.
    pub fn containers(&self) -> impl Iterator<Item = &ContainerFacts> {
        self.container.iter().chain(&self.others)
    }
}

/// One container, without its environment's values.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContainerFacts {
    /// Where it stands.
    pub state: ContainerState,
    /// What it was created from, as its creator wrote it.
    pub image_reference: String,
    /// `repository:tag` names that its image has on this engine.
    pub image_tags: Vec<String>,
    /// `repository@sha256:…` names that its image has on this engine.
    pub image_digests: Vec<String>,
    /// Of the part of its spec that is its owner's.
    pub spec: SpecDigest,
    /// Its published ports.
    pub ports: Vec<PublishedPort>,
    /// Names only.
    pub environment_names: Vec<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// `V3_UPGRADE_MODE` inside `QUAY_OVERRIDE_CONFIG`, where set there.
    pub override_mode: Option<Mode>,
    /// Whether `QUAY_OVERRIDE_CONFIG` is set at all.
    pub has_override_config: bool,
    /// The mode that the running Quay itself shows, where it can be asked.
    pub effective_mode: Option<Mode>,
    /// Who else would start or remove it; empty when nobody.
    pub other_starters: Vec<OtherStarter>,
    /// The restart policy that its owner gave it, where its agent has since
    /// set it to `no`.
    pub owner_restart_policy: Option<RestartPolicy>,
}

impl ContainerFacts {
    /// The restart policy that its successor should have.
    pub fn wanted_restart_policy(&self) -> RestartPolicy {
        self.owner_restart_policy.unwrap_or(self.state.restart_policy)
    }
}

/// Somebody beside the engine's policy who would start or remove a container.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtherStarter {
    /// Who, and how it stands.
    pub what: String,
    /// The command that ends it.
    pub remedy: String,
}

/// One port that an engine publishes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedPort {
    /// Inside the container.
    pub container_port: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// On the host; empty = every address.
    pub host_address: String,
    /// On the host; 0 = the engine's choice.
    pub host_port: u16,
}

/// config.yaml as it lies on the node's disk.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConfigFacts {
    /// It can be read and parsed.
    Readable(ReadableConfig),
    /// It cannot be used.
    Unusable {
        /// On the host.
        path: String,
        /// Why.
        problem: String,
    },
}

/// A config.yaml that can be read and parsed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadableConfig {
    /// On the host.
    pub path: String,
    /// Of its bytes.
    pub sha256: FileDigest,
    /// In bytes.
    pub size: u64,
    /// User id.
    pub owner: u32,
    /// Group id.
    pub group: u32,
    /// Permission bits.
    pub permissions: u32,
    /// Of the file behind any symlink: the same on two nodes exactly if they
    /// share it.
    pub file_identity: String,
    /// Keyed digest (hex) of each upper-case top-level key's value, and of
    /// each TLS file beside it as `file:NAME`.
    pub keyed_values: BTreeMap<String, String>,
    /// `V3_UPGRADE_MODE` in the file.
    pub mode: Mode,
    /// `SETUP_COMPLETE` is literally true (quay-facts 2.3).
    pub setup_complete: bool,
}
