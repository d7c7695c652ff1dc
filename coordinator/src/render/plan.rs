//! A plan as people read it: what happens in which order, where the point of
//! no return is, how long it takes, what to type next.

use std::time::Duration;

use jiff::Timestamp;
use quaymaster_proto::Component;
use quaymaster_proto::preview::SpecFinding;

use super::figures::{about, moment, number};
use super::text::{Table, WIDTH, labelled, names, next_lines, width, wrapped};
use super::{Style, Tone, forecast, preflight};
use crate::plan::{
    CheckedPlan, Gate, Plan, PlannedBackup, PlannedContainer, PlannedImage, PlannedNode,
    PlannedStorage, PlannedWarning, ReleaseInMode, Stage, Step, Verb, What, Width,
};
use crate::report::between;

mod companions;

/// Where the nodes of a step stand on its line, so that eyes find them.
const NODES_AT: usize = 71;

/// A plan. `next` is the command that runs it, as it is to be typed.
pub fn plan(checked: &CheckedPlan, now: Timestamp, next: &str, style: Style) -> String {
    let plan = checked.plan();
    let mut out = head(checked, now, style);
    out.push('\n');
    out.push_str(&steps(plan, style));
    out.push('\n');
    out.push_str(&nodes(plan, style));
    out.push_str(&carry_over(plan));
    out.push_str(&companions::lines(plan));
    out.push('\n');
    out.push_str(&forecast::expected(plan));
    for PlannedWarning { code, words, remedy: _ } in &plan.warnings {
        out.push_str(&labelled("warning", &format!("{words} [{code}]")));
    }
    for waiver in &plan.waivers {
        out.push_str(&preflight::waived(waiver));
    }
    out.push_str(&totals(plan));
    out.push_str(&next_lines("quaymaster", &[next.to_owned()]));
    out
}

/// The answer where a plan has nothing to change.
pub fn nothing_to_do(at: &ReleaseInMode, nodes: usize) -> String {
    let nodes = number(nodes, "node");
    format!("nothing to do: {nodes} on {at}, which is where this leads\n")
}

fn head(checked: &CheckedPlan, now: Timestamp, style: Style) -> String {
    let plan = checked.plan();
    let window = &plan.window;
    let arrow = style.arrow();
    let title = format!(
        "Window {} of {}   {} {arrow} {}   {}, {}",
        window.number,
        window.of,
        window.from,
        window.to,
        plan.cluster,
        number(plan.nodes.len(), "node")
    );
    let database = &plan.database;
    let mut out = style.paint(Tone::Heading, &title) + "\n";
    out.push_str(&labelled(
        "plan",
        &format!(
            "{}, from a survey {} old, of {}",
            checked.digest().short(),
            about(between(plan.surveyed_at, now)),
            moment(plan.surveyed_at)
        ),
    ));
    out.push_str(&labelled(
        "database",
        &format!(
            "{} ({}), {} {arrow} {}",
            database.shown_as, database.kind, database.revision, database.target
        ),
    ));
    let image = match &plan.image {
        new @ (PlannedImage::Pull { .. } | PlannedImage::Loaded { .. }) => image_in_words(new),
        PlannedImage::Present { image } => {
            format!("the one that runs already, {}; only the mode changes", image.short())
        }
    };
    out.push_str(&labelled("backup", &backup(plan)));
    out.push_str(&labelled(
        "kept",
        "before the dark, by each node: config directory and containers' specs",
    ));
    out.push_str(&labelled("image", &image));
    out.push_str(&labelled(
        "config",
        &format!("V3_UPGRADE_MODE {} {arrow} {}, nothing else", window.from.mode, window.to.mode),
    ));
    out
}

fn backup(plan: &Plan) -> String {
    match &plan.backup {
        PlannedBackup::Taken { node, directory, storage } => {
            format!(
                "in the dark, by {node} into {directory}, read back before anything changes{}",
                storage_in_words(storage)
            )
        }
        PlannedBackup::Waived { because, newest } => {
            format!("NONE, waived: {because}; {}", newest_backup(*newest, plan.surveyed_at))
        }
    }
}

fn storage_in_words(storage: &PlannedStorage) -> String {
    match storage {
        PlannedStorage::Left => String::new(),
        PlannedStorage::Copied { from } => {
            format!("; with it the storage, {}", from.join(" and "))
        }
        PlannedStorage::Hooked => "; with it the storage, by the program of yours there".to_owned(),
    }
}

/// How old the newest backup is that anybody knows of.
pub(super) fn newest_backup(newest: Option<Timestamp>, now: Timestamp) -> String {
    match newest {
        Some(newest) => format!("the newest known is {} old", about(between(newest, now))),
        None => "no agent knows of an earlier one".to_owned(),
    }
}

