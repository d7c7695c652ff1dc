//! The backup in the dark: what stands against one is told before the window, one that fails leads
//! back by itself, one that is waived is on every page, and one that was made is whole.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use quaymaster_lab::cluster::lab_file::DatabaseKind;
use quaymaster_suite::container::is_running;
use quaymaster_suite::{Shape, TestLab};
use serde_json::Value;

use crate::mariadb;
use crate::whole::succeeded;

const NODE: &str = "quay-1";

#[tokio::test]
async fn what_stands_against_a_backup_is_told_before_the_window_and_a_waiver_stands_on_every_page()
{
    let mut lab = TestLab::up(Shape::of(1)).await;
    let file = lab.lab().layout().agent_file(NODE);
    let backups = lab.lab().layout().backups(NODE);
    let sound = fs::read_to_string(&file).unwrap();
    let plan = ["plan", "--to", "3.0.5", "--mode", "synchronous"];

    let without: Vec<&str> = sound.lines().filter(|line| !line.starts_with("backup:")).collect();
    fs::write(&file, without.join("\n") + "\n").unwrap();
    lab.restart_agent(NODE).await;
    let refused = lab.quaymaster(plan).await.expect_code(3);
    says(&refused.stderr, &["its agent.yaml names no directory", "--waive-backup WORDS"]);

    fs::write(&file, &sound).unwrap();
    lab.restart_agent(NODE).await;
    fs::rename(&backups, backups.with_extension("aside")).unwrap();
    let refused = lab.quaymaster(plan).await.expect_code(3);
    says(&refused.stderr, &["quay-1 cannot write backups", "No such file or directory"]);
    fs::write(&backups, "").unwrap();
    let refused = lab.quaymaster(plan).await.expect_code(3);
    says(&refused.stderr, &["quay-1 cannot write backups", "not a directory"]);
    fs::remove_file(&backups).unwrap();

    let words = "the storage team took a snapshot at 01:50";
    let arguments = plan.into_iter().chain(["--waive-backup", words]);
    let before = lab.plans();
    let planned = lab.quaymaster(arguments).await.expect_code(0);
    says(&planned.stdout, &["NONE, waived: the storage team took a snapshot at 01:50"]);
    says(&planned.stdout, &["no agent knows of an earlier one"]);
    let plan = lab.plans().difference(&before).next().cloned().unwrap();
    let plan = plan.display().to_string();
    let json: Value = serde_json::from_str(&fs::read_to_string(&plan).unwrap()).unwrap();
    let digest = json["digest"].as_str().unwrap();
    let apply = ["apply", &plan, "--accept-irreversible", digest, "--yes"];
    let done = lab.quaymaster(apply).await.expect_code(0);
    says(&done.stdout, &["waived: the storage team took a snapshot at 01:50"]);
    assert!(!backups.exists(), "nothing was written");
}

#[tokio::test]
async fn a_disk_that_fills_up_during_the_dump_leads_back_by_itself() {
    a_disk_that_fills_up_leads_back(DatabaseKind::Postgres).await;
}

#[tokio::test]
async fn a_disk_that_fills_up_during_the_dump_of_mariadb_leads_back_by_itself() {
    a_disk_that_fills_up_leads_back(DatabaseKind::Mariadb).await;
}

/// The lab's own programs of a kind of database.
struct Programs {
    place: PathBuf,
    dumps: &'static str,
    restores: &'static str,
    /// In agent.yaml.
    setting: &'static str,
}

impl Programs {
    fn of(kind: DatabaseKind) -> Self {
        match kind {
            DatabaseKind::Mariadb => Self {
                place: "/usr/bin".into(),
                dumps: "mariadb-dump",
                restores: "mariadb",
                setting: "mysqldump",
            },
            DatabaseKind::Postgres | DatabaseKind::Sqlite => Self {
                place: programs(),
                dumps: "pg_dump",
                restores: "pg_restore",
                setting: "pg_dump",
            },
        }
    }

    /// Has an agent use a program that fills this directory's disk before it dumps.
    fn fill(&self, agent_file: &Path, directory: &Path, backups: &Path) {
        let Self { place, dumps, restores, setting } = self;
        fs::create_dir(directory).unwrap();
        let script = directory.join(dumps);
        fs::write(
            &script,
            format!(
                "#!/bin/sh\n[ \"$1\" = --version ] || cat /dev/zero >\"{}/filler\" 2>/dev/null\n\
                 exec {}/{dumps} \"$@\"\n",
                backups.display(),
                place.display()
            ),
        )
        .unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink(place.join(restores), directory.join(restores)).unwrap();
        let sound = fs::read_to_string(agent_file).unwrap();
        let own = format!(", {setting}: \"{}\" }}\ncomponents", script.display());
        fs::write(agent_file, sound.replacen(" }\ncomponents", &own, 1)).unwrap();
    }
}

