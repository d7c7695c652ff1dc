//! How long it should take, and what that rests on; afterwards, how long it
//! took beside it.

use std::time::Duration;

use quaymaster_proto::Mode;

use super::figures::{about, bytes, count, duration, range};
use super::text::{Table, labelled};
use crate::plan::{Advice, Basis, ForecastBackfill, ForecastPart, PartOfOutage, Plan};
use crate::report::{Limit, Report, Slowest};

/// What a plan says of it.
pub(super) fn expected(plan: &Plan) -> String {
    let forecast = &plan.forecast;
    let parts: Vec<String> = forecast
        .parts
        .iter()
        .map(|part| {
            let range = if part.basis == Basis::Unknown { "?".to_owned() } else { range(part) };
            format!("{} {range}", in_words(part.what, plan))
        })
        .collect();
    let outage = format!("{}: {}", sum(plan), parts.join(", "));
    let mut out = labelled("outage", &outage);
    if plan.is_lab {
        out.push_str(&labelled("", "(a real Quay's; this is a lab, whose time is scaled)"));
    }
    out.push_str(&labelled("assumes", &assumptions(&forecast.parts)));
    if let (Some(backfill), Some(tags)) = (&forecast.backfill, forecast.tags) {
        let ForecastBackfill { likely, tags_per_second, first_run_within } = backfill;
        let words = format!(
            "the backfill of {} tags, about {} once it has begun (up to {} after the start) at \
             {tags_per_second} tags a second and node; then the window to {}",
            count(tags),
            about(*likely),
            duration(*first_run_within),
            Mode::Complete
        );
        out.push_str(&labelled("later", &words));
    }
    if let Some(advice) = &forecast.advice {
        out.push_str(&labelled("advice", &advised(advice, plan.window.to.mode)));
    }
    out
}

/// Which of two ways is advised, and why; `planned` is the mode of the first
/// window that was chosen.
fn advised(advice: &Advice, planned: Mode) -> String {
    let way = if advice.first_mode == planned { "this way" } else { "the other way" };
    format!("{way}, {}", why(advice))
}

/// The same where nothing was chosen.
pub fn why(advice: &Advice) -> String {
    let Advice { first_mode, in_one, in_one_at_worst, in_first, in_second, between } = advice;
    let name = if *first_mode == Mode::Complete { "synchronous" } else { "background" };
    format!(
        "--mode {name}: in one go the registry would be dark for about {} (up to {}), in two \
         windows for about {} and {} with a backfill of about {} between them",
        about(*in_one),
        about(*in_one_at_worst),
        about(*in_first),
        about(*in_second),
        about(*between)
    )
}

/// What the figures rest on.
fn assumptions(parts: &[ForecastPart]) -> String {
    let elsewhere: Vec<&str> = parts
        .iter()
        .filter(|part| part.basis == Basis::Catalogue)
        .map(|part| name(part.what))
        .collect();
    let elsewhere = unrepeated(elsewhere).join(" and ");
    let mut words: Vec<String> = parts.iter().filter_map(assumed).collect();
    if !elsewhere.is_empty() {
        words.push(format!("{elsewhere} as seen elsewhere"));
    }
    unrepeated(words).join("; ")
}

fn name(part: PartOfOutage) -> &'static str {
    match part {
        PartOfOutage::Stop => "Quay's stop",
        PartOfOutage::CompanionStop => "Clair's stop",
        PartOfOutage::Backup => "the backup",
        PartOfOutage::StorageCopy | PartOfOutage::StorageReflinks => "the storage's copy",
        PartOfOutage::StorageHook => "the storage's hook",
        PartOfOutage::Schema => "schema",
        PartOfOutage::Tags => "the tags",
        PartOfOutage::FirstStart | PartOfOutage::RestStart => "starts",
    }
}

/// What one part's figures rest on; `None` = its range says it, or it is said
/// of several at once.
fn assumed(part: &ForecastPart) -> Option<String> {
    let name = name(part.what);
    let words = match &part.basis {
        Basis::Grace { is_burned: false } | Basis::Catalogue => return None,
        Basis::Grace { is_burned: true } => format!("{name} takes its whole grace"),
        Basis::Measured { run } => format!("{name} as in run {run}"),
        Basis::Unknown => format!("what {name} takes is not known, and not in the sum"),
        Basis::Rate { amount, slowest, fastest, measured } => {
            let (what, rates) = amount_and_rates(part.what, *amount, (*slowest, *fastest));
            let basis = match (measured, part.what) {
                (Some(run), _) => format!("as in run {run}"),
                (None, PartOfOutage::Tags) => "as seen elsewhere".to_owned(),
                (None, _) => "a guess until the first one here".to_owned(),
            };
            format!("{what} at {rates} a second, {basis}")
        }
    };
    Some(words)
}

