//! A container's settings in the agent's words.

mod digest;
mod port;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use quaymaster_proto::{ImageId, RestartPolicy, SpecDigest};
use serde_json::Value;

pub use self::port::{ContainerPort, HostPort, InvalidPort};
use crate::secret::Secret;

/// What the owner of a container asked of it.
///
/// Printing one shows names, never values: they may be secrets.
#[derive(Clone, PartialEq)]
pub struct ContainerSpec {
    /// What runs. Not the owner's part: a release replaces it.
    pub image: ImageId,
    /// Values by name; `None` = a name without `=`.
    pub environment: BTreeMap<String, Option<Secret>>,
    /// Labels by key.
    pub labels: BTreeMap<String, String>,
    /// What is started, and how.
    pub process: ProcessSpec,
    /// Its own host name, if it was given one.
    pub hostname: Option<String>,
    /// Its domain.
    pub domainname: Option<String>,
    /// What is mounted.
    pub storage: StorageSpec,
    /// How it is reached.
    pub network: NetworkSpec,
    /// What happens when it ends. Not part of the digest: a stop changes it,
    /// and the plan carries it.
    pub restart_policy: RestartPolicy,
    /// The engine removes it when it ends.
    pub auto_remove: bool,
    /// Everything else, by the engine's own names and in its own words: limits,
    /// capabilities, sysctls, logging, name resolution, ...
    pub options: BTreeMap<String, Value>,
    /// Settings that would be lost, by their paths: `HostConfig.Example`.
    pub unknown: BTreeMap<String, Unknown>,
}

/// Why nobody can say what a setting is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unknown {
    /// The engine shows it, and this agent does not know it.
    ToAgent,
    /// The engine has it, and does not show it.
    NotShown,
}

/// What is started. `None` and empty = the image's.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ProcessSpec {
    /// Instead of the image's; `[""]` = none, though the image has one.
    pub entrypoint: Option<Vec<String>>,
    /// Instead of the image's.
    pub command: Option<Vec<String>>,
    /// Name or number, with or without group.
    pub user: Option<String>,
    /// Where it starts.
    pub working_dir: Option<String>,
    /// What a stop sends.
    pub stop_signal: Option<String>,
    /// Seconds that a stop waits when it is not told.
    pub stop_timeout: Option<i64>,
    /// In the engine's words.
    pub healthcheck: Option<Value>,
    /// A terminal.
    pub tty: bool,
    /// An open input.
    pub open_stdin: bool,
    /// That ends with the first who leaves it.
    pub stdin_once: bool,
}

impl ProcessSpec {
    /// What an engine is told so that the image's entrypoint counts for nothing:
    /// to tell it none would leave the image's.
    pub fn no_entrypoint() -> Vec<String> {
        vec![String::new()]
    }
}

/// What is mounted.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct StorageSpec {
    /// `source:destination[:options]`; the source is a path or a volume's name.
    pub binds: Vec<String>,
    /// In the engine's words.
    pub mounts: Vec<Value>,
    /// Where volumes without a name are mounted.
    pub anonymous_volumes: BTreeSet<String>,
    /// Containers whose mounts it has too.
    pub volumes_from: Vec<String>,
}

/// How a container is reached.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct NetworkSpec {
    /// `default`, `bridge`, `host`, `none`, `container:..` or a network's name.
    pub mode: String,
    /// The network that the mode means, by its name, where that can be told.
    /// Not part of the digest: it only can while the container runs.
    pub first: Option<String>,
    /// The networks that it is on.
    pub endpoints: BTreeMap<String, EndpointSpec>,
    /// Links to other containers, the old way.
    pub links: Vec<String>,
    /// Published ports.
    pub ports: BTreeMap<ContainerPort, Vec<HostPort>>,
    /// Ports that are exposed and not published, beside the image's.
    pub exposed: BTreeSet<ContainerPort>,
    /// No network at all, whatever the mode says.
    pub is_disabled: bool,
    /// Its hardware address in the network that the mode names, if somebody
    /// chose it.
    pub mac_address: Option<String>,
}

/// A container's place in a network.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct EndpointSpec {
    /// Names that others there may call it by.
    pub aliases: Vec<String>,
    /// A fixed address.
    pub ipv4_address: Option<String>,
    /// A fixed address.
    pub ipv6_address: Option<String>,
    /// Further addresses, of this link alone.
    pub link_local_addresses: Vec<String>,
    /// Links in this network.
    pub links: Vec<String>,
    /// Of the network's driver.
    pub driver_options: BTreeMap<String, String>,
    /// Which of several networks leads outside: the highest.
    pub gateway_priority: i64,
}

/// What an image brings into its containers' settings.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ImageDefaults {
    /// `NAME=value`.
    pub environment: Vec<String>,
    /// Labels by key.
    pub labels: BTreeMap<String, String>,
    /// Entrypoint, command and so on.
    pub process: ProcessSpec,
    /// Where it wants volumes.
    pub volumes: BTreeSet<String>,
    /// Its ports.
    pub exposed: BTreeSet<ContainerPort>,
}

impl ContainerSpec {
    /// The value of a variable that the owner set.
    pub fn environment_value(&self, name: &str) -> Option<&Secret> {
        self.environment.get(name)?.as_ref()
    }

    /// The names of the variables that the owner set.
    pub fn environment_names(&self) -> impl Iterator<Item = &str> {
        self.environment.keys().map(String::as_str)
    }

    /// HMAC-SHA256 over the owner's part: the same after restarts, another
    /// when anything was asked otherwise. Keyed, for a plan carries it and the
    /// environment's values are in it.
    pub fn digest(&self, key: &SpecKey) -> SpecDigest {
        digest::of(self, key)
    }

    /// Where two specs differ, by name: `environment`, `options.Memory`. Their
    /// values stay out of it, for they may be secrets.
    pub(crate) fn unlike(&self, other: &Self) -> Vec<String> {
        let mut unlike = digest::unlike(self, other);
        if self.image != other.image {
            unlike.push("image".to_owned());
        }
        if self.restart_policy != other.restart_policy {
            unlike.push("restart policy".to_owned());
        }
        unlike
    }
}

/// The key of one agent's spec digests.
#[derive(Clone, PartialEq, Eq)]
pub struct SpecKey([u8; 32]);

impl SpecKey {
    /// Wraps 32 random bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for SpecKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SpecKey(..)")
    }
}

impl StorageSpec {
    /// Source, destination and options of a bind.
    pub fn bind_parts(bind: &str) -> (&str, &str, &str) {
        let mut parts = bind.splitn(3, ':');
        let mut next = || parts.next().unwrap_or("");
        (next(), next(), next())
    }
}

impl fmt::Debug for ContainerSpec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ContainerSpec")
            .field("image", &self.image)
            .field("environment", &self.environment.keys())
            .field("binds", &self.storage.binds)
            .field("options", &self.options.keys())
            .finish_non_exhaustive()
    }
}
