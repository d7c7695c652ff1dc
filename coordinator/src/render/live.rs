//! A run while it goes on: a line for each change, which people see without a
//! terminal and logs keep, and the picture (`screen`) that a terminal shows.

use jiff::Timestamp;

use super::account::sampled;
use super::figures::{count, fraction, number, time};
use super::turn;
use super::words::{evidence, failure, problem, settlement, step_title, tags_left, waiting, what};
use super::{Style, Tone};
use crate::plan::{Plan, What};
use crate::run::{Event, WaitingOn};

mod companions;
mod nodes;
mod screen;
mod trail;

pub use screen::{Live, Pull, live};

/// One event as a line without its end; `None` for what nobody needs to see.
pub fn event_line(plan: &Plan, event: &Event, style: Style) -> Option<String> {
    let title = |step| plan.step(step).map_or_else(|| "unknown step".to_owned(), step_title);
    let (at, tone, step, node, words) = match event {
        Event::Started { run, plan: digest, cluster, waivers, at } => {
            let waived = waived(waivers.len());
            let words = format!("run {run} of plan {} on {cluster}{waived}", digest.short());
            (*at, Tone::Heading, "begin".to_owned(), String::new(), words)
        }
        Event::Driven { epoch, by, at } => {
            let words = format!("{by} drives, epoch {epoch}");
            (*at, Tone::Faint, "begin".to_owned(), String::new(), words)
        }
        Event::Intended { .. } => return None,
        Event::Settled { step, node, settlement: result, at } => {
            (*at, Tone::Good, title(*step), node.to_string(), settlement(result))
        }
        Event::Failed { step, node, problem: why, at } => {
            (*at, Tone::Bad, title(*step), node.to_string(), format!("FAILED: {}", problem(why)))
        }
        Event::Waiting { step, on, at } => {
            let words = format!("waits for {}", waiting(on));
            (*at, Tone::Careful, title(*step), String::new(), words)
        }
        Event::Passed { step, evidence: why, since: _, at } => {
            (*at, Tone::Good, title(*step), String::new(), format!("open: {}", evidence(why)))
        }
        Event::Closed { step, failure: why, at } => {
            (*at, Tone::Bad, title(*step), String::new(), format!("CLOSED: {}", failure(why)))
        }
        Event::Approved { gate, by, because, at } => {
            let because = because.as_ref().map(|words| format!(": {words}")).unwrap_or_default();
            let words = format!("{by} agrees{because}");
            (*at, Tone::Good, what(What::Gate(*gate)).to_owned(), String::new(), words)
        }
        Event::LeftBehind { step, node, failure: why, at } => {
            let words = format!("LEFT BEHIND, the others go on: {}", failure(why));
            (*at, Tone::Bad, title(*step), node.to_string(), words)
        }
        Event::TurnedBack { at, .. }
        | Event::Retried { at, .. }
        | Event::HandedOver { at, .. }
        | Event::LeftOut { at, .. }
        | Event::RollbackOrdered { at, .. }
        | Event::RollbackCalledOff { at, .. }
        | Event::RolledBack { at }
        | Event::WentBack { at } => {
            let (title, words) = turn::event(plan, event)?;
            (*at, Tone::Careful, title.to_owned(), String::new(), words)
        }
        Event::Sampled { sampling, at } => {
            (*at, Tone::Faint, "sample".to_owned(), String::new(), sampled(sampling)?)
        }
        Event::TagsCounted { count, at } => {
            let words = tags_left(count)?;
            (*at, Tone::Bad, "tags".to_owned(), String::new(), words)
        }
        Event::Finished { at } => {
            (*at, Tone::Heading, "end".to_owned(), String::new(), "every step is done".to_owned())
        }
    };
    Some(line(at, &style.paint(tone, &format!("{step:<15}")), &node, &words))
}

fn waived(findings: usize) -> String {
    match findings {
        0 => String::new(),
        findings => format!(", {} waived", number(findings, "finding")),
    }
}

/// The backfill as a line: a bar, a fraction, tags. `width` is the bar's.
pub fn progress_line(on: &WaitingOn, width: usize, style: Style) -> Option<String> {
    let WaitingOn::Backfill { progress: Some(progress), tags_remaining, total_tags, .. } = on
    else {
        return None;
    };
    let done = total_tags.saturating_sub(*tags_remaining);
    Some(format!(
        "{}   {}   {} of {} tags   {} left",
        bar(*progress, width, style),
        fraction(*progress),
        count(done),
        count(*total_tags),
        count(*tags_remaining)
    ))
}

/// A bar that is full only at the end.
pub(super) fn bar(progress: f64, width: usize, style: Style) -> String {
    let full = (progress.clamp(0.0, 1.0) * width as f64).floor() as usize;
    let (done, left) = if style.unicode { ("█", "░") } else { ("#", ".") };
    format!("{}{}", done.repeat(full), left.repeat(width - full))
}

fn line(at: Timestamp, step: &str, node: &str, words: &str) -> String {
    let node = if node.is_empty() { String::new() } else { format!("{node}  ") };
    format!("{}  {step}  {node}{words}", time(at))
}

#[cfg(test)]
mod tests;
