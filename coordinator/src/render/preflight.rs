//! What preflight found, and what its codes mean.

use quaymaster_proto::ClusterName;
use serde_json::{Value, json};

use super::figures::number;
use super::text::{Table, labelled, next_lines};
use super::{JSON_VERSION, Style, Tone};
use crate::plan::{ReleaseInMode, Window};
use crate::preflight::{Code, Finding, Findings, Page, Severity, Waivable, Waiver};

/// What the checks were for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CheckedFor {
    /// This window.
    Window(Window),
    /// None was asked for.
    NoWindow,
    /// None can be told: it is not known what the cluster runs.
    Unclear,
    /// None is needed.
    Nothing(ReleaseInMode),
}

/// Everything of one preflight.
#[derive(Clone, Copy, Debug)]
pub struct PreflightView<'a> {
    /// Of which cluster.
    pub cluster: &'a ClusterName,
    /// How many of its nodes were asked.
    pub nodes: usize,
    /// For what.
    pub checked_for: &'a CheckedFor,
    /// What was found.
    pub findings: &'a Findings,
    /// How a command begins.
    pub program: &'a str,
}

/// The screen: what refuses first.
pub fn preflight(view: &PreflightView<'_>, style: Style) -> String {
    let PreflightView { cluster, nodes, checked_for, findings, program } = *view;
    let what = match checked_for {
        CheckedFor::Window(Window { from, to, .. }) => {
            format!("   {from} {} {to}", style.arrow())
        }
        CheckedFor::Nothing(at) => format!("   on {at}, which is where this leads"),
        CheckedFor::NoWindow | CheckedFor::Unclear => String::new(),
    };
    let title = format!("Preflight of {cluster}, {}{what}", number(nodes, "node"));
    let mut out = style.paint(Tone::Heading, &title) + "\n";
    for (label, tone, finding) in in_order(findings) {
        out.push('\n');
        let text = labelled(label, &format!("{finding} [{}]", finding.code()));
        out.push_str(&text.replacen(label, &style.paint(tone, label), 1));
        out.push_str(&labelled("", &finding.remedy()));
    }
    out.push('\n');
    out.push_str(&labelled("in all", &counts(findings)));
    let unchecked = match checked_for {
        CheckedFor::NoWindow => "checks of a window: name the release with --to",
        CheckedFor::Unclear => "checks of a window, which begins where all nodes run the same",
        CheckedFor::Window(_) | CheckedFor::Nothing(_) => "",
    };
    if !unchecked.is_empty() {
        out.push_str(&labelled("not made", unchecked));
    }
    if let Some(next) = next(view) {
        out.push_str(&next_lines(program, &[next]));
    }
    out
}

fn in_order(findings: &Findings) -> impl Iterator<Item = (&'static str, Tone, &Finding)> {
    let refusals = findings.refusals().map(|finding| ("refused", Tone::Bad, finding));
    refusals.chain(findings.warnings().map(|finding| ("warning", Tone::Careful, finding)))
}

/// `1 refusal, which can be waived; 2 warnings; nothing was changed`
fn counts(findings: &Findings) -> String {
    let refusals: Vec<Code> = findings.refusals().map(Finding::code).collect();
    let waivable = refusals.iter().filter(|code| code.waivable() == Waivable::WithReason).count();
    let of_them = match (refusals.len(), waivable) {
        (_, 0) => String::new(),
        (all, waivable) if all == waivable => ", which can be waived with a reason".to_owned(),
        (_, waivable) => format!(", {waivable} of them can be waived with a reason"),
    };
    let warnings = findings.warnings().count();
    format!(
        "{}{of_them}; {}; nothing was changed",
        number(refusals.len(), "refusal"),
        number(warnings, "warning"),
    )
}

fn next(view: &PreflightView<'_>) -> Option<String> {
    let PreflightView { checked_for, findings, program, .. } = *view;
    if let Some(first) = findings.refusals().next() {
        return Some(format!("{program} explain {}", first.code()));
    }
    match checked_for {
        CheckedFor::Window(Window { number, of, to, .. }) => {
            let mode = match (number, of) {
                (1, 1) => " --mode synchronous",
                (1, _) => " --mode background",
                (_, _) => "",
            };
            Some(format!("{program} plan --to {}{mode}", to.release))
        }
        CheckedFor::NoWindow => Some(format!("{program} preflight --to RELEASE")),
        CheckedFor::Unclear | CheckedFor::Nothing(_) => None,
    }
}

