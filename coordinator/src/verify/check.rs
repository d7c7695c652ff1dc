//! Which checks there are, and which of them a cluster of a known generation is to pass. Pure.

use quaymaster_proto::Mode;
use serde::{Deserialize, Serialize};

use super::WhyNot;

/// One check at one place, in the order in which they are made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// `/v2/` answers as a registry that wants a token.
    Api,
    /// Both health routes.
    Health,
    /// The mode that the running process shows (quay-facts 8.5).
    Mode,
    /// A token that may push and pull.
    Token,
    /// The repository of the verification holds nothing of anybody else.
    Repository,
    /// Schema 2 and manifest lists are refused with 415.
    NewFormatsRefused,
    /// A schema 1 image, pushed and pulled.
    Schema1,
    /// A schema 2 image, pushed and pulled.
    Schema2,
    /// A manifest list of five platforms, pushed and pulled.
    List,
    /// Images from before, by tag and by digest.
    OldImages,
    /// Lists of tags, equal to those from before.
    TagLists,
    /// What was pushed is gone again.
    CleanUp,
}

impl Check {
    /// In the order in which they are made.
    pub const ALL: [Self; 12] = [
        Self::Api,
        Self::Health,
        Self::Mode,
        Self::Token,
        Self::Repository,
        Self::NewFormatsRefused,
        Self::Schema1,
        Self::Schema2,
        Self::List,
        Self::OldImages,
        Self::TagLists,
        Self::CleanUp,
    ];

    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Api => "registry answers",
            Self::Health => "health",
            Self::Mode => "mode",
            Self::Token => "token",
            Self::Repository => "repository",
            Self::NewFormatsRefused => "schema 2 refused",
            Self::Schema1 => "schema 1",
            Self::Schema2 => "schema 2",
            Self::List => "manifest list",
            Self::OldImages => "old images",
            Self::TagLists => "tag lists",
            Self::CleanUp => "clean-up",
        }
    }

    /// What has to have passed before.
    fn rests_on(self) -> Option<Self> {
        match self {
            Self::Api => None,
            Self::Health | Self::Mode | Self::Token => Some(Self::Api),
            Self::Repository | Self::OldImages | Self::TagLists => Some(Self::Token),
            Self::NewFormatsRefused
            | Self::Schema1
            | Self::Schema2
            | Self::List
            | Self::CleanUp => Some(Self::Repository),
        }
    }
}

/// What decides which checks there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Known {
    /// The mode in which the registry is to be; `None` = nobody could say.
    pub mode: Option<Mode>,
    /// Whether there is a login.
    pub has_login: bool,
    /// Whether something from before is known.
    pub has_sample: bool,
    /// Whether it is asked by its public name, behind which any node may answer.
    pub is_public: bool,
}

/// A check that is to be made, or why it is not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Planned {
    /// Which.
    pub check: Check,
    /// `None` = it is to be made.
    pub left_out: Option<WhyNot>,
}

/// The checks of one place. Those that mean nothing in its mode are not in it.
pub fn checks(known: Known) -> Vec<Planned> {
    let Known { mode, has_login, has_sample, is_public } = known;
    let is_of_mode = |check: &Check| match check {
        Check::Health => !is_public,
        Check::Mode => mode != Some(Mode::Absent),
        // 2.9 and background mode keep the old model (quay-facts 2.4); 2.9 was not observed.
        Check::NewFormatsRefused => mode == Some(Mode::Background),
        Check::Schema1 => mode != Some(Mode::Complete),
        Check::Schema2 | Check::List => mode.is_none() || mode == Some(Mode::Complete),
        Check::Api
        | Check::Token
        | Check::Repository
        | Check::OldImages
        | Check::TagLists
        | Check::CleanUp => true,
    };
    let left_out = |check: Check| match check {
        Check::Api | Check::Health => None,
        Check::Mode => mode.is_none().then_some(WhyNot::UnknownGeneration),
        // A sample without a login holds what anybody may read.
        Check::OldImages | Check::TagLists if has_sample => None,
        _ if !has_login => Some(WhyNot::NoLogin),
        Check::OldImages | Check::TagLists => Some(WhyNot::NoSample),
        Check::NewFormatsRefused | Check::Schema1 | Check::Schema2 | Check::List
            if mode.is_none() =>
        {
            Some(WhyNot::UnknownGeneration)
        }
        Check::Token
        | Check::Repository
        | Check::NewFormatsRefused
        | Check::Schema1
        | Check::Schema2
        | Check::List
        | Check::CleanUp => None,
    };
    let kept = Check::ALL.into_iter().filter(is_of_mode);
    kept.map(|check| Planned { check, left_out: left_out(check) }).collect()
}

/// Why a check cannot be made after others did not pass.
pub fn blocked(check: Check, failed: &[Check]) -> Option<WhyNot> {
    let mut before = check.rests_on();
    while let Some(needed) = before {
        if failed.contains(&needed) {
            return Some(WhyNot::Rests(needed));
        }
        before = needed.rests_on();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(known: Known) -> Vec<Check> {
        let planned = checks(known).into_iter();
        planned.filter(|planned| planned.left_out.is_none()).map(|planned| planned.check).collect()
    }

    fn known(mode: Option<Mode>) -> Known {
        Known { mode, has_login: true, has_sample: true, is_public: false }
    }

    #[test]
    fn each_mode_has_to_do_what_it_can() {
        use Check::{
            Api, CleanUp, Health, List, NewFormatsRefused, OldImages, Repository, Schema1, Schema2,
            TagLists, Token,
        };
        let begin = [Api, Health];
        let end = [OldImages, TagLists, CleanUp];
        let of = |middle: &[Check]| [&begin[..], middle, &end[..]].concat();
        let complete = of(&[Check::Mode, Token, Repository, Schema2, List]);
        assert_eq!(made(known(Some(Mode::Complete))), complete);
        let background = of(&[Check::Mode, Token, Repository, NewFormatsRefused, Schema1]);
        assert_eq!(made(known(Some(Mode::Background))), background);
        let old = of(&[Token, Repository, Schema1]);
        assert_eq!(made(known(Some(Mode::Absent))), old);
    }

    #[test]
    fn what_cannot_be_checked_is_left_out_by_name() {
        let mode = Some(Mode::Complete);
        let nobody = Known { has_login: false, has_sample: false, ..known(mode) };
        assert_eq!(made(nobody), [Check::Api, Check::Health, Check::Mode]);
        assert!(checks(nobody).iter().any(|planned| planned.left_out == Some(WhyNot::NoLogin)));
        let anybody = made(Known { has_sample: true, ..nobody });
        assert_eq!(anybody[3..], [Check::OldImages, Check::TagLists]);
        let unsampled = Known { has_sample: false, ..known(mode) };
        let left: Vec<Check> = checks(unsampled)
            .into_iter()
            .filter(|planned| planned.left_out == Some(WhyNot::NoSample))
            .map(|planned| planned.check)
            .collect();
        assert_eq!(left, [Check::OldImages, Check::TagLists]);
        assert!(!made(known(None)).contains(&Check::Schema2));
    }

    #[test]
    fn what_rests_on_a_failure_is_not_tried() {
        assert_eq!(blocked(Check::List, &[Check::Api]), Some(WhyNot::Rests(Check::Api)));
        assert_eq!(blocked(Check::List, &[Check::Mode, Check::Schema2]), None);
        assert_eq!(blocked(Check::TagLists, &[Check::Repository]), None);
    }
}
