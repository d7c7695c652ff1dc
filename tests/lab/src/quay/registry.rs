//! The stand-in's registry: tokens, blobs, manifests and tags, in each release and mode as
//! quay-facts 8 and quay-observed 5 have it.
//!
//! Blobs and manifests are files of the shared storage; which tag means which manifest is in the
//! database, in the tables of the release's model: 2.9.5 writes the old one, background mode both,
//! complete mode the new one alone. A token is signed with what every node knows, so that one
//! node's is good at all (quay-facts 8.2).

mod blobs;
mod manifest;
mod manifests;
mod path;
mod store;
mod tables;
mod token;
mod tokens;

use axum::http::request::Parts;

use super::answers::Answer;
use super::config::QuayConfig;
use super::database::Database;
use super::release::Release;

pub(super) use path::{Asked, Subject};
pub(super) use store::Store;
pub(super) use tables::add_robot_statements;
pub(super) use token::Login;

/// Which tables a push writes and a pull reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Model {
    /// 2.9.
    Old,
    /// Background: reads the old one and writes both.
    Both,
    /// Complete.
    New,
}

impl Model {
    pub(super) fn of(release: Release, config: &QuayConfig) -> Self {
        match (release, config.mode.as_deref()) {
            (Release::V2_9_5, _) => Self::Old,
            (Release::V3_0_5, Some("background")) => Self::Both,
            (Release::V3_0_5, _) => Self::New,
        }
    }

    /// Whether schema 2 and lists may come in.
    const fn takes_schema2(self) -> bool {
        matches!(self, Self::New)
    }
}

/// What answers a request below `/v2/` that carries a login or a token.
#[derive(Debug)]
pub(super) struct Registry<'a> {
    pub(super) database: &'a Database,
    pub(super) store: &'a Store,
    pub(super) model: Model,
    pub(super) is_read_only: bool,
    /// `scheme://SERVER_HOSTNAME`
    pub(super) base: String,
    /// `SERVER_HOSTNAME`
    pub(super) service: &'a str,
}

/// A request, taken apart.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) parts: &'a Parts,
    pub(super) body: &'a [u8],
}

impl Wanted<'_> {
    fn header(&self, name: &str) -> &str {
        self.parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn query(&self, name: &str) -> Option<String> {
        path::query(self.parts.uri.query().unwrap_or_default(), name)
    }

    fn method(&self) -> &str {
        self.parts.method.as_str()
    }
}

/// Something that the stand-in itself could not do: Quay would say 500.
#[derive(Debug)]
pub(super) struct Broken(pub(super) String);

/// An answer whose body may be anything.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Reply {
    pub(super) answer: Answer,
    pub(super) bytes: Vec<u8>,
}

impl Reply {
    fn with_body(self, bytes: Vec<u8>) -> Self {
        Self { bytes, ..self }
    }
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        let bytes = answer.body.clone().into_bytes();
        Self { answer, bytes }
    }
}

pub(super) type Answered = Result<Reply, Broken>;

impl From<super::database::DatabaseError> for Broken {
    fn from(error: super::database::DatabaseError) -> Self {
        Self(super::migration::chain(&error))
    }
}

impl From<std::io::Error> for Broken {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}
