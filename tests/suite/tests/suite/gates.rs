//! Gates that hold, on real databases: what a person meets who has a lab with one thing wrong. The
//! suites `postgres` and `mariadb` call these.

use std::fs;
use std::time::Duration;

use bollard::models::{
    ContainerInspectResponse, ContainerUpdateBody, RestartPolicy, RestartPolicyNameEnum,
};
use insta::assert_snapshot;
use quaymaster_lab::cluster::lab_file::DatabaseKind;
use quaymaster_lab::cluster::wait::until;
use quaymaster_lab::quay::inspect;
use quaymaster_suite::command::finish;
use quaymaster_suite::container::is_running;
use quaymaster_suite::upgrade::apply_arguments;
use quaymaster_suite::{Outcome, Planned, Shape, TestLab, redact};
use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection, PgConnection, Row};

use tokio::sync::Mutex;

use crate::postgres::put_back;

const BOUND: Duration = Duration::from_secs(30);
/// Where the way of one window ends, and the revision before it.
const TARGET: &str = "b918abdbee43";
const BEFORE: &str = "481623ba00ba";

/// A session of the lab's own user, which may do everything and passes for an
/// agent of another cluster: no dark gate minds it.
pub(crate) enum Person {
    Postgres(Mutex<PgConnection>),
    Mariadb(Mutex<MySqlConnection>),
}

impl Person {
    pub(crate) async fn at(lab: &TestLab) -> Self {
        let secrets = &lab.lab().file().secrets;
        let own = secrets.iter().find(|secret| secret.name.ends_with("role lab")).unwrap();
        let uri = lab.database_uri();
        let (password, (_, place)) = (&own.value, uri.rsplit_once('@').unwrap());
        if lab.lab().file().database == DatabaseKind::Postgres {
            let named = "application_name=quaymaster-agent/other/quay-7";
            let uri = format!("postgresql://lab:{password}@{place}?{named}");
            return Self::Postgres(Mutex::new(PgConnection::connect(&uri).await.unwrap()));
        }
        let uri = format!("mysql://lab:{password}@{place}");
        let person = Self::Mariadb(Mutex::new(MySqlConnection::connect(&uri).await.unwrap()));
        person.number("SELECT get_lock(concat('quaymaster-agent/', connection_id()), 0)").await;
        person
    }

    pub(crate) async fn execute(&self, statement: &str) {
        let statement = AssertSqlSafe(statement.to_owned());
        let done = match self {
            Self::Postgres(session) => session.lock().await.execute(statement).await.map(drop),
            Self::Mariadb(session) => session.lock().await.execute(statement).await.map(drop),
        };
        done.unwrap();
    }

    /// The first column of every row; of bytes where MariaDB does not say text.
    pub(crate) async fn texts(&self, query: &str) -> Vec<String> {
        let query = sqlx::raw_sql(AssertSqlSafe(query.to_owned()));
        match self {
            Self::Postgres(session) => {
                let rows = query.fetch_all(&mut *session.lock().await).await.unwrap();
                rows.iter().map(|row| row.get(0)).collect()
            }
            Self::Mariadb(session) => {
                let rows = query.fetch_all(&mut *session.lock().await).await.unwrap();
                rows.iter().map(|row| row.try_get_unchecked(0).unwrap()).collect()
            }
        }
    }

    pub(crate) async fn number(&self, query: &str) -> i64 {
        let query = sqlx::raw_sql(AssertSqlSafe(query.to_owned()));
        match self {
            Self::Postgres(session) => {
                query.fetch_one(&mut *session.lock().await).await.unwrap().get(0)
            }
            Self::Mariadb(session) => {
                let row = query.fetch_one(&mut *session.lock().await).await.unwrap();
                row.try_get_unchecked(0).unwrap()
            }
        }
    }
}

fn shape(kind: DatabaseKind, nodes: u8) -> Shape {
    let mut shape = Shape::of(nodes);
    shape.database = kind;
    shape
}

fn shown(lab: &TestLab, name: &str, outcome: &Outcome) {
    redact::settings(lab).bind(|| {
        assert_snapshot!(name, redact::steady(&outcome.page()));
    });
}

