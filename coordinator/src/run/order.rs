//! What a node is asked in a step: the plan's intention together with what
//! earlier steps brought (the pulled image, the staged container).

use quaymaster_proto::act::{
    EnsureRunning, EnsureStopped, ExpectedDatabase, Ground, Order, Promote, PutConfig, Recreate,
    RemoveStaged, RemoveStagedConfig, RestoreConfig, StageConfig, StageContainer, StartMigrating,
    TakeDown,
};
use quaymaster_proto::backup::{BackUp, Backup, CheckBackup, Restore};
use quaymaster_proto::floor::{LowerFloor, SetFloor};
use quaymaster_proto::job::{JobOrder, PullImage};
use quaymaster_proto::{Below, Component, ContainerId, Floor, Generation, ImageId, Mode, NodeName};

use crate::gates::dark::Own;
use crate::plan::{Plan, PlannedContainer, PlannedImage, PlannedNode, Stage, Step, Verb, What};
use crate::run::act_state::ActState;
use crate::run::ran;
use crate::run::state::{Direction, RunState};

/// What a node is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Task {
    /// A short act.
    Order(Order),
    /// A job.
    Job(JobOrder),
}

/// Why no task can be made. A checked plan and a legal run never end here.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoTask {
    /// The step is a gate.
    #[error("step {step} is a gate, not an act")]
    Gate {
        /// The step.
        step: u32,
    },
    /// The plan does not know the node.
    #[error("the plan has no node `{node}`")]
    UnknownNode {
        /// The node.
        node: NodeName,
    },
    /// The plan has no such container there.
    #[error("the plan has no {component} on `{node}`")]
    NoContainer {
        /// The node.
        node: NodeName,
        /// What is missing.
        component: Component,
    },
    /// No pull of this run brought an image.
    #[error("no image was pulled on `{node}`")]
    NoImage {
        /// The node.
        node: NodeName,
    },
    /// Nothing leads back past the point of no return.
    #[error("neither is there a verified backup of this run, nor was it waived")]
    NoBackup,
    /// No step of this run staged a container.
    #[error("no container was staged on `{node}`")]
    NotStaged {
        /// The node.
        node: NodeName,
    },
}

/// Words the task of one node in one step.
pub fn task(plan: &Plan, state: &RunState, step: &Step, node: &NodeName) -> Result<Task, NoTask> {
    let What::Act(verb) = step.what else {
        return Err(NoTask::Gate { step: step.number.get() });
    };
    let node = plan.node(node).ok_or_else(|| NoTask::UnknownNode { node: node.clone() })?;
    let component = step.component;
    let container = node
        .container(component)
        .ok_or_else(|| NoTask::NoContainer { node: node.name.clone(), component })?;
    let is_back = matches!(step.stage, Stage::Back | Stage::Rollback);
    let maker = Maker { plan, state, node, component, is_back };
    let order = match verb {
        Verb::Pull => return maker.pull(),
        Verb::BackUp => return Ok(Task::Job(maker.back_up())),
        Verb::StageContainer => maker.stage(container)?,
        Verb::StageConfig => maker.stage_config(),
        Verb::Stop => maker.stop(container),
        Verb::SetFloor => {
            Order::SetFloor(SetFloor { from: node.floor.clone(), to: maker.floor()? })
        }
        Verb::PutConfig => {
            let (from, to) = (node.config.from.clone(), node.config.to.clone());
            Order::PutConfig(PutConfig { from, to })
        }
        Verb::StartMigrating => maker.migrate()?,
        Verb::Start => maker.start(container)?,
        Verb::Promote => maker.promote(container)?,
        Verb::RemoveStaged => {
            let container = staged(plan, state, &node.name, component);
            Order::RemoveStaged(RemoveStaged { component, container })
        }
        Verb::RemoveStagedConfig => {
            Order::RemoveStagedConfig(RemoveStagedConfig { staged: node.config.to.clone() })
        }
        Verb::RestoreConfig => {
            let (from, to) = (node.config.to.clone(), node.config.from.clone());
            Order::RestoreConfig(RestoreConfig { from, to })
        }
        Verb::LowerFloor => {
            // Behind a restore each agent proves it for itself.
            let database = (step.stage == Stage::Rollback)
                .then(|| maker.database(vec![plan.database.revision.clone()]));
            Order::LowerFloor(LowerFloor { from: maker.floor()?, to: node.floor.clone(), database })
        }
        Verb::CheckBackup => {
            let Backup { identity, manifest, .. } = maker.backup()?;
            return Ok(Task::Job(JobOrder::CheckBackup(CheckBackup { identity, manifest })));
        }
        Verb::TakeDown => maker.take_down()?,
        Verb::Restore => return Ok(Task::Job(maker.restore()?)),
        Verb::Recreate => maker.recreate(container),
    };
    Ok(Task::Order(order))
}

