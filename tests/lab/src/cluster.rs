//! A whole lab: a Quay 2.9.5 cluster with its engines, database, agents, certificates and observer.
//! `Lab::up` makes one that outlives the process, `Lab::open` finds it again, `Lab::down` ends
//! exactly what was made.

pub mod binaries;
pub(crate) mod containers;
mod down;
pub(crate) mod files;
mod hosts;
mod kept;
pub mod lab_file;
pub mod layout;
pub mod network;
pub mod process;
mod texts;
mod up;
pub mod wait;

use std::path::{Path, PathBuf};

use crate::images::Pace;
use crate::record::{Act, LabAct, RecordWriter, Seen, WriteError};

use binaries::Binaries;
use lab_file::{DatabaseKind, EngineKind, LabFile, LabFileError, LabNode, Role};
use layout::Layout;
use process::{EndError, ProcessId};

pub use down::DownError;
pub use kept::KeepError;
pub use up::{UpError, Why};

/// Told, in words for people, what is being done.
pub type Say = dyn Fn(&str) + Send + Sync;

/// What kind of lab to make.
#[derive(Clone, Debug)]
pub struct UpOptions {
    /// Made if it is not there; must be empty if it is.
    pub dir: PathBuf,
    /// The cluster's name.
    pub cluster: String,
    /// From 1 to `network::MOST_NODES`.
    pub nodes: u8,
    /// Visible tags in the registry, none of them backfilled.
    pub tags: u32,
    pub engine: EngineKind,
    pub database: DatabaseKind,
    pub binaries: Binaries,
    pub pace: Pace,
    /// Further environment of both Quay images (`STANDIN_*`: faults).
    pub image_environment: Vec<(String, String)>,
    /// Further environment of every Quay container.
    pub environment: Vec<(String, String)>,
    pub agents: Agents,
    /// Builders on two nodes, Clair and a mirror on one each.
    pub companions: bool,
    /// One directory with one config.yaml for all nodes, as on NFS.
    pub shared_config: bool,
    /// Where coordinator and agents send traces, such as `http://127.0.0.1:4317`.
    pub otlp: Option<String>,
}

/// Whether `up` starts the agents too. Tests that drive engines directly do without.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Agents {
    Started,
    LeftOut,
}

impl UpOptions {
    pub fn new(dir: PathBuf, nodes: u8, tags: u32, binaries: Binaries) -> Self {
        Self {
            dir,
            cluster: "lab".to_owned(),
            nodes,
            tags,
            engine: EngineKind::Standin,
            database: DatabaseKind::Sqlite,
            binaries,
            pace: Pace::for_people(tags, nodes),
            image_environment: Vec::new(),
            environment: Vec::new(),
            agents: Agents::Started,
            companions: false,
            shared_config: false,
            otlp: None,
        }
    }
}

