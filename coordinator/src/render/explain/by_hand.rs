//! The plain engine and file commands that do a node's part where its agent
//! does not. An agent finds them done. A Quay is never started by hand: its
//! agent's own look at the database belongs to every start.

use std::path::Path;

use quaymaster_proto::NodeName;
use serde::Serialize;

use super::Explained;
use crate::plan::{Plan, PlannedImage, PlannedNode, Stage, Step, Verb, What};
use crate::render::text::{LABEL, labelled, wrapped};
use crate::run::next::{leaves_behind, takes_back};
use crate::run::order::{serving, staged};
use crate::run::{ActState, RunState};

/// What is shown of many nodes in the same trouble.
const SHOWN: usize = 3;

/// What a person may do on a node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(in crate::render) struct Hands {
    node: NodeName,
    commands: Vec<String>,
    /// What no plain command does.
    notes: Vec<String>,
}

/// A command stands on one line, however long, so that it can be copied.
pub(super) fn lines(hands: &[Hands]) -> String {
    let mut out = String::new();
    for (index, Hands { node, commands, notes }) in hands.iter().take(SHOWN).enumerate() {
        out.push_str(&labelled(if index == 0 { "by hand" } else { "" }, &format!("on {node}:")));
        for command in commands {
            out.push_str(&format!("{:LABEL$}   {command}\n", ""));
        }
        for note in notes {
            out.push_str(&wrapped(&format!("{:LABEL$}   ", ""), note));
        }
    }
    if hands.len() > SHOWN {
        let more = format!("and on {} more nodes, each with its own ids", hands.len() - SHOWN);
        out.push_str(&labelled("", &more));
    }
    out
}

/// Where a node stands at a step: there that step, on the way back all that is
/// left of the way; `None` = a person can do nothing of it.
pub(super) fn hands(explained: &Explained<'_>, step: &Step, name: &NodeName) -> Option<Hands> {
    let plan = explained.plan.plan();
    let node = plan.node(name)?;
    let at = At { plan, state: explained.state, node };
    let steps: Vec<&Step> = match step.stage {
        Stage::Serving | Stage::Dark | Stage::Beyond => vec![step],
        Stage::Back => plan.back.iter().filter(|later| at.is_left(step, later)).collect(),
        // Nothing of what follows before the database is restored.
        Stage::Rollback if !leaves_behind(plan, step) => vec![step],
        Stage::Rollback => plan.rollback.iter().filter(|later| at.is_left(step, later)).collect(),
    };
    let commands: Vec<String> = steps.iter().filter_map(|step| at.command(step)).collect();
    let has = |verb| steps.iter().any(|step| step.what == What::Act(verb));
    let mut notes = Vec::new();
    if has(Verb::RemoveStaged) {
        notes.push(
            "leave the containers named -next alone: that its agent removes them is the proof that \
             they never started"
                .to_owned(),
        );
    }
    if has(Verb::Restore) {
        notes.push(
            "its agent restores the backup; as the last resort README says how it is done by hand"
                .to_owned(),
        );
    }
    if has(Verb::Recreate) {
        notes.push(format!(
            "no plain command makes its fresh containers: their settings never leave the node. Its \
             agent does, once it answers; after this run's end: {} heal {name}",
            explained.program
        ));
    }
    let node = name.clone();
    (!commands.is_empty() || !notes.is_empty()).then_some(Hands { node, commands, notes })
}

struct At<'a> {
    plan: &'a Plan,
    state: &'a RunState,
    node: &'a PlannedNode,
}

impl At<'_> {
    /// Whether the node still has to take this step of the way back.
    fn is_left(&self, from: &Step, step: &Step) -> bool {
        let name = &self.node.name;
        step.number >= from.number
            && step.nodes.contains(name)
            && !matches!(self.state.act_state(step.number, name), ActState::Done { .. })
            && takes_back(self.plan, step)
                .is_some_and(|there| self.state.begun.contains(&(there.number, name.clone())))
    }

    fn command(&self, step: &Step) -> Option<String> {
        let (plan, state, name) = (self.plan, self.state, &self.node.name);
        let component = step.component;
        let container = self.node.container(component)?;
        let What::Act(verb) = step.what else { return None };
        match verb {
            Verb::Pull => match plan.image_of(component)? {
                PlannedImage::Pull { repository, tag: _, digest } => {
                    Some(format!("docker pull {repository}@{digest}"))
                }
                PlannedImage::Loaded { .. } | PlannedImage::Present { .. } => None,
            },
            Verb::Stop => {
                let (id, grace) = (container.container.short(), plan.stop_grace_seconds(component));
                Some(format!("docker update --restart=no {id}; docker stop -t {grace} {id}"))
            }
            Verb::TakeDown => {
                let id = staged(plan, state, name, component)?;
                let (id, grace) = (id.short(), plan.stop_grace_seconds(component));
                Some(format!("docker update --restart=no {id}; docker stop -t {grace} {id}"))
            }
            Verb::Start if !component.migrates() => {
                let id = serving(plan, state, name, component)?;
                Some(format!("docker start {}", id.short()))
            }
            Verb::Promote => {
                let id = serving(plan, state, name, component)?;
                let (id, policy) = (id.short(), container.restart_policy);
                let name = &container.name;
                Some(format!("docker rename {id} {name}; docker update --restart={policy} {id}"))
            }
            Verb::RestoreConfig => Some(self.restore()),
            Verb::RemoveStagedConfig => Some(format!("rm -f {}", self.beside(&state.run.short()))),
            // A staged container is removed by its agent alone: that is the
            // proof that it never started.
            Verb::RemoveStaged
            | Verb::BackUp
            | Verb::StageContainer
            | Verb::StageConfig
            | Verb::PutConfig
            | Verb::SetFloor
            | Verb::StartMigrating
            | Verb::Start
            | Verb::LowerFloor
            | Verb::CheckBackup
            | Verb::Restore
            | Verb::Recreate => None,
        }
    }

    /// The kept copy is dressed as the file is: so is its copy, and the rename
    /// is the change.
    fn restore(&self) -> String {
        let (path, next) = (&self.node.config.path, self.beside("by-hand"));
        let kept = self.beside(&format!("kept-{}*", self.node.config.from.short()));
        format!("cp -a {kept} {next} && mv {next} {path}")
    }

    /// A file that an agent puts beside config.yaml.
    fn beside(&self, end: &str) -> String {
        let path = Path::new(&self.node.config.path);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        path.with_file_name(format!(".{name}.quaymaster-{end}")).display().to_string()
    }
}
