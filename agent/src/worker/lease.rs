//! Claims and releases pass the desk too: the act in flight settles first, and
//! the answer says how.

use std::sync::Arc;

use quaymaster_proto::lease::{ClaimLease, Claimed, ReleaseLease};
use quaymaster_proto::{Lease, Reason, Refusal, RunId};
use tokio::sync::OwnedMutexGuard;

use super::Worker;
use crate::engine::Engine;
use crate::node::Node;

impl<E: Engine> Worker<E> {
    /// Grants a claim, or says why not. Where the caller hangs up while the act
    /// in flight settles, it is never granted: nobody would drive by it. From
    /// there on `granted` is done whoever hangs up, before anybody is told.
    pub(crate) async fn claim(
        &self,
        who: String,
        claim: ClaimLease,
        granted: impl FnOnce(&Lease) + Send + 'static,
    ) -> Result<Claimed, Refusal> {
        let baton = Arc::clone(&self.desk.baton).lock_owned().await;
        self.on_a_thread(std::future::ready(baton), move |node| {
            let result = node.claim(&claim);
            let ClaimLease { run, epoch, holder, .. } = &claim;
            match &result {
                Ok(claimed) => {
                    granted(&claimed.lease);
                    tracing::info!(who, %run, %epoch, holder, "Drives this node from now on.");
                }
                Err(refusal) => {
                    tracing::info!(who, %run, %epoch, holder, "Refused a claim: {refusal}.");
                }
            }
            result
        })
        .await
    }

    /// Takes a lease back, or says why not; also where the caller hangs up. Then
    /// `released` is done.
    pub(crate) async fn release(
        &self,
        who: String,
        release: ReleaseLease,
        released: impl FnOnce(RunId) + Send + 'static,
    ) -> Result<(), Refusal> {
        let baton = Arc::clone(&self.desk.baton);
        self.on_a_thread(baton.lock_owned(), move |node| {
            let result = node.release(&release);
            let ReleaseLease { cluster: _, run, epoch } = &release;
            match &result {
                Ok(()) => {
                    node.surroundings.database.unlock();
                    released(*run);
                    tracing::info!(who, %run, %epoch, "Drives this node no longer.");
                }
                Err(refusal) => {
                    tracing::info!(who, %run, %epoch, "Refused a release: {refusal}.");
                }
            }
            result
        })
        .await
    }

    /// Does something with the baton: no act is at work meanwhile.
    async fn on_a_thread<T: Send + 'static>(
        &self,
        baton: impl Future<Output = OwnedMutexGuard<()>> + Send + 'static,
        work: impl FnOnce(&Node<E>) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let node = Arc::clone(&self.node);
        let threads = node.surroundings.threads;
        let task = threads.run(async move {
            let _baton = baton.await;
            work(&node)
        });
        task.await.unwrap_or_else(|_| {
            Err(Refusal::new(Reason::Engine, "the lease's change broke off inside the agent")
                .with_remedy("see the agent's log, and ask again"))
        })
    }
}
