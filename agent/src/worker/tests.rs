#![expect(clippy::disallowed_methods, reason = "tests lay files out on a disk of their own")]

mod acts;
mod back;
mod companions;
mod down;
mod fence;
mod floors;
mod leases;
mod sessions;
mod starts;

use crate::node::Kept;
use std::path::{Path, PathBuf};

use quaymaster_proto::act::{
    EnsureRunning, EnsureStopped, ExpectedDatabase, Ground, Promote, PutConfig, Recreate,
    RemoveStaged, RemoveStagedConfig, RestoreConfig, StageConfig, StageContainer, StartMigrating,
    TakeDown,
};
use quaymaster_proto::database::DatabaseIdentity;
use quaymaster_proto::floor::{LowerFloor, SetFloor};
use quaymaster_proto::lease::{ClaimLease, Claimed};
use quaymaster_proto::node::PublishedPort;
use quaymaster_proto::{
    ContainerId, Epoch, FileDigest, How, Mode, PortMove, RestartPolicy, StepNumber,
};
use sqlx::ConnectOptions as _;
use tempfile::TempDir;

use super::*;
use crate::config::AgentConfig;
use crate::config_file;
use crate::engine::fake::{FakeEngine, Fault, Stored, container_id, image_id, spec};
use crate::ledger::LedgerSlot;
use crate::quay::http::QuayClient;
use crate::surroundings::Surroundings;

const RUN: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
const OLD_IMAGE: u64 = 29;
const NEW_IMAGE: u64 = 305;
const BEFORE: &str = "5b7503aada1b";
const TARGET: &str = "481623ba00ba";

/// A node with one Quay on 2.9, on a disk of its own.
struct Rig {
    directory: TempDir,
    worker: Worker<FakeEngine>,
    /// The Quay that runs.
    old: ContainerId,
    step: u32,
}

