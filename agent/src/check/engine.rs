//! The engine: its socket, its version, and the containers that agent.yaml names.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use quaymaster_proto::Component;
use tokio::net::UnixStream;

use super::Finding;
use crate::config::AgentConfig;
use crate::engine::docker::{ConnectError, DockerEngine};
use crate::engine::{Container, EngineLooks as _};

/// Where every Quay reads its configuration.
const STACK: &str = "/conf/stack";

pub(super) async fn check(config: &AgentConfig) -> Vec<Finding> {
    let socket = config.engine.path();
    if let Err(error) = UnixStream::connect(socket).await {
        return vec![unreachable(socket, &error)];
    }
    let engine = match DockerEngine::connect(socket).await {
        Ok(engine) => engine,
        Err(error) => {
            let remedy = match error {
                ConnectError::Unreachable { .. } => {
                    "see that `engine` in agent.yaml is the socket of Docker or Podman, and its log"
                }
                // It says itself what to do.
                ConnectError::TooOld { .. } => "",
            };
            return vec![Finding::bad("engine", quaymaster_proto::in_a_line(&error), remedy)];
        }
    };
    let mut findings = vec![match engine.facts().await {
        Ok(facts) => Finding::good(
            "engine",
            format!("{} {}, API {}", facts.name, facts.version, facts.api_version),
        ),
        Err(error) => Finding::bad("engine", error.in_one_line(), "see the engine's log"),
    }];
    for (component, settings) in &config.components {
        let name = settings.container.as_str();
        match engine.container(name).await {
            Ok(Some(found)) => {
                let text = format!("{component}: container `{name}` is {}", found.state.status);
                findings.push(Finding::good("container", text));
                if *component == Component::Quay {
                    findings.push(config_mount(&found, &config.quay_config));
                }
            }
            Ok(None) => findings.push(Finding::bad(
                "container",
                format!("{component}: the engine has no container `{name}`"),
                format!("start it, or correct components.{component}.container in agent.yaml"),
            )),
            Err(error) => findings.push(Finding::bad(
                "container",
                format!("{component}: {}", error.in_one_line()),
                "see the engine's log",
            )),
        }
    }
    findings
}

/// Why nobody could be spoken to. To be refused is told from being alone.
fn unreachable(socket: &Path, error: &io::Error) -> Finding {
    let about = "engine";
    let shown = socket.display();
    #[expect(clippy::wildcard_enum_match_arm, reason = "std's enum, not ours")]
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            let group = socket.metadata().map(|metadata| metadata.gid());
            let group = group.map_or_else(|_| "its group".to_owned(), |gid| format!("group {gid}"));
            Finding::bad(
                about,
                format!("this user may not use the engine's socket `{shown}`"),
                format!(
                    "it belongs to {group}: name that group in SupplementaryGroups= of the unit; \
                     whoever is in it is root's equal on this host"
                ),
            )
        }
        io::ErrorKind::NotFound => Finding::bad(
            about,
            format!("there is no socket `{shown}`"),
            "start the engine (systemctl enable --now docker.service, or podman.socket), or \
             correct `engine` in agent.yaml",
        ),
        _ => Finding::bad(
            about,
            format!("cannot connect to the engine's socket `{shown}`: {error}"),
            "see that the engine runs",
        ),
    }
}

/// Whether the container reads the config.yaml that the agent would edit.
fn config_mount(quay: &Container, file: &Path) -> Finding {
    let about = "container";
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let file = real(file);
    let mount = quay.mounts.iter().find(|mount| mount.destination.trim_end_matches('/') == STACK);
    let Some(mount) = mount else {
        let text = format!("quay: nothing of this host is mounted at {STACK}");
        let remedy = format!("create the container with config.yaml's directory at {STACK}");
        return Finding::bad(about, text, remedy);
    };
    let source = real(Path::new(&mount.source));
    if file.parent() == Some(source.as_path()) {
        return Finding::good(about, format!("quay: reads `{}` at {STACK}", file.display()));
    }
    Finding::bad(
        about,
        format!("quay: reads `{}` at {STACK}, not `{}`", source.display(), file.display()),
        "set components.quay.config in agent.yaml to the config.yaml in there",
    )
}
