//! Where everything of a lab lies under its directory. Paths only, no disk.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// The directory of one lab. Absolute, so that it can stand in binds and in daemons' arguments.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Layout {
    dir: PathBuf,
}

impl Layout {
    /// `dir` must be absolute; `Lab::up` and `Lab::open` see to it.
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn lab_file(&self) -> PathBuf {
        self.dir.join("lab.json")
    }

    /// As whom the coordinator verifies.
    pub fn robot_file(&self) -> PathBuf {
        self.dir().join("robot.json")
    }

    pub fn cluster_file(&self) -> PathBuf {
        self.dir.join("cluster.yaml")
    }

    /// The coordinator's own directory (`state:` of cluster.yaml).
    pub fn state(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// Where the coordinator keeps plans.
    pub fn plans(&self) -> PathBuf {
        self.state().join("plans")
    }

    pub fn node(&self, node: &str) -> PathBuf {
        self.dir.join("nodes").join(node)
    }

    pub fn agent_file(&self, node: &str) -> PathBuf {
        self.node(node).join("agent.yaml")
    }

    /// What the agent wrote to its standard output and error.
    pub fn agent_log(&self, node: &str) -> PathBuf {
        self.node(node).join("agent.log")
    }

    /// What the agent was asked, and how it ended.
    pub(crate) fn agent_ledger(&self, node: &str) -> PathBuf {
        self.node(node).join("state/ledger.jsonl")
    }

    /// Where the node's agent puts backups.
    pub fn backups(&self, node: &str) -> PathBuf {
        self.node(node).join("backups")
    }

    pub fn pki(&self, node: &str) -> PathBuf {
        self.node(node).join("pki")
    }

    /// Bound at `/conf/stack` of the node's Quay.
    pub fn config(&self, node: &str) -> PathBuf {
        self.node(node).join("config")
    }

    pub fn config_file(&self, node: &str) -> PathBuf {
        self.config(node).join("config.yaml")
    }

    /// Bound at `/config` of the node's Clair.
    pub fn clair(&self, node: &str) -> PathBuf {
        self.node(node).join("clair")
    }

    pub fn log(&self, node: &str) -> PathBuf {
        self.node(node).join("log")
    }

    /// What all nodes share; its `quay.db` is the SQLite database.
    pub fn shared(&self) -> PathBuf {
        self.dir.join("shared")
    }

    /// In place of each node's own, where all nodes share one.
    pub fn shared_config(&self) -> PathBuf {
        self.shared().join("config")
    }

    pub fn database_file(&self) -> PathBuf {
        self.shared().join("quay.db")
    }

    pub fn storage(&self) -> PathBuf {
        self.shared().join("storage")
    }

    /// Where the sockets of the nodes' own engines are.
    pub fn engines(&self) -> PathBuf {
        self.dir.join("engine")
    }

    pub fn engine_socket(&self, node: &str) -> PathBuf {
        self.engines().join(format!("{node}.sock"))
    }

    /// One engine's own files: containers, their roots and logs.
    pub fn engine_data(&self, node: &str) -> PathBuf {
        self.engines().join(node)
    }

    /// The control group of a private engine's containers, unlike any other lab's.
    pub(crate) fn control_group(&self, node: &str) -> String {
        let digest = Sha256::digest(self.dir.as_os_str().as_encoded_bytes());
        let short: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        format!("quaymaster-lab-{short}-{node}")
    }

    /// The images that stand-in engines can pull.
    pub fn image_file(&self) -> PathBuf {
        self.engines().join("registry.json")
    }

    /// What the stand-in Quays wrote about themselves.
    pub fn witness(&self) -> PathBuf {
        self.dir.join("witness")
    }

    /// What the observer wrote.
    pub fn observed(&self) -> PathBuf {
        self.dir.join("observed")
    }

    pub fn registry(&self) -> PathBuf {
        self.dir.join("registry")
    }

    pub fn postgres(&self) -> PathBuf {
        self.dir.join("postgres")
    }

    pub fn mariadb(&self) -> PathBuf {
        self.dir.join("mariadb")
    }
}
