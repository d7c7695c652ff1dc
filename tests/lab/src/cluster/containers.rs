//! The lab's side of a container engine: what an operator would once have typed to have Quay 2.9.5
//! running, and the clearing away at the end. Both engines speak the same API.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bollard::Docker;
use bollard::errors::Error as EngineError;
use bollard::models::{
    ContainerCreateBody, HostConfig, NetworkCreateRequest, PortBinding, RestartPolicy,
    RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, CreateImageOptionsBuilder, ListContainersOptionsBuilder,
    RemoveContainerOptionsBuilder, StartContainerOptions,
};
use futures::TryStreamExt;

use super::lab_file::LabNetwork;

/// How long one answer of an engine may take, in seconds.
const PATIENCE_SECONDS: u64 = 60;
/// The label whose value is the lab's name.
pub(crate) const LABEL: &str = "quaymaster.lab";

#[derive(Debug, thiserror::Error)]
pub enum ContainersError {
    #[error("cannot reach the container engine at `{}`; is it running, and may this user use it?", socket.display())]
    Connect { socket: PathBuf, source: EngineError },
    #[error("cannot pull `{reference}`")]
    Pull { reference: String, source: EngineError },
    #[error("cannot create container `{name}`")]
    Create { name: String, source: EngineError },
    #[error("cannot start container `{name}`")]
    Start { name: String, source: EngineError },
    #[error("cannot list the lab's containers")]
    List { source: EngineError },
    #[error("cannot remove container `{id}`")]
    Remove { id: String, source: EngineError },
    #[error("cannot make the lab's network `{name}`")]
    MakeNetwork { name: String, source: EngineError },
    #[error("Docker does not say which address of network `{name}` is the machine's own")]
    NoGateway { name: String },
    #[error("cannot remove the lab's network `{id}`")]
    RemoveNetwork { id: String, source: EngineError },
}

