//! The storage in the dark: nothing is chosen for an operator; what is chosen is done, and told.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use quaymaster_suite::command::run_in;
use quaymaster_suite::{Shape, TestLab};
use serde_json::Value;

const NODE: &str = "quay-1";

fn says(text: &str, all: &[&str]) {
    let one = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in all {
        assert!(one.contains(words), "`{words}` is not said:\n{text}");
    }
}

/// Replaces what cluster.yaml says of backups.
fn choose(lab: &TestLab, backup: &str) {
    let path = lab.lab().layout().cluster_file();
    let text = fs::read_to_string(&path).unwrap();
    let lines = text.lines().map(|line| if line.starts_with("backup:") { backup } else { line });
    fs::write(&path, lines.collect::<Vec<_>>().join("\n") + "\n").unwrap();
}

#[tokio::test]
async fn a_window_is_refused_until_somebody_says_what_is_kept_of_the_storage() {
    let lab = TestLab::up(Shape::of(1)).await;
    choose(&lab, "");
    let plan = ["plan", "--to", "3.0.5", "--mode", "synchronous"];
    let refused = lab.quaymaster(plan).await.expect_code(3);
    let ways = ["backup: { storage: copy }", "--waive storage-not-backed-up"];
    says(&refused.stderr, &["nothing is kept of the storage", "no agent knows of a backup"]);
    says(&refused.stderr, &ways);

    let words = "replicated to another site every minute";
    let waive = ["--waive", "storage-not-backed-up", "--because", words];
    let before = lab.plans();
    let planned = lab.quaymaster(plan.into_iter().chain(waive)).await.expect_code(0);
    says(&planned.stdout, &[words, "the database, by quay-1"]);
    let plan = lab.plans().difference(&before).next().cloned().unwrap();
    let json: Value = serde_json::from_str(&fs::read_to_string(&plan).unwrap()).unwrap();
    let digest = json["digest"].as_str().unwrap();
    let plan = plan.display().to_string();
    let apply = ["apply", &plan, "--accept-irreversible", digest, "--yes"];
    let done = lab.quaymaster(apply).await.expect_code(0);
    says(&done.stdout, &[words]);
    lab.check().await.expect_clean();
}

/// What a client pushed before the window is in the copy of its dark.
#[tokio::test]
async fn what_was_pushed_is_in_the_copy_and_its_digests_hold() {
    let lab = TestLab::up(Shape::of(2)).await;
    let layout = lab.lab().layout();
    let blobs = layout.storage().join("registry/blobs");
    fs::create_dir_all(&blobs).unwrap();
    fs::write(blobs.join("pushed"), "before the window").unwrap();
    let plan = lab.plan(Some("synchronous")).await;
    let done = lab.apply(&plan).await.expect_code(0);
    says(&done.stdout, &["of the storage"]);
    let backups = fs::read_dir(layout.backups(NODE)).unwrap().map(|entry| entry.unwrap().path());
    let [backup] = backups
        .filter(|path| path.join("manifest.json").is_file())
        .collect::<Vec<_>>()
        .try_into()
        .unwrap();
    let copied = fs::read_to_string(backup.join("storage/default/blobs/pushed")).unwrap();
    assert_eq!(copied, "before the window");
    let mut sums = Command::new("sha256sum");
    let checked = sums.args(["--quiet", "-c", "storage.sha256"]).current_dir(&backup).status();
    assert!(checked.unwrap().success());
    lab.check().await.expect_clean();
}

#[tokio::test]
async fn an_operators_program_runs_in_the_dark_and_its_failure_leads_back() {
    let mut lab = TestLab::up(Shape::of(1)).await;
    choose(&lab, "backup: { storage: hook }");
    let plan = ["plan", "--to", "3.0.5", "--mode", "synchronous"];
    let refused = lab.quaymaster(plan).await.expect_code(3);
    says(&refused.stderr, &["its agent.yaml names none"]);

    let file = lab.lab().layout().agent_file(NODE);
    let hook = lab.dir().join("hook");
    let write = |script: &str| {
        fs::write(&hook, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    };
    write("echo 'the object store does not answer' >&2; exit 1");
    let sound = fs::read_to_string(&file).unwrap();
    let own = format!(", storage_hook: \"{}\" }}\ncomponents", hook.display());
    fs::write(&file, sound.replacen(" }\ncomponents", &own, 1)).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o777)).unwrap();
    let agent = &lab.binaries().agent;
    let check = ["check", "--config", file.to_str().unwrap()];
    let open = run_in(agent, Path::new("/"), check).await;
    says(&open.stdout, &["others on this host may write", "chmod go-w"]);
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let closed = run_in(agent, Path::new("/"), check).await;
    says(&closed.stdout, &["can be run, and is for nobody else to write"]);
    lab.restart_agent(NODE).await;
    let before = lab.look().await;
    let planned = lab.plan(Some("synchronous")).await;
    let held = lab.apply(&planned).await.expect_code(7);
    says(&held.stderr, &["the object store does not answer", "mend what it does"]);
    assert_eq!(lab.look().await.revision, before.revision);

    write("echo snapshot-of-$QUAYMASTER_RUN");
    let planned = lab.plan(Some("synchronous")).await;
    let done = lab.apply(&planned).await.expect_code(0);
    says(&done.stdout, &["which says `snapshot-of-01"]);
    lab.check().await.expect_clean();
}
