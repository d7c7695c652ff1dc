//! A second opinion on a plan, by someone who does not know how it was made:
//! whatever wrote it, and whoever edited it, a plan that passes cannot break
//! the rules that protect a database. The only maker of `CheckedPlan`.

use quaymaster_proto::preview::SpecVerdict;
use quaymaster_proto::{Component, Mode, NodeName};
use serde::Serialize;

use super::{
    CheckedPlan, PLAN_VERSION, Plan, PlannedBackup, PlannedCompanion, PlannedImage, Verb, What,
    file,
};
use crate::preflight::waiver::{self, NotWaived};

mod order;

pub use order::{Kind, OrderFlaw};

/// One thing that is wrong with a plan.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Flaw {
    /// It is of another version.
    #[error("it is of version {found}")]
    Version {
        /// Which.
        found: u32,
    },
    /// It is for nobody.
    #[error("it has no nodes")]
    NoNodes,
    /// Two of its nodes are one.
    #[error("{one} and {other} have the same {what}")]
    SameNode {
        /// One of them.
        one: NodeName,
        /// The other.
        other: NodeName,
        /// What they share.
        what: &'static str,
    },
    /// The node that migrates is none of its nodes.
    #[error("its first node {first} is none of its nodes")]
    FirstUnknown {
        /// Which.
        first: NodeName,
    },
    /// It leads nowhere.
    #[error("it leads from {from} to {to}")]
    Window {
        /// From where.
        from: String,
        /// To where.
        to: String,
    },
    /// The migration could not start, or would not be seen to have ended.
    #[error("revision {revision}, accepted {}, target {target}", .accepted.join(" or "))]
    Revisions {
        /// What was found.
        revision: String,
        /// Where it may start.
        accepted: Vec<String>,
        /// Where it ends.
        target: String,
    },
    /// A node does not run what the window leaves.
    #[error("{node} does not run what the window leaves")]
    NodeGeneration {
        /// Which.
        node: NodeName,
    },
    /// A container beside a Quay is not what the plan makes of its component.
    #[error("{node}: its {component} {why}")]
    Companion {
        /// Which node.
        node: NodeName,
        /// Which container.
        component: Component,
        /// What is wrong.
        why: &'static str,
    },
    /// Nobody edits a node's config.yaml, or edits it otherwise.
    #[error("{node}: its config.yaml is not edited by {writer} as planned for it")]
    Writer {
        /// Which node.
        node: NodeName,
        /// Who should.
        writer: NodeName,
    },
    /// A node's container cannot be carried over.
    #[error("{node}: {subject} cannot be carried over")]
    SpecRefused {
        /// Which.
        node: NodeName,
        /// Which part of the spec.
        subject: String,
    },
    /// Nothing leads back past the point of no return.
    #[error("its backup {why}")]
    Backup {
        /// What is wrong.
        why: &'static str,
    },
    /// A time or a threshold makes no sense.
    #[error("{what} is out of range")]
    Timing {
        /// Which.
        what: &'static str,
    },
    /// It waives what cannot be waived.
    #[error(transparent)]
    Waiver(#[from] NotWaived),
    /// The steps are not what a window is.
    #[error(transparent)]
    Order(#[from] OrderFlaw),
}

/// Every flaw, in one line.
pub fn in_words(flaws: &[Flaw]) -> String {
    flaws.iter().map(Flaw::to_string).collect::<Vec<_>>().join("; ")
}

impl Plan {
    /// Checks the plan, and computes its digest.
    pub fn check(self) -> Result<CheckedPlan, Vec<Flaw>> {
        let mut flaws = Vec::new();
        if self.version != PLAN_VERSION {
            flaws.push(Flaw::Version { found: self.version });
        }
        nodes(&self, &mut flaws);
        let nodes_are_sound = flaws.is_empty();
        window(&self, &mut flaws);
        generations(&self, &mut flaws);
        companions(&self, &mut flaws);
        backup(&self, &mut flaws);
        writers(&self, &mut flaws);
        timings(&self, &mut flaws);
        flaws.extend(waiver::flaw(&self.waivers).map(Flaw::from));
        // Of other nodes every step would seem wrong.
        if nodes_are_sound {
            flaws.extend(order::flaws(&self).into_iter().map(Flaw::from));
        }
        if flaws.is_empty() {
            let digest = file::digest(&self);
            Ok(CheckedPlan { plan: self, digest })
        } else {
            Err(flaws)
        }
    }
}

fn nodes(plan: &Plan, flaws: &mut Vec<Flaw>) {
    if plan.nodes.is_empty() {
        flaws.push(Flaw::NoNodes);
    } else if plan.node(&plan.first).is_none() {
        flaws.push(Flaw::FirstUnknown { first: plan.first.clone() });
    }
    for (index, one) in plan.nodes.iter().enumerate() {
        for other in &plan.nodes[index + 1..] {
            let shared = [
                (one.name == other.name, "name"),
                (one.address == other.address, "address"),
                (one.quay.container == other.quay.container, "container"),
            ];
            for (_, what) in shared.into_iter().filter(|(is_shared, _)| *is_shared) {
                let (one, other) = (one.name.clone(), other.name.clone());
                flaws.push(Flaw::SameNode { one, other, what });
            }
        }
        let companions = one.companions.iter().flat_map(|companion| &companion.container.findings);
        let findings = one.quay.findings.iter().chain(companions);
        let refused = findings.filter(|finding| match finding.verdict {
            SpecVerdict::Refused => true,
            SpecVerdict::Carried | SpecVerdict::Changed | SpecVerdict::Dropped => false,
        });
        for finding in refused {
            let (node, subject) = (one.name.clone(), finding.subject.clone());
            flaws.push(Flaw::SpecRefused { node, subject });
        }
    }
}

fn window(plan: &Plan, flaws: &mut Vec<Flaw>) {
    let window = &plan.window;
    let is_mode = match window.to.mode {
        Mode::Background | Mode::Complete => true,
        Mode::Absent | Mode::Other => false,
    };
    if window.from == window.to || !is_mode || !(1..=window.of).contains(&window.number) {
        let (from, to) = (window.from.to_string(), window.to.to_string());
        flaws.push(Flaw::Window { from, to });
    }
    let database = &plan.database;
    // A start that finds the target would migrate nothing and prove nothing.
    let is_sound = database.accepted.contains(&database.revision)
        && !database.accepted.contains(&database.target)
        && !database.target.is_empty();
    if !is_sound {
        flaws.push(Flaw::Revisions {
            revision: database.revision.clone(),
            accepted: database.accepted.clone(),
            target: database.target.clone(),
        });
    }
}

fn generations(plan: &Plan, flaws: &mut Vec<Flaw>) {
    for node in &plan.nodes {
        let is_image = match &plan.image {
            PlannedImage::Pull { .. } | PlannedImage::Loaded { .. } => true,
            PlannedImage::Present { image } => node.quay.image == *image,
        };
        if node.quay.mode != plan.window.from.mode || !is_image {
            flaws.push(Flaw::NodeGeneration { node: node.name.clone() });
        }
    }
    let pulls = plan.first_step(What::Act(Verb::Pull)).is_some();
    let changes = plan.window.from.release != plan.window.to.release;
    let wanted = match &plan.image {
        PlannedImage::Pull { .. } => (true, true),
        PlannedImage::Loaded { .. } => (false, true),
        PlannedImage::Present { .. } => (false, false),
    };
    if (pulls, changes) != wanted {
        flaws.push(OrderFlaw::Pull.into());
    }
}

fn companions(plan: &Plan, flaws: &mut Vec<Flaw>) {
    for node in &plan.nodes {
        for PlannedCompanion { container, fate } in &node.companions {
            let component = container.component;
            let next = plan.image_of(component);
            let is_quays = container.image == node.quay.image && container.mode == node.quay.mode;
            let twins = node.companions.iter();
            let twins = twins.filter(|other| other.container.component == component).count();
            let wrong = [
                (component == Component::Quay || twins > 1, "is there twice"),
                (container.container == node.quay.container, "is its Quay"),
                (!plan.companions.contains_key(&component), "is not planned for"),
                (fate.starts() && next.is_none(), "has no next image"),
                (component.migrates() && !is_quays, "does not run what its Quay runs"),
                (
                    component.migrates() && fate.starts() && next != Some(&plan.image),
                    "would not run what its Quay will run",
                ),
            ];
            flaws.extend(
                wrong
                    .into_iter()
                    .filter(|(is_wrong, _)| *is_wrong)
                    .map(|(_, why)| Flaw::Companion { node: node.name.clone(), component, why }),
            );
        }
    }
}

fn backup(plan: &Plan, flaws: &mut Vec<Flaw>) {
    let why = match &plan.backup {
        PlannedBackup::Taken { node, .. } if plan.node(node).is_none() => "is of none of its nodes",
        PlannedBackup::Waived { because, .. } if because.trim().is_empty() => {
            "is waived without a word"
        }
        PlannedBackup::Taken { .. } | PlannedBackup::Waived { .. } => return,
    };
    flaws.push(Flaw::Backup { why });
}

fn writers(plan: &Plan, flaws: &mut Vec<Flaw>) {
    for node in &plan.nodes {
        let writer = &node.config.writer;
        let is_sound = plan.node(writer).is_some_and(|found| {
            let (own, theirs) = (&node.config, &found.config);
            theirs.writer == *writer && (&own.from, &own.to) == (&theirs.from, &theirs.to)
        });
        if !is_sound {
            flaws.push(Flaw::Writer { node: node.name.clone(), writer: writer.clone() });
        }
    }
}

fn timings(plan: &Plan, flaws: &mut Vec<Flaw>) {
    let timings = &plan.timings;
    let is_right = [
        (
            Component::ALL.iter().all(|component| plan.stop_grace_seconds(*component) <= 3600),
            "the stop grace",
        ),
        (timings.first_node_limit.as_secs() >= 1, "the first node's limit"),
        ((0.0..=1.0).contains(&timings.backfill.threshold), "the backfill's threshold"),
        (timings.backfill.samples >= 1, "the backfill's number of samples"),
    ];
    for (_, what) in is_right.into_iter().filter(|(is_right, _)| !is_right) {
        flaws.push(Flaw::Timing { what });
    }
}

#[cfg(test)]
mod tests;
