//! Why an agent did not do what was asked.
//!
//! A refusal crosses the wire in a gRPC status: the code for other people's
//! tools, the whole refusal in the status's details.

use prost::Message as _;
use serde::{Deserialize, Serialize};
use tonic::{Code, Status};

use crate::invalid::InvalidField;
use crate::wire;

/// A refusal: what was tried on what and why it failed, and what to do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
#[serde(deny_unknown_fields)]
#[error("{message}")]
pub struct Refusal {
    /// Which kind.
    pub reason: Reason,
    /// What was tried, on what, and why it failed.
    pub message: String,
    /// What to do about it; may be empty.
    pub remedy: String,
}

/// The kinds of refusal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// A field is missing or malformed.
    Invalid,
    /// Another cluster's certificate, act or plan.
    WrongCluster,
    /// The certificate's role does not allow it.
    Role,
    /// The node has no such component.
    NoComponent,
    /// An epoch or a step lower than one already accepted.
    Superseded,
    /// Another act or job is in flight.
    Busy,
    /// The node is not as the plan saw it.
    Drifted,
    /// A container that this agent may not touch.
    NotOurs,
    /// Not the expected database, or not the expected revision.
    Database,
    /// config.yaml cannot be edited as asked.
    Config,
    /// The spec cannot be carried over.
    Spec,
    /// The image cannot be had.
    Image,
    /// The engine failed or does not answer.
    Engine,
    /// The agent's ledger is damaged or cannot be written.
    Ledger,
    /// The container ran before and has ended.
    AlreadyRan,
    /// The agent's lease is another's, or nobody's.
    Lease,
    /// The generation is below the node's floor.
    Floor,
}

/// In bytes, of what crosses the wire. A status travels in headers, the message
/// twice: percent-encoded, and in base 64 inside the details. Peers take 16 KiB
/// of headers, and of more they show nothing.
const LONGEST_MESSAGE: usize = 2500;

/// The same of a remedy, which travels once.
const LONGEST_REMEDY: usize = 1000;

impl Refusal {
    /// A refusal without advice.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), remedy: String::new() }
    }

    /// The same with advice.
    #[must_use]
    pub fn with_remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: remedy.into(), ..self }
    }

    /// The refusal inside a status; `None` when the status did not come from
    /// an agent's decision.
    pub fn from_status(status: &Status) -> Option<Self> {
        wire::Refusal::decode(status.details()).ok().and_then(Self::from_wire)
    }

    /// `None` for a reason that this version does not know.
    pub(crate) fn from_wire(message: wire::Refusal) -> Option<Self> {
        let wire::Refusal { reason, message, remedy } = message;
        Some(Self { reason: Reason::from_wire(reason)?, message, remedy })
    }
}

impl From<InvalidField> for Refusal {
    fn from(invalid: InvalidField) -> Self {
        Self::new(Reason::Invalid, invalid.to_string())
    }
}

impl From<Refusal> for wire::Refusal {
    fn from(refusal: Refusal) -> Self {
        let Refusal { reason, message, remedy } = refusal;
        Self { reason: reason.to_wire() as i32, message, remedy }
    }
}

/// The text, or its beginning: other people's words in it (an engine's answer,
/// a caller's field) may have any length.
fn cut(text: String, longest: usize) -> String {
    if text.len() <= longest {
        return text;
    }
    format!("{} [...]", &text[..text.floor_char_boundary(longest)])
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let Refusal { reason, message, remedy } = refusal;
        let (message, remedy) = (cut(message, LONGEST_MESSAGE), cut(remedy, LONGEST_REMEDY));
        let refusal = Refusal { reason, message, remedy };
        let (code, message) = (refusal.reason.code(), refusal.message.clone());
        Self::with_details(code, message, wire::Refusal::from(refusal).encode_to_vec().into())
    }
}

impl Reason {
    fn code(self) -> Code {
        match self {
            Self::Invalid => Code::InvalidArgument,
            Self::WrongCluster | Self::Role | Self::NotOurs => Code::PermissionDenied,
            Self::NoComponent => Code::NotFound,
            Self::Superseded | Self::Lease => Code::Aborted,
            Self::Busy => Code::ResourceExhausted,
            Self::Drifted
            | Self::Database
            | Self::Config
            | Self::Spec
            | Self::AlreadyRan
            | Self::Floor
            | Self::Image => Code::FailedPrecondition,
            Self::Engine => Code::Unavailable,
            Self::Ledger => Code::DataLoss,
        }
    }

    fn to_wire(self) -> wire::refusal::Reason {
        use wire::refusal::Reason as Wire;
        match self {
            Self::Invalid => Wire::Invalid,
            Self::WrongCluster => Wire::WrongCluster,
            Self::Role => Wire::Role,
            Self::NoComponent => Wire::NoComponent,
            Self::Superseded => Wire::Superseded,
            Self::Busy => Wire::Busy,
            Self::Drifted => Wire::Drifted,
            Self::NotOurs => Wire::NotOurs,
            Self::Database => Wire::Database,
            Self::Config => Wire::Config,
            Self::Spec => Wire::Spec,
            Self::Image => Wire::Image,
            Self::Engine => Wire::Engine,
            Self::Ledger => Wire::Ledger,
            Self::AlreadyRan => Wire::AlreadyRan,
            Self::Lease => Wire::Lease,
            Self::Floor => Wire::Floor,
        }
    }

    fn from_wire(number: i32) -> Option<Self> {
        use wire::refusal::Reason as Wire;
        match Wire::try_from(number) {
            Ok(Wire::Invalid) => Some(Self::Invalid),
            Ok(Wire::WrongCluster) => Some(Self::WrongCluster),
            Ok(Wire::Role) => Some(Self::Role),
            Ok(Wire::NoComponent) => Some(Self::NoComponent),
            Ok(Wire::Superseded) => Some(Self::Superseded),
            Ok(Wire::Busy) => Some(Self::Busy),
            Ok(Wire::Drifted) => Some(Self::Drifted),
            Ok(Wire::NotOurs) => Some(Self::NotOurs),
            Ok(Wire::Database) => Some(Self::Database),
            Ok(Wire::Config) => Some(Self::Config),
            Ok(Wire::Spec) => Some(Self::Spec),
            Ok(Wire::Image) => Some(Self::Image),
            Ok(Wire::Engine) => Some(Self::Engine),
            Ok(Wire::Ledger) => Some(Self::Ledger),
            Ok(Wire::AlreadyRan) => Some(Self::AlreadyRan),
            Ok(Wire::Lease) => Some(Self::Lease),
            Ok(Wire::Floor) => Some(Self::Floor),
            Ok(Wire::Unspecified) | Err(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_survives_the_wire_and_a_foreign_status_is_none() {
        let refusal = Refusal::new(Reason::Database, "cannot start").with_remedy("look");
        assert_eq!(Refusal::from_status(&Status::from(refusal.clone())), Some(refusal));
        assert_eq!(Refusal::from_status(&Status::unavailable("broken pipe")), None);
    }

    #[test]
    fn a_long_refusal_is_cut_to_what_headers_carry() {
        let text = "\u{e4}".repeat(100_000);
        let long = Refusal::new(Reason::Engine, text.clone()).with_remedy(text);
        let status = Status::from(long);
        // As headers: percent-encoded, and in base 64.
        assert!(status.message().len() * 3 + status.details().len() * 4 / 3 < 14 * 1024);
        let told = Refusal::from_status(&status).unwrap();
        assert_eq!(told.reason, Reason::Engine);
        assert!(told.message.ends_with("\u{e4} [...]") && told.message == status.message());
    }
}
