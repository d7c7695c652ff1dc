//! Ends what `up` has made, and nothing else.

use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;

use super::Say;
use super::containers::{self, ContainersError};
use super::hosts;
use super::lab_file::{EngineKind, LabFile, LabProcess, Role};
use super::layout::Layout;
use super::process::{EndError, boot_id, with_environment_under};
use crate::images::{self, ImagesError};
use crate::record::{Act, WriteError};

/// How long a process may take to end by itself before it is killed.
const GRACE: Duration = Duration::from_secs(10);
/// The variable by which a stand-in engine tells its processes where their files are.
const ROOT: &str = "STANDIN_ROOT";

/// Everything that could not be ended. The rest was.
#[derive(Debug, thiserror::Error)]
#[error("the lab in `{}` is not all down: {}", dir.display(), list(failures))]
pub struct DownError {
    dir: PathBuf,
    failures: Vec<Failure>,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{}{}", role.name(), node.as_deref().map(|node| format!(" of {node}")).unwrap_or_default())]
    Process { role: Role, node: Option<String>, source: EndError },
    #[error("the witness cannot be told")]
    Tell { source: WriteError },
    #[error("a stand-in Quay that its engine had left")]
    Left { source: EndError },
    #[error("the control groups of {node}")]
    Groups { node: String, source: std::io::Error },
    #[error("a container")]
    Container { source: ContainersError },
    #[error("an image")]
    Image { source: ImagesError },
}

/// Best effort: one failure does not keep the rest standing.
pub(super) async fn down(layout: &Layout, lab: &LabFile, say: &Say) -> Result<(), DownError> {
    let mut failures = Vec::new();
    // A process id means nothing after a reboot.
    let same_boot = boot_id().is_ok_and(|boot| boot == lab.boot_id);
    if same_boot {
        say("ending the agents");
        end_processes(lab, Role::Agent, &mut failures).await;
    }
    // A lab whose files are gone has no witness.
    let nodes = lab.nodes.iter().map(|node| node.name.as_str());
    if layout.observed().is_dir()
        && let Err(source) = super::tell(layout, nodes, &Act::TakenDown)
    {
        failures.push(Failure::Tell { source });
    }
    say("removing the containers");
    remove_containers(lab, &mut failures).await;
    if same_boot {
        say("ending the observer, engines, registry and database");
        end_processes(lab, Role::Observer, &mut failures).await;
        match lab.engine {
            EngineKind::Standin | EngineKind::Docker => {
                end_processes(lab, Role::Engine, &mut failures).await;
            }
            EngineKind::Private => end_hosts(layout, lab, &mut failures).await,
        }
        for role in [Role::Registry, Role::Postgres, Role::Mariadb] {
            end_processes(lab, role, &mut failures).await;
        }
        for process in with_environment_under(ROOT, layout.dir()) {
            if let Err(source) = process.end(Signal::KILL, Duration::ZERO).await {
                failures.push(Failure::Left { source });
            }
        }
    }
    match failures.is_empty() {
        true => Ok(()),
        false => Err(DownError { dir: layout.dir().to_owned(), failures }),
    }
}

async fn end_processes(lab: &LabFile, role: Role, failures: &mut Vec<Failure>) {
    let signal = match role {
        // PostgreSQL's fast shutdown; SIGTERM would wait for every session.
        Role::Postgres => Signal::INT,
        Role::Agent | Role::Engine | Role::Mariadb | Role::Observer | Role::Registry => {
            Signal::TERM
        }
    };
    let all: Vec<_> = lab.processes.iter().filter(|process| process.role == role).collect();
    let endings = all.iter().map(|process| async {
        // A process that a test has paused could not hear the signal.
        process.id.signal(Signal::CONT)?;
        process.id.end(signal, GRACE).await
    });
    for (process, ended) in all.iter().zip(futures::future::join_all(endings).await) {
        if let Err(source) = ended {
            failures.push(Failure::Process { role, node: process.node.clone(), source });
        }
    }
}

/// With all that runs in them.
async fn end_hosts(layout: &Layout, lab: &LabFile, failures: &mut Vec<Failure>) {
    let hosts = lab.processes.iter().filter(|process| process.role == Role::Engine);
    for LabProcess { role, node, id } in hosts {
        if let Err(source) = hosts::cut_power(*id).await {
            failures.push(Failure::Process { role: *role, node: node.clone(), source });
        }
    }
    for node in &lab.nodes {
        if let Err(source) = hosts::remove_control_groups(layout, &node.name) {
            failures.push(Failure::Groups { node: node.name.clone(), source });
        }
    }
}

async fn remove_containers(lab: &LabFile, failures: &mut Vec<Failure>) {
    match lab.engine {
        EngineKind::Standin => {
            // An engine that is gone has taken its containers along, or `with_environment_under`
            // finds them.
            for node in &lab.nodes {
                if let Ok(docker) = containers::connect(&node.engine_socket).await {
                    remove_of(&docker, lab, failures).await;
                }
            }
        }
        // They go with their hosts.
        EngineKind::Private => {}
        EngineKind::Docker => {
            let Some(node) = lab.nodes.first() else { return };
            match containers::connect(&node.engine_socket).await {
                Ok(docker) => {
                    remove_of(&docker, lab, failures).await;
                    remove_rest(&docker, lab, failures).await;
                }
                Err(source) => failures.push(Failure::Container { source }),
            }
        }
    }
}

async fn remove_of(docker: &bollard::Docker, lab: &LabFile, failures: &mut Vec<Failure>) {
    let mut ids = match containers::of_lab(docker, &lab.lab).await {
        Ok(ids) => ids,
        Err(source) => {
            failures.push(Failure::Container { source });
            Vec::new()
        }
    };
    if lab.engine == EngineKind::Docker {
        ids.extend(lab.containers.iter().map(|container| container.id.clone()));
        ids.sort();
        ids.dedup();
    }
    let removals = ids.iter().map(|id| containers::remove(docker, id));
    for removed in futures::future::join_all(removals).await {
        if let Err(source) = removed {
            failures.push(Failure::Container { source });
        }
    }
}

async fn remove_rest(docker: &bollard::Docker, lab: &LabFile, failures: &mut Vec<Failure>) {
    if let Err(source) = containers::remove_network_of(docker, &lab.lab).await {
        failures.push(Failure::Container { source });
    }
    if let Err(source) = images::remove_all_of(docker, &lab.registry).await {
        failures.push(Failure::Image { source });
    }
}

impl Role {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Agent => "the agent",
            Self::Engine => "the engine",
            Self::Mariadb => "MariaDB",
            Self::Observer => "the observer",
            Self::Postgres => "PostgreSQL",
            Self::Registry => "the registry",
        }
    }
}

fn list(failures: &[Failure]) -> String {
    failures
        .iter()
        .map(|failure| quaymaster_proto::in_a_line(failure))
        .collect::<Vec<_>>()
        .join("; ")
}
