//! What a check can find, in words with a remedy. Pure.

use quaymaster_proto::Mode;
use serde::Serialize;

use crate::registry::Trouble;

/// Why a check did not pass.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// No useful answer.
    #[error("{0}")]
    Trouble(Trouble),
    /// A health route is not well.
    #[error("{route} says {status}{}", .sick.iter().map(|name| format!(", {name} no")).collect::<String>())]
    Sick {
        /// Which route.
        route: &'static str,
        /// HTTP status.
        status: u16,
        /// Services that are not well.
        sick: Vec<String>,
    },
    /// Its clients would fetch their tokens from somebody else.
    #[error("its clients are sent to {realm} for their tokens, and not to {expected}")]
    RealmElsewhere {
        /// Host and port.
        realm: String,
        /// The public name.
        expected: String,
    },
    /// The process runs in another mode than the registry should.
    #[error("the push of a list by nobody was answered with {status}: that is {}, not {expected}", shown(.shows))]
    OtherMode {
        /// The mode of the registry.
        expected: Mode,
        /// The mode that shows.
        shows: Option<Mode>,
        /// HTTP status.
        status: u16,
    },
    /// Quay gives less than was asked for, without a word.
    #[error("the token for {repository} allows {}, and push and pull were asked for", allowed(.granted))]
    FewerRights {
        /// Which repository.
        repository: String,
        /// What it allows.
        granted: Vec<String>,
    },
    /// Somebody else's images are there.
    #[error("{repository} holds {} that no verification pushed: {}", counted(.tags.len()), some(.tags))]
    ForeignContent {
        /// Which repository.
        repository: String,
        /// The tags.
        tags: Vec<String>,
    },
    /// It took what its mode must refuse.
    #[error("{what} was taken ({status}), where this mode refuses it with 415")]
    NotRefused {
        /// What was pushed.
        what: &'static str,
        /// HTTP status.
        status: u16,
    },
    /// It refused what its mode must take.
    #[error("{what} was refused with 415: the running process is in background mode")]
    Refused {
        /// What was pushed.
        what: String,
    },
    /// It calls what it was given by another digest.
    #[error("{what} was pushed as {pushed}, and is called {found}")]
    OtherDigest {
        /// What.
        what: String,
        /// Of the bytes that were sent.
        pushed: String,
        /// As the registry says; empty = it says none.
        found: String,
    },
    /// The bytes are not those of the digest.
    #[error("the bytes of {what} have the digest {found}, and should have {expected}")]
    OtherBytes {
        /// What.
        what: String,
        /// What was asked for.
        expected: String,
        /// Of the bytes that came.
        found: String,
    },
    /// It came back as something else.
    #[error("{what} came back as {found}, and was {expected}")]
    OtherType {
        /// What.
        what: String,
        /// What it was.
        expected: String,
        /// What it is called now; empty = nothing.
        found: String,
    },
    /// Fewer platforms came back.
    #[error("the list came back without {}", .platforms.join(", "))]
    MissingPlatforms {
        /// Which.
        platforms: Vec<String>,
    },
    /// A blob is shorter or longer than it was.
    #[error("{what} has {found} bytes, and should have {expected}")]
    OtherLength {
        /// What.
        what: String,
        /// As its manifest says.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// A manifest that cannot be read.
    #[error("{what} is no manifest that could be read")]
    Unreadable {
        /// What.
        what: String,
    },
    /// An image from before is not there any more.
    #[error(
        "{repository}:{tag} was there before, and is not any more: it is lost to this registry unless its tag is mapped"
    )]
    Gone {
        /// Which repository.
        repository: String,
        /// Which tag.
        tag: String,
    },
    /// A tag means another image than before.
    #[error("{repository}:{tag} was {before}, and is {now}")]
    Moved {
        /// Which repository.
        repository: String,
        /// Which tag.
        tag: String,
        /// Digest.
        before: String,
        /// Digest.
        now: String,
    },
    /// A list of tags lacks some that were there.
    #[error("the tags of {repository} lack {} that were there: {}", counted(.missing.len()), some(.missing))]
    TagsMissing {
        /// Which repository.
        repository: String,
        /// Which tags.
        missing: Vec<String>,
    },
    /// What was taken away is still listed.
    #[error("{} of this verification are still there: {}", counted(.tags.len()), some(.tags))]
    LeftBehind {
        /// Which.
        tags: Vec<String>,
    },
}

fn shown(mode: &Option<Mode>) -> String {
    mode.as_ref().map_or_else(|| "no mode that is known".to_owned(), |mode| format!("mode {mode}"))
}

fn allowed(granted: &[String]) -> String {
    if granted.is_empty() { "nothing".to_owned() } else { granted.join(" and ") }
}

fn counted(count: usize) -> String {
    if count == 1 { "1 tag".to_owned() } else { format!("{count} tags") }
}

/// Not all of a long list.
fn some(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(SHOWN) {
        None | Some(0) => shown,
        Some(more) => format!("{shown} and {more} more"),
    }
}

impl From<Trouble> for Fault {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl Fault {
    /// What to do.
    pub fn remedy(&self) -> String {
        let fixed = match self {
            Self::Trouble(trouble) => return trouble.remedy(),
            Self::Sick { .. } => "read the log of the Quay container, and mend what it names",
            Self::RealmElsewhere { .. } => {
                "see SERVER_HOSTNAME and PREFERRED_URL_SCHEME in config.yaml, or verify.public in \
                 cluster.yaml"
            }
            Self::OtherMode { .. } | Self::NotRefused { .. } | Self::Refused { .. } => {
                "see V3_UPGRADE_MODE in this node's config.yaml and QUAY_OVERRIDE_CONFIG, and \
                 V22_NAMESPACE_WHITELIST for the namespace; the mode counts from the start of the \
                 container"
            }
            Self::FewerRights { .. } => {
                "give the robot write permission on the repository that verify.repository names, \
                 or let it create repositories in that organization"
            }
            Self::ForeignContent { .. } => {
                "name a repository for verifications alone: verify.repository in cluster.yaml"
            }
            Self::OtherDigest { .. }
            | Self::OtherBytes { .. }
            | Self::OtherType { .. }
            | Self::MissingPlatforms { .. }
            | Self::Unreadable { .. } => {
                "keep users from the registry until it is known why: compare with the other nodes, \
                 and see the proxies and caches before this one"
            }
            Self::OtherLength { .. } => {
                "see that every node has the same storage, whole: DISTRIBUTED_STORAGE_CONFIG, and \
                 what is mounted at /datastorage"
            }
            Self::Gone { .. } | Self::TagsMissing { .. } | Self::Moved { .. } => {
                "if nobody deleted or pushed it since, the tag was not backfilled: compare \
                 repositorytag with tagtorepositorytag before anything else"
            }
            Self::LeftBehind { .. } => "delete them by hand, or let the next verification do it",
        };
        fixed.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_cut() {
        let tags = (1..=7).map(|number| format!("t{number}")).collect();
        let fault = Fault::ForeignContent { repository: "a/b".to_owned(), tags };
        assert_eq!(
            fault.to_string(),
            "a/b holds 7 tags that no verification pushed: t1, t2, t3, t4, t5 and 2 more"
        );
    }
}
