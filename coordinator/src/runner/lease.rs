//! Leases: before its first act a process claims every node, one after the
//! other and in the plan's order, so that of two that claim at once one loses
//! at the first node. A claim names the lease that was seen; nobody is
//! overruled by accident.
#![expect(clippy::disallowed_methods, reason = "an effect room: it waits between two tries")]

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use quaymaster_proto::lease::{ClaimLease, Claimed, ReleaseLease};
use quaymaster_proto::node::{LedgerHead, NodeFacts};
use quaymaster_proto::{Epoch, Lease, NodeName, Reason, RunId, StepNumber};
use tokio::time::{Instant, sleep};
use ulid::Ulid;

use super::errand::{LONGEST_PAUSE, SHORTEST_PAUSE, SILENCE};
use super::{Book, Ended, Progress, RunError, Runner};
use crate::guards::Guard;
use crate::nodes::{CallError, Looks, NoAnswer, Orders};
use crate::plan::Plan;
use crate::run::{Event, Problem, RunState};

/// Which leases this process holds, and how it came to them.
#[derive(Debug)]
pub(super) struct Held {
    nodes: BTreeSet<NodeName>,
    /// Nodes that had done nothing of which the journal does not know.
    compared: BTreeSet<NodeName>,
    /// Nodes that did not answer when they were asked last, or could not grant
    /// the claim, and how that was.
    silent: BTreeMap<NodeName, String>,
    claimant: Claimant,
}

/// In whose name leases are claimed.
#[derive(Clone, Debug)]
pub struct Claimant {
    /// The process.
    pub process: Ulid,
    /// Runs that have ended, as the journal knows: what is left of their
    /// leases is nobody's.
    pub over: BTreeSet<RunId>,
    /// Whether a person ordered that another's lease is taken.
    pub takes_over: bool,
}

/// Why a node's lease was not to be had.
#[derive(Clone, PartialEq, Debug)]
pub enum Unclaimed {
    /// Another run, or another process of this one, has it.
    Held(Box<Lease>),
    /// A process of this very run has it of which the journal does not know.
    Elsewhere(Box<Lease>),
    /// The node has done more of this run than the journal knows: it is an
    /// earlier copy.
    Behind {
        /// The furthest step that the node has accepted.
        step: StepNumber,
        /// The furthest that the journal knows; `None` = none at all.
        known: Option<StepNumber>,
    },
    /// The agent did not grant it.
    Refused(Problem),
}

impl Held {
    pub(super) fn new(claimant: Claimant) -> Self {
        Self {
            nodes: BTreeSet::new(),
            compared: BTreeSet::new(),
            silent: BTreeMap::new(),
            claimant,
        }
    }

    pub(super) fn has(&self, node: &NodeName) -> bool {
        self.nodes.contains(node)
    }