/// What a container is, as the plan found it.
fn found(container: &PlannedContainer) -> Generation {
    Generation { image: container.image.clone(), mode: container.mode }
}

/// The container of a component that a node is to serve with, as far as the
/// run has one: the staged one, or on the way back the one that was recreated.
pub fn serving(
    plan: &Plan,
    state: &RunState,
    node: &NodeName,
    component: Component,
) -> Option<ContainerId> {
    match state.direction {
        Direction::There => staged(plan, state, node, component),
        Direction::Back { .. } | Direction::Rollback { .. } => {
            let what = What::Act(Verb::Recreate);
            let step = state
                .way(plan)
                .iter()
                .find(|step| step.component == component && step.what == what)?;
            state.container(step.number, node).cloned()
        }
    }
}

/// The floor that a node has from the dark on; `None` = it is not known yet
/// what it will run.
pub fn floor(plan: &Plan, state: &RunState, node: &NodeName) -> Option<Floor> {
    let (component, node) = (Component::Quay, plan.node(node)?);
    Maker { plan, state, node, component, is_back: false }.floor().ok()
}

/// At which revisions a look for the dark may find the database; none = at any,
/// before a restore.
pub fn dark_revisions(plan: &Plan, state: &RunState, step: &Step) -> Vec<String> {
    match step.stage {
        Stage::Rollback if plan.restored_at() == Some(step.number) => {
            vec![plan.database.revision.clone()]
        }
        Stage::Rollback => Vec::new(),
        Stage::Serving | Stage::Dark | Stage::Beyond | Stage::Back => found_revisions(plan, state),
    }
}

/// What of the run's own a dark gate has to expect at the database: what follows
/// it, where that was begun and nobody knows how it ended.
pub fn own_at_database(plan: &Plan, state: &RunState, gate: &Step) -> Own {
    let next = plan.way_of(gate).iter().find(|next| next.number > gate.number);
    let in_flight = next.filter(|next| {
        let mut acts = next.nodes.iter().map(|node| state.act_state(next.number, node));
        acts.any(|act| matches!(act, ActState::InFlight { .. }))
    });
    match in_flight.map(|next| next.what) {
        Some(What::Act(Verb::BackUp)) => Own::BackUp,
        Some(What::Act(Verb::Restore)) => Own::Restore,
        Some(What::Act(_) | What::Gate(_)) | None => Own::Nothing,
    }
}

fn found_revisions(plan: &Plan, state: &RunState) -> Vec<String> {
    let found = plan.database.revision.clone();
    if state.attempt(&plan.first) > 1 {
        std::iter::once(found).chain(startable(plan, state)).collect()
    } else {
        vec![found]
    }
}

/// The container of a component that this run staged on a node.
pub fn staged(
    plan: &Plan,
    state: &RunState,
    node: &NodeName,
    component: Component,
) -> Option<ContainerId> {
    let step = plan.step_of(component, What::Act(Verb::StageContainer))?;
    state.container(step.number, node).cloned()
}

