//! Proof that the worker works, for whoever watches over the process.
//!
//! A question is answered in one of two ways. Where no act is at work, it is
//! asked as an act comes in: on a thread of its own that gets the desk's baton.
//! Where an act holds the baton, the very thread that does the act answers,
//! between two of its steps. So there is no answer where the runtime is stuck,
//! where an act is (in a lock, or in a system call on a file server that is
//! gone), or where an act takes longer than any act may. An act that waits for
//! its engine within that bound does answer: to kill the agent would not bring
//! that engine back, and the act would begin anew.
#![expect(clippy::disallowed_methods, reason = "an effect room: it waits for an act's bound")]

use std::sync::Arc;
use std::time::Duration;

use quaymaster_proto::act::Order;
use tokio::sync::Notify;

use super::{Desk, Worker};
use crate::engine::Engine;

/// What an act may take on top of the grace that it gives a container. It asks
/// its engine and the database a dozen things in a row, each of which ends by
/// itself, at the latest after the two minutes of an engine's call.
pub(super) const BESIDE_GRACE: Duration = Duration::from_secs(30 * 60);

/// The longest that an act may take; with the longest grace an hour and a half.
pub(super) fn bound(order: &Order) -> Duration {
    let grace = match order {
        Order::EnsureStopped(order) => order.grace_seconds,
        Order::TakeDown(order) => order.grace_seconds,
        Order::StageContainer(_)
        | Order::StageConfig(_)
        | Order::PutConfig(_)
        | Order::StartMigrating(_)
        | Order::EnsureRunning(_)
        | Order::Promote(_)
        | Order::SetFloor(_)
        | Order::LowerFloor(_)
        | Order::RestoreConfig(_)
        | Order::RemoveStagedConfig(_)
        | Order::RemoveStaged(_)
        | Order::Recreate(_) => 0,
    };
    Duration::from_secs(grace.into()) + BESIDE_GRACE
}

/// Questions and answers.
#[derive(Default, Debug)]
pub(super) struct Pulse {
    asked: Notify,
    answered: Notify,
}

impl Pulse {
    /// Does the work, and answers meanwhile; past `bound` it only does the work.
    pub(super) async fn carry<T>(&self, bound: Duration, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        let mut end = std::pin::pin!(tokio::time::sleep(bound));
        let mut is_overdue = false;
        loop {
            // The work first: an answer says that it was just gone on with.
            tokio::select! {
                biased;
                result = &mut work => return result,
                () = &mut end, if !is_overdue => {
                    is_overdue = true;
                    let limit = bound.as_secs();
                    tracing::error!("The act at work has taken {limit} s, longer than any act may.");
                }
                () = self.asked.notified(), if !is_overdue => self.answered.notify_waiters(),
            }
        }
    }
}

impl Desk {
    async fn answer(&self) {
        let mut answered = std::pin::pin!(self.pulse.answered.notified());
        // Waiting from here on: an answer may come before the first look.
        answered.as_mut().enable();
        self.pulse.asked.notify_one();
        tokio::select! {
            _baton = self.baton.lock() => {}
            () = answered => {}
        }
    }
}

impl<E: Engine> Worker<E> {
    /// Returns when the worker has shown that it works; else never.
    pub(crate) async fn prove_alive(&self) {
        let desk = Arc::clone(&self.desk);
        let threads = self.node.surroundings.threads;
        if threads.run(async move { desk.answer().await }).await.is_err() {
            // Broken off: nothing is proven.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;
    use tokio::time::timeout;

    use super::*;
    use crate::own_thread::Threads;

    const LIMIT: Duration = Duration::from_secs(60);

    /// A desk whose act ends when the sender is used or dropped.
    fn busy(bound: Duration) -> (Arc<Desk>, oneshot::Sender<()>) {
        let desk = Arc::<Desk>::default();
        let (end, ended) = oneshot::channel::<()>();
        let at = Arc::clone(&desk);
        tokio::spawn(async move {
            let _baton = at.baton.lock().await;
            at.pulse.carry(bound, async { ended.await.unwrap_or_default() }).await;
        });
        (desk, end)
    }

    async fn answers(desk: &Desk) -> bool {
        timeout(LIMIT, desk.answer()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_free_desk_answers() {
        let desk = Desk::default();
        assert!(answers(&desk).await);
        assert!(answers(&desk).await);
    }

    #[tokio::test(start_paused = true)]
    async fn an_act_that_waits_within_its_bound_answers_and_past_it_does_not() {
        let (desk, end) = busy(Duration::from_secs(3600));
        for _ in 0..59 {
            assert!(answers(&desk).await);
            tokio::time::sleep(LIMIT).await;
        }
        tokio::time::sleep(LIMIT).await;
        assert!(!answers(&desk).await, "the act is overdue");
        end.send(()).unwrap();
        assert!(answers(&desk).await, "it has ended, the desk is free");
    }

    #[tokio::test(start_paused = true)]
    async fn a_baton_that_nobody_carries_gives_no_answer() {
        let desk = Desk::default();
        let _forgotten = desk.baton.lock().await;
        assert!(!answers(&desk).await);
    }

    /// As in a system call that does not return.
    #[test]
    fn an_act_that_is_stuck_does_not_answer_though_everything_else_runs() {
        let of_the_act = tokio::runtime::Runtime::new().unwrap();
        let desk = Arc::<Desk>::default();
        let (begun, has_begun) = std::sync::mpsc::channel::<()>();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let at = Arc::clone(&desk);
        let act = async move {
            let _baton = at.baton.lock().await;
            let stuck = async move {
                begun.send(()).unwrap();
                ended.recv().unwrap();
            };
            at.pulse.carry(LIMIT, stuck).await;
        };
        let act = of_the_act.spawn(async { Threads::Own.run(act).await.unwrap() });
        has_begun.recv().unwrap();
        let mut of_the_question = tokio::runtime::Builder::new_current_thread();
        let of_the_question = of_the_question.enable_time().start_paused(true).build().unwrap();
        of_the_question.block_on(async {
            assert!(!answers(&desk).await);
            end.send(()).unwrap();
            desk.answer().await;
        });
        of_the_act.block_on(act).unwrap();
    }

    #[test]
    fn the_longest_grace_is_within_the_bound() {
        use quaymaster_proto::{Component, Generation, Mode};
        let order = Order::EnsureStopped(quaymaster_proto::act::EnsureStopped {
            component: Component::Quay,
            container: "b".repeat(64).parse().unwrap(),
            generation: Generation {
                image: format!("sha256:{}", "c".repeat(64)).parse().unwrap(),
                mode: Mode::Absent,
            },
            grace_seconds: 3600,
            restart_policy: quaymaster_proto::RestartPolicy::No,
        });
        assert!(bound(&order) > Duration::from_secs(3600 + 60));
    }
}
