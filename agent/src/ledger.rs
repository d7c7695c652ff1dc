//! What this agent was asked and how it ended: one line of JSON a record,
//! appended and fsynced before the world changes.
//!
//! The ledger is keyed by step and never replaces a look at the engine. A file
//! that is absent, damaged or of a newer agent are three different answers;
//! with either of the last two the agent looks but does not act.
#![expect(clippy::disallowed_methods, reason = "an effect room: the ledger's file is its job")]

mod index;

use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use quaymaster_proto::act::Order;
use quaymaster_proto::job::{JobState, PullImage};
use quaymaster_proto::node::LedgerHead;
use quaymaster_proto::{Act, ActOutcome, ContainerId, Reason, Refusal};
use serde::{Deserialize, Serialize};

pub(crate) use index::{Admission, Index};

/// The only version that this agent writes and the newest that it reads.
const VERSION: u32 = 1;

/// The ledger's file in the agent's state directory.
const FILE_NAME: &str = "ledger.jsonl";

/// What was asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", content = "what")]
pub(crate) enum Work {
    /// An act.
    Act(Order),
    /// A pull.
    Pull(PullImage),
}

impl Work {
    /// The verb, for logs and refusals.
    pub(crate) fn verb(&self) -> &'static str {
        match self {
            Self::Act(order) => order.verb(),
            Self::Pull(_) => "pull-image",
        }
    }
}

/// What became of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event", content = "of")]
pub(crate) enum Event {
    /// Every check passed; the world changes next.
    Intended,
    /// The act was met.
    Settled(ActOutcome),
    /// The act was not met.
    Refused(Refusal),
    /// The job ended.
    JobEnded(JobState),
}

/// One line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    version: u32,
    at: Timestamp,
    pub(crate) act: Act,
    pub(crate) work: Work,
    pub(crate) event: Event,
}

/// Why there is no ledger to act by.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LedgerError {
    /// The disk said no.
    #[error("cannot {verb} ledger `{}`", path.display())]
    Disk {
        /// What was tried.
        verb: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A whole line is not a record.
    #[error("ledger `{}` is damaged at line {line}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// 1-based.
        line: usize,
    },
    /// A newer agent wrote it.
    #[error("ledger `{}` has version {version}, this agent reads up to {VERSION}", path.display())]
    TooNew {
        /// The file.
        path: PathBuf,
        /// The version found.
        version: u32,
    },
    /// A record cannot be written as JSON.
    #[error("cannot write a record as JSON")]
    Encode(#[source] serde_json::Error),
}

impl LedgerError {
    /// What to do about it.
    fn remedy(&self) -> &'static str {
        match self {
            Self::Disk { .. } => "see that the state directory is writable and has space",
            Self::Damaged { .. } => {
                "look at the containers by hand, then move the file aside and restart the agent"
            }
            Self::TooNew { .. } => "run the agent version that wrote it, or a newer one",
            Self::Encode(_) => "",
        }
    }

    /// The refusal of an act that needed the ledger.
    pub(crate) fn refusal(&self) -> Refusal {
        let cause = std::error::Error::source(self);
        let cause = cause.map(|source| format!(": {source}")).unwrap_or_default();
        Refusal::new(Reason::Ledger, format!("{self}{cause}")).with_remedy(self.remedy())
    }
}

/// The open file and what its records add up to.
#[derive(Debug)]
pub(crate) struct Ledger {
    path: PathBuf,
    file: File,
    index: Index,
}

