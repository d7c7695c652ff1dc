//! A client of the Docker registry protocol, as small as a verification needs it. An effect room;
//! `challenge`, `credentials`, `location` and `trouble` are pure.
//!
//! It asks the one door that it was given and no other: a token comes from that door's own
//! `/v2/auth`, whatever host the realm names (quay-facts 8.2); a `Location` is taken by its path
//! (quay-facts 1.1); a redirect is an error by name, except where a blob is read, which Quay may
//! leave to its storage. The token is never sent there.

mod challenge;
mod client;
mod credentials;
mod door;
mod location;
mod patience;
mod push;
mod reply;
mod trouble;

pub use challenge::{Challenge, granted};
pub use client::{Access, Blob, Client, Manifest};
pub use credentials::{CredentialsError, Login, login};
pub use door::{Door, DoorError};
pub use patience::Patience;
pub use push::{Content, Put};
pub use reply::ErrorBody;
pub use trouble::{CertificateTrouble, Trouble};

/// Media types of manifests (quay-facts 8.1).
pub mod media_type {
    /// Schema 1 without a signature.
    pub const SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+json";
    /// Schema 1 with its signature.
    pub const SIGNED_SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    /// Schema 2.
    pub const SCHEMA_2: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// A list of manifests.
    pub const LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// The configuration of a schema 2 image.
    pub const CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    /// A layer.
    pub const LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    /// A layer that lies elsewhere, as those of Windows do.
    pub const FOREIGN_LAYER: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";

    /// Everything that is understood. Without a list Quay converts to schema 1 what it can
    /// (quay-facts 8.3).
    pub const ALL: [&str; 4] = [LIST, SCHEMA_2, SIGNED_SCHEMA_1, SCHEMA_1];
}

#[cfg(test)]
mod tests;