impl Rig {
    async fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        std::fs::create_dir(root.join("config")).unwrap();
        let text = "# ours\nSETUP_COMPLETE: true\nDB_URI: sqlite:////var/quay-db/quay.db\n";
        std::fs::write(root.join("config/config.yaml"), text).unwrap();
        std::fs::create_dir(root.join("db")).unwrap();
        let engine = FakeEngine::default();
        let images = [("old", OLD_IMAGE), ("new", NEW_IMAGE)];
        engine.state().images =
            images.map(|(name, number)| (name.to_owned(), image_id(number))).into();
        let binds = [(root.join("config"), "/conf/stack"), (root.join("db"), "/var/quay-db")];
        let binds = binds.each_ref().map(|(source, inside)| (source.to_str().unwrap(), *inside));
        let old = engine.run(1, "quay", spec(image_id(OLD_IMAGE), &binds));
        let worker = Worker::new(Arc::new(node(root, engine)));
        let rig = Self { directory, worker, old, step: 0 };
        rig.set_revision(BEFORE).await;
        rig
    }

    fn engine(&self) -> &FakeEngine {
        &self.worker.node.engine
    }

    /// Changes a container behind the agent's back.
    fn alter(&self, id: &ContainerId, how: impl FnOnce(&mut Stored)) {
        how(self.engine().state().containers.get_mut(id).unwrap());
    }

    /// Lets a container's Quay answer as a healthy one.
    async fn serve(&self, id: &ContainerId) {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host_port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 4096]).await;
                let body = r#"{"data":{"services":{"auth":true,"database":true}}}"#;
                let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length:";
                let text = format!("{head} {}\r\n\r\n{body}", body.len());
                let _ = stream.write_all(text.as_bytes()).await;
            }
        });
        self.alter(id, |stored| {
            stored.container.ports = vec![PublishedPort {
                container_port: 8080,
                protocol: "tcp".to_owned(),
                host_address: "127.0.0.1".to_owned(),
                host_port,
            }];
        });
    }

    fn fault(&self, fault: Fault) {
        self.engine().state().faults.push(fault);
    }

    fn heal(&self) {
        self.engine().state().faults.clear();
    }

    /// As an agent that starts anew finds it.
    fn reopen_ledger(&self) {
        let (state, elsewhere) = (&self.worker.node.config.state, tempfile::tempdir().unwrap());
        let mut slot = self.worker.node.ledger();
        *slot = LedgerSlot::open(elsewhere.path()); // closed first, for its lock
        *slot = LedgerSlot::open(state);
    }

    fn config(&self) -> PathBuf {
        self.directory.path().join("config/config.yaml")
    }

    fn digest(&self) -> FileDigest {
        config_file::digest(&std::fs::read(self.config()).unwrap())
    }

    /// The digest that config.yaml gets with this mode.
    fn digest_in(&self, mode: Mode) -> FileDigest {
        let bytes = std::fs::read(self.config()).unwrap();
        config_file::digest(&crate::quay::config_edit::set_mode(&bytes, mode).unwrap().bytes)
    }

    async fn set_revision(&self, revision: &str) {
        let path = self.directory.path().join("db/quay.db");
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
        let mut connection = options.create_if_missing(true).connect().await.unwrap();
        let statements = format!(
            "CREATE TABLE IF NOT EXISTS alembic_version (version_num VARCHAR(32));
             DELETE FROM alembic_version; INSERT INTO alembic_version VALUES ('{revision}');"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(statements)).execute(&mut connection).await.unwrap();
    }

    fn act(&self, epoch: u64, step: u32) -> Act {
        Act {
            cluster: "prod".parse().unwrap(),
            run: RUN.parse().unwrap(),
            epoch: Epoch::new(epoch).unwrap(),
            step: StepNumber::new(step).unwrap(),
            plan: "a".repeat(64).parse().unwrap(),
        }
    }

    /// The next step of the first process.
    async fn next(&mut self, order: impl Ask) -> Result<ActOutcome, Refusal> {
        self.step += 1;
        self.again(order).await
    }

    /// The same step once more.
    async fn again(&self, order: impl Ask) -> Result<ActOutcome, Refusal> {
        self.at(1, self.step, order).await
    }

    /// As the process with this epoch, which claims the lease where it may.
    async fn at(&self, epoch: u64, step: u32, order: impl Ask) -> Result<ActOutcome, Refusal> {
        let act = self.act(epoch, step);
        if self.worker.node.still_drives(&act).is_err() {
            let _ = self.claim(epoch).await; // refused, and so is the act
        }
        self.worker
            .perform("tester".to_owned(), self.act(epoch, step), order.order(), |_, _| ())
            .await
    }

    /// A claim of somebody who saw the lease that stands.
    fn claiming(&self, epoch: u64) -> ClaimLease {
        crate::lease::claiming(&self.act(epoch, 1), self.worker.node.lease())
    }

    async fn claim(&self, epoch: u64) -> Result<Claimed, Refusal> {
        self.worker.claim("tester".to_owned(), self.claiming(epoch), |_| {}).await
    }

    fn stage(&self) -> StageContainer {
        StageContainer {
            component: Component::Quay,
            container: self.old.clone(),
            spec: self.engine().state().containers[&self.old]
                .spec
                .digest(&Kept::spec_key_in_tests()),
            generation: generation(NEW_IMAGE, Mode::Complete),
            port_moves: vec![PortMove { from: 80, to: 8080 }],
            mount_copies: Vec::new(),
            attempt: 1,
        }
    }

    fn stop(&self) -> EnsureStopped {
        EnsureStopped {
            component: Component::Quay,
            container: self.old.clone(),
            generation: generation(OLD_IMAGE, Mode::Absent),
            grace_seconds: 10,
            restart_policy: RestartPolicy::Always,
        }
    }

    fn identity(&self) -> DatabaseIdentity {
        let path = self.directory.path().join("db/quay.db").canonicalize().unwrap();
        DatabaseIdentity::new(format!("sqlite:{}", path.display())).unwrap()
    }

    fn migrate(&self, container: &ContainerId) -> StartMigrating {
        StartMigrating {
            container: container.clone(),
            generation: generation(NEW_IMAGE, Mode::Complete),
            database: ExpectedDatabase {
                identity: self.identity(),
                revisions: vec![BEFORE.to_owned(), "1783530bee68".to_owned()],
            },
            config: self.digest(),
            expected_sessions: Vec::new(),
        }
    }

    fn start(&self, container: &ContainerId) -> EnsureRunning {
        EnsureRunning {
            component: Component::Quay,
            container: container.clone(),
            generation: generation(NEW_IMAGE, Mode::Complete),
            ground: Some(Ground {
                database: ExpectedDatabase {
                    identity: self.identity(),
                    revisions: vec![TARGET.to_owned()],
                },
                config: self.digest(),
            }),
        }
    }

    /// Staged, stopped, and the new mode in place: right before a start.
    async fn ready(&mut self) -> ContainerId {
        self.ready_with(self.stop()).await
    }

    /// The same where something else is stopped before.
    async fn ready_with(&mut self, first: EnsureStopped) -> ContainerId {
        let staged = self.next(self.stage()).await.unwrap().container.unwrap().id;
        let (from, to) = (self.digest(), self.digest_in(Mode::Complete));
        let config = StageConfig { from: from.clone(), to: to.clone(), mode: Mode::Complete };
        self.next(config).await.unwrap();
        self.next(first).await.unwrap();
        self.next(self.stop()).await.unwrap();
        self.next(PutConfig { from, to }).await.unwrap();
        staged
    }
}

