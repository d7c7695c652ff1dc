//! A lab for one test: two or three nodes in a temporary directory, quick on
//! purpose, and ended whatever becomes of the test.
#![expect(clippy::disallowed_methods, reason = "an effect room: the disk is its job")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use quaymaster_lab::cluster::binaries::Binaries;
use quaymaster_lab::cluster::lab_file::{DatabaseKind, EngineKind};
use quaymaster_lab::cluster::{Agents, Lab, UpOptions};
use quaymaster_lab::engine::{RegistryFault, RegistryFile};
use quaymaster_lab::images::Pace;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::machine::Aside;

/// What a test asks of its lab.
#[derive(Clone, Debug)]
pub struct Shape {
    pub nodes: u8,
    /// Visible tags, none of them backfilled.
    pub tags: u32,
    pub engine: EngineKind,
    pub database: DatabaseKind,
    pub agents: Agents,
    pub pace: Pace,
    /// Builders on two nodes, Clair and a mirror on one each.
    pub companions: bool,
    /// One config.yaml for all nodes.
    pub shared_config: bool,
    /// Where traces go.
    pub otlp: Option<String>,
    /// Further environment of every Quay container.
    pub environment: Vec<(String, String)>,
}

impl Shape {
    /// The stand-in engine and SQLite: what runs on every machine.
    pub fn of(nodes: u8) -> Self {
        Self {
            nodes,
            tags: 40,
            engine: EngineKind::Standin,
            database: DatabaseKind::Sqlite,
            agents: Agents::Started,
            pace: quick(),
            companions: false,
            shared_config: false,
            otlp: None,
            environment: Vec::new(),
        }
    }
}

/// A Quay starts in a third of a second and migrates in as much; the backfill
/// of 40 tags takes one node about a second.
fn quick() -> Pace {
    Pace {
        start_seconds: 0.3,
        revision_seconds: 0.02,
        stagger_seconds: 0.2,
        stop_seconds: 0.1,
        backfill_rate: 40.0,
        offline_rate: 1000.0,
    }
}

/// A lab that ends with the value, also when the test panics.
#[derive(Debug)]
pub struct TestLab {
    lab: Lab,
    binaries: Binaries,
    // Behind the lab, so that nothing lives in the directory any more when it goes.
    _dir: TempDir,
    // Last: it looks at what the machine has when all of the lab has gone.
    _aside: Option<Aside>,
}

impl TestLab {
    /// Builds a lab and returns when all of it is healthy.
    pub async fn up(shape: Shape) -> Self {
        // Whatever this thread starts from here on is in its network.
        let aside = (shape.engine == EngineKind::Private).then(Aside::step);
        let binaries = Binaries::ready(&say).expect("the lab's programs are built");
        // A path of one length, which pages that name it are wrapped by.
        let dir = tempfile::Builder::new()
            .prefix("quaymaster-suite-")
            .tempdir_in("/tmp")
            .expect("a temporary directory can be made");
        let Shape {
            nodes,
            tags,
            engine,
            database,
            agents,
            pace,
            companions,
            shared_config,
            otlp,
            environment,
        } = shape;
        let mut options = UpOptions::new(dir.path().join("lab"), nodes, tags, binaries.clone());
        options.engine = engine;
        options.database = database;
        options.agents = agents;
        options.pace = pace;
        options.companions = companions;
        options.shared_config = shared_config;
        options.otlp = otlp;
        options.environment = environment;
        let lab = Lab::up(options, &say).await.expect("the lab stands");
        Self { lab, binaries, _dir: dir, _aside: aside }
    }

    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// Starts a node's agent anew, with what its files say now.
    pub async fn restart_agent(&mut self, node: &str) {
        self.lab.start_agent(node, &self.binaries).await.expect("the agent answers again");
    }

    /// Cuts a node with a private engine off from power.
    pub async fn cut_power(&self, node: &str) {
        self.lab.cut_power(node).await.expect("all of the host can be killed");
    }

    /// Ends a node's private engine so, and waits until its host has it running again.
    pub async fn restart_engine(&self, node: &str, signal: Signal) {
        self.lab.restart_engine(node, signal).await.expect("the engine comes back");
    }

    /// Starts a host that was cut off: the engine, and then its agent.
    pub async fn boot(&mut self, node: &str) {
        self.boot_engine(node).await;
        self.restart_agent(node).await;
    }

    /// The engine alone of a host that was cut off.
    pub async fn boot_engine(&mut self, node: &str) {
        self.lab.start_engine(node, &self.binaries).await.expect("the engine answers again");
    }

    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    pub fn dir(&self) -> &Path {
        self.lab.layout().dir()
    }

    /// The nodes' names, as listed.
    pub fn nodes(&self) -> Vec<String> {
        self.lab.nodes().iter().map(|node| node.name.clone()).collect()
    }

    /// Makes pulls of the new release go wrong, or right again, on every
    /// stand-in engine.
    pub fn set_registry_fault(&self, fault: Option<RegistryFault>) {
        let path = self.lab.layout().image_file();
        let text = fs::read_to_string(&path).expect("the registry's file can be read");
        let mut registry: RegistryFile =
            serde_json::from_str(&text).expect("the registry's file is one");
        let new = registry.0.iter_mut().find(|entry| entry.tag == "v3.0.5");
        new.expect("the registry has the new release").fault = fault;
        let text = serde_json::to_string(&registry).expect("the registry can be written");
        fs::write(&path, text).expect("the registry's file can be written");
    }

    /// The database as this process reaches it.
    pub fn database_uri(&self) -> String {
        match self.lab.file().database {
            DatabaseKind::Sqlite => {
                format!("sqlite:///{}", self.lab.layout().database_file().display())
            }
            DatabaseKind::Postgres | DatabaseKind::Mariadb => self.lab.file().database_uri.clone(),
        }
    }
}

impl Drop for TestLab {
    fn drop(&mut self) {
        // A process of its own: this one may be unwinding inside a runtime.
        let down = Command::new(&self.binaries.lab)
            .args(["down", "--dir"])
            .arg(self.lab.layout().dir())
            .stdin(Stdio::null())
            .output();
        let failed = match down {
            Ok(output) if output.status.success() => return,
            Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(error) => error.to_string(),
        };
        assert!(std::thread::panicking(), "the lab is not down: {failed}");
        say(&format!("the lab is not down: {failed}"));
    }
}

/// Shown by the test runner only where the test fails.
fn say(text: &str) {
    eprintln!("lab: {text}");
}
