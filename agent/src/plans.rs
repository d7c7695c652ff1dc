//! The plans of the runs that drove this node, byte for byte: any machine can
//! go on with a run from what its nodes keep.
#![expect(clippy::disallowed_methods, reason = "an effect room: plans' files are its job")]

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use quaymaster_proto::{PlanDigest, Reason, Refusal};

use crate::{reserve, whole_file};

/// Where they lie in the state directory.
const DIRECTORY: &str = "plans";

/// The longest plan that is kept, in bytes: one of hundreds of nodes has a
/// tenth of it.
pub(crate) const LONGEST: usize = 4 * 1024 * 1024;

fn path(state: &Path, plan: &PlanDigest) -> PathBuf {
    state.join(DIRECTORY).join(format!("{}.json", plan.short()))
}

/// Keeps a plan; on disk when this returns.
pub(crate) fn keep(state: &Path, plan: &PlanDigest, bytes: &[u8]) -> Result<(), Refusal> {
    if bytes.is_empty() {
        let message = format!("the claim comes without the bytes of plan {}", plan.short());
        return Err(Refusal::new(Reason::Invalid, message));
    }
    if bytes.len() > LONGEST {
        return Err(Refusal::new(
            Reason::Invalid,
            format!(
                "plan {} has {} bytes; an agent keeps plans of up to {LONGEST}",
                plan.short(),
                bytes.len()
            ),
        )
        .with_remedy("plan for fewer nodes at once"));
    }
    let path = path(state, plan);
    if whole_file::read(&path).is_ok_and(|kept| kept.as_deref() == Some(bytes)) {
        return Ok(());
    }
    let kept = make_directory(state)
        .and_then(|()| reserve::with_room(state, || whole_file::write(&path, bytes)));
    kept.map_err(|error| {
        Refusal::new(Reason::Ledger, format!("cannot keep plan `{}`: {error}", path.display()))
            .with_remedy("see that the state directory is writable and has space")
    })
}

/// On disk when this returns, as the plans in it are.
fn make_directory(state: &Path) -> io::Result<()> {
    let directory = state.join(DIRECTORY);
    if directory.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(directory)?;
    File::open(state)?.sync_all()
}

/// A kept plan's bytes.
pub(crate) fn read(state: &Path, plan: &PlanDigest) -> Result<Vec<u8>, Refusal> {
    let path = path(state, plan);
    let shown = path.display();
    let refused = |why: &str| {
        Refusal::new(Reason::Ledger, format!("cannot read plan `{shown}`: {why}"))
            .with_remedy("ask another node of the run, or take the plan's file from its machine")
    };
    match whole_file::read(&path) {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(refused("it is not there")),
        Err(error) => Err(refused(&error.to_string())),
    }
}
