//! The status screen that stays: how old it is, and what changed meanwhile.

use std::time::Duration;

use quaymaster_proto::{Component, Mode, NodeName};
use serde_json::{Value, json};

use super::{StatusView, foot, head, lines, status_json, table};
use crate::render::figures::{about, clock, duration, time};
use crate::render::text::{LABEL, beside, cut, labelled_to, padded, width};
use crate::render::{Size, Style, Tone};
use crate::report::between;
use crate::watch::{Change, Happened};

/// A status screen within a watch.
#[derive(Clone, Copy, Debug)]
pub struct Watched<'a> {
    /// The screen; its `watch` is what the rest rests on.
    pub status: &'a StatusView<'a>,
    /// Between two looks at a node.
    pub interval: Duration,
    /// How long ago the oldest answer came that is shown.
    pub age: Option<Duration>,
    /// How it is ended; empty where nobody sits before it.
    pub ends: &'a str,
}

/// What a change is called a while after it.
const FRESH: Duration = Duration::from_secs(60);
/// From here on the changes stand beside the rest.
const TWO_COLUMNS: usize = 120;
/// How many changes are shown, and how many in a low terminal.
const CHANGES: usize = 5;
const FEW_CHANGES: usize = 3;
const LOW: usize = 32;
/// Node rows that are shown however low the terminal is.
const FEWEST_ROWS: usize = 5;

/// The screen, as lines; of many nodes those that matter.
pub fn watched(watched: &Watched<'_>, size: Size, style: Style) -> Vec<String> {
    let Watched { status: view, .. } = *watched;
    let columns = size.columns;
    let own = |text: String| text.lines().map(str::to_owned).collect::<Vec<String>>();
    let mut out = own(head(view, columns, style));
    let foot = own(foot(view, columns, style));
    let most = if size.rows.is_some_and(|rows| rows < LOW) { FEW_CHANGES } else { CHANGES };
    let changes = changes(view, most, style);
    let below = if columns >= TWO_COLUMNS && !changes.is_empty() {
        let half = (columns - 3) / 2;
        let narrow = own(super::foot(view, half, style));
        beside(&narrow, &changes, (half, columns - 3 - half), style)
    } else {
        foot.into_iter().chain(changes).collect()
    };
    let pulse = own(pulse(watched, columns));
    let room = size.rows.map(|rows| {
        rows.saturating_sub(out.len() + below.len() + pulse.len() + 2).max(FEWEST_ROWS)
    });
    out.push(String::new());
    out.extend(table(&lines(view), Size { columns, rows: room }, style));
    out.push(String::new());
    out.extend(below);
    out.extend(pulse.iter().map(|line| style.paint(Tone::Faint, line)));
    // What is left at the end is not cut: its commands can be copied.
    let Some(rows) = size.rows else { return out };
    if out.len() > rows {
        out.retain(|line| !line.is_empty());
        out.truncate(rows);
    }
    out.iter().map(|line| cut(line, columns, style)).collect()
}

/// How old it is, and how it goes on.
fn pulse(watched: &Watched<'_>, columns: usize) -> String {
    let Watched { status: view, interval, age, ends } = *watched;
    let age = age.map_or_else(
        || "no answer yet".to_owned(),
        |age| format!("oldest answer {} ago", clock(age)),
    );
    let since = view.watch.map(|watch| time(watch.since)).unwrap_or_default();
    let ends = if ends.is_empty() { String::new() } else { format!("; {ends}") };
    let words = format!("every {}, since {since}; {age}{ends}", duration(interval));
    labelled_to(columns, "watch", &words)
}

/// The latest changes, last ones first.
fn changes(view: &StatusView<'_>, most: usize, style: Style) -> Vec<String> {
    let Some(watch) = view.watch.filter(|watch| !watch.happened.is_empty()) else {
        return Vec::new();
    };
    let shown: Vec<&Happened> = watch.happened.iter().rev().take(most).collect();
    let nodes = shown.iter().map(|happened| width(happened.node.as_str())).max();
    let nodes = nodes.unwrap_or_default().min(24);
    let line = |(index, happened): (usize, &&Happened)| {
        let Happened { at, node, change } = happened;
        let label = if index == 0 { "changes" } else { "" };
        let node = padded(&cut(node.as_str(), nodes, style), nodes);
        let (words, tone) = (words(change), tone(change));
        let words = style.paint(tone, &words);
        format!("{label:<LABEL$} {}  {node}  {words}", time(*at))
    };
    let mut lines: Vec<String> = shown.iter().enumerate().map(line).collect();
    if watch.happened.len() > most {
        let more = format!("and {} before", watch.happened.len() - most);
        lines.push(style.paint(Tone::Faint, &format!("{:LABEL$} {more}", "")));
    }
    lines
}

/// The note on a node: `restarted 2 min ago`.
pub(super) fn latest(view: &StatusView<'_>, node: &NodeName) -> Option<String> {
    let Happened { at, change, node: _ } = view.watch?.latest(node)?;
    let ago = between(*at, view.now);
    let when = if ago < FRESH { "just now".to_owned() } else { format!("{} ago", about(ago)) };
    Some(format!("{} {when}", words(change)))
}

fn tone(change: &Change) -> Tone {
    match change {
        Change::Silent | Change::Sick | Change::Gone { .. } => Tone::Bad,
        Change::Answers | Change::Healthy | Change::Started { .. } => Tone::Good,
        Change::Restarted { .. }
        | Change::Replaced { .. }
        | Change::Stopped { .. }
        | Change::Generation { .. }
        | Change::Config => Tone::Careful,
    }
}

fn words(change: &Change) -> String {
    let of = |component: &Component| match component {
        Component::Quay => String::new(),
        other @ (Component::Clair | Component::Builder | Component::Mirror) => format!("{other} "),
    };
    match change {
        Change::Silent => "fell silent".to_owned(),
        Change::Answers => "answered again".to_owned(),
        Change::Restarted { component } => format!("{}restarted", of(component)),
        Change::Replaced { component } => format!("{}replaced", of(component)),
        Change::Stopped { component } => format!("{}stopped", of(component)),
        Change::Started { component } => format!("{}started", of(component)),
        Change::Gone { component } => format!("{}container gone", of(component)),
        Change::Generation { to } if to.mode == Mode::Absent => format!("went to {}", to.release),
        Change::Generation { to } => format!("went to {to}"),
        Change::Healthy => "became healthy".to_owned(),
        Change::Sick => "became sick".to_owned(),
        Change::Config => "config.yaml changed".to_owned(),
    }
}

/// The same for programs, without line ends.
pub fn watched_json(watched: &Watched<'_>) -> Value {
    let mut value = status_json(watched.status);
    if let Some(watch) = watched.status.watch {
        value["watch"] = json!({
            "since": watch.since,
            "interval_seconds": watched.interval.as_secs_f64(),
            "happened": watch.happened,
        });
    }
    value
}
