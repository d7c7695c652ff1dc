//! What the coordinator asks of the cluster's agents, in its own words. `grpc`
//! asks real ones; `fake` is a whole fleet in memory, for tests. Nothing here
//! decides anything: a caller gets an answer, or a `CallError` that says which
//! node was asked what and why there is no answer.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures::Stream;
use quaymaster_proto::act::Order;
use quaymaster_proto::database::DatabaseLook;
use quaymaster_proto::health::{BackfillSample, HealthReport};
pub use quaymaster_proto::image::ResolvedImage;
use quaymaster_proto::job::{JobOrder, JobReport};
use quaymaster_proto::lease::{ClaimLease, Claimed, ReleaseLease, RunLedger};
use quaymaster_proto::node::NodeFacts;
use quaymaster_proto::peer::InvalidPeer;
use quaymaster_proto::preview::Preview;
use quaymaster_proto::{
    Act, ActOutcome, ClusterName, Component, ContainerId, InvalidField, Mode, MountCopy, NodeName,
    Peer, PortMove, Refusal, RunId,
};
use serde::{Deserialize, Serialize};

use crate::run::log::LogTail;

pub mod asking;
#[cfg(test)]
pub(crate) mod fake;
pub mod grpc;

/// Health reports of one node, for as long as somebody reads them. An error is
/// the last item.
pub type HealthStream = Pin<Box<dyn Stream<Item = Result<HealthReport, CallError>> + Send>>;

/// Questions: they change nothing on a node.
pub trait Looks: Send + Sync {
    /// Everything a plan needs to know of a node.
    fn describe(
        &self,
        node: &NodeName,
        key: &SurveyKey,
    ) -> impl Future<Output = Result<NodeFacts, CallError>> + Send;

    /// What a change would make of the node's config.yaml and containers.
    fn preview(
        &self,
        node: &NodeName,
        question: &PreviewQuestion,
    ) -> impl Future<Output = Result<Preview, CallError>> + Send;

    /// The digest behind a tag, asked of the registry through the node.
    fn resolve_image(
        &self,
        node: &NodeName,
        question: &ImageQuestion,
    ) -> impl Future<Output = Result<ResolvedImage, CallError>> + Send;

    /// One component's health now.
    fn health(
        &self,
        node: &NodeName,
        question: &HealthQuestion,
    ) -> impl Future<Output = Result<HealthReport, CallError>> + Send;

    /// The same, on every change and at least once a second.
    fn follow_health(
        &self,
        node: &NodeName,
        question: &HealthQuestion,
    ) -> impl Future<Output = Result<HealthStream, CallError>> + Send;

    /// What `/upgradeprogress/` of the node's Quay says.
    fn sample_backfill(
        &self,
        node: &NodeName,
    ) -> impl Future<Output = Result<BackfillSample, CallError>> + Send;

    /// Quay's database as the node reaches it.
    fn look_at_database(
        &self,
        node: &NodeName,
        question: DatabaseQuestion,
    ) -> impl Future<Output = Result<DatabaseLook, CallError>> + Send;

    /// What a container's log comes to, from its beginning to its end, or as
    /// far as it comes within a moment.
    fn read_log(
        &self,
        node: &NodeName,
        component: Component,
        container: &ContainerId,
    ) -> impl Future<Output = Result<LogTail, CallError>> + Send;

    /// What the node's agent keeps of a run; `None` = of the run that holds its
    /// lease, or else of the last one.
    fn read_ledger(
        &self,
        node: &NodeName,
        run: Option<RunId>,
    ) -> impl Future<Output = Result<RunLedger, CallError>> + Send;
}

/// Orders: what changes a node, and the jobs that do; and the leases without
/// which none is accepted.
pub trait Orders: Send + Sync {
    /// Claims the node's lease.
    fn claim(
        &self,
        node: &NodeName,
        claim: ClaimLease,
    ) -> impl Future<Output = Result<Claimed, CallError>> + Send;

    /// Gives it back.
    fn release(
        &self,
        node: &NodeName,
        release: ReleaseLease,
    ) -> impl Future<Output = Result<(), CallError>> + Send;

