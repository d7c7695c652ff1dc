//! What every command needs: the cluster, its agents, the clock.
#![expect(clippy::disallowed_methods, reason = "an effect room: it reads files and environment")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use quaymaster_proto::NodeName;
use sha2::{Digest as _, Sha256};
use ulid::Ulid;

use crate::args::{Global, Output};
use crate::catalogue::Catalogue;
use crate::cluster::{Cluster, NodeAddress};
use crate::commands::CommandError;
use crate::nodes::SurveyKey;
use crate::nodes::grpc::{Fleet, Identity};
use crate::runner::Clock;
use crate::survey::Reader;

/// What every command needs.
#[derive(Debug)]
pub(super) struct Context {
    /// Where the cluster file lies.
    pub(super) path: PathBuf,
    pub(super) cluster: Cluster,
    pub(super) catalogue: Catalogue,
    pub(super) output: Output,
    pub(super) clock: Clock,
    /// Of this process: every survey of it compares settings under it.
    pub(super) key: SurveyKey,
}

impl Context {
    pub(super) fn load(global: &Global) -> Result<Self, CommandError> {
        let Global { cluster: path, output, color: _ } = global;
        let read = |source| CommandError::ReadCluster { path: path.clone(), source };
        let text = std::fs::read_to_string(path).map_err(read)?;
        let base = path.parent().unwrap_or_else(|| Path::new(""));
        let cluster = Cluster::parse(&text, base)
            .map_err(|source| CommandError::Cluster { path: path.clone(), source })?;
        Ok(Self {
            path: path.clone(),
            cluster,
            catalogue: Catalogue::built_in(),
            output: *output,
            clock: Clock::system(),
            key: random_key(),
        })
    }

    /// The agents of this cluster.
    pub(super) fn fleet(&self) -> Result<Arc<Fleet>, CommandError> {
        self.fleet_of(&self.cluster)
    }

    /// The agents of this cluster with other nodes.
    pub(super) fn fleet_of(&self, cluster: &Cluster) -> Result<Arc<Fleet>, CommandError> {
        let identity = Identity::load(&cluster.tls)?;
        Ok(Arc::new(Fleet::new(cluster, &identity)))
    }

    pub(super) fn reader(&self) -> Reader<'_> {
        Reader { catalogue: &self.catalogue, mirrors: &self.cluster.mirrors }
    }

    pub(super) fn addresses(&self) -> Vec<(NodeName, NodeAddress)> {
        let nodes = self.cluster.nodes.iter();
        nodes.map(|node| (node.name.clone(), node.address.clone())).collect()
    }

    /// How the next command begins, as it is to be typed.
    pub(super) fn program(&self) -> String {
        program(&self.path)
    }
}

/// How a command on this cluster file begins.
pub(super) fn program(path: &Path) -> String {
    if path == Path::new(crate::cluster::DEFAULT_PATH) {
        "quaymaster".to_owned()
    } else {
        format!("quaymaster --cluster {}", path.display())
    }
}

/// Who runs this: user@host, for the record.
pub(super) fn whoami() -> String {
    let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
    let user = variable("SUDO_USER").or_else(|| variable("USER")).unwrap_or_else(account);
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match host.trim() {
        "" => user,
        host => format!("{user}@{host}"),
    }
}

/// The account's name as /etc/passwd has it.
fn account() -> String {
    let id = rustix::process::getuid().as_raw().to_string();
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, of) = (fields.next()?, fields.nth(1)?);
        (of == id).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| format!("uid{id}"))
}

fn random_key() -> SurveyKey {
    let mut hasher = Sha256::new();
    // 80 random bits in each.
    for _ in 0..4 {
        hasher.update(Ulid::new().to_bytes());
    }
    SurveyKey::new(hasher.finalize().into())
}
