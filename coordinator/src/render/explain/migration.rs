//! The ways on from a first node that did not pass its gate: what quay-facts
//! 10.2 says of starting again, and who else may have the part.

use quaymaster_proto::NodeName;

use super::Explained;
use crate::plan::{Plan, Verb, What};
use crate::run::log::LogTail;
use crate::run::order::serving;

/// What is known of a migration that ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Came {
    /// At its target: what failed came after it.
    Over,
    /// What is left moves data alone.
    Repeatable,
    /// Nothing was applied.
    Nowhere,
    /// At what the plan found, and nothing proves that no revision was begun.
    Unproven,
    /// Inside of it.
    HalfWay,
    /// The revision cannot be read.
    Unknown,
}

impl Came {
    pub(super) fn of(plan: &Plan, revision: Option<&str>, log: Option<&LogTail>) -> Self {
        let database = &plan.database;
        match revision {
            None => Self::Unknown,
            Some(revision) if revision == database.target => Self::Over,
            Some(revision) if database.resumable.iter().any(|known| known == revision) => {
                Self::Repeatable
            }
            Some(revision) if revision == database.revision => {
                if log.is_some_and(LogTail::proves_nothing_applied) {
                    Self::Nowhere
                } else {
                    Self::Unproven
                }
            }
            Some(_) => Self::HalfWay,
        }
    }

    /// Whether it may be started again, with a fresh container.
    fn may_be_started(self) -> bool {
        match self {
            Self::Over | Self::Repeatable | Self::Nowhere => true,
            Self::Unproven | Self::HalfWay | Self::Unknown => false,
        }
    }
}

/// The ways on, the best first, and the command to type next.
pub(super) fn ended(
    explained: &Explained<'_>,
    node: &NodeName,
    came: Came,
) -> (Vec<String>, String) {
    let program = explained.program;
    let plan = explained.plan.plan();
    let again = format!("{program} resume --retry {node}");
    let mend = format!("read its log, mend what it says, then, with a fresh container: {again}");
    let ways = match came {
        Came::Over => {
            let mut ways = vec![format!(
                "the migration is over: what failed came after it, and may be tried again: {mend}"
            )];
            ways.extend(
                hand_over(explained).map(|way| format!("or, as another node's part: {way}")),
            );
            ways
        }
        Came::Repeatable => vec![format!(
            "it may be tried again: what is left moves data alone, and can be repeated: {mend}"
        )],
        Came::Nowhere => vec![
            format!("it may be tried again: nothing was applied: {mend}"),
            format!("or back to {}: {program} abort", plan.window.from),
        ],
        Came::Unproven => vec![
            "it must not be started again: its log does not prove that nothing was applied, and a \
             table may be half changed"
                .to_owned(),
            repaired(plan, &again),
        ],
        Came::HalfWay => vec![
            "it must not be started again: the migration ended inside a revision that changes \
             tables, and half of it may be there"
                .to_owned(),
            repaired(plan, &again),
        ],
        Came::Unknown => vec![format!(
            "start nothing until the revision is known: mend the way to the database, then \
             {program} resume looks again and says which way is open"
        )],
    };
    let next = match came {
        came if came.may_be_started() => again,
        Came::Unknown => format!("{program} resume"),
        Came::Over | Came::Repeatable | Came::Nowhere | Came::Unproven | Came::HalfWay => {
            format!("on {node}, read: {}", log_by_hand(explained, node))
        }
    };
    (ways, next)
}

fn repaired(plan: &Plan, again: &str) -> String {
    format!(
        "only a restore of the database from a backup, or somebody who knows Quay's schema, leads \
         on. Once it is brought to {}: {again}",
        plan.database.target
    )
}

/// Where the revision tells how far it came, and nobody has read it here.
pub(super) fn by_revision(explained: &Explained<'_>, node: &NodeName) -> String {
    let (program, database) = (explained.program, &explained.plan.plan().database);
    let again = format!("{program} resume --retry {node}");
    let hand_over = hand_over(explained).map(|way| format!(", or as another node's part: {way}"));
    let mut words = format!(
        "how far it came shows in the database's revision. At {} the migration is over: {again}{}",
        database.target,
        hand_over.unwrap_or_default()
    );
    if !database.resumable.is_empty() {
        let at = database.resumable.join(" or ");
        words.push_str(&format!(". At {at} what is left can be repeated: {again}"));
    }
    words + ". Anywhere else it must not be started again: only a restore of the database leads on"
}

/// The first node's part as another one's; `None` = there is no other.
pub(super) fn hand_over(explained: &Explained<'_>) -> Option<String> {
    let start = explained.plan.plan().first_step(What::Act(Verb::Start))?;
    let other = start.nodes.first()?;
    Some(format!("{} resume --hand-over {other}", explained.program))
}

/// What shows the log of the container that was started on a node.
pub(super) fn log_by_hand(explained: &Explained<'_>, node: &NodeName) -> String {
    let component = quaymaster_proto::Component::Quay;
    match serving(explained.plan.plan(), explained.state, node, component) {
        Some(container) => format!("docker logs {}", container.short()),
        None => "docker ps --all, docker logs".to_owned(),
    }
}
