//! What a node is asked in a step: the plan's intention together with what
//! earlier steps brought (the pulled image, the staged container).

use quaymaster_proto::act::{
    EnsureRunning, EnsureStopped, ExpectedDatabase, Order, Promote, PutConfig, StageConfig,
    StageContainer, StartMigrating,
};
use quaymaster_proto::job::PullImage;
use quaymaster_proto::{Component, ContainerId, Generation, ImageId, NodeName};

use crate::plan::{Plan, PlannedImage, PlannedNode, Step, Verb, What};
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
    let maker = Maker { plan, state, node };
    let order = match verb {
        Verb::Pull => return maker.pull(),
        Verb::StageContainer => Order::StageContainer(StageContainer {
            component: node.quay.component,
            container: node.quay.container.clone(),
            spec: node.quay.spec.clone(),
            generation: maker.wanted()?,
            port_moves: plan.port_moves.clone(),
        }),
        Verb::StageConfig => Order::StageConfig(StageConfig {
            from: node.config.from.clone(),
            to: node.config.to.clone(),
            mode: plan.window.to.mode,
        }),
        Verb::Stop => Order::EnsureStopped(EnsureStopped {
            component: node.quay.component,
            container: node.quay.container.clone(),
            generation: Generation { image: node.quay.image.clone(), mode: node.quay.mode },
            grace_seconds: plan.timings.stop_grace_seconds,
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
            component: node.quay.component,
            container: maker.staged()?,
            generation: maker.wanted()?,
            database: maker.database(vec![plan.database.target.clone()]),
            config: node.config.to.clone(),
        }),
        Verb::Promote => Order::Promote(Promote {
            component: node.quay.component,
            container: maker.staged()?,
            generation: maker.wanted()?,
            restart_policy: node.quay.restart_policy,
        }),
    };
    Ok(Task::Order(order))
}

/// The container that this run staged on a node.
pub fn staged(plan: &Plan, state: &RunState, node: &NodeName) -> Option<ContainerId> {
    let step = plan.first_step(What::Act(Verb::StageContainer))?;
    state.container(step.number, node).cloned()
}

/// The image that a node will run: pulled by this run, or what runs already.
pub fn wanted_image(plan: &Plan, state: &RunState, node: &NodeName) -> Option<ImageId> {
    match &plan.image {
        PlannedImage::Present { image } => Some(image.clone()),
        PlannedImage::Pull { .. } => {
            let step = plan.first_step(What::Act(Verb::Pull))?;
            state.pulled(step.number, node).cloned()
        }
    }
}

struct Maker<'a> {
    plan: &'a Plan,
    state: &'a RunState,
    node: &'a PlannedNode,
}

impl Maker<'_> {
    fn pull(&self) -> Result<Task, NoTask> {
        match &self.plan.image {
            PlannedImage::Pull { repository, tag: _, digest } => Ok(Task::Pull(PullImage {
                component: Component::Quay,
                repository: repository.clone(),
                digest: digest.clone(),
            })),
            PlannedImage::Present { .. } => Err(NoTask::NoImage { node: self.node.name.clone() }),
        }
    }

    fn wanted(&self) -> Result<Generation, NoTask> {
        let image = wanted_image(self.plan, self.state, &self.node.name)
            .ok_or_else(|| NoTask::NoImage { node: self.node.name.clone() })?;
        Ok(Generation { image, mode: self.plan.window.to.mode })
    }

    fn staged(&self) -> Result<ContainerId, NoTask> {
        staged(self.plan, self.state, &self.node.name)
            .ok_or_else(|| NoTask::NotStaged { node: self.node.name.clone() })
    }

    fn database(&self, revisions: Vec<String>) -> ExpectedDatabase {
        ExpectedDatabase { identity: self.plan.database.identity.clone(), revisions }
    }
}
