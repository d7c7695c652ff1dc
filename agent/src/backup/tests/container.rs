//! Dumps by the programs of an image.

use std::ffi::OsString;
use std::sync::Arc;

use futures::future::BoxFuture;
use quaymaster_proto::{ContainerStatus, ImageId};

use super::*;
use crate::backup::container::{self, Containers, Ended, OnEngine, Within};
use crate::container::spec::ContainerSpec;
use crate::engine::fake::{self, FakeEngine, image_id};
use crate::engine::{EngineChanges as _, EngineError};

/// An engine whose containers are the host's programs: every file is at its own
/// path, as in a container of ours.
struct HostsOwn {
    programs: PathBuf,
    version: String,
    run: Mutex<Vec<String>>,
}

impl Containers for HostsOwn {
    fn image<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<(ImageId, Option<String>)>> {
        let found =
            name.starts_with("postgres:").then(|| (image_id(7), Some(self.version.clone())));
        std::future::ready(found).boxed()
    }

    fn run(
        &self,
        _: String,
        spec: ContainerSpec,
    ) -> BoxFuture<'static, Result<Ended, EngineError>> {
        let program = self.programs.join(&spec.process.entrypoint.unwrap()[0]);
        self.run.lock().unwrap().push(program.file_name().unwrap().display().to_string());
        let mut command = tokio::process::Command::new(program);
        command.args(spec.process.command.unwrap()).env_clear().kill_on_drop(true);
        for (name, value) in spec.environment {
            command.env(name, value.unwrap().expose());
        }
        async move {
            let done = command.output().await.unwrap();
            let said = String::from_utf8(done.stderr).unwrap();
            Ok(Ended { exit_code: done.status.code().unwrap_or(-1).into(), said })
        }
        .boxed()
    }
}

async fn rig(server: &Server) -> (Rig, Arc<HostsOwn>) {
    let mut rig = Rig::new(&server.uri());
    let (programs, version) = (server.programs(), server.version());
    let engine = Arc::new(HostsOwn { programs, version, run: Mutex::default() });
    rig.dump = HostDump::with(Arc::clone(&engine) as Arc<dyn Containers>);
    rig.config.pg_dump = DumpProgram::Image("postgres:15".to_owned());
    (rig, engine)
}

#[tokio::test]
async fn a_database_is_dumped_read_back_and_restored_by_the_programs_of_an_image() {
    let server = Server::start().await;
    let (rig, engine) = rig(&server).await;
    let looked = rig.dump.look(&rig.config).await;
    assert_eq!(looked.dump_versions, [server.version()]);
    let backup = rig.back_up().await.unwrap().backup;
    assert_eq!(*engine.run.lock().unwrap(), ["pg_dump", "pg_restore"]);
    let directory = PathBuf::from(&backup.directory);
    let names: Vec<_> = directory.read_dir().unwrap().map(|one| one.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "no pipe and no password stays: {names:?}");

    server.execute("DELETE FROM repository; UPDATE alembic_version SET version_num = 'x'").await;
    assert_eq!(rig.restore(&backup).await.unwrap(), backup.rows);
    assert_eq!(server.one("SELECT version_num FROM alembic_version").await, "5b7503aada1b");
}

#[tokio::test]
async fn an_image_that_is_not_there_or_fails_is_told_and_leaves_nothing() {
    let server = Server::start().await;
    let (mut rig, engine) = rig(&server).await;
    rig.config.pg_dump = DumpProgram::Image("other:15".to_owned());
    let none = rig.back_up().await.unwrap_err();
    assert!(none.contains("no pg_dump for PostgreSQL"), "{none}");
    assert!(rig.dump.look(&rig.config).await.dump_versions.is_empty());

    rig.config.pg_dump = DumpProgram::Image("postgres:15".to_owned());
    server.execute("CREATE FUNCTION leave() RETURNS int AS 'SELECT 1' LANGUAGE sql").await;
    let script = rig.directory.path().join("pg_dump");
    std::fs::write(&script, "#!/bin/sh\necho 'no route for hunter2' >&2\nexit 3\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let broken = HostsOwn {
        programs: rig.directory.path().to_owned(),
        version: engine.version.clone(),
        run: Mutex::default(),
    };
    rig.dump = HostDump::with(Arc::new(broken));
    let failed = rig.back_up().await.unwrap_err();
    assert!(failed.contains("failed (exit code 3): no route for ***"), "{failed}");
    assert!(rig.names().is_empty(), "{:?}", rig.names());
}