/// Two Quaymasters on one database: the second one's migrating start is refused, and its window
/// goes back. The first one's lock is held while its container migrates, and not longer.
pub(crate) async fn a_second_quaymaster_is_refused(kind: DatabaseKind) {
    let lab = TestLab::up(shape(kind, 2)).await;
    let before = lab.look().await;
    let plan = lab.plan(Some("synchronous")).await;
    let identity = plan.json["database"]["identity"].as_str().unwrap().to_owned();
    let person = Person::at(&lab).await;
    let text = format!("'quaymaster migrates {identity}'");
    let (lock, unlock, is_locked) = match kind {
        DatabaseKind::Mariadb => {
            let name = format!("concat('quaymaster-migrates/', left(sha2({text}, 256), 40))");
            (
                format!("SELECT get_lock({name}, 0)"),
                format!("SELECT release_lock({name})"),
                format!("SELECT is_used_lock({name}) IS NOT NULL"),
            )
        }
        DatabaseKind::Postgres | DatabaseKind::Sqlite => {
            let digits = format!("encode(sha256(convert_to({text}, 'UTF8')), 'hex')");
            let key = format!("('x' || left({digits}, 16))::bit(64)::bigint");
            (
                format!("SELECT pg_try_advisory_lock({key})::int::bigint"),
                format!("SELECT pg_advisory_unlock({key})::int::bigint"),
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'".to_owned(),
            )
        }
    };
    assert_eq!(person.number(&lock).await, 1);
    let refused = lab.apply(&plan).await.expect_code(7);
    assert!(refused.stderr.contains("another Quaymaster has locked"), "{}", refused.page());
    put_back(&lab, &before.revision).await;
    assert_eq!(person.number(&unlock).await, 1);

    let plan = lab.plan(Some("synchronous")).await;
    let applying = lab.spawn_quaymaster(apply_arguments(&plan));
    until("the lock of the one that migrates", BOUND, async || {
        match person.number(&is_locked).await {
            0 => Err("nobody holds it".to_owned()),
            _ => Ok(()),
        }
    })
    .await
    .unwrap();
    finish(applying, "apply").await.expect_code(0);
    assert_eq!(person.number(&is_locked).await, 0, "it is given back");
    lab.check().await.expect_clean();
}

/// A tag that cannot be mapped: the migration passes over it and says nothing; the report does.
pub(crate) async fn a_tag_that_stays_unmapped_is_named(kind: DatabaseKind) {
    // Few enough of many for the backfill's gate to open.
    let mut shape = shape(kind, 1);
    (shape.tags, shape.pace.backfill_rate) = (400, 1000.0);
    let lab = TestLab::up(shape).await;
    let person = Person::at(&lab).await;
    let plan = lab.plan(Some("background")).await;
    lab.apply(&plan).await.expect_code(0);
    backfilled(&lab).await;
    // Of two tags nothing can be written any more: PostgreSQL passes the row over, and MariaDB
    // finds it to be there already.
    let broken = "BEFORE INSERT ON tagtorepositorytag FOR EACH ROW";
    match &person {
        Person::Postgres(_) => {
            let body = "RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$";
            person.execute(&format!("CREATE FUNCTION pass_over() {body}")).await;
            let when = "WHEN (NEW.repository_tag_id IN (7, 9)) EXECUTE FUNCTION pass_over()";
            person.execute(&format!("CREATE TRIGGER broken {broken} {when}")).await;
        }
        Person::Mariadb(_) => {
            let body = "IF NEW.repository_tag_id IN (7, 9) THEN SET NEW.id = 1; END IF";
            person.execute(&format!("CREATE TRIGGER broken {broken} {body}")).await;
        }
    }
    person.execute("DELETE FROM tagtorepositorytag WHERE repository_tag_id IN (7, 9)").await;
    let plan = lab.plan(None).await;
    let done = lab.apply(&plan).await.expect_code(0);
    let state = inspect(&lab.database_uri()).await.unwrap();
    assert_eq!((state.revision.as_deref(), state.unmapped_tags), (Some(TARGET), 2));
    // Quay counts what the first window's verification pushed and took away again.
    for said in ["2 of 401 are LOST", "labadmin/first:tag-7, labadmin/first:tag-9"] {
        assert!(done.page().contains(said), "`{said}` is not said:\n{}", done.page());
    }
    shown(&lab, &name_of(kind, "lost-tags"), &done);
    lab.check().await.expect_clean();
}

