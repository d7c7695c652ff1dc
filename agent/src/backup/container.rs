//! PostgreSQL's programs out of an image, for hosts that have none of a fitting
//! version: a container of this one order, which sees the host's network, the
//! files that it reads and the directory that it writes, each at its own path,
//! and nothing else. The login lies in a file; what a program would print goes
//! through a pipe of the host's, never into the engine's log.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use quaymaster_proto::postgres_version::PostgresVersion;
use quaymaster_proto::{ClusterName, ContainerId, ImageId, NodeName, RestartPolicy};
use serde_json::json;

use super::child::Job;
use super::error::BackupError;
use super::programs::Program;
use crate::container::spec::{ContainerSpec, NetworkSpec, ProcessSpec, StorageSpec};
use crate::engine::{Engine, EngineError};
use crate::secret::Secret;
use crate::worker::names;

/// Label of such a container: no Quay, and nobody's component.
const BACKUP: &str = "io.quaymaster.backup";

/// Between two looks whether it has ended.
const LOOK: Duration = Duration::from_millis(250);

/// A dump that is called off ends at once, or is killed.
const GRACE: Duration = Duration::from_secs(10);

/// The engine has all that it said when it has ended.
const WORDS_WITHIN: Duration = Duration::from_secs(5);

/// Of its words so many, the last ones.
const WORDS: usize = 6000;

/// Where containers of one order are run.
pub(crate) trait Containers: Send + Sync {
    /// An image of the engine by its name, and its PostgreSQL where it says which;
    /// `None` = it is not there. Nothing is pulled.
    fn image<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<(ImageId, Option<String>)>>;

    /// Runs a container to its end and removes it. Dropped, it ends it.
    fn run(
        &self,
        name: String,
        spec: ContainerSpec,
    ) -> BoxFuture<'static, Result<Ended, EngineError>>;
}

/// How a container ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Ended {
    pub(crate) exit_code: i64,
    /// Its last words.
    pub(crate) said: String,
}

