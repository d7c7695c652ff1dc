//! config.yaml: usable, complete, the same everywhere, what runs, editable.

use std::collections::{BTreeMap, BTreeSet};

use quaymaster_proto::node::{ConfigFacts, ReadableConfig};
use quaymaster_proto::preview::ConfigChange;
use quaymaster_proto::{Mode, NodeName};
use serde::Serialize;

use super::{Code, grouped, names};
use crate::plan::situation::Situation;
use crate::survey::{ClusterFacts, NodeSurvey};

/// What is wrong with config.yaml.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum ConfigFinding {
    /// It cannot be read or parsed.
    #[error("{node}: {path} cannot be used: {problem}")]
    Unusable {
        /// Where.
        node: NodeName,
        /// On the host.
        path: String,
        /// Why.
        problem: String,
    },
    /// `SETUP_COMPLETE` is not true.
    #[error(
        "{node}: SETUP_COMPLETE is not true in {path}; a start would migrate past every data step \
         and ruin the database"
    )]
    SetupIncomplete {
        /// Where.
        node: NodeName,
        /// On the host.
        path: String,
    },
    /// Nodes whose configs differ, by key.
    #[error("config.yaml is not the same on every node: {}", keys_in_words(.keys))]
    Differ {
        /// Each key.
        keys: Vec<DifferingKey>,
    },
    /// Its agent told nothing by which settings could be compared.
    #[error("{node}: its settings cannot be compared: its agent shows a reader none of them")]
    NotCompared {
        /// Where.
        node: NodeName,
    },
    /// What runs is not what config.yaml says.
    #[error("{node}: its Quay runs in mode {runs}, and config.yaml says {file}")]
    NotAsItRuns {
        /// Where.
        node: NodeName,
        /// What the running Quay shows.
        runs: Mode,
        /// What the file says.
        file: Mode,
    },
    /// The key cannot be edited.
    #[error("{node}: V3_UPGRADE_MODE cannot be set in config.yaml: {reason}")]
    EditRefused {
        /// Where.
        node: NodeName,
        /// Why, by name.
        reason: String,
    },
    /// `TESTING` is not false.
    #[error("{node}: TESTING is not false in its config.yaml")]
    Testing {
        /// Where.
        node: NodeName,
    },
    /// `TESTING` is not there, and stands for true.
    #[error("{}: config.yaml has no TESTING, which then is true", names(.nodes))]
    TestingUnset {
        /// Where.
        nodes: Vec<NodeName>,
    },
    /// https without anybody who speaks it.
    #[error(
        "{node}: PREFERRED_URL_SCHEME is https, there is no ssl.key beside config.yaml, and no \
         EXTERNAL_TLS_TERMINATION: true; its health would never be good"
    )]
    TlsNowhere {
        /// Where.
        node: NodeName,
    },
    /// Percent escapes in the database's address.
    #[error("{}: DB_URI has a % in it, over which the migration stumbles", names(.nodes))]
    PercentInUri {
        /// Where.
        nodes: Vec<NodeName>,
    },
}

/// A key of config.yaml whose value is not the same everywhere. Values are
/// never known here.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct DifferingKey {
    /// The key, or `file:<name>` for a file beside it.
    pub key: String,
    /// Nodes that agree with each other, the most first.
    pub groups: Vec<Vec<NodeName>>,
    /// Nodes that do not have it at all.
    pub without: Vec<NodeName>,
}

fn keys_in_words(keys: &[DifferingKey]) -> String {
    let key = |DifferingKey { key, groups, without }: &DifferingKey| {
        let mut parts: Vec<String> = groups.iter().map(|nodes| names(nodes)).collect();
        if !without.is_empty() {
            parts.push(format!("not on {}", names(without)));
        }
        format!("{key} ({})", parts.join(" | "))
    };
    keys.iter().map(key).collect::<Vec<_>>().join(", ")
}

