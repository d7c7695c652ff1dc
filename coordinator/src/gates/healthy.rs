//! The gate of what was started last, the other Quays or a companion: each of
//! them is healthy, and stays so.

use std::time::Duration;

use quaymaster_proto::{Component, NodeName};

use crate::gates::health::Course;
use crate::gates::{Judgement, unanswered, wait_up_to};
use crate::plan::Plan;
use crate::run::{Evidence, WaitingOn};

/// Neither a builder nor Clair has anything to do before it says how it is; the
/// registry serves meanwhile, so a person may as well look.
const COMPANION: Duration = Duration::from_mins(10);

/// Judges what is known of these nodes. Their agents have themselves read the
/// target revision before they started anything.
pub fn judge(plan: &Plan, component: Component, courses: &[Course], waited: Duration) -> Judgement {
    let wanted = plan.window.to.mode;
    if let Some(failure) = courses.iter().find_map(|course| course.failure(wanted)) {
        return Judgement::Fail(failure);
    }
    let limit = limit(plan, component);
    let silent = named(courses, |course| course.silence().map(str::to_owned));
    if !silent.is_empty() {
        let longest = courses.iter().map(|course| course.silent_for(waited)).max();
        return unanswered(silent, longest.unwrap_or_default());
    }
    let sick = named(courses, |course| match course.healthy_since() {
        Some(_) => None,
        None => Some(course.reason()),
    });
    if !sick.is_empty() {
        return wait_up_to(limit, waited, WaitingOn::Health { nodes: sick });
    }
    let needed = plan.timings.healthy_for;
    if courses.iter().any(|course| course.left(needed) != Some(Duration::ZERO)) {
        return wait_up_to(limit, waited, WaitingOn::Lasting { needed });
    }
    let healthy_at = courses
        .iter()
        .filter_map(|course| Some((course.node().clone(), course.healthy_since()?)))
        .collect();
    Judgement::Pass(Evidence::Healthy { healthy_at })
}

fn limit(plan: &Plan, component: Component) -> Duration {
    // The first node needed longer than any other Quay will: it migrated.
    let longest = plan.timings.first_node_limit;
    if component.migrates() { longest } else { longest.min(COMPANION) }
}

fn named(courses: &[Course], what: impl Fn(&Course) -> Option<String>) -> Vec<(NodeName, String)> {
    courses.iter().filter_map(|course| Some((course.node().clone(), what(course)?))).collect()
}
