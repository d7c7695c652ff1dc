//! One node's Quay made anew, under a lease of its own: stop what is left, a
//! fresh container, its start on the agent's own proof, health, name and policy.
#![expect(clippy::disallowed_methods, reason = "an effect room: it waits for health")]

use std::sync::Arc;
use std::time::Duration;

use quaymaster_proto::act::{EnsureRunning, EnsureStopped, Order, Promote, Recreate};
use quaymaster_proto::lease::{ClaimLease, ReleaseLease};
use quaymaster_proto::{
    Act, ClusterName, Component, ContainerId, Epoch, Lease, PlanDigest, RunId, StepNumber,
};
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::{Instant, sleep};
use ulid::Ulid;

use super::errand::Errand;
use crate::gates::health::Course;
use crate::heal::Healing;
use crate::nodes::{HealthQuestion, Looks, Orders};
use crate::render::problem as in_words;
use crate::run::{GateFailure, Problem, Settlement, Task, WaitingOn};

/// Between two looks at its health.
const LOOK: Duration = Duration::from_millis(500);
/// Nothing migrates in it: after so many of its longest starts nothing more is
/// to be expected.
const STARTS: u32 = 4;

/// In whose name a node is healed.
#[derive(Clone, Debug)]
pub struct Heal {
    /// Of which cluster.
    pub cluster: ClusterName,
    /// A run of its own.
    pub run: RunId,
    /// The process.
    pub process: Ulid,
    /// For people: who, from where.
    pub holder: String,
    /// What is healed, as the agent keeps it.
    pub document: (PlanDigest, Vec<u8>),
    /// The lease that was seen.
    pub seen: Option<Lease>,
    /// How long health must last.
    pub healthy_for: Duration,
}

/// A node that serves again.
#[derive(Clone, PartialEq, Debug)]
pub struct Healed {
    /// Its fresh container.
    pub container: ContainerId,
}

/// Where it ended instead.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum NotHealed {
    /// No lease, no change.
    #[error("its lease was not granted: {}", in_words(.0))]
    Unclaimed(Problem),
    /// What is left of the old container could not be stopped.
    #[error("the old container could not be stopped: {}", in_words(.0))]
    NotStopped(Problem),
    /// There is no fresh container.
    #[error("no fresh container could be made: {}", in_words(.0))]
    NotMade(Problem),
    /// The fresh container was not started.
    #[error("the fresh container {} was not started: {}", container.short(), in_words(.problem))]
    NotStarted {
        /// Which.
        container: ContainerId,
        /// Why.
        problem: Problem,
    },
    /// It does not become healthy.
    #[error("the fresh container {} does not become healthy: {}", container.short(), in_words(.problem))]
    NotHealthy {
        /// Which.
        container: ContainerId,
        /// Why.
        problem: Problem,
    },
    /// It serves under another name.
    #[error(
        "the fresh container {} is healthy, and did not get its name and policy: {}",
        container.short(), in_words(.problem)
    )]
    NotPromoted {
        /// Which.
        container: ContainerId,
        /// Why.
        problem: Problem,
    },
}

/// Heals; the lease is given back whatever comes of it. `tell` hears of each
/// step before it is done.
pub async fn heal<N: Looks + Orders>(
    nodes: &Arc<N>,
    healing: &Healing,
    heal: &Heal,
    tell: impl Fn(&str),
) -> Result<Healed, NotHealed> {
    let (plan, plan_bytes) = heal.document.clone();
    let claim = ClaimLease {
        cluster: heal.cluster.clone(),
        run: heal.run,
        epoch: Epoch::FIRST,
        holder: heal.holder.clone(),
        process: heal.process,
        plan,
        plan_bytes,
        seen: heal.seen.clone(),
    };
    let claimed = nodes.claim(&healing.node, claim).await;
    claimed.map_err(|error| NotHealed::Unclaimed(error.into()))?;
    let done = Hands { nodes, healing, heal }.all(tell).await;
    let (cluster, run, epoch) = (heal.cluster.clone(), heal.run, Epoch::FIRST);
    // What could not be given back is taken over by name.
    let _ = nodes.release(&healing.node, ReleaseLease { cluster, run, epoch }).await;
    done
}

