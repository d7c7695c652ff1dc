//! A real registry for the lab's images: Debian's `docker-registry`, on a loopback port, with its
//! data in the lab's own directory.
#![expect(clippy::disallowed_methods, reason = "an effect room: disk and environment are its job")]

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cluster::process::{Job, ProcessId, StartError, start_detached};
use crate::cluster::wait::{TimedOut, until};
use crate::http::Connection;

/// How long the registry may take to answer; it needs a fraction of a second.
const START: Duration = Duration::from_secs(20);

#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error(
        "there is no `docker-registry` program in PATH; install it: apt-get install docker-registry"
    )]
    NotInstalled,
    #[error("cannot write the registry's files under `{}`", dir.display())]
    Files { dir: PathBuf, source: io::Error },
    #[error("cannot start the registry")]
    Start { source: StartError },
    #[error("the registry does not answer; its log is `{}`", log.display())]
    Silent { log: PathBuf, source: TimedOut },
}

/// Where `docker-registry` is, if it is installed.
pub fn program() -> Result<PathBuf, RegistryError> {
    let search = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&search)
        .chain([PathBuf::from("/usr/bin"), PathBuf::from("/usr/local/bin")])
        .map(|dir| dir.join("docker-registry"))
        .find(|program| program.is_file())
        .ok_or(RegistryError::NotInstalled)
}

/// Starts a registry on 127.0.0.1:`port` with all its files under `dir`.
pub fn start(
    detacher: &Path,
    program: PathBuf,
    dir: &Path,
    port: u16,
) -> Result<ProcessId, RegistryError> {
    let files = |source| RegistryError::Files { dir: dir.to_owned(), source };
    fs::create_dir_all(dir.join("data")).map_err(files)?;
    let config = dir.join("config.yml");
    fs::write(&config, configuration(dir, port)).map_err(files)?;
    let job = Job {
        program,
        arguments: vec!["serve".into(), config.into()],
        environment: Vec::new(),
        log: dir.join("registry.log"),
    };
    start_detached(detacher, job).map_err(|source| RegistryError::Start { source })
}

/// Waits until the registry answers.
pub async fn wait(dir: &Path, port: u16) -> Result<(), RegistryError> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    until("the registry's /v2/", START, async || match Connection::new(address).get("/v2/").await {
        Some(answer) if answer.status == 200 => Ok(()),
        Some(answer) => Err(format!("HTTP {}", answer.status)),
        None => Err("no answer".to_owned()),
    })
    .await
    .map_err(|source| RegistryError::Silent { log: dir.join("registry.log"), source })
}

fn configuration(dir: &Path, port: u16) -> String {
    let data = dir.join("data");
    format!(
        "version: 0.1\n\
         log: {{ accesslog: {{ disabled: true }}, level: warn }}\n\
         storage:\n  filesystem: {{ rootdirectory: '{}' }}\n  delete: {{ enabled: true }}\n\
         http: {{ addr: '127.0.0.1:{port}' }}\n",
        data.display()
    )
}
