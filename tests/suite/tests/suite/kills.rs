//! SIGKILL of the coordinator at ten random moments of a run, and `resume` each
//! time: it ends as an undisturbed run does, and the migrating start happens
//! once.

use std::time::{Duration, Instant};

use quaymaster_suite::upgrade::{apply_arguments, resume_arguments};
use quaymaster_suite::{Planned, Shape, TestLab};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Child;
use tokio::time::{sleep_until, timeout};

use crate::random::Random;

/// No process of these tests lives longer than a broken product.
const BOUND: Duration = Duration::from_secs(60);
const KILLS: usize = 10;

#[tokio::test]
async fn a_background_upgrade_survives_ten_kills() {
    survives(&[Some("background"), None]).await;
}

#[tokio::test]
async fn a_synchronous_upgrade_survives_ten_kills() {
    survives(&[Some("synchronous")]).await;
}

/// One window for each mode asked for.
async fn survives(windows: &[Option<&str>]) {
    let mut random = Random::seeded();
    let undisturbed = TestLab::up(Shape::of(3)).await;
    let mut durations = Vec::new();
    for mode in windows {
        let plan = undisturbed.plan(*mode).await;
        let run = Run::begin(&undisturbed, apply_arguments(&plan)).await;
        let since = run.since;
        run.end().await;
        durations.push(since.elapsed());
    }
    let expected = undisturbed.end_state().await;
    drop(undisturbed);

    let mut killed = 0;
    while killed < KILLS {
        // One upgrade is enough, unless it was faster than the undisturbed one.
        let moments = moments(&mut random, &durations, KILLS - killed);
        let lab = TestLab::up(Shape::of(3)).await;
        for (mode, moments) in windows.iter().zip(moments) {
            let plan = lab.plan(*mode).await;
            let landed = disturbed(&lab, &plan, &moments).await;
            eprintln!("killed {landed} times, at {moments:?}");
            killed += landed;
        }
        lab.quaymaster(["status"]).await.expect_code(0);
        assert_eq!(lab.end_state().await, expected);
        let verdict = lab.check().await;
        verdict.expect_clean();
        assert_eq!(verdict.migrations(), windows.len());
        assert_eq!(verdict.damage(), Vec::<String>::new());
    }
}

/// Runs one window and kills its process at each of the moments, which count from when the first
/// one took the run in hand. How many it came to.
async fn disturbed(lab: &TestLab, plan: &Planned, moments: &[Duration]) -> usize {
    let mut run = Run::begin(lab, apply_arguments(plan)).await;
    let since = run.since;
    for (killed, moment) in moments.iter().enumerate() {
        if run.ended_before(since + *moment).await {
            // Faster than the undisturbed one: there is nothing left to kill.
            return killed;
        }
        run = Run::resume(lab, plan);
    }
    run.end().await;
    moments.len()
}

/// Drawn over the whole upgrade, in order, for each of its windows.
fn moments(random: &mut Random, durations: &[Duration], count: usize) -> Vec<Vec<Duration>> {
    let whole: Duration = durations.iter().sum();
    let mut drawn: Vec<Duration> = (0..count).map(|_| whole.mul_f64(random.fraction())).collect();
    drawn.sort();
    let mut begin = Duration::ZERO;
    durations
        .iter()
        .map(|duration| {
            let end = begin + *duration;
            let within = drawn.iter().filter(|moment| (begin..end).contains(*moment));
            let moments = within.map(|moment| *moment - begin).collect();
            begin = end;
            moments
        })
        .collect()
}

/// A process of the coordinator.
struct Run {
    child: Child,
    since: Instant,
}

impl Run {
    /// Starts it, and waits until it says the first thing about the run.
    async fn begin(lab: &TestLab, arguments: Vec<String>) -> Self {
        let mut child = lab.spawn_quaymaster(arguments);
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        timeout(BOUND, stderr.read_line(&mut line)).await.unwrap().unwrap();
        let mut run = Self { child, since: Instant::now() };
        run.child.stderr = Some(stderr.into_inner());
        run
    }

    fn resume(lab: &TestLab, plan: &Planned) -> Self {
        Self { child: lab.spawn_quaymaster(resume_arguments(plan)), since: Instant::now() }
    }

    /// Kills it at that moment; whether it had come to a good end by itself.
    async fn ended_before(&mut self, moment: Instant) -> bool {
        let ended = tokio::select! {
            said = said(&mut self.child) => Some(said),
            () = sleep_until(moment.into()) => None,
        };
        let Some(said) = ended else {
            // SIGKILL: not a word, not a file closed.
            self.child.kill().await.unwrap();
            return false;
        };
        self.ended_well(&said).await;
        true
    }

    async fn end(mut self) {
        let said = timeout(BOUND, said(&mut self.child)).await.unwrap();
        self.ended_well(&said).await;
    }

    /// The one before it may have been killed after its last step: then nothing is left to resume,
    /// and the end state says the rest.
    async fn ended_well(&mut self, said: &str) {
        let code = self.child.wait().await.unwrap().code();
        let is_over = code == Some(2) && said.contains("has ended: its window was done");
        assert!(code == Some(0) || is_over, "{code:?}:\n{said}");
    }
}

/// Everything that it says until its end; a full pipe must not be what it waits for.
async fn said(child: &mut Child) -> String {
    let (mut talk, mut data) = (String::new(), String::new());
    let stderr = child.stderr.as_mut().unwrap().read_to_string(&mut talk);
    let stdout = child.stdout.as_mut().unwrap().read_to_string(&mut data);
    let (talked, printed) = tokio::join!(stderr, stdout);
    talked.and(printed).unwrap();
    talk + &data
}
