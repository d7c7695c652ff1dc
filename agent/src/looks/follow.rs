//! Health as a stream: several times a second until healthy, for the registry
//! is down meanwhile; then once a second, and at once when the engine says
//! that something happened.
#![expect(clippy::disallowed_methods, reason = "an effect room: it waits")]

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use jiff::Timestamp;
use quaymaster_proto::health::{HealthReport, HealthVerdict};
use quaymaster_proto::{Component, ContainerId, Mode, Refusal};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;

use super::health::Targets;
use crate::engine::{Container, Engine, EngineError};
use crate::node::Node;

/// Between two probes while the component is not healthy: what this adds to an
/// outage at most.
const EAGER: Duration = Duration::from_millis(50);

/// Between two probes while it is, and between two reports at most.
const CALM: Duration = Duration::from_secs(1);

/// Reports until the caller hangs up.
pub(crate) fn follow<E: Engine>(
    node: Arc<Node<E>>,
    component: Component,
    id: Option<ContainerId>,
) -> ReceiverStream<Result<HealthReport, Refusal>> {
    let (sender, stream) = mpsc::channel(4);
    tokio::spawn(async move {
        let following = Following {
            node,
            component,
            id,
            sent: None,
            events: None,
            targets: None,
            start: None,
            mode_asked_of: None,
        };
        following.run(sender).await;
    });
    ReceiverStream::new(stream)
}

struct Following<E> {
    node: Arc<Node<E>>,
    component: Component,
    id: Option<ContainerId>,
    /// The last report sent, and when.
    sent: Option<(HealthReport, Instant)>,
    /// Of the container that was seen last.
    events: Option<(ContainerId, BoxStream<'static, Result<(), EngineError>>)>,
    /// Kept, with what was learnt of them, while the container is the same.
    targets: Option<(ContainerId, Option<Targets>)>,
    /// The container seen last and its start.
    start: Option<Start>,
    /// The start whose Quay was asked for its mode: once is enough.
    mode_asked_of: Option<Start>,
}

/// One start of one container.
type Start = (ContainerId, Option<Timestamp>);

impl<E: Engine> Following<E> {
    async fn run(mut self, sender: mpsc::Sender<Result<HealthReport, Refusal>>) {
        loop {
            let report = tokio::select! {
                report = self.look() => report,
                () = sender.closed() => return,
            };
            let report = match report {
                Ok(report) => report,
                Err(refusal) => {
                    let _ = sender.send(Err(refusal)).await; // gone = nobody waits for it
                    return;
                }
            };
            let pause = if report.verdict == HealthVerdict::Healthy { CALM } else { EAGER };
            if self.is_news(&report) {
                self.sent = Some((report.clone(), Instant::now()));
                if sender.send(Ok(report)).await.is_err() {
                    return;
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = next_event(&mut self.events) => {}
                () = sender.closed() => return,
            }
        }
    }

    async fn look(&mut self) -> Result<HealthReport, Refusal> {
        let container = self.node.meant(self.component, self.id.as_ref()).await?;
        self.attend(container.as_ref());
        self.start = container.as_ref().map(|container| {
            let state = &container.state;
            (state.id.clone(), state.started_at)
        });
        let known = self.known_mode();
        let mut none = None;
        let targets = self.targets.as_mut().map_or(&mut none, |(_, targets)| targets);
        let mut report = self.node.probe(self.component, container, targets).await;
        report.effective_mode = known;
        // The first healthy report goes out before the mode is asked for.
        let is_settled = self.sent.as_ref().is_some_and(|(sent, _)| sent.verdict == report.verdict);
        if report.verdict == HealthVerdict::Healthy
            && is_settled
            && self.mode_asked_of != self.start
            && let Some(targets) = targets
        {
            report.effective_mode = self.node.effective_mode(targets).await;
            self.mode_asked_of = self.start.clone();
        }
        Ok(report)
    }

    /// Turns to another container where there is one.
    fn attend(&mut self, container: Option<&Container>) {
        let Some(container) = container else {
            (self.events, self.targets) = (None, None);
            return;
        };
        let id = &container.state.id;
        if self.events.as_ref().is_none_or(|(watched, _)| watched != id) {
            self.events = Some((id.clone(), self.node.engine.changes(id)));
        }
        // Ports may be the engine's choice, made at the start.
        let is_known = matches!(&self.targets, Some((known, Some(_))) if known == id);
        if !is_known || !container.state.status.is_alive() {
            let targets = self.node.targets(self.component, Some(container));
            self.targets = Some((id.clone(), targets));
        }
    }

    /// The mode found earlier, while the same start of the container lasts.
    fn known_mode(&self) -> Option<Mode> {
        let (sent, _) = self.sent.as_ref()?;
        if self.start.is_some() && self.start == self.mode_asked_of {
            sent.effective_mode
        } else {
            None
        }
    }

    fn is_news(&self, report: &HealthReport) -> bool {
        let Some((sent, at)) = &self.sent else { return true };
        let mut same = sent.clone();
        same.at = report.at;
        same != *report || at.elapsed() >= CALM
    }
}

/// Waits for an event; without a stream of them, for ever.
async fn next_event(
    events: &mut Option<(ContainerId, BoxStream<'static, Result<(), EngineError>>)>,
) {
    if let Some((_, stream)) = events
        && let Some(Ok(())) = stream.next().await
    {
        return;
    }
    // An engine whose events end is asked by probes alone.
    if let Some((_, stream)) = events {
        *stream = futures::stream::pending().boxed();
    }
    std::future::pending().await
}

#[cfg(test)]
mod tests;
