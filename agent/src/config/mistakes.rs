//! What can be wrong with an agent.yaml.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

/// Why an agent.yaml is not used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ConfigError {
    /// Not YAML, or a key twice.
    NotYaml {
        /// In the parser's words; an agent.yaml holds no secrets.
        problem: String,
    },
    /// One or more mistakes.
    Mistakes(Vec<Mistake>),
}

/// One mistake.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mistake {
    /// The key, from the top: `components.quay.container`.
    pub path: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a key.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Problem {
    /// Not a key of this file.
    #[error("unknown key; known here: {}", .known.join(", "))]
    UnknownKey {
        /// Every key that would mean something.
        known: Vec<String>,
    },
    /// Not there.
    #[error("is missing")]
    Missing,
    /// Another kind of value.
    #[error("must be {expected}")]
    WrongKind {
        /// A text, a number, a list, ...
        expected: &'static str,
    },
    /// Not of the syntax that is needed.
    #[error("{0}")]
    Invalid(String),
    /// Another version of the file.
    #[error("is {found}: this agent reads version 1")]
    Version {
        /// The one that is written.
        found: u64,
    },
    /// A list without items.
    #[error("must name at least one")]
    EmptyList,
    /// Two components with one container.
    #[error("`{name}` is another component's container already")]
    SharedContainer {
        /// The name.
        name: String,
    },
}

impl fmt::Display for Mistake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.path, self.problem)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotYaml { problem } => write!(formatter, "is not YAML: {problem}"),
            Self::Mistakes(mistakes) => {
                let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
                formatter.write_str(&lines.join("\n"))
            }
        }
    }
}

impl std::error::Error for ConfigError {}

/// The mistakes found so far, shared by all sections of one file.
#[derive(Clone, Default)]
pub(super) struct Mistakes(Rc<RefCell<Vec<Mistake>>>);

impl Mistakes {
    pub(super) fn add(&self, path: String, problem: Problem) {
        self.0.borrow_mut().push(Mistake { path, problem });
    }

    pub(super) fn take(&self) -> Vec<Mistake> {
        self.0.take()
    }
}
