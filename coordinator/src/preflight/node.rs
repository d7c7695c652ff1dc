//! The agent, its engine, its certificate and its clock.

use jiff::Timestamp;
use quaymaster_proto::footing::Footing;
use quaymaster_proto::node::ConfigFacts;
use quaymaster_proto::{Component, NodeName};
use serde::Serialize;

use super::{Code, gigabytes, names, numbers};
use crate::forecast::forecast;
use crate::plan::situation::{Situation, on_node};
use crate::survey::{ClusterFacts, NodeSurvey};

/// The engine API that has what a window needs (design: Docker 19.03).
const LEAST_API: (u32, u32) = (1, 40);

/// The first Podman that can change a restart policy.
const LEAST_PODMAN: (u32, u32) = (5, 1);

/// Registry tokens allow this much between nodes (quay-facts 7.2).
const SKEW_MILLIS: i64 = 30_000;

/// Below this a backfill's polls cost the database more than they tell.
const SHORT_POLL: std::time::Duration = std::time::Duration::from_secs(30);

/// The next one, a kept one, and as many for a way back.
const COPIES_OF_CONFIG: u64 = 4;

/// What file systems take beside a file's bytes.
const SLACK: u64 = 256 * 1024;

/// What is wrong with an agent, its engine, its certificate or its clock.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum NodeFinding {
    /// The agent's own file is another node's or cluster's.
    #[error("{node}: the agent there says that it is `{says_node}` of cluster `{says_cluster}`")]
    WrongAgent {
        /// The node that was asked.
        node: NodeName,
        /// `cluster` in its agent.yaml.
        says_cluster: String,
        /// `node` in its agent.yaml.
        says_node: String,
    },
    /// The engine lacks what a window does.
    #[error(
        "{node}: {engine} speaks API {api_version}; a window needs 1.40 (Docker 19.03) or newer"
    )]
    EngineTooOld {
        /// Whose.
        node: NodeName,
        /// Name and version.
        engine: String,
        /// The newest API it speaks.
        api_version: String,
    },
    /// The engine cannot change a restart policy.
    #[error("{node}: {engine} cannot change a container's restart policy; Podman 5.1 can")]
    PolicyFixed {
        /// Whose.
        node: NodeName,
        /// Name and version.
        engine: String,
    },
    /// A certificate might not last for the window.
    #[error(
        "{node}: the agent's certificate ends at {ends}, before twice the forecast ({needed_until})"
    )]
    CertificateEnds {
        /// Whose.
        node: NodeName,
        /// When.
        ends: Timestamp,
        /// When the window is over, were it twice as long as forecast.
        needed_until: Timestamp,
    },
    /// Clocks differ.
    #[error("the nodes' clocks differ by {:.1} s; registry tokens allow 30 s", *.millis as f64 / 1000.0)]
    ClockSkew {
        /// The widest difference.
        millis: i64,
    },
    /// A poll costs two full-table counts.
    #[error("the backfill is polled every {poll}; each poll counts two whole tables")]
    PollShort {
        /// As in the cluster file.
        poll: String,
    },
    /// An engine that takes its containers with it when it restarts.
    #[error("{}: live-restore is off: a restart of the engine kills what runs, a migration too", names(.nodes))]
    LiveRestoreOff {
        /// Where.
        nodes: Vec<NodeName>,
    },
    /// An engine that may be restarted by an upgrade in the middle.
    #[error("{node}: it upgrades {} by itself, which restarts the engine", .packages.join(", "))]
    EngineUpgradesItself {
        /// Where.
        node: NodeName,
        /// Packages of the engine.
        packages: Vec<String>,
    },
    /// The next image may not fit.
    #[error(
        "{node}: {} free where the engine keeps its images; the next one may take {}",
        gigabytes(*.free), gigabytes(*.needed)
    )]
    NoRoomForImages {
        /// Where.
        node: NodeName,
        /// Bytes.
        free: u64,
        /// Bytes.
        needed: u64,
    },
    /// The next config.yaml may not fit beside this one.
    #[error("{node}: {free} bytes free beside config.yaml; a window may take {needed}")]
    NoRoomForConfig {
        /// Where.
        node: NodeName,
        /// Bytes.
        free: u64,
        /// Bytes.
        needed: u64,
    },
    /// The way back might not be written down.
    #[error("{node}: its agent's state directory has no room for the reserve of the way back")]
    NoReserve {
        /// Where.
        node: NodeName,
    },
}

