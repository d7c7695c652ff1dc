//! Builds a lab, step by step. What a step has started is in lab.json before the next begins, so
//! that `down` finds it whatever happens.

mod companions;
mod database;
mod quays;
mod services;

use std::path::PathBuf;

use quaymaster_proto::Component;

use super::binaries::Binaries;
use super::containers::{self, ContainersError};
use super::down::{DownError, down};
use super::files::{self, FilesError};
use super::hosts;
use super::lab_file::{
    DatabaseKind, EngineKind, LabCompanion, LabFile, LabFileError, LabNode, Role, Secret,
};
use super::layout::Layout;
use super::network::{self, AGENT_PORT, MOST_NODES, Network, NetworkError};
use super::process::{EndError, StartError, boot_id};
use super::texts::{self, QuayKeys};
use super::wait::TimedOut;
use super::{Agents, Lab, Say, UpOptions};
use crate::database_server::ServerError;
use crate::engine::StoreError;
use crate::images::{ImagesError, LabImages};
use crate::quay::{RobotError, SeedError};
use crate::registry::{self, RegistryError};

pub(super) use services::{Service, start_again};

/// The registry that stand-in engines pull from has this name; nothing listens there.
const STAND_IN_REGISTRY: &str = "127.0.0.1:5000";
const DOCKER_SOCKET: &str = "/var/run/docker.sock";

/// A lab that could not be built. What had been started is ended again, but for `left`.
#[derive(Debug, thiserror::Error)]
#[error("cannot build a lab in `{}`{}", dir.display(), left.as_ref().map(|left| format!(" (and {left})")).unwrap_or_default())]
pub struct UpError {
    dir: PathBuf,
    left: Option<Box<DownError>>,
    #[source]
    pub why: Why,
}

