//! The host that the agent runs on: what systemd is told of it, and the signals
//! that it is sent. Without a service manager nothing is told to anybody.
//!
//! The watchdog is fed by the worker (see `worker::pulse`), never by a clock of
//! its own: each keep-alive is an answer of the worker's. What may take long
//! and is no hang: a stop with a grace of up to 3600 s, an engine that does not
//! answer (its calls end by themselves), a pull, a slow migration (nobody waits
//! for it inside the agent). What is a hang: a runtime that runs no task, an act
//! stuck in a lock or in a system call, an act beyond the bound of all acts.
//! systemd then ends the agent and starts it anew, which is safe at any moment:
//! an act looks first, and what it intended is on disk.
#![expect(clippy::disallowed_methods, reason = "an effect room: it waits to ask again")]

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::engine::Engine;
use crate::node::Node;
use crate::worker::Worker;

/// What the host wants of the agent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wish {
    /// End, after this signal.
    Stop(&'static str),
    /// Read the certificates anew.
    Reload,
}

/// The signals that mean something.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Listens from now on.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Wish::Stop("SIGINT"),
            _ = self.hangup.recv() => Wish::Reload,
        }
    }
}

/// The agent serves.
pub(crate) fn ready<E: Engine>(node: &Node<E>) {
    tell(&[NotifyState::Ready, NotifyState::Status(&line(node))]);
}

/// A reload begins; `ready` ends it, however it went.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        // In one message: from version 253 on systemd wants both.
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "Cannot read the clock that systemd wants to know."),
    }
}

/// The agent ends as soon as the act in flight has settled.
pub(crate) fn stopping() {
    let line = "stopping as soon as the act in flight has settled";
    tell(&[NotifyState::Stopping, NotifyState::Status(line)]);
}

/// Keeps the STATUS line true.
pub(crate) async fn tell_status<E: Engine>(node: &Node<E>) -> Infallible {
    let mut board = node.board.subscribe();
    let mut told = String::new();
    while board.changed().await.is_ok() {
        board.borrow_and_update();
        let now = line(node);
        if now != told {
            tell(&[NotifyState::Status(&now)]);
            told = now;
        }
    }
    // The board is part of the node, which outlives this.
    std::future::pending().await
}

/// Feeds the watchdog where systemd has set one.
pub(crate) async fn keep_alive<E: Engine>(worker: &Worker<E>) -> Infallible {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return std::future::pending().await;
    };
    loop {
        worker.prove_alive().await;
        tell(&[NotifyState::Watchdog]);
        tokio::time::sleep(pause(limit)).await;
    }
}

/// Between two answers: of three, two may be lost.
fn pause(limit: Duration) -> Duration {
    limit / 3
}

/// What the agent is at, in one line.
fn line<E: Engine>(node: &Node<E>) -> String {
    let who = format!("{} of {}", node.config.node, node.config.cluster);
    let problem = node.ledger().problem().map(|error| quaymaster_proto::in_a_line(error));
    node.board.subscribe().borrow().line(&who, problem.as_deref())
}

fn tell(states: &[NotifyState<'_>]) {
    // A service manager that does not listen is no reason to stop serving.
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "Cannot tell the service manager.");
    }
}