/// The revisions from which the migrating container may be started. Another
/// attempt may also begin where the one before has come to, as far as what
/// follows can be repeated.
pub fn startable(plan: &Plan, state: &RunState) -> Vec<String> {
    let database = &plan.database;
    let mut revisions = database.accepted.clone();
    if state.attempt(&plan.first) > 1 {
        revisions.extend(database.resumable.iter().cloned());
        revisions.push(database.target.clone());
    }
    revisions
}

/// The image that a node will run: pulled by this run, or on the node already.
pub fn wanted_image(
    plan: &Plan,
    state: &RunState,
    node: &NodeName,
    component: Component,
) -> Option<ImageId> {
    match plan.image_of(component)? {
        PlannedImage::Loaded { reference: _, image } | PlannedImage::Present { image } => {
            Some(image.clone())
        }
        PlannedImage::Pull { .. } => {
            // A mirror's image came with Quay's.
            let pulled = match component {
                Component::Mirror => Component::Quay,
                Component::Quay | Component::Clair | Component::Builder => component,
            };
            let step = plan.step_of(pulled, What::Act(Verb::Pull))?;
            state.pulled(step.number, node).cloned()
        }
    }
}

struct Maker<'a> {
    plan: &'a Plan,
    state: &'a RunState,
    node: &'a PlannedNode,
    component: Component,
    is_back: bool,
}

