//! Ids and digests. Each kind is its own type, so that none can stand in for
//! another.

use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::text::{InvalidText, is_hex, is_sha256, text_type};

text_type! {
    /// A container's id: the engine's 64 lowercase hex digits, never a name.
    ContainerId, "a container id: 64 lowercase hex digits", |text| is_hex(text, 64)
}
text_type! {
    /// An image's id on its engine: what runs.
    ImageId, "an image id: `sha256:` and 64 lowercase hex digits", is_sha256
}
text_type! {
    /// The digest of an image's manifest in a registry: what is pulled.
    ImageDigest, "an image digest: `sha256:` and 64 lowercase hex digits", is_sha256
}
text_type! {
    /// sha256 of a plan.
    PlanDigest, "a plan digest: 64 lowercase hex digits", |text| is_hex(text, 64)
}
text_type! {
    /// sha256 of a file's bytes.
    FileDigest, "a file digest: 64 lowercase hex digits", |text| is_hex(text, 64)
}
text_type! {
    /// sha256 of the part of a container's spec that is its owner's.
    SpecDigest, "a spec digest: 64 lowercase hex digits", |text| is_hex(text, 64)
}

impl ContainerId {
    /// The first 12 digits, as engines print them.
    pub fn short(&self) -> &str {
        &self.as_str()[..12]
    }
}

impl ImageId {
    /// The first 12 digits after `sha256:`.
    pub fn short(&self) -> &str {
        &self.as_str()[7..19]
    }
}

impl PlanDigest {
    /// The first 12 digits: the plan's file name.
    pub fn short(&self) -> &str {
        &self.as_str()[..12]
    }
}

impl FileDigest {
    /// In hex.
    pub fn of(sha256: [u8; 32]) -> Self {
        Self(sha256.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The first 12 digits, for people.
    pub fn short(&self) -> &str {
        &self.as_str()[..12]
    }
}

/// One run of one plan: a ULID, so runs sort by their start.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(Ulid);

impl RunId {
    /// The run that this ULID names.
    pub fn new(id: Ulid) -> Self {
        Self(id)
    }

    /// Its 128 bits, the highest first.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_bytes()
    }

    /// The last eight characters in lower case: random, and short enough for a
    /// container's name.
    pub fn short(&self) -> String {
        let text = self.0.to_string().to_lowercase();
        text[text.len() - 8..].to_owned()
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0.to_string())
    }
}

impl FromStr for RunId {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidText { text: text.to_owned(), rule: "a run id: a ULID" };
        Ulid::from_string(text).map(Self).map_err(|_| invalid())
    }
}

impl TryFrom<String> for RunId {
    type Error = InvalidText;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<RunId> for String {
    fn from(run: RunId) -> Self {
        run.to_string()
    }
}

/// Which process drives a run: 1 is the first, and every later one is higher.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(NonZeroU64);

impl Epoch {
    /// The first process of a run.
    pub const FIRST: Self = Self(NonZeroU64::MIN);

    /// `None` for 0.
    pub fn new(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Self)
    }

    /// As a plain number, 1 or more.
    pub fn get(self) -> u64 {
        self.0.get()
    }

    /// The next process's epoch.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A step's place in its plan: 1 is the first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepNumber(NonZeroU32);

impl StepNumber {
    /// The first step.
    pub const FIRST: Self = Self(NonZeroU32::MIN);

    /// `None` for 0.
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    /// As a plain number, 1 or more.
    pub fn get(self) -> u32 {
        self.0.get()
    }

    /// The number after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for StepNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}
