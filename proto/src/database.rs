//! Quay's database as one node reaches it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::invalid::{InvalidField, each, or_empty, parsed, parsed_if_any};
use crate::wire;

/// What a database is, the same text on every node that reaches the same one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DatabaseIdentity(String);

impl DatabaseIdentity {
    /// `None` for an empty text.
    pub fn new(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        (!text.is_empty()).then_some(Self(text))
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for DatabaseIdentity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.pad(&self.0)
    }
}

/// One look at a database.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseLook {
    /// The node's clock.
    pub at: Timestamp,
    /// Which database.
    pub identity: DatabaseIdentity,
    /// `postgresql`, `mysql` (MariaDB too) or `sqlite`.
    pub kind: String,
    /// `alembic_version`; empty while the table is empty (quay-observed 4), or
    /// where there is none and nothing was to be counted.
    pub revision: String,
    /// A standby: nothing may start on it.
    pub in_recovery: bool,
    /// All but this agent's own; `None` = not asked, or the database has no
    /// such list.
    pub sessions: Option<Vec<Session>>,
    /// `None` = not asked.
    pub counts: Option<TagCounts>,
    /// As the server says it.
    pub server_version: String,
    /// host:port/name, for people.
    pub shown_as: String,
    /// Where tags were counted and few are unmapped: which, as
    /// `namespace/repository:tag`, at most ten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unmapped_names: Vec<String>,
    /// On its server's disk; `None` = not asked (it comes with the counts), or
    /// not known.
    #[serde(default)]
    pub size_bytes: Option<u64>,
}

/// One session on a database.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// The server's process.
    pub pid: i64,
    /// Its role.
    pub user: String,
    /// What it calls itself; Quay's own is empty. MySQL knows agents only.
    pub application: String,
    /// Empty for a unix socket, or where the agent's role may not see it.
    pub address: String,
    /// Since when.
    pub since: Option<Timestamp>,
}

/// The beginning of the application name of every agent's session; the
/// cluster's and the node's names follow, each after a `/`.
pub const AGENT_APPLICATION: &str = "quaymaster-agent";

impl Session {
    /// Whether the session says that it is an agent's.
    pub fn is_agent(&self) -> bool {
        self.application
            .strip_prefix(AGENT_APPLICATION)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Whether somebody named the session, by its application's name or by its
    /// address.
    pub fn is_among(&self, expected: &[String]) -> bool {
        expected
            .iter()
            .any(|name| !name.is_empty() && (*name == self.application || *name == self.address))
    }
}

/// Full-table counts (quay-facts 3.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TagCounts {
    /// Visible tags of the old model.
    pub visible: i64,
    /// Of these, the ones without a counterpart in the new model.
    pub unmapped: i64,
}

impl TryFrom<wire::DatabaseLook> for DatabaseLook {
    type Error = InvalidField;

    fn try_from(message: wire::DatabaseLook) -> Result<Self, InvalidField> {
        let wire::DatabaseLook {
            at,
            identity,
            kind,
            revision,
            in_recovery,
            sessions,
            counts,
            server_version,
            shown_as,
            unmapped_names,
            size_bytes,
        } = message;
        Ok(Self {
            at: parsed("at", &at)?,
            identity: DatabaseIdentity::new(identity)
                .ok_or_else(|| InvalidField::missing("identity"))?,
            kind,
            revision,
            in_recovery,
            sessions: sessions
                .map(|wire::SessionList { sessions }| each("sessions", sessions))
                .transpose()?,
            counts: counts
                .map(|wire::TagCounts { visible, unmapped }| TagCounts { visible, unmapped }),
            server_version,
            shown_as,
            unmapped_names,
            size_bytes,
        })
    }
}

impl From<DatabaseLook> for wire::DatabaseLook {
    fn from(look: DatabaseLook) -> Self {
        let DatabaseLook {
            at,
            identity,
            kind,
            revision,
            in_recovery,
            sessions,
            counts,
            server_version,
            shown_as,
            unmapped_names,
            size_bytes,
        } = look;
        Self {
            at: at.to_string(),
            identity: identity.0,
            kind,
            revision,
            in_recovery,
            sessions: sessions.map(|sessions| wire::SessionList {
                sessions: sessions.into_iter().map(Into::into).collect(),
            }),
            counts: counts
                .map(|TagCounts { visible, unmapped }| wire::TagCounts { visible, unmapped }),
            server_version,
            shown_as,
            unmapped_names,
            size_bytes,
        }
    }
}

impl TryFrom<wire::Session> for Session {
    type Error = InvalidField;

    fn try_from(message: wire::Session) -> Result<Self, InvalidField> {
        let wire::Session { pid, user, application, address, since } = message;
        Ok(Self { pid, user, application, address, since: parsed_if_any("since", &since)? })
    }
}

impl From<Session> for wire::Session {
    fn from(session: Session) -> Self {
        let Session { pid, user, application, address, since } = session;
        Self { pid, user, application, address, since: or_empty(since) }
    }
}