/// Something that could not be done to a node.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    #[error("not all of it ends")]
    End(#[from] EndError),
    #[error("its engine does not start again")]
    Start(#[from] Why),
    #[error("the witness cannot be told")]
    Tell(#[from] WriteError),
}

/// A lab that stands.
#[derive(Debug)]
pub struct Lab {
    layout: Layout,
    file: LabFile,
}

impl Lab {
    /// Builds a lab and returns when every Quay is healthy and every agent answers. If a step fails,
    /// what was made so far is ended; the files stay, to be read.
    pub async fn up(options: UpOptions, say: &Say) -> Result<Self, UpError> {
        up::up(options, say).await
    }

    /// The lab that an earlier `up` made in `dir`.
    pub fn open(dir: &Path) -> Result<Self, LabFileError> {
        // A directory that cannot be resolved has no lab.json either, which says it better.
        let layout = Layout::new(dir.canonicalize().unwrap_or_else(|_| dir.to_owned()));
        let file = LabFile::read(&layout.lab_file())?;
        Ok(Self { layout, file })
    }

    /// Ends every process and container of the lab, its network and images. The files stay.
    pub async fn down(self, say: &Say) -> Result<(), DownError> {
        down::down(&self.layout, &self.file, say).await
    }

    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    pub fn file(&self) -> &LabFile {
        &self.file
    }

    pub fn nodes(&self) -> &[LabNode] {
        &self.file.nodes
    }

    pub fn node(&self, name: &str) -> Option<&LabNode> {
        self.file.node(name)
    }

    pub fn process(&self, role: Role, node: Option<&str>) -> Option<ProcessId> {
        self.file.process(role, node).map(|process| process.id)
    }

    /// Kills a process of the lab without warning, as a crash would.
    pub async fn kill(&self, role: Role, node: Option<&str>) -> Result<(), EndError> {
        let Some(process) = self.process(role, node) else { return Ok(()) };
        process.end(rustix::process::Signal::KILL, std::time::Duration::ZERO).await
    }

    /// Makes a process of the lab stand still (as a hung host) until `go_on`.
    pub fn pause(&self, role: Role, node: Option<&str>) -> Result<(), EndError> {
        let Some(process) = self.process(role, node) else { return Ok(()) };
        process.signal(rustix::process::Signal::STOP)
    }

    pub fn go_on(&self, role: Role, node: Option<&str>) -> Result<(), EndError> {
        let Some(process) = self.process(role, node) else { return Ok(()) };
        process.signal(rustix::process::Signal::CONT)
    }

    /// Starts a node's agent anew, ending the running one first if there is one.
    pub async fn start_agent(&mut self, node: &str, binaries: &Binaries) -> Result<(), UpError> {
        up::start_again(&self.layout, &mut self.file, up::Service::Agent(node), binaries).await
    }

    /// Cuts a node off from power: its agent, its private engine and every container die at once.
    /// What the disk holds stays.
    pub async fn cut_power(&self, node: &str) -> Result<(), ActError> {
        self.kill(Role::Agent, Some(node)).await?;
        let Some(host) = self.process(Role::Engine, Some(node)) else { return Ok(()) };
        hosts::cut_power(host).await?;
        self.tell(node, Act::CutPower)
    }

    /// Writes down for the witness that a person or a script is about to start a container.
    pub fn tell_of_start_by_hand(&self, node: &str, container_id: &str) -> Result<(), ActError> {
        self.tell(node, Act::StartByHand { container_id: container_id.to_owned() })
    }

    /// Writes down for the witness that a person or a script gives a container a restart policy.
    pub fn tell_of_policy_by_hand(&self, node: &str, container_id: &str) -> Result<(), ActError> {
        self.tell(node, Act::AlwaysByHand { container_id: container_id.to_owned() })
    }

    fn tell(&self, node: &str, act: Act) -> Result<(), ActError> {
        Ok(tell(&self.layout, [node], &act)?)
    }

    /// Sends a node's private engine a signal that does not end it.
    pub fn signal_engine(
        &self,
        node: &str,
        signal: rustix::process::Signal,
    ) -> Result<(), EndError> {
        let Some(host) = self.process(Role::Engine, Some(node)) else { return Ok(()) };
        hosts::engines(host).try_for_each(|engine| engine.signal(signal))
    }

    /// Ends a node's private engine with that signal, and returns when its host has started it
    /// again and it answers.
    pub async fn restart_engine(
        &self,
        node: &str,
        signal: rustix::process::Signal,
    ) -> Result<(), ActError> {
        let Some(host) = self.process(Role::Engine, Some(node)) else { return Ok(()) };
        self.tell(node, Act::EngineEnding)?;
        hosts::end_engine(host, signal).await?;
        up::Service::Engine(node).wait(&self.layout, &self.file).await?;
        self.tell(node, Act::EngineBack)
    }

    /// Starts a node's own engine anew, ending the running one first if there is one: a private
    /// one with its whole host.
    pub async fn start_engine(&mut self, node: &str, binaries: &Binaries) -> Result<(), UpError> {
        up::start_again(&self.layout, &mut self.file, up::Service::Engine(node), binaries).await
    }
}

/// Writes down for the witness what the lab itself does to nodes.
fn tell<'a>(
    layout: &Layout,
    nodes: impl IntoIterator<Item = &'a str>,
    act: &Act,
) -> Result<(), WriteError> {
    let name = format!("lab-{}", std::process::id());
    let mut writer = RecordWriter::create(&layout.observed(), &name)?;
    for node in nodes {
        writer.write(Seen::Lab(LabAct { node: node.to_owned(), act: act.clone() }))?;
    }
    Ok(())
}
