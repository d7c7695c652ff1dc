//! The end of a window: what it took, next to what was forecast and to what no
//! order of the same steps could beat.

use std::time::Duration;

use quaymaster_proto::storage::KeptStorage;
use quaymaster_proto::{Component, NodeName};
use serde_json::{Value, json};

use super::figures::{bytes, count, duration, fraction, number};
use super::plan::newest_backup;
use super::text::{labelled, names, next_lines};
use super::words::{tags_left, what};
use super::{JSON_VERSION, Style, Tone, account, forecast, preflight};
use crate::plan::{CheckedPlan, Fate, Plan, PlannedBackup, What};
use crate::report::{Limit, Report};

/// The report of a finished run. `program` is how a command begins.
pub fn report(checked: &CheckedPlan, report: &Report, program: &str, style: Style) -> String {
    let plan = checked.plan();
    let window = &plan.window;
    let title = format!(
        "Window {} of {} done   {} {} {}   {} of {}",
        window.number,
        window.of,
        window.from,
        style.arrow(),
        window.to,
        report.nodes_done,
        number(plan.nodes.len(), "node"),
    );
    let mut out = style.paint(Tone::Good, &title) + "\n";
    let run = format!("{} on {}, plan {}", report.run, plan.cluster, checked.digest().short());
    out.push_str(&labelled("run", &run));
    out.push_str(&outage(report));
    out.push_str(&forecast::compared(plan, report));
    out.push_str(&labelled("backup", &backup(plan, report)));
    out.push_str(&labelled("in all", &duration(report.took)));
    if let Some(backfill) = &report.backfill {
        let words = format!(
            "{} done when its gate opened, {} of {} tags left to the window",
            fraction(backfill.progress),
            count(backfill.tags_remaining),
            count(backfill.total_tags)
        );
        out.push_str(&labelled("backfill", &words));
    }
    if let Some(words) = report.tags_left.as_ref().and_then(tags_left) {
        out.push_str(&labelled("tags", &words));
    }
    out.push_str(&account::labelled_lines(report.verified.as_ref()));
    if let Some(by) = &report.approved_by {
        out.push_str(&labelled("approved", by));
    }
    for (node, because) in &report.left_out {
        out.push_str(&labelled("left out", &left_out(node, because)));
    }
    if plan.waivers.is_empty() || !report.waived.is_empty() {
        out.push_str(&labelled("waived", &waived(report)));
    }
    for waiver in &plan.waivers {
        out.push_str(&preflight::waived(waiver));
    }
    for (component, words) in companions(plan) {
        out.push_str(&labelled(component.as_str(), &words));
    }
    out.push_str(&labelled("kept", &kept(report)));
    out.push_str(&next_lines(program, &next(checked, program)));
    out
}

/// What a person could put back by hand.
fn kept(report: &Report) -> String {
    format!(
        "on every node the old container, stopped, the old config.yaml beside the new, and in \
         {}.NODE.node its config directory and old specs",
        report.run
    )
}

/// How long it was dark, where that is over.
fn outage(report: &Report) -> String {
    let (Some(outage), Some(first)) = (report.outage, report.first_healthy) else {
        return String::new();
    };
    let over = report.limit.as_ref().map(|limit| outage.saturating_sub(limit.sum()));
    let over = over.map(|over| format!(", {} over its limit", duration(over))).unwrap_or_default();
    let (outage, first) = (duration(outage), duration(first));
    labelled("outage", &format!("{outage}{over}; first node healthy after {first}"))
}

/// What was kept of the database, or why nothing was.
fn backup(plan: &Plan, report: &Report) -> String {
    match (&plan.backup, &report.backup) {
        (PlannedBackup::Waived { because, newest }, _) => {
            format!("waived: {because}; {}", newest_backup(*newest, plan.surveyed_at))
        }
        (PlannedBackup::Taken { node, .. }, Some(backup)) => {
            let took = Duration::try_from(backup.took()).unwrap_or_default();
            format!(
                "{} verified, {} kept on {node} in {}{}",
                duration(took),
                bytes(backup.bytes),
                backup.directory,
                backup.storage.as_ref().map(storage).unwrap_or_default()
            )
        }
        (PlannedBackup::Taken { node, directory, .. }, None) => {
            format!("of {node}, in {directory}: nothing on record")
        }
    }
}

/// What was kept of the storage with it.
fn storage(kept: &KeptStorage) -> String {
    let took = duration(Duration::from_millis(kept.millis()));
    match kept {
        KeptStorage::Hooked { said, .. } if said.is_empty() => {
            format!("; the storage by the program there, in {took}")
        }
        KeptStorage::Hooked { said, .. } => {
            format!("; the storage by the program there, which says `{said}`, in {took}")
        }
        KeptStorage::Copied { files, bytes: size, reflinked, misnamed, .. } => {
            let how = if reflinked == files { ", sharing its bytes" } else { "" };
            let odd = match misnamed {
                0 => String::new(),
                misnamed => format!(
                    "; {} in the storage itself do not hold what their names say",
                    count_of(*misnamed)
                ),
            };
            let (number, size) = (count_of(*files), bytes(*size));
            format!("; of the storage {number}, {size}, copied in {took}{how}{odd}")
        }
    }
}