/// The step that failed, and on what.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    #[error("{nodes} nodes are not possible; give from 1 to {MOST_NODES}")]
    Nodes { nodes: u8 },
    #[error("`{cluster}` is no name for a cluster; take lowercase letters, digits and `-`")]
    ClusterName { cluster: String },
    #[error("private engines reach no database server; take SQLite")]
    PrivateDatabase,
    #[error(
        "private engines would meet the machine's own network; enter one that was made for them"
    )]
    MachinesNetwork,
    #[error("the lab's files")]
    Files(#[from] FilesError),
    #[error("the lab's own record of itself")]
    LabFile(#[from] LabFileError),
    #[error("addresses for the nodes")]
    Network(#[from] NetworkError),
    #[error("the id of this boot")]
    Boot { source: std::io::Error },
    #[error("the lab's registry")]
    Registry(#[from] RegistryError),
    #[error("the lab's images")]
    Images(#[from] ImagesError),
    #[error("the lab's containers")]
    Containers(#[from] ContainersError),
    #[error("the lab's database server")]
    Database(#[from] ServerError),
    #[error("what the database of a 2.9.5 registry holds")]
    Seed { source: Box<SeedError> },
    #[error("the robot of the lab's verifications")]
    Robot { source: Box<RobotError> },
    #[error("the images that stand-in engines pull")]
    StandInRegistry { source: serde_json::Error },
    #[error("the stand-in engine of {node}")]
    Engine { node: String, source: StoreError },
    #[error("cannot start {}{}", role.name(), of_node(node.as_deref()))]
    Start { role: Role, node: Option<String>, source: StartError },
    #[error("cannot end {}{}", role.name(), of_node(node.as_deref()))]
    End { role: Role, node: Option<String>, source: EndError },
    #[error("{}{} does not answer; read its log `{}`", role.name(), of_node(node.as_deref()), log.display())]
    Silent { role: Role, node: Option<String>, log: PathBuf, source: TimedOut },
    #[error("{}{} has ended by itself; read its log `{}`", role.name(), of_node(node.as_deref()), log.display())]
    Ended { role: Role, node: Option<String>, log: PathBuf },
    #[error("Quay on {node} does not become healthy; read its container's log")]
    Sick { node: String, source: TimedOut },
}

fn of_node(node: Option<&str>) -> String {
    node.map(|node| format!(" of {node}")).unwrap_or_default()
}

pub(super) async fn up(options: UpOptions, say: &Say) -> Result<Lab, UpError> {
    let dir = options.dir.clone();
    let refused = |why| UpError { dir: dir.clone(), left: None, why };
    let mut builder = Builder::new(options, say).map_err(refused)?;
    match builder.build().await {
        Ok(()) => Ok(Lab { layout: builder.layout, file: builder.file }),
        Err(why) => {
            say("that failed; ending what was started");
            let left = down(&builder.layout, &builder.file, say).await.err().map(Box::new);
            Err(UpError { dir, left, why })
        }
    }
}

/// A lab in the making.
struct Builder<'a> {
    layout: Layout,
    file: LabFile,
    options: UpOptions,
    say: &'a Say,
    secrets: Planted,
    images: LabImages,
    /// Held until the agents hold their own ports.
    _network: Network,
}

/// The values that must never be seen outside of where they are kept.
struct Planted {
    database_secret_key: String,
    secret_key: String,
    quay_password: String,
    superuser_password: String,
    robot_password: String,
}

impl<'a> Builder<'a> {
    /// Claims directory and network; nothing is running yet.
    fn new(options: UpOptions, say: &'a Say) -> Result<Self, Why> {
        check(&options)?;
        let network = Network::claim(options.nodes, options.engine, std::process::id())?;
        let registry = match options.engine {
            EngineKind::Standin => STAND_IN_REGISTRY.to_owned(),
            EngineKind::Docker | EngineKind::Private => {
                format!("127.0.0.1:{}", network::free_port(&[std::net::Ipv4Addr::LOCALHOST])?)
            }
        };
        let secrets = Planted {
            database_secret_key: files::random()?,
            secret_key: files::random()?,
            quay_password: files::random()?,
            superuser_password: files::random()?,
            robot_password: files::random()?,
        };
        let layout = files::claim_directory(&options.dir)?;
        let file = lab_file(&options, &network, &layout, registry)?;
        files::check_sockets(&layout, &file)?;
        file.write(&layout.lab_file())?;
        let (companions, further) = (options.companions, &options.image_environment);
        let images = LabImages::of(&file.registry, &options.pace, companions, further);
        let mut builder = Self { layout, file, options, say, secrets, images, _network: network };
        builder.list_secrets()?;
        Ok(builder)
    }

    async fn build(&mut self) -> Result<(), Why> {
        let LabFile { lab, nodes, .. } = &self.file;
        if let (Some(first), Some(last)) = (nodes.first(), nodes.last()) {
            (self.say)(&format!(
                "making {lab}: {} to {} at {} to {}",
                first.name, last.name, first.address, last.address
            ));
        }
        files::make_directories(&self.layout, &self.file, self.options.shared_config)?;
        files::write_pki(&self.layout, &self.file)?;
        self.prepare_docker().await?;
        self.make_database().await?;
        let keys = QuayKeys {
            database_uri: &self.file.database_uri,
            database_secret_key: &self.secrets.database_secret_key,
            secret_key: &self.secrets.secret_key,
        };
        files::write_configs(&self.layout, &self.file, &keys)?;
        let robot = texts::robot_file(&self.secrets.robot_password);
        files::write(&self.layout.robot_file(), 0o600, &robot)?;
        files::append_telemetry(&self.layout, &self.file, self.options.otlp.as_deref())?;
        self.start_engines().await?;
        self.publish_images().await?;
        self.start_observer().await?;
        self.run_quays().await?;
        self.run_companions().await?;
        if self.options.agents == Agents::Started {
            self.start_agents().await?;
        }
        self.wait_for_quays().await
    }

    fn binaries(&self) -> &Binaries {
        &self.options.binaries
    }

    fn save(&self) -> Result<(), Why> {
        Ok(self.file.write(&self.layout.lab_file())?)
    }

    /// What cannot be used is found out before anything is made with it.
    async fn prepare_docker(&mut self) -> Result<(), Why> {
        match self.options.engine {
            EngineKind::Standin => return Ok(()),
            EngineKind::Private => return self.start_registry(registry::program()?).await,
            EngineKind::Docker => {}
        }
        let docker = containers::connect(DOCKER_SOCKET.as_ref()).await?;
        let program = registry::program()?;
        if self.options.database != DatabaseKind::Sqlite {
            let network = containers::make_network(&docker, &self.file.lab).await?;
            self.file.network = Some(network);
            self.save()?;
        }
        self.start_registry(program).await
    }

    fn list_secrets(&mut self) -> Result<(), Why> {
        let Planted {
            database_secret_key,
            secret_key,
            quay_password,
            superuser_password,
            robot_password,
        } = &self.secrets;
        let named = [
            ("DATABASE_SECRET_KEY", database_secret_key),
            ("SECRET_KEY", secret_key),
            ("password of the database role quay", quay_password),
            ("password of the database role lab", superuser_password),
            ("password of the robot quaymaster+verify", robot_password),
        ];
        let mut secrets: Vec<Secret> = named
            .map(|(name, value)| Secret { name: name.to_owned(), value: value.clone() })
            .into();
        for node in &self.file.nodes {
            let name = format!("LAB_SECRET of {}", node.name);
            secrets.push(Secret { name, value: files::random()? });
        }
        self.file.secrets = secrets;
        self.save()
    }
}

fn check(options: &UpOptions) -> Result<(), Why> {
    if !(1..=MOST_NODES).contains(&options.nodes) {
        return Err(Why::Nodes { nodes: options.nodes });
    }
    if options.cluster.parse::<quaymaster_proto::ClusterName>().is_err() {
        return Err(Why::ClusterName { cluster: options.cluster.clone() });
    }
    if options.engine == EngineKind::Private {
        if options.database != DatabaseKind::Sqlite {
            return Err(Why::PrivateDatabase);
        }
        if !hosts::is_in_new_network() {
            return Err(Why::MachinesNetwork);
        }
    }
    Ok(())
}

/// What stands beside the Quay of the node with that number: Clair on the first, builders on the
/// second and the last but one, a mirror on the third, as far as there are so many.
fn beside(options: &UpOptions, number: u8) -> Vec<Component> {
    let last = options.nodes;
    let place = |wanted: u8| wanted.min(last);
    let mut found = Vec::new();
    if options.companions {
        if number == 1 {
            found.push(Component::Clair);
        }
        if number == place(2) || number == last.saturating_sub(1).max(1) {
            found.push(Component::Builder);
        }
        if number == place(3) {
            found.push(Component::Mirror);
        }
    }
    found
}

fn lab_file(
    options: &UpOptions,
    network: &Network,
    layout: &Layout,
    registry: String,
) -> Result<LabFile, Why> {
    let lab = format!("lab-{}", network.number());
    let (http_port, https_port) = network::quay_ports(options.engine);
    let node = |number| {
        let name = format!("quay-{number}");
        LabNode {
            address: network.node(number),
            agent_port: AGENT_PORT,
            http_port,
            https_port,
            container: format!("{lab}-{name}-quay"),
            companions: beside(options, number)
                .into_iter()
                .map(|component| LabCompanion {
                    component,
                    container: format!("{lab}-{name}-{component}"),
                })
                .collect(),
            engine_socket: match options.engine {
                EngineKind::Standin | EngineKind::Private => layout.engine_socket(&name),
                EngineKind::Docker => DOCKER_SOCKET.into(),
            },
            name,
        }
    };
    Ok(LabFile {
        version: LabFile::current_version(),
        nodes: (1..=options.nodes).map(node).collect(),
        lab,
        cluster: options.cluster.clone(),
        boot_id: boot_id().map_err(|source| Why::Boot { source })?,
        engine: options.engine,
        database: options.database,
        tags: options.tags,
        database_uri: String::new(),
        registry,
        processes: Vec::new(),
        containers: Vec::new(),
        network: None,
        secrets: Vec::new(),
    })
}