struct Hands<'a, N> {
    nodes: &'a Arc<N>,
    healing: &'a Healing,
    heal: &'a Heal,
}

impl<N: Looks + Orders> Hands<'_, N> {
    async fn all(&self, tell: impl Fn(&str)) -> Result<Healed, NotHealed> {
        let Healing { node: _, generation, container: old, restart_policy, ground, .. } =
            self.healing;
        let component = Component::Quay;
        tell("stopping what is left of the old container");
        let stop = Order::EnsureStopped(EnsureStopped {
            component,
            container: old.clone(),
            generation: generation.clone(),
            grace_seconds: self.healing.grace_seconds,
            restart_policy: *restart_policy,
        });
        self.order(1, stop).await.map_err(NotHealed::NotStopped)?;
        tell("creating a fresh container");
        let recreate = Order::Recreate(Recreate {
            component,
            container: old.clone(),
            generation: generation.clone(),
            attempt: 1,
        });
        let made = self.order(2, recreate).await.map_err(NotHealed::NotMade)?;
        let container = made.ok_or_else(|| NotHealed::NotMade(nonsense()))?;
        tell("starting it, on the agent's own look at the database");
        let start = Order::EnsureRunning(EnsureRunning {
            component,
            container: container.clone(),
            generation: generation.clone(),
            ground: Some(ground.clone()),
        });
        let at = container.clone();
        let started = self.order(3, start).await;
        started.map_err(|problem| NotHealed::NotStarted { container: at, problem })?;
        tell("waiting for its health");
        let at = container.clone();
        let healthy = self.becomes_healthy(&container).await;
        healthy.map_err(|problem| NotHealed::NotHealthy { container: at, problem })?;
        tell("giving it its name and restart policy");
        let promote = Order::Promote(Promote {
            component,
            container: container.clone(),
            generation: generation.clone(),
            restart_policy: *restart_policy,
        });
        let at = container.clone();
        let promoted = self.order(4, promote).await;
        promoted.map_err(|problem| NotHealed::NotPromoted { container: at, problem })?;
        Ok(Healed { container })
    }

    /// Asked until it is answered, as in a window; the container afterwards.
    async fn order(&self, step: u32, order: Order) -> Result<Option<ContainerId>, Problem> {
        let act = Act {
            cluster: self.heal.cluster.clone(),
            run: self.heal.run,
            epoch: Epoch::FIRST,
            step: StepNumber::new(step).unwrap_or(StepNumber::FIRST),
            plan: self.heal.document.0.clone(),
        };
        let errand = Errand {
            nodes: Arc::clone(self.nodes),
            node: self.healing.node.clone(),
            act,
            task: Task::Order(order),
            progress: unbounded_channel().0,
        };
        match errand.run().await.1? {
            Settlement::Met(outcome) => Ok(outcome.container.map(|container| container.id)),
            Settlement::Pulled { .. }
            | Settlement::BackedUp { .. }
            | Settlement::Restored { .. } => Err(nonsense()),
        }
    }

    async fn becomes_healthy(&self, container: &ContainerId) -> Result<(), Problem> {
        let (node, mode) = (&self.healing.node, self.healing.generation.mode);
        let limit = self.healing.start_at_worst * STARTS + self.heal.healthy_for;
        let question =
            HealthQuestion { component: Component::Quay, container: Some(container.clone()) };
        let mut course = Course::new(node.clone());
        let begun = Instant::now();
        loop {
            match self.nodes.health(node, &question).await {
                Ok(report) => course.see(report),
                Err(error) => course.lose(error.reason(), begun.elapsed()),
            }
            let at_gate = |failure| Problem::AtGate { failure: Box::new(failure) };
            if let Some(failure) = course.failure(mode) {
                return Err(at_gate(failure));
            }
            if course.left(self.heal.healthy_for) == Some(Duration::ZERO) {
                return Ok(());
            }
            if begun.elapsed() > limit {
                let nodes = vec![(node.clone(), course.reason())];
                let on = Box::new(WaitingOn::Health { nodes });
                return Err(at_gate(GateFailure::TooLong { limit, on }));
            }
            sleep(LOOK).await;
        }
    }
}

fn nonsense() -> Problem {
    Problem::Nonsense { detail: "it names no container".to_owned() }
}
