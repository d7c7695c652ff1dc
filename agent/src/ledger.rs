//! What this agent was asked and how it ended: one line of JSON a record,
//! appended and fsynced before the world changes.
//!
//! The ledger is keyed by step and never replaces a look at the engine. A file
//! that is absent, damaged or of a newer agent are three different answers;
//! with either of the last two the agent looks but does not act.
#![expect(clippy::disallowed_methods, reason = "an effect room: the ledger's file is its job")]

mod index;
mod lease;
mod run;
mod slot;
mod work;

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use quaymaster_proto::job::JobState;
use quaymaster_proto::lease::ClaimLease;
use quaymaster_proto::{Act, ActOutcome, Epoch, Floor, Lease, Reason, Refusal, RunId, StepNumber};
use serde::{Deserialize, Serialize};

use crate::reserve;

pub(crate) use index::{Admission, Index};
pub(crate) use lease::in_words as lease_in_words;
pub(crate) use slot::LedgerSlot;
pub(crate) use work::Work;

/// The only version that this agent writes and the newest that it reads.
const VERSION: u32 = 1;

/// The ledger's file in the agent's state directory.
const FILE_NAME: &str = "ledger.jsonl";

/// How the job of a step is called.
pub(crate) fn job_id(run: RunId, step: StepNumber) -> String {
    format!("{run}-{step}")
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
struct Record {
    version: u32,
    at: Timestamp,
    what: Entry,
}

/// What a line is about.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Entry {
    /// A step of a run.
    Step(Box<Step>),
    /// Somebody drives from now on.
    Claimed(Lease),
    /// And no longer.
    Released { run: RunId, epoch: Epoch },
}

impl Entry {
    /// Whether the reserve is for it: the way back, and what lets somebody go
    /// it. A start and a promotion are the same orders on the way on, and there
    /// too nothing is gained where they stop half-way. And the end of whatever
    /// was done, which would be answered as a full disk for ever; that the disk
    /// is full needs no room.
    fn may_use_reserve(&self) -> bool {
        match self {
            Self::Claimed(_) | Self::Released { .. } => true,
            Self::Step(step) => match &step.event {
                Event::Settled(_) | Event::JobEnded(_) => true,
                Event::Refused(refusal) if refusal.reason != Reason::Ledger => true,
                Event::Intended | Event::Refused(_) => step.work.leads_back(),
            },
        }
    }
}