fn count_of(files: u64) -> String {
    match files {
        1 => "1 file".to_owned(),
        files => format!("{} files", count(i64::try_from(files).unwrap_or(i64::MAX))),
    }
}

/// What became of the containers beside the Quays.
fn companions(plan: &Plan) -> Vec<(Component, String)> {
    let of = |component: Component| {
        let having = plan
            .nodes
            .iter()
            .filter_map(|node| Some((node.name.clone(), node.companion(component)?.fate)));
        let (back, down): (Vec<_>, Vec<_>) = having.partition(|(_, fate)| fate.starts());
        let on = |nodes: Vec<(NodeName, Fate)>| {
            names(&nodes.into_iter().map(|(name, _)| name).collect::<Vec<_>>())
        };
        let words = [
            (!back.is_empty()).then(|| format!("back on {}", on(back))),
            (!down.is_empty()).then(|| format!("stopped on {} until a later window", on(down))),
        ];
        words.into_iter().flatten().collect::<Vec<_>>().join("; ")
    };
    plan.companions.keys().map(|component| (*component, of(*component))).collect()
}

/// What is left to be done about a node that a person gave up.
pub(super) fn left_out(node: &NodeName, because: &str) -> String {
    format!(
        "{node}: {because}. Take it out of cluster.yaml before the next plan; its Quay must not \
         reach the database again"
    )
}

fn waived(report: &Report) -> String {
    if report.waived.is_empty() {
        return "nothing".to_owned();
    }
    let one = |waiver: &crate::report::Waiver| {
        let because = waiver.because.as_deref().unwrap_or("no reason given");
        format!("{} by {}: {because}", what(What::Gate(waiver.gate)), waiver.by)
    };
    report.waived.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn next(checked: &CheckedPlan, program: &str) -> [String; 2] {
    let window = &checked.plan().window;
    if window.number < window.of {
        [
            format!("{program} plan --to {}", window.to.release),
            "its run waits for the backfill, and nothing is locked meanwhile".to_owned(),
        ]
    } else {
        [
            format!("{program} status"),
            if checked.plan().companions.is_empty() {
                "builders and Clair of the new release may start again".to_owned()
            } else {
                "everything is back".to_owned()
            },
        ]
    }
}

fn backup_json(plan: &Plan, report: &Report) -> Value {
    match (&plan.backup, &report.backup) {
        (PlannedBackup::Waived { because, newest }, _) => {
            json!({ "waived": because, "newest_known": newest })
        }
        (PlannedBackup::Taken { node, .. }, Some(backup)) => {
            json!({ "node": node, "taken": backup })
        }
        (PlannedBackup::Taken { node, .. }, None) => json!({ "node": node, "taken": null }),
    }
}

/// The same for programs. Times in seconds.
pub fn report_json(checked: &CheckedPlan, report: &Report) -> Value {
    let plan = checked.plan();
    let seconds = |duration: Duration| (duration.as_secs_f64() * 1000.0).round() / 1000.0;
    let limit = report.limit.as_ref().map(|limit| {
        let Limit { slowest_stop, slowest_companion, dark_gates, backup, first_node, slowest_rest } =
        limit;
        let part = |(node, took): &(NodeName, Duration)| {
            json!({ "node": node, "seconds": seconds(*took) })
        };
        json!({
            "seconds": seconds(limit.sum()),
            "slowest_stop": part(slowest_stop),
            "slowest_companion": slowest_companion.as_ref().map(part),
            "dark_gates_seconds": seconds(*dark_gates),
            "backup_seconds": backup.map(seconds),
            "first_node": part(first_node),
            "slowest_rest": slowest_rest.as_ref().map(part),
        })
    });
    let waived = report
        .waived
        .iter()
        .map(|waiver| json!({ "gate": waiver.gate, "by": waiver.by, "because": waiver.because }));
    json!({
        "version": JSON_VERSION,
        "report": {
            "cluster": plan.cluster,
            "run": report.run,
            "plan": checked.digest(),
            "window": plan.window,
            "nodes": plan.nodes.len(),
            "nodes_done": report.nodes_done,
            "took_seconds": seconds(report.took),
            "outage_seconds": report.outage.map(seconds),
            "first_healthy_seconds": report.first_healthy.map(seconds),
            "limit": limit,
            "forecast": plan.forecast,
            "backfill": report.backfill.map(|backfill| json!({
                "progress": backfill.progress,
                "tags_remaining": backfill.tags_remaining,
                "total_tags": backfill.total_tags,
            })),
            "tags_left": report.tags_left,
            "backup": backup_json(plan, report),
            "verification": report.verified.as_ref().map(|(account, waived)| {
                account::account_json(account, waived.as_ref())
            }),
            "approved_by": report.approved_by,
            "left_out": report.left_out.iter().map(|(node, because)| json!({
                "node": node,
                "because": because,
            })).collect::<Vec<_>>(),
            "waived": waived.collect::<Vec<_>>(),
            "waived_findings": plan.waivers,
        },
    })
}
