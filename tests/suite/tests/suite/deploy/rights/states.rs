//! State directories that a coordinator cannot use: read-only, somebody else's, on a full disk, with
//! a journal that was cut. It says so, and nothing is lost: neither in the cluster nor of what the
//! directory holds.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use quaymaster_suite::command::finish;
use quaymaster_suite::unit::AGENT;
use quaymaster_suite::upgrade::{apply_arguments, resume_arguments};
use quaymaster_suite::{Outcome, Planned, Shape, TestLab};
use sqlx::{Connection as _, SqliteConnection};

/// In namespaces of its own, so that nothing has to be put right afterwards. `$0` is the directory.
const READ_ONLY: &str = r#"mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@""#;
/// The same content on a small disk, which is then filled to its last byte.
const FULL: &str = r#"
    copy=$(mktemp -d) && cp -a "$0/." "$copy" && mount -t tmpfs -o size=8m tmpfs "$0" &&
    cp -a --sparse=never "$copy/." "$0" && rm -rf "$copy" &&
    { cat /dev/zero >"$0/filler" 2>/dev/null || true; } && exec "$@"
"#;

/// A lab after its first window, with the second one planned.
struct Between {
    lab: TestLab,
    first: Planned,
    plan: Planned,
    state: PathBuf,
}

impl Between {
    async fn up() -> Self {
        let lab = TestLab::up(Shape::of(1)).await;
        let first = lab.plan(Some("background")).await;
        lab.apply(&first).await.expect_code(0);
        let plan = lab.plan(None).await;
        let state = lab.lab().layout().state();
        let between = Self { lab, first, plan, state };
        // A process that ends may not come to it.
        let mut journal = between.journal().await;
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut journal).await.unwrap();
        between
    }

    async fn journal(&self) -> SqliteConnection {
        let journal = format!("sqlite://{}", self.state.join("journal.db").display());
        SqliteConnection::connect(&journal).await.unwrap()
    }

    /// Both commands by some way. They change nothing, neither in the cluster nor in the directory.
    async fn pages(&self, way: &[String]) -> [Outcome; 2] {
        let (before, kept) = (self.lab.look().await, content(&self.state));
        let status = self.run(way, vec!["status".to_owned()]).await;
        let apply = self.run(way, apply_arguments(&self.plan)).await;
        assert_eq!(before.changes(&self.lab.look().await), Vec::<String>::new());
        assert!(content(&self.state) == kept, "what the directory holds is another");
        [status, apply]
    }

    async fn run(&self, way: &[String], arguments: Vec<String>) -> Outcome {
        let child = match way {
            [] => self.lab.spawn_quaymaster(arguments),
            way => self.lab.spawn_quaymaster_by(way, arguments),
        };
        let outcome = finish(child, "quaymaster").await;
        eprintln!("{}", outcome.page());
        outcome
    }

    /// With its directory as it was, the window is done.
    async fn goes_on(self) {
        self.lab.apply(&self.plan).await.expect_code(0);
        self.lab.check().await.expect_clean();
    }
}

/// The journal's bytes, and every plan's.
fn content(state: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(state).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(content(&path));
        } else if name == "journal.db" || name.ends_with(".json") {
            found.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}

fn in_namespaces(script: &str, state: &Path) -> Vec<String> {
    let way = ["unshare", "--mount", "sh", "-c", script].map(str::to_owned);
    way.into_iter().chain([state.display().to_string()]).collect()
}

fn refuses(outcome: Outcome, code: i32, words: &[&str]) {
    let outcome = outcome.expect_code(code);
    for words in words {
        assert!(outcome.stderr.contains(words), "`{words}` is not in\n{}", outcome.page());
    }
}

#[tokio::test]
async fn a_state_directory_that_is_read_only() {
    let between = Between::up().await;
    let [status, apply] = between.pages(&in_namespaces(READ_ONLY, &between.state)).await;
    status.expect_code(0);
    refuses(apply, 1, &["state/journal.lock", "Read-only file system", "mount it"]);
    between.goes_on().await;
}

#[tokio::test]
async fn a_state_directory_on_a_full_disk() {
    let between = Between::up().await;
    let [status, apply] = between.pages(&in_namespaces(FULL, &between.state)).await;
    status.expect_code(0);
    refuses(apply, 1, &["cannot keep room", "state/journal.reserve", "make room"]);
    between.goes_on().await;
}

#[tokio::test]
async fn a_state_directory_of_another_user() {
    let between = Between::up().await;
    // Of everything else this user is the operator.
    chown(between.lab.dir().join("operator.key"), Some(AGENT), None).unwrap();
    fs::set_permissions(&between.state, fs::Permissions::from_mode(0o700)).unwrap();
    let user = [format!("--reuid={AGENT}"), format!("--regid={AGENT}")];
    let way = ["setpriv".to_owned()].into_iter().chain(user).chain(["--clear-groups".to_owned()]);
    let [_, apply] = between.pages(&way.collect::<Vec<_>>()).await;
    refuses(apply, 2, &["cannot read plan `state/", "Permission denied"]);
    chown(between.lab.dir().join("operator.key"), Some(0), None).unwrap();
    between.goes_on().await;
}

/// Bytes are gone, in the middle and at the end: the file is refused, and left as it is.
#[tokio::test]
async fn a_journal_that_was_torn() {
    let between = Between::up().await;
    let path = between.state.join("journal.db");
    let whole = fs::read(&path).unwrap();
    for length in [whole.len() / 2, whole.len() - 100] {
        fs::write(&path, &whole[..length]).unwrap();
        let [status, apply] = between.pages(&[]).await;
        assert!(status.stdout.contains("cannot be trusted"), "{}", status.page());
        refuses(apply, 1, &["cannot be trusted", "left as it is", "--from-nodes"]);
    }
    fs::write(&path, &whole).unwrap();
    between.goes_on().await;
}

/// What was written last is gone: the nodes know more of the run.
#[tokio::test]
async fn a_journal_that_was_cut() {
    let between = Between::up().await;
    let mut journal = between.journal().await;
    sqlx::query("DELETE FROM record WHERE seq > (SELECT max(seq) / 2 FROM record)")
        .execute(&mut journal)
        .await
        .unwrap();
    journal.close().await.unwrap();
    let before = between.lab.look().await;
    let apply = between.run(&[], apply_arguments(&between.plan)).await;
    refuses(apply, 3, &["is not finished", "finish it first"]);
    let resume = between.run(&[], resume_arguments(&between.first)).await;
    refuses(resume, 5, &["is an earlier copy", "resume --from-nodes"]);
    assert_eq!(before.changes(&between.lab.look().await), Vec::<String>::new());
    let arguments = resume_arguments(&between.first).into_iter();
    let arguments = arguments.chain(["--from-nodes".to_owned()]).collect();
    between.run(&[], arguments).await.expect_code(0);
    between.goes_on().await;
}