async fn backfilled(lab: &TestLab) {
    until("the backfill's end", BOUND, async || {
        match inspect(&lab.database_uri()).await.unwrap().unmapped_tags {
            0 => Ok(()),
            left => Err(format!("{left} tags left")),
        }
    })
    .await
    .unwrap();
}

/// Health is green, and the database is not at the target: a failover that lost the last revision,
/// or a restore behind the run's back. No other node starts.
pub(crate) async fn a_revision_short_of_the_target_holds(kind: DatabaseKind) {
    let lab = TestLab::up(shape(kind, 2)).await;
    let path = lab.dir().join("cluster.yaml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("first_node_limit: 120s", "first_node_limit: 4s")).unwrap();
    let plan = lab.plan(Some("synchronous")).await;
    let person = Person::at(&lab).await;
    let applying = lab.spawn_quaymaster(apply_arguments(&plan));
    reached(&person).await;
    let back = format!("UPDATE alembic_version SET version_num = '{BEFORE}'");
    person.execute(&back).await;
    let held = finish(applying, "apply").await.expect_code(8);
    let first = quays(&lab, "quay-1").await;
    assert!(first.iter().any(is_running), "the first one is healthy and stays");
    assert!(!quays(&lab, "quay-2").await.iter().any(is_running), "no other one started");
    assert!(held.stderr.contains(BEFORE), "{}", held.page());
    shown(&lab, &name_of(kind, "revision-short"), &held);
    lab.check().await.expect_clean();
}

/// Somebody gave the migrating container a restart policy, and its process dies once: its second
/// start is a second migration, and no other node starts.
pub(crate) async fn a_container_that_restarts_once_holds(kind: DatabaseKind) {
    let mut shape = shape(kind, 2);
    shape.pace.start_seconds = 3.0;
    let lab = TestLab::up(shape).await;
    let plan: Planned = lab.plan(Some("synchronous")).await;
    let person = Person::at(&lab).await;
    let applying = lab.spawn_quaymaster(apply_arguments(&plan));
    reached(&person).await;
    let running = quays(&lab, "quay-1").await.into_iter().find(is_running).unwrap();
    let (engine, id) = (lab.engine("quay-1"), running.id.unwrap());
    let policy =
        RestartPolicy { name: Some(RestartPolicyNameEnum::ALWAYS), maximum_retry_count: None };
    let update =
        ContainerUpdateBody { restart_policy: Some(policy), ..ContainerUpdateBody::default() };
    engine.update_container(&id, update).await.unwrap();
    let pid = i32::try_from(running.state.unwrap().pid.unwrap()).unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let held = finish(applying, "apply").await.expect_code(8);
    assert!(!quays(&lab, "quay-2").await.iter().any(is_running), "no other one started");
    shown(&lab, &name_of(kind, "restarted-once"), &held);
    // The first start migrated; the second, which is this test's own doing and
    // no order's, finds the database at the target, a moment after it was seen.
    until("what the second start wrote down", BOUND, async || {
        let verdict = lab.check().await;
        match (verdict.broken(), verdict.migrations()) {
            (broken, 1) if broken == [2] => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
    .unwrap();
}

fn name_of(kind: DatabaseKind, what: &str) -> String {
    match kind {
        DatabaseKind::Mariadb => format!("mariadb-{what}"),
        DatabaseKind::Postgres | DatabaseKind::Sqlite => format!("postgres-{what}"),
    }
}

/// Waits until the migration has come to its end.
async fn reached(person: &Person) {
    let query = format!("SELECT count(*) FROM alembic_version WHERE version_num = '{TARGET}'");
    until("the target revision", BOUND, async || match person.number(&query).await {
        0 => Err("not yet".to_owned()),
        _ => Ok(()),
    })
    .await
    .unwrap();
}

/// Every Quay container of a node, whatever it is called now.
async fn quays(lab: &TestLab, node: &str) -> Vec<ContainerInspectResponse> {
    lab.containers(node).await.into_values().collect()
}
