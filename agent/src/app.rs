//! The wiring: agent.yaml, certificates, engine and ledger become a service
//! that runs until it is told to stop, and then ends what it has begun.
#![expect(clippy::disallowed_methods, reason = "an effect room: it reads agent.yaml")]

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_stream::wrappers::ReceiverStream;

use crate::backup::container::{self, OnEngine};
use crate::backup::{self, Owner};
use crate::config::{AgentConfig, ConfigError, TlsFiles};
use crate::engine::Engine;
use crate::engine::docker::{ConnectError, DockerEngine};
use crate::host::{self, Signals, Wish};
use crate::jobs::Jobs;
use crate::ledger::LedgerSlot;
use crate::node::{Kept, Node};
use crate::quay::http::QuayClient;
use crate::rpc::tls::{Connection, Identity, TlsError};
use crate::rpc::{self, Service};
use crate::spec_key::{self, SpecKeyError};
use crate::starters::files::Starters;
use crate::surroundings::Surroundings;
use crate::worker::Worker;

/// How long open connections may take to end once the last act has settled.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why the agent does not serve.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppError {
    /// agent.yaml cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// agent.yaml is wrong.
    #[error("cannot use `{}`", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ConfigError,
    },
    /// The certificates are of no use.
    #[error("cannot offer TLS")]
    Tls(#[source] TlsError),
    /// The certificate is another's.
    #[error("the certificate is `{found}`; agent.yaml is for `{wanted}`")]
    WrongIdentity {
        /// In the certificate.
        found: String,
        /// In agent.yaml.
        wanted: String,
    },
    /// The engine is of no use.
    #[error("cannot manage containers")]
    Engine(#[source] ConnectError),
    /// The HTTP client cannot be made.
    #[error("cannot prepare probes")]
    Client(#[source] reqwest::Error),
    /// The state directory cannot be used.
    #[error("cannot keep a key for comparing specs")]
    SpecKey(#[source] SpecKeyError),
    /// The port is taken, or the address is not this node's.
    #[error("cannot listen on {address}")]
    Listen {
        /// As in agent.yaml.
        address: std::net::SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The service broke.
    #[error("the service ended")]
    Serve(#[source] tonic::transport::Error),
    /// Signals cannot be waited for.
    #[error("cannot wait for signals")]
    Signals(#[source] io::Error),
}

/// Reads an agent.yaml.
pub(crate) fn read_config(path: &Path) -> Result<AgentConfig, AppError> {
    let yaml = std::fs::read_to_string(path)
        .map_err(|source| AppError::Read { path: path.to_owned(), source })?;
    let base = path.parent().unwrap_or_else(|| Path::new(""));
    let base = std::path::absolute(base.join("."))
        .map_err(|source| AppError::Read { path: path.to_owned(), source })?;
    AgentConfig::parse(&yaml, &base)
        .map_err(|source| AppError::Config { path: path.to_owned(), source })
}

/// Reads the certificates, and refuses another agent's.
pub(crate) fn load_identity(config: &AgentConfig) -> Result<Identity, AppError> {
    let TlsFiles { ca, certificate, key } = &config.tls;
    let identity = Identity::load(rpc::tls::TlsFiles { ca, certificate, key });
    let identity = identity.map_err(AppError::Tls)?;
    let wanted = quaymaster_proto::Peer::Agent {
        cluster: config.cluster.clone(),
        node: config.node.clone(),
    };
    if identity.peer != wanted {
        return Err(AppError::WrongIdentity {
            found: identity.peer.to_string(),
            wanted: wanted.to_string(),
        });
    }
    Ok(identity)
}

/// Refuses certificates that this agent's callers would refuse.
pub(crate) fn verify_as_callers(config: &AgentConfig) -> Result<(), TlsError> {
    let TlsFiles { ca, certificate, key } = &config.tls;
    let files = rpc::tls::TlsFiles { ca, certificate, key };
    rpc::tls::verify_as_callers(files, config.node.as_str())
}

/// Serves until SIGTERM or SIGINT; SIGHUP has the certificates read anew.
pub(crate) async fn run(config: AgentConfig, host_root: &Path) -> Result<(), AppError> {
    let identity = load_identity(&config)?;
    let engine = DockerEngine::connect(config.engine.path()).await.map_err(AppError::Engine)?;
    let surroundings = Surroundings::of_host(QuayClient::new().map_err(AppError::Client)?)
        .dumping_in(Arc::new(OnEngine::new(engine.clone())));
    let ledger = LedgerSlot::open(&config.state);
    let left = match ledger.problem() {
        None => Some(left(&config)),
        Some(error) => {
            let refusal = error.refusal();
            tracing::error!(remedy = refusal.remedy, "No act is accepted: {refusal}.");
            None
        }
    };
    let spec_key = spec_key::load_or_make(&config.state).map_err(AppError::SpecKey)?;
    let kept = Kept { ledger, spec_key, starters: Starters::under(host_root) };
    let address = config.listen;
    let listener =
        TcpListener::bind(address).await.map_err(|source| AppError::Listen { address, source })?;
    // Before anybody is told that the agent is ready: a signal must not end it then.
    let signals = Signals::listen().map_err(AppError::Signals)?;
    tracing::info!(cluster = %config.cluster, node = %config.node, %address, "Serving.");
    let node = Arc::new(Node::new(config, engine, surroundings, identity.not_after, kept));
    let worker = Arc::new(Worker::new(Arc::clone(&node)));
    // Before anybody may act: what must not run may have come back meanwhile.
    let _ = worker.look_over_fence().await; // told, and tried again
    let certificates = watch::Sender::new(identity.config);
    let connections = rpc::tls::connections(listener, certificates.subscribe());
    let service =
        Service::new(Arc::clone(&node), Arc::clone(&worker), Jobs::new(Arc::clone(&node)));
    host::ready(&node);
    if let Some(left) = left {
        // Before anybody may have one made anew.
        sweep_container(&node).await;
        // It may take minutes, and the floor is guarded meanwhile.
        tokio::task::spawn_blocking(move || sweep(left));
    }
    // Until the very end: an act that settles at the end feeds the watchdog too.
    let attending = Attending { node: &node, worker: &worker, signals, certificates };
    tokio::select! {
        ended = serve(service, connections, attending) => ended,
        never = host::tell_status(&node) => match never {},
        never = host::keep_alive(&worker) => match never {},
        never = worker.keep_fence() => match never {},
    }
}

/// What an agent of this node was at when it was killed, logins among it:
/// whoever has the ledger is the only one. Listed before anything new is begun.
fn left(config: &AgentConfig) -> Vec<PathBuf> {
    let owner = Owner { cluster: &config.cluster, node: &config.node };
    let backups = config.backup.as_ref().map(|backup| backup.directory.as_path());
    backup::left(backups, &config.state, owner)
}

fn sweep(left: Vec<PathBuf>) {
    for path in backup::sweep(left) {
        let path = path.display();
        tracing::info!(%path, "Removed what an agent that was killed had left of a backup.");
    }
}

/// The same of the container that it ran a program in.
async fn sweep_container<E: Engine>(node: &Node<E>) {
    let AgentConfig { cluster, node: name, .. } = &node.config;
    match container::sweep(&node.engine, cluster, name).await {
        Ok(false) => {}
        Ok(true) => tracing::info!("Ended the container of a backup whose agent was killed."),
        Err(error) => {
            let problem = error.in_one_line();
            tracing::warn!(problem, "Cannot see whether a killed agent left a backup's container.");
        }
    }
}

/// What is attended to while the agent serves.
struct Attending<'a, E> {
    node: &'a Node<E>,
    worker: &'a Worker<E>,
    signals: Signals,
    certificates: watch::Sender<Arc<ServerConfig>>,
}

impl<E: Engine> Attending<'_, E> {
    /// Returns the signal that ends the agent.
    async fn until_told_to_stop(&mut self) -> &'static str {
        loop {
            match self.signals.next().await {
                Wish::Stop(signal) => return signal,
                Wish::Reload => self.reload(),
            }
        }
    }

    /// Reads the certificates anew. Where they are of no use the agent keeps
    /// what it has: a reload never makes a node unreachable.
    fn reload(&self) {
        host::reloading();
        let config = &self.node.config;
        let renewed = load_identity(config).and_then(|identity| {
            verify_as_callers(config).map_err(AppError::Tls)?;
            Ok(identity)
        });
        match renewed {
            Ok(Identity { config, peer, not_after }) => {
                self.certificates.send_replace(config);
                self.node.set_certificate_end(not_after);
                self.node.board.reloaded(None);
                tracing::info!(%peer, %not_after, "Reloaded the certificates.");
            }
            Err(error) => {
                let problem = quaymaster_proto::in_a_line(&error);
                let not_after = self.node.certificate_end();
                tracing::error!(%not_after, "Kept the certificates as they were: {problem}.");
                self.node.board.reloaded(Some(problem));
            }
        }
        host::ready(self.node);
    }
}

async fn serve<E: Engine>(
    service: Service<E>,
    connections: ReceiverStream<io::Result<Connection>>,
    mut attending: Attending<'_, E>,
) -> Result<(), AppError> {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = rpc::serve(service, connections, async {
        let _ = stopped.await; // a dropped sender stops as well
    });
    let mut serving = std::pin::pin!(serving);
    tokio::select! {
        ended = &mut serving => return ended.map_err(AppError::Serve),
        signal = attending.until_told_to_stop() => tracing::info!("Stopping after {signal}."),
    }
    host::stopping();
    let _ = stop.send(()); // the service ended by itself
    // An act in flight settles, and its answer goes out; streams are cut.
    let worker = attending.worker;
    let farewell = async {
        worker.drain().await;
        tokio::time::sleep(FAREWELL).await;
    };
    tokio::select! {
        ended = &mut serving => ended.map_err(AppError::Serve)?,
        () = farewell => {}
    }
    worker.drain().await;
    tracing::info!("Stopped.");
    Ok(())
}
