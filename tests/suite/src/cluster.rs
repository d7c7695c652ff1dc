//! What can be seen of a cluster without asking the product: every container
//! as its engine shows it, every config.yaml, and the database's revision.
#![expect(clippy::disallowed_methods, reason = "an effect room: the disk is its job")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;

use bollard::Docker;
use bollard::models::{ContainerCreateBody, ContainerInspectResponse, HostConfig};
use bollard::query_parameters::{ListContainersOptionsBuilder, RemoveContainerOptionsBuilder};
use quaymaster_lab::quay::inspect;
use quaymaster_proto::Component;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::container::policy;
use crate::lab::TestLab;

/// How long one answer of an engine may take, in seconds.
const PATIENCE_SECONDS: u64 = 60;

/// A cluster at one moment.
#[derive(Clone, PartialEq, Debug)]
pub struct Seen {
    /// By node, then by container id.
    pub containers: BTreeMap<String, BTreeMap<String, ContainerInspectResponse>>,
    /// By node.
    pub configs: BTreeMap<String, ConfigFile>,
    pub revision: Option<String>,
}

/// A config.yaml with what an edit has to keep.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigFile {
    pub text: String,
    pub owner: u32,
    pub group: u32,
    pub mode: u32,
}

impl TestLab {
    /// Looks at everything.
    pub async fn look(&self) -> Seen {
        let mut containers = BTreeMap::new();
        for node in self.nodes() {
            containers.insert(node.clone(), self.containers(&node).await);
        }
        let configs =
            self.nodes().into_iter().map(|node| (node.clone(), self.config(&node))).collect();
        let state = inspect(&self.database_uri()).await.expect("the lab's database answers");
        Seen { containers, configs, revision: state.revision }
    }

    /// What an upgrade leaves, without what differs from lab to lab: by node
    /// every container with its name, image, state and policy; the config.yaml's
    /// mode; the revision.
    pub async fn end_state(&self) -> Vec<String> {
        let seen = self.look().await;
        let mut state = vec![format!("revision {:?}", seen.revision)];
        for (node, containers) in &seen.containers {
            let own = &self.lab().node(node).expect("the lab has that node").container;
            let mut lines: Vec<String> = containers
                .values()
                .map(|shown| {
                    let (name, image) = (name(shown), shown.image.as_deref().unwrap_or_default());
                    let rest = name.strip_prefix(own.as_str()).unwrap_or(&name);
                    // `.quaymaster-<8 of the run>-old`
                    let kind = rest.rsplit('-').next().unwrap_or_default();
                    let status = shown.state.as_ref().and_then(|state| state.status);
                    format!("{node} <name>..{kind} {image} {status:?} {}", policy(shown))
                })
                .collect();
            lines.sort();
            state.extend(lines);
            let config = &seen.configs[node].text;
            let mode = config.lines().filter(|line| line.starts_with("V3_UPGRADE_MODE"));
            state.extend(mode.map(|line| format!("{node} {line}")));
        }
        state
    }

    /// A client of a node's engine.
    pub fn engine(&self, node: &str) -> Docker {
        let node = self.lab().node(node).expect("the lab has that node");
        let path = node.engine_socket.display().to_string();
        Docker::connect_with_unix(&path, PATIENCE_SECONDS, bollard::API_DEFAULT_VERSION)
            .expect("the engine's socket can be named")
    }

    /// Every container of a node's Quay, running or not, by id.
    pub async fn containers(&self, node: &str) -> BTreeMap<String, ContainerInspectResponse> {
        let own = self.lab().node(node).expect("the lab has that node").container.clone();
        self.named(node, &own).await
    }

    async fn named(&self, node: &str, own: &str) -> BTreeMap<String, ContainerInspectResponse> {
        let engine = self.engine(node);
        let filters = BTreeMap::from([(
            "label".to_owned(),
            vec![format!("quaymaster.lab={}", self.lab().file().lab)],
        )])
        .into_iter()
        .collect();
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let listed = engine.list_containers(Some(options)).await.expect("the engine lists");
        let mut found = BTreeMap::new();
        for id in listed.into_iter().filter_map(|container| container.id) {
            let shown = engine.inspect_container(&id, None).await.expect("the engine inspects");
            let shown = ordered(shown);
            // One engine can be shared by all nodes.
            if name(&shown)
                .strip_prefix(own)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            {
                found.insert(id, shown);
            }
        }
        found
    }

    /// The container that has a node's well-known name.
    pub async fn quay_of(&self, node: &str) -> ContainerInspectResponse {
        let own = self.lab().node(node).expect("the lab has that node").container.clone();
        self.containers(node)
            .await
            .into_values()
            .find(|shown| name(shown) == own)
            .expect("the well-known name is taken")
    }