fn within(containers: Arc<dyn Containers>) -> Within {
    let (cluster, node) = ("prod".parse().unwrap(), "quay-1".parse().unwrap());
    let (name, labels) = container::named(&cluster, &node);
    let draft = PathBuf::from("/var/backups/quaymaster/01ARZ3NDEKTSV4RRFFQ69G5FAV.7.draft");
    let reads = vec!["/mnt/quay/config/database.pem".into(), draft.join(".pgpass")];
    let (writes, pipes, user) = (vec![draft.clone()], draft, "993:990".to_owned());
    Within { containers, image: image_id(7), name, labels, reads, writes, user, pipes }
}

/// What an engine is asked for, value by value: none is a secret.
#[test]
fn the_container_of_a_dump_sees_what_it_needs_and_no_more() {
    let within = within(Arc::new(OnEngine::new(FakeEngine::default())));
    let arguments: Vec<OsString> = vec!["--format=directory".into(), "--no-password".into()];
    let environment = vec![
        ("PATH", "/usr/bin:/bin".into()),
        ("PGHOST", "db.example.com".into()),
        ("PGPASSFILE", within.reads[1].clone().into_os_string()),
    ];
    let spec = container::spec(&within, Path::new("pg_dump"), &arguments, &environment);
    let environment: Vec<_> = spec
        .environment
        .iter()
        .map(|(name, value)| format!("{name}={}", value.as_ref().unwrap().expose()))
        .collect();
    let ContainerSpec { process, storage, network, labels, options, .. } = &spec;
    insta::assert_snapshot!(format!(
        "name {}\nentrypoint {:?}\ncommand {:?}\nuser {:?}\nenvironment {environment:#?}\n\
         binds {:#?}\nnetwork {}\nlabels {labels:#?}\noptions {options:#?}\nrestart {}, removed \
         by the engine {}",
        within.name,
        process.entrypoint,
        process.command,
        process.user,
        storage.binds,
        network.mode,
        spec.restart_policy,
        spec.auto_remove,
    ));
}

#[tokio::test(start_paused = true)]
async fn an_engine_runs_it_to_its_end_and_removes_it_and_ends_what_nobody_waits_for() {
    let engine = Arc::new(FakeEngine::default());
    let containers = OnEngine::shared(Arc::clone(&engine));
    let within = within(Arc::new(OnEngine::new(FakeEngine::default())));
    let spec = container::spec(&within, Path::new("pg_dump"), &[], &[]);
    let alone = |engine: &FakeEngine| {
        let state = engine.state();
        let mut all = state.containers.values();
        let (one, none) = (all.next().unwrap().clone(), all.next());
        assert!(none.is_none());
        one.container.state
    };
    let running = tokio::spawn(containers.run(within.name.clone(), spec.clone()));
    while engine.starts() == 0 {
        tokio::task::yield_now().await;
    }
    let state = alone(&engine);
    assert_eq!((state.name.as_str(), state.status), (&*within.name, ContainerStatus::Running));
    engine.end(&state.id, 3);
    let ended = running.await.unwrap().unwrap();
    assert_eq!(ended, Ended { exit_code: 3, said: String::new() });
    assert!(engine.state().containers.is_empty());

    // Whoever waits is gone; so is the agent, whose next order finds what it left.
    let running = tokio::spawn(containers.run(within.name.clone(), spec.clone()));
    while engine.starts() < 2 {
        tokio::task::yield_now().await;
    }
    running.abort();
    while !engine.state().containers.is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// It is a session on the database, which no dark gate passes.
#[tokio::test]
async fn a_container_that_outlived_its_agent_is_ended_by_the_next_one_and_no_other_is() {
    let engine = FakeEngine::default();
    let within = within(Arc::new(OnEngine::new(FakeEngine::default())));
    let (cluster, node) = ("prod".parse().unwrap(), "quay-1".parse().unwrap());
    let sweep = async || container::sweep(&engine, &cluster, &node).await.unwrap();
    assert!(!sweep().await);
    // Somebody's own, by the same name.
    engine.run(7, &within.name, fake::spec(image_id(7), &[]));
    assert!(!sweep().await);
    engine.state().containers.clear();

    let spec = container::spec(&within, Path::new("pg_dump"), &[], &[]);
    let left = engine.create_anew(&within.name, &spec).await.unwrap();
    engine.start(&left).await.unwrap();
    assert!(sweep().await);
    assert!(engine.state().containers.is_empty());
}
