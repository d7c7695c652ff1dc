//! What a sequence of health reports of one container comes to.

use std::time::Duration;

use jiff::Timestamp;
use quaymaster_proto::health::{HealthReport, HealthVerdict};
use quaymaster_proto::{ContainerStatus, Mode, NodeName};

use crate::run::GateFailure;

/// The reports of one node's container so far.
#[derive(Clone, PartialEq, Debug)]
pub struct Course {
    node: NodeName,
    healthy_since: Option<Timestamp>,
    last: Option<HealthReport>,
    problem: Option<String>,
    /// How long the gate had been waited for when reports ended.
    silent_from: Option<Duration>,
}

impl Course {
    /// Before the first report.
    pub fn new(node: NodeName) -> Self {
        Self { node, healthy_since: None, last: None, problem: None, silent_from: None }
    }

    /// Whose.
    pub fn node(&self) -> &NodeName {
        &self.node
    }

    /// Folds a report.
    pub fn see(&mut self, report: HealthReport) {
        self.healthy_since = match report.verdict {
            HealthVerdict::Healthy => self.healthy_since.or(Some(report.at)),
            HealthVerdict::Unhealthy | HealthVerdict::Down => None,
        };
        self.problem = None;
        self.silent_from = None;
        self.last = Some(report);
    }

    /// No report could be had. What was seen before stands; whether health
    /// lasted in the meantime is not known, so it begins anew. `waited` is how
    /// long the gate has been waited for.
    pub fn lose(&mut self, why: String, waited: Duration) {
        self.silent_from = self.silent_from.or(Some(waited));
        self.healthy_since = None;
        self.problem = Some(why);
    }

    /// Since when it has been healthy, on the node's clock.
    pub fn healthy_since(&self) -> Option<Timestamp> {
        self.healthy_since
    }

    /// How much longer it has to stay healthy; `None` = it is not healthy.
    pub fn left(&self, needed: Duration) -> Option<Duration> {
        let (since, last) = (self.healthy_since?, self.last.as_ref()?);
        let lasted = Duration::try_from(last.at.duration_since(since)).unwrap_or_default();
        Some(needed.saturating_sub(lasted))
    }

    /// The mode that the running Quay shows.
    pub fn mode(&self) -> Option<Mode> {
        self.last.as_ref()?.effective_mode
    }

    /// Why the node cannot be reached; `None` = it can.
    pub fn silence(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// How long there has been no report.
    pub fn silent_for(&self, waited: Duration) -> Duration {
        self.silent_from.map_or(Duration::ZERO, |from| waited.saturating_sub(from))
    }

    /// What cannot get better by waiting.
    pub fn failure(&self, wanted: Mode) -> Option<GateFailure> {
        let report = self.last.as_ref()?;
        let node = self.node.clone();
        let Some(container) = &report.container else {
            return Some(GateFailure::Gone { node });
        };
        match container.status {
            ContainerStatus::Exited | ContainerStatus::Dead | ContainerStatus::Removing => {
                let exit_code = container.exit_code;
                return Some(GateFailure::Exited { node, exit_code, revision: None, log: None });
            }
            ContainerStatus::Restarting => return Some(GateFailure::Restarted { node }),
            ContainerStatus::Created | ContainerStatus::Running | ContainerStatus::Paused => {}
        }
        if container.restart_count > 0 {
            return Some(GateFailure::Restarted { node });
        }
        match report.effective_mode {
            Some(mode) if mode != wanted => Some(GateFailure::WrongMode { node, mode }),
            Some(_) | None => None,
        }
    }

    /// Why it is not healthy, in words.
    pub fn reason(&self) -> String {
        if let Some(problem) = &self.problem {
            return problem.clone();
        }
        let Some(report) = &self.last else {
            return "not looked at yet".to_owned();
        };
        let HealthReport { at: _, container, instance, endtoend, verdict, effective_mode: _ } =
            report;
        let status = container.as_ref().map(|container| container.status);
        match (verdict, status) {
            (HealthVerdict::Healthy, _) => "healthy".to_owned(),
            (HealthVerdict::Down, Some(status)) => format!("the container is {status}"),
            (HealthVerdict::Down, None) => "there is no container".to_owned(),
            (HealthVerdict::Unhealthy, _) => {
                let route = if instance.status == Some(200) { endtoend } else { instance };
                let failed: Vec<&str> = route
                    .services
                    .iter()
                    .filter(|(_, is_well)| !**is_well)
                    .map(|(name, _)| name.as_str())
                    .collect();
                match (failed.is_empty(), route.problem.is_empty()) {
                    (false, _) => format!("not well: {}", failed.join(", ")),
                    (true, false) => route.problem.clone(),
                    (true, true) => "no healthy answer yet".to_owned(),
                }
            }
        }
    }
}
