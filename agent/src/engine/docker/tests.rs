//! A container on the real engine: what its owner asked for is what the next
//! one has, network by network.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use bollard::models::NetworkConnectRequest;
use bollard::query_parameters::ImportImageOptions;
use futures::TryStreamExt as _;
use quaymaster_proto::ImageId;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::*;
use crate::container::spec::EndpointSpec;
use crate::container::{Demands, carry_over};

/// Everything that a test makes; taken away at its end, however it ends.
struct Bench {
    engine: DockerEngine,
    /// Begins every name.
    prefix: String,
    /// Begins every address.
    net: String,
}

impl Drop for Bench {
    fn drop(&mut self) {
        for kind in ["container", "network", "image"] {
            let list = format!("docker {kind} ls -q --filter {}", self.filter(kind));
            let all = if kind == "container" { " -a" } else { "" };
            let force = if kind == "network" { "" } else { " -f" };
            let script = format!("{list}{all} | xargs -r docker {kind} rm{force} >/dev/null");
            let _ = Command::new("sh").arg("-c").arg(script).status(); // what is left shows up
        }
    }
}

impl Bench {
    async fn new(test: &str) -> Self {
        // Tests may run beside each other, in one process or in several.
        static BENCHES: AtomicU32 = AtomicU32::new(0);
        let number = std::process::id() * 4 + BENCHES.fetch_add(1, Ordering::Relaxed);
        let _ = rustls::crypto::ring::default_provider().install_default();
        let bench = Self {
            engine: DockerEngine::connect(Path::new("/run/docker.sock")).await.unwrap(),
            prefix: format!("quaymaster-{test}-{number}"),
            net: format!("10.{}.{}", 190 + number % 50, number / 50 % 250),
        };
        for (name, subnet) in [("a", "0/25"), ("b", "128/25")] {
            let subnet = format!("{}.{subnet}", bench.net);
            let config =
                json!({ "Name": bench.name(name), "IPAM": { "Config": [{ "Subnet": subnet }] } });
            let config = serde_json::from_value::<bollard::models::NetworkCreateRequest>(config);
            bench.engine.docker.create_network(config.unwrap()).await.unwrap();
        }
        bench
    }

    fn filter(&self, kind: &str) -> String {
        let key = if kind == "image" { "reference" } else { "name" };
        format!("{key}={}*", self.prefix)
    }

    fn name(&self, short: &str) -> String {
        format!("{}-{short}", self.prefix)
    }

    /// An image without any file, with these settings.
    async fn image(&self, tag: &str, config: Value) -> ImageId {
        let layer = archive(&[]);
        let diff = format!("sha256:{:x}", Sha256::digest(&layer));
        let config = json!({
            "architecture": "amd64", "os": "linux", "config": config,
            "rootfs": { "type": "layers", "diff_ids": [diff] },
        });
        let config = config.to_string().into_bytes();
        let reference = format!("{}:{tag}", self.prefix);
        let manifest = json!([{
            "Config": "config.json", "RepoTags": [reference], "Layers": ["layer.tar"],
        }]);
        let manifest = manifest.to_string().into_bytes();
        let whole = archive(&[
            ("config.json", &config),
            ("layer.tar", &layer),
            ("manifest.json", &manifest),
        ]);
        let loaded = self.engine.docker.import_image(
            ImportImageOptions::default(),
            bollard::body_full(whole.into()),
            None,
        );
        loaded.try_collect::<Vec<_>>().await.unwrap();
        self.engine.image(&reference).await.unwrap().unwrap().id
    }

