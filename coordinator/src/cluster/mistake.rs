//! What can be wrong with a cluster file.

use std::fmt;

/// Why a cluster file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ClusterFileError {
    /// It is not YAML at all.
    #[error("the cluster file is not valid YAML")]
    Yaml {
        /// Where and why.
        source: serde_yaml::Error,
    },
    /// It says things it may not say: all of them.
    #[error("{}", list(.0))]
    Mistakes(Vec<Mistake>),
}

fn list(mistakes: &[Mistake]) -> String {
    let head = match mistakes.len() {
        1 => "the cluster file has a mistake".to_owned(),
        many => format!("the cluster file has {many} mistakes"),
    };
    mistakes.iter().fold(head, |text, mistake| format!("{text}\n  {mistake}"))
}

/// One mistake and where it is.
#[derive(Clone, PartialEq, Debug)]
pub struct Mistake {
    /// Such as `timings.backfill.poll` or `nodes[1].name`; empty = the file.
    pub path: String,
    /// What is wrong there.
    pub trouble: Trouble,
}

impl Mistake {
    pub(super) fn new(path: impl Into<String>, trouble: Trouble) -> Self {
        Self { path: path.into(), trouble }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, trouble } = self;
        if path.is_empty() {
            write!(formatter, "the file {trouble}")
        } else {
            write!(formatter, "{path}: {trouble}")
        }
    }
}

/// What is wrong in one place.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum Trouble {
    /// A key that must be there is not.
    #[error("is missing")]
    Missing,
    /// A key that means nothing here.
    #[error("unknown key; known here: {}", .known.join(", "))]
    UnknownKey {
        /// Every key that would mean something.
        known: Vec<&'static str>,
    },
    /// A value of another kind.
    #[error("is {found}, and should be {expected}")]
    Kind {
        /// What it should be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// A text without the syntax it should have.
    #[error("{reason}")]
    Syntax {
        /// What was given and what it should have been.
        reason: String,
    },
    /// A word that is none of the allowed ones.
    #[error("`{found}` is not {expected}")]
    NoSuchWord {
        /// What was given.
        found: String,
        /// What would be right.
        expected: &'static str,
    },
    /// A version of the file that this program does not know.
    #[error("version {found} of this file is not known; this program knows version 1")]
    Version {
        /// What was given.
        found: u64,
    },
    /// A cluster of nobody.
    #[error("a cluster has at least one node")]
    NoNodes,
    /// Two nodes are told apart by nothing.
    #[error("`{name}` is already the name of {other}")]
    SameName {
        /// The name.
        name: String,
        /// Path of the node that had it first.
        other: String,
    },
    /// Two nodes would be one agent.
    #[error("`{address}` is already the address of {other}")]
    SameAddress {
        /// The address.
        address: String,
        /// Path of the node that had it first.
        other: String,
    },
    /// The first node is none of the nodes.
    #[error("`{name}` is not one of the nodes: {}", .nodes.join(", "))]
    NotListed {
        /// What was given.
        name: String,
        /// Every node's name.
        nodes: Vec<String>,
    },
    /// A number or a time out of its range.
    #[error("`{found}` is out of range: {range}")]
    OutOfRange {
        /// What was given.
        found: String,
        /// What is allowed.
        range: &'static str,
    },
    /// Two registries whose images would be told apart by nothing.
    #[error("`{prefix}` already mirrors {other}")]
    SameMirror {
        /// The mirror.
        prefix: String,
        /// The registry that had it first.
        other: String,
    },
}
