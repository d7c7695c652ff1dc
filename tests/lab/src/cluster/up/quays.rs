//! Quay 2.9.5 on every node, run as an operator would have run it.

use std::time::Duration;

use futures::future::{join_all, try_join_all};

use quaymaster_proto::Component;

use super::super::containers::{self, ContainersError, LabContainerSpec};
use super::super::lab_file::{EngineKind, LabContainer, LabNode};
use super::super::wait::until;
use super::{Builder, Why};
use crate::http::Connection;
use crate::images::{self, LabImage};

/// How long a Quay may take to become healthy; scaled down, it takes about a second, and much
/// longer where many start at once.
pub(super) const HEALTHY: Duration = Duration::from_secs(90);

impl Builder<'_> {
    /// Into a real registry, and 3.0.5 out of the engine again: the upgrade has to pull it.
    pub(super) async fn publish_images(&mut self) -> Result<(), Why> {
        let Some(socket) = self.docker_socket() else { return Ok(()) };
        (self.say)("making the Quay images and pushing them into the registry");
        let docker = containers::connect(&socket).await?;
        let (all, program) = (self.images.all(), &self.binaries().quay);
        images::publish(&docker, &all, program, &self.layout.registry()).await?;
        for image in &self.images.new {
            images::remove(&docker, &image.reference()).await?;
        }
        Ok(())
    }

    pub(super) async fn run_quays(&mut self) -> Result<(), Why> {
        (self.say)("running Quay 2.9.5 on every node");
        let nodes = self.file.nodes.clone();
        let Some((first, rest)) = nodes.split_first() else { return Ok(()) };
        let (id, privileged) = self.run_first(first).await?;
        self.keep_container(first, id)?;
        let started = join_all(rest.iter().map(|node| self.run_quay(node, privileged))).await;
        for (node, started) in rest.iter().zip(started) {
            self.keep_container(node, started?)?;
        }
        Ok(())
    }

    /// The documentation runs Quay with `--privileged` (quay-facts 0); an engine that is itself in
    /// a container may refuse that.
    async fn run_first(&self, node: &LabNode) -> Result<(String, bool), Why> {
        match self.run_quay(node, true).await {
            Ok(id) => Ok((id, true)),
            Err(Why::Containers(ContainersError::Start { source, .. })) => {
                (self.say)(&format!(
                    "this engine does not run privileged containers ({source}); going on without"
                ));
                Ok((self.run_quay(node, false).await?, false))
            }
            Err(why) => Err(why),
        }
    }

    async fn run_quay(&self, node: &LabNode, privileged: bool) -> Result<String, Why> {
        let docker = containers::connect(&node.engine_socket).await?;
        if self.options.engine != EngineKind::Docker {
            let image = self.old_image(Component::Quay);
            containers::pull(&docker, &image.repository, &image.tag).await?;
        }
        Ok(containers::run(&docker, &self.quay_of(node), privileged).await?)
    }

    pub(super) fn old_image(&self, component: Component) -> &LabImage {
        self.images.old_of(component).expect("a lab has images of what it runs")
    }

    pub(super) fn quay_of(&self, node: &LabNode) -> LabContainerSpec {
        let wanted = format!("LAB_SECRET of {}", node.name);
        let secret = self.file.secrets.iter().find(|secret| secret.name == wanted);
        let image = self.old_image(Component::Quay);
        let mut environment = vec![
            ("LAB_NODE".to_owned(), node.name.clone()),
            ("LAB_SECRET".to_owned(), secret.map(|one| one.value.clone()).unwrap_or_default()),
        ];
        environment.extend(self.options.environment.iter().cloned());
        let outside = [node.http_port, node.https_port];
        LabContainerSpec {
            name: node.container.clone(),
            lab: self.file.lab.clone(),
            image: image.reference(),
            command: Vec::new(),
            environment,
            binds: vec![
                (self.layout.config(&node.name), "/conf/stack"),
                (self.layout.storage(), "/datastorage"),
                (self.layout.shared(), "/var/quay-db"),
                (self.layout.witness(), "/witness"),
            ],
            address: node.address.to_string(),
            ports: image.ports.iter().copied().zip(outside).collect(),
            network: self.file.network.as_ref().map(|network| network.id.clone()),
            sysctl: self.options.engine != EngineKind::Standin,
        }
    }

    pub(super) fn keep_container(&mut self, node: &LabNode, id: String) -> Result<(), Why> {
        self.file.containers.push(LabContainer { node: node.name.clone(), id });
        self.save()
    }

    pub(super) async fn wait_for_quays(&self) -> Result<(), Why> {
        (self.say)("waiting until every Quay is healthy");
        try_join_all(self.file.nodes.iter().map(wait_for_quay)).await.map(|_| ())
    }

    fn docker_socket(&self) -> Option<std::path::PathBuf> {
        match self.options.engine {
            EngineKind::Standin => None,
            EngineKind::Docker | EngineKind::Private => {
                self.file.nodes.first().map(|node| node.engine_socket.clone())
            }
        }
    }
}

async fn wait_for_quay(node: &LabNode) -> Result<(), Why> {
    let look = async || {
        let mut connection = Connection::new(node.http());
        for path in ["/health/instance", "/health/endtoend"] {
            match connection.get(path).await {
                Some(answer) if answer.status == 200 => {}
                Some(answer) => return Err(format!("HTTP {} on {path}", answer.status)),
                None => return Err(format!("no answer at {}", node.http())),
            }
        }
        Ok(())
    };
    until("both health routes", HEALTHY, look)
        .await
        .map_err(|source| Why::Sick { node: node.name.clone(), source })
}