    /// A container with a word of everything, on two networks.
    async fn owners_container(&self, image: &ImageId) -> String {
        let (name, first, second) = (self.name("quay"), self.name("a"), self.name("b"));
        let body = json!({
            "Image": image.to_string(),
            "Env": ["LAB_NODE=quay-1", "QUAYCONF=/elsewhere"],
            "Labels": { "team": "registry" },
            "Hostname": "quay.example.com",
            "StopSignal": "SIGINT",
            "MacAddress": "02:42:0a:00:00:09",
            "HostConfig": {
                "Binds": ["/srv:/conf/stack:ro"],
                "NetworkMode": first,
                "PortBindings": { "8443/tcp": [{ "HostIp": "127.0.0.1", "HostPort": "9443" }] },
                "RestartPolicy": { "Name": "always" },
                "Ulimits": [{ "Name": "nofile", "Soft": 4096, "Hard": 8192 }],
                "Sysctls": { "net.core.somaxconn": "4096" },
                "LogConfig": { "Type": "json-file", "Config": { "max-size": "7m" } },
                "Tmpfs": { "/run": "size=10m" },
                "CapAdd": ["NET_ADMIN"],
                "Dns": ["10.0.0.53"],
                "Memory": 268_435_456,
                "KernelMemory": 134_217_728,
            },
            "NetworkingConfig": { "EndpointsConfig": { &first: {
                "Aliases": ["registry"],
                "IPAMConfig": { "IPv4Address": format!("{}.9", self.net) },
            } } },
        });
        self.engine.raw.create(&name, &body).await.unwrap();
        let endpoint = json!({
            "Aliases": ["quay"],
            "IPAMConfig": { "IPv4Address": format!("{}.139", self.net) },
        });
        let request = NetworkConnectRequest {
            container: name.clone(),
            endpoint_config: serde_json::from_value(endpoint).unwrap(),
        };
        self.engine.docker.connect_network(&second, request).await.unwrap();
        name
    }

    /// What the next container on `image` must be.
    async fn next(&self, owners: &str, image: &ImageId) -> ContainerSpec {
        let demands = Demands {
            mount_copies: Vec::new(),
            image: image.clone(),
            port_moves: Vec::new(),
            labels: [("io.quaymaster.run".to_owned(), self.prefix.clone())].into(),
        };
        let running = self.engine.full_container(owners).await.unwrap().unwrap();
        carry_over(&running.spec, &demands).into_next().unwrap()
    }

    /// As the engine itself writes it.
    async fn shown(&self, name: &str) -> Value {
        self.engine.raw.container(name).await.unwrap().unwrap()
    }

    async fn is_there(&self, name: &str) -> bool {
        self.engine.container(name).await.unwrap().is_some()
    }
}

fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, path, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

fn old_image() -> Value {
    json!({
        "Env": ["PATH=/bin", "QUAYCONF=/old"], "Cmd": ["old"], "StopSignal": "SIGQUIT",
        "Labels": { "release": "old" }, "Volumes": { "/tmp": {} },
    })
}

/// It brings `LAB_NODE` too, with the owner's very value.
fn new_image() -> Value {
    json!({
        "Env": ["PATH=/usr/bin", "LAB_NODE=quay-1"], "Cmd": ["new"], "User": "1001",
        "Labels": { "release": "new" }, "Volumes": { "/tmp": {}, "/var/log": {} },
    })
}

#[tokio::test]
async fn the_next_container_has_what_its_owner_asked_of_this_one() {
    let bench = Bench::new("carry").await;
    let (old, new) = (bench.image("old", old_image()).await, bench.image("new", new_image()).await);
    let owners = bench.owners_container(&old).await;
    let (staged, next) = (bench.name("next"), bench.next(&owners, &new).await);
    // What an agent left that ended while it made this very container.
    let leftover = format!("{staged}-unfinished");
    let body = json!({ "Image": old.to_string(), "Labels": next.labels });
    bench.engine.raw.create(&leftover, &body).await.unwrap();

    let id = bench.engine.create(&staged, &next).await.unwrap();
    assert!(!bench.is_there(&leftover).await);
    let made = bench.engine.full_container(&staged).await.unwrap().unwrap();
    assert_eq!(made.container.state.id, id);
    assert_eq!(made.container.state.image, new);
    let before = bench.engine.full_container(&owners).await.unwrap().unwrap();
    let unlike = before.spec.unlike(&made.spec);
    assert_eq!(unlike, ["environment", "image", "restart policy"], "LAB_NODE is the image's now");

    let (before, made) = (bench.shown(&owners).await, bench.shown(&staged).await);
    for path in [
        "/Config/MacAddress",
        "/Config/Hostname",
        "/Config/StopSignal",
        "/HostConfig/Binds",
        "/HostConfig/PortBindings",
        "/HostConfig/Ulimits",
        "/HostConfig/Sysctls",
        "/HostConfig/LogConfig",
        "/HostConfig/Tmpfs",
        "/HostConfig/CapAdd",
        "/HostConfig/Dns",
        "/HostConfig/Memory",
        "/HostConfig/KernelMemory",
    ] {
        assert!(before.pointer(path).is_some_and(|value| !value.is_null()), "{path}");
        assert_eq!(before.pointer(path), made.pointer(path), "{path}");
    }
    let addresses = |shown: &Value| -> Vec<(String, Value)> {
        let networks = shown["NetworkSettings"]["Networks"].as_object().unwrap();
        networks.iter().map(|(name, one)| (name.clone(), one["IPAMConfig"].clone())).collect()
    };
    assert_eq!(addresses(&before).len(), 2);
    assert_eq!(addresses(&before), addresses(&made));
    assert_eq!(made["Config"]["Cmd"], json!(["new"]));
    assert_eq!(made["Config"]["User"], json!("1001"));
    let environment = made["Config"]["Env"].as_array().unwrap();
    for entry in ["PATH=/usr/bin", "LAB_NODE=quay-1", "QUAYCONF=/elsewhere"] {
        assert!(environment.contains(&json!(entry)), "{entry}");
    }
}