    /// Whether this process knows that the journal knows all of the node.
    pub(super) fn has_compared(&self, node: &NodeName) -> bool {
        self.compared.contains(node)
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Why a node is not held that nobody else holds.
    pub(super) fn why_not(&self, node: &NodeName) -> String {
        let silence = self.silent.get(node).map(|reason| format!(": {reason}"));
        format!("its lease could not be claimed{}", silence.unwrap_or_default())
    }

    /// Whatever was held was held in another epoch.
    pub(super) fn forget(&mut self) {
        self.nodes.clear();
    }

    /// Of this run: that of an earlier process, whose epoch is in the journal; on
    /// another machine it may live, and the journal be a copy. Or this process's
    /// own, and the answer to its claim was lost.
    fn is_mine_to_take(&self, lease: &Lease, state: &RunState, epoch: Epoch) -> bool {
        let Claimant { process, over, takes_over } = &self.claimant;
        if lease.run != state.run {
            return *takes_over || over.contains(&lease.run);
        }
        let is_own = (lease.epoch, lease.process) == (epoch, *process);
        let is_here = host(&lease.holder) == host(&state.driver);
        is_own || lease.epoch < epoch && (is_here || *takes_over)
    }
}

/// Of user@host.
fn host(holder: &str) -> &str {
    holder.rsplit_once('@').map_or(holder, |(_, host)| host)
}

impl<N, B> Runner<N, B>
where
    N: Looks + Orders + 'static,
    B: Book,
{
    /// Sees to it that this process holds the lease of every node of the plan.
    /// Until the run has begun to change anything all of them are needed; later
    /// a node that does not answer is left for the step that needs it.
    pub(super) async fn claim(&mut self, plan: &Plan) -> Result<Option<Ended>, RunError> {
        let all: Vec<NodeName> = plan.nodes.iter().map(|node| node.name.clone()).collect();
        self.claim_these(&all).await
    }

    /// The same for nodes that something cannot do without: an agent that is
    /// just being started again costs no window.
    pub(super) async fn claim_patiently(
        &mut self,
        step: StepNumber,
        nodes: &[NodeName],
    ) -> Result<Option<Ended>, RunError> {
        let (begun, mut pause) = (Instant::now(), SHORTEST_PAUSE);
        loop {
            let ended = self.claim_these(nodes).await?;
            let missing = nodes.iter().filter(|node| !self.held.has(node));
            let missing: Vec<_> = missing.cloned().collect();
            if ended.is_some() || missing.is_empty() || begun.elapsed() + pause > SILENCE {
                return Ok(ended);
            }
            for node in missing {
                let problem = self.held.why_not(&node);
                self.tell(Progress::Retrying { step, node, problem });
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    pub(super) async fn claim_these(
        &mut self,
        nodes: &[NodeName],
    ) -> Result<Option<Ended>, RunError> {
        let missing: Vec<NodeName> =
            nodes.iter().filter(|node| !self.held.has(node)).cloned().collect();
        if missing.is_empty() {
            return Ok(None);
        }
        let needs_all = self.state.begun.is_empty();
        let looks = join_all(
            missing
                .iter()
                .map(async |node| (node.clone(), self.nodes.describe(node, &self.key).await)),
        )
        .await;
        let (mut against, mut silent, mut free) = (Vec::new(), Vec::new(), Vec::new());
        for (node, facts) in looks {
            match facts {
                Ok(facts) => match self.stands_against(&node, &facts) {
                    Some(why) => against.push((node, why)),
                    None => free.push((node, facts.lease)),
                },
                Err(error) => {
                    self.held.silent.insert(node.clone(), error.reason());
                    silent.push((node, why(error)));
                }
            }
        }
        if needs_all {
            against.append(&mut silent);
        }
        for (node, seen) in free {
            if !against.is_empty() {
                break;
            }
            match self.claim_one(&node, seen).await {
                Ok(claimed) => {
                    self.held.nodes.insert(node.clone());
                    match self.is_behind(&node, claimed.ledger.as_ref()) {
                        Some(why) => against.push((node, why)),
                        None => _ = self.held.compared.insert(node),
                    }
                }
                // An agent that cannot grant it keeps nobody else from the way back.
                Err(error) if !needs_all && !is_taken(&error) => {
                    self.held.silent.insert(node, error.reason());
                }
                Err(error) => against.push((node.clone(), why(error))),
            }
        }
        if against.is_empty() {
            return Ok(None);
        }
        self.give_back().await;
        Ok(Some(Ended::Unclaimed { nodes: against }))
    }

    fn stands_against(&self, node: &NodeName, facts: &NodeFacts) -> Option<Unclaimed> {
        let epoch = self.epoch();
        let behind = self.is_behind(node, facts.ledger.as_ref());
        if let Some(lease) = &facts.lease
            && !self.held.is_mine_to_take(lease, &self.state, epoch)
            && behind.is_none()
        {
            let lease = Box::new(lease.clone());
            let is_unknown = lease.run == self.state.run && lease.epoch >= epoch;
            return Some(if is_unknown {
                Unclaimed::Elsewhere(lease)
            } else {
                Unclaimed::Held(lease)
            });
        }
        behind
    }

    /// The same, where nothing is claimed yet: an earlier copy of the journal
    /// would wait for what is long over. A node that does not answer is no
    /// reason not to wait.
    pub(super) async fn is_overtaken(&self, plan: &Plan) -> Option<Ended> {
        let looks = join_all(plan.nodes.iter().map(async |node| {
            let facts = self.nodes.describe(&node.name, &self.key).await.ok()?;
            let why = self.is_behind(&node.name, facts.ledger.as_ref())?;
            Some((node.name.clone(), why))
        }))
        .await;
        let nodes: Vec<(NodeName, Unclaimed)> = looks.into_iter().flatten().collect();
        (!nodes.is_empty()).then_some(Ended::Unclaimed { nodes })
    }

    /// What a node has done and the journal does not know must not be done
    /// again, or taken back by somebody who does not know of it.
    fn is_behind(&self, node: &NodeName, head: Option<&LedgerHead>) -> Option<Unclaimed> {
        let head = head.filter(|head| head.run == self.state.run)?;
        let known = self.state.furthest(node);
        (known < Some(head.step)).then_some(Unclaimed::Behind { step: head.step, known })
    }

    async fn claim_one(&self, node: &NodeName, seen: Option<Lease>) -> Result<Claimed, CallError> {
        let claim = ClaimLease {
            cluster: self.state.cluster.clone(),
            run: self.state.run,
            epoch: self.epoch(),
            holder: self.state.driver.clone(),
            process: self.held.claimant.process,
            plan: self.plan.digest().clone(),
            plan_bytes: self.plan_bytes.clone(),
            seen,
        };
        self.nodes.claim(node, claim).await
    }

    /// Nobody is left to hold what this process does not need any more. A node
    /// that does not answer keeps its lease; the journal knows that it is over.
    pub(super) async fn give_back(&mut self) {
        let held = std::mem::take(&mut self.held.nodes);
        join_all(held.iter().map(async |node| {
            let release = ReleaseLease {
                cluster: self.state.cluster.clone(),
                run: self.state.run,
                epoch: self.epoch(),
            };
            // What could not be given back is taken by whoever needs it next.
            let _ = self.nodes.release(node, release).await;
        }))
        .await;
    }

    /// This process begins anew, so that nothing that it sent before is obeyed
    /// any more.
    pub(super) async fn take_fresh_epoch(&mut self) -> Result<(), RunError> {
        let (epoch, by, at) = (self.epoch().next(), self.state.driver.clone(), self.clock.now());
        self.held.forget();
        self.record(vec![Event::Driven { epoch, by, at }]).await
    }

    /// A run is always taken in hand before it is driven.
    pub(super) fn epoch(&self) -> Epoch {
        let taken = self.state.epoch.filter(|_| self.guards.has(Guard::FreshEpoch));
        taken.unwrap_or(Epoch::FIRST)
    }
}

/// Whether an agent said that the lease is another's.
fn is_taken(error: &CallError) -> bool {
    match error.why.as_ref() {
        NoAnswer::Refused(refusal) => refusal.reason == Reason::Lease,
        NoAnswer::Unreachable(_) | NoAnswer::Malformed(_) => false,
    }
}

fn why(error: CallError) -> Unclaimed {
    Unclaimed::Refused(error.into())
}

/// Whether an agent said that another one drives it now.
pub(super) fn is_lost(problem: &Problem) -> bool {
    match problem {
        Problem::Refused { reason: Reason::Lease, .. } => true,
        Problem::Refused { .. }
        | Problem::Unreachable { .. }
        | Problem::Nonsense { .. }
        | Problem::AtGate { .. } => false,
    }
}
