//! The floor: what may run on a node since a window went dark, and what may
//! not any more. A generation below it is not started, and stopped where it
//! appears.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::act::{ExpectedDatabase, Ordered};
use crate::id::ImageId;
use crate::invalid::{InvalidField, each, parsed, within, within_if_any};
use crate::wire;
use crate::words::{Generation, Mode};

/// A node's floor.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Floor {
    /// What the node runs, or will run.
    pub generation: Generation,
    /// What may not run there any more.
    pub below: Vec<Below>,
}

impl Floor {
    /// Whether a Quay of this image, in this mode, may not run any more. What
    /// the floor does not know is not below it.
    pub fn forbids(&self, image: &ImageId, mode: Mode) -> bool {
        self.below.iter().any(|below| below.is(image, mode))
    }
}

/// A generation that may not run any more.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Below {
    /// Its image.
    pub image: ImageId,
    /// Its mode; `None` = any: an old image stays old whatever mode the file
    /// that it reads asks for.
    pub mode: Option<Mode>,
}

impl Below {
    fn is(&self, image: &ImageId, mode: Mode) -> bool {
        self.image == *image && self.mode.is_none_or(|below| below == mode)
    }
}

impl fmt::Display for Below {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mode {
            None => write!(formatter, "image {}", self.image.short()),
            Some(mode) => write!(formatter, "image {} in {mode}", self.image.short()),
        }
    }
}

/// Write down what may not run on the node any more.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetFloor {
    /// The floor as the plan saw it.
    pub from: Option<Floor>,
    /// The floor from now on.
    pub to: Floor,
}

/// Take that back: on the proof that nothing new ever started, or on what the
/// agent itself reads behind a restore.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LowerFloor {
    /// The floor as the run set it.
    pub from: Floor,
    /// The floor as the run found it.
    pub to: Option<Floor>,
    /// Behind a restore: the database at the revision that the run found, as the
    /// agent reads it right before. Absent from the records of earlier agents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<ExpectedDatabase>,
}

impl TryFrom<wire::Floor> for Floor {
    type Error = InvalidField;

    fn try_from(message: wire::Floor) -> Result<Self, InvalidField> {
        let wire::Floor { generation, below } = message;
        Ok(Self { generation: within("generation", generation)?, below: each("below", below)? })
    }
}

impl From<Floor> for wire::Floor {
    fn from(floor: Floor) -> Self {
        let Floor { generation, below } = floor;
        Self {
            generation: Some(generation.into()),
            below: below.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<wire::Below> for Below {
    type Error = InvalidField;

    fn try_from(message: wire::Below) -> Result<Self, InvalidField> {
        let wire::Below { image_id, mode } = message;
        let mode = mode.map(|mode| Mode::from_wire("mode", mode)).transpose()?;
        Ok(Self { image: parsed("image_id", &image_id)?, mode })
    }
}

impl From<Below> for wire::Below {
    fn from(below: Below) -> Self {
        let Below { image, mode } = below;
        Self { image_id: image.into(), mode: mode.map(Mode::to_wire) }
    }
}

impl TryFrom<wire::SetFloorRequest> for Ordered<SetFloor> {
    type Error = InvalidField;

    fn try_from(message: wire::SetFloorRequest) -> Result<Self, InvalidField> {
        let wire::SetFloorRequest { act, from, to } = message;
        let order = SetFloor { from: within_if_any("from", from)?, to: within("to", to)? };
        Ok(Self { act: within("act", act)?, order })
    }
}

impl From<Ordered<SetFloor>> for wire::SetFloorRequest {
    fn from(ordered: Ordered<SetFloor>) -> Self {
        let Ordered { act, order: SetFloor { from, to } } = ordered;
        Self { act: Some(act.into()), from: from.map(Into::into), to: Some(to.into()) }
    }
}

impl TryFrom<wire::LowerFloorRequest> for Ordered<LowerFloor> {
    type Error = InvalidField;

    fn try_from(message: wire::LowerFloorRequest) -> Result<Self, InvalidField> {
        let wire::LowerFloorRequest { act, from, to, database } = message;
        let order = LowerFloor {
            from: within("from", from)?,
            to: within_if_any("to", to)?,
            database: within_if_any("database", database)?,
        };
        Ok(Self { act: within("act", act)?, order })
    }
}

impl From<Ordered<LowerFloor>> for wire::LowerFloorRequest {
    fn from(ordered: Ordered<LowerFloor>) -> Self {
        let Ordered { act, order: LowerFloor { from, to, database } } = ordered;
        Self {
            act: Some(act.into()),
            from: Some(from.into()),
            to: to.map(Into::into),
            database: database.map(Into::into),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(digit: char) -> ImageId {
        format!("sha256:{}", String::from(digit).repeat(64)).parse().unwrap()
    }

    #[test]
    fn an_old_image_is_below_in_any_mode_and_an_unknown_one_in_none() {
        let generation = Generation { image: image('3'), mode: Mode::Complete };
        let below = vec![
            Below { image: image('2'), mode: None },
            Below { image: image('3'), mode: Some(Mode::Background) },
        ];
        let floor = Floor { generation, below };
        assert!(floor.forbids(&image('2'), Mode::Absent));
        assert!(floor.forbids(&image('2'), Mode::Complete), "it reads the next file");
        assert!(floor.forbids(&image('3'), Mode::Background));
        assert!(!floor.forbids(&image('3'), Mode::Complete));
        assert!(!floor.forbids(&image('4'), Mode::Background), "newer or unknown");
    }
}
