//! A plan as a file: JSON with sorted keys, and a digest of all the rest. The
//! digest guards against accident and staleness, not against malice.

use quaymaster_proto::{ClusterName, PlanDigest};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::check::Flaw;
use super::{CheckedPlan, PLAN_VERSION, Plan};

const DIGEST: &str = "digest";

/// Why a file is not the plan that may be run.
#[derive(Debug, thiserror::Error)]
pub enum PlanFileError {
    /// It is no plan of any version.
    #[error("it is not a plan: {what}")]
    NotAPlan {
        /// What is missing or wrong.
        what: &'static str,
    },
    /// It is not JSON.
    #[error("it is not JSON")]
    Json {
        /// Where and why.
        source: serde_json::Error,
    },
    /// Another version of this program wrote it.
    #[error("it is a plan of version {found}; this program reads version {PLAN_VERSION}")]
    Version {
        /// Its version.
        found: u64,
    },
    /// Somebody changed it after it was made.
    #[error("it was edited: its digest says {}, its content gives {}", said.short(), is.short())]
    Edited {
        /// What it says of itself.
        said: PlanDigest,
        /// What it is.
        is: PlanDigest,
    },
    /// It is for another cluster.
    #[error("it is a plan of cluster `{plan}`, not of `{cluster}`")]
    OtherCluster {
        /// Whose it is.
        plan: String,
        /// Whose cluster file this is.
        cluster: ClusterName,
    },
    /// It is a sound plan, and another one than was asked for.
    #[error("it is plan {}, not {wanted}", found.short())]
    OtherPlan {
        /// Its digest.
        found: PlanDigest,
        /// The digest that was asked for, or its first digits.
        wanted: String,
    },
    /// It says something that a plan cannot say.
    #[error("it cannot be read as a plan of version {PLAN_VERSION}")]
    Shape {
        /// Where and why.
        source: serde_json::Error,
    },
    /// It is what it was, and it is not sound.
    #[error("it is not sound: {}", super::check::in_words(.0))]
    Unsound(Vec<Flaw>),
}

impl PlanFileError {
    /// What to do about it, in one line.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NotAPlan { .. } | Self::Json { .. } => {
                "give the .json file that quaymaster plan wrote, or its digest"
            }
            Self::Version { .. } | Self::Edited { .. } | Self::Shape { .. } | Self::Unsound(_) => {
                "make a new one: quaymaster plan"
            }
            Self::OtherCluster { .. } => "compare --cluster with the plan",
            Self::OtherPlan { .. } => "put the plan with that digest there",
        }
    }
}

/// The digest of a plan.
pub fn digest(plan: &Plan) -> PlanDigest {
    digest_of(&without_digest(value(plan)))
}

/// The file's text.
pub fn write(plan: &CheckedPlan) -> String {
    let mut file = without_digest(value(plan.plan()));
    file.insert(DIGEST.to_owned(), Value::String(plan.digest().to_string()));
    let text = serde_json::to_string_pretty(&sorted(Value::Object(file)));
    text.expect("a JSON value can always be written") + "\n"
}

/// The file's name: the first twelve digits of the digest.
pub fn name(digest: &PlanDigest) -> String {
    format!("{}.json", digest.short())
}

/// Reads a file that should be a plan of `cluster`.
pub fn read(text: &str, cluster: &ClusterName) -> Result<CheckedPlan, PlanFileError> {
    let file: Value =
        serde_json::from_str(text).map_err(|source| PlanFileError::Json { source })?;
    let Value::Object(mut file) = file else {
        return Err(PlanFileError::NotAPlan { what: "it is no JSON object" });
    };
    let version = file.get("version").and_then(Value::as_u64);
    let version = version.ok_or(PlanFileError::NotAPlan { what: "it has no version" })?;
    if version != u64::from(PLAN_VERSION) {
        return Err(PlanFileError::Version { found: version });
    }
    let said: Option<PlanDigest> = file.remove(DIGEST).and_then(|said| said.as_str()?.parse().ok());
    let said = said.ok_or(PlanFileError::NotAPlan { what: "it has no digest" })?;
    let is = digest_of(&file);
    if said != is {
        return Err(PlanFileError::Edited { said, is });
    }
    let name = file.get("cluster").and_then(Value::as_str).unwrap_or_default();
    if name != cluster.as_str() {
        let (plan, cluster) = (name.to_owned(), cluster.clone());
        return Err(PlanFileError::OtherCluster { plan, cluster });
    }
    let plan: Plan = serde_json::from_value(Value::Object(file))
        .map_err(|source| PlanFileError::Shape { source })?;
    plan.check().map_err(PlanFileError::Unsound)
}

/// Whether a plan is the one with this digest, or with these first digits of
/// it.
pub fn is_called(plan: &CheckedPlan, wanted: &str) -> Result<(), PlanFileError> {
    let found = plan.digest();
    if found.as_str().starts_with(&wanted.to_ascii_lowercase()) {
        return Ok(());
    }
    Err(PlanFileError::OtherPlan { found: found.clone(), wanted: wanted.to_owned() })
}

fn value(plan: &Plan) -> Value {
    serde_json::to_value(plan).expect("a plan has only text keys and finite numbers")
}

fn without_digest(plan: Value) -> Map<String, Value> {
    let Value::Object(mut plan) = plan else { return Map::new() };
    plan.remove(DIGEST);
    plan
}

fn digest_of(plan: &Map<String, Value>) -> PlanDigest {
    let canonical = sorted(Value::Object(plan.clone())).to_string();
    let hex = hex(&Sha256::digest(canonical));
    hex.parse().expect("sha256 is 64 hex digits")
}

/// The same value with every object's keys in order, whatever order the
/// library keeps.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(String, Value)> = map.into_iter().collect();
            entries.sort_by(|(one, _), (other, _)| one.cmp(other));
            entries.into_iter().map(|(key, value)| (key, sorted(value))).collect()
        }
        Value::Array(values) => values.into_iter().map(sorted).collect(),
        plain @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => plain,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