async fn a_disk_that_fills_up_leads_back(kind: DatabaseKind) {
    let mut shape = Shape::of(2);
    shape.database = kind;
    let mut lab = TestLab::up(shape).await;
    let layout = lab.lab().layout();
    let (file, backups) = (layout.agent_file(NODE), layout.backups(NODE));
    let disk = SmallDisk::over(&backups);
    let sound = fs::read_to_string(&file).unwrap();
    Programs::of(kind).fill(&file, &lab.dir().join("programs"), &backups);
    let left = Leftover::of(&lab.lab().file().cluster, &backups);
    lab.restart_agent(NODE).await;
    left.is_swept();

    let before = lab.look().await;
    let plan = lab.plan(Some("synchronous")).await;
    let held = lab.apply(&plan).await.expect_code(7);
    let full = if kind == DatabaseKind::Mariadb { "errno 28 " } else { "No space left on device" };
    says(&held.stderr, &[full, "make room there"]);
    let now = lab.look().await;
    assert_eq!(now.revision, before.revision);
    for (node, containers) in &now.containers {
        assert_eq!(containers.values().filter(|shown| is_running(shown)).count(), 1, "{node}");
    }
    lab.check().await.expect_clean();
    let left: Vec<_> = fs::read_dir(&backups).unwrap().map(|entry| entry.unwrap().path()).collect();
    let left: Vec<_> = left.into_iter().filter(|path| !is_kept_of_a_node(path)).collect();
    assert_eq!(left.len(), 1, "the filler alone: {left:?}");
    drop(disk);

    // With room and its own program it is done, and what it left behind is whole.
    fs::write(&file, &sound).unwrap();
    lab.restart_agent(NODE).await;
    let plan = lab.plan(Some("synchronous")).await;
    let done = lab.apply(&plan).await.expect_code(0);
    says(&done.stdout, &["verified", "kept on quay-1 in"]);
    succeeded(&lab, &before, &lab.look().await, "complete").await;
    let kept: Vec<PathBuf> =
        fs::read_dir(&backups).unwrap().map(|entry| entry.unwrap().path()).collect();
    let (nodes, kept): (Vec<_>, Vec<_>) =
        kept.into_iter().partition(|path| is_kept_of_a_node(path));
    let [node] = nodes.as_slice() else { panic!("{nodes:?}") };
    config_can_be_put_back(node, &lab.lab().layout().config(NODE));
    let [kept] = kept.as_slice() else { panic!("{kept:?}") };
    if kind == DatabaseKind::Mariadb {
        mariadb::is_whole(&lab);
    } else {
        is_whole(kept, 40);
    }
    lab.check().await.expect_clean();
}

fn says(text: &str, all: &[&str]) {
    let one = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in all {
        assert!(one.contains(words), "`{words}` is not said:\n{text}");
    }
}

pub(crate) fn is_kept_of_a_node(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "node")
}

/// By the commands that README names, into another directory.
fn config_can_be_put_back(kept: &Path, config: &Path) {
    let there = tempfile::tempdir().unwrap();
    let commands =
        format!("sha256sum -c SHA256SUMS && tar -C {} -xpf config.tar", there.path().display());
    let done = Command::new("sh").args(["-ec", &commands]).current_dir(kept).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    let before = fs::read_to_string(there.path().join("config.yaml")).unwrap();
    let after = fs::read_to_string(config.join("config.yaml")).unwrap();
    assert_eq!(after.replace("V3_UPGRADE_MODE: complete\n", ""), before);
    let spec: Value =
        serde_json::from_str(&fs::read_to_string(kept.join("quay.json")).unwrap()).unwrap();
    assert!(spec["Config"]["Image"].is_string(), "{spec}");
}

/// A person's own look at it, with PostgreSQL's own program.
fn is_whole(backup: &Path, tags: u64) {
    let manifest = fs::read_to_string(backup.join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(manifest["database"]["revision"], "5b7503aada1b");
    assert!(manifest["database"]["rows"]["repositorytag"].as_u64().unwrap() >= tags, "{manifest}");
    let listed = Command::new(programs().join("pg_restore"))
        .arg("--list")
        .arg(backup.join("dump"))
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains("TABLE DATA public repositorytag"), "{listed}");
    let mode = backup.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o700);
}

/// The newest server's, as the lab takes it.
fn programs() -> PathBuf {
    let all = fs::read_dir("/usr/lib/postgresql").unwrap();
    let mut all: Vec<PathBuf> = all.map(|entry| entry.unwrap().path().join("bin")).collect();
    all.sort();
    all.pop().unwrap()
}

/// What an agent left that was killed in a dump: a login among it.
struct Leftover(PathBuf);

impl Leftover {
    fn of(cluster: &str, backups: &Path) -> Self {
        let name = format!("01ARZ3NDEKTSV4RRFFQ69G5FAV.{cluster}.{NODE}.00c0ffee.draft");
        let draft = backups.join(name);
        fs::create_dir(&draft).unwrap();
        fs::write(draft.join(".pgpass"), "*:*:*:*:hunter2").unwrap();
        Self(draft)
    }

    /// By the agent, when it starts.
    fn is_swept(&self) {
        assert!(!self.0.exists(), "{}", self.0.display());
    }
}

/// A disk of memory with room for a dump, but for little more; gone with this value.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn over(directory: &Path) -> Self {
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=40m,mode=0700", "tmpfs"])
            .arg(directory)
            .status();
        assert!(mount.unwrap().success(), "a disk of memory can be mounted: needs root");
        Self(directory.to_owned())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let gone = Command::new("umount").arg("--lazy").arg(&self.0).status();
        assert!(gone.is_ok_and(|status| status.success()), "the disk can be unmounted");
    }
}
