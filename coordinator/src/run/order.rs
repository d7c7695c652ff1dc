//! What a node is asked in a step: the plan's intention together with what
//! earlier steps brought (the pulled image, the staged container).

use quaymaster_proto::act::{
    EnsureRunning, EnsureStopped, ExpectedDatabase, Ground, Order, Promote, PutConfig, StageConfig,
    StageContainer, StartMigrating,
};
use quaymaster_proto::job::PullImage;
use quaymaster_proto::{Component, ContainerId, Generation, ImageId, Mode, NodeName};

use crate::plan::{Plan, PlannedContainer, PlannedImage, PlannedNode, Step, Verb, What};
use crate::run::state::RunState;

/// What a node is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Task {
    /// A short act.
    Order(Order),
    /// A job.
    Pull(PullImage),
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
    let maker = Maker { plan, state, node, component };
    let order = match verb {
        Verb::Pull => return maker.pull(),
        Verb::StageContainer => maker.stage(container)?,
        Verb::StageConfig => Order::StageConfig(StageConfig {
            from: node.config.from.clone(),
            to: node.config.to.clone(),
            mode: plan.window.to.mode,
        }),
        Verb::Stop => Order::EnsureStopped(EnsureStopped {
            component,
            container: container.container.clone(),
            generation: Generation { image: container.image.clone(), mode: container.mode },
            grace_seconds: plan.stop_grace_seconds(component),
            restart_policy: container.restart_policy,
        }),
        Verb::PutConfig => Order::PutConfig(PutConfig {
            from: node.config.from.clone(),
            to: node.config.to.clone(),
        }),
        Verb::StartMigrating => Order::StartMigrating(StartMigrating {
            container: maker.staged()?,
            generation: maker.wanted()?,
            database: maker.database(plan.database.accepted.clone()),
            config: node.config.to.clone(),
            expected_sessions: plan.timings.expected_sessions.clone(),
        }),
        Verb::Start => Order::EnsureRunning(EnsureRunning {
            component,
            container: maker.staged()?,
            generation: maker.wanted()?,
            ground: component.migrates().then(|| Ground {
                database: maker.database(vec![plan.database.target.clone()]),
                config: node.config.to.clone(),
            }),
        }),
        Verb::Promote => Order::Promote(Promote {
            component,
            container: maker.staged()?,
            generation: maker.wanted()?,
            restart_policy: container.restart_policy,
        }),
    };
    Ok(Task::Order(order))
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
}

impl Maker<'_> {
    fn pull(&self) -> Result<Task, NoTask> {
        match self.plan.image_of(self.component) {
            Some(PlannedImage::Pull { repository, tag, digest }) => Ok(Task::Pull(PullImage {
                component: self.component,
                repository: repository.clone(),
                digest: digest.clone(),
                tag: Some(tag.clone()),
            })),
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
        }))
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
