//! Past the point of no return, on command: the cluster serves again what the window found, with
//! every row of its backup, whatever was written since and whatever became of the migration.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use bollard::query_parameters::KillContainerOptionsBuilder;
use quaymaster_lab::cluster::lab_file::DatabaseKind;
use quaymaster_lab::cluster::wait::until;
use quaymaster_lab::quay::inspect;
use quaymaster_suite::command::finish;
use quaymaster_suite::container::is_running;
use quaymaster_suite::upgrade::apply_arguments;
use quaymaster_suite::{Outcome, Shape, TestLab};

use crate::backup::is_kept_of_a_node;
use crate::gates::Person;

const BOUND: Duration = Duration::from_secs(60);
const WORDS: [&str; 3] = ["rollback", "--because", "the new one is too slow"];

fn shape(kind: DatabaseKind, nodes: u8) -> Shape {
    let mut shape = Shape::of(nodes);
    shape.database = kind;
    shape
}

#[tokio::test]
async fn a_window_that_is_done_is_rolled_back_with_every_row_that_it_had() {
    a_window_that_is_done_is_rolled_back(DatabaseKind::Postgres).await;
}

#[tokio::test]
async fn a_window_on_mariadb_that_is_done_is_rolled_back_with_every_row_that_it_had() {
    a_window_that_is_done_is_rolled_back(DatabaseKind::Mariadb).await;
}

async fn a_window_that_is_done_is_rolled_back(kind: DatabaseKind) {
    let lab = TestLab::up(shape(kind, 3)).await;
    verify_nothing(&lab);
    let (before, rows) = (lab.look().await, rows(&lab).await);
    let plan = lab.plan(Some("synchronous")).await;
    lab.apply(&plan).await.expect_code(0);
    write(&lab).await;

    // Without a word on what is lost nothing is done.
    let asked = lab.quaymaster(WORDS).await.expect_code(2);
    for said in ["everything that was written since", "revision 5b7503aada1b", "down for"] {
        assert!(one_line(&asked.stderr).contains(said), "{}", asked.page());
    }
    let digest = digest_in(&asked);

    // Nor by a dump that is not what it was.
    let spoiled = Spoiled::one_byte(&lab);
    let serving = lab.look().await;
    let refused = roll_back(&lab, &digest).await.expect_code(3);
    for said in ["corrupted", "nothing was stopped"] {
        assert!(one_line(&refused.stderr).contains(said), "{}", refused.page());
    }
    assert_eq!(serving.changes(&lab.look().await), Vec::<String>::new());
    spoiled.mend();

    let done = roll_back(&lab, &digest).await.expect_code(0);
    assert!(done.stdout.contains("rolled back   2.9.5 serves"), "{}", done.page());
    is_as_before(&lab, &before.revision, &rows).await;
    lab.check().await.expect_clean();

    // The floors and leases are gone: the same window once more.
    let plan = lab.plan(Some("synchronous")).await;
    lab.apply(&plan).await.expect_code(0);
    lab.check().await.expect_clean();
}

#[tokio::test]
async fn a_migration_that_was_killed_half_way_is_rolled_back() {
    a_migration_that_was_killed_is_rolled_back(DatabaseKind::Postgres).await;
}

#[tokio::test]
async fn a_migration_of_mariadb_that_was_killed_half_way_is_rolled_back() {
    a_migration_that_was_killed_is_rolled_back(DatabaseKind::Mariadb).await;
}

async fn a_migration_that_was_killed_is_rolled_back(kind: DatabaseKind) {
    let mut shape = shape(kind, 2);
    // Long enough for the kill to be told from the start before it.
    shape.pace.revision_seconds = 0.8;
    let lab = TestLab::up(shape).await;
    verify_nothing(&lab);
    let (before, rows) = (lab.look().await, rows(&lab).await);
    let plan = lab.plan(Some("synchronous")).await;
    let apply = lab.spawn_quaymaster(apply_arguments(&plan));
    let uri = lab.database_uri();
    until("a revision that was applied", BOUND, async || match inspect(&uri).await {
        Ok(state) if state.revision != before.revision => Ok(()),
        Ok(state) => Err(format!("{:?}", state.revision)),
        Err(error) => Err(error.to_string()),
    })
    .await
    .unwrap();
    let living = lab.containers("quay-1").await;
    let (id, _) = living.iter().find(|(_, shown)| is_running(shown)).unwrap();
    let kill = KillContainerOptionsBuilder::default().signal("KILL").build();
    lab.engine("quay-1").kill_container(id, Some(kill)).await.unwrap();
    let held = finish(apply, "apply").await.expect_code(8);
    assert!(held.stderr.contains("rollback"), "{}", held.page());
    // The witness tells it from what an agent does next by some 200 ms.
    tokio::time::sleep(Duration::from_millis(500)).await;

    let digest = digest_in(&lab.quaymaster(WORDS).await.expect_code(2));
    roll_back(&lab, &digest).await.expect_code(0);
    is_as_before(&lab, &before.revision, &rows).await;
    // The kill was this test's own, behind the agent's back; what the killed one
    // had open at the database may outlive it for a moment.
    let mut broken = lab.check().await.broken();
    broken.retain(|invariant| *invariant != 11);
    assert_eq!(broken, [2, 6]);
}

