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
/// So often everything is tried at most.
const ROUNDS: usize = 3;
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

/// What upgrades have cost.
#[derive(Default, Debug)]
struct Toll {
    kills: usize,
    /// Boundaries at which a process died.
    met: BTreeSet<String>,
    /// Those at which none died: it came further than reckoned.
    passed_over: BTreeSet<String>,
}

impl Toll {
    fn add(&mut self, Self { kills, met, passed_over }: Self) {
        self.kills += kills;
        self.met.extend(met);
        self.passed_over.extend(passed_over);
    }

    /// Boundaries at which no process of any upgrade has died, whichever node's they are.
    fn left_out(&self) -> Vec<&String> {
        let step = |of: &String| of.rsplit_once(' ').map(|(step, _)| step.to_owned());
        let met: BTreeSet<_> = self.met.iter().map(step).collect();
        self.passed_over.iter().filter(|it| !met.contains(&step(it))).collect()
    }
}

/// How far a process comes is reckoned, and may be further: what all upgrades have passed over is
/// tried once more.
#[tokio::test]
async fn every_process_dies_before_a_write_after_a_write_and_after_an_effect() {
    let mut toll = Toll::default();
    for _ in 0..ROUNDS {
        let [before, after, effect] =
            [Moment::BeforeTheWrite, Moment::AfterTheWrite, Moment::AfterTheEffect].map(survives);
        let (before, after, effect) = tokio::join!(before, after, effect);
        [before, after, effect].into_iter().for_each(|of| toll.add(of));
        eprintln!("passed over by all: {:?}", toll.left_out());
        if toll.left_out().is_empty() {
            return;
        }
    }
    assert_eq!(toll.left_out(), Vec::<&String>::new(), "{toll:#?}");
}

async fn survives(moment: Moment) -> Toll {
    let undisturbed = TestLab::up(Shape::of(3)).await;
    for mode in WINDOWS {
        undisturbed.apply(&undisturbed.plan(mode).await).await.expect_code(0);
    }
    let expected = undisturbed.end_state().await;
    drop(undisturbed);

    let lab = TestLab::up(Shape::of(3)).await;
    let mut all = Toll::default();
    for (window, mode) in WINDOWS.into_iter().enumerate() {
        let plan = lab.plan(mode).await;
        let toll = disturbed(&lab, &plan, moment).await;
        let Toll { kills, met, passed_over } = &toll;
        eprintln!("{moment:?}: {kills} kills, {} met, passed over: {passed_over:?}", met.len());
        // As many as there are steps at least: the reckoning holds.
        assert!(met.len() >= plan.json["steps"].as_array().unwrap().len(), "{toll:#?}");
        let named = |of: BTreeSet<String>| of.into_iter().map(|it| format!("{window}: {it}"));
        let Toll { kills, met, passed_over } = toll;
        let (met, passed_over) = (named(met).collect(), named(passed_over).collect());
        all.add(Toll { kills, met, passed_over });
    }
    assert_eq!(lab.end_state().await, expected);
    let verdict = lab.check().await;
    verdict.expect_clean();
    assert_eq!(verdict.migrations(), WINDOWS.len());
    assert_eq!(verdict.damage(), Vec::<String>::new());
    all
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
        let mut new: Vec<String> = written.into_iter().filter(|it| !known.contains(it)).collect();
        // A gate that is looked at again may write more or less than the last time.
        deeper = if new.is_empty() { deeper + 1 } else { 0 };
        known.extend(new.iter().cloned());
        toll.met.extend(new.pop());
        // What a gate waits on is another thing each time.
        toll.passed_over.extend(new.into_iter().filter(|it| !it.starts_with(book::WAITING)));
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
