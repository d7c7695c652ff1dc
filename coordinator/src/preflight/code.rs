//! Findings by name. A code is what scripts, waivers and `explain` call a kind
//! of finding: it never changes its meaning, and is never used again for
//! another one. Everything that is the same for all findings of a kind stands
//! in one table here.

use serde::{Deserialize, Serialize};

use super::Severity;
use super::page::Page;

/// Whether a person may take a finding upon themselves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Waivable {
    /// With a reason, which goes into the plan.
    WithReason,
    /// Never.
    Never {
        /// Why not.
        because: &'static str,
    },
}

/// What is known of a kind of finding.
struct Entry {
    name: &'static str,
    severity: Severity,
    waivable: Waivable,
    page: &'static str,
}

macro_rules! codes {
    ($($code:ident $name:literal $severity:ident $waivable:expr;)+) => {
        /// A kind of finding.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[expect(missing_docs, reason = "each has a page")]
        pub enum Code {
            $($code),+
        }

        impl Code {
            /// Every code, in the order of the rooms.
            pub const ALL: &[Self] = &[$(Self::$code),+];

            fn entry(self) -> Entry {
                match self {
                    $(Self::$code => Entry {
                        name: $name,
                        severity: Severity::$severity,
                        waivable: $waivable,
                        page: include_str!(concat!("pages/", $name, ".md")),
                    }),+
                }
            }
        }
    };
}

const YES: Waivable = Waivable::WithReason;

const fn never(because: &'static str) -> Waivable {
    Waivable::Never { because }
}

const WHO: Waivable = never("a plan is for the nodes that cluster.yaml names, and for no others");
const WHAT_RUNS: Waivable =
    never("where a window starts is what every node runs, and must be known");
const ONE_MIGRATES: Waivable =
    never("whatever it starts may be a second Quay that migrates, and only one ever may");
const ONE_GENERATION: Waivable = never("two generations of Quay on one database ruin it");
const THE_DATABASE: Waivable =
    never("every start rests on having read one database, and this one, by itself");
const NO_WAY: Waivable = never("the engine cannot do what a window does");
const NO_PLAN: Waivable = never("without it there is nothing to put into the plan");
const BACKUP: Waivable =
    never("the backup itself is waived, and not what keeps it from being made: --waive-backup");
const STORAGE: Waivable = never(
    "what cluster.yaml wants of the storage would fail in the dark: take backup.storage out of it, \
     and waive storage-not-backed-up",
);
const RUIN: Waivable = never("the migration would ruin the database");

codes! {
    WrongAgent "wrong-agent" Refuses WHO;
    EngineTooOld "engine-too-old" Refuses NO_WAY;
    RestartPolicyFixed "restart-policy-fixed" Refuses NO_WAY;
    CertificateEnds "certificate-ends" Refuses YES;
    ClockSkew "clock-skew" Warns YES;
    PollShort "poll-short" Warns YES;
    LiveRestoreOff "live-restore-off" Warns YES;
    EngineUpgradesItself "engine-upgrades-itself" Warns YES;
    NoRoomForImages "no-room-for-images" Refuses YES;
    NoRoomForConfig "no-room-for-config" Refuses YES;
    NoReserve "no-reserve" Refuses
        never("the way back writes down what it does, and must have room for it");

    NoQuay "no-quay" Refuses WHAT_RUNS;
    NoContainer "no-container" Refuses WHAT_RUNS;
    QuayNotRunning "quay-not-running" Refuses WHAT_RUNS;
    UnknownRelease "unknown-release" Refuses WHAT_RUNS;
    NoMode "no-mode" Refuses WHAT_RUNS;
    OddMode "odd-mode" Refuses WHAT_RUNS;
    MixedGenerations "mixed-generations" Refuses ONE_GENERATION;

    OtherStarter "other-starter" Refuses ONE_MIGRATES;
    StrayContainer "stray-container" Refuses ONE_MIGRATES;
    OverrideSetsMode "override-sets-mode" Refuses ONE_GENERATION;
    OverrideConfig "override-config" Warns YES;
    NotPrivileged "not-privileged" Warns YES;
    SomaxconnLow "somaxconn-low" Warns YES;
    PortWithoutListener "port-without-listener" Refuses YES;
    ContainerNotCarried "container-not-carried" Refuses NO_PLAN;
    NoPreview "no-preview" Refuses NO_PLAN;

    CompanionMissing "companion-missing" Refuses NO_PLAN;
    CompanionNotRunning "companion-not-running" Refuses
        never("a way back would have to bring up what did not run");
    MirrorOtherImage "mirror-other-image" Refuses ONE_GENERATION;
    NoSuccessor "no-successor" Refuses NO_PLAN;

    ConfigUnusable "config-unusable" Refuses NO_PLAN;
    SetupIncomplete "setup-incomplete" Refuses RUIN;
    ConfigDiffers "config-differs" Refuses YES;
    ConfigNotCompared "config-not-compared" Refuses YES;
    ConfigNotAsItRuns "config-not-as-it-runs" Refuses ONE_GENERATION;
    ConfigNotEditable "config-not-editable" Refuses NO_PLAN;
    TestingOn "testing-on" Refuses YES;
    TestingUnset "testing-unset" Warns YES;
    TlsNowhere "tls-nowhere" Refuses YES;
    PercentInDatabaseUri "percent-in-database-uri" Refuses YES;

    DatabaseUnreadable "database-unreadable" Refuses THE_DATABASE;
    SeveralDatabases "several-databases" Refuses THE_DATABASE;
    DatabaseInRecovery "database-in-recovery" Refuses THE_DATABASE;
    WrongRevision "wrong-revision" Refuses RUIN;
    NoTrigrams "no-trigrams" Refuses YES;
    TablesRewritten "tables-rewritten" Warns YES;
    PostgresqlOld "postgresql-old" Warns YES;
    RedisOld "redis-old" Warns YES;

    ImagesDiffer "images-differ" Refuses ONE_GENERATION;
    RepositoryNotAllowed "repository-not-allowed" Refuses
        never("the agent refuses to pull from there, whoever asks");
    ImageUnavailable "image-unavailable" Refuses NO_PLAN;
    ImageAmbiguous "image-ambiguous" Refuses ONE_GENERATION;
    ImageNotEverywhere "image-not-everywhere" Refuses NO_PLAN;
    ImageLoaded "image-loaded" Warns YES;

    BackupNotConfigured "backup-not-configured" Refuses BACKUP;
    BackupNotWritable "backup-not-writable" Refuses BACKUP;
    BackupNoRoom "backup-no-room" Refuses BACKUP;
    BackupNoProgram "backup-no-program" Refuses BACKUP;
    BackupProgramOld "backup-program-old" Refuses BACKUP;
    BackupProgramOther "backup-program-other" Refuses BACKUP;
    BackupWaived "backup-waived" Warns YES;
    StorageNotBackedUp "storage-not-backed-up" Refuses YES;
    StorageNotLocal "storage-not-local" Refuses STORAGE;
    StorageNotSeen "storage-not-seen" Refuses STORAGE;
    StorageHookMissing "storage-hook-missing" Refuses STORAGE;

    VerificationNotReady "verification-not-ready" Refuses YES;
    VerificationInPart "verification-in-part" Warns YES;
}

