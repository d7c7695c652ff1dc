//! Stand-ins for what stands beside a Quay. They do as little as the facts say of the real ones:
//! Clair looks for its file where its release does and says how it is (quay-facts 4.3), a builder
//! wants to know its registry (quay-facts 4.4). Both end when they are asked to.
#![expect(clippy::disallowed_methods, reason = "an effect room: environment, files and waiting")]

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use crate::quay::paths::Paths;
use crate::quay::settings::{Port, SettingsError, json, number, published};

/// Clair's API and its word on its own health.
const CLAIR_PORTS: [u16; 2] = [6060, 6061];

#[derive(Debug, thiserror::Error)]
enum BesideError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("cannot read `{path}`")]
    Read { path: String, source: io::Error },
    #[error("`SERVER` is not set: a builder works for a registry")]
    NoServer,
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("cannot run")]
    Run(#[source] io::Error),
}

/// Clair 2.0, under the old or the new layout of its image.
pub(crate) fn clair() -> ExitCode {
    ended(environment().and_then(|container| {
        let config = container.clair_config();
        let text = container.read(&config)?;
        // What the file names is found where the file says, or Clair does not start.
        let keys = text.split("private_key_path:").skip(1);
        for key in keys.filter_map(|rest| rest.split(['}', '\n', ',']).next()) {
            container.read(key.trim())?;
        }
        live(container.start()?, container.stop()?, container.addresses(&CLAIR_PORTS))
    }))
}

/// A build worker.
pub(crate) fn builder() -> ExitCode {
    ended(environment().and_then(|container| {
        if !container.environment.contains_key("SERVER") {
            return Err(BesideError::NoServer);
        }
        live(container.start()?, container.stop()?, Vec::new())
    }))
}

/// What the process knows of its container.
struct Container {
    environment: BTreeMap<String, String>,
    paths: Paths,
    ports: Option<Vec<Port>>,
}

fn environment() -> Result<Container, BesideError> {
    let environment: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let binds = json(&environment, "STANDIN_BINDS")?.unwrap_or_default();
    let paths = Paths::new(binds, environment.get("STANDIN_ROOT").cloned());
    let ports = json(&environment, "STANDIN_PORTS")?;
    Ok(Container { environment, paths, ports })
}

impl Container {
    fn clair_config(&self) -> String {
        let release = self.environment.get("STANDIN_RELEASE").map(String::as_str);
        let is_old = release.is_some_and(|release| release.starts_with("2."));
        let directory = if is_old { "/config" } else { "/clair/config" };
        format!("{directory}/config.yaml")
    }

    fn read(&self, inside: &str) -> Result<String, BesideError> {
        fs::read_to_string(self.paths.outside(inside))
            .map_err(|source| BesideError::Read { path: inside.to_owned(), source })
    }

    fn start(&self) -> Result<Duration, BesideError> {
        Ok(Duration::from_secs_f64(number(&self.environment, "STANDIN_START_SECONDS", 5.0)?))
    }

    fn stop(&self) -> Result<Duration, BesideError> {
        Ok(Duration::from_secs_f64(number(&self.environment, "STANDIN_STOP_SECONDS", 1.0)?))
    }

    fn addresses(&self, inside: &[u16]) -> Vec<SocketAddr> {
        inside.iter().flat_map(|port| published(self.ports.as_deref(), *port)).collect()
    }
}

/// Starts, serves what there is to serve, and ends when it is told to.
fn live(start: Duration, stop: Duration, addresses: Vec<SocketAddr>) -> Result<(), BesideError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(BesideError::Run)?.block_on(async {
        // Taken at once: as PID 1 a process hears no signal that it does not take.
        let mut terminate = signal(SignalKind::terminate()).map_err(BesideError::Run)?;
        let serve = async {
            sleep(start).await;
            for address in addresses {
                let listener = TcpListener::bind(address)
                    .await
                    .map_err(|source| BesideError::Listen { address, source })?;
                let routes = Router::new().route("/health", get(async || "{}"));
                tokio::spawn(async move { axum::serve(listener, routes).await });
            }
            std::future::pending().await
        };
        tokio::select! {
            ended = serve => ended,
            _ = terminate.recv() => {
                sleep(stop).await;
                Ok(())
            }
        }
    })
}

fn ended(result: Result<(), BesideError>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
    eprintln!("stand-in: {error}{}", cause.unwrap_or_default());
    ExitCode::FAILURE
}