impl NodeFinding {
    pub(super) fn code(&self) -> Code {
        match self {
            Self::WrongAgent { .. } => Code::WrongAgent,
            Self::EngineTooOld { .. } => Code::EngineTooOld,
            Self::PolicyFixed { .. } => Code::RestartPolicyFixed,
            Self::CertificateEnds { .. } => Code::CertificateEnds,
            Self::ClockSkew { .. } => Code::ClockSkew,
            Self::PollShort { .. } => Code::PollShort,
            Self::LiveRestoreOff { .. } => Code::LiveRestoreOff,
            Self::EngineUpgradesItself { .. } => Code::EngineUpgradesItself,
            Self::NoRoomForImages { .. } => Code::NoRoomForImages,
            Self::NoRoomForConfig { .. } => Code::NoRoomForConfig,
            Self::NoReserve { .. } => Code::NoReserve,
        }
    }

    pub(super) fn node(&self) -> Option<&NodeName> {
        match self {
            Self::WrongAgent { node, .. }
            | Self::EngineTooOld { node, .. }
            | Self::PolicyFixed { node, .. }
            | Self::CertificateEnds { node, .. }
            | Self::EngineUpgradesItself { node, .. }
            | Self::NoRoomForImages { node, .. }
            | Self::NoRoomForConfig { node, .. }
            | Self::NoReserve { node } => Some(node),
            Self::ClockSkew { .. } | Self::PollShort { .. } | Self::LiveRestoreOff { .. } => None,
        }
    }

    pub(super) fn remedy(&self) -> String {
        match self {
            Self::WrongAgent { node, .. } => format!(
                "compare the address of {node} in cluster.yaml with cluster and node in that agent.yaml"
            ),
            Self::EngineTooOld { node, .. } => format!("update the container engine on {node}"),
            Self::PolicyFixed { node, .. } => format!("update Podman on {node} to 5.1 or newer"),
            Self::CertificateEnds { node, .. } => {
                format!("renew the agent's certificate on {node}")
            }
            Self::ClockSkew { .. } => "set the clocks: chronyc makestep on each node".to_owned(),
            Self::PollShort { .. } => {
                "set timings.backfill.poll in cluster.yaml to 30s or more".to_owned()
            }
            Self::LiveRestoreOff { .. } => {
                r#"{ "live-restore": true } in /etc/docker/daemon.json; systemctl reload docker"#
                    .to_owned()
            }
            Self::EngineUpgradesItself { node, packages } => {
                format!("until the window is over, on {node}: apt-mark hold {}", packages.join(" "))
            }
            Self::NoRoomForImages { node, .. } => format!(
                "on {node}: docker image prune removes what no container uses; what the present \
                 Quay runs stays"
            ),
            Self::NoRoomForConfig { node, .. } => {
                format!("make room on {node}, on the file system of config.yaml")
            }
            Self::NoReserve { node } => {
                format!("make room on {node}, on the file system of `state` in agent.yaml")
            }
        }
    }
}

pub(super) fn agent(
    facts: &ClusterFacts,
    name: &NodeName,
    survey: &NodeSurvey,
) -> Option<NodeFinding> {
    let is_right = survey.facts.cluster == facts.cluster && survey.facts.node == *name;
    (!is_right).then(|| NodeFinding::WrongAgent {
        node: name.clone(),
        says_cluster: survey.facts.cluster.to_string(),
        says_node: survey.facts.node.to_string(),
    })
}

pub(super) fn engine(name: &NodeName, survey: &NodeSurvey) -> Option<NodeFinding> {
    let engine = &survey.facts.engine;
    let shown = format!("{} {}", engine.name, engine.version);
    if numbers(&engine.api_version).is_none_or(|api| api < LEAST_API) {
        return Some(NodeFinding::EngineTooOld {
            node: name.clone(),
            engine: shown,
            api_version: engine.api_version.clone(),
        });
    }
    let is_podman = engine.name.to_ascii_lowercase().contains("podman");
    let can_update = numbers(&engine.version).is_some_and(|version| version >= LEAST_PODMAN);
    (is_podman && !can_update)
        .then(|| NodeFinding::PolicyFixed { node: name.clone(), engine: shown })
}

