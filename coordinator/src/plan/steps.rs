//! The steps of a window in their order. Everything that can be done while the
//! registry serves is done before its first stop; the last look for the dark
//! comes right before the migrating start; what is no registry returns when
//! every Quay is healthy; the end is a client's look at the registry.

use std::collections::BTreeMap;

use quaymaster_proto::{Component, NodeName, StepNumber};

use super::companion::{STARTS, STOPS_AFTER_QUAY, STOPS_BEFORE_QUAY};
use super::{
    CompanionPlan, Gate, Inverse, PlannedImage, PlannedNode, Stage, Step, Verb, What, Width,
};

/// What the steps are made of.
pub(super) struct Ingredients<'a> {
    pub(super) nodes: &'a [PlannedNode],
    pub(super) first: &'a NodeName,
    /// The node that backs up; `None` = that was waived.
    pub(super) backup: Option<&'a NodeName>,
    pub(super) image: &'a PlannedImage,
    pub(super) companions: &'a BTreeMap<Component, CompanionPlan>,
    /// The nodes work on the tags while they serve, and have to be far enough.
    pub(super) has_backfill: bool,
}

/// Where a run may go.
pub(super) struct Ways {
    /// To what the window wants.
    pub(super) there: Vec<Step>,
    /// Back, for as long as there is such a way.
    pub(super) back: Vec<Step>,
    /// Back by the backup.
    pub(super) rollback: Vec<Step>,
}

/// Every way of a window.
pub(super) fn steps(of: &Ingredients<'_>) -> Ways {
    let mut steps =
        Steps { of, stage: Stage::Serving, number: StepNumber::FIRST, done: Vec::new() };
    steps.prepare();
    steps.go_dark();
    steps.migrate();
    for component in STARTS {
        steps.act(component, Verb::Start, Width::Having);
    }
    for component in STARTS {
        steps.gate(component, Gate::Healthy, Width::Having);
        steps.act(component, Verb::Promote, Width::Having);
    }
    steps.verify();
    let there = std::mem::take(&mut steps.done);
    steps.go_back();
    let back = std::mem::take(&mut steps.done);
    steps.roll_back();
    Ways { there, back, rollback: steps.done }
}

struct Steps<'a> {
    of: &'a Ingredients<'a>,
    stage: Stage,
    number: StepNumber,
    done: Vec<Step>,
}

