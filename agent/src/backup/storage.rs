//! The storage beside the database: copied, or left to the operator's own
//! program. Blobs are named by what they hold and nothing of a migration touches
//! them, so that the copy is for a person to put back, and never put back here.
//!
//! The copy lies in the backup's own directory, and shares its bytes with the
//! original where that is on the same file system and can do so: then it takes
//! seconds and no room, whatever its size. Elsewhere every byte is copied, and
//! read back.
//!
//! - `place`: where the storage lies; pure
//! - `look`: how large it is, and whether its bytes can be shared
//! - `copy`, `read_back`: the copy; `tree`: what both walk
//! - `hook`: the program that agent.yaml names
//! - `error`: why it was not kept, and what to do

mod copy;
mod error;
mod hook;
mod look;
mod place;
mod read_back;
mod tree;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quaymaster_proto::storage::{KeptStorage, StorageOrder};

pub(crate) use self::error::StorageError;
pub(crate) use self::hook::can_be_run;
pub(crate) use self::look::look;
use self::place::Local;
use self::tree::Tally;
use super::Subject;
use super::error::BackupError;
use super::files::{self, Draft};

/// Below the directory of a backup.
pub(super) const COPY: &str = "storage";

/// Every file of the copy with its digest, as `sha256sum -c` reads it.
const DIGESTS: &str = "storage.sha256";

/// Between two words of how far it has come.
const TELL: Duration = Duration::from_millis(250);

/// What is going to be kept of the storage.
#[derive(Debug)]
pub(super) enum Storage {
    /// Nothing.
    Left,
    /// What these directories hold.
    Copied(Vec<Measured>),
    /// Whatever this program makes.
    Hooked(PathBuf),
}

/// A directory of the storage before it is copied.
#[derive(Debug)]
pub(super) struct Measured {
    local: Local,
    size: Tally,
    reflinks: bool,
}

/// What work on another thread shares with whoever waits for it.
#[derive(Default, Debug)]
struct Watch {
    bytes: AtomicU64,
    is_over: AtomicBool,
}

impl Watch {
    fn add(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Fails once nobody waits any more.
    fn go_on(&self) -> Result<(), StorageError> {
        if self.is_over.load(Ordering::Relaxed) { Err(StorageError::CalledOff) } else { Ok(()) }
    }
}

/// Ends the work with whoever waits for it.
struct Waiting(Arc<Watch>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Relaxed);
    }
}

/// Finds what is to be kept, while nothing is done yet.
pub(super) async fn find(
    subject: &Subject<'_>,
    order: StorageOrder,
) -> Result<Storage, BackupError> {
    match order {
        StorageOrder::Leave => Ok(Storage::Left),
        StorageOrder::Hook => {
            let program = subject.config.storage_hook.as_ref().ok_or(StorageError::NoHook)?;
            can_be_run(program)?;
            Ok(Storage::Hooked(program.clone()))
        }
        StorageOrder::Copy => {
            let backups = subject.config.directory.clone();
            let all = place::local(subject.settings, subject.mounts, &backups)?;
            let measured = watched(subject, "measuring the storage", move |watch| {
                all.into_iter().map(|local| measured(local, &backups, watch)).collect()
            });
            measured.await.map(Storage::Copied)
        }
    }
}

fn measured(local: Local, backups: &Path, watch: &Watch) -> Result<Measured, StorageError> {
    look::is_apart(&local.directory, backups)?;
    let size = tree::count(&local.directory, &mut || watch.go_on())?;
    let reflinks = look::shares_bytes(&local.directory, backups)?;
    Ok(Measured { local, size, reflinks })
}

impl Storage {
    /// The room that it takes beside the dump.
    pub(super) fn needed_bytes(&self) -> u64 {
        match self {
            Self::Left | Self::Hooked(_) => 0,
            Self::Copied(all) => {
                all.iter().filter(|one| !one.reflinks).map(|one| one.size.bytes).sum()
            }
        }
    }

