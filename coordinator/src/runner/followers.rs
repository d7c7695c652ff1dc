//! Health streams of the staged containers, opened while there is time, so
//! that the gates of the dark hear of a change when it happens.
#![expect(clippy::disallowed_methods, reason = "an effect room: it waits before it reconnects")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use quaymaster_proto::health::HealthReport;
use quaymaster_proto::{Component, ContainerId, NodeName};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::nodes::{HealthQuestion, Looks};
use crate::plan::Plan;
use crate::run::{RunState, order};

/// After a stream broke. The engine or the agent restarts: no hurry helps.
const RECONNECT: Duration = Duration::from_millis(200);

/// A report, or why there is none.
pub(super) type Seen = Result<HealthReport, String>;

/// Whose containers: of a component on these nodes.
pub(super) type Of<'a> = (Component, &'a [NodeName]);

#[derive(Debug)]
pub(super) struct Followers {
    /// Ends with the runner.
    tasks: JoinSet<()>,
    followed: BTreeMap<(Component, NodeName), (ContainerId, UnboundedReceiver<Seen>)>,
}

impl Followers {
    pub(super) fn new() -> Self {
        Self { tasks: JoinSet::new(), followed: BTreeMap::new() }
    }

    /// Follows every container of a component that the nodes are to serve with
    /// and that is not followed.
    pub(super) fn open<N: Looks + 'static>(
        &mut self,
        plan: &Plan,
        state: &RunState,
        component: Component,
        nodes: &Arc<N>,
    ) {
        for node in plan.nodes.iter().map(|node| &node.name) {
            let Some(id) = order::serving(plan, state, node, component) else { continue };
            let key = (component, node.clone());
            if self.followed.get(&key).is_none_or(|(followed, _)| *followed != id) {
                let question = HealthQuestion { component, container: Some(id.clone()) };
                let (sender, receiver) = unbounded_channel();
                self.tasks.spawn(follow(Arc::clone(nodes), node.clone(), question, sender));
                self.followed.insert(key, (id, receiver));
            }
        }
    }

    /// Reports of these nodes' containers that have come already.
    pub(super) fn waiting(&mut self, of: Of<'_>) -> Vec<(NodeName, Seen)> {
        let mut reports = Vec::new();
        for (node, receiver) in self.of(of) {
            while let Ok(seen) = receiver.try_recv() {
                reports.push((node.clone(), seen));
            }
        }
        reports
    }

    /// Waits for the next report of any of these nodes' containers.
    pub(super) async fn next(&mut self, of: Of<'_>) -> Option<(NodeName, Seen)> {
        let waiting = self
            .of(of)
            .map(|(node, receiver)| Box::pin(async move { (node.clone(), receiver.recv().await) }));
        let waiting: Vec<_> = waiting.collect();
        if waiting.is_empty() {
            return None;
        }
        let ((node, seen), _, _) = futures::future::select_all(waiting).await;
        seen.map(|seen| (node, seen))
    }

    fn of(
        &mut self,
        (meant, nodes): Of<'_>,
    ) -> impl Iterator<Item = (&NodeName, &mut UnboundedReceiver<Seen>)> {
        let is_meant =
            move |component: Component, node: &NodeName| component == meant && nodes.contains(node);
        let followed = self.followed.iter_mut();
        followed
            .filter(move |((component, node), _)| is_meant(*component, node))
            .map(|((_, node), (_, receiver))| (node, receiver))
    }
}

async fn follow<N: Looks>(
    nodes: Arc<N>,
    node: NodeName,
    question: HealthQuestion,
    sender: UnboundedSender<Seen>,
) {
    while !sender.is_closed() {
        match nodes.follow_health(&node, &question).await {
            Ok(mut reports) => {
                while let Some(report) = reports.next().await {
                    if sender.send(report.map_err(|error| error.reason())).is_err() {
                        return;
                    }
                }
            }
            Err(error) => {
                let _ = sender.send(Err(error.reason()));
            }
        }
        sleep(RECONNECT).await;
    }
}
