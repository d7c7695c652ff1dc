//! The others' gate: each of them is healthy, and stays so.

use std::time::Duration;

use quaymaster_proto::NodeName;

use crate::gates::health::Course;
use crate::gates::{Judgement, unanswered, wait_up_to};
use crate::plan::Plan;
use crate::run::{Evidence, WaitingOn};

/// Judges what is known of these nodes. Their agents have themselves read the
/// target revision before they started anything.
pub fn judge(plan: &Plan, courses: &[Course], waited: Duration) -> Judgement {
    let wanted = plan.window.to.mode;
    if let Some(failure) = courses.iter().find_map(|course| course.failure(wanted)) {
        return Judgement::Fail(failure);
    }
    // The first node needed longer than any other will: it migrated.
    let limit = plan.timings.first_node_limit;
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

fn named(courses: &[Course], what: impl Fn(&Course) -> Option<String>) -> Vec<(NodeName, String)> {
    courses.iter().filter_map(|course| Some((course.node().clone(), what(course)?))).collect()
}
