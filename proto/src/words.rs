//! Components, modes and generations.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::ImageId;
use crate::invalid::{InvalidField, parsed};
use crate::text::InvalidText;
use crate::wire;

/// What a node may run. A closed set: an agent knows no other containers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Component {
    /// The registry itself.
    Quay,
    /// The vulnerability scanner.
    Clair,
    /// A build worker.
    Builder,
    /// A repository-mirror worker: a Quay image that migrates as Quay does
    /// (quay-facts 2.1).
    Mirror,
}

impl Component {
    /// The key in agent.yaml and in labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Quay => "quay",
            Self::Clair => "clair",
            Self::Builder => "builder",
            Self::Mirror => "mirror",
        }
    }
}

impl Component {
    /// Every component, Quay first.
    pub const ALL: [Self; 4] = [Self::Quay, Self::Clair, Self::Builder, Self::Mirror];

    /// Whether its containers run Quay's image, read Quay's config.yaml, and
    /// may change Quay's database when they start.
    pub fn migrates(self) -> bool {
        match self {
            Self::Quay | Self::Mirror => true,
            Self::Clair | Self::Builder => false,
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl FromStr for Component {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "quay" => Ok(Self::Quay),
            "clair" => Ok(Self::Clair),
            "builder" => Ok(Self::Builder),
            "mirror" => Ok(Self::Mirror),
            _ => Err(InvalidText {
                text: text.to_owned(),
                rule: "a component: `quay`, `clair`, `builder` or `mirror`",
            }),
        }
    }
}

impl From<Component> for wire::Component {
    fn from(component: Component) -> Self {
        match component {
            Component::Quay => Self::Quay,
            Component::Clair => Self::Clair,
            Component::Builder => Self::Builder,
            Component::Mirror => Self::Mirror,
        }
    }
}

impl Component {
    /// Reads the wire's number.
    pub fn from_wire(path: &str, number: i32) -> Result<Self, InvalidField> {
        match wire::Component::try_from(number) {
            Ok(wire::Component::Quay) => Ok(Self::Quay),
            Ok(wire::Component::Clair) => Ok(Self::Clair),
            Ok(wire::Component::Builder) => Ok(Self::Builder),
            Ok(wire::Component::Mirror) => Ok(Self::Mirror),
            Ok(wire::Component::Unspecified) => Err(InvalidField::missing(path)),
            Err(_) => Err(InvalidField::because(path, format!("unknown component {number}"))),
        }
    }

    /// The wire's number.
    pub fn to_wire(self) -> i32 {
        wire::Component::from(self) as i32
    }
}

/// A Quay's `V3_UPGRADE_MODE` (quay-facts 2.4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Not set, as before 3.0.
    Absent,
    /// Old data model, backfilling beside it.
    Background,
    /// The new data model alone.
    Complete,
    /// Some other value, such as those of quay.io itself.
    Other,
}

impl Mode {
    /// As in config.yaml; `absent` and `other` are for people only.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Background => "background",
            Self::Complete => "complete",
            Self::Other => "other",
        }
    }

    /// What `V3_UPGRADE_MODE: value` says; the value is case-sensitive
    /// (quay-facts 2.4).
    pub fn from_config_value(value: Option<&str>) -> Self {
        match value {
            None => Self::Absent,
            Some("background") => Self::Background,
            Some("complete") => Self::Complete,
            Some(_) => Self::Other,
        }
    }

    /// Reads the wire's number.
    pub fn from_wire(path: &str, number: i32) -> Result<Self, InvalidField> {
        match wire::Mode::try_from(number) {
            Ok(wire::Mode::Absent) => Ok(Self::Absent),
            Ok(wire::Mode::Background) => Ok(Self::Background),
            Ok(wire::Mode::Complete) => Ok(Self::Complete),
            Ok(wire::Mode::Other) => Ok(Self::Other),
            Ok(wire::Mode::Unspecified) => Err(InvalidField::missing(path)),
            Err(_) => Err(InvalidField::because(path, format!("unknown mode {number}"))),
        }
    }

    /// The wire's number.
    pub fn to_wire(self) -> i32 {
        let mode = match self {
            Self::Absent => wire::Mode::Absent,
            Self::Background => wire::Mode::Background,
            Self::Complete => wire::Mode::Complete,
            Self::Other => wire::Mode::Other,
        };
        mode as i32
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// What excludes one another in a cluster: the image that runs and the mode it
/// runs in.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generation {
    /// The engine's id of the image.
    pub image: ImageId,
    /// The mode in effect.
    pub mode: Mode,
}

impl fmt::Display for Generation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} in {}", self.image.short(), self.mode)
    }
}

impl TryFrom<wire::Generation> for Generation {
    type Error = InvalidField;

    fn try_from(message: wire::Generation) -> Result<Self, InvalidField> {
        let wire::Generation { image_id, mode } = message;
        Ok(Self { image: parsed("image_id", &image_id)?, mode: Mode::from_wire("mode", mode)? })
    }
}

impl From<Generation> for wire::Generation {
    fn from(generation: Generation) -> Self {
        let Generation { image, mode } = generation;
        Self { image_id: image.into(), mode: mode.to_wire() }
    }
}

/// A published port that listens elsewhere inside the next container: 80
/// becomes 8080 from 2.9 to 3.0 (quay-facts 2.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortMove {
    /// Inside the container that runs now.
    pub from: u16,
    /// Inside the next one.
    pub to: u16,
}

impl TryFrom<wire::PortMove> for PortMove {
    type Error = InvalidField;

    fn try_from(message: wire::PortMove) -> Result<Self, InvalidField> {
        let wire::PortMove { from, to } = message;
        Ok(Self { from: port("from", from)?, to: port("to", to)? })
    }
}

impl From<PortMove> for wire::PortMove {
    fn from(port_move: PortMove) -> Self {
        let PortMove { from, to } = port_move;
        Self { from: from.into(), to: to.into() }
    }
}

/// A mount of the host that the next image looks for at another path: Clair's
/// configuration moves from 2.0 to 3.0 (quay-facts 4.3). It is mounted there
/// too, and stays where it was, so that paths in files go on to hold.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MountCopy {
    /// Inside the container that runs now: a mount, or a directory above it.
    pub from: String,
    /// Inside the next one.
    pub to: String,
}

impl TryFrom<wire::MountCopy> for MountCopy {
    type Error = InvalidField;

    fn try_from(message: wire::MountCopy) -> Result<Self, InvalidField> {
        let wire::MountCopy { from, to } = message;
        Ok(Self { from: absolute("from", from)?, to: absolute("to", to)? })
    }
}

impl From<MountCopy> for wire::MountCopy {
    fn from(copy: MountCopy) -> Self {
        let MountCopy { from, to } = copy;
        Self { from, to }
    }
}

fn absolute(path: &str, text: String) -> Result<String, InvalidField> {
    let is_good = text.starts_with('/') && text.len() > 1 && !text.contains(':');
    if is_good { Ok(text) } else { Err(InvalidField::because(path, "not an absolute path")) }
}

/// A port number out of a wider field.
pub(crate) fn port(path: &str, number: u32) -> Result<u16, InvalidField> {
    u16::try_from(number).map_err(|_| InvalidField::because(path, format!("{number} is no port")))
}
