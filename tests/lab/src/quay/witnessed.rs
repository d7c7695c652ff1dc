//! This process's own record file, shared by its tasks.

use std::sync::{Arc, Mutex, PoisonError};

use super::log;
use crate::record::{QuayEvent, QuayRecord, RecordWriter, Seen};

#[derive(Clone, Debug)]
pub(super) struct Witnessed {
    writer: Arc<Mutex<RecordWriter>>,
    identity: Identity,
}

#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) node: String,
    pub(super) container_id: String,
    pub(super) release: String,
    pub(super) is_mirror: bool,
}

impl Witnessed {
    pub(super) fn new(writer: RecordWriter, identity: Identity) -> Self {
        Self { writer: Arc::new(Mutex::new(writer)), identity }
    }

    /// Puts an event on the disk before returning.
    pub(super) fn saw(&self, event: QuayEvent) {
        let Identity { node, container_id, release, is_mirror } = self.identity.clone();
        let pid = std::process::id();
        let record = QuayRecord { node, container_id, release, pid, is_mirror, event };
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = writer.write(Seen::Quay(record)) {
            log::error(&format!("stand-in: the witness is blind: {error}"));
        }
    }

    pub(super) fn refused(&self, reason: &str) {
        self.saw(QuayEvent::Refused { reason: reason.to_owned(), exit_code: 255 });
    }

    pub(super) fn damaged(&self, what: String) {
        self.saw(QuayEvent::Damaged { what });
    }
}