pub(super) fn clocks(facts: &ClusterFacts) -> Option<NodeFinding> {
    let millis = facts.clock_skew_millis();
    (millis > SKEW_MILLIS).then_some(NodeFinding::ClockSkew { millis })
}

/// A certificate should outlast twice the forecast.
pub(super) fn certificates(situation: &Situation<'_>) -> Vec<NodeFinding> {
    let twice = forecast(situation).at_worst.saturating_mul(2);
    let taken_at = situation.facts.taken_at;
    let needed_until = taken_at.checked_add(twice).unwrap_or(Timestamp::MAX);
    let nodes = situation.facts.nodes.iter();
    nodes
        .filter(|(_, survey)| survey.facts.certificate_not_after < needed_until)
        .map(|(name, survey)| NodeFinding::CertificateEnds {
            node: name.clone(),
            ends: survey.facts.certificate_not_after,
            needed_until,
        })
        .collect()
}

pub(super) fn poll(situation: &Situation<'_>) -> Option<NodeFinding> {
    let poll = situation.cluster.timings.backfill.poll;
    (poll < SHORT_POLL && !situation.facts.is_lab())
        .then(|| NodeFinding::PollShort { poll: humantime::format_duration(poll).to_string() })
}

/// What an engine's restart would do to a migration (quay-facts 2.3). A lab's
/// engine is its machine's own affair.
pub(super) fn live_restore(situation: &Situation<'_>) -> Option<NodeFinding> {
    if situation.facts.is_lab() {
        return None;
    }
    let off = situation.footings().filter(|(_, it)| it.host.live_restore == Some(false));
    let nodes: Vec<NodeName> = off.map(|(node, _)| node.clone()).collect();
    (!nodes.is_empty()).then_some(NodeFinding::LiveRestoreOff { nodes })
}

/// See `live_restore`: an upgrade restarts the engine when it pleases.
pub(super) fn upgrades(situation: &Situation<'_>) -> Vec<NodeFinding> {
    if situation.facts.is_lab() {
        return Vec::new();
    }
    let upgrading = situation.footings().filter(|(_, it)| !it.host.self_upgrading.is_empty());
    let finding = |(node, it): (&NodeName, &Footing)| NodeFinding::EngineUpgradesItself {
        node: node.clone(),
        packages: it.host.self_upgrading.clone(),
    };
    upgrading.map(finding).collect()
}

/// Room for images, for config.yaml and for the way back's records. Another
/// image is taken to be as large as the present one, and to lie there packed
/// and unpacked while it is pulled.
pub(super) fn room(situation: &Situation<'_>) -> Vec<NodeFinding> {
    let mut found = Vec::new();
    for (node, footing) in situation.footings() {
        let Some(survey) = situation.facts.nodes.get(node) else { continue };
        let node = node.clone();
        if let (Some(free), Some(bytes)) =
            (survey.facts.free_bytes_engine, footing.container.image_bytes)
            && is_pulled(situation, &node)
            && free < bytes.saturating_mul(2)
        {
            let needed = bytes.saturating_mul(2);
            found.push(NodeFinding::NoRoomForImages { node: node.clone(), free, needed });
        }
        if let (Some(free), ConfigFacts::Readable(config)) =
            (survey.facts.free_bytes_config, &survey.facts.config)
            && free < config.size.saturating_mul(COPIES_OF_CONFIG).saturating_add(SLACK)
        {
            let needed = config.size.saturating_mul(COPIES_OF_CONFIG).saturating_add(SLACK);
            found.push(NodeFinding::NoRoomForConfig { node: node.clone(), free, needed });
        }
        if !footing.host.has_reserve {
            found.push(NodeFinding::NoReserve { node });
        }
    }
    found
}

/// Whether a node gets Quay's next image from a registry.
fn is_pulled(situation: &Situation<'_>, node: &NodeName) -> bool {
    let mut answers = situation.images(Component::Quay);
    answers.any(|(of, answer)| {
        of == node && answer.as_ref().is_ok_and(|resolved| on_node(resolved).is_none())
    })
}
