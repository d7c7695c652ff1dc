//! The processes of a lab: engines, registry, observer, agents.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::super::binaries::Binaries;
use super::super::lab_file::{EngineKind, LabFile, LabProcess, Role};
use super::super::layout::Layout;
use super::super::process::{Job, ProcessId, start_detached};
use super::super::wait::until;
use super::super::{containers, files, hosts, network};
use super::{Builder, UpError, Why};
use crate::images;
use crate::record::{self, Seen};
use crate::registry;

/// A program of our own that the lab runs.
#[derive(Clone, Copy, Debug)]
pub(in super::super) enum Service<'a> {
    Agent(&'a str),
    Engine(&'a str),
    Observer,
}

/// How long a process of the lab may take to answer; on a loaded machine, seconds.
const ANSWER: Duration = Duration::from_secs(30);

impl Builder<'_> {
    pub(super) async fn start_engines(&mut self) -> Result<(), Why> {
        match self.options.engine {
            EngineKind::Docker => return Ok(()),
            EngineKind::Private => (self.say)("starting a Docker Engine for each node"),
            EngineKind::Standin => {
                (self.say)("starting a stand-in engine for each node");
                self.write_stand_in_registry()?;
            }
        }
        for node in self.node_names() {
            self.start(Service::Engine(&node))?;
        }
        for node in self.node_names() {
            self.wait(Service::Engine(&node)).await?;
        }
        Ok(())
    }

    fn write_stand_in_registry(&self) -> Result<(), Why> {
        let entries = images::stand_in_registry(&self.images.all(), &self.binaries().quay);
        let text = serde_json::to_string_pretty(&entries)
            .map_err(|source| Why::StandInRegistry { source })?;
        Ok(files::write(&self.layout.image_file(), 0o644, &text)?)
    }

    pub(super) async fn start_registry(&mut self, program: PathBuf) -> Result<(), Why> {
        (self.say)("starting a registry for the lab's images");
        let port = self.registry_port();
        let dir = self.layout.registry();
        let id = registry::start(&self.binaries().lab, program, &dir, port)?;
        self.file.processes.push(LabProcess { role: Role::Registry, node: None, id });
        self.save()?;
        Ok(registry::wait(&dir, port).await?)
    }

    pub(super) async fn start_observer(&mut self) -> Result<(), Why> {
        self.start(Service::Observer)?;
        self.wait(Service::Observer).await
    }

    pub(super) async fn start_agents(&mut self) -> Result<(), Why> {
        (self.say)("starting the agents");
        for node in self.node_names() {
            self.start(Service::Agent(&node))?;
        }
        for node in self.node_names() {
            self.wait(Service::Agent(&node)).await?;
        }
        Ok(())
    }

    fn start(&mut self, service: Service<'_>) -> Result<(), Why> {
        let id = service.start(&self.layout, self.file.engine, &self.options.binaries)?;
        let node = service.node().map(str::to_owned);
        self.file.processes.push(LabProcess { role: service.role(), node, id });
        self.save()
    }

    async fn wait(&self, service: Service<'_>) -> Result<(), Why> {
        service.wait(&self.layout, &self.file).await
    }

    pub(super) fn node_names(&self) -> Vec<String> {
        self.file.nodes.iter().map(|node| node.name.clone()).collect()
    }

    fn registry_port(&self) -> u16 {
        let port = self.file.registry.rsplit_once(':').map(|(_, port)| port.parse());
        port.and_then(Result::ok).unwrap_or_default()
    }
}

/// Ends the process if it still runs, starts it anew and waits until it answers.
pub(in super::super) async fn start_again(
    layout: &Layout,
    file: &mut LabFile,
    service: Service<'_>,
    binaries: &Binaries,
) -> Result<(), UpError> {
    let failed = |why| UpError { dir: layout.dir().to_owned(), left: None, why };
    let (role, node) = (service.role(), service.node());
    if let Some(running) = file.process(role, node) {
        let ended = match (role, file.engine) {
            (Role::Engine, EngineKind::Private) => hosts::cut_power(running.id).await,
            _ => running.id.end(rustix::process::Signal::TERM, ANSWER).await,
        };
        ended.map_err(|source| failed(Why::End { role, node: node.map(str::to_owned), source }))?;
    }
    let id = service.start(layout, file.engine, binaries).map_err(failed)?;
    file.processes.retain(|process| process.role != role || process.node.as_deref() != node);
    file.processes.push(LabProcess { role, node: node.map(str::to_owned), id });
    file.write(&layout.lab_file()).map_err(|error| failed(error.into()))?;
    service.wait(layout, file).await.map_err(failed)
}

