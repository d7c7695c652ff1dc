//! What a verification checks in which generation, and what came of it. Values only: the asking is
//! `verifier`'s.
//!
//! A container that is up proves nothing: health was seen green with a tag lost, and a smoke push
//! that fell back to schema 1 in silence (quay-observed 5). So a real client's push and pull is
//! judged here, by bytes, digests and types, at every node itself.

pub mod account;
pub mod check;
pub mod fault;
pub mod image;
pub mod manifests;
pub mod places;
pub mod sample;
pub mod schema1;
pub mod verdict;

use sha2::{Digest as _, Sha256};

pub use account::{Account, Sampling};
pub use check::{Check, Known, Planned, checks};
pub use fault::Fault;
pub use sample::Sample;
pub use verdict::{Checked, Outcome, Place, Verification, WhyNot};

/// What every tag that a verification pushes begins with: how it knows its own leavings.
pub const TAG_PREFIX: &str = "quaymaster-verify-";

/// `sha256:` and 64 digits.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