impl Code {
    /// As people type it.
    pub fn as_str(self) -> &'static str {
        self.entry().name
    }

    /// Whether such a finding forbids the window.
    pub fn severity(self) -> Severity {
        self.entry().severity
    }

    /// Whether a person may take it upon themselves.
    pub fn waivable(self) -> Waivable {
        self.entry().waivable
    }

    /// What is to be said of it.
    pub fn page(self) -> Page {
        Page::parse(self.entry().page)
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// A text that is no code.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("there is no such code{}; every code: quaymaster explain --codes", suggestion(.near))]
pub struct UnknownCode {
    /// Codes that share a word with it.
    pub near: Vec<Code>,
}

fn suggestion(near: &[Code]) -> String {
    let near: Vec<&str> = near.iter().map(|code| code.as_str()).collect();
    match near.as_slice() {
        [] => String::new(),
        near => format!(", but {}", near.join(", ")),
    }
}

impl std::str::FromStr for Code {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        let text = text.to_ascii_lowercase();
        if let Some(code) = Self::ALL.iter().find(|code| code.as_str() == text) {
            return Ok(*code);
        }
        let words: Vec<&str> = text.split(['-', '_', ' ']).filter(|word| word.len() > 2).collect();
        let is_near = |code: &&Self| code.as_str().split('-').any(|word| words.contains(&word));
        Err(UnknownCode { near: Self::ALL.iter().filter(is_near).copied().collect() })
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_has_its_page_and_every_page_its_code() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/src/preflight/pages");
        let files = std::fs::read_dir(directory).unwrap();
        let pages: BTreeSet<String> =
            files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        let codes: BTreeSet<String> = Code::ALL.iter().map(|code| format!("{code}.md")).collect();
        assert_eq!(pages, codes);
        assert_eq!(Code::ALL.len(), codes.len(), "two codes have one name");
        for code in Code::ALL {
            let Page { title, what, why, remedy } = code.page();
            for (part, text) in [("title", title), ("What", what), ("Why", why), ("Do", remedy)] {
                assert!(!text.trim().is_empty(), "the page of {code} has no {part}");
            }
        }
    }

    /// Scripts and plans rely on these names.
    #[test]
    fn codes_are_stable() {
        let all: Vec<String> = Code::ALL
            .iter()
            .map(|code| {
                let waivable = match code.waivable() {
                    Waivable::WithReason => "waivable",
                    Waivable::Never { .. } => "never",
                };
                format!("{code:<22} {:<8} {waivable}", code.severity())
            })
            .collect();
        insta::assert_snapshot!(all.join("\n"));
    }

    #[test]
    fn a_code_is_found_however_it_is_typed_and_a_wrong_one_is_told_the_likely_ones() {
        assert_eq!("Clock-Skew".parse(), Ok(Code::ClockSkew));
        let error = "skew".parse::<Code>().unwrap_err();
        assert_eq!(error.near, [Code::ClockSkew]);
        assert!("QM-W014".parse::<Code>().unwrap_err().near.is_empty());
        let json = serde_json::to_string(&Code::ClockSkew).unwrap();
        assert_eq!(serde_json::from_str::<Code>(&json).unwrap(), Code::ClockSkew);
    }
}
