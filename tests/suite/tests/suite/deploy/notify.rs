//! What an agent tells systemd, and when it stops telling that it lives.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use quaymaster_lab::cluster::lab_file::Role;
use quaymaster_lab::engine::{Faults, set_faults};
use quaymaster_lab::pki::{Authority, Identity, Subject, Validity};
use quaymaster_suite::command::finish;
use quaymaster_suite::service::{Service, WATCHDOG};
use quaymaster_suite::upgrade::apply_arguments;
use quaymaster_suite::{Shape, TestLab};
use rustix::process::Signal;
use time::OffsetDateTime;

use super::{agent, end_agent, serve};

const NODE: &str = "quay-1";

/// Whether a message holds this line.
fn says(line: &str) -> impl Fn(&str) -> bool {
    move |message| message.lines().any(|one| one == line)
}

/// Whether a message holds a status with these words.
fn status(words: &str) -> impl Fn(&str) -> bool {
    move |message| message.lines().any(|one| one.starts_with("STATUS=") && one.contains(words))
}

#[tokio::test]
async fn an_agent_says_that_it_serves_what_it_is_at_and_that_it_ends() {
    let lab = TestLab::up(Shape::of(1)).await;
    end_agent(&lab, NODE).await;
    let mut service = serve(&lab, NODE, Vec::new());
    let ready = service.until(says("READY=1")).await;
    assert_eq!(ready, "READY=1\nSTATUS=serving quay-1 of lab\n");
    service.until_fed(3).await;

    let plan = lab.plan(Some("synchronous")).await;
    let run = lab.spawn_quaymaster(apply_arguments(&plan));
    let stopping = service.until(status("at work: stop quay, step ")).await;
    assert!(stopping.starts_with("STATUS=serving quay-1 of lab; at work: "), "{stopping}");
    finish(run, "apply").await.expect_code(0);
    let last = service.until(status("last act: promote quay, step ")).await;
    let id = plan_run(&last);
    assert!(last.ends_with(&format!(" of run {id}, done\n")), "{last}");
    assert_eq!(id.len(), "01ARZ3NDEKTSV4RRFFQ69G5FAV".len(), "{last}");

    service.signal(Signal::TERM);
    service.until(says("STOPPING=1")).await;
    assert_eq!(service.ended().await.code(), Some(0));
}

/// The run that a status names.
fn plan_run(status: &str) -> &str {
    let rest = status.split(" of run ").nth(1).unwrap_or_default();
    rest.split(',').next().unwrap_or_default().trim()
}

#[tokio::test]
async fn a_reload_takes_new_certificates_and_keeps_the_old_where_they_are_of_no_use() {
    let lab = TestLab::up(Shape::of(1)).await;
    end_agent(&lab, NODE).await;
    let mut service = serve(&lab, NODE, Vec::new());
    service.until(says("READY=1")).await;
    lab.quaymaster(["status"]).await.expect_code(0);

    renew_everything(&lab);
    // The new operator is nobody to an agent that knows the old authority alone.
    assert_ne!(lab.quaymaster(["status"]).await.code, Some(0));
    reload(&mut service).await;
    service.until(status("serving quay-1 of lab")).await;
    lab.quaymaster(["status"]).await.expect_code(0);

    // Its own certificate is good, and no caller knows who signed it.
    let pki = lab.lab().layout().pki(NODE);
    let whole = fs::read(pki.join("ca.crt")).unwrap();
    let stranger = Authority::new("a stranger", Validity::lab(OffsetDateTime::now_utc())).unwrap();
    fs::write(pki.join("ca.crt"), stranger.certificate()).unwrap();
    reload(&mut service).await;
    service.until(status("callers would refuse certificate")).await;
    lab.quaymaster(["status"]).await.expect_code(0);
    fs::write(pki.join("ca.crt"), whole).unwrap();

    let key = pki.join("agent.key");
    fs::write(&key, "no key\n").unwrap();
    reload(&mut service).await;
    let kept = service.until(status("certificates not reloaded: ")).await;
    assert!(kept.contains(&format!("cannot read key `{}`", key.display())), "{kept}");
    lab.quaymaster(["status"]).await.expect_code(0);
    let log = fs::read_to_string(lab.lab().layout().agent_log(NODE)).unwrap();
    assert!(log.contains("Kept the certificates as they were"), "{log}");
}

/// From the signal to the moment that systemd takes the reload for over.
async fn reload(service: &mut Service) {
    service.signal(Signal::HUP);
    let begun = service.until(says("RELOADING=1")).await;
    // In the same message: the newer systemd counts from there.
    let since = begun.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
    assert!(since.unwrap_or_default().parse::<u64>().is_ok_and(|since| since > 0), "{begun}");
    service.until(says("READY=1")).await;
}

/// Another authority, and everybody's certificates by it.
fn renew_everything(lab: &TestLab) {
    let validity = Validity::lab(OffsetDateTime::now_utc());
    let authority = Authority::new("the next one", validity).unwrap();
    let operator = Subject::Person { role: "operator".to_owned(), person: "lab".to_owned() };
    let agent = Subject::Agent { node: NODE.to_owned() };
    let pki = lab.lab().layout().pki(NODE);
    for (dir, name, subject) in [(lab.dir(), "operator", operator), (pki.as_path(), "agent", agent)]
    {
        fs::write(dir.join("ca.crt"), authority.certificate()).unwrap();
        let Identity { certificate, key } = authority.issue("lab", &subject, validity).unwrap();
        fs::write(dir.join(format!("{name}.crt")), certificate).unwrap();
        fs::write(dir.join(format!("{name}.key")), key).unwrap();
    }
}

