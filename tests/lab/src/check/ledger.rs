//! What the agents took down before they acted, in the witness's words. The format is the agents'
//! own; only what every line says of itself is read.

use jiff::Timestamp;
use serde::Deserialize;

use super::CheckError;
use crate::cluster::layout::Layout;
use crate::witness::{Entry, LedgerLine};

#[derive(Deserialize)]
struct Line {
    at: Timestamp,
    what: What,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum What {
    Step(Step),
    Claimed(Holder),
    Released(Holder),
}

#[derive(Deserialize)]
struct Holder {
    run: String,
    epoch: u64,
    /// A lease that was given back says nothing of it.
    #[serde(default)]
    plan: String,
}

#[derive(Deserialize)]
struct Step {
    act: Act,
    work: Work,
    event: Event,
}

#[derive(Deserialize)]
struct Act {
    run: String,
    epoch: u64,
    step: u64,
    plan: String,
}

/// An order is named by its kind, a pull is one.
#[derive(Deserialize)]
struct Work {
    kind: String,
    what: serde_json::Value,
}

#[derive(Deserialize)]
struct Event {
    event: String,
}

/// Every line of every node's ledger; an agent that was never asked anything has none.
pub(super) fn read(layout: &Layout, nodes: &[String]) -> Result<Vec<LedgerLine>, CheckError> {
    let mut lines = Vec::new();
    for node in nodes {
        let path = layout.agent_ledger(node);
        if !path.exists() {
            continue;
        }
        let text = super::read_text(&path)?;
        // A last line without its end is what a killed agent left of a record.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        for (index, line) in whole.lines().enumerate() {
            lines.push(parse(node, line).map_err(|source| CheckError::Ledger {
                path: path.clone(),
                line: index + 1,
                source,
            })?);
        }
    }
    Ok(lines)
}

fn parse(node: &str, line: &str) -> Result<LedgerLine, serde_json::Error> {
    let Line { at, what } = serde_json::from_str(line)?;
    let node = node.to_owned();
    Ok(match what {
        What::Claimed(Holder { run, epoch, plan }) => {
            LedgerLine { node, at, run, epoch, plan, what: Entry::Claimed }
        }
        What::Released(Holder { run, epoch, plan }) => {
            LedgerLine { node, at, run, epoch, plan, what: Entry::Released }
        }
        What::Step(Step { act: Act { run, epoch, step, plan }, work, event }) => {
            let verb = verb(&work);
            let what = match event.event.as_str() {
                "intended" => Entry::Intended { step, verb },
                end => Entry::Ended { step, verb, is_met: end == "settled" },
            };
            LedgerLine { node, at, run, epoch, plan, what }
        }
    })
}

fn verb(work: &Work) -> String {
    let verb = work.what.get("verb").and_then(serde_json::Value::as_str);
    verb.unwrap_or(&work.kind).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_and_a_lease_are_read_off_and_the_rest_is_passed_over() {
        let line = r#"{"version":1,"at":"2026-01-01T00:00:00Z","what":{"step":{
            "act":{"cluster":"lab","run":"R","epoch":3,"step":6,"plan":"P"},
            "work":{"kind":"act","what":{"verb":"ensure-stopped","of":{"container":"c"}}},
            "event":{"event":"settled","of":{"how":"changed"}}}}}"#;
        let parsed = parse("quay-1", line).unwrap();
        let what = Entry::Ended { step: 6, verb: "ensure-stopped".into(), is_met: true };
        assert_eq!((parsed.run.as_str(), parsed.epoch, parsed.what), ("R", 3, what));
        assert_eq!(parsed.plan, "P");
        let line = r#"{"version":1,"at":"2026-01-01T00:00:00Z","what":{"claimed":{
            "run":"R","epoch":4,"holder":"a@b","since":"2026-01-01T00:00:00Z","plan":"P"}}}"#;
        assert_eq!(parse("quay-1", line).unwrap().what, Entry::Claimed);
    }
}
