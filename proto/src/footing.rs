//! What a window would stand on beside what every survey tells: asked before a
//! plan is made (quay-facts 7.2). Answers, never the values of settings.

use serde::{Deserialize, Serialize};

use crate::invalid::{InvalidField, required, within_if_any};
use crate::storage::StorageFooting;
use crate::wire;

/// What a window would stand on.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Footing {
    /// config.yaml, with the environment's override laid over it.
    pub config: ConfigFooting,
    /// The Quay container that runs.
    pub container: ContainerFooting,
    /// The host.
    pub host: HostFooting,
    /// `None` = it cannot be read, or has nothing of it.
    pub database: Option<DatabaseFooting>,
    /// Of each Redis that config.yaml names and that can be asked from there.
    pub redis_versions: Vec<String>,
    /// Where Quay's blobs lie.
    #[serde(default)]
    pub storage: StorageFooting,
}

/// Of config.yaml.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigFooting {
    /// `TESTING`; `None` = not there. What is not literally false is true.
    pub testing: Option<bool>,
    /// `PREFERRED_URL_SCHEME` is https.
    pub https: bool,
    /// `EXTERNAL_TLS_TERMINATION` is literally true.
    pub external_tls: bool,
    /// There is an `ssl.key` beside it.
    pub tls_key: bool,
    /// `DB_URI` has a percent sign in it.
    pub percent_in_database_uri: bool,
}

/// Of the container.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContainerFooting {
    /// It has all rights.
    pub privileged: bool,
    /// Its `net.core.somaxconn`, where it was given one.
    pub somaxconn: Option<u64>,
    /// Of its image, where the engine tells.
    pub image_bytes: Option<u64>,
}

/// Of the host.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostFooting {
    /// The agent's state directory has the reserve for the way back, or room
    /// for it.
    pub has_reserve: bool,
    /// Whether containers outlive a restart of the engine, where it tells.
    pub live_restore: Option<bool>,
    /// Packages of the engine that the host upgrades by itself.
    pub self_upgrading: Vec<String>,
}

/// Of the database.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseFooting {
    /// The extension `pg_trgm` is there.
    pub has_trigrams: bool,
    /// Tables that the schema's migration rewrites.
    pub rewritten: Vec<TableSize>,
}

/// A table.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableSize {
    /// Its name.
    pub table: String,
    /// With its indexes.
    pub bytes: u64,
}

impl TryFrom<wire::Footing> for Footing {
    type Error = InvalidField;

    fn try_from(message: wire::Footing) -> Result<Self, InvalidField> {
        let wire::Footing { config, container, host, database, redis_versions, storage } = message;
        let config = required("config", config)?;
        let wire::ConfigFooting { testing, https, external_tls, tls_key, .. } = config;
        let percent_in_database_uri = config.percent_in_database_uri;
        let wire::ContainerFooting { privileged, somaxconn, image_bytes } =
            required("container", container)?;
        let wire::HostFooting { has_reserve, live_restore, self_upgrading } =
            required("host", host)?;
        Ok(Self {
            config: ConfigFooting {
                testing,
                https,
                external_tls,
                tls_key,
                percent_in_database_uri,
            },
            container: ContainerFooting { privileged, somaxconn, image_bytes },
            host: HostFooting { has_reserve, live_restore, self_upgrading },
            database: database.map(Into::into),
            redis_versions,
            storage: within_if_any("storage", storage)?.unwrap_or_default(),
        })
    }
}

impl From<Footing> for wire::Footing {
    fn from(footing: Footing) -> Self {
        let Footing { config, container, host, database, redis_versions, storage } = footing;
        let ConfigFooting { testing, https, external_tls, tls_key, percent_in_database_uri } =
            config;
        let ContainerFooting { privileged, somaxconn, image_bytes } = container;
        let HostFooting { has_reserve, live_restore, self_upgrading } = host;
        Self {
            config: Some(wire::ConfigFooting {
                testing,
                https,
                external_tls,
                tls_key,
                percent_in_database_uri,
            }),
            container: Some(wire::ContainerFooting { privileged, somaxconn, image_bytes }),
            host: Some(wire::HostFooting { has_reserve, live_restore, self_upgrading }),
            database: database.map(Into::into),
            redis_versions,
            storage: Some(storage.into()),
        }
    }
}

impl From<wire::DatabaseFooting> for DatabaseFooting {
    fn from(message: wire::DatabaseFooting) -> Self {
        let wire::DatabaseFooting { has_trigrams, rewritten } = message;
        let size = |wire::TableSize { table, bytes }| TableSize { table, bytes };
        Self { has_trigrams, rewritten: rewritten.into_iter().map(size).collect() }
    }
}

impl From<DatabaseFooting> for wire::DatabaseFooting {
    fn from(footing: DatabaseFooting) -> Self {
        let DatabaseFooting { has_trigrams, rewritten } = footing;
        let size = |TableSize { table, bytes }| wire::TableSize { table, bytes };
        Self { has_trigrams, rewritten: rewritten.into_iter().map(size).collect() }
    }
}