#[tokio::test]
async fn an_agent_without_a_ledger_says_that_it_refuses_acts() {
    let lab = TestLab::up(Shape::of(1)).await;
    end_agent(&lab, NODE).await;
    fs::write(state(&lab).join("ledger.jsonl"), "no record\n").unwrap();
    let mut service = serve(&lab, NODE, Vec::new());
    let ready = service.until(says("READY=1")).await;
    let refusing = "refusing acts for quay-1 of lab: ledger `";
    assert!(ready.contains(refusing) && ready.contains("is damaged at line 1"), "{ready}");
    service.until_fed(2).await;
}

fn state(lab: &TestLab) -> PathBuf {
    lab.lab().layout().node(NODE).join("state")
}

/// An act that waits is no hang: the engine may be given an hour for a stop,
/// and to end the agent would not bring an engine back that stands still.
#[tokio::test]
async fn an_engine_that_stands_still_in_the_midst_of_an_act_is_no_hang_of_the_agent() {
    let lab = TestLab::up(Shape::of(1)).await;
    end_agent(&lab, NODE).await;
    let mut service = serve(&lab, NODE, Vec::new());
    service.until(says("READY=1")).await;
    let plan = lab.plan(Some("synchronous")).await;
    // Long enough for the engine to be stopped in.
    let engine = lab.lab().layout().engine_data(NODE);
    set_faults(&engine, &Faults { stop_hangs_seconds: 2, ..Faults::default() }).unwrap();
    let run = lab.spawn_quaymaster(apply_arguments(&plan));
    service.until(status("at work: stop quay")).await;
    lab.lab().pause(Role::Engine, Some(NODE)).unwrap();
    service.until_fed(3).await;
    set_faults(&engine, &Faults::default()).unwrap();
    lab.lab().go_on(Role::Engine, Some(NODE)).unwrap();
    finish(run, "apply").await.expect_code(0);
}

/// A system call that does not return for a while, as on a file server that is
/// away: here the agent is held in an open(2) in the midst of an act. A timer
/// of its own would go on feeding the watchdog, for the agent has other threads.
#[tokio::test]
async fn an_act_that_is_stuck_starves_the_watchdog() {
    let lab = TestLab::up(Shape::of(1)).await;
    end_agent(&lab, NODE).await;
    let calls = lab.dir().join("calls");
    let mut service = serve(&lab, NODE, held_in_open(&kept_config(&lab), &calls));
    service.until(says("READY=1")).await;
    let plan = lab.plan(Some("synchronous")).await;
    let run = lab.spawn_quaymaster(apply_arguments(&plan));
    service.until(status("at work: stage config.yaml")).await;
    service.until_starved().await;
    // The agent as such lives: it answers looks.
    lab.quaymaster(["status"]).await.expect_code(0);

    // The call returns, and the act goes on.
    service.until_fed(2).await;
    finish(run, "apply").await.expect_code(0);
    service.signal_traced(Signal::TERM);
    service.ended().await;
}

/// What goes before a command line that is to wait in open(2) of a file.
fn held_in_open(path: &Path, calls: &Path) -> Vec<OsString> {
    // Four times what the watchdog allows.
    let held = format!("inject=openat:delay_enter={}s:when=1", 4 * WATCHDOG.as_secs());
    let mut line: Vec<OsString> =
        ["strace", "-f", "-qq", "-e", "trace=openat", "-e", &held].map(OsString::from).into();
    line.extend(["-P".into(), path.into(), "-o".into(), calls.into()]);
    line
}

/// Where the agent writes the copy of config.yaml that it keeps.
fn kept_config(lab: &TestLab) -> PathBuf {
    let config = lab.lab().layout().config_file(NODE);
    let kept = format!(".config.yaml.quaymaster-kept-{}-unfinished", sha256(&config));
    config.with_file_name(kept)
}

fn sha256(path: &Path) -> String {
    let output = Command::new("sha256sum").arg(path).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split(' ').next().unwrap().to_owned()
}

/// The journal reads levels from the lines, and the time from its own clock.
#[tokio::test]
async fn lines_for_the_journal_begin_with_their_level() {
    let lab = TestLab::up(Shape::of(1)).await;
    // The lab's own agent has the port: the log's last line says so.
    let mut lines = to_journal(agent(&lab, NODE));
    let last = lines.pop().unwrap();
    assert!(last.starts_with("<3>error: cannot listen on 127.0."), "{last}");
    end_agent(&lab, NODE).await;
    fs::write(state(&lab).join("ledger.jsonl"), "no record\n").unwrap();
    fs::remove_file(state(&lab).join("spec.key")).unwrap();
    fs::create_dir(state(&lab).join("spec.key")).unwrap();
    let lines = to_journal(agent(&lab, NODE));
    let refused = "<3>quaymaster_agent::app: No act is accepted: ledger `";
    assert!(lines[0].starts_with(refused), "{lines:?}");
}

/// What a command that fails wrote to a journal's socket.
fn to_journal(line: Vec<OsString>) -> Vec<String> {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let about = rustix::fs::fstat(&theirs).unwrap();
    let mut command = Command::new(&line[0]);
    command
        .args(&line[1..])
        .env_remove("RUST_LOG")
        .env("JOURNAL_STREAM", format!("{}:{}", about.st_dev, about.st_ino))
        .stdin(Stdio::null())
        .stderr(OwnedFd::from(theirs));
    assert!(!command.status().unwrap().success());
    drop(command);
    BufReader::new(ours).lines().map(Result::unwrap).collect()
}
