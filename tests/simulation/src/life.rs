//! Whether a process still lives. What a dead one asks fails, so that it ends
//! without having done anything more.

use std::sync::Arc;

use tokio::sync::watch;

/// One process's life.
#[derive(Clone, Debug)]
pub struct Life(Arc<watch::Sender<bool>>);

impl Default for Life {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(true)))
    }
}

impl Life {
    /// Whether it lives.
    pub fn lasts(&self) -> bool {
        *self.0.borrow()
    }

    /// Ends it.
    pub fn end(&self) {
        self.0.send_replace(false);
    }

    /// Returns when it has ended.
    pub async fn ended(&self) {
        // The sender is this value's own.
        let _ = self.0.subscribe().wait_for(|lasts| !lasts).await;
    }
}
