//! Why one try of a pull brought no image, in words with what to do: by what
//! can be found out now, and not by an engine's words alone.

use std::time::Duration;

use quaymaster_proto::job::PullImage;

use super::credentials::{self, Login};
use super::pull::pinned;
use super::verdict::{Verdict, verdict};
use crate::engine::{Engine, EngineError};
use crate::node::Node;

/// Less than this, in bytes, and no layer of a Quay fits.
const HARDLY_ANY_SPACE: u64 = 64 * 1024 * 1024;

/// Why one try brought no image.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Failure {
    /// What happened.
    pub(super) what: String,
    /// What to do about it.
    advice: String,
    /// Another try may bring the image, without anybody's help.
    pub(super) may_pass: bool,
}

/// A pull that an engine ended with an error.
pub(super) struct Ended<'a, E> {
    pub(super) node: &'a Node<E>,
    pub(super) order: &'a PullImage,
    pub(super) login: Option<&'a Login>,
    /// To be downloaded in all, as far as it was told.
    pub(super) total_bytes: u64,
}

impl Failure {
    /// Nothing came any more.
    pub(super) fn stalled(order: &PullImage, after: Duration) -> Self {
        let after = humantime::format_duration(after);
        Self {
            what: format!("the pull of `{}` came no further for {after}", pinned(order)),
            advice: format!(
                "see whether this node reaches registry `{}`, and the engine's log",
                credentials::registry(&order.repository)
            ),
            may_pass: true,
        }
    }

    /// The engine cannot be asked.
    pub(super) fn of_engine(what: String) -> Self {
        Self { what, advice: "see the engine's log".to_owned(), may_pass: true }
    }

    /// After the last of `tried` tries.
    pub(super) fn in_words(&self, tried: u32) -> String {
        let Self { what, advice, may_pass: _ } = self;
        match tried {
            0 | 1 => format!("{what}; {advice}"),
            _ => format!("{what}; tried {tried} times; {advice}"),
        }
    }

    fn lasting(what: String, advice: String) -> Self {
        Self { what, advice, may_pass: false }
    }
}

impl<E: Engine> Ended<'_, E> {
    /// Judges by the engine's words, and where they say nothing by what the
    /// registry answers now.
    pub(super) async fn failure(&self, error: &EngineError) -> Failure {
        let said = error.in_one_line();
        let is_full = self.node.free_bytes_engine().is_some_and(|free| free < HARDLY_ANY_SPACE);
        let by_words = if is_full { Verdict::DiskFull } else { verdict(error.status(), &said) };
        let found = match by_words {
            Verdict::Unanswered => self.registry_says().await,
            Verdict::DiskFull | Verdict::OtherBytes | Verdict::Denied | Verdict::Missing => {
                by_words
            }
        };
        match found {
            Verdict::DiskFull => Failure::lasting(said, self.room()),
            Verdict::OtherBytes => {
                let what = format!(
                    "registry `{}` serves other bytes than those of {}, which the plan was made \
                     with: {said}{}",
                    self.registry(),
                    self.order.digest,
                    self.behind_the_tag().await
                );
                Failure::lasting(what, self.distrust())
            }
            Verdict::Denied => Failure::lasting(said, denied(&self.order.repository, self.login)),
            Verdict::Missing => {
                let what = format!("{said}{}", self.behind_the_tag().await);
                let advice = format!(
                    "`{}` does not hold {} (any more): put that image back there (is the mirror \
                     complete?), or plan again to take what is there now",
                    self.order.repository, self.order.digest
                );
                Failure::lasting(what, advice)
            }
            Verdict::Unanswered => {
                let advice = format!(
                    "see whether this node reaches registry `{}`, then pull again: finished \
                     layers are kept",
                    self.registry()
                );
                Failure { what: said, advice, may_pass: true }
            }
        }
    }

    /// The engine says that all went well, and has not what was asked for.
    pub(super) async fn without_image(&self) -> Failure {
        let what = format!(
            "the engine ended the pull of `{}` without an image of that digest{}",
            pinned(self.order),
            self.behind_the_tag().await
        );
        Failure::lasting(what, self.distrust())
    }

    fn registry(&self) -> &str {
        credentials::registry(&self.order.repository)
    }

    /// Whether the registry gives out the manifest at this moment.
    async fn registry_says(&self) -> Verdict {
        match self.node.ask_registry(&pinned(self.order), self.login).await {
            Ok(_) => Verdict::Unanswered,
            Err(error) => verdict(error.status(), &error.in_one_line()),
        }
    }

    /// What the tag means by now, where that is something else.
    async fn behind_the_tag(&self) -> String {
        let Some(tag) = &self.order.tag else { return String::new() };
        let reference = format!("{}:{tag}", self.order.repository);
        match self.node.ask_registry(&reference, self.login).await {
            Ok(digest) if digest != self.order.digest => {
                format!("; `{reference}` is {digest} now")
            }
            Ok(_) => format!("; `{reference}` is said to be that digest still"),
            Err(_) => String::new(),
        }
    }

    fn distrust(&self) -> String {
        format!(
            "use nothing of it before you know who changed `{}`: put the planned image back \
             there, or name another mirror and plan again",
            self.order.repository
        )
    }

    fn room(&self) -> String {
        let root = self.node.engine.data_root();
        let place = root.map_or_else(String::new, |root| format!(" ({})", root.display()));
        let figures = figures(self.node.free_bytes_engine(), self.total_bytes);
        format!("the disk with the engine's data{place} is full{figures}: make room, then go on")
    }
}

/// What is free and what is needed, as far as it is known.
fn figures(free: Option<u64>, total: u64) -> String {
    let needed = match total {
        0 => String::new(),
        total => {
            format!("; {} are to be downloaded, and take several times that", megabytes(total))
        }
    };
    match free {
        None => needed,
        // Bytes are not what is missing there.
        Some(free) if total > 0 && free / 4 > total => {
            format!("{needed}; bytes are free, so see its quotas and inodes")
        }
        Some(free) => format!("; {} are free{needed}", megabytes(free)),
    }
}

/// What to do about a registry that refuses.
pub(crate) fn denied(repository: &str, login: Option<&Login>) -> String {
    let registry = credentials::registry(repository);
    match login {
        None => format!(
            "registry `{registry}` wants a login for `{repository}`, or does not hold it: put one \
             into the file that agent.yaml names under registries.credentials, or see the name"
        ),
        Some(Login { user, .. }) => format!(
            "registry `{registry}` refuses the login of `{user}` in agent.yaml's \
             registries.credentials: renew it, or get the right to pull `{repository}`"
        ),
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", bytes / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_free_is_told_where_it_is_what_is_missing() {
        let (mb, gb) = (1_000_000, 1_000_000_000);
        assert_eq!(
            figures(Some(12 * mb), 350 * mb),
            "; 12 MB are free; 350 MB are to be downloaded, and take several times that"
        );
        assert_eq!(
            figures(Some(90 * gb), 350 * mb),
            "; 350 MB are to be downloaded, and take several times that; bytes are free, so see \
             its quotas and inodes"
        );
        assert_eq!(figures(Some(12 * mb), 0), "; 12 MB are free");
        assert_eq!(figures(None, 0), "");
    }
}
