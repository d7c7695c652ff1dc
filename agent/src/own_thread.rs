//! Threads for work that may block: disks and file servers that do not answer.

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// Does work that ends whoever hangs up, and on a thread that it may block: the
/// runtime's own few threads answer everybody else meanwhile.
pub(crate) fn on_own_thread<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> JoinHandle<T> {
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || runtime.block_on(work))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This test's runtime has one thread: work that blocked it would never end.
    #[tokio::test]
    async fn work_that_blocks_holds_up_nobody() {
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let work = on_own_thread(async move { ended.recv().is_ok() });
        tokio::task::yield_now().await;
        end.send(()).unwrap();
        assert!(work.await.unwrap());
    }
}