    /// Every container of a component: its node and its known name.
    pub fn companions(&self, component: Component) -> Vec<(String, String)> {
        let nodes = self.lab().nodes().iter();
        nodes
            .filter_map(|node| {
                let companion = node.companion(component)?;
                Some((node.name.clone(), companion.container.clone()))
            })
            .collect()
    }

    /// Every container that has a known name or one made from it.
    pub async fn companion(&self, node: &str, known: &str) -> Vec<ContainerInspectResponse> {
        self.named(node, known).await.into_values().collect()
    }

    /// Removes a running container and runs it again, otherwise.
    pub async fn create_anew(&self, node: &str, known: &str, change: impl FnOnce(&mut HostConfig)) {
        let mut host = self.remove(node, known).await;
        change(host.host_config.get_or_insert_default());
        self.run_anew(node, known, &serde_json::json!(host)).await;
    }

    /// The same with a setting of the host's side that no client knows.
    pub async fn create_with_unknown(&self, node: &str, known: &str, key: &str, value: &str) {
        let mut body = serde_json::json!(self.remove(node, known).await);
        body["HostConfig"][key] = value.into();
        self.run_anew(node, known, &body).await;
    }

    /// Removes a container; returns what made it.
    async fn remove(&self, node: &str, known: &str) -> ContainerCreateBody {
        let engine = self.engine(node);
        let shown = engine.inspect_container(known, None).await.expect("it is there");
        let remove = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        engine.remove_container(known, Some(remove)).await.expect("it can be removed");
        let config = shown.config.expect("a container has one");
        ContainerCreateBody {
            image: config.image,
            env: config.env,
            cmd: config.cmd,
            labels: config.labels,
            exposed_ports: config.exposed_ports,
            host_config: shown.host_config,
            ..ContainerCreateBody::default()
        }
    }

    async fn run_anew(&self, node: &str, known: &str, body: &serde_json::Value) {
        let socket = &self.lab().node(node).expect("the lab has that node").engine_socket;
        let mut engine = UnixStream::connect(socket).await.expect("the engine listens");
        let body = body.to_string();
        let request = format!(
            "POST /v1.41/containers/create?name={known} HTTP/1.1\r\nHost: engine\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n\
             {body}",
            body.len()
        );
        engine.write_all(request.as_bytes()).await.expect("the engine reads");
        let mut answer = String::new();
        engine.read_to_string(&mut answer).await.expect("the engine answers");
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
        self.engine(node).start_container(known, None).await.expect("it starts");
    }

    /// A node's config.yaml.
    pub fn config(&self, node: &str) -> ConfigFile {
        let path = self.lab().layout().config_file(node);
        let about = fs::metadata(&path).expect("config.yaml is there");
        ConfigFile {
            text: fs::read_to_string(&path).expect("config.yaml can be read"),
            owner: about.uid(),
            group: about.gid(),
            mode: about.mode(),
        }
    }
}

/// The client gives what is a set in any order.
fn ordered(mut shown: ContainerInspectResponse) -> ContainerInspectResponse {
    if let Some(config) = &mut shown.config {
        for set in [&mut config.exposed_ports, &mut config.volumes] {
            set.iter_mut().for_each(|set| set.sort());
        }
    }
    shown
}

impl Seen {
    /// What is other in `later`, line by line; empty where nothing is.
    pub fn changes(&self, later: &Self) -> Vec<String> {
        let lines = |seen: &Self| {
            let Self { containers, configs, revision } = seen;
            let containers = serde_json::to_string_pretty(&serde_json::json!(containers));
            format!("{}\n{configs:#?}\n{revision:?}\n", containers.unwrap_or_default())
        };
        let (removed, added) = changed_lines(&lines(self), &lines(later));
        let removed = removed.iter().map(|line| format!("- {}", line.trim()));
        removed.chain(added.iter().map(|line| format!("+ {}", line.trim()))).collect()
    }
}

/// A container's name without the engine's leading slash.
pub fn name(shown: &ContainerInspectResponse) -> String {
    shown.name.as_deref().unwrap_or_default().trim_start_matches('/').to_owned()
}

/// The lines of `after` that `before` has not, and the other way round.
pub fn changed_lines(before: &str, after: &str) -> (Vec<String>, Vec<String>) {
    let old: Vec<&str> = before.split_inclusive('\n').collect();
    let new: Vec<&str> = after.split_inclusive('\n').collect();
    let only = |these: &[&str], those: &[&str]| {
        these
            .iter()
            .filter(|line| !those.contains(line))
            .map(|line| (*line).to_owned())
            .collect::<Vec<_>>()
    };
    (only(&old, &new), only(&new, &old))
}
