//! Health of a component, and the backfill's progress.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::container::ContainerState;
use crate::invalid::{InvalidField, parsed, required, within_if_any};
use crate::wire;
use crate::words::Mode;

/// What an agent makes of a component's health.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HealthVerdict {
    /// Both routes answered 200 with every service true.
    Healthy,
    /// Not (yet) answering, or something answered false.
    Unhealthy,
    /// The container is not there or not running.
    Down,
}

/// One look at a component's health.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthReport {
    /// The node's clock.
    pub at: Timestamp,
    /// The container; `None` = there is none.
    pub container: Option<ContainerState>,
    /// `/health/instance`: this node alone.
    pub instance: HealthRoute,
    /// `/health/endtoend`: database, redis and storage too.
    pub endtoend: HealthRoute,
    /// What follows from these.
    pub verdict: HealthVerdict,
    /// The mode that the running Quay itself shows, where it can be told.
    pub effective_mode: Option<Mode>,
}

/// What one health route answered.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthRoute {
    /// HTTP status; `None` = no answer.
    pub status: Option<u16>,
    /// Each service that the answer names.
    pub services: BTreeMap<String, bool>,
    /// Why there was no usable answer; empty = there was one.
    pub problem: String,
}

/// One look at `/upgradeprogress/` (quay-observed 1).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackfillSample {
    /// Quay counted.
    Counted {
        /// The node's clock.
        at: Timestamp,
        /// A fraction; may exceed 1.
        progress: f64,
        /// May be negative.
        tags_remaining: i64,
        /// Visible tags of the old model; falls while expired tags go.
        total_tags: i64,
    },
    /// Quay did not count: another mode or release, or no answer.
    NoCount {
        /// The node's clock.
        at: Timestamp,
        /// HTTP status; `None` = no answer.
        status: Option<u16>,
        /// Why, for people.
        problem: String,
    },
}

impl HealthVerdict {
    fn from_wire(number: i32) -> Result<Self, InvalidField> {
        use wire::health_report::Verdict;
        match Verdict::try_from(number) {
            Ok(Verdict::Healthy) => Ok(Self::Healthy),
            Ok(Verdict::Unhealthy) => Ok(Self::Unhealthy),
            Ok(Verdict::Down) => Ok(Self::Down),
            Ok(Verdict::Unspecified) => Err(InvalidField::missing("verdict")),
            Err(_) => Err(InvalidField::because("verdict", format!("unknown verdict {number}"))),
        }
    }

    fn to_wire(self) -> i32 {
        use wire::health_report::Verdict;
        let verdict = match self {
            Self::Healthy => Verdict::Healthy,
            Self::Unhealthy => Verdict::Unhealthy,
            Self::Down => Verdict::Down,
        };
        verdict as i32
    }
}

/// 0 on the wire is `None` here.
fn status(path: &str, number: u32) -> Result<Option<u16>, InvalidField> {
    match u16::try_from(number) {
        Ok(0) => Ok(None),
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(InvalidField::because(path, format!("{number} is no HTTP status"))),
    }
}

impl TryFrom<wire::HealthRoute> for HealthRoute {
    type Error = InvalidField;

    fn try_from(message: wire::HealthRoute) -> Result<Self, InvalidField> {
        let wire::HealthRoute { status: number, services, problem } = message;
        let services = services.into_iter().collect();
        Ok(Self { status: status("status", number)?, services, problem })
    }
}

impl From<HealthRoute> for wire::HealthRoute {
    fn from(route: HealthRoute) -> Self {
        let HealthRoute { status, services, problem } = route;
        let status = status.unwrap_or_default().into();
        Self { status, services: services.into_iter().collect(), problem }
    }
}

impl TryFrom<wire::HealthReport> for HealthReport {
    type Error = InvalidField;

    fn try_from(message: wire::HealthReport) -> Result<Self, InvalidField> {
        let wire::HealthReport { at, container, instance, endtoend, verdict, effective_mode } =
            message;
        Ok(Self {
            at: parsed("at", &at)?,
            container: within_if_any("container", container)?,
            instance: required("instance", instance)?.try_into()?,
            endtoend: required("endtoend", endtoend)?.try_into()?,
            verdict: HealthVerdict::from_wire(verdict)?,
            effective_mode: effective_mode
                .map(|number| Mode::from_wire("effective_mode", number))
                .transpose()?,
        })
    }
}

impl From<HealthReport> for wire::HealthReport {
    fn from(report: HealthReport) -> Self {
        let HealthReport { at, container, instance, endtoend, verdict, effective_mode } = report;
        Self {
            at: at.to_string(),
            container: container.map(Into::into),
            instance: Some(instance.into()),
            endtoend: Some(endtoend.into()),
            verdict: verdict.to_wire(),
            effective_mode: effective_mode.map(Mode::to_wire),
        }
    }
}

impl TryFrom<wire::BackfillSample> for BackfillSample {
    type Error = InvalidField;

    fn try_from(message: wire::BackfillSample) -> Result<Self, InvalidField> {
        let wire::BackfillSample {
            at,
            status: number,
            progress,
            tags_remaining,
            total_tags,
            problem,
        } = message;
        let at = parsed("at", &at)?;
        if problem.is_empty() {
            Ok(Self::Counted { at, progress, tags_remaining, total_tags })
        } else {
            Ok(Self::NoCount { at, status: status("status", number)?, problem })
        }
    }
}

impl From<BackfillSample> for wire::BackfillSample {
    fn from(sample: BackfillSample) -> Self {
        match sample {
            BackfillSample::Counted { at, progress, tags_remaining, total_tags } => Self {
                at: at.to_string(),
                status: 200,
                progress,
                tags_remaining,
                total_tags,
                problem: String::new(),
            },
            BackfillSample::NoCount { at, status, problem } => Self {
                at: at.to_string(),
                status: status.unwrap_or_default().into(),
                progress: 0.0,
                tags_remaining: 0,
                total_tags: 0,
                problem,
            },
        }
    }
}
