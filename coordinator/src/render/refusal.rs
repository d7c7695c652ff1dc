//! Refusals and errors: what was tried, why it did not happen, what was
//! changed, what to do.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::text::wrapped;
use super::{JSON_VERSION, Style, Tone};
use crate::plan::drift::Drift;
use crate::preflight::waiver::NotWaived;
use crate::preflight::{Code, Findings};
use crate::survey::Silence;

/// Something that did not happen, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Complaint {
    /// What was tried and why it did not happen, in one fragment.
    pub what: String,
    /// Each reason where there are several, or the chain of causes.
    pub details: Vec<Detail>,
    /// What is so now: whether anything was changed, whether the registry
    /// serves. Empty where nothing was tried.
    pub standing: String,
    /// What to do next; may be empty.
    pub next: String,
}

/// One of several reasons.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Detail {
    /// What is so, and where.
    pub what: String,
    /// What to do about it; may be empty.
    pub remedy: String,
    /// What preflight calls it, where it is preflight's.
    pub code: Option<Code>,
}

impl Detail {
    /// One that has no name.
    pub fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into(), code: None }
    }
}

/// For everything that is refused before the first change.
const UNCHANGED: &str = "nothing was changed; the registry is as it was";

impl Complaint {
    /// An error and its chain of causes.
    pub fn of_error(error: &dyn std::error::Error, next: impl Into<String>) -> Self {
        let mut details = Vec::new();
        let mut cause = error.source();
        while let Some(error) = cause {
            details.push(Detail::new(error.to_string(), ""));
            cause = error.source();
        }
        // A list of mistakes is a list here too.
        let text = error.to_string();
        let mut lines = text.lines().map(|line| line.trim_start().to_owned());
        let what = lines.next().unwrap_or_default();
        let lines = lines.map(|what| Detail::new(what, ""));
        let details = lines.chain(details).collect();
        Self { what, details, standing: String::new(), next: next.into() }
    }

    /// What preflight refuses.
    pub fn of_findings(findings: &Findings) -> Self {
        let details: Vec<Detail> = findings
            .refusals()
            .map(|finding| Detail {
                code: Some(finding.code()),
                ..Detail::new(finding.to_string(), finding.remedy())
            })
            .collect();
        let what = match details.len() {
            1 => "one thing forbids the window".to_owned(),
            many => format!("{many} things forbid the window"),
        };
        let standing = UNCHANGED.to_owned();
        let next = "mend it, then plan again; more about [code]: quaymaster explain code";
        Self { what, details, standing, next: next.to_owned() }
    }

    /// What is not waived.
    pub fn of_waivers(refused: &[NotWaived]) -> Self {
        let detail = |why: &NotWaived| Detail {
            code: Some(why.code()),
            ..Detail::new(why.to_string(), why.remedy())
        };
        Self {
            what: "what was asked to be waived is not".to_owned(),
            details: refused.iter().map(detail).collect(),
            standing: UNCHANGED.to_owned(),
            next: String::new(),
        }
    }

    /// A plan that no longer fits the cluster.
    pub fn of_drift(plan: &str, drifts: &[Drift], next: impl Into<String>) -> Self {
        let details = drifts.iter().map(|drift| Detail::new(drift.to_string(), ""));
        Self {
            what: format!("plan {plan} is stale: the cluster changed after its survey"),
            details: details.collect(),
            standing: UNCHANGED.to_owned(),
            next: next.into(),
        }
    }

    /// Nodes that do not answer.
    pub fn of_silence<'a, N: std::fmt::Display>(
        silent: impl IntoIterator<Item = (N, &'a Silence)>,
    ) -> Self {
        let details: Vec<Detail> = silent
            .into_iter()
            .map(|(node, Silence { address, problem, remedy })| {
                Detail::new(format!("{node} ({address}): {problem}"), remedy)
            })
            .collect();
        let what = match details.len() {
            1 => "one node does not answer, and no node is ever skipped".to_owned(),
            many => format!("{many} nodes do not answer, and no node is ever skipped"),
        };
        Self { what, details, standing: UNCHANGED.to_owned(), next: String::new() }
    }
}

/// A complaint, for standard error.
pub fn complaint(complaint: &Complaint, style: Style) -> String {
    let Complaint { what, details, standing, next } = complaint;
    // Painted after wrapping, so that codes do not count as columns.
    let text = wrapped("error: ", what);
    let mut out = match text.strip_prefix("error:") {
        Some(rest) => style.paint(Tone::Bad, "error:") + rest,
        None => text,
    };
    for Detail { what, remedy, code } in details {
        let name = code.map(|code| format!(" [{code}]")).unwrap_or_default();
        let what = format!("{what}{name}");
        for (index, line) in what.lines().enumerate() {
            out.push_str(&wrapped(if index == 0 { "  - " } else { "    " }, line.trim_start()));
        }
        if !remedy.is_empty() {
            out.push_str(&wrapped("      ", remedy));
        }
    }
    if !standing.is_empty() {
        out.push_str(&wrapped("  now   ", standing));
    }
    if !next.is_empty() {
        let _ = write!(out, "{}", wrapped("  next  ", next));
    }
    out
}

/// The same for programs.
pub fn complaint_json(complaint: &Complaint) -> Value {
    let Complaint { what, details, standing, next } = complaint;
    let details: Vec<Value> = details
        .iter()
        .map(|Detail { what, remedy, code }| match code {
            None => json!({ "what": what, "remedy": remedy }),
            Some(code) => json!({
                "what": what,
                "remedy": remedy,
                "code": code,
                "severity": code.severity(),
            }),
        })
        .collect();
    json!({
        "version": JSON_VERSION,
        "error": { "what": what, "details": details, "standing": standing, "next": next },
    })
}