impl<'a> Service<'a> {
    fn role(self) -> Role {
        match self {
            Self::Agent(_) => Role::Agent,
            Self::Engine(_) => Role::Engine,
            Self::Observer => Role::Observer,
        }
    }

    fn node(self) -> Option<&'a str> {
        match self {
            Self::Agent(node) | Self::Engine(node) => Some(node),
            Self::Observer => None,
        }
    }

    fn log(self, layout: &Layout) -> PathBuf {
        match self {
            Self::Agent(node) => layout.agent_log(node),
            Self::Engine(node) => layout.log(node).join("engine.log"),
            Self::Observer => layout.observed().join("observer.log"),
        }
    }

    fn start(
        self,
        layout: &Layout,
        engine: EngineKind,
        binaries: &Binaries,
    ) -> Result<ProcessId, Why> {
        start_detached(&binaries.lab, self.job(layout, engine, binaries)).map_err(|source| {
            let node = self.node().map(str::to_owned);
            Why::Start { role: self.role(), node, source }
        })
    }

    fn job(self, layout: &Layout, engine: EngineKind, binaries: &Binaries) -> Job {
        let dir = || layout.dir().as_os_str().to_owned();
        let (program, arguments): (_, Vec<OsString>) = match self {
            Self::Agent(node) => {
                let file = layout.agent_file(node).into_os_string();
                (&binaries.agent, vec!["run".into(), "--config".into(), file])
            }
            Self::Engine(node) if engine == EngineKind::Private => {
                return hosts::job(layout, binaries, node, self.log(layout));
            }
            Self::Engine(node) => {
                let node = node.into();
                (&binaries.lab, vec!["engine".into(), "--dir".into(), dir(), "--node".into(), node])
            }
            Self::Observer => (&binaries.lab, vec!["observe".into(), "--dir".into(), dir()]),
        };
        Job { program: program.clone(), arguments, environment: Vec::new(), log: self.log(layout) }
    }

    /// Returns when the process answers; a process that has ended never will.
    pub(in super::super) async fn wait(self, layout: &Layout, file: &LabFile) -> Result<(), Why> {
        let (role, node) = (self.role(), self.node());
        let log = self.log(layout);
        // Whether it still runs: there is nothing to wait for where it has ended.
        let look = async || {
            if !file.process(role, node).is_some_and(|process| process.id.is_running()) {
                return Ok(false);
            }
            match self.answers(layout, file).await {
                true => Ok(true),
                false => Err("no answer yet".to_owned()),
            }
        };
        let node = node.map(str::to_owned);
        match until("an answer", ANSWER, look).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Why::Ended { role, node, log }),
            Err(source) => Err(Why::Silent { role, node, log, source }),
        }
    }

    async fn answers(self, layout: &Layout, file: &LabFile) -> bool {
        match self {
            Self::Agent(node) => {
                file.node(node).is_some_and(|node| network::is_listening(node.agent()))
            }
            Self::Engine(node) => containers::connect(&layout.engine_socket(node)).await.is_ok(),
            Self::Observer => has_seen_every_config(layout, file),
        }
    }
}

/// The observer looks at the config files last: then all else is being watched.
fn has_seen_every_config(layout: &Layout, file: &LabFile) -> bool {
    let Ok(records) = record::read_directory(&layout.observed()) else { return false };
    file.nodes.iter().all(|node| {
        records.iter().any(|record| match &record.seen {
            Seen::Config(config) => config.node == node.name,
            Seen::Quay(_) | Seen::Engine(_) | Seen::Probe(_) | Seen::Lab(_) => false,
        })
    })
}
