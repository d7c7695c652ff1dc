//! What is said to a process by signals.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::commands::{CommandError, terminal};

/// What somebody said by a signal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Said {
    /// Ctrl-C, or what a service manager sends instead.
    End,
    /// Ctrl-Z.
    Stand,
}

/// Signals that are heard rather than obeyed.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    suspend: Signal,
}

impl Signals {
    pub(super) fn listen() -> Result<Self, CommandError> {
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            suspend: listen(SignalKind::from_raw(rustix::process::Signal::TSTP.as_raw()))?,
        })
    }

    /// As long as it lives, the end of the terminal ends no process.
    pub(super) fn outlive_the_terminal() -> Result<Signal, CommandError> {
        listen(SignalKind::hangup())
    }

    /// Until somebody wants the process to end.
    pub(super) async fn end(&mut self) {
        while self.next().await == Said::Stand {
            terminal::stop();
        }
    }

    pub(super) async fn next(&mut self) -> Said {
        tokio::select! {
            _ = self.interrupt.recv() => Said::End,
            _ = self.terminate.recv() => Said::End,
            _ = self.suspend.recv() => Said::Stand,
        }
    }
}

fn listen(kind: SignalKind) -> Result<Signal, CommandError> {
    signal(kind).map_err(|source| CommandError::Signals { source })
}
