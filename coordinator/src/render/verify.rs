//! A verification: place by place what passed, what did not and what was not checked.

use std::fmt::Write as _;
use std::path::Path;

use quaymaster_proto::{ClusterName, Mode};
use serde_json::{Value, json};

use super::text::{labelled, next_lines, wrapped};
use super::{JSON_VERSION, Style, Tone, moment};
use crate::verify::{Checked, Outcome, Place, Sample, Verification};

/// The width of the checks' titles.
const TITLE: usize = 18;

/// The screen.
pub fn verification(
    cluster: &ClusterName,
    seen: &Verification,
    program: &str,
    style: Style,
) -> String {
    let (passed, failed, left) = seen.counts();
    let (verdict, tone) = match (seen.is_good(), left) {
        (true, 0) => ("verified", Tone::Good),
        (true, _) => ("verified in part", Tone::Careful),
        (false, _) => ("NOT verified", Tone::Bad),
    };
    let what = seen.generation.as_ref().map_or_else(
        || "no common release".to_owned(),
        |found| match found.mode {
            Mode::Absent => found.release.clone(),
            mode @ (Mode::Background | Mode::Complete | Mode::Other) => {
                format!("{} in {mode}", found.release)
            }
        },
    );
    let head = format!("{cluster}   {what}   {}   ", moment(seen.at));
    let mut out = style.paint(Tone::Heading, &head) + &style.paint(tone, verdict) + "\n";
    for place in &seen.places {
        out.push('\n');
        out.push_str(&of_place(place, style));
    }
    let counts = format!("{passed} passed, {failed} failed, {left} not checked");
    out.push('\n');
    out.push_str(&labelled("checks", &counts));
    let next = match (failed, left) {
        (0, 0) => return out,
        (0, _) => "see what was not checked, and why".to_owned(),
        _ => format!("mend what it says, then: {program} verify"),
    };
    out.push_str(&next_lines(program, &[next]));
    out
}

fn of_place(place: &Place, style: Style) -> String {
    let Place { name, at, checked, retried } = place;
    let mut out = String::new();
    let title = match at.as_str() {
        at if at.is_empty() || at == name => name.clone(),
        at => format!("{name}   {at}"),
    };
    let _ = writeln!(out, "{}", style.paint(Tone::Heading, &title));
    for checked in checked {
        out.push_str(&of_check(checked, style));
    }
    for retried in retried {
        out.push_str(&wrapped(&format!("  {:6} {:TITLE$} ", "again", "asked again"), retried));
    }
    out
}

fn of_check(checked: &Checked, style: Style) -> String {
    let title = checked.check.title();
    let head =
        |word: &str, tone| format!("  {} {title:TITLE$} ", style.paint(tone, &format!("{word:6}")));
    match &checked.outcome {
        Outcome::Passed { evidence } => wrapped(&head("ok", Tone::Good), evidence),
        Outcome::Unverified { why } => wrapped(&head("left", Tone::Careful), &why.to_string()),
        Outcome::Failed { faults } => faults
            .iter()
            .map(|fault| {
                wrapped(&head("FAILED", Tone::Bad), &fault.to_string())
                    + &wrapped(&format!("  {:6} {:TITLE$} ", "", "do"), &fault.remedy())
            })
            .collect(),
    }
}

/// The same for programs.
pub fn verification_json(seen: &Verification) -> Value {
    let (passed, failed, left) = seen.counts();
    let places: Vec<Value> = seen.places.iter().map(place_json).collect();
    json!({
        "version": JSON_VERSION,
        "verification": {
            "at": seen.at,
            "verified": seen.is_good(),
            "generation": seen.generation,
            "passed": passed,
            "failed": failed,
            "not_checked": left,
            "places": places,
        },
    })
}

fn place_json(place: &Place) -> Value {
    let Place { name, at, checked, retried } = place;
    let checks: Vec<Value> = checked.iter().map(check_json).collect();
    json!({ "name": name, "at": at, "checks": checks, "retried": retried })
}

fn check_json(checked: &Checked) -> Value {
    let Checked { check, outcome } = checked;
    match outcome {
        Outcome::Passed { evidence } => {
            json!({ "check": check, "outcome": "passed", "evidence": evidence })
        }
        Outcome::Unverified { why } => {
            json!({ "check": check, "outcome": "not-checked", "why": why.to_string() })
        }
        Outcome::Failed { faults } => {
            let faults: Vec<Value> = faults
                .iter()
                .map(|fault| {
                    json!({ "what": fault.to_string(), "remedy": fault.remedy(), "fault": fault })
                })
                .collect();
            json!({ "check": check, "outcome": "failed", "faults": faults })
        }
    }
}

/// A sample that was taken.
pub fn sampled(sample: &Sample, path: &Path, program: &str) -> String {
    let (tags, images) = sample.counts();
    let mut out = labelled(
        "sample",
        &format!(
            "{tags} tags of {} repositories, {images} images, in {}",
            sample.repositories.len(),
            path.display()
        ),
    );
    let next = format!("{program} verify --against {}", path.display());
    out.push_str(&next_lines(program, &[next]));
    out
}