/// What a program out of an image needs beside its order.
#[derive(Clone)]
pub(super) struct Within {
    pub(super) containers: Arc<dyn Containers>,
    pub(super) image: ImageId,
    /// Of the one container that this node's agent has.
    pub(super) name: String,
    /// The cluster's and the node's name.
    pub(super) labels: [(&'static str, String); 2],
    /// Files and directories of the host that it reads.
    pub(super) reads: Vec<PathBuf>,
    /// Those that it writes.
    pub(super) writes: Vec<PathBuf>,
    /// The user and group that the agent is: what it writes is theirs.
    pub(super) user: String,
    /// Where a pipe for what it prints can lie.
    pub(super) pipes: PathBuf,
}

/// The program of an image, where the image is there and says its version.
pub(super) async fn program(containers: Option<&dyn Containers>, name: &str) -> Option<Program> {
    let (image, said) = containers?.image(name).await?;
    let version = PostgresVersion::read(&format!("PostgreSQL {}", said?))?;
    Some(Program { pg_dump: "pg_dump".into(), version, image: Some(image) })
}

/// What the engine is asked for. Pure.
pub(super) fn spec(
    within: &Within,
    program: &Path,
    arguments: &[OsString],
    environment: &[(&'static str, OsString)],
) -> ContainerSpec {
    let Within { image, labels, reads, writes, user, .. } = within;
    let text = |word: &OsString| word.to_string_lossy().into_owned();
    let bind = |path: &PathBuf, mode: &str| {
        let path = path.display();
        format!("{path}:{path}:{mode}")
    };
    let mut binds: Vec<String> = writes.iter().map(|path| bind(path, "rw")).collect();
    binds.extend(reads.iter().map(|path| bind(path, "ro")));
    let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
    // PATH is the image's own.
    let environment = environment.iter().filter(|(name, _)| *name != "PATH");
    let environment =
        environment.map(|(name, value)| ((*name).to_owned(), Some(Secret::new(text(value)))));
    ContainerSpec {
        image: image.clone(),
        environment: environment.collect(),
        labels: labels.chain([(BACKUP.to_owned(), "pg_dump".to_owned())]).collect(),
        process: ProcessSpec {
            entrypoint: Some(vec![program.display().to_string()]),
            command: Some(arguments.iter().map(text).collect()),
            user: Some(user.clone()),
            ..ProcessSpec::default()
        },
        hostname: None,
        domainname: None,
        storage: StorageSpec { binds, ..StorageSpec::default() },
        // DB_URI is as the host reaches it.
        network: NetworkSpec { mode: "host".to_owned(), ..NetworkSpec::default() },
        restart_policy: RestartPolicy::No,
        // What it said is read when it has ended.
        auto_remove: false,
        options: [
            ("CapDrop".to_owned(), json!(["ALL"])),
            // The host's files keep their SELinux labels.
            ("SecurityOpt".to_owned(), json!(["label=disable", "no-new-privileges"])),
        ]
        .into(),
        unknown: BTreeMap::new(),
    }
}

/// Runs a program of an image to its end.
pub(super) async fn run(job: &Job<'_>, within: &Within) -> Result<(), BackupError> {
    let spec = spec(within, job.program, &job.arguments, &job.environment);
    let program = format!("{} of image {}", job.program.display(), within.image.short());
    let run = within.containers.run(within.name.clone(), spec);
    match run.await {
        Err(source) => Err(BackupError::Container { program, source }),
        Ok(Ended { exit_code: 0, said: _ }) => Ok(()),
        Ok(Ended { exit_code, said }) => {
            let said = job.masked(&said);
            Err(BackupError::Program { program, status: format!("exit code {exit_code}"), said })
        }
    }
}

/// The node's own engine.
#[derive(Debug)]
pub(crate) struct OnEngine<E>(Arc<E>);

impl<E> OnEngine<E> {
    pub(crate) fn new(engine: E) -> Self {
        Self(Arc::new(engine))
    }

    #[cfg(test)]
    pub(crate) fn shared(engine: Arc<E>) -> Self {
        Self(engine)
    }
}

/// Ended and removed with this value, as long as it is there.
struct Running<E: Engine> {
    engine: Arc<E>,
    id: Option<ContainerId>,
}

impl<E: Engine> Drop for Running<E> {
    fn drop(&mut self) {
        let Some(id) = self.id.take() else { return };
        let engine = Arc::clone(&self.engine);
        tokio::spawn(async move { clear(engine.as_ref(), &id).await });
    }
}

/// Told by the next one of the name, where it fails.
async fn clear<E: Engine>(engine: &E, id: &ContainerId) {
    let _ = engine.stop(id, GRACE).await; // most often it has ended
    let _ = engine.remove(id).await;
}

/// Ends and removes the container that an agent of this node left when it was
/// killed: it dumps for nobody, and is a session on the database. Whether there
/// was one.
pub(crate) async fn sweep<E: Engine>(
    engine: &E,
    cluster: &ClusterName,
    node: &NodeName,
) -> Result<bool, EngineError> {
    let (name, labels) = named(cluster, node);
    let Some(left) = engine.container(&name).await? else { return Ok(false) };
    let says = |(key, value): &(&'static str, String)| left.labels.get(*key) == Some(value);
    if !left.labels.contains_key(BACKUP) || !labels.iter().all(says) {
        return Ok(false);
    }
    clear(engine, &left.state.id).await;
    Ok(true)
}

impl<E: Engine> Containers for OnEngine<E> {
    fn image<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<(ImageId, Option<String>)>> {
        async {
            let image = self.0.image(name).await.ok()??;
            Some((image.id, image.postgres))
        }
        .boxed()
    }

    fn run(
        &self,
        name: String,
        spec: ContainerSpec,
    ) -> BoxFuture<'static, Result<Ended, EngineError>> {
        let engine = Arc::clone(&self.0);
        async move {
            // Left by an agent that died: it may still write.
            if let Some(left) = engine.container(&name).await?
                && left.labels.contains_key(BACKUP)
            {
                clear(engine.as_ref(), &left.state.id).await;
            }
            let id = engine.create_anew(&name, &spec).await?;
            let mut running = Running { engine: Arc::clone(&engine), id: Some(id.clone()) };
            engine.start(&id).await?;
            let exit_code = ended(engine.as_ref(), &id).await?;
            let said = last_words(engine.as_ref(), &id).await;
            engine.remove(&id).await?;
            running.id = None;
            Ok(Ended { exit_code, said })
        }
        .boxed()
    }
}

#[expect(clippy::disallowed_methods, reason = "the engine is asked now and then")]
async fn ended<E: Engine>(engine: &E, id: &ContainerId) -> Result<i64, EngineError> {
    loop {
        match engine.container(id.as_str()).await? {
            Some(found) if found.state.status.is_alive() => tokio::time::sleep(LOOK).await,
            Some(found) => return Ok(found.state.exit_code),
            // Somebody removed it.
            None => return Ok(-1),
        }
    }
}

async fn last_words<E: Engine>(engine: &E, id: &ContainerId) -> String {
    let mut said = String::new();
    let mut lines = engine.log(id);
    let reading = async {
        while let Some(Ok(line)) = lines.next().await {
            said.push_str(&line.text);
            said.push(' ');
            let surplus = said.len().saturating_sub(WORDS);
            let at = (surplus..said.len()).find(|at| said.is_char_boundary(*at));
            said.drain(..at.unwrap_or_default());
        }
    };
    let _ = tokio::time::timeout(WORDS_WITHIN, reading).await; // what came is told
    said.trim().to_owned()
}

/// The name and the labels of a node's container.
pub(super) fn named(
    cluster: &ClusterName,
    node: &NodeName,
) -> (String, [(&'static str, String); 2]) {
    let labels = [(names::CLUSTER, cluster.to_string()), (names::NODE, node.to_string())];
    (format!("quaymaster-backup-{cluster}-{node}"), labels)
}
