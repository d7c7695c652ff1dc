//! The verification at the window's end: whether what it needs is there while the registry serves.

use quaymaster_proto::NodeName;
use serde::Serialize;

use super::Code;
use crate::plan::situation::{RegistryAnswer, Situation, Unanswered};

/// What stands against the verification.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum VerificationFinding {
    /// It could not be made as it is.
    #[error("the window could not be verified at its end: {problem}")]
    NotReady {
        /// Why.
        problem: String,
        /// What to do.
        #[serde(skip)]
        remedy: String,
    },
    /// Nobody to log in as.
    #[error("the window is verified in part: without a login nothing is pushed and pulled")]
    InPart,
}

impl VerificationFinding {
    pub(super) fn code(&self) -> Code {
        match self {
            Self::NotReady { .. } => Code::VerificationNotReady,
            Self::InPart => Code::VerificationInPart,
        }
    }

    pub(super) fn node(&self) -> Option<&NodeName> {
        match self {
            Self::NotReady { .. } | Self::InPart => None,
        }
    }

    pub(super) fn remedy(&self) -> String {
        match self {
            Self::NotReady { remedy, .. } => remedy.clone(),
            Self::InPart => {
                "name a robot's config.json under verify.credentials in cluster.yaml".to_owned()
            }
        }
    }
}

pub(super) fn ready(situation: &Situation<'_>) -> Option<VerificationFinding> {
    match situation.answers.registry.as_ref()? {
        RegistryAnswer::Whole => None,
        RegistryAnswer::InPart => Some(VerificationFinding::InPart),
        RegistryAnswer::NotReady(Unanswered { problem, remedy }) => {
            let (problem, remedy) = (problem.clone(), remedy.clone());
            Some(VerificationFinding::NotReady { problem, remedy })
        }
    }
}