fn image_in_words(image: &PlannedImage) -> String {
    match image {
        PlannedImage::Pull { repository, tag, digest } => {
            format!("{repository}:{tag} {}", short(digest.as_str()))
        }
        PlannedImage::Loaded { reference, image } => {
            format!("{reference}, on every node already: {}", image.short())
        }
        PlannedImage::Present { image } => {
            format!("the image that runs already, {}", image.short())
        }
    }
}

/// `sha256:91ab54c0d2e1…` as much as a person compares.
fn short(digest: &str) -> &str {
    digest.get(..19).unwrap_or(digest)
}

fn steps(plan: &Plan, style: Style) -> String {
    let mut out = String::new();
    let mut stage = None;
    for step in &plan.steps {
        if step.stage == Stage::Beyond && stage != Some(Stage::Beyond) {
            out.push_str(&point_of_no_return(style));
        }
        let label = match (step.stage, stage == Some(step.stage)) {
            (Stage::Serving, false) => "serving",
            (Stage::Dark, false) => "dark",
            (_, _) => "",
        };
        stage = Some(step.stage);
        let (verb, words) = describe(plan, step, style);
        let head = format!("{label:<8} {:>2}  {verb:<8} ", step.number.get());
        let text = wrapped(&head, &words);
        out.push_str(&with_nodes(&text, &by_whom(plan, step)));
    }
    out
}

/// How many nodes do it; a gate is the run's own.
fn by_whom(plan: &Plan, step: &Step) -> String {
    match (step.what, step.width) {
        (What::Gate(_), _) | (_, Width::First | Width::One) => String::new(),
        (What::Act(_), _) if plan.nodes.len() == 1 => String::new(),
        (
            What::Act(_),
            Width::All | Width::Rest | Width::Having | Width::Stopped | Width::Writers,
        ) => number(step.nodes.len(), "node"),
    }
}

/// A column on the right of the first line, where it is free.
fn with_nodes(text: &str, nodes: &str) -> String {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    if nodes.is_empty() || width(first) + 2 > NODES_AT {
        return text.to_owned();
    }
    format!("{first:<NODES_AT$}{nodes}\n{rest}")
}

fn point_of_no_return(style: Style) -> String {
    let words = " point of no return: from here only a restore of the database leads back ";
    let line = style.line();
    let missing = WIDTH.saturating_sub(words.len());
    let (left, right) = (missing / 2, missing - missing / 2);
    let text = format!("{}{words}{}", line.repeat(left), line.repeat(right));
    style.paint(Tone::Bad, &text) + "\n"
}

/// The verb and the rest of a step's line.
fn describe(plan: &Plan, step: &Step, style: Style) -> (&'static str, String) {
    if step.component != Component::Quay {
        return companions::describe(plan, step);
    }
    match step.what {
        What::Act(Verb::Pull) => ("pull", "the image, by its digest".to_owned()),
        What::Act(Verb::StageContainer) => ("stage", "the next container, not started".to_owned()),
        What::Act(Verb::StageConfig) => {
            ("stage", "the next config.yaml beside this one".to_owned())
        }
        What::Act(Verb::Stop) => {
            let grace = plan.timings.stop_grace_seconds;
            ("stop", format!("Quay: restart policy no, then {grace} s grace"))
        }
        What::Act(Verb::SetFloor) => {
            ("floor", format!("{} may not run here any more", plan.window.from))
        }
        What::Act(Verb::BackUp) => {
            let node = plan.backup.node().unwrap_or(&plan.first);
            let what = match plan.backup.storage() {
                PlannedStorage::Left => "the database",
                PlannedStorage::Copied { .. } | PlannedStorage::Hooked => {
                    "the database and the storage"
                }
            };
            ("backup", format!("{what}, by {node}, and read it back"))
        }
        What::Act(Verb::PutConfig) => ("config", "the staged file put in place".to_owned()),
        What::Act(Verb::StartMigrating) => {
            let (from, to) = (&plan.database.revision, &plan.database.target);
            ("migrate", format!("{} alone and once: {from} {} {to}", plan.first, style.arrow()))
        }
        What::Act(Verb::Start) => {
            ("start", "the others, each on proof of its own database".to_owned())
        }
        What::Act(Verb::Promote) => {
            ("promote", "the known name and the restart policy back".to_owned())
        }
        What::Act(
            Verb::RemoveStaged
            | Verb::RemoveStagedConfig
            | Verb::RestoreConfig
            | Verb::LowerFloor
            | Verb::Recreate
            | Verb::CheckBackup
            | Verb::TakeDown
            | Verb::Restore,
        ) => ("back", String::new()),
        What::Gate(gate) => ("gate", describe_gate(plan, gate)),
    }
}

