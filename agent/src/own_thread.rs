//! Threads for work that may block: disks and file servers that do not answer.

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// Where work that may block is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Threads {
    /// On a thread that it may block: the runtime's own few threads answer
    /// everybody else meanwhile.
    Own,
    /// On the runtime's one thread, so that a clock which is stopped knows when
    /// nothing is left to do.
    #[cfg(feature = "simulation")]
    Shared,
}

impl Threads {
    /// Does work that ends whoever hangs up.
    pub(crate) fn run<T: Send + 'static>(
        self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        match self {
            Self::Own => {
                let runtime = Handle::current();
                tokio::task::spawn_blocking(move || runtime.block_on(work))
            }
            #[cfg(feature = "simulation")]
            Self::Shared => tokio::spawn(work),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This test's runtime has one thread: work that blocked it would never end.
    #[tokio::test]
    async fn work_that_blocks_holds_up_nobody() {
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let work = Threads::Own.run(async move { ended.recv().is_ok() });
        tokio::task::yield_now().await;
        end.send(()).unwrap();
        assert!(work.await.unwrap());
    }
}
