//! What a release does with a database and a mode, before it does it: the revision chain, the
//! target, the steps to it, and the refusals in the words of the real ones. Pure.

use std::fmt;
use std::str::FromStr;

use super::config::QuayConfig;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Release {
    V2_9_5,
    V3_0_5,
}

#[derive(Debug, thiserror::Error)]
#[error("the stand-in knows `2.9.5` and `3.0.5`, not `{0}`")]
pub(crate) struct UnknownRelease(String);

/// From 2.9.0 to the last revision of the 3.0 line, oldest first (quay-facts 3.1).
const CHAIN: [&str; 21] = [
    BASE,
    HEAD_2_9,
    LATE_2_9,
    "5cbbfc95bac7",
    "610320e9dacf",
    "5d463ea1e8a8",
    "d17c695859ea",
    "6c21e2cfb8b6",
    "9093adccc784",
    "eafdeadcebc7",
    "654e6df88b71",
    "13411de1c0ff",
    "10f45ee2310b",
    MAPPING_TABLE,
    "c00a1f15968b",
    "54492a68a3cf",
    "6ec8726c0ace",
    "e184af42242d",
    "b9045731c4de",
    BACKGROUND_TARGET,
    FULL_BACKFILL,
];
/// 2.9.0; the stand-in makes its whole old schema here.
pub(super) const BASE: &str = "224ce4c72c2f";
pub(super) const HEAD_2_9: &str = "5b7503aada1b";
/// Dated one day after 2.9.2, so a late 2.9 may know it (quay-facts 3.1).
const LATE_2_9: &str = "1783530bee68";
/// The revision that makes `tagtorepositorytag`.
pub(super) const MAPPING_TABLE: &str = "67f0abd172ae";
pub(super) const BACKGROUND_TARGET: &str = "481623ba00ba";
/// "Run full tag backfill": moves data only, and may be killed and run again (quay-observed 4).
pub(super) const FULL_BACKFILL: &str = "b918abdbee43";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Step {
    /// `None` where the database holds nothing yet.
    pub(super) from: Option<&'static str>,
    pub(super) to: &'static str,
}

/// Why a start ends before anything in the database is changed. `Display` is the last line of the
/// log (quay-observed 3 and 4).
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error(
        "Exception: Configuration flag `V3_UPGRADE_MODE` must be set. Please check the upgrade docs"
    )]
    ModeMissing,
    #[error("Exception: Invalid value for config `V3_UPGRADE_MODE`. Please check the upgrade docs")]
    ModeUnknown,
    #[error("FAILED: Can't locate revision identified by '{0}'")]
    RevisionUnknown(String),
    #[error("FAILED: Destination {0} is not a valid upgrade target from current head(s)")]
    RevisionBehind(&'static str),
}

impl Release {
    /// The container ports on which Quay listens (quay-facts 2.2); the stand-in serves no TLS.
    pub(super) const fn http_port(self) -> u16 {
        match self {
            Self::V2_9_5 => 80,
            Self::V3_0_5 => 8080,
        }
    }

    /// Whether PID 1 passes SIGTERM on. Up to 3.2 it is a shell that does not, so that a stop
    /// burns the whole grace (quay-observed 6); 2.9 has another init.
    pub(super) const fn hears_sigterm(self) -> bool {
        match self {
            Self::V2_9_5 => true,
            Self::V3_0_5 => false,
        }
    }