/// What an operator gave to `docker run` for one of a node's containers.
#[derive(Clone, Debug)]
pub(crate) struct LabContainerSpec {
    pub(crate) name: String,
    pub(crate) lab: String,
    pub(crate) image: String,
    /// Behind the image's name; empty = the image's own.
    pub(crate) command: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    /// Source on the machine, target in the container.
    pub(crate) binds: Vec<(PathBuf, &'static str)>,
    pub(crate) address: String,
    /// Inside, then outside.
    pub(crate) ports: Vec<(u16, u16)>,
    /// `None`: the engine's own default.
    pub(crate) network: Option<String>,
    pub(crate) sysctl: bool,
}

pub(crate) async fn connect(socket: &Path) -> Result<Docker, ContainersError> {
    let failed = |source| ContainersError::Connect { socket: socket.to_owned(), source };
    let path = socket.display().to_string();
    let docker = Docker::connect_with_unix(&path, PATIENCE_SECONDS, bollard::API_DEFAULT_VERSION)
        .map_err(failed)?;
    docker.ping().await.map_err(failed)?;
    Ok(docker)
}

pub(crate) async fn pull(
    docker: &Docker,
    repository: &str,
    tag: &str,
) -> Result<(), ContainersError> {
    let options = CreateImageOptionsBuilder::default().from_image(repository).tag(tag).build();
    docker.create_image(Some(options), None, None).try_collect::<Vec<_>>().await.map_err(
        |source| ContainersError::Pull { reference: format!("{repository}:{tag}"), source },
    )?;
    Ok(())
}

/// Creates and starts, and returns the id.
pub(crate) async fn run(
    docker: &Docker,
    container: &LabContainerSpec,
    privileged: bool,
) -> Result<String, ContainersError> {
    let name = &container.name;
    let options = CreateContainerOptionsBuilder::default().name(name).build();
    let id = docker
        .create_container(Some(options), container.body(privileged))
        .await
        .map_err(|source| ContainersError::Create { name: name.clone(), source })?
        .id;
    match docker.start_container(&id, None::<StartContainerOptions>).await {
        Ok(()) => Ok(id),
        Err(source) => {
            remove(docker, &id).await?;
            Err(ContainersError::Start { name: name.clone(), source })
        }
    }
}

/// Every container of the lab, running or not, also those that agents made.
pub(crate) async fn of_lab(docker: &Docker, lab: &str) -> Result<Vec<String>, ContainersError> {
    let filters = HashMap::from([("label", vec![format!("{LABEL}={lab}")])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let found = docker
        .list_containers(Some(options))
        .await
        .map_err(|source| ContainersError::List { source })?;
    Ok(found.into_iter().filter_map(|container| container.id).collect())
}

/// Kills and removes with its anonymous volumes; one that is gone counts as removed.
pub(crate) async fn remove(docker: &Docker, id: &str) -> Result<(), ContainersError> {
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    match docker.remove_container(id, Some(options)).await {
        Ok(()) => Ok(()),
        Err(EngineError::DockerResponseServerError { status_code: 404, .. }) => Ok(()),
        Err(source) => Err(ContainersError::Remove { id: id.to_owned(), source }),
    }
}

pub(crate) async fn make_network(
    docker: &Docker,
    lab: &str,
) -> Result<LabNetwork, ContainersError> {
    let failed = |source| ContainersError::MakeNetwork { name: lab.to_owned(), source };
    let request = NetworkCreateRequest {
        name: lab.to_owned(),
        driver: Some("bridge".to_owned()),
        labels: Some([(LABEL.to_owned(), lab.to_owned())].into()),
        ..NetworkCreateRequest::default()
    };
    let id = docker.create_network(request).await.map_err(failed)?.id;
    let found = docker.inspect_network(&id, None).await.map_err(failed)?;
    let place = found
        .ipam
        .and_then(|ipam| ipam.config)
        .into_iter()
        .flatten()
        .find_map(|config| config.gateway.zip(config.subnet));
    let Some((gateway, subnet)) = place else {
        remove_network(docker, &id).await?;
        return Err(ContainersError::NoGateway { name: lab.to_owned() });
    };
    Ok(LabNetwork { id, gateway, subnet })
}

/// Removes the network that `make_network` made, also where its id was never kept.
pub(crate) async fn remove_network_of(docker: &Docker, lab: &str) -> Result<(), ContainersError> {
    // No answer means that there is none: whatever else is wrong, the removal would say it too.
    let Ok(found) = docker.inspect_network(lab, None).await else { return Ok(()) };
    let is_ours = found.labels.is_some_and(|labels| labels.get(LABEL).is_some_and(|of| of == lab));
    match found.id {
        Some(id) if is_ours => remove_network(docker, &id).await,
        Some(_) | None => Ok(()),
    }
}

async fn remove_network(docker: &Docker, id: &str) -> Result<(), ContainersError> {
    match docker.remove_network(id).await {
        Ok(()) => Ok(()),
        Err(EngineError::DockerResponseServerError { status_code: 404, .. }) => Ok(()),
        Err(source) => Err(ContainersError::RemoveNetwork { id: id.to_owned(), source }),
    }
}

impl LabContainerSpec {
    fn body(&self, privileged: bool) -> ContainerCreateBody {
        let Self {
            name: _,
            lab,
            image,
            command,
            environment,
            binds,
            address,
            ports,
            network,
            sysctl,
        } = self;
        let bindings = ports.iter().map(|(inside, outside)| {
            let binding = PortBinding {
                host_ip: Some(address.clone()),
                host_port: Some(outside.to_string()),
            };
            (format!("{inside}/tcp"), Some(vec![binding]))
        });
        let binds =
            binds.iter().map(|(source, target)| format!("{}:{target}", source.display())).collect();
        let sysctls = sysctl.then(|| [("net.core.somaxconn".into(), "4096".into())].into());
        ContainerCreateBody {
            image: Some(image.clone()),
            cmd: (!command.is_empty()).then(|| command.clone()),
            env: Some(environment.iter().map(|(name, value)| format!("{name}={value}")).collect()),
            labels: Some([(LABEL.to_owned(), lab.clone())].into()),
            exposed_ports: Some(ports.iter().map(|(inside, _)| format!("{inside}/tcp")).collect()),
            host_config: Some(HostConfig {
                binds: Some(binds),
                port_bindings: Some(bindings.collect()),
                restart_policy: Some(RestartPolicy {
                    name: Some(RestartPolicyNameEnum::ALWAYS),
                    maximum_retry_count: None,
                }),
                privileged: Some(privileged),
                network_mode: network.clone(),
                sysctls,
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        }
    }
}