/// The same for programs.
pub fn preflight_json(view: &PreflightView<'_>) -> Value {
    let PreflightView { cluster, nodes, checked_for, findings, program: _ } = *view;
    let window = match checked_for {
        CheckedFor::Window(window) => Some(window),
        CheckedFor::NoWindow | CheckedFor::Unclear | CheckedFor::Nothing(_) => None,
    };
    let all: Vec<Value> = in_order(findings)
        .map(|(_, _, finding)| {
            let code = finding.code();
            json!({
                "code": code,
                "severity": code.severity(),
                "node": finding.node(),
                "what": finding.to_string(),
                "remedy": finding.remedy(),
                "waivable": code.waivable() == Waivable::WithReason,
            })
        })
        .collect();
    json!({
        "version": JSON_VERSION,
        "preflight": {
            "cluster": cluster,
            "nodes": nodes,
            "window": window,
            "allows": findings.allow(),
            "refusals": findings.refusals().count(),
            "warnings": findings.warnings().count(),
            "findings": all,
        },
    })
}

/// A finding that does not count, and why.
pub(super) fn waived(waiver: &Waiver) -> String {
    let Waiver { code, because, by, at: _, found } = waiver;
    let found: Vec<&str> = found.iter().map(|waived| waived.words.as_str()).collect();
    labelled("waived", &format!("{} [{code}]: {because} ({by})", found.join("; ")))
}

/// The page of a code.
pub fn code(code: Code, style: Style) -> String {
    let Page { title, what, why, remedy } = code.page();
    let mut out = style.paint(Tone::Heading, &format!("{code}   {title}")) + "\n\n";
    out.push_str(&part("what", what));
    out.push_str(&part("why", why));
    out.push_str(&part("do", remedy));
    let severity = match code.severity() {
        Severity::Refuses => "It forbids the window.",
        Severity::Warns => "It is told, and forbids nothing.",
    };
    out.push_str(&match code.waivable() {
        Waivable::Never { because } => {
            labelled("counts", &format!("{severity} It can never be waived: {because}."))
        }
        Waivable::WithReason => {
            let words = format!("{severity} It can be waived, with a reason. For quaymaster plan:");
            let command = format!("--waive {code} --because \"WORDS\"");
            labelled("counts", &words) + "\n" + &next_lines_of(&command)
        }
    });
    out
}

fn next_lines_of(command: &str) -> String {
    format!("{:14}{command}\n", "")
}

/// Paragraphs are wrapped; commands stand as they are.
fn part(label: &str, text: &str) -> String {
    let mut out = String::new();
    for (index, paragraph) in text.split("\n\n").enumerate() {
        let label = if index == 0 { label } else { "" };
        if paragraph.starts_with("    ") {
            for line in paragraph.lines() {
                out.push_str(&next_lines_of(line.trim_start()));
            }
        } else {
            out.push_str(&labelled(label, &paragraph.replace('\n', " ")));
        }
        out.push('\n');
    }
    out
}

/// Every code, in one line each.
pub fn codes() -> String {
    let groups = [
        ("forbid a window, and are never waived", Severity::Refuses, false),
        ("forbid a window, and can be waived with a reason", Severity::Refuses, true),
        ("are told", Severity::Warns, true),
    ];
    let mut table = Table::default();
    for code in Code::ALL {
        table.row([code.to_string(), code.page().title.to_owned()]);
    }
    let lines = table.lines(2);
    let mut out = String::new();
    for (title, severity, waivable) in groups {
        let belongs = |code: &Code| {
            code.severity() == severity && (code.waivable() == Waivable::WithReason) == waivable
        };
        out.push_str(&format!("{title}\n"));
        for (_, line) in Code::ALL.iter().zip(&lines).filter(|(code, _)| belongs(code)) {
            out.push_str(line);
            out.push('\n');
        }
        out.push('\n');
    }
    out + "More about one of them: quaymaster explain CODE\n"
}

/// The page of a code for programs.
pub fn code_json(code: Code) -> Value {
    json!({ "version": JSON_VERSION, "code": of_code(code) })
}

/// Every code for programs.
pub fn codes_json() -> Value {
    let codes: Vec<Value> = Code::ALL.iter().map(|code| of_code(*code)).collect();
    json!({ "version": JSON_VERSION, "codes": codes })
}

fn of_code(code: Code) -> Value {
    let Page { title, what, why, remedy } = code.page();
    let never = match code.waivable() {
        Waivable::WithReason => None,
        Waivable::Never { because } => Some(because),
    };
    json!({
        "code": code,
        "severity": code.severity(),
        "title": title,
        "what": what,
        "why": why,
        "do": remedy,
        "waivable": never.is_none(),
        "never_waived_because": never,
    })
}
