//! The agent with the user, groups, capabilities and system calls of its unit,
//! as far as a machine without systemd as process 1 allows: setpriv gives the
//! rights; the filter cannot be set that way, so every system call that the
//! agent made in a whole window is compared with it.

mod states;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use quaymaster_suite::cluster::changed_lines;
use quaymaster_suite::command::{Outcome, run_in};
use quaymaster_suite::unit::{AGENT, ENGINE_GROUP, as_the_unit, deployed, settings};
use quaymaster_suite::{Shape, TestLab};

use super::check::shown;
use super::{end_agent, end_traced, serve};

const NODE: &str = "quay-1";

/// What `config.yaml` is like before and has to be like after: owner, group, mode.
type Like = (u32, u32, u32);

/// A lab whose first node looks as one that was installed by the guide.
async fn installed(config: Like) -> TestLab {
    let lab = TestLab::up(Shape::of(1)).await;
    end_agent(&lab, NODE).await;
    let layout = lab.lab().layout();
    let state = layout.node(NODE).join("state");
    for path in
        [state.clone(), state.join("ledger.jsonl"), state.join("spec.key"), state.join("reserve")]
    {
        chown(path, Some(AGENT), Some(AGENT)).unwrap();
    }
    let (owner, group, mode) = config;
    own(&layout.config(NODE), (0, 0, 0o755));
    own(&layout.config_file(NODE), (owner, group, mode));
    own(&layout.pki(NODE).join("agent.key"), (0, AGENT, 0o640));
    own(&layout.engine_socket(NODE), (0, ENGINE_GROUP, 0o660));
    lab
}

fn own(path: &Path, (owner, group, mode): Like) {
    chown(path, Some(owner), Some(group)).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn a_config_of_roots_alone_is_edited_and_stays_roots() {
    edits((0, 0, 0o600)).await;
}

#[tokio::test]
async fn a_config_of_quays_own_user_stays_that_users() {
    edits((1001, 1002, 0o640)).await;
}

/// A whole window by an agent with the unit's rights.
async fn edits(config: Like) {
    let lab = installed(config).await;
    let before = lab.config(NODE);
    let calls = lab.dir().join("calls");
    let mut line = as_the_unit(None);
    line.extend(["strace", "-f", "-qq", "-e", "signal=none", "-o"].map(OsString::from));
    line.push(calls.clone().into());
    let mut service = serve(&lab, NODE, line);
    service.until(|message| message.contains("READY=1")).await;
    lab.apply(&lab.plan(Some("synchronous")).await).await.expect_code(0);

    let after = lab.config(NODE);
    let (owner, group, mode) = config;
    assert_eq!((after.owner, after.group, after.mode & 0o7777), (owner, group, mode));
    let (removed, added) = changed_lines(&before.text, &after.text);
    assert_eq!((removed, added), (vec![], vec!["V3_UPGRADE_MODE: complete\n".to_owned()]));
    lab.check().await.expect_clean();

    // strace passes the signal on to whom it traces, and ends with it.
    service.until_fed(1).await;
    end_traced(&calls);
    service.ended().await;
    only_allowed_calls(&fs::read_to_string(&calls).unwrap()).await;
}

/// Compares a trace with the unit's filters.
async fn only_allowed_calls(trace: &str) {
    let mut allowed: BTreeSet<String> = BTreeSet::new();
    for (number, setting) in settings("SystemCallFilter").iter().enumerate() {
        let (takes_away, names) = match setting.strip_prefix('~') {
            Some(names) => (true, names),
            None => (false, setting.as_str()),
        };
        assert!(number > 0 || !takes_away, "the first line makes it a list of what is allowed");
        for name in names.split_whitespace() {
            let named = expand(name).await;
            if takes_away {
                allowed.retain(|call| !named.contains(call));
            } else {
                allowed.extend(named);
            }
        }
    }
    assert!(allowed.contains("fchown") && !allowed.contains("mount"), "{allowed:?}");
    let made: BTreeSet<&str> = trace.lines().filter_map(call).collect();
    assert!(made.contains("fchown") && made.contains("fchmod"), "{made:?}");
    let refused: Vec<&&str> = made.iter().filter(|call| !allowed.contains(**call)).collect();
    assert_eq!(refused, Vec::<&&str>::new());
    let families: BTreeSet<&str> =
        trace.lines().filter_map(|line| line.split_once(" socket(")?.1.split(',').next()).collect();
    let allowed = settings("RestrictAddressFamilies").join(" ");
    let allowed: BTreeSet<&str> = allowed.split_whitespace().collect();
    assert!(families.contains("AF_UNIX") && families.is_subset(&allowed), "{families:?}");
    // MemoryDenyWriteExecute=: nothing that is written becomes code.
    let made_code = |line: &&str| {
        line.contains("PROT_WRITE|PROT_EXEC")
            || line.contains(" mprotect(") && line.contains("PROT_EXEC")
    };
    assert_eq!(trace.lines().find(made_code), None);
    eprintln!("{} kinds of system calls, all allowed: {made:?}", made.len());
}

/// The name of the system call in a line of strace's.
fn call(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once(char::is_whitespace)?;
    let (name, _) = rest.trim_start().split_once('(')?;
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_').then_some(name)
}

/// A system call, or every one of a group of systemd's.
async fn expand(name: &str) -> BTreeSet<String> {
    let mut left = vec![name.to_owned()];
    let mut calls = BTreeSet::new();
    while let Some(name) = left.pop() {
        if !name.starts_with('@') {
            calls.insert(name);
            continue;
        }
        let arguments = ["syscall-filter", "--no-pager", &name];
        let outcome =
            run_in(Path::new("systemd-analyze"), Path::new("/"), arguments).await.expect_code(0);
        let inside = outcome.stdout.lines().skip(1).map(str::trim);
        left.extend(
            inside.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned),
        );
    }
    calls
}