impl ConfigFinding {
    pub(super) fn code(&self) -> Code {
        match self {
            Self::Unusable { .. } => Code::ConfigUnusable,
            Self::SetupIncomplete { .. } => Code::SetupIncomplete,
            Self::Differ { .. } => Code::ConfigDiffers,
            Self::NotCompared { .. } => Code::ConfigNotCompared,
            Self::NotAsItRuns { .. } => Code::ConfigNotAsItRuns,
            Self::EditRefused { .. } => Code::ConfigNotEditable,
            Self::Testing { .. } => Code::TestingOn,
            Self::TestingUnset { .. } => Code::TestingUnset,
            Self::TlsNowhere { .. } => Code::TlsNowhere,
            Self::PercentInUri { .. } => Code::PercentInDatabaseUri,
        }
    }

    pub(super) fn node(&self) -> Option<&NodeName> {
        match self {
            Self::Unusable { node, .. }
            | Self::SetupIncomplete { node, .. }
            | Self::NotCompared { node, .. }
            | Self::NotAsItRuns { node, .. }
            | Self::EditRefused { node, .. }
            | Self::Testing { node }
            | Self::TlsNowhere { node } => Some(node),
            Self::Differ { .. } | Self::TestingUnset { .. } | Self::PercentInUri { .. } => None,
        }
    }

    pub(super) fn remedy(&self) -> String {
        match self {
            Self::Unusable { node, .. } => format!("correct the file on {node}"),
            Self::SetupIncomplete { node, path } => format!(
                "if this Quay was really set up, write SETUP_COMPLETE: true into {path} on {node}"
            ),
            Self::Differ { .. } => {
                "make the files equal, restart the nodes that had another value, and check them"
                    .to_owned()
            }
            Self::NotCompared { .. } => {
                "plan with the certificate of an operator or an admin".to_owned()
            }
            Self::NotAsItRuns { node, .. } => {
                format!("on {node}: put the file back to what runs, or recreate its Quay container")
            }
            Self::EditRefused { node, .. } => format!(
                "write the file on {node} plainly: one \
                document, a mapping in block style, the key once at the top level"
            ),
            Self::Testing { node } => format!("write TESTING: false into config.yaml on {node}"),
            Self::TestingUnset { .. } => {
                "write TESTING: false into config.yaml, on every node alike".to_owned()
            }
            Self::TlsNowhere { node } => format!(
                "on {node}: EXTERNAL_TLS_TERMINATION: true where a balancer ends TLS; or put \
                 ssl.cert and ssl.key beside config.yaml"
            ),
            Self::PercentInUri { .. } => "give Quay's database role a password of letters and \
                digits, and write it into DB_URI plainly, on every node"
                .to_owned(),
        }
    }
}

pub(super) fn usable(name: &NodeName, survey: &NodeSurvey) -> Option<ConfigFinding> {
    match &survey.facts.config {
        ConfigFacts::Readable(_) => None,
        ConfigFacts::Unusable { path, problem } => Some(ConfigFinding::Unusable {
            node: name.clone(),
            path: path.clone(),
            problem: problem.clone(),
        }),
    }
}

/// Without it a start migrates to the newest revision, whatever the mode, and
/// leaves the data behind (quay-facts 2.3).
pub(super) fn setup_complete(name: &NodeName, survey: &NodeSurvey) -> Option<ConfigFinding> {
    let config = readable(survey)?;
    (!config.setup_complete)
        .then(|| ConfigFinding::SetupIncomplete { node: name.clone(), path: config.path.clone() })
}

/// Where nothing is shown nothing differs, and that proves nothing.
pub(super) fn compared(name: &NodeName, survey: &NodeSurvey) -> Option<ConfigFinding> {
    let config = readable(survey)?;
    config.keyed_values.is_empty().then(|| ConfigFinding::NotCompared { node: name.clone() })
}

/// A file that was edited under a running Quay: what starts next is not what
/// runs (quay-facts 10.1).
pub(super) fn as_it_runs(name: &NodeName, survey: &NodeSurvey) -> Option<ConfigFinding> {
    let container = survey.quay_container()?;
    let runs = container.effective_mode?;
    let file = readable(survey)?.mode;
    // Only a release that has modes shows one; an override is told elsewhere.
    let differs = runs != file && runs != Mode::Absent && container.override_mode.is_none();
    differs.then(|| ConfigFinding::NotAsItRuns { node: name.clone(), runs, file })
}

