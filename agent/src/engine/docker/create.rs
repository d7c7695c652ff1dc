//! Creating a container: under its name it is whole and what was asked for, or
//! it is not there.

use bollard::models::NetworkConnectRequest;
use bollard::query_parameters::{InspectNetworkOptions, RenameContainerOptionsBuilder};
use quaymaster_proto::{ContainerId, ContainerStatus};

use super::{DockerEngine, convert, failure};
use crate::container::owners_part;
use crate::container::spec::ContainerSpec;
use crate::engine::inspect::{self, FurtherNetwork};
use crate::engine::{EngineChanges as _, EngineError, EngineErrorKind};

/// Networks that every engine has.
const USUAL_NETWORKS: [&str; 4] = ["bridge", "host", "none", "podman"];

impl DockerEngine {
    /// Engines connect a new container to one network, and make some things
    /// otherwise; it gets its name when it is on all of them and was compared.
    /// Whoever finds that name later need not look again.
    pub(super) async fn create_whole(
        &self,
        name: &str,
        spec: &ContainerSpec,
    ) -> Result<ContainerId, EngineError> {
        self.find_networks(name, spec).await?;
        let further = inspect::further_networks(spec);
        let first_name = unfinished(name);
        self.remove_leftover(&first_name, spec).await?;
        let id = self.raw.create(&first_name, &inspect::create_body(spec)).await?;
        let id: ContainerId = id.parse().map_err(|error| {
            convert::senseless(format!("create container `{first_name}`"), error)
        })?;
        let finished = self.finish(&id, name, spec, further).await;
        if finished.is_err()
            && let Err(error) = self.remove(&id).await
        {
            tracing::warn!(name, "A half-made container is left: {}.", error.in_one_line());
        }
        finished.map(|()| id)
    }

    /// Without comparing what was made with what was asked for.
    pub(super) async fn create_open(
        &self,
        name: &str,
        spec: &ContainerSpec,
    ) -> Result<ContainerId, EngineError> {
        let id = self.raw.create(name, &inspect::create_body(spec)).await?;
        id.parse().map_err(|error| convert::senseless(format!("create container `{name}`"), error))
    }

    /// An engine takes a network that is not there, and fails at the start.
    async fn find_networks(&self, name: &str, spec: &ContainerSpec) -> Result<(), EngineError> {
        let network = &spec.network;
        let named =
            network.endpoints.keys().filter(|name| !USUAL_NETWORKS.contains(&name.as_str()));
        for network in named {
            let found = self.docker.inspect_network(network, None::<InspectNetworkOptions>).await;
            found.map_err(|error| {
                failure(error, format!("find network `{network}` for container `{name}`"))
            })?;
        }
        Ok(())
    }

    async fn finish(
        &self,
        id: &ContainerId,
        name: &str,
        spec: &ContainerSpec,
        further: Vec<FurtherNetwork>,
    ) -> Result<(), EngineError> {
        for FurtherNetwork { name: network, endpoint } in further {
            let request = NetworkConnectRequest {
                container: id.to_string(),
                endpoint_config: Some(endpoint),
            };
            let connected = self.docker.connect_network(&network, request).await;
            connected.map_err(|error| {
                failure(error, format!("connect container `{name}` to network `{network}`"))
            })?;
        }
        self.compare(id, name, spec).await?;
        let options = RenameContainerOptionsBuilder::default().name(name).build();
        let renamed = self.docker.rename_container(id.as_str(), options).await;
        renamed.map_err(|error| failure(error, format!("name a new container `{name}`")))
    }

    /// Looks whether the engine made what it was asked for.
    async fn compare(
        &self,
        id: &ContainerId,
        name: &str,
        asked: &ContainerSpec,
    ) -> Result<(), EngineError> {
        let tried = || format!("create container `{name}` as it was asked for");
        let raw = self.raw.container(id.as_str()).await?;
        let raw = raw.ok_or_else(|| convert::senseless(tried(), "it is gone"))?;
        let image = self.inspect_image(asked.image.as_str()).await?;
        let image = image.ok_or_else(|| convert::senseless(tried(), "its image is gone"))?;
        let made = inspect::container_spec(&raw, &image)
            .map_err(|error| convert::senseless(tried(), error))?;
        let defaults = inspect::image_defaults(&image);
        let asked = owners_part(asked.clone(), &defaults, id);
        let unlike = usual_network(asked).unlike(&usual_network(made));
        if unlike.is_empty() {
            return Ok(());
        }
        Err(EngineError {
            tried: tried(),
            kind: EngineErrorKind::MadeOtherwise,
            source: format!("it made {} otherwise", unlike.join(", ")).into(),
        })
    }

    /// Removes what an agent left that ended while it made this container.
    async fn remove_leftover(&self, name: &str, spec: &ContainerSpec) -> Result<(), EngineError> {
        let Some(found) = self.inspect(name).await? else { return Ok(()) };
        let found = convert::container(&found)?;
        let is_leftover = found.state.status == ContainerStatus::Created
            && spec.labels.iter().all(|(key, value)| found.labels.get(key) == Some(value));
        if is_leftover { self.remove(&found.state.id).await } else { Ok(()) }
    }
}

/// The name of a container that is not known to be what was asked for yet.
fn unfinished(name: &str) -> String {
    format!("{name}-unfinished")
}

/// Engines write their usual network's name in several ways.
fn usual_network(mut spec: ContainerSpec) -> ContainerSpec {
    if matches!(spec.network.mode.as_str(), "" | "bridge") {
        "default".clone_into(&mut spec.network.mode);
    }
    spec
}
