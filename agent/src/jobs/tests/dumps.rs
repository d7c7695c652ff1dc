//! Backups and restores beside what else is done: which are made anew, which
//! go on, and which are cancelled.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use quaymaster_proto::act::{ExpectedDatabase, Order, TakeDown};
use quaymaster_proto::backup::{Backup, BackupFacts};
use quaymaster_proto::database::DatabaseIdentity;
use quaymaster_proto::floor::SetFloor;
use quaymaster_proto::{ActOutcome, Floor, Generation, Mode};

use super::*;
use crate::backup::{BackedUp, BackupConfig, BackupError, Dump, Keeping, Subject};
use crate::engine::fake::spec;
use crate::worker::Worker;

/// Begins whatever it is asked, and ends nothing.
#[derive(Default)]
struct Begins(AtomicUsize);

impl Begins {
    fn begin<T: Send + 'static>(&self) -> BoxFuture<'static, T> {
        self.0.fetch_add(1, Ordering::SeqCst);
        std::future::pending().boxed()
    }
}

impl Dump for Begins {
    fn look<'a>(&'a self, _: &'a BackupConfig) -> BoxFuture<'a, BackupFacts> {
        self.begin()
    }

    fn back_up<'a>(
        &'a self,
        _: Subject<'a>,
        _: &'a BackUp,
    ) -> BoxFuture<'a, Result<BackedUp, BackupError>> {
        self.begin()
    }

    fn check<'a>(
        &'a self,
        _: Subject<'a>,
        _: &'a CheckBackup,
    ) -> BoxFuture<'a, Result<Backup, BackupError>> {
        self.begin()
    }

    fn keep(&self, _: &Keeping<'_>) -> Result<(), BackupError> {
        Ok(())
    }

    fn restore<'a>(
        &'a self,
        _: Subject<'a>,
        _: &'a Restore,
    ) -> BoxFuture<'a, Result<u64, BackupError>> {
        self.begin()
    }
}

/// A node in the dark, before its backup or in a rollback.
struct Dark {
    rig: Rig,
    worker: Worker<FakeEngine>,
    begins: Arc<Begins>,
}

impl Dark {
    async fn new() -> Self {
        let begins = Arc::new(Begins::default());
        let dump = Arc::clone(&begins);
        let with = |surroundings: &mut Surroundings| surroundings.dump = dump;
        let rig = Rig::with("backup: { directory: /nonexistent }\n", with);
        std::fs::write(&rig.jobs.node.config.quay_config, "DB_URI: sqlite:////quay.db\n").unwrap();
        let worker = Worker::new(Arc::clone(&rig.jobs.node));
        worker.look_over_fence().await.unwrap();
        Self { rig, worker, begins }
    }

    /// In this epoch, which is claimed where it may be.
    fn act(&self, epoch: u64, step: u32) -> Act {
        let act = Act { step: StepNumber::new(step).unwrap(), ..act(epoch) };
        let node = &self.rig.jobs.node;
        let _ = node.claim(&crate::lease::claiming(&act, node.lease())); // it drives already
        act
    }

    async fn back_up(&self, epoch: u64, ran: char) -> JobReport {
        let identity = DatabaseIdentity::new("sqlite:/quay.db").unwrap();
        let database = ExpectedDatabase { identity, revisions: Vec::new() };
        let order = BackUp {
            database,
            ran: String::from(ran).repeat(64).parse().unwrap(),
            storage: Default::default(),
        };
        self.rig.jobs.back_up("tester".to_owned(), self.act(epoch, 5), order).await.unwrap()
    }

    async fn restore(&self, epoch: u64) -> JobReport {
        let identity = DatabaseIdentity::new("sqlite:/quay.db").unwrap();
        let manifest = "d".repeat(64).parse().unwrap();
        let order = Restore { identity, manifest, expected_sessions: Vec::new() };
        self.rig.jobs.restore("tester".to_owned(), self.act(epoch, 5), order).await.unwrap()
    }

    async fn take_down(&self, epoch: u64) -> ActOutcome {
        let order = TakeDown {
            component: Component::Quay,
            container: None,
            generation: generation(),
            grace_seconds: 1,
            destroys_migration: true,
        };
        self.perform(epoch, 4, Order::TakeDown(order)).await
    }

    async fn perform(&self, epoch: u64, step: u32, order: Order) -> ActOutcome {
        let (jobs, act) = (&self.rig.jobs, self.act(epoch, step));
        jobs.perform(&self.worker, "tester".to_owned(), act, order).await.unwrap()
    }

    fn state(&self) -> JobState {
        let act = Act { step: StepNumber::new(5).unwrap(), ..act(1) };
        self.rig.jobs.report(&job_id(&act)).unwrap().state
    }

    /// How often something was begun, once that has come to so many.
    async fn begun(&self, times: usize) -> usize {
        while self.begins.0.load(Ordering::SeqCst) < times {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.begins.0.load(Ordering::SeqCst)
    }
}

fn generation() -> Generation {
    Generation { image: image_id(305), mode: Mode::Complete }
}

#[tokio::test]
async fn a_backup_is_made_anew_where_something_has_run_since_it_was_begun() {
    let dark = Dark::new().await;
    assert_eq!(dark.back_up(1, 'b').await.state, JobState::Running);
    assert_eq!(dark.begun(1).await, 1);
    // The same once more is joined, by whichever process.
    dark.back_up(2, 'b').await;
    assert_eq!(dark.begun(1).await, 1);
    assert_eq!(dark.back_up(2, 'c').await.state, JobState::Running);
    assert_eq!(dark.begun(2).await, 2);
    assert_eq!(dark.state(), JobState::Running, "the end of the first is not that of the second");
}

#[tokio::test]
async fn a_restore_goes_on_while_a_later_process_sees_again_that_all_is_down() {
    let dark = Dark::new().await;
    dark.take_down(1).await;
    dark.restore(1).await;
    assert_eq!(dark.begun(1).await, 1);
    assert_eq!(dark.take_down(2).await.how, How::Already);
    assert_eq!(dark.state(), JobState::Running);
    assert_eq!(dark.restore(2).await.state, JobState::Running);
    assert_eq!(dark.begun(1).await, 1, "it was joined");
    // What comes behind it does not wait for it.
    let to = Floor { generation: generation(), below: Vec::new() };
    dark.perform(2, 6, Order::SetFloor(SetFloor { from: None, to })).await;
    assert_eq!(dark.state(), JobState::Cancelled);
}

#[tokio::test]
async fn a_restore_under_which_something_had_to_be_taken_down_is_begun_anew() {
    let dark = Dark::new().await;
    dark.restore(1).await;
    assert_eq!(dark.begun(1).await, 1);
    let node = &dark.rig.jobs.node;
    let mut staged = spec(image_id(305), &[]);
    staged.labels = node.owner(Component::Quay).labels(act(1).run, &generation());
    let id = node.engine.run(7, "quay.quaymaster-q69g5fav-next", staged);
    assert_eq!(dark.take_down(2).await.how, How::Changed);
    assert!(!node.engine.state().containers[&id].container.state.status.is_alive());
    assert_eq!(dark.state(), JobState::Cancelled);
    assert_eq!(dark.restore(2).await.state, JobState::Running);
    assert_eq!(dark.begun(2).await, 2);
}