fn describe_gate(plan: &Plan, gate: Gate) -> String {
    let timings = &plan.timings;
    match gate {
        Gate::Backfill => format!(
            "{:.0} % of the tags mapped, {} samples in a row",
            timings.backfill.threshold * 100.0,
            timings.backfill.samples
        ),
        Gate::Approval => "a person agrees to the outage and to what follows".to_owned(),
        Gate::Unchanged => "nothing changed since the survey".to_owned(),
        Gate::Dark if plan.database.kind == "sqlite" => {
            "no Quay runs (this database has no list of sessions)".to_owned()
        }
        Gate::Dark if timings.expected_sessions.is_empty() => {
            "no Quay runs, no database session but the agents'".to_owned()
        }
        Gate::Dark => format!(
            "no Quay runs, no database session but the agents' and {}",
            timings.expected_sessions.join(", ")
        ),
        Gate::FirstNode => {
            let lasting = match timings.healthy_for {
                Duration::ZERO => String::new(),
                healthy_for => format!(" for {}", super::duration(healthy_for)),
            };
            let (first, target) = (&plan.first, &plan.database.target);
            format!("{first} at {target}, in {}, healthy{lasting}", plan.window.to.mode)
        }
        Gate::Healthy => "each of them healthy, in the planned mode".to_owned(),
        Gate::Verified => "a client pushes and pulls at every node".to_owned(),
    }
}

fn nodes(plan: &Plan, style: Style) -> String {
    let named = node_rows(plan, true);
    let fits = named.iter().all(|row| width(row) <= WIDTH);
    let rows = if fits { named } else { node_rows(plan, false) };
    let mut rows = rows.into_iter();
    let heading = rows.next().unwrap_or_default();
    let mut out = style.paint(Tone::Faint, &heading) + "\n";
    for row in rows {
        out.push_str(&row);
        out.push('\n');
    }
    out
}

fn node_rows(plan: &Plan, with_names: bool) -> Vec<String> {
    let mut table = Table::default();
    table.row(["node", "agent", "container", "config.yaml"].map(str::to_owned));
    for node in &plan.nodes {
        let config = &node.config;
        let change = if config.from == config.to {
            "is so already".to_owned()
        } else if config.writer != node.name {
            format!("shared with {}", config.writer)
        } else {
            let verb = if config.inserted { "added" } else { "changed" };
            format!("line {} {verb}", config.line)
        };
        let first = if node.name == plan.first { " *" } else { "" };
        let id = node.quay.container.short();
        let container = if with_names { format!("{} {id}", node.quay.name) } else { id.to_owned() };
        table.row([format!("{}{first}", node.name), node.address.clone(), container, change]);
    }
    table.lines(0)
}

/// What becomes of specs, said once for nodes that differ in a detail alone,
/// such as the host's address.
fn carry_over(plan: &Plan) -> String {
    let mut out = said(plan, "container", |node| Some(&node.quay));
    for component in plan.companions.keys() {
        out.push_str(&said(plan, component.as_str(), |node| node.container(*component)));
    }
    out
}

fn said<'a>(
    plan: &'a Plan,
    label: &str,
    container: impl Fn(&'a PlannedNode) -> Option<&'a PlannedContainer>,
) -> String {
    let mut said: Vec<(&SpecFinding, Vec<&SpecFinding>, Vec<String>)> = Vec::new();
    for node in &plan.nodes {
        for finding in container(node).map(|of| of.findings.as_slice()).unwrap_or_default() {
            let is_it = |known: &SpecFinding| {
                known.subject == finding.subject && known.verdict == finding.verdict
            };
            match said.iter_mut().find(|(known, _, _)| is_it(known)) {
                Some((_, all, nodes)) => {
                    all.push(finding);
                    nodes.push(node.name.to_string());
                }
                None => said.push((finding, vec![finding], vec![node.name.to_string()])),
            }
        }
    }
    let mut out = String::new();
    for (finding, all, nodes) in said {
        let SpecFinding { verdict: _, subject, reason } = finding;
        let is_one = all.iter().all(|other| other.reason == *reason);
        let on = match (is_one, nodes.len() == plan.nodes.len()) {
            (true, true) => String::new(),
            (true, false) => format!(" (on {})", names(&nodes)),
            (false, _) => {
                let first = nodes.first().map(String::as_str).unwrap_or_default();
                let others = number(nodes.len().saturating_sub(1), "other node");
                format!(" ({first}; likewise on {others})")
            }
        };
        out.push_str(&labelled(label, &format!("{subject}: {reason}{on}")));
    }
    out
}

fn totals(plan: &Plan) -> String {
    let is_gate = |step: &&Step| matches!(step.what, What::Gate(_));
    let gates = plan.steps.iter().filter(is_gate).count();
    let waived = match plan.waivers.len() {
        0 => String::new(),
        waived => format!(", {waived} waived"),
    };
    let words = format!(
        "{}, {} of them gates; {}; {}{waived}; nothing was changed by planning",
        number(plan.steps.len(), "step"),
        gates,
        number(plan.nodes.len(), "node"),
        number(plan.warnings.len(), "warning"),
    );
    labelled("in all", &words)
}
