//! What stands beside the Quays: builders, Clair, mirrors, run as an operator would have run them.

use quaymaster_proto::Component;

use super::super::containers::{self, LabContainerSpec};
use super::super::lab_file::{EngineKind, LabCompanion, LabNode};
use super::super::wait::until;
use super::{Builder, Why};
use crate::http::Connection;

/// At which Clair says how it is, inside and outside (quay-facts 4.3).
const CLAIR_PORTS: [u16; 2] = [6060, 6061];

impl Builder<'_> {
    pub(super) async fn run_companions(&mut self) -> Result<(), Why> {
        let nodes = self.file.nodes.clone();
        if nodes.iter().all(|node| node.companions.is_empty()) {
            return Ok(());
        }
        (self.say)("running builders, Clair and a mirror beside them");
        for node in &nodes {
            for companion in &node.companions {
                let docker = containers::connect(&node.engine_socket).await?;
                let image = self.old_image(companion.component);
                if self.options.engine != EngineKind::Docker {
                    containers::pull(&docker, &image.repository, &image.tag).await?;
                }
                let spec = self.companion_of(node, companion);
                let id = containers::run(&docker, &spec, false).await?;
                self.keep_container(node, id)?;
            }
        }
        for node in nodes.iter().filter(|node| node.companion(Component::Clair).is_some()) {
            wait_for_clair(node).await?;
        }
        Ok(())
    }

    fn companion_of(&self, node: &LabNode, companion: &LabCompanion) -> LabContainerSpec {
        let quay = self.quay_of(node);
        let spec = LabContainerSpec {
            name: companion.container.clone(),
            image: self.old_image(companion.component).reference(),
            environment: vec![("LAB_NODE".to_owned(), node.name.clone())],
            binds: Vec::new(),
            ports: Vec::new(),
            sysctl: false,
            ..quay.clone()
        };
        match companion.component {
            Component::Clair => LabContainerSpec {
                binds: vec![(self.layout.clair(&node.name), "/config")],
                ports: CLAIR_PORTS.map(|port| (port, port)).into(),
                ..spec
            },
            Component::Builder => LabContainerSpec {
                environment: vec![
                    ("LAB_NODE".to_owned(), node.name.clone()),
                    ("SERVER".to_owned(), format!("ws://{}", node.http())),
                ],
                ..spec
            },
            // The same config, database and storage; nothing is published.
            Component::Quay | Component::Mirror => LabContainerSpec {
                command: vec!["repomirror".to_owned()],
                binds: quay.binds,
                ..spec
            },
        }
    }
}

async fn wait_for_clair(node: &LabNode) -> Result<(), Why> {
    let address = std::net::SocketAddrV4::new(node.address, CLAIR_PORTS[1]);
    let look = async || {
        let mut connection = Connection::new(address);
        match connection.get("/health").await {
            Some(answer) if answer.status == 200 => Ok(()),
            Some(answer) => Err(format!("HTTP {} at {address}", answer.status)),
            None => Err(format!("no answer at {address}")),
        }
    };
    until("Clair's health", super::quays::HEALTHY, look)
        .await
        .map_err(|source| Why::Sick { node: node.name.clone(), source })
}
