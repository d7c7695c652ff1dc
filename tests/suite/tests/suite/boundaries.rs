//! Real processes of the coordinator die at every boundary of the journal, one after another in one
//! background upgrade, and each next one goes on. The product has no hook for that: strace sends
//! the signal when the process is about to flush its N-th transaction to the disk.

mod book;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use quaymaster_lab::cluster::wait::until;
use quaymaster_suite::upgrade::{apply_arguments, resume_arguments};
use quaymaster_suite::{Outcome, Planned, Shape, TestLab};
use tokio::time::sleep;

use book::Book;

/// No process of these tests lives longer than a broken product.
const BOUND: Duration = Duration::from_secs(60);
/// What the other nodes may need to end what they have begun; it only has to be enough mostly.
const SETTLED: Duration = Duration::from_millis(150);
/// A new log of SQLite flushes its header before its first transaction.
const HEADER: usize = 1;
const WINDOWS: [Option<&str>; 2] = [Some("background"), None];

/// When a process dies at a boundary.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Moment {
    /// What it was about to write down is not on the disk; other nodes are still at work.
    BeforeTheWrite,
    /// It is on the disk, and nothing else has happened.
    AfterTheWrite,
    /// Everything that was asked of the nodes is done, and nothing of that is on the disk.
    AfterTheEffect,
}

/// What one window has cost.
#[derive(Default, Debug)]
struct Toll {
    kills: usize,
    /// Boundaries at which a process died for the first time.
    met: usize,
    /// Those at which none died: it came further than reckoned.
    passed_over: usize,
}

#[tokio::test]
async fn every_process_dies_before_a_write() {
    survives(Moment::BeforeTheWrite).await;
}

#[tokio::test]
async fn every_process_dies_after_a_write() {
    survives(Moment::AfterTheWrite).await;
}

#[tokio::test]
async fn every_process_dies_after_an_effect() {
    survives(Moment::AfterTheEffect).await;
}

async fn survives(moment: Moment) {
    let undisturbed = TestLab::up(Shape::of(3)).await;
    for mode in WINDOWS {
        undisturbed.apply(&undisturbed.plan(mode).await).await.expect_code(0);
    }
    let expected = undisturbed.end_state().await;
    drop(undisturbed);

    let lab = TestLab::up(Shape::of(3)).await;
    for mode in WINDOWS {
        let plan = lab.plan(mode).await;
        let toll = disturbed(&lab, &plan, moment).await;
        eprintln!("{moment:?}: {toll:?}");
        assert!(toll.met >= plan.json["steps"].as_array().unwrap().len(), "{toll:?}");
        assert!(toll.met >= 5 * toll.passed_over, "{toll:?}");
    }
    assert_eq!(lab.end_state().await, expected);
    let verdict = lab.check().await;
    verdict.expect_clean();
    assert_eq!(verdict.migrations(), WINDOWS.len());
    assert_eq!(verdict.damage(), Vec::<String>::new());
}

/// Runs one window; each process comes one boundary further than the one before it.
async fn disturbed(lab: &TestLab, plan: &Planned, moment: Moment) -> Toll {
    let book = Book::of(lab.lab().layout().state());
    let (mut toll, mut deeper) = (Toll::default(), 0);
    let mut known = BTreeSet::new();
    loop {
        let found = book.read(plan).await;
        // What a process writes first of all: that it drives the run, and once more what it intends.
        let again = 1 + usize::from(found.is_begun) + usize::from(found.has_open_intents);
        let unwritten = usize::from(moment != Moment::AfterTheWrite);
        let flush = HEADER + again + unwritten + deeper;
        let arguments = match found.is_begun {
            true => resume_arguments(plan),
            false => apply_arguments(plan),
        };
        if let Some(outcome) = dies(lab, arguments, flush, moment).await {
            let is_over = outcome.code == Some(2) && outcome.stderr.contains("has ended: its");
            assert!(outcome.code == Some(0) || is_over, "{}", outcome.page());
            return toll;
        }
        toll.kills += 1;
        if moment != Moment::AfterTheWrite {
            book.lose_the_last_transaction();
        }
        let written = book.read(plan).await.written;
        let new = written.difference(&known).count();
        // A gate that is looked at again may write more or less than the last time.
        deeper = if new == 0 { deeper + 1 } else { 0 };
        toll.passed_over += new.saturating_sub(1);
        toll.met += usize::from(new > 0);
        known.extend(written);
    }
}

/// Runs a process that is killed at its N-th flush; what came of it where it ends before that.
async fn dies(
    lab: &TestLab,
    arguments: Vec<String>,
    flush: usize,
    moment: Moment,
) -> Option<Outcome> {
    let signal = if moment == Moment::AfterTheEffect { "STOP" } else { "KILL" };
    let wal = lab.lab().layout().state().join("journal.db-wal");
    let trace: PathBuf = lab.dir().join("strace.out");
    fs::write(&trace, "").unwrap();
    let flushes = "fsync,fdatasync";
    let way = [
        // The coordinator stays this process's own child.
        "strace".to_owned(),
        "-D".to_owned(),
        "-f".to_owned(),
        format!("--trace={flushes}"),
        format!("--inject={flushes}:signal={signal}:when={flush}"),
        format!("--trace-path={}", wal.display()),
        format!("--output={}", trace.display()),
    ];
    let mut child = lab.spawn_quaymaster_by(&way, arguments);
    if moment == Moment::AfterTheEffect {
        let held = until("a stop", BOUND, async || {
            let text = fs::read_to_string(&trace).unwrap_or_default();
            if text.contains("stopped by SIGSTOP") { Ok(()) } else { Err("none yet".to_owned()) }
        });
        let is_held = tokio::select! {
            held = held => held.is_ok(),
            ended = child.wait() => ended.is_err(),
        };
        if is_held {
            sleep(SETTLED).await;
            child.start_kill().unwrap();
        }
    }
    let outcome = quaymaster_suite::command::finish(child, "quaymaster under strace").await;
    outcome.code.is_some().then_some(outcome)
}
