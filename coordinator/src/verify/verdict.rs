//! What came of a verification. Pure.

use jiff::Timestamp;
use quaymaster_proto::Mode;
use serde::{Deserialize, Serialize};

use super::{Check, Fault};

/// All of it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Verification {
    /// When it began.
    pub at: Timestamp,
    /// Release and mode, where every node runs the same.
    pub generation: Option<Generation>,
    /// Each place where the registry was asked.
    pub places: Vec<Place>,
}

/// What the registry should be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Generation {
    /// Such as 3.0.5.
    pub release: String,
    /// Its mode.
    pub mode: Mode,
}

/// One node, or the public name.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Place {
    /// The node's name, or the public name.
    pub name: String,
    /// Where it was asked; empty = nowhere.
    pub at: String,
    /// Each check, in order.
    pub checked: Vec<Checked>,
    /// What had to be asked again, in words.
    pub retried: Vec<String>,
}

/// A check and what came of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Checked {
    /// Which.
    pub check: Check,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a check.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It passed.
    Passed {
        /// What was seen.
        evidence: String,
    },
    /// It did not.
    Failed {
        /// Each reason; at least one.
        faults: Vec<Fault>,
    },
    /// It was not made.
    Unverified {
        /// Why.
        why: WhyNot,
    },
}

/// Why a check was not made.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum WhyNot {
    /// Nobody to log in as.
    #[error("no login: name a robot's config.json under verify.credentials in cluster.yaml")]
    NoLogin,
    /// Nothing from before is known.
    #[error("nothing from before to compare with: take a sample with --sample before the upgrade")]
    NoSample,
    /// cluster.yaml names nothing to compare.
    #[error("nothing to compare: verify.samples in cluster.yaml names no repository")]
    NothingToSample,
    /// Nobody but a login could have read it.
    #[error("nothing from before to compare with: nobody may read it without a login")]
    NotForAnybody,
    /// A person waived what kept the sample from being taken.
    #[error(
        "nothing from before to compare with: the registry could not be read, which was waived"
    )]
    SampleWaived,
    /// The run was taken up where its sample is not known.
    #[error(
        "nothing from before to compare with: the sample lies in the journal of another machine"
    )]
    SampleElsewhere,
    /// The nodes run different things, or something unknown.
    #[error("the nodes do not all run one known release in one mode")]
    UnknownGeneration,
    /// The agent said nothing of its node.
    #[error("its agent does not answer, and nobody knows where its Quay listens")]
    Silent,
    /// The node publishes no port of Quay.
    #[error("it publishes no port of Quay")]
    NoPort,
    /// What it rests on failed.
    #[error("it rests on `{}`, which failed", .0.title())]
    Rests(Check),
}

impl Outcome {
    /// Of what was found: faults, or else the evidence.
    pub fn of(result: Result<String, Vec<Fault>>) -> Self {
        match result {
            Ok(evidence) => Self::Passed { evidence },
            Err(faults) => Self::Failed { faults },
        }
    }
}

impl Verification {
    /// Whether nothing failed and something was checked at every place.
    pub fn is_good(&self) -> bool {
        !self.places.is_empty() && self.places.iter().all(Place::is_good)
    }

    /// How many checks passed, failed and were not made.
    pub fn counts(&self) -> (usize, usize, usize) {
        let outcomes = self.places.iter().flat_map(|place| &place.checked);
        outcomes.fold((0, 0, 0), |(passed, failed, left), checked| match checked.outcome {
            Outcome::Passed { .. } => (passed + 1, failed, left),
            Outcome::Failed { .. } => (passed, failed + 1, left),
            Outcome::Unverified { .. } => (passed, failed, left + 1),
        })
    }
}

impl Place {
    /// A node of which nothing could be asked.
    pub fn unasked(name: String, why: WhyNot) -> Self {
        let outcome = Outcome::Unverified { why };
        let checked = vec![Checked { check: Check::Api, outcome }];
        Self { name, at: String::new(), checked, retried: Vec::new() }
    }

    /// Whether nothing failed here and it was asked at all.
    fn is_good(&self) -> bool {
        let passed = |checked: &Checked| matches!(checked.outcome, Outcome::Passed { .. });
        let failed = |checked: &Checked| matches!(checked.outcome, Outcome::Failed { .. });
        self.checked.iter().any(passed) && !self.checked.iter().any(failed)
    }
}
