//! This machine's journal, as every command comes to it: only that of the
//! cluster at hand.

use crate::commands::CommandError;
use crate::commands::context::Context;
use crate::journal::History;
use crate::journal::store::{self, Journal, JournalError};

impl Context {
    /// What it holds; `None` = nothing ever ran here. Needs no lock, and makes
    /// nothing.
    pub(super) async fn history(&self) -> Result<Option<History>, CommandError> {
        match store::read(&self.cluster.state).await {
            Ok(history) => Ok(Some(self.of_this_cluster(history)?)),
            Err(JournalError::Absent { .. }) => Ok(None),
            Err(other) => Err(other.into()),
        }
    }

    /// The journal to write to; made where there is none.
    pub(super) async fn journal(&self) -> Result<(Journal, History), CommandError> {
        // Before the lock, and before a damaged end is mended.
        self.history().await?;
        let (journal, history) = Journal::open(&self.cluster.state).await?;
        Ok((journal, self.of_this_cluster(history)?))
    }

    /// A state directory that was named twice, or copied, must not lead one
    /// cluster by another one's runs.
    fn of_this_cluster(&self, history: History) -> Result<History, JournalError> {
        let wanted = &self.cluster.name;
        let other = history.clusters().find(|found| *found != wanted).cloned();
        match other {
            None => Ok(history),
            Some(found) => {
                let (path, wanted) = (store::path(&self.cluster.state), wanted.clone());
                Err(JournalError::OtherCluster { path, found, wanted })
            }
        }
    }
}

#[cfg(test)]
mod tests;