    fn chain(self) -> &'static [&'static str] {
        match self {
            Self::V2_9_5 => &CHAIN[..3],
            Self::V3_0_5 => &CHAIN,
        }
    }

    /// The revision that this start goes for. Without SETUP_COMPLETE 3.0 goes for its head whatever
    /// the mode says: the way to lose every old tag (quay-facts 2.3).
    pub(super) fn target(self, config: &QuayConfig) -> Result<&'static str, Refusal> {
        match self {
            Self::V2_9_5 => Ok(HEAD_2_9),
            Self::V3_0_5 if !config.setup_complete => Ok(FULL_BACKFILL),
            Self::V3_0_5 => match config.mode.as_deref() {
                None => Err(Refusal::ModeMissing),
                Some("background" | "production-transition") => Ok(BACKGROUND_TARGET),
                Some("complete" | "post-oci-rollout" | "post-oci-roll-back-compat") => {
                    Ok(FULL_BACKFILL)
                }
                Some(_) => Err(Refusal::ModeUnknown),
            },
        }
    }

    /// The revisions to apply, in order; none at the target.
    pub(super) fn steps(
        self,
        found: Option<&str>,
        target: &'static str,
    ) -> Result<Vec<Step>, Refusal> {
        let chain = self.chain();
        let place = |revision: &str| chain.iter().position(|known| *known == revision);
        let goal = place(target).map_or(chain.len(), |goal| goal + 1);
        let next = match found {
            None => 0,
            Some(found) => match place(found) {
                Some(at) => at + 1,
                None => return Err(Refusal::RevisionUnknown(found.to_owned())),
            },
        };
        if next > goal && self == Self::V3_0_5 {
            return Err(Refusal::RevisionBehind(target));
        }
        Ok((next..goal)
            .map(|to| Step { from: to.checked_sub(1).map(|from| chain[from]), to: chain[to] })
            .collect())
    }
}

/// The revision after `revision`, if there is one.
pub(super) fn after(revision: &str) -> Option<&'static str> {
    let at = CHAIN.iter().position(|known| *known == revision)?;
    CHAIN.get(at + 1).copied()
}

impl FromStr for Release {
    type Err = UnknownRelease;

    fn from_str(text: &str) -> Result<Self, UnknownRelease> {
        match text {
            "2.9.5" => Ok(Self::V2_9_5),
            "3.0.5" => Ok(Self::V3_0_5),
            other => Err(UnknownRelease(other.to_owned())),
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::V2_9_5 => "2.9.5",
            Self::V3_0_5 => "3.0.5",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(yaml: &str) -> QuayConfig {
        QuayConfig::parse(Some(yaml), None).unwrap()
    }

    #[test]
    fn the_mode_decides_the_target_and_only_with_setup_complete() {
        let target = |yaml: &str| Release::V3_0_5.target(&config(yaml));
        assert_eq!(target("SETUP_COMPLETE: true"), Err(Refusal::ModeMissing));
        let with = |mode| target(&format!("SETUP_COMPLETE: true\nV3_UPGRADE_MODE: {mode}"));
        assert_eq!(with("background"), Ok(BACKGROUND_TARGET));
        assert_eq!(with("complete"), Ok(FULL_BACKFILL));
        assert_eq!(with("Complete"), Err(Refusal::ModeUnknown));
        assert_eq!(target("V3_UPGRADE_MODE: background"), Ok(FULL_BACKFILL));
        assert_eq!(Release::V2_9_5.target(&config("")), Ok(HEAD_2_9));
    }

    #[test]
    fn the_steps_lead_from_what_is_found_to_the_target() {
        let steps = Release::V3_0_5.steps(Some(HEAD_2_9), BACKGROUND_TARGET).unwrap();
        assert_eq!(steps.len(), 18);
        assert_eq!(steps[0], Step { from: Some(HEAD_2_9), to: LATE_2_9 });
        assert_eq!(steps[17].to, BACKGROUND_TARGET);
        let last = Release::V3_0_5.steps(Some(BACKGROUND_TARGET), FULL_BACKFILL).unwrap();
        assert_eq!(last, [Step { from: Some(BACKGROUND_TARGET), to: FULL_BACKFILL }]);
        assert_eq!(Release::V3_0_5.steps(Some(FULL_BACKFILL), FULL_BACKFILL), Ok(vec![]));
        assert_eq!(Release::V2_9_5.steps(Some(LATE_2_9), HEAD_2_9), Ok(vec![]));
    }

    #[test]
    fn there_is_no_way_back() {
        let old = Release::V2_9_5.steps(Some(BACKGROUND_TARGET), HEAD_2_9).unwrap_err();
        assert_eq!(old.to_string(), "FAILED: Can't locate revision identified by '481623ba00ba'");
        let behind = Release::V3_0_5.steps(Some(FULL_BACKFILL), BACKGROUND_TARGET);
        assert_eq!(behind, Err(Refusal::RevisionBehind(BACKGROUND_TARGET)));
    }
}
