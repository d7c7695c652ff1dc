//! What the documented command line gives a Quay 3, and the present one lacks
//! or has beside it (quay-facts 2.2).

use quaymaster_proto::{NodeName, PortMove};
use serde::Serialize;

use super::{Code, names};
use crate::plan::situation::Situation;

/// The documented `net.core.somaxconn`.
const SOMAXCONN: u64 = 4096;

/// How the container differs from the documented one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum DocumentedFinding {
    /// Without all rights.
    #[error("{}: the Quay container is not privileged, as the documented one is", names(.nodes))]
    NotPrivileged {
        /// Where.
        nodes: Vec<NodeName>,
    },
    /// A shorter queue of connections.
    #[error(
        "{}: the Quay container has no net.core.somaxconn of {SOMAXCONN} or more, as the \
         documented one has",
        names(.nodes)
    )]
    SomaxconnLow {
        /// Where.
        nodes: Vec<NodeName>,
    },
    /// A port that the next release does not listen at.
    #[error(
        "{node}: port {host_port} is published from {container_port} inside, at which {release} \
         {}",
        listens(*.container_port)
    )]
    PortWithoutListener {
        /// Where.
        node: NodeName,
        /// On the host.
        host_port: u16,
        /// Inside.
        container_port: u16,
        /// The next release.
        release: String,
    },
}

/// Quay 3's own HTTPS; what spoke the proxy protocol there moves to 7443
/// (quay-facts 2.2).
const HTTPS_OF_3: u16 = 8443;

fn listens(port: u16) -> &'static str {
    if port == HTTPS_OF_3 {
        "speaks plain TLS; the proxy protocol is spoken at 7443"
    } else {
        "does not listen"
    }
}

impl DocumentedFinding {
    pub(super) fn code(&self) -> Code {
        match self {
            Self::NotPrivileged { .. } => Code::NotPrivileged,
            Self::SomaxconnLow { .. } => Code::SomaxconnLow,
            Self::PortWithoutListener { .. } => Code::PortWithoutListener,
        }
    }

    pub(super) fn node(&self) -> Option<&NodeName> {
        match self {
            Self::NotPrivileged { .. } | Self::SomaxconnLow { .. } => None,
            Self::PortWithoutListener { node, .. } => Some(node),
        }
    }

    pub(super) fn remedy(&self) -> String {
        match self {
            Self::NotPrivileged { .. } => "if the site's Quay is meant to run without, nothing; \
                else create the containers anew with --privileged=true, on the present release"
                .to_owned(),
            Self::SomaxconnLow { .. } => "create the containers anew with --sysctl \
                net.core.somaxconn=4096, on the present release"
                .to_owned(),
            Self::PortWithoutListener { node, container_port, .. } => format!(
                "find out who uses it; then create the container on {node} anew without publishing \
                 {container_port}, and let a balancer that speaks the proxy protocol use 7443"
            ),
        }
    }
}

/// What is carried over is what is there: what is missing stays missing. A lab's
/// stand-ins need neither.
pub(super) fn run_line(situation: &Situation<'_>) -> Vec<DocumentedFinding> {
    if situation.facts.is_lab() {
        return Vec::new();
    }
    let nodes = |lacks: fn(bool, Option<u64>) -> bool| -> Vec<NodeName> {
        let lacking = situation
            .footings()
            .filter(|(_, it)| lacks(it.container.privileged, it.container.somaxconn));
        lacking.map(|(node, _)| node.clone()).collect()
    };
    let mut found = Vec::new();
    let unprivileged = nodes(|privileged, _| !privileged);
    if !unprivileged.is_empty() {
        found.push(DocumentedFinding::NotPrivileged { nodes: unprivileged });
    }
    let low = nodes(|_, somaxconn| somaxconn.is_none_or(|somaxconn| somaxconn < SOMAXCONN));
    if !low.is_empty() {
        found.push(DocumentedFinding::SomaxconnLow { nodes: low });
    }
    found
}

/// Ports that the release moves are moved; any other one is published as it was,
/// in front of nothing, or of something else (quay-facts 2.2, 7.2).
pub(super) fn ports(situation: &Situation<'_>) -> Vec<DocumentedFinding> {
    let moves = situation.port_moves(quaymaster_proto::Component::Quay);
    if moves.is_empty() {
        return Vec::new();
    }
    let is_moved = |port: u16| moves.iter().any(|PortMove { from, to: _ }| *from == port);
    let mut found = Vec::new();
    for (node, survey) in &situation.facts.nodes {
        let ports = survey.quay_container().map(|container| container.ports.as_slice());
        let mut left: Vec<(u16, u16)> = ports
            .unwrap_or_default()
            .iter()
            .filter(|port| !is_moved(port.container_port))
            .map(|port| (port.host_port, port.container_port))
            .collect();
        // An engine shows a port once for each family of addresses.
        left.sort_unstable();
        left.dedup();
        found.extend(left.into_iter().map(|(host_port, container_port)| {
            DocumentedFinding::PortWithoutListener {
                node: node.clone(),
                host_port,
                container_port,
                release: situation.window.to.release.clone(),
            }
        }));
    }
    found
}