/// Keys are named, values never.
pub(super) fn same(facts: &ClusterFacts) -> Option<ConfigFinding> {
    let configs: BTreeMap<&NodeName, &ReadableConfig> =
        facts.nodes.iter().filter_map(|(name, survey)| Some((name, readable(survey)?))).collect();
    let every_key: BTreeSet<&String> =
        configs.values().flat_map(|config| config.keyed_values.keys()).collect();
    let keys: Vec<DifferingKey> =
        every_key.into_iter().filter_map(|key| differing(key, &configs)).collect();
    (!keys.is_empty()).then_some(ConfigFinding::Differ { keys })
}

fn differing(key: &str, configs: &BTreeMap<&NodeName, &ReadableConfig>) -> Option<DifferingKey> {
    let mut without = Vec::new();
    let mut with = Vec::new();
    for (name, config) in configs {
        match config.keyed_values.get(key) {
            Some(value) => with.push((value, (*name).clone())),
            None => without.push((*name).clone()),
        }
    }
    let groups: Vec<_> = grouped(with).into_iter().map(|(_, nodes)| nodes).collect();
    let is_same = groups.len() == 1 && without.is_empty();
    (!is_same).then(|| DifferingKey { key: key.to_owned(), groups, without })
}

pub(super) fn editable(situation: &Situation<'_>) -> Vec<ConfigFinding> {
    let mut found = Vec::new();
    for (node, preview) in situation.previews() {
        match &preview.config {
            Some(ConfigChange::Edit { .. }) => {}
            None => found.push(ConfigFinding::EditRefused {
                node: node.clone(),
                reason: "its agent does not say what would become of it".to_owned(),
            }),
            Some(ConfigChange::Refused { reason }) => found
                .push(ConfigFinding::EditRefused { node: node.clone(), reason: reason.clone() }),
        }
    }
    found
}

/// Quay takes a missing `TESTING` for true (quay-facts 4.1, 7.2).
pub(super) fn testing(situation: &Situation<'_>) -> Vec<ConfigFinding> {
    let (mut found, mut unset) = (Vec::new(), Vec::new());
    for (node, footing) in situation.footings() {
        match footing.config.testing {
            Some(false) => {}
            Some(true) => found.push(ConfigFinding::Testing { node: node.clone() }),
            None => unset.push(node.clone()),
        }
    }
    if !unset.is_empty() {
        found.push(ConfigFinding::TestingUnset { nodes: unset });
    }
    found
}

/// The self-check then asks a port at which nobody listens (quay-facts 1.2).
pub(super) fn tls(situation: &Situation<'_>) -> Vec<ConfigFinding> {
    let nowhere = situation.footings().filter(|(_, footing)| {
        let config = &footing.config;
        config.https && !config.external_tls && !config.tls_key
    });
    nowhere.map(|(node, _)| ConfigFinding::TlsNowhere { node: node.clone() }).collect()
}

/// The migration decodes the address once and reads it as a template (quay-facts
/// 3.4, 7.1). It does both at every start, so that only a start of another
/// release is new to it.
pub(super) fn percent(situation: &Situation<'_>) -> Option<ConfigFinding> {
    if !situation.changes_schema() {
        return None;
    }
    let with = situation.footings().filter(|(_, footing)| footing.config.percent_in_database_uri);
    let nodes: Vec<NodeName> = with.map(|(node, _)| node.clone()).collect();
    (!nodes.is_empty()).then_some(ConfigFinding::PercentInUri { nodes })
}

fn readable(survey: &NodeSurvey) -> Option<&ReadableConfig> {
    match &survey.facts.config {
        ConfigFacts::Readable(config) => Some(config),
        ConfigFacts::Unusable { .. } => None,
    }
}