/// Each of the three is needed, and the check names the one that is missing.
#[tokio::test]
async fn every_capability_of_the_unit_is_needed() {
    let lab = installed((0, 0, 0o600)).await;
    let whole = checked(&lab, as_the_unit(None)).await;
    assert_eq!(whole.code, Some(0), "{}", whole.page());
    assert!(whole.stdout.contains(" 0 to note, 0 bad"), "{}", whole.page());
    let named = settings("CapabilityBoundingSet").join(" ");
    assert_eq!(named, settings("AmbientCapabilities").join(" "));
    let mut pages = String::new();
    for name in named.split_whitespace() {
        let without = name.trim_start_matches("CAP_").to_lowercase();
        // Without a right to the directories above, the agent's own files would
        // be out of reach too, which is not what this is about.
        open_the_way(&lab);
        let outcome = checked(&lab, as_the_unit(Some(&without))).await;
        assert_eq!(outcome.code, Some(1), "without {name}: {}", outcome.page());
        let bad = outcome.stdout.lines().skip_while(|line| !line.starts_with("BAD"));
        let bad: Vec<&str> = bad.take(2).collect();
        pages.push_str(&format!("---- without {name}\n{}\n", bad.join("\n")));
    }
    shown(lab.dir(), "without-a-capability", &pages);
}

/// A user who may do nothing at all.
#[tokio::test]
async fn a_user_without_any_right_is_told_of_each() {
    let lab = installed((0, 0, 0o600)).await;
    open_the_way(&lab);
    let line = ["setpriv", "--reuid=61236", "--regid=61236", "--clear-groups", "--inh-caps=-all"];
    let outcome = checked(&lab, line.map(OsString::from).into()).await;
    shown(lab.dir(), "without-any-right", &outcome.page());
}

/// Whoever runs the check gets as far as the lab's own directories, not into
/// what is inside of them.
fn open_the_way(lab: &TestLab) {
    for dir in lab.dir().ancestors().take(2) {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

async fn checked(lab: &TestLab, mut line: Vec<OsString>) -> Outcome {
    // Where it was built, nobody but root may get to.
    let program = lab.dir().join("quaymaster-agent");
    if !program.exists() {
        fs::copy(&lab.binaries().agent, &program).unwrap();
    }
    line.extend([program.into(), "check".into(), "--config".into()]);
    line.push(lab.lab().layout().agent_file(NODE).into());
    let tool = line.remove(0);
    run_in(Path::new(&tool), Path::new("/"), line).await
}

#[tokio::test]
async fn the_user_and_its_directories_are_made() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("etc")).unwrap();
    let at = format!("--root={}", root.path().display());
    let sysusers = deployed("sysusers.d/quaymaster.conf").canonicalize().unwrap();
    let tmpfiles = deployed("tmpfiles.d/quaymaster.conf").canonicalize().unwrap();
    for (tool, file, words) in [
        ("systemd-sysusers", &sysusers, &[][..]),
        ("systemd-tmpfiles", &tmpfiles, &["--create"][..]),
    ] {
        // A path on this machine is read from within the root.
        let inside = root.path().join("conf");
        fs::copy(file, &inside).unwrap();
        let mut arguments = vec![at.as_str()];
        arguments.extend(words);
        arguments.push(inside.to_str().unwrap());
        run_in(Path::new(tool), root.path(), arguments).await.expect_code(0);
    }
    let users = fs::read_to_string(root.path().join("etc/passwd")).unwrap();
    let user = users.lines().find(|line| line.starts_with("quaymaster:")).unwrap();
    assert!(user.ends_with(":/var/lib/quaymaster/agent:/usr/sbin/nologin"), "{user}");
    let mode = |path: &str| {
        let metadata = fs::metadata(root.path().join(path)).unwrap();
        format!("{:04o}", metadata.permissions().mode() & 0o7777)
    };
    let paths = ["etc/quaymaster", "etc/quaymaster/pki", "var/lib/quaymaster/agent"];
    assert_eq!(paths.map(mode), ["0755", "0750", "0700"]);
}