#[tokio::test]
async fn a_rollback_whose_coordinator_is_killed_is_ended_by_resume() {
    for after in ["take down", "restore ", "recreate"] {
        let lab = TestLab::up(Shape::of(2)).await;
        let before = lab.look().await;
        let plan = lab.plan(Some("synchronous")).await;
        lab.apply(&plan).await.expect_code(0);
        let digest = digest_in(&lab.quaymaster(WORDS).await.expect_code(2));
        let mut rollback =
            lab.spawn_quaymaster(WORDS.into_iter().chain(["--accept-data-loss", &digest]));
        let said = killed_when_it_says(&mut rollback, after).await;
        assert!(said.contains(after), "{said}");
        let resumed = lab.quaymaster(["resume"]).await.expect_code(0);
        assert!(resumed.stdout.contains("rolled back"), "{}", resumed.page());
        serves_as_before(&lab, &before.revision).await;
        lab.check().await.expect_clean();
    }
}

async fn killed_when_it_says(child: &mut tokio::process::Child, word: &str) -> String {
    use tokio::io::{AsyncBufReadExt as _, BufReader};
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = String::new();
    while let Some(line) = tokio::time::timeout(BOUND, lines.next_line()).await.unwrap().unwrap() {
        said += &(line + "\n");
        if said.lines().next_back().is_some_and(|line| line.contains(word)) {
            break;
        }
    }
    child.kill().await.unwrap();
    said
}

/// As it was before it was wrapped.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

async fn roll_back(lab: &TestLab, digest: &str) -> Outcome {
    lab.quaymaster(WORDS.into_iter().chain(["--accept-data-loss", digest])).await
}

/// As the refusal names it.
fn digest_in(asked: &Outcome) -> String {
    let (_, rest) = asked.stderr.split_once("--accept-data-loss").unwrap();
    rest.split_whitespace().next().unwrap().to_owned()
}

/// Without a login a verification pushes nothing, and every row is the window's.
fn verify_nothing(lab: &TestLab) {
    let path = lab.lab().layout().cluster_file();
    let text = fs::read_to_string(&path).unwrap();
    let without = text.replace("verify: { credentials: robot.json }\n", "");
    assert_ne!(text, without);
    fs::write(&path, without).unwrap();
}

async fn is_as_before(lab: &TestLab, revision: &Option<String>, rows: &BTreeMap<String, String>) {
    serves_as_before(lab, revision).await;
    assert_eq!(*rows, self::rows(lab).await);
}

async fn serves_as_before(lab: &TestLab, revision: &Option<String>) {
    let now = lab.look().await;
    assert_eq!(&now.revision, revision);
    for (node, containers) in &now.containers {
        let running: Vec<_> = containers.values().filter(|shown| is_running(shown)).collect();
        assert_eq!(running.len(), 1, "{node}");
        let running = running[0];
        let name = running.name.as_deref().unwrap_or_default();
        assert!(!name.contains("quaymaster-"), "{node}: {name}");
        let config = &now.configs[node].text;
        assert!(!config.contains("V3_UPGRADE_MODE"), "{node}: {config}");
    }
}

/// Every table with the number of its rows and a digest of all of them.
async fn rows(lab: &TestLab) -> BTreeMap<String, String> {
    let person = Person::at(lab).await;
    let tables = match person {
        Person::Postgres(_) => "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'",
        Person::Mariadb(_) => {
            "SELECT table_name FROM information_schema.tables WHERE table_schema = database()"
        }
    };
    let mut rows = BTreeMap::new();
    for table in person.texts(tables).await {
        let query = match person {
            Person::Postgres(_) => format!(
                "SELECT count(*) || ' rows, ' || \
                 coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM \"{table}\" t"
            ),
            Person::Mariadb(_) => {
                let columns = format!(
                    "SELECT concat('coalesce(hex(`', column_name, '`), ''-'')') \
                     FROM information_schema.columns WHERE table_schema = database() \
                     AND table_name = '{table}' ORDER BY ordinal_position"
                );
                let columns = person.texts(&columns).await.join(", ");
                let row = format!("concat_ws('|', {columns})");
                person.execute("SET SESSION group_concat_max_len = 1000000000").await;
                format!(
                    "SELECT concat(count(*), ' rows, ', \
                     coalesce(md5(group_concat({row} ORDER BY {row})), '')) FROM `{table}`"
                )
            }
        };
        let digest = person.texts(&query).await.remove(0);
        rows.insert(table, digest);
    }
    rows
}

/// What users do between the window and its rollback, as the database sees it.
async fn write(lab: &TestLab) {
    let person = Person::at(lab).await;
    person.execute("CREATE TABLE pushed_since (id integer)").await;
    person.execute("INSERT INTO pushed_since VALUES (1)").await;
}

/// A file of the dump in which one byte is another.
struct Spoiled(PathBuf, Vec<u8>);

impl Spoiled {
    fn one_byte(lab: &TestLab) -> Self {
        let backups = fs::read_dir(lab.lab().layout().backups("quay-1")).unwrap();
        // Beside it lies what the node keeps of itself.
        let backup =
            backups.map(|kept| kept.unwrap().path()).find(|kept| !is_kept_of_a_node(kept)).unwrap();
        let dump = [backup.join("dump"), backup].into_iter().find(|dump| dump.is_dir()).unwrap();
        let largest = fs::read_dir(dump)
            .unwrap()
            .max_by_key(|file| file.as_ref().unwrap().metadata().unwrap().len());
        let path = largest.unwrap().unwrap().path();
        let sound = fs::read(&path).unwrap();
        let mut bytes = sound.clone();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
        Self(path, sound)
    }

    fn mend(self) {
        let Self(path, sound) = self;
        fs::write(path, sound).unwrap();
    }
}
