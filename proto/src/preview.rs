//! What a change would make of a node, before anything is changed.

use serde::{Deserialize, Serialize};

use crate::footing::Footing;
use crate::id::FileDigest;
use crate::invalid::{InvalidField, each, parsed, within_if_any};
use crate::wire;

/// What the next config.yaml and the next container would be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preview {
    /// The edit of config.yaml; `None` for components that do not read it.
    pub config: Option<ConfigChange>,
    /// What becomes of each part of the container's spec.
    pub spec: Vec<SpecFinding>,
    /// What it would stand on; `None` for components beside Quay.
    pub footing: Option<Footing>,
}

/// The edit of config.yaml, without its bytes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConfigChange {
    /// One line changes or is added; equal digests = nothing to do.
    Edit {
        /// The file now.
        from: FileDigest,
        /// The file then.
        to: FileDigest,
        /// 1-based.
        line: u32,
        /// Added rather than changed.
        inserted: bool,
    },
    /// The file cannot be edited.
    Refused {
        /// Why, by name.
        reason: String,
    },
}

/// What becomes of one part of a spec.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpecFinding {
    /// Which of the four.
    pub verdict: SpecVerdict,
    /// e.g. `port 80/tcp`, `volume /tmp`.
    pub subject: String,
    /// In words.
    pub reason: String,
}

/// The four things that can become of a part of a spec.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SpecVerdict {
    /// The next container has it too.
    Carried,
    /// The next container has it otherwise.
    Changed,
    /// The next container does not have it.
    Dropped,
    /// The container cannot be carried over because of it.
    Refused,
}

impl TryFrom<wire::PreviewReply> for Preview {
    type Error = InvalidField;

    fn try_from(message: wire::PreviewReply) -> Result<Self, InvalidField> {
        let wire::PreviewReply { config, spec, footing } = message;
        Ok(Self {
            config: within_if_any("config", config)?,
            spec: each("spec", spec)?,
            footing: within_if_any("footing", footing)?,
        })
    }
}

impl From<Preview> for wire::PreviewReply {
    fn from(preview: Preview) -> Self {
        let Preview { config, spec, footing } = preview;
        Self {
            config: config.map(Into::into),
            spec: spec.into_iter().map(Into::into).collect(),
            footing: footing.map(Into::into),
        }
    }
}

impl TryFrom<wire::ConfigChange> for ConfigChange {
    type Error = InvalidField;

    fn try_from(message: wire::ConfigChange) -> Result<Self, InvalidField> {
        let wire::ConfigChange { from_sha256, to_sha256, line, inserted, refusal } = message;
        if !refusal.is_empty() {
            return Ok(Self::Refused { reason: refusal });
        }
        Ok(Self::Edit {
            from: parsed("from_sha256", &from_sha256)?,
            to: parsed("to_sha256", &to_sha256)?,
            line,
            inserted,
        })
    }
}

impl From<ConfigChange> for wire::ConfigChange {
    fn from(change: ConfigChange) -> Self {
        match change {
            ConfigChange::Edit { from, to, line, inserted } => Self {
                from_sha256: from.into(),
                to_sha256: to.into(),
                line,
                inserted,
                refusal: String::new(),
            },
            ConfigChange::Refused { reason } => Self { refusal: reason, ..Self::default() },
        }
    }
}

impl TryFrom<wire::SpecFinding> for SpecFinding {
    type Error = InvalidField;

    fn try_from(message: wire::SpecFinding) -> Result<Self, InvalidField> {
        use wire::spec_finding::Verdict;
        let wire::SpecFinding { verdict, subject, reason } = message;
        let verdict = match Verdict::try_from(verdict) {
            Ok(Verdict::Carried) => SpecVerdict::Carried,
            Ok(Verdict::Changed) => SpecVerdict::Changed,
            Ok(Verdict::Dropped) => SpecVerdict::Dropped,
            Ok(Verdict::Refused) => SpecVerdict::Refused,
            Ok(Verdict::Unspecified) => return Err(InvalidField::missing("verdict")),
            Err(_) => {
                return Err(InvalidField::because("verdict", format!("unknown verdict {verdict}")));
            }
        };
        Ok(Self { verdict, subject, reason })
    }
}

impl From<SpecFinding> for wire::SpecFinding {
    fn from(finding: SpecFinding) -> Self {
        use wire::spec_finding::Verdict;
        let SpecFinding { verdict, subject, reason } = finding;
        let verdict = match verdict {
            SpecVerdict::Carried => Verdict::Carried,
            SpecVerdict::Changed => Verdict::Changed,
            SpecVerdict::Dropped => Verdict::Dropped,
            SpecVerdict::Refused => Verdict::Refused,
        };
        Self { verdict: verdict as i32, subject, reason }
    }
}