fn node(root: &Path, engine: FakeEngine) -> Node<FakeEngine> {
    let yaml = "version: 1\ncluster: prod\nnode: quay-1\nlisten: 127.0.0.1:9643\n\
        tls: { ca: ca.crt, certificate: agent.crt, key: agent.key }\n\
        engine: unix:///run/none.sock\nstate: state\n\
        components:\n  quay:\n    container: quay\n    config: config/config.yaml\n    \
        repositories: [quay.io/redhat/quay]\n  mirror: { container: quay-mirror, repositories: \
        [quay.io/redhat/quay] }\n  clair: { container: clair, repositories: \
        [quay.io/redhat/clair-jwt] }\n";
    let config = AgentConfig::parse(yaml, root).unwrap();
    let ledger = LedgerSlot::open(&config.state);
    Node::new(
        config,
        engine,
        Surroundings::of_host(QuayClient::new().unwrap()),
        jiff::Timestamp::UNIX_EPOCH,
        Kept::in_tests(ledger),
    )
}

fn generation(image: u64, mode: Mode) -> Generation {
    Generation { image: image_id(image), mode }
}

#[track_caller]
fn refused(result: Result<ActOutcome, Refusal>, reason: Reason, word: &str) {
    let refusal = result.unwrap_err();
    assert_eq!(refusal.reason, reason, "{refusal}");
    assert!(refusal.message.contains(word), "{refusal}");
}

/// Waits for a condition, with a bound.
async fn until(condition: impl Fn() -> bool) {
    for _ in 0..500 {
        if condition() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the condition never came true");
}

/// Any order, for `Rig`.
trait Ask {
    fn order(self) -> Order;
}

macro_rules! ask {
    ($($order:ident),* $(,)?) => {
        $(impl Ask for quaymaster_proto::act::$order {
            fn order(self) -> Order {
                Order::$order(self)
            }
        })*
    };
}

ask!(
    StageContainer,
    StageConfig,
    EnsureStopped,
    PutConfig,
    StartMigrating,
    EnsureRunning,
    Promote,
    RestoreConfig,
    RemoveStagedConfig,
    RemoveStaged,
    Recreate,
    TakeDown,
);

impl Ask for SetFloor {
    fn order(self) -> Order {
        Order::SetFloor(self)
    }
}

impl Ask for LowerFloor {
    fn order(self) -> Order {
        Order::LowerFloor(self)
    }
}