impl Steps<'_> {
    fn prepare(&mut self) {
        if self.of.has_backfill {
            self.gate(Component::Quay, Gate::Backfill, Width::All);
        }
        if is_pulled(self.of.image) {
            self.act(Component::Quay, Verb::Pull, Width::All);
        }
        for (component, plan) in self.of.companions {
            // A mirror's image is Quay's, and there already.
            let is_own = *component != Component::Mirror;
            if is_own && plan.next.as_ref().is_some_and(|next| is_pulled(&next.image)) {
                self.act(*component, Verb::Pull, Width::Having);
            }
        }
        self.act(Component::Quay, Verb::StageContainer, Width::All);
        for component in self.of.companions.keys() {
            self.act(*component, Verb::StageContainer, Width::Having);
        }
        self.act(Component::Quay, Verb::StageConfig, Width::Writers);
        self.gate(Component::Quay, Gate::Approval, Width::All);
        self.gate(Component::Quay, Gate::Unchanged, Width::All);
    }

    fn go_dark(&mut self) {
        for component in STOPS_BEFORE_QUAY {
            self.act(component, Verb::Stop, Width::Stopped);
        }
        self.stage = Stage::Dark;
        self.act(Component::Quay, Verb::Stop, Width::All);
        for component in STOPS_AFTER_QUAY {
            self.act(component, Verb::Stop, Width::Stopped);
        }
        self.act(Component::Quay, Verb::SetFloor, Width::All);
        self.gate(Component::Quay, Gate::Dark, Width::All);
        if self.of.backup.is_some() {
            self.act(Component::Quay, Verb::BackUp, Width::One);
            // That took its time.
            self.gate(Component::Quay, Gate::Dark, Width::All);
        }
        self.act(Component::Quay, Verb::PutConfig, Width::Writers);
        self.gate(Component::Quay, Gate::Dark, Width::All);
    }

    fn migrate(&mut self) {
        self.stage = Stage::Beyond;
        self.act(Component::Quay, Verb::StartMigrating, Width::First);
        self.gate(Component::Quay, Gate::FirstNode, Width::First);
        self.act(Component::Quay, Verb::Start, Width::Rest);
        self.gate(Component::Quay, Gate::Healthy, Width::Rest);
        self.act(Component::Quay, Verb::Promote, Width::All);
    }

    /// First the proof that nothing new ever started; then what the Quays need
    /// to return, for the registry is down; then the rest.
    fn go_back(&mut self) {
        self.stage = Stage::Back;
        self.act(Component::Quay, Verb::RemoveStaged, Width::First);
        self.serve_as_before();
        self.act(Component::Quay, Verb::RemoveStaged, Width::Rest);
        for component in self.of.companions.keys() {
            self.act(*component, Verb::RemoveStaged, Width::Having);
        }
        self.act(Component::Quay, Verb::RemoveStagedConfig, Width::Writers);
        self.verify();
    }

    /// The backup is read back while what serves still serves. Then everything
    /// that the window brought is down on every node before the database is
    /// replaced, and nothing starts before it is seen to be what it was.
    fn roll_back(&mut self) {
        if self.of.backup.is_none() {
            return;
        }
        self.stage = Stage::Rollback;
        self.act(Component::Quay, Verb::CheckBackup, Width::One);
        for component in STOPS_BEFORE_QUAY {
            self.act(component, Verb::TakeDown, Width::Having);
        }
        self.act(Component::Quay, Verb::TakeDown, Width::All);
        for component in STOPS_AFTER_QUAY {
            self.act(component, Verb::TakeDown, Width::Having);
        }
        self.gate(Component::Quay, Gate::Dark, Width::All);
        self.act(Component::Quay, Verb::Restore, Width::One);
        self.gate(Component::Quay, Gate::Dark, Width::All);
        self.serve_as_before();
        self.act(Component::Quay, Verb::RemoveStagedConfig, Width::Writers);
        self.verify();
    }

    /// File and floor as they were, then the Quays, then what stands beside them.
    fn serve_as_before(&mut self) {
        self.act(Component::Quay, Verb::RestoreConfig, Width::Writers);
        self.act(Component::Quay, Verb::LowerFloor, Width::All);
        self.bring_back(Component::Quay, Width::All);
        for component in STARTS {
            self.bring_back(component, Width::Stopped);
        }
    }

    /// The last step of every way: all that starts is started and named. On the
    /// ways back it holds nothing, and is only told.
    fn verify(&mut self) {
        self.gate(Component::Quay, Gate::Verified, Width::All);
    }

    fn bring_back(&mut self, component: Component, width: Width) {
        self.act(component, Verb::Recreate, width);
        self.act(component, Verb::Start, width);
        self.gate(component, Gate::Healthy, width);
        self.act(component, Verb::Promote, width);
    }

    fn act(&mut self, component: Component, verb: Verb, width: Width) {
        let inverse = match self.stage {
            Stage::Serving | Stage::Dark | Stage::Beyond => inverse(verb),
            Stage::Back | Stage::Rollback => Inverse::Nothing,
        };
        self.add(component, What::Act(verb), width, inverse);
    }

    fn gate(&mut self, component: Component, gate: Gate, width: Width) {
        self.add(component, What::Gate(gate), width, Inverse::Nothing);
    }

    /// A step that concerns no node is none.
    fn add(&mut self, component: Component, what: What, width: Width, inverse: Inverse) {
        let nodes: Vec<NodeName> = self
            .of
            .nodes
            .iter()
            .filter(|node| match width {
                Width::All => true,
                Width::First => node.name == *self.of.first,
                Width::Rest => node.name != *self.of.first,
                Width::Having => {
                    node.companion(component).is_some_and(|companion| companion.fate.starts())
                }
                Width::Stopped => {
                    node.companion(component).is_some_and(|companion| companion.fate.stops())
                }
                Width::Writers => node.config.writer == node.name,
                Width::One => Some(&node.name) == self.of.backup,
            })
            .map(|node| node.name.clone())
            .collect();
        if nodes.is_empty() {
            return;
        }
        let (number, stage) = (self.number, self.stage);
        self.done.push(Step { number, stage, component, what, nodes, width, inverse });
        self.number = number.next();
    }
}

fn is_pulled(image: &PlannedImage) -> bool {
    match image {
        PlannedImage::Pull { .. } => true,
        PlannedImage::Loaded { .. } | PlannedImage::Present { .. } => false,
    }
}

fn inverse(verb: Verb) -> Inverse {
    match verb {
        Verb::Pull | Verb::BackUp => Inverse::Harmless,
        Verb::StageContainer => Inverse::RemoveStaged,
        Verb::StageConfig => Inverse::RemoveFile,
        Verb::Stop => Inverse::Recreate,
        Verb::SetFloor => Inverse::LowerFloor,
        Verb::PutConfig => Inverse::RestoreConfig,
        Verb::StartMigrating | Verb::Start | Verb::Promote => Inverse::None,
        Verb::RemoveStaged
        | Verb::RemoveStagedConfig
        | Verb::RestoreConfig
        | Verb::LowerFloor
        | Verb::Recreate
        | Verb::CheckBackup
        | Verb::TakeDown
        | Verb::Restore => Inverse::Nothing,
    }
}