impl Ledger {
    /// Opens the ledger in `state`, making both where they are absent.
    ///
    /// A last line without its end is what a crash leaves of a record whose
    /// act had not begun: it is cut off.
    pub(crate) fn open(state: &Path) -> Result<Self, LedgerError> {
        let path = state.join(FILE_NAME);
        let failed = |verb| {
            let path = path.clone();
            move |source| LedgerError::Disk { verb, path, source }
        };
        std::fs::create_dir_all(state).map_err(failed("make the directory of"))?;
        let is_new = !path.exists();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed("open"))?;
        // Two agents on one ledger would each see half of it.
        file.try_lock().map_err(|error| failed("lock")(error.into()))?;
        let text = io::read_to_string(&file).map_err(failed("read"))?;
        let (records, whole) = parse(&text, &path)?;
        if whole < text.len() as u64 {
            tracing::warn!(path = %path.display(), "The ledger's last line was cut short by a crash; it is dropped.");
            file.set_len(whole).map_err(failed("cut"))?;
        }
        file.seek(io::SeekFrom::Start(whole)).map_err(failed("seek in"))?;
        file.sync_all().map_err(failed("sync"))?;
        if is_new {
            File::open(state)
                .and_then(|directory| directory.sync_all())
                .map_err(failed("sync the directory of"))?;
        }
        let mut index = Index::default();
        records.iter().for_each(|record| index.add(record));
        Ok(Self { path, file, index })
    }

    /// What its records add up to.
    pub(crate) fn index(&self) -> &Index {
        &self.index
    }

    /// Appends a record; on disk when this returns.
    pub(crate) fn append(
        &mut self,
        act: &Act,
        work: &Work,
        event: Event,
    ) -> Result<(), LedgerError> {
        let record = Record {
            version: VERSION,
            at: Timestamp::now(),
            act: act.clone(),
            work: work.clone(),
            event,
        };
        let mut line = serde_json::to_vec(&record).map_err(LedgerError::Encode)?;
        line.push(b'\n');
        let written = self.write(&line);
        written.map_err(|source| LedgerError::Disk {
            verb: "append to",
            path: self.path.clone(),
            source,
        })?;
        self.index.add(&record);
        Ok(())
    }

    /// Writes a whole line or leaves the file as it was.
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let before = self.file.stream_position()?;
        let written = self.file.write_all(line).and_then(|()| self.file.sync_data());
        if written.is_err() {
            self.file.set_len(before)?;
            self.file.seek(io::SeekFrom::Start(before))?;
        }
        written
    }
}

/// The records, and the length in bytes of the lines that hold them.
fn parse(text: &str, path: &Path) -> Result<(Vec<Record>, u64), LedgerError> {
    /// Read before anything else of a line.
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let mut records = Vec::new();
    let mut whole = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if !line.ends_with('\n') {
            break;
        }
        let damaged = || LedgerError::Damaged { path: path.to_owned(), line: number + 1 };
        let Versioned { version } = serde_json::from_str(line).map_err(|_| damaged())?;
        if version > VERSION {
            return Err(LedgerError::TooNew { path: path.to_owned(), version });
        }
        records.push(serde_json::from_str(line).map_err(|_| damaged())?);
        whole += line.len() as u64;
    }
    Ok((records, whole))
}

/// The ledger as the rest of the agent meets it: there, or the reason why no
/// act is accepted.
#[derive(Debug)]
pub(crate) enum LedgerSlot {
    /// Open.
    Open(Ledger),
    /// Damaged, too new, or out of reach.
    Closed {
        /// Where it is.
        state: PathBuf,
        /// Why.
        error: LedgerError,
    },
}

impl LedgerSlot {
    /// Opens the ledger; a failure is kept for whoever wants to act.
    pub(crate) fn open(state: &Path) -> Self {
        match Ledger::open(state) {
            Ok(ledger) => Self::Open(ledger),
            Err(error) => Self::Closed { state: state.to_owned(), error },
        }
    }

    /// The ledger, or the refusal of every act. What the disk refused before
    /// is tried again: its lock or its space may be free now.
    pub(crate) fn get(&mut self) -> Result<&mut Ledger, Refusal> {
        if let Self::Closed { state, error: LedgerError::Disk { .. } } = self {
            *self = Self::open(&state.clone());
        }
        match self {
            Self::Open(ledger) => Ok(ledger),
            Self::Closed { state: _, error } => Err(error.refusal()),
        }
    }

    /// The last act accepted; `None` also for a ledger that cannot be read.
    pub(crate) fn head(&self) -> Option<LedgerHead> {
        match self {
            Self::Open(ledger) => ledger.index.head(),
            Self::Closed { .. } => None,
        }
    }

    /// Whether `container` was asked to migrate and its end is not on record.
    pub(crate) fn may_be_migrating(&self, container: &ContainerId) -> bool {
        match self {
            Self::Open(ledger) => ledger.index.may_be_migrating(container),
            // An unreadable ledger proves nothing.
            Self::Closed { .. } => true,
        }
    }
}

#[cfg(test)]
mod tests;
