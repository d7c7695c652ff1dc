//! A node that was healed.

use quaymaster_proto::RunId;
use serde_json::{Value, json};

use super::text::{labelled, next_lines};
use super::{JSON_VERSION, Style, Tone};
use crate::heal::Healing;
use crate::runner::{Healed, NotHealed};

/// What a person agrees to.
pub fn healing(healing: &Healing) -> String {
    let Healing { node, release, container, was, .. } = healing;
    let mut out = format!("{node} gets a fresh container of {release}\n");
    out.push_str(&labelled("now", &format!("{was} ({})", container.short())));
    out.push_str(&labelled(
        "then",
        "that one stopped and kept under another name; a fresh one \
        with its settings, started once the agent itself has read the database at the registry's \
        revision, named once it is healthy",
    ));
    out
}

/// The screen.
pub fn healed(healing: &Healing, healed: &Healed, program: &str, style: Style) -> String {
    let Healing { node, release, container, restart_policy, .. } = healing;
    let title = format!("{node} is healed   {release}");
    let mut out = style.paint(Tone::Heading, &title) + "\n";
    let serves = format!("{}, restart policy {restart_policy}", healed.container.short());
    out.push_str(&labelled("serves", &serves));
    out.push_str(&labelled("kept", &format!("{} and its log", container.short())));
    out.push_str(&next_lines(program, &[format!("{program} status")]));
    out
}

/// The same for programs.
pub fn healed_json(healing: &Healing, healed: &Healed, run: RunId) -> Value {
    json!({
        "version": JSON_VERSION,
        "healed": { "run": run, "healing": healing, "container": healed.container },
    })
}

/// How a node stands that was not healed.
pub fn not_healed(why: &NotHealed) -> &'static str {
    match why {
        NotHealed::Unclaimed(_) => "nothing was changed",
        NotHealed::NotStopped(_) => {
            "the old container may be stopped already, without a restart policy; nothing else was \
             changed. The lease is given back"
        }
        NotHealed::NotMade(_) => {
            "the old container is stopped and kept; the node has no Quay. The lease is given back"
        }
        NotHealed::NotStarted { .. } => {
            "the old container is stopped and kept, the fresh one was not started; the node has \
             no Quay. The lease is given back"
        }
        NotHealed::NotHealthy { .. } => {
            "the fresh container is left as it is, with restart policy no. The lease is given back"
        }
        NotHealed::NotPromoted { .. } => {
            "the node serves, with a container of another name and of restart policy no: it does \
             not outlive a restart. The lease is given back"
        }
    }
}

/// What to do about it.
pub fn not_healed_next(why: &NotHealed, program: &str, node: &str) -> String {
    let again = format!("then: {program} heal {node}");
    match why {
        NotHealed::Unclaimed(_) => format!("see who drives: {program} status"),
        NotHealed::NotStopped(_) | NotHealed::NotMade(_) | NotHealed::NotStarted { .. } => {
            format!("mend what it says, {again}")
        }
        NotHealed::NotHealthy { container, .. } => {
            format!(
                "on {node}, read: docker logs {}; mend what it says, {again}",
                container.short()
            )
        }
        NotHealed::NotPromoted { .. } => format!("mend what it says, {again}"),
    }
}
