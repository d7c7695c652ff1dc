//! Why a request is refused, with the status and the words that Docker 20.10
//! was seen to answer.

use super::{filter::FilterRefusal, port::PublishedPort, registry::RegistryRefusal};
use axum::http::StatusCode;

/// A refused request.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("No such container: {0}")]
    NoSuchContainer(String),
    #[error("No such image: {0}")]
    NoSuchImage(String),
    #[error(
        "Conflict. The container name \"/{name}\" is already in use by container \"{holder}\". \
         You have to remove (or rename) that container to be able to reuse that name."
    )]
    NameTaken { name: String, holder: String },
    #[error("Invalid container name ({0}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")]
    InvalidName(String),
    #[error("Renaming a container with the same name as its current name")]
    SameName,
    #[error("invalid restart policy '{0}'")]
    InvalidPolicy(String),
    #[error("invalid volume specification: '{0}'")]
    InvalidMount(String),
    #[error("invalid port specification: '{0}'")]
    InvalidPort(String),
    #[error("Invalid signal: {0}")]
    InvalidSignal(String),
    #[error("invalid argument: {0}")]
    InvalidArgument(String),
    #[error("Invalid filter '{0}'")]
    InvalidFilter(String),
    #[error("No command specified")]
    NoCommand,
    #[error("Bad parameters: you must choose at least one stream")]
    NoStream,
    #[error("Cannot kill container: {0}: Container {0} is not running")]
    NotRunning(String),
    #[error(
        "You cannot remove a running container {0}. Stop the container before attempting removal \
         or force remove"
    )]
    StillRunning(String),
    #[error(
        "driver failed programming external connectivity on endpoint {name}: Bind for {}:{} \
         failed: port is already allocated", port.host_address, port.host_port
    )]
    PortAllocated { name: String, port: PublishedPort },
    #[error(
        "driver failed programming external connectivity on endpoint {name}: Error starting \
         userland proxy: listen {}4 {}:{}: bind: address already in use", port.protocol,
        port.host_address, port.host_port
    )]
    AddressInUse { name: String, port: PublishedPort },
    #[error(
        "failed to create shim task: OCI runtime create failed: runc create failed: unable to \
         start container process: exec: \"{0}\": stat {0}: no such file or directory: unknown"
    )]
    NoSuchProgram(String),
    #[error("failed to create shim task: OCI runtime create failed: {0}")]
    CannotRun(String),
    #[error("{0}")]
    Registry(RegistryRefusal),
    #[error("client version {asked} is too new. Maximum supported API version is {newest}")]
    TooNew { asked: String, newest: String },
    #[error("page not found")]
    NoSuchPage,
    /// The lab asked for it.
    #[error("{0} fails, as the lab's faults ask")]
    Fault(&'static str),
    #[error("{0}")]
    Broken(String),
}

impl From<FilterRefusal> for Refusal {
    fn from(refusal: FilterRefusal) -> Self {
        match refusal {
            FilterRefusal::NotJson => Self::InvalidArgument("filters".to_owned()),
            FilterRefusal::Unknown(key) => Self::InvalidFilter(key),
        }
    }
}

impl Refusal {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::NoSuchContainer(_) | Self::NoSuchImage(_) | Self::NoSuchPage => {
                StatusCode::NOT_FOUND
            }
            Self::NameTaken { .. } | Self::NotRunning(_) | Self::StillRunning(_) => {
                StatusCode::CONFLICT
            }
            Self::InvalidName(_)
            | Self::SameName
            | Self::InvalidPolicy(_)
            | Self::InvalidMount(_)
            | Self::InvalidPort(_)
            | Self::InvalidSignal(_)
            | Self::InvalidArgument(_)
            | Self::InvalidFilter(_)
            | Self::NoCommand
            | Self::NoStream
            | Self::TooNew { .. }
            // Docker blames the request for a program that is not there.
            | Self::NoSuchProgram(_) => StatusCode::BAD_REQUEST,
            Self::Registry(refusal) => match refusal {
                RegistryRefusal::NoManifest { .. } | RegistryRefusal::Denied { .. } => {
                    StatusCode::NOT_FOUND
                }
                RegistryRefusal::Unreachable { .. }
                | RegistryRefusal::NoCredentials { .. }
                | RegistryRefusal::WrongCredentials => StatusCode::INTERNAL_SERVER_ERROR,
            },
            Self::PortAllocated { .. }
            | Self::AddressInUse { .. }
            | Self::CannotRun(_)
            | Self::Fault(_)
            | Self::Broken(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The exit code that a container shows after a start that failed so.
    pub(crate) fn exit_code(&self) -> i64 {
        // 128 is Docker's code for all else that goes wrong before the program runs.
        if matches!(self, Self::NoSuchProgram(_)) { 127 } else { 128 }
    }
}
