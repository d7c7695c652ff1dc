//! The ways in which a person, a shell or a time limit ends a command.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Returns at the first SIGINT, SIGTERM or SIGHUP.
pub async fn interrupted() -> io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    Ok(())
}
