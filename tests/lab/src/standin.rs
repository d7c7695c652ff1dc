//! The program in every image of the lab: what it stands in for is in its image's environment.
#![expect(clippy::disallowed_methods, reason = "an effect room: the environment is read here")]

use std::process::ExitCode;

use quaymaster_proto::Component;

use crate::{beside, quay};

/// Runs as a container's first process.
pub fn main() -> ExitCode {
    let component = std::env::var("STANDIN_COMPONENT").ok().and_then(|text| text.parse().ok());
    match component.unwrap_or(Component::Quay) {
        Component::Quay | Component::Mirror => quay::main(),
        Component::Clair => beside::clair(),
        Component::Builder => beside::builder(),
    }
}