/// One that has its name was compared, on however many networks it is.
#[tokio::test]
async fn a_container_gets_its_name_when_it_is_what_was_asked_for() {
    let bench = Bench::new("single").await;
    let image = bench.image("one", old_image()).await;
    let owners = bench.owners_container(&image).await;
    let mut next = bench.next(&owners, &image).await;
    next.network.endpoints.remove(&bench.name("b")).unwrap();
    let staged = bench.name("next");
    let leftover = format!("{staged}-unfinished");
    let body = json!({ "Image": image.to_string(), "Labels": next.labels });
    bench.engine.raw.create(&leftover, &body).await.unwrap();
    let id = bench.engine.create(&staged, &next).await.unwrap();
    assert!(!bench.is_there(&leftover).await, "made under this name");
    let made = bench.engine.container(&staged).await.unwrap().unwrap();
    assert_eq!(made.state.id, id);
}

/// The engine itself would only say so at the start, in the dark.
#[tokio::test]
async fn a_container_that_cannot_be_on_all_its_networks_is_not_there() {
    let bench = Bench::new("half").await;
    let image = bench.image("one", old_image()).await;
    let owners = bench.owners_container(&image).await;
    let mut next = bench.next(&owners, &image).await;
    let gone = bench.name("gone");
    next.network.endpoints.insert(gone.clone(), EndpointSpec::default());
    let staged = bench.name("next");
    let error = bench.engine.create(&staged, &next).await.unwrap_err();
    assert!(error.to_string().contains(&gone), "{error}");
    // Refused by the engine when half of it is made: its usual network gives no
    // address that somebody chose.
    next.network.endpoints.remove(&gone);
    let endpoint =
        EndpointSpec { ipv4_address: Some("172.17.0.99".to_owned()), ..EndpointSpec::default() };
    next.network.endpoints.insert("bridge".to_owned(), endpoint);
    let error = bench.engine.create(&staged, &next).await.unwrap_err();
    assert!(error.to_string().contains("to network `bridge`"), "{error}");
    assert!(!bench.is_there(&staged).await);
    assert!(!bench.is_there(&format!("{staged}-unfinished")).await);
}

/// An engine allows as much swap as memory where nobody says how much.
#[tokio::test]
async fn a_container_that_the_engine_makes_otherwise_is_refused_by_name() {
    let bench = Bench::new("other").await;
    let image = bench.image("one", old_image()).await;
    let owners = bench.owners_container(&image).await;
    let mut next = bench.next(&owners, &image).await;
    next.options.remove("MemorySwap").unwrap();
    let staged = bench.name("next");
    let error = bench.engine.create(&staged, &next).await.unwrap_err();
    assert_eq!(error.kind, EngineErrorKind::MadeOtherwise);
    assert!(error.in_one_line().contains("options.MemorySwap"), "{}", error.in_one_line());
    assert!(!bench.is_there(&staged).await);
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "what is past is past by the engine's clock")]
async fn what_happened_before_the_engine_was_followed_is_told_too() {
    let bench = Bench::new("starts").await;
    let image = bench.image("old", json!({ "Cmd": ["/none"] })).await;
    let before = bench.owners_container(&image).await;
    let id = bench.engine.container(&before).await.unwrap().unwrap().state.id;
    let since = Timestamp::now();
    let after = bench.name("renamed");
    bench.engine.rename(&id, &after).await.unwrap();
    let mut starts = bench.engine.starts(since);
    let told = tokio::time::timeout(Duration::from_secs(60), starts.next()).await;
    told.expect("it is told").expect("the engine goes on").unwrap();
    bench.engine.remove(&id).await.unwrap();
    assert!(!bench.is_there(&after).await);
}
