//! The windows that a lab went through, found afresh in what ran when, and their figures as engine
//! events and probes saw them. Pure.

use jiff::Timestamp;
use serde::Serialize;

use super::DarkGate;
use super::history::{History, Run};
use crate::record::EngineAction;

/// The runs of one generation between two changes of generation, in the order of their starts.
#[derive(Debug)]
pub(super) struct Segment<'a> {
    pub(super) runs: Vec<&'a Run>,
    /// A newer generation than the one before: a window led here.
    pub(super) is_forward: bool,
}

/// One trip of the cluster through the dark. A figure is `None` where it could not be seen.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Window {
    pub from: String,
    pub to: String,
    /// The first Quay's stop asked.
    pub began: Option<Timestamp>,
    /// From the first stop asked to the last node healthy.
    pub outage_seconds: Option<f64>,
    /// What no driver can do without: slowest stop, dark gate, backup, first node's start to healthy,
    /// and the slowest start to healthy of the rest.
    pub limit_seconds: Option<f64>,
    /// From the first stop asked to the first node healthy.
    pub first_healthy_seconds: Option<f64>,
    pub slowest_stop_seconds: Option<f64>,
    pub dark_gate_seconds: f64,
    /// The backup between two looks, reading it back included.
    pub backup_seconds: f64,
    pub first_start_seconds: Option<f64>,
    /// 0 where there is no other node.
    pub slowest_other_start_seconds: Option<f64>,
}

/// A started node: when, and when it was first seen healthy.
struct Rise<'a> {
    node: &'a str,
    started: Timestamp,
    healthy: Option<Timestamp>,
}

/// What was started by hand belongs to none: nobody led the cluster there.
pub(super) fn segments(runs: &[Run]) -> Vec<Segment<'_>> {
    let mut segments: Vec<Segment<'_>> = Vec::new();
    for run in runs.iter().filter(|run| !run.is_by_hand) {
        match segments.last_mut() {
            Some(segment) if segment.runs[0].generation == run.generation => segment.runs.push(run),
            previous => {
                let is_forward =
                    previous.is_some_and(|previous| previous.runs[0].generation < run.generation);
                segments.push(Segment { runs: vec![run], is_forward });
            }
        }
    }
    segments
}

pub(super) fn windows(history: &History, dark_gates: &[DarkGate]) -> Vec<Window> {
    // A mirror's stops and starts are no part of any outage.
    let serving: Vec<Run> = history.runs.iter().filter(|run| !run.is_mirror).cloned().collect();
    let segments = segments(&serving);
    segments
        .windows(2)
        .filter(|pair| pair[1].is_forward)
        .enumerate()
        .map(|(index, pair)| {
            let gate = dark_gates.get(index).copied().unwrap_or_default();
            window(history, &pair[0], &pair[1], gate)
        })
        .collect()
}

fn window(history: &History, old: &Segment<'_>, new: &Segment<'_>, gate: DarkGate) -> Window {
    let DarkGate { seconds: dark_gate, backup_seconds } = gate;
    let stops = stops(history, old, new.runs[0].started);
    let began = stops.iter().map(|(asked, _)| *asked).min();
    let slowest_stop = stops.iter().map(|(asked, ended)| seconds(*asked, *ended)).reduce(f64::max);
    let rises = rises(history, new);
    let first = rises.iter().min_by_key(|rise| (rise.healthy.is_none(), rise.healthy));
    let others: Vec<&Rise<'_>> =
        rises.iter().filter(|rise| first.is_some_and(|first| first.node != rise.node)).collect();
    let first_healthy = first.and_then(|rise| rise.healthy);
    let last_healthy =
        rises.iter().map(|rise| rise.healthy).reduce(|one, other| Some(one?.max(other?))).flatten();
    let first_start = first.and_then(Rise::seconds);
    let slowest_other = others
        .iter()
        .map(|rise| rise.seconds())
        .try_fold(0.0, |slowest: f64, one| Some(slowest.max(one?)));
    let limit = slowest_stop.zip(first_start).zip(slowest_other).map(|((stop, first), other)| {
        whole_millis(stop + dark_gate + backup_seconds + first + other)
    });
    Window {
        from: old.runs[0].generation.to_string(),
        to: new.runs[0].generation.to_string(),
        began,
        outage_seconds: began.zip(last_healthy).map(|(began, last)| seconds(began, last)),
        limit_seconds: limit,
        first_healthy_seconds: began.zip(first_healthy).map(|(began, first)| seconds(began, first)),
        slowest_stop_seconds: slowest_stop,
        dark_gate_seconds: dark_gate,
        backup_seconds: whole_millis(backup_seconds),
        first_start_seconds: first_start,
        slowest_other_start_seconds: slowest_other,
    }
}

/// For the last run of each node before the window: when its stop was asked, and when it had ended.
fn stops(history: &History, old: &Segment<'_>, new: Timestamp) -> Vec<(Timestamp, Timestamp)> {
    old.runs
        .iter()
        .filter(|run| {
            let has_later =
                old.runs.iter().any(|later| later.node == run.node && later.started > run.started);
            !has_later
        })
        .filter_map(|run| {
            let ended = run.ended.filter(|ended| *ended <= new)?;
            let asked = history.events_of(run).find(|(at, event)| {
                *at >= run.started && *at <= ended && event.action == EngineAction::Kill
            });
            Some((asked.map_or(ended, |(at, _)| *at), ended))
        })
        .collect()
}

/// The last run of each node that the window started.
fn rises<'a>(history: &History, new: &Segment<'a>) -> Vec<Rise<'a>> {
    let mut rises: Vec<Rise<'a>> = Vec::new();
    for run in &new.runs {
        if rises.iter().any(|rise| rise.node == run.node && rise.healthy.is_some()) {
            continue;
        }
        rises.retain(|rise| rise.node != run.node);
        let healthy = history
            .probed_healthy(&run.node, run.started)
            .filter(|healthy| run.ended.is_none_or(|ended| *healthy <= ended))
            .or(run.healthy);
        rises.push(Rise { node: &run.node, started: run.started, healthy });
    }
    rises
}

impl Rise<'_> {
    fn seconds(&self) -> Option<f64> {
        self.healthy.map(|healthy| seconds(self.started, healthy))
    }
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    whole_millis(to.duration_since(from).as_secs_f64())
}

/// Nobody sees more than milliseconds here, and sums stay readable.
fn whole_millis(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}