/// How much of what, and how much of it in a second.
fn amount_and_rates(
    part: PartOfOutage,
    amount: u64,
    (slowest, fastest): (u64, u64),
) -> (String, String) {
    let in_megabytes = format!("{} to {} MB", megabytes(slowest), megabytes(fastest));
    let in_number = format!("{slowest} to {fastest}");
    let number = || count(i64::try_from(amount).unwrap_or(i64::MAX));
    match part {
        PartOfOutage::Backup => {
            (format!("a backup of {} of database", bytes(amount)), in_megabytes)
        }
        PartOfOutage::StorageCopy => {
            (format!("a copy of up to {} of storage", bytes(amount)), in_megabytes)
        }
        PartOfOutage::StorageReflinks => {
            (format!("up to {} files of storage that share their bytes", number()), in_number)
        }
        PartOfOutage::Stop
        | PartOfOutage::CompanionStop
        | PartOfOutage::StorageHook
        | PartOfOutage::Schema
        | PartOfOutage::Tags
        | PartOfOutage::FirstStart
        | PartOfOutage::RestStart => (format!("{} tags", number()), in_number),
    }
}

fn megabytes(bytes: u64) -> String {
    let rate = bytes as f64 / 1e6;
    if rate < 9.95 {
        format!("{rate:.1}").trim_end_matches(".0").to_owned()
    } else {
        format!("{rate:.0}")
    }
}

fn unrepeated<T: PartialEq>(mut words: Vec<T>) -> Vec<T> {
    words.dedup();
    words
}

/// `about 28 min (11 min to 89 min)`.
fn sum(plan: &Plan) -> String {
    let forecast = &plan.forecast;
    let (best, worst) = (about(forecast.at_best), about(forecast.at_worst));
    format!("about {} ({best} to {worst})", about(forecast.outage))
}

fn in_words(part: PartOfOutage, plan: &Plan) -> String {
    match part {
        PartOfOutage::Stop => "stop".to_owned(),
        PartOfOutage::CompanionStop => "stop of clair".to_owned(),
        PartOfOutage::Backup => "backup".to_owned(),
        PartOfOutage::StorageCopy | PartOfOutage::StorageReflinks => {
            "copy of the storage".to_owned()
        }
        PartOfOutage::StorageHook => "hook of the storage".to_owned(),
        PartOfOutage::Schema => "schema".to_owned(),
        PartOfOutage::Tags => "tags that are left".to_owned(),
        PartOfOutage::FirstStart => format!("start of {}", plan.first),
        PartOfOutage::RestStart => "start of the rest".to_owned(),
    }
}

/// Each part of an outage as it was forecast and as it was, and their sum: the
/// limit, which no order of the same steps could beat.
pub(super) fn compared(plan: &Plan, report: &Report) -> String {
    let Some(limit) = &report.limit else {
        return labelled("forecast", &sum(plan));
    };
    let Limit { slowest_stop, slowest_companion, dark_gates, backup, first_node, slowest_rest } =
        limit;
    let migrated = [PartOfOutage::Schema, PartOfOutage::Tags, PartOfOutage::FirstStart];
    let kept = [
        PartOfOutage::Backup,
        PartOfOutage::StorageCopy,
        PartOfOutage::StorageReflinks,
        PartOfOutage::StorageHook,
    ];
    let by = |(node, took): &Slowest| (*took, node.to_string());
    let backup_node = plan.backup.node().map(ToString::to_string).unwrap_or_default();
    let parts = [
        ("stop", vec![PartOfOutage::Stop], Some(by(slowest_stop))),
        ("stop of clair", vec![PartOfOutage::CompanionStop], slowest_companion.as_ref().map(by)),
        ("dark gates", Vec::new(), Some((*dark_gates, String::new()))),
        ("backup", kept.to_vec(), backup.map(|took| (took, backup_node))),
        ("first node", migrated.to_vec(), Some(by(first_node))),
        ("the rest", vec![PartOfOutage::RestStart], slowest_rest.as_ref().map(by)),
    ];
    let mut table = Table::default();
    table.row(["", "forecast", "", "took", "slowest"].map(str::to_owned));
    for (name, of, took) in parts {
        let Some((took, slowest)) = took else { continue };
        let (likely, range) = forecast_of(plan, &of);
        table.row([name.to_owned(), likely, range, duration(took), slowest]);
    }
    let all: Vec<PartOfOutage> = plan.forecast.parts.iter().map(|part| part.what).collect();
    let (likely, range) = forecast_of(plan, &all);
    table.row(["limit".to_owned(), likely, range, duration(limit.sum()), String::new()]);
    let mut out = String::new();
    for line in table.lines(10) {
        out.push_str(&line);
        out.push('\n');
    }
    if plan.is_lab {
        out.push_str(&labelled("", "(the forecast is a real Quay's; a lab's time is scaled)"));
    }
    out
}

/// What was forecast for these parts together, and its range.
fn forecast_of(plan: &Plan, of: &[PartOfOutage]) -> (String, String) {
    let parts: Vec<&ForecastPart> =
        plan.forecast.parts.iter().filter(|part| of.contains(&part.what)).collect();
    if parts.is_empty() {
        return (String::new(), String::new());
    }
    let sum = |duration: fn(&ForecastPart) -> Duration| {
        about(parts.iter().map(|part| duration(part)).sum())
    };
    let (best, worst) = (sum(|part| part.at_best), sum(|part| part.at_worst));
    let range = if best == worst { String::new() } else { format!("{best} to {worst}") };
    (sum(|part| part.likely), range)
}
