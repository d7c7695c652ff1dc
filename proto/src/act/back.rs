//! The orders of the way back, and a fresh container for one that has run.

use serde::{Deserialize, Serialize};

use crate::act::Ordered;
use crate::id::{ContainerId, FileDigest};
use crate::invalid::{InvalidField, or_empty, parsed, parsed_if_any, within};
use crate::wire;
use crate::words::{Component, Generation};

/// Put the kept config.yaml back, by its digest.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestoreConfig {
    /// The file as the run left it.
    pub from: FileDigest,
    /// The kept one.
    pub to: FileDigest,
}

/// Remove the sibling file that this run staged.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoveStagedConfig {
    /// What was staged.
    pub staged: FileDigest,
}

/// Remove a staged container that never started: the proof by which the point
/// of no return is taken back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoveStaged {
    /// Of which component.
    pub component: Component,
    /// Which; `None` = whatever this run staged there: where the answer to the
    /// staging was lost, nobody knows its id.
    pub container: Option<ContainerId>,
}

/// Create a fresh container of what one that has run was. Where that one still
/// runs, it is the answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recreate {
    /// Of which component.
    pub component: Component,
    /// Whose image and spec.
    pub container: ContainerId,
    /// What it was, and the fresh one will be.
    pub generation: Generation,
    /// 1 is the first; another one gets a container and a name of its own.
    pub attempt: u32,
}

/// Take down what this run brought, in whatever state it is, for a rollback.
/// What never started is removed. What has run gets restart policy `no`, seen; is
/// stopped, seen; and is kept for its log as `NAME.quaymaster-RUN-undone`. From
/// then on the run starts nothing of that generation any more.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TakeDown {
    /// Of which component.
    pub component: Component,
    /// Which; `None` = whatever of this generation the run staged there.
    pub container: Option<ContainerId>,
    /// What it is.
    pub generation: Generation,
    /// Seconds until the engine kills it; 0 to 3600.
    pub grace_seconds: u32,
    /// A person ordered a rollback, which destroys the migration. Without it a
    /// container whose migrating start has no proven end is left alone.
    pub destroys_migration: bool,
}

impl TryFrom<wire::TakeDownRequest> for Ordered<TakeDown> {
    type Error = InvalidField;

    fn try_from(message: wire::TakeDownRequest) -> Result<Self, InvalidField> {
        let wire::TakeDownRequest {
            act,
            component,
            container_id,
            generation,
            grace_seconds,
            destroys_migration,
        } = message;
        let order = TakeDown {
            component: Component::from_wire("component", component)?,
            container: parsed_if_any("container_id", &container_id)?,
            generation: within("generation", generation)?,
            grace_seconds: super::grace(grace_seconds)?,
            destroys_migration,
        };
        Ok(Self { act: within("act", act)?, order })
    }
}

impl From<Ordered<TakeDown>> for wire::TakeDownRequest {
    fn from(ordered: Ordered<TakeDown>) -> Self {
        let Ordered { act, order } = ordered;
        let TakeDown { component, container, generation, grace_seconds, destroys_migration } =
            order;
        Self {
            act: Some(act.into()),
            component: component.to_wire(),
            container_id: or_empty(container),
            generation: Some(generation.into()),
            grace_seconds,
            destroys_migration,
        }
    }
}

impl TryFrom<wire::RestoreConfigRequest> for Ordered<RestoreConfig> {
    type Error = InvalidField;

    fn try_from(message: wire::RestoreConfigRequest) -> Result<Self, InvalidField> {
        let wire::RestoreConfigRequest { act, from_sha256, to_sha256 } = message;
        let order = RestoreConfig {
            from: parsed("from_sha256", &from_sha256)?,
            to: parsed("to_sha256", &to_sha256)?,
        };
        Ok(Self { act: within("act", act)?, order })
    }
}

impl From<Ordered<RestoreConfig>> for wire::RestoreConfigRequest {
    fn from(ordered: Ordered<RestoreConfig>) -> Self {
        let Ordered { act, order: RestoreConfig { from, to } } = ordered;
        Self { act: Some(act.into()), from_sha256: from.into(), to_sha256: to.into() }
    }
}

impl TryFrom<wire::RemoveStagedConfigRequest> for Ordered<RemoveStagedConfig> {
    type Error = InvalidField;

    fn try_from(message: wire::RemoveStagedConfigRequest) -> Result<Self, InvalidField> {
        let wire::RemoveStagedConfigRequest { act, staged_sha256 } = message;
        let order = RemoveStagedConfig { staged: parsed("staged_sha256", &staged_sha256)? };
        Ok(Self { act: within("act", act)?, order })
    }
}

impl From<Ordered<RemoveStagedConfig>> for wire::RemoveStagedConfigRequest {
    fn from(ordered: Ordered<RemoveStagedConfig>) -> Self {
        let Ordered { act, order: RemoveStagedConfig { staged } } = ordered;
        Self { act: Some(act.into()), staged_sha256: staged.into() }
    }
}

impl TryFrom<wire::RemoveStagedRequest> for Ordered<RemoveStaged> {
    type Error = InvalidField;

    fn try_from(message: wire::RemoveStagedRequest) -> Result<Self, InvalidField> {
        let wire::RemoveStagedRequest { act, component, container_id } = message;
        let order = RemoveStaged {
            component: Component::from_wire("component", component)?,
            container: parsed_if_any("container_id", &container_id)?,
        };
        Ok(Self { act: within("act", act)?, order })
    }
}

impl From<Ordered<RemoveStaged>> for wire::RemoveStagedRequest {
    fn from(ordered: Ordered<RemoveStaged>) -> Self {
        let Ordered { act, order: RemoveStaged { component, container } } = ordered;
        Self {
            act: Some(act.into()),
            component: component.to_wire(),
            container_id: or_empty(container),
        }
    }
}

impl TryFrom<wire::RecreateRequest> for Ordered<Recreate> {
    type Error = InvalidField;

    fn try_from(message: wire::RecreateRequest) -> Result<Self, InvalidField> {
        let wire::RecreateRequest { act, component, container_id, generation, attempt } = message;
        let order = Recreate {
            component: Component::from_wire("component", component)?,
            container: parsed("container_id", &container_id)?,
            generation: within("generation", generation)?,
            attempt: super::attempt(attempt)?,
        };
        Ok(Self { act: within("act", act)?, order })
    }
}

impl From<Ordered<Recreate>> for wire::RecreateRequest {
    fn from(ordered: Ordered<Recreate>) -> Self {
        let Ordered { act, order: Recreate { component, container, generation, attempt } } =
            ordered;
        Self {
            act: Some(act.into()),
            component: component.to_wire(),
            container_id: container.into(),
            generation: Some(generation.into()),
            attempt,
        }
    }
}