impl Maker<'_> {
    /// The container that is started and named.
    fn moved(&self) -> Result<ContainerId, NoTask> {
        serving(self.plan, self.state, &self.node.name, self.component)
            .ok_or_else(|| NoTask::NotStaged { node: self.node.name.clone() })
    }

    fn generation(&self, container: &PlannedContainer) -> Result<Generation, NoTask> {
        if self.is_back { Ok(found(container)) } else { self.wanted() }
    }

    /// What has to be so before a Quay starts that must not migrate: there the
    /// target, back what the window found.
    fn ground(&self) -> Ground {
        let (database, config) = (&self.plan.database, &self.node.config);
        let (revision, config) = if self.is_back {
            (&database.revision, &config.from)
        } else {
            (&database.target, &config.to)
        };
        Ground { database: self.database(vec![revision.clone()]), config: config.clone() }
    }

    /// From this window on: every image that the plan found is below, whatever
    /// mode it might be started in; where the image stays, its old mode is.
    fn floor(&self) -> Result<Floor, NoTask> {
        let generation = self.wanted()?;
        let mut below = self.node.floor.clone().map(|floor| floor.below).unwrap_or_default();
        for node in &self.plan.nodes {
            let image = node.quay.image.clone();
            let mode = (image == generation.image).then_some(node.quay.mode);
            below.push(Below { image, mode });
        }
        below.sort();
        below.dedup();
        Ok(Floor { generation, below })
    }

    fn pull(&self) -> Result<Task, NoTask> {
        match self.plan.image_of(self.component) {
            Some(PlannedImage::Pull { repository, tag, digest }) => {
                Ok(Task::Job(JobOrder::Pull(PullImage {
                    component: self.component,
                    repository: repository.clone(),
                    digest: digest.clone(),
                    tag: Some(tag.clone()),
                })))
            }
            Some(PlannedImage::Loaded { .. } | PlannedImage::Present { .. }) | None => {
                Err(NoTask::NoImage { node: self.node.name.clone() })
            }
        }
    }

    fn stage(&self, container: &PlannedContainer) -> Result<Order, NoTask> {
        let next = self.plan.companions.get(&self.component).and_then(|plan| plan.next.as_ref());
        Ok(Order::StageContainer(StageContainer {
            component: self.component,
            container: container.container.clone(),
            spec: container.spec.clone(),
            generation: self.wanted()?,
            port_moves: next.map_or(&self.plan.port_moves, |next| &next.port_moves).clone(),
            mount_copies: next.map(|next| next.mount_copies.clone()).unwrap_or_default(),
            attempt: self.state.attempt(&self.node.name),
        }))
    }

    fn stage_config(&self) -> Order {
        Order::StageConfig(StageConfig {
            from: self.node.config.from.clone(),
            to: self.node.config.to.clone(),
            mode: self.plan.window.to.mode,
        })
    }

    fn stop(&self, container: &PlannedContainer) -> Order {
        Order::EnsureStopped(EnsureStopped {
            component: self.component,
            container: container.container.clone(),
            generation: found(container),
            grace_seconds: self.plan.stop_grace_seconds(self.component),
            restart_policy: container.restart_policy,
        })
    }

    fn back_up(&self) -> JobOrder {
        let database = self.database(vec![self.plan.database.revision.clone()]);
        let ran = ran::digest(ran::before_backup(self.plan, self.state).unwrap_or_default());
        JobOrder::BackUp(BackUp { database, ran, storage: self.plan.backup.storage().order() })
    }

    fn restore(&self) -> Result<JobOrder, NoTask> {
        let Backup { identity, manifest, .. } = self.backup()?;
        let expected_sessions = self.plan.timings.expected_sessions.clone();
        Ok(JobOrder::Restore(Restore { identity, manifest, expected_sessions }))
    }

    fn backup(&self) -> Result<Backup, NoTask> {
        self.state.backup(self.plan).cloned().ok_or(NoTask::NoBackup)
    }

    /// Nothing that may migrate is spared, on whichever node a person may have
    /// started it: what destroys it was ordered.
    fn take_down(&self) -> Result<Order, NoTask> {
        Ok(Order::TakeDown(TakeDown {
            component: self.component,
            container: staged(self.plan, self.state, &self.node.name, self.component),
            generation: self.wanted()?,
            grace_seconds: self.plan.stop_grace_seconds(self.component),
            destroys_migration: self.component.migrates(),
        }))
    }

    fn migrate(&self) -> Result<Order, NoTask> {
        if !self.state.has_backup(self.plan) {
            return Err(NoTask::NoBackup);
        }
        Ok(Order::StartMigrating(StartMigrating {
            container: self.staged()?,
            generation: self.wanted()?,
            database: self.database(startable(self.plan, self.state)),
            config: self.node.config.to.clone(),
            expected_sessions: self.plan.timings.expected_sessions.clone(),
        }))
    }

    fn start(&self, container: &PlannedContainer) -> Result<Order, NoTask> {
        Ok(Order::EnsureRunning(EnsureRunning {
            component: self.component,
            container: self.moved()?,
            generation: self.generation(container)?,
            ground: self.component.migrates().then(|| self.ground()),
        }))
    }

    fn promote(&self, container: &PlannedContainer) -> Result<Order, NoTask> {
        Ok(Order::Promote(Promote {
            component: self.component,
            container: self.moved()?,
            generation: self.generation(container)?,
            restart_policy: container.restart_policy,
        }))
    }

    fn recreate(&self, container: &PlannedContainer) -> Order {
        Order::Recreate(Recreate {
            component: self.component,
            container: container.container.clone(),
            generation: found(container),
            attempt: self.state.attempt(&self.node.name),
        })
    }

    fn wanted(&self) -> Result<Generation, NoTask> {
        let image = wanted_image(self.plan, self.state, &self.node.name, self.component)
            .ok_or_else(|| NoTask::NoImage { node: self.node.name.clone() })?;
        let mode = if self.component.migrates() { self.plan.window.to.mode } else { Mode::Absent };
        Ok(Generation { image, mode })
    }

    fn staged(&self) -> Result<ContainerId, NoTask> {
        staged(self.plan, self.state, &self.node.name, self.component)
            .ok_or_else(|| NoTask::NotStaged { node: self.node.name.clone() })
    }

    fn database(&self, revisions: Vec<String>) -> ExpectedDatabase {
        ExpectedDatabase { identity: self.plan.database.identity.clone(), revisions }
    }
}