    /// Keeps it, and reads it back.
    pub(super) async fn keep(
        self,
        subject: &Subject<'_>,
        draft: &Draft,
    ) -> Result<Option<KeptStorage>, BackupError> {
        let begun = now();
        let kept = match self {
            Self::Left => return Ok(None),
            Self::Hooked(program) => {
                let said = hook::run(&program, subject).await?;
                KeptStorage::Hooked { said, millis: millis(begun) }
            }
            Self::Copied(all) => {
                let copied = copied(subject, draft, Arc::new(all)).await?;
                let Copied { from, tally, misnamed } = copied;
                let Tally { files, bytes, reflinked } = tally;
                let millis = millis(begun);
                KeptStorage::Copied { from, files, bytes, reflinked, misnamed, millis }
            }
        };
        Ok(Some(kept))
    }
}

/// What a copy came to.
struct Copied {
    from: Vec<String>,
    tally: Tally,
    misnamed: u64,
}

async fn copied(
    subject: &Subject<'_>,
    draft: &Draft,
    all: Arc<Vec<Measured>>,
) -> Result<Copied, BackupError> {
    let root = draft.path().join(COPY);
    let (of, into) = (Arc::clone(&all), root.clone());
    let work = move |watch: &Watch| {
        tree::make(&into)?;
        let mut tally = Tally::default();
        for Measured { local, size: _, reflinks } in of.iter() {
            tally += copy::copy(&local.directory, &into.join(&local.name), *reflinks, watch)?;
        }
        tree::sync(&into)?;
        Ok(tally)
    };
    let bytes: u64 = all.iter().map(|one| one.size.bytes).sum();
    let note = format!("copying the storage, {} MB", bytes / 1_000_000);
    let tally = watched(subject, &note, work).await?;
    let (of, listing) = (Arc::clone(&all), draft.path().join(DIGESTS));
    let work = move |watch: &Watch| {
        let mut listing = read_back::Listing::begin(&listing)?;
        for Measured { local, size: _, reflinks } in of.iter() {
            let (copy, below) = (root.join(&local.name), format!("{COPY}/{}", local.name));
            let (from, is_shared) = (local.directory.as_path(), *reflinks);
            let pair = read_back::Pair { from, copy: &copy, below: &below, is_shared };
            read_back::read_back(&pair, &mut listing, watch)?;
        }
        listing.finish()
    };
    let read = watched(subject, "reading the storage's copy back", work).await?;
    if (read.files, read.bytes) != (tally.files, tally.bytes) {
        return Err(
            StorageError::Changed { before: tally.in_words(), after: read.in_words() }.into()
        );
    }
    let from = all.iter().map(|one| one.local.directory.display().to_string()).collect();
    Ok(Copied { from, tally, misnamed: read.misnamed })
}

/// Whether what a backup kept of the storage is what an order wants, and is
/// still there: its files are counted, and not read again.
pub(super) async fn is_as_ordered(
    directory: &Path,
    kept: Option<&KeptStorage>,
    order: StorageOrder,
) -> bool {
    match (order, kept) {
        (StorageOrder::Leave, _) | (StorageOrder::Hook, Some(KeptStorage::Hooked { .. })) => true,
        (StorageOrder::Copy, Some(KeptStorage::Copied { files, bytes, .. })) => {
            let copy = directory.join(COPY);
            let counted = files::aside(move || Ok(tree::count(&copy, &mut || Ok(()))?)).await;
            counted.is_ok_and(|found| (found.files, found.bytes) == (*files, *bytes))
        }
        (StorageOrder::Copy | StorageOrder::Hook, Some(_) | None) => false,
    }
}

/// Work that blocks, on a thread of its own, told of while it lasts. Dropped, it
/// ends.
async fn watched<T: Send + 'static>(
    subject: &Subject<'_>,
    note: &str,
    work: impl FnOnce(&Watch) -> Result<T, StorageError> + Send + 'static,
) -> Result<T, BackupError> {
    let watch = Arc::new(Watch::default());
    let waiting = Waiting(Arc::clone(&watch));
    let mut working = std::pin::pin!(files::aside(move || Ok(work(&watch)?)));
    loop {
        (subject.progress)(waiting.0.bytes.load(Ordering::Relaxed), note);
        if let Ok(done) = tokio::time::timeout(TELL, &mut working).await {
            return done;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "how long it took")]
fn now() -> Instant {
    Instant::now()
}

fn millis(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}
