//! Findings that a person takes upon themselves, in words. A waiver names a
//! kind of finding; what it covers is what was found when the plan was made,
//! and nothing that comes later on another node.

use jiff::Timestamp;
use quaymaster_proto::NodeName;
use serde::{Deserialize, Serialize};

use super::{Code, Finding, Findings, Waivable};

/// A kind of finding that does not speak against the window any more.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiver {
    /// Which.
    pub code: Code,
    /// Why it may be so, in a person's words.
    pub because: String,
    /// Who: user@host.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// What was found.
    pub found: Vec<Waived>,
}

/// One finding that is waived.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waived {
    /// Where; `None` = in the cluster.
    pub node: Option<NodeName>,
    /// As it was told.
    pub words: String,
}

impl Waiver {
    /// Whether it covers a finding, of today or of another day.
    fn covers(&self, finding: &Finding) -> bool {
        self.code == finding.code()
            && self.found.iter().any(|waived| waived.node.as_ref() == finding.node())
    }
}

/// What a person asks to be waived, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asked {
    /// Which kind of finding.
    pub code: Code,
    /// In words.
    pub because: String,
}

/// Why something is not waived.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum NotWaived {
    /// Nobody may waive it.
    #[error("{code} can never be waived: {because}")]
    Never {
        /// Which.
        code: Code,
        /// Why not.
        because: &'static str,
    },
    /// There is no such finding.
    #[error("{code} was not found, and what is not there is not waived")]
    FoundNothing {
        /// Which.
        code: Code,
    },
    /// It was asked for more than once.
    #[error("{code} is waived more than once")]
    Twice {
        /// Which.
        code: Code,
    },
    /// The reason is no words.
    #[error("{code} is waived without a reason")]
    NoReason {
        /// Which.
        code: Code,
    },
}

impl NotWaived {
    /// Which kind of finding.
    pub fn code(&self) -> Code {
        match self {
            Self::Never { code, .. }
            | Self::FoundNothing { code }
            | Self::Twice { code }
            | Self::NoReason { code } => *code,
        }
    }

    /// What to do, in one line.
    pub fn remedy(&self) -> String {
        match self {
            Self::Never { code, .. } => {
                format!("mend it: quaymaster explain {code}; then plan without --waive {code}")
            }
            Self::FoundNothing { code } | Self::Twice { code } => {
                format!("take one --waive {code} away")
            }
            Self::NoReason { .. } => "say why after --because: it goes into the report".to_owned(),
        }
    }
}

/// Findings without those that were waived.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Judged {
    /// What still speaks against the window, or is to be known.
    pub findings: Findings,
    /// What does not any more.
    pub waivers: Vec<Waiver>,
}

/// Waives what was asked, in the name of `by`.
pub fn waive(
    findings: Findings,
    asked: &[Asked],
    by: &str,
    at: Timestamp,
) -> Result<Judged, Vec<NotWaived>> {
    let (mut waivers, mut refused) = (Vec::<Waiver>::new(), Vec::new());
    for Asked { code, because } in asked {
        let found: Vec<Waived> = findings
            .all()
            .iter()
            .filter(|finding| finding.code() == *code)
            .map(|found| Waived { node: found.node().cloned(), words: found.to_string() })
            .collect();
        let (code, because) = (*code, because.trim().to_owned());
        match code.waivable() {
            Waivable::Never { because } => refused.push(NotWaived::Never { code, because }),
            Waivable::WithReason if found.is_empty() => {
                refused.push(NotWaived::FoundNothing { code });
            }
            Waivable::WithReason if waivers.iter().any(|waiver| waiver.code == code) => {
                refused.push(NotWaived::Twice { code });
            }
            Waivable::WithReason if because.is_empty() => {
                refused.push(NotWaived::NoReason { code });
            }
            Waivable::WithReason => {
                waivers.push(Waiver { code, because, by: by.to_owned(), at, found });
            }
        }
    }
    if refused.is_empty() {
        Ok(Judged { findings: without(findings, &waivers), waivers })
    } else {
        Err(refused)
    }
}

/// What is left of findings beside those that a plan's waivers cover.
#[must_use]
pub fn without(findings: Findings, waivers: &[Waiver]) -> Findings {
    let is_left = |finding: &Finding| !waivers.iter().any(|waiver| waiver.covers(finding));
    Findings(findings.0.into_iter().filter(is_left).collect())
}

/// What is wrong with a plan's waivers, whoever wrote them.
pub fn flaw(waivers: &[Waiver]) -> Option<NotWaived> {
    waivers.iter().enumerate().find_map(|(index, waiver)| {
        let code = waiver.code;
        let is_repeated = waivers.iter().take(index).any(|earlier| earlier.code == code);
        match code.waivable() {
            Waivable::Never { because } => Some(NotWaived::Never { code, because }),
            Waivable::WithReason if waiver.found.is_empty() => {
                Some(NotWaived::FoundNothing { code })
            }
            Waivable::WithReason if is_repeated => Some(NotWaived::Twice { code }),
            Waivable::WithReason if waiver.because.trim().is_empty() => {
                Some(NotWaived::NoReason { code })
            }
            Waivable::WithReason => None,
        }
    })
}
