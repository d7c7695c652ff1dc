//! Watches a whole lab from outside and writes down what it sees: engine events, the health that
//! each node answers, and the bytes of each config.yaml. It never judges and never acts.

mod config;
mod events;
mod probe;

use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

use crate::cluster::containers::ContainersError;
use crate::cluster::lab_file::{LabFile, LabFileError};
use crate::cluster::layout::Layout;
use crate::cluster::network;
use crate::record::{RecordWriter, Seen, WriteError};

#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    #[error("cannot observe a lab that cannot be read")]
    Lab { source: LabFileError },
    #[error("the lab has no nodes to observe")]
    NoNodes,
    #[error("cannot hold the lab's network beside {address}; another lab has it")]
    Network { address: Ipv4Addr, source: io::Error },
    #[error("cannot write what is observed")]
    Record { source: WriteError },
    #[error("cannot follow the events of the engine at `{}`", socket.display())]
    Engine { socket: PathBuf, source: ContainersError },
    #[error("cannot start a thread of the observer")]
    Thread { source: io::Error },
}

/// Observes the lab in `dir` until `shutdown` is over.
pub async fn observe(dir: &Path, shutdown: impl Future<Output = ()>) -> Result<(), ObserveError> {
    let layout = Layout::new(dir.to_owned());
    let lab = LabFile::read(&layout.lab_file()).map_err(|source| ObserveError::Lab { source })?;
    let address = lab.nodes.first().ok_or(ObserveError::NoNodes)?.address;
    let _held =
        network::hold(address).map_err(|source| ObserveError::Network { address, source })?;

    let events = record_to(&layout, "events")?;
    for watch in events::watches(&lab) {
        events::follow(watch, events.clone()).await?;
    }
    let probes = record_to(&layout, "probes")?;
    for node in &lab.nodes {
        tokio::spawn(probe::watch(node.name.clone(), node.http(), probes.clone()));
    }
    // Last: `up` takes the first look at the config files as the sign that all is being watched.
    let configs = record_to(&layout, "configs")?;
    let files =
        lab.nodes.iter().map(|node| (node.name.clone(), layout.config_file(&node.name))).collect();
    thread::Builder::new()
        .name("configs".to_owned())
        .spawn(move || config::watch(files, &configs))
        .map_err(|source| ObserveError::Thread { source })?;
    shutdown.await;
    Ok(())
}

/// Records are flushed to the disk one by one, which must not hold up the watching: each file has
/// a thread of its own.
fn record_to(layout: &Layout, name: &str) -> Result<mpsc::Sender<Seen>, ObserveError> {
    let mut writer = RecordWriter::create(&layout.observed(), name)
        .map_err(|source| ObserveError::Record { source })?;
    let (sender, receiver) = mpsc::channel::<Seen>();
    let run = move || {
        while let Ok(seen) = receiver.recv() {
            if let Err(error) = writer.write(seen) {
                // A witness that cannot write must not seem to have seen nothing.
                eprintln!("error: {error}; the observer ends");
                std::process::abort();
            }
        }
    };
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map_err(|source| ObserveError::Thread { source })?;
    Ok(sender)
}