    /// Orders, and waits until the node is as ordered.
    fn order(
        &self,
        node: &NodeName,
        act: Act,
        order: Order,
    ) -> impl Future<Output = Result<ActOutcome, CallError>> + Send;

    /// Starts a job, or joins the one that the same step started.
    fn begin(
        &self,
        node: &NodeName,
        act: Act,
        order: JobOrder,
    ) -> impl Future<Output = Result<JobReport, CallError>> + Send;

    /// Where a job stands.
    fn job(
        &self,
        node: &NodeName,
        id: &str,
    ) -> impl Future<Output = Result<JobReport, CallError>> + Send;
}

/// The key of one survey: the same for all nodes, so that their settings can
/// be compared without being sent.
#[derive(Clone, PartialEq, Eq)]
pub struct SurveyKey([u8; 32]);

impl SurveyKey {
    /// The caller brings the chance.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key itself.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for SurveyKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SurveyKey(..)")
    }
}

/// What a preview is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PreviewQuestion {
    /// Of which component.
    pub component: Component,
    /// Whose spec is carried over; `None` = the container that has the
    /// well-known name.
    pub container: Option<ContainerId>,
    /// The mode that config.yaml would get.
    pub mode: Mode,
    /// What the release demands of its ports.
    pub port_moves: Vec<PortMove>,
    /// What the release demands of its mounts.
    pub mount_copies: Vec<MountCopy>,
}

/// Which image a registry is asked about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImageQuestion {
    /// For which component.
    pub component: Component,
    /// Without tag; one that the node's agent.yaml allows.
    pub repository: String,
    /// Such as `v3.0.5`.
    pub tag: String,
}

/// Whose health is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HealthQuestion {
    /// Of which component.
    pub component: Component,
    /// `None` = the container that has the well-known name.
    pub container: Option<ContainerId>,
}

/// What of a database is asked for beside its identity and revision.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DatabaseQuestion {
    /// The list of its sessions.
    pub sessions: bool,
    /// Full-table counts: costly on a large registry.
    pub counts: bool,
}

/// A call that brought no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("cannot {what} on {node} ({address})")]
pub struct CallError {
    /// Who was asked.
    pub node: NodeName,
    /// Where.
    pub address: String,
    /// What was asked, as a verb: "describe the node", "start migrating".
    pub what: String,
    /// Why there is no answer.
    #[source]
    pub why: Box<NoAnswer>,
}

impl CallError {
    /// Whether asking again soon may help: nobody decided against the call.
    pub fn is_unreachable(&self) -> bool {
        match self.why.as_ref() {
            NoAnswer::Unreachable(_) => true,
            NoAnswer::Refused(_) | NoAnswer::Malformed(_) => false,
        }
    }

    /// Why there is no answer, without who was asked what.
    pub fn reason(&self) -> String {
        match self.why.as_ref() {
            NoAnswer::Refused(refusal) => refusal.message.clone(),
            NoAnswer::Unreachable(unreachable) => unreachable.to_string(),
            NoAnswer::Malformed(invalid) => format!("its answer cannot be read: {invalid}"),
        }
    }

    /// What to do about it; may be empty.
    pub fn remedy(&self) -> &str {
        match self.why.as_ref() {
            NoAnswer::Refused(refusal) => &refusal.remedy,
            NoAnswer::Unreachable(unreachable) => unreachable.remedy(),
            NoAnswer::Malformed(_) => "compare the agent's version with this program's",
        }
    }
}

/// Why a call brought no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoAnswer {
    /// The agent decided against it.
    #[error(transparent)]
    Refused(Refusal),
    /// The agent was not reached, or went away before it answered.
    #[error(transparent)]
    Unreachable(Unreachable),
    /// The agent answered something that has no meaning here.
    #[error("the agent's answer cannot be read")]
    Malformed(#[source] InvalidField),
}