/// A step of a run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    act: Act,
    work: Work,
    event: Event,
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
                "let every Quay of this node serve or end first, for only the ledger knows which \
                 one migrates; then move the file aside and restart the agent"
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
    /// A failed write could not be undone: what is appended now would lie
    /// behind half a line.
    is_torn: bool,
    has_reserve: bool,
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
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed("read"))?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let records = parse(&bytes[..whole], &path)?;
        let is_cut = whole < bytes.len();
        let whole = whole as u64;
        if is_cut {
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
        let has_reserve = reserve::renew(state);
        Ok(Self { path, file, index, is_torn: false, has_reserve })
    }

    /// What its records add up to.
    pub(crate) fn index(&self) -> &Index {
        &self.index
    }

    /// Puts on record what became of an order; on disk when this returns. A
    /// refusal that the step got before is on record already, however often it
    /// is asked for.
    pub(crate) fn append(
        &mut self,
        act: &Act,
        work: &Work,
        event: Event,
    ) -> Result<(), LedgerError> {
        if self.index.is_known_refusal(act, work, &event) {
            return Ok(());
        }
        self.put(Entry::Step(Box::new(Step { act: act.clone(), work: work.clone(), event })))
    }

    /// Whether a claim may be granted, and was granted already.
    pub(crate) fn admit_claim(&self, claim: &ClaimLease) -> Result<Option<&Lease>, Refusal> {
        if let Some(held) = self.index.held(claim) {
            return Ok(Some(held));
        }
        self.index.admit_claim(claim).map(|()| None)
    }

    /// Grants a claim, or says why not. The lease is on disk when this returns.
    pub(crate) fn claim(&mut self, claim: &ClaimLease) -> Result<Lease, Refusal> {
        if let Some(held) = self.admit_claim(claim)? {
            return Ok(held.clone());
        }
        let ClaimLease { cluster: _, run, epoch, holder, process, plan, plan_bytes: _, seen: _ } =
            claim;
        let lease = Lease {
            run: *run,
            epoch: *epoch,
            holder: holder.clone(),
            since: Timestamp::now(),
            process: *process,
            plan: plan.clone(),
        };
        self.put(Entry::Claimed(lease.clone())).map_err(|error| error.refusal())?;
        Ok(lease)
    }

    /// Takes a lease back, or says why not.
    pub(crate) fn release(&mut self, run: RunId, epoch: Epoch) -> Result<(), Refusal> {
        if self.index.is_released(run, epoch) {
            return Ok(());
        }
        self.index.admit_holder(run, epoch)?;
        self.put(Entry::Released { run, epoch }).map_err(|error| error.refusal())
    }

    /// Appends a record; on disk when this returns.
    fn put(&mut self, what: Entry) -> Result<(), LedgerError> {
        let record = Record { version: VERSION, at: Timestamp::now(), what };
        let mut line = serde_json::to_vec(&record).map_err(LedgerError::Encode)?;
        line.push(b'\n');
        let state = self.path.with_file_name("");
        let written = if record.what.may_use_reserve() {
            reserve::with_room(&state, || self.write(&line))
        } else {
            self.write(&line)
        };
        written.map_err(|source| LedgerError::Disk {
            verb: "append to",
            path: self.path.clone(),
            source,
        })?;
        self.index.add(&record);
        if !self.has_reserve || record.what.may_use_reserve() {
            self.has_reserve = reserve::renew(&state);
        }
        Ok(())
    }

    /// Writes a whole line or leaves the file as it was.
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if self.is_torn {
            return Err(io::Error::other("the last record was written in half"));
        }
        let before = self.file.stream_position()?;
        let written = self.file.write_all(line).and_then(|()| self.file.sync_data());
        if written.is_err() {
            let undone = self.file.set_len(before);
            self.is_torn =
                undone.and_then(|()| self.file.seek(io::SeekFrom::Start(before))).is_err();
        }
        written
    }
}

/// What a ledger has, seen without opening it.
#[derive(Default, Debug)]
pub(crate) struct Looked {
    /// How many records.
    pub(crate) records: usize,
    /// Who drives.
    pub(crate) lease: Option<Lease>,
    /// The floor that was set last.
    pub(crate) floor: Option<Floor>,
}

/// Looks at a ledger without opening it: whether it could be.
pub(crate) fn look(state: &Path) -> Result<Looked, LedgerError> {
    let path = state.join(FILE_NAME);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Looked::default()),
        Err(source) => return Err(LedgerError::Disk { verb: "read", path, source }),
    };
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let records = parse(&bytes[..whole], &path)?;
    let mut index = Index::default();
    records.iter().for_each(|record| index.add(record));
    let (lease, floor) = (index.lease().cloned(), index.floor().cloned());
    Ok(Looked { records: records.len(), lease, floor })
}

/// The records of whole lines.
fn parse(bytes: &[u8], path: &Path) -> Result<Vec<Record>, LedgerError> {
    /// Read before anything else of a line.
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let mut records = Vec::new();
    for (number, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let damaged = || LedgerError::Damaged { path: path.to_owned(), line: number + 1 };
        let Versioned { version } = serde_json::from_slice(line).map_err(|_| damaged())?;
        if version > VERSION {
            return Err(LedgerError::TooNew { path: path.to_owned(), version });
        }
        records.push(serde_json::from_slice(line).map_err(|_| damaged())?);
    }
    Ok(records)
}

#[cfg(test)]
mod tests;
