//! Health as a stream: many times a second until a Quay answers and for a while
//! after, for the registry is down meanwhile; then less often, and at once when
//! the engine says that something happened.
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

/// Between two probes while a start is waited for: what this adds to an outage
/// at most.
const EAGER: Duration = Duration::from_millis(50);

/// Between two probes of one that is not healthy and may stay so for hours:
/// each costs Quay questions to its database.
const STEADY: Duration = Duration::from_millis(250);

/// Between two probes of a healthy one, and between two reports at most.
const CALM: Duration = Duration::from_secs(1);

/// How long after the first answer of a start it is expected to become healthy:
/// it takes seconds (quay-observed 2).
const FRESH: Duration = Duration::from_mins(3);

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
            mode_known_of: None,
            haste: Haste::default(),
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
    /// The start whose Quay has shown its mode, or has none: once is enough.
    mode_known_of: Option<Start>,
    haste: Haste,
}

/// One start of one container.
type Start = (ContainerId, Option<Timestamp>);

/// How often to probe.
#[derive(Default)]
struct Haste {
    /// The start whose Quay answers by itself, and since when.
    answers: Option<(Option<Start>, Instant)>,
}

impl Haste {
    /// How long to wait after this report.
    fn pause(&mut self, start: Option<&Start>, report: &HealthReport, now: Instant) -> Duration {
        // 502 is Quay's own proxy, with nothing behind it yet.
        if report.instance.status.is_none_or(|status| status == 502) {
            self.answers = None;
        } else if self.answers.as_ref().is_none_or(|(answering, _)| answering.as_ref() != start) {
            self.answers = Some((start.cloned(), now));
        }
        let is_fresh =
            self.answers.as_ref().is_none_or(|(_, since)| now.duration_since(*since) < FRESH);
        match report.verdict {
            HealthVerdict::Healthy => CALM,
            // The engine says when it starts, and no Quay is healthy at once.
            HealthVerdict::Down => STEADY,
            HealthVerdict::Unhealthy if is_fresh => EAGER,
            HealthVerdict::Unhealthy => STEADY,
        }
    }
}

impl<E: Engine> Following<E> {
    async fn run(mut self, sender: mpsc::Sender<Result<HealthReport, Refusal>>) {
        loop {
            let report = tokio::select! {
                biased;
                report = self.look(&sender) => report,
                () = sender.closed() => return,
            };
            let report = match report {
                Ok(Some(report)) => report,
                Ok(None) => continue,
                Err(refusal) => {
                    let _ = sender.send(Err(refusal)).await; // gone = nobody waits for it
                    return;
                }
            };
            let pause = self.haste.pause(self.start.as_ref(), &report, Instant::now());
            if self.is_news(&report) {
                self.sent = Some((report.clone(), Instant::now()));
                if sender.send(Ok(report)).await.is_err() {
                    return;
                }
            }
            tokio::select! {
                // In one order: the same happenings make the same reports.
                biased;
                () = sender.closed() => return,
                () = next_event(&mut self.events) => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// One look; `None` = something happened to the container meanwhile, and
    /// another look is due.
    async fn look(
        &mut self,
        sender: &mpsc::Sender<Result<HealthReport, Refusal>>,
    ) -> Result<Option<HealthReport>, Refusal> {
        let container = self.node.meant(self.component, self.id.as_ref()).await?;
        self.attend(container.as_ref());
        self.start = container.as_ref().map(|container| {
            let state = &container.state;
            (state.id.clone(), state.started_at)
        });
        let known = self.known_mode();
        let is_mode_known = self.start == self.mode_known_of;
        let Self { node, component, sent, events, targets, .. } = self;
        let mut none = None;
        let targets = targets.as_mut().map_or(&mut none, |(_, targets)| targets);
        let last = sent.as_ref().map(|(sent, _)| sent);
        let probing = async {
            let mut report = node.probe(*component, container, targets).await;
            report.effective_mode = known;
            // The first healthy report goes out before the mode is asked for.
            let is_settled = last.is_some_and(|last| last.verdict == report.verdict);
            let mut is_known = is_mode_known;
            if report.verdict == HealthVerdict::Healthy
                && is_settled
                && !is_mode_known
                && let Some(targets) = targets
            {
                report.effective_mode = node.effective_mode(targets).await;
                is_known = report.effective_mode.is_some() || !targets.has_mode;
            }
            (report, is_known)
        };
        let (report, is_mode_known) = tokio::select! {
            biased;
            found = probing => found,
            () = next_event(events) => return Ok(None),
            () = say_again(node, last, sender) => return Ok(None),
        };
        if is_mode_known {
            self.mode_known_of = self.start.clone();
        }
        Ok(Some(report))
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
        if self.start.is_some() && self.start == self.mode_known_of {
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

/// While a Quay takes its time to answer: what was not healthy is not healthy
/// yet. Of one that was, nothing can be said. Never returns.
async fn say_again<E: Engine>(
    node: &Node<E>,
    last: Option<&HealthReport>,
    sender: &mpsc::Sender<Result<HealthReport, Refusal>>,
) {
    if let Some(last) = last.filter(|last| last.verdict == HealthVerdict::Unhealthy) {
        loop {
            tokio::time::sleep(CALM).await;
            let report = HealthReport { at: node.surroundings.now(), ..last.clone() };
            if sender.send(Ok(report)).await.is_err() {
                break; // The caller of this sees it too.
            }
        }
    }
    std::future::pending().await
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