/// What kept a call from an agent, as far as the connection tells.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Unreachable {
    /// Nobody listens there.
    #[error("connection refused: no agent listens there")]
    ConnectionRefused,
    /// No connection within `timings.connect`.
    #[error("no connection within {}", humantime::format_duration(*.after))]
    ConnectTimeout {
        /// How long was waited.
        after: Duration,
    },
    /// The name has no address, or there is no way to it.
    #[error("cannot be dialled: {problem}")]
    Dial {
        /// In the system's words.
        problem: String,
    },
    /// What listens there does not speak TLS.
    #[error("what listens there does not speak TLS")]
    PlainText,
    /// The agent's certificate comes from another CA.
    #[error("its certificate was not issued by this cluster's CA")]
    OtherAuthority,
    /// The agent's certificate has ended.
    #[error("its certificate has expired")]
    Expired,
    /// The agent's certificate is not valid yet: one of the clocks is wrong.
    #[error("its certificate is not valid yet; compare the clocks")]
    NotYetValid,
    /// The agent's certificate does not have the node's name.
    #[error("its certificate is not for the name `{expected}`")]
    OtherName {
        /// The name that was expected.
        expected: String,
    },
    /// The agent of another cluster, or of another node, or no agent.
    #[error("another one answers there: `{found}` instead of `{expected}`")]
    OtherIdentity {
        /// The identity that was expected.
        expected: String,
        /// The identity in the certificate.
        found: String,
    },
    /// The certificate names nobody.
    #[error("its certificate is no agent's: {problem}")]
    NoIdentity {
        /// What is wrong with it.
        problem: String,
    },
    /// The certificate cannot be used for another reason.
    #[error("its certificate is not accepted: {problem}")]
    BadCertificate {
        /// In the TLS library's words.
        problem: String,
    },
    /// The agent does not accept the certificate of the operator.
    #[error("it rejects our certificate ({alert})")]
    RejectsUs {
        /// The TLS alert's name, such as `CertificateExpired`.
        alert: String,
    },
    /// The TLS handshake failed otherwise.
    #[error("the TLS handshake failed: {problem}")]
    Handshake {
        /// In the TLS library's words.
        problem: String,
    },
    /// Connected, but no answer within the call's deadline.
    #[error("no answer within {}", humantime::format_duration(*.after))]
    Deadline {
        /// How long was waited.
        after: Duration,
    },
    /// The connection broke during the call.
    #[error("the connection broke: {problem}")]
    Lost {
        /// In the transport's words.
        problem: String,
    },
    /// The agent answered with a status that no agent of ours gives.
    #[error("unexpected answer: {problem}")]
    Unexpected {
        /// Code and message.
        problem: String,
    },
    /// The node is not in the cluster file.
    #[error("it is not in the cluster file")]
    Unknown,
}

impl Unreachable {
    /// What to do about it, in one line.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::ConnectionRefused => "start the agent there: systemctl start quaymaster-agent",
            Self::ConnectTimeout { .. } | Self::Dial { .. } => {
                "look whether the host is up, and at the address in cluster.yaml"
            }
            Self::PlainText | Self::Handshake { .. } => {
                "look at what listens on that address, and at the address in cluster.yaml"
            }
            Self::OtherAuthority => "compare tls.ca in cluster.yaml with the CA of that agent",
            Self::Expired => "renew the agent's certificate and restart the agent",
            Self::NotYetValid => "set the clocks of both machines",
            Self::OtherName { .. }
            | Self::OtherIdentity { .. }
            | Self::NoIdentity { .. }
            | Self::BadCertificate { .. } => {
                "look at the address in cluster.yaml, and at tls.certificate in that agent.yaml"
            }
            Self::RejectsUs { .. } => {
                "look at tls.certificate in cluster.yaml: its CA, its end, its role"
            }
            Self::Deadline { .. } | Self::Lost { .. } | Self::Unexpected { .. } => {
                "look at that agent's log: journalctl -u quaymaster-agent"
            }
            Self::Unknown => "look at nodes in cluster.yaml",
        }
    }

    /// Compares a certificate's identity with the one that was dialled.
    pub(crate) fn unless_expected(
        found: Result<Peer, InvalidPeer>,
        cluster: &ClusterName,
        node: &NodeName,
    ) -> Result<(), Self> {
        let expected = Peer::Agent { cluster: cluster.clone(), node: node.clone() };
        match found {
            Ok(found) if found == expected => Ok(()),
            Ok(found) => Err(Self::OtherIdentity {
                expected: expected.to_string(),
                found: found.to_string(),
            }),
            Err(invalid) => Err(Self::NoIdentity { problem: invalid.to_string() }),
        }
    }
}
