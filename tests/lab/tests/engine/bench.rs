//! An engine to test, with an image whose program is a shell.

use bollard::{
    Docker,
    models::{
        ContainerCreateBody, ContainerInspectResponse, ContainerState, HostConfig, PortBinding,
        RestartPolicy, RestartPolicyNameEnum,
    },
    query_parameters::{
        CreateContainerOptionsBuilder, CreateImageOptionsBuilder, ListContainersOptionsBuilder,
        LogsOptionsBuilder, RemoveContainerOptionsBuilder, StopContainerOptionsBuilder,
    },
};
use futures::TryStreamExt;
use quaymaster_lab::engine::{
    EngineError, EngineOptions, Image, ImageConfig, RegistryFile, StoredImage, load_image, serve,
};
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
    sync::oneshot,
    task::JoinHandle,
};

/// The image that every engine of this suite has.
pub(crate) const IMAGE: &str = "quaymaster-engine-suite:1";
/// The label by which a bench finds its own containers again.
const OWNER: &str = "quaymaster.suite";
/// Longer than anything here takes on a busy machine.
const BOUND: Duration = Duration::from_secs(60);

/// A script that ends by itself, with 7, when it is asked to.
pub(crate) const POLITE: &str = "trap 'echo bye; exit 7' TERM; echo ready; sleep 1000 & wait";
/// A script that has to be killed.
pub(crate) const DEAF: &str = "trap '' TERM; echo ready; while :; do sleep 1000; done";

pub(crate) struct Bench {
    pub(crate) docker: Docker,
    socket: PathBuf,
    owner: String,
    stand_in: Option<StandIn>,
}

pub(crate) struct StandIn {
    pub(crate) directory: TempDir,
    running: Option<Running>,
}

/// A stand-in at work: how it is asked to end, and its end.
type Running = (oneshot::Sender<()>, JoinHandle<Result<(), EngineError>>);

impl Bench {
    /// Docker where it is asked for, else a stand-in.
    pub(crate) async fn either() -> Self {
        if std::env::var("QUAYMASTER_DOCKER").is_ok_and(|value| value == "1") {
            Self::docker().await
        } else {
            Self::stand_in().await
        }
    }

    pub(crate) async fn stand_in() -> Self {
        let directory = tempfile::tempdir().unwrap();
        // The client wants to see a file before the engine has made its own.
        let socket = directory.path().join("engine.sock");
        fs::write(&socket, "").unwrap();
        let mut bench = Self::around(socket);
        let stand_in = StandIn { directory, running: None };
        load_image(&stand_in.state(), &shell_image()).unwrap();
        bench.stand_in = Some(stand_in);
        bench.boot().await;
        bench
    }

    async fn docker() -> Self {
        let bench = Self::around("/var/run/docker.sock".into());
        // Two tests at once would each make the image.
        let lock = fs::File::create(std::env::temp_dir().join("quaymaster-suite.lock")).unwrap();
        lock.lock().unwrap();
        if bench.docker.inspect_image(IMAGE).await.is_err() {
            bench.import_image().await;
        }
        bench
    }

    fn around(socket: PathBuf) -> Self {
        let path = socket.to_str().unwrap();
        let docker = Docker::connect_with_unix(path, 120, bollard::API_DEFAULT_VERSION).unwrap();
        let owner = tempfile::Builder::new().prefix("suite-").tempdir().unwrap();
        let owner = owner.path().file_name().unwrap().to_str().unwrap().to_owned();
        Self { docker, socket, owner, stand_in: None }
    }

    pub(crate) fn own(&self) -> &StandIn {
        self.stand_in.as_ref().unwrap()
    }

    pub(crate) fn options(&self) -> EngineOptions {
        let mut options = EngineOptions::new(&self.socket, self.own().state(), "quay-1");
        options.registry = Some(self.own().registry());
        options
    }

    /// Starts the bench's stand-in and waits until it answers.
    pub(crate) async fn boot(&mut self) {
        self.boot_with(self.options()).await;
    }

    pub(crate) async fn boot_with(&mut self, options: EngineOptions) {
        let (stop, stopped) = oneshot::channel();
        let engine = tokio::spawn(serve(options, async {
            let _ = stopped.await;
        }));
        self.stand_in.as_mut().unwrap().running = Some((stop, engine));
        until("the engine answers", async || self.docker.ping().await.ok()).await;
    }

    /// Ends the bench's stand-in as its unit would.
    pub(crate) async fn shut_down(&mut self) {
        let (stop, engine) = self.stand_in.as_mut().unwrap().running.take().unwrap();
        stop.send(()).unwrap();
        engine.await.unwrap().unwrap();
    }

    /// Has the stand-in vanish without a word to its containers.
    pub(crate) async fn lose(&mut self) {
        let (_, engine) = self.stand_in.as_mut().unwrap().running.take().unwrap();
        engine.abort();
        let _ = engine.await;
    }

    /// A name that no other test has.
    pub(crate) fn name(&self, short: &str) -> String {
        format!("{}.{short}", self.owner)
    }

    pub(crate) async fn create(&self, short: &str, script: &str) -> String {
        self.create_as(short, self.body(script)).await.unwrap()
    }

    pub(crate) async fn create_as(
        &self,
        short: &str,
        body: ContainerCreateBody,
    ) -> Result<String, bollard::errors::Error> {
        let name = self.name(short);
        let options = CreateContainerOptionsBuilder::default().name(&name).build();
        Ok(self.docker.create_container(Some(options), body).await?.id)
    }

    /// A container of the suite's image that runs a script.
    pub(crate) fn body(&self, script: &str) -> ContainerCreateBody {
        ContainerCreateBody {
            image: Some(IMAGE.to_owned()),
            cmd: Some(vec!["-c".to_owned(), script.to_owned()]),
            labels: Some([(OWNER.to_owned(), self.owner.clone())].into()),
            ..Default::default()
        }
    }

    pub(crate) async fn start(&self, key: &str) {
        self.docker.start_container(key, None).await.unwrap();
    }

    pub(crate) async fn stop(&self, key: &str, grace: i32) {
        let options = StopContainerOptionsBuilder::default().t(grace).build();
        self.docker.stop_container(key, Some(options)).await.unwrap();
    }

    pub(crate) async fn inspect(&self, key: &str) -> ContainerInspectResponse {
        self.docker.inspect_container(key, None).await.unwrap()
    }

    pub(crate) async fn state(&self, key: &str) -> ContainerState {
        self.inspect(key).await.state.unwrap()
    }

    pub(crate) async fn restart_count(&self, key: &str) -> i64 {
        self.inspect(key).await.restart_count.unwrap()
    }

    /// Creates and starts a container, and waits for its script to be ready.
    pub(crate) async fn run(&self, short: &str, script: &str) -> String {
        self.run_as(short, self.body(script)).await
    }

    pub(crate) async fn run_as(&self, short: &str, body: ContainerCreateBody) -> String {
        let id = self.create_as(short, body).await.unwrap();
        self.start(&id).await;
        self.until_logged(&id, "ready").await;
        id
    }

    pub(crate) async fn printed(&self, key: &str) -> String {
        let options = LogsOptionsBuilder::default().stdout(true).stderr(true).build();
        let lines: Vec<_> = self.docker.logs(key, Some(options)).try_collect().await.unwrap();
        lines.iter().map(ToString::to_string).collect()
    }

    pub(crate) async fn until_logged(&self, key: &str, text: &str) {
        until(text, async || self.printed(key).await.contains(text).then_some(())).await;
    }

    /// Makes a request without the client, and waits for the answer's head.
    pub(crate) async fn open(&self, method: &str, path: &str) -> Answer {
        let mut stream = BufReader::new(self.send(method, path).await);
        let mut head = String::new();
        stream.read_line(&mut head).await.unwrap();
        Answer { status: head.split(' ').nth(1).unwrap().parse().unwrap(), stream }
    }

    /// Makes a request and waits for nothing.
    pub(crate) async fn send(&self, method: &str, path: &str) -> UnixStream {
        let mut stream = UnixStream::connect(&self.socket).await.unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n\
             Content-Length: 0\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    /// The status of a request; the client takes some for the same.
    pub(crate) async fn status(&self, method: &str, path: &str) -> u16 {
        self.open(method, path).await.status
    }

    /// Removes what the test made; the end of every test.
    pub(crate) async fn finish(mut self) {
        let label = format!("{OWNER}={}", self.owner);
        let filters = HashMap::from([("label".to_owned(), vec![label])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        for container in self.docker.list_containers(Some(options)).await.unwrap() {
            let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
            let id = container.id.unwrap();
            self.docker.remove_container(&id, Some(options)).await.unwrap();
        }
        if self.stand_in.is_some() {
            self.shut_down().await;
        }
    }

    /// Gives a real engine the suite's image: the shell, what its scripts call,
    /// and the libraries of both.
    async fn import_image(&self) {
        let mut tar = tar::Builder::new(Vec::new());
        let mut files = vec![PathBuf::from("/bin/sh"), PathBuf::from("/bin/sleep")];
        for program in files.clone() {
            let output = Command::new("ldd").arg(&program).output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            let paths = text.split_whitespace().filter(|word| word.starts_with('/'));
            files.extend(paths.map(PathBuf::from));
        }
        files.sort();
        files.dedup();
        for file in files {
            let within = file.strip_prefix("/").unwrap();
            tar.append_path_with_name(fs::canonicalize(&file).unwrap(), within).unwrap();
        }
        let changes = [
            "ENV A=image",
            "ENV B=image",
            "EXPOSE 8080",
            "VOLUME /data",
            "LABEL of=image",
            "ENTRYPOINT [\"/bin/sh\"]",
        ];
        let options = CreateImageOptionsBuilder::default()
            .from_src("-")
            .repo("quaymaster-engine-suite")
            .tag("1")
            .changes(changes.map(str::to_owned).to_vec())
            .build();
        let body = bollard::body_full(tar.into_inner().unwrap().into());
        let told = self.docker.create_image(Some(options), Some(body), None);
        told.try_collect::<Vec<_>>().await.unwrap();
    }
}

/// An answer whose head is here, and whose body may still come.
pub(crate) struct Answer {
    status: u16,
    stream: BufReader<UnixStream>,
}

impl Answer {
    pub(crate) async fn rest(&mut self) -> String {
        let mut text = String::new();
        self.stream.read_to_string(&mut text).await.unwrap();
        text
    }
}

impl StandIn {
    pub(crate) fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    fn registry(&self) -> PathBuf {
        self.directory.path().join("registry.json")
    }

    pub(crate) fn publish(&self, registry: &RegistryFile) {
        fs::write(self.registry(), serde_json::to_vec(registry).unwrap()).unwrap();
    }
}

/// A host configuration with nothing but a restart policy.
pub(crate) fn policy(name: RestartPolicyNameEnum, limit: i64) -> HostConfig {
    let policy = RestartPolicy { name: Some(name), maximum_retry_count: Some(limit) };
    HostConfig { restart_policy: Some(policy), ..Default::default() }
}

/// A host configuration that publishes the image's port at an address.
pub(crate) fn published(address: &str, port: u16) -> HostConfig {
    let binding =
        PortBinding { host_ip: Some(address.to_owned()), host_port: Some(port.to_string()) };
    let ports = HashMap::from([("8080/tcp".to_owned(), Some(vec![binding]))]);
    HostConfig { port_bindings: Some(ports), ..Default::default() }
}

/// The status of a refused request, with its words.
pub(crate) fn refused<T: std::fmt::Debug>(
    result: Result<T, bollard::errors::Error>,
) -> (u16, String) {
    match result.unwrap_err() {
        bollard::errors::Error::DockerResponseServerError { status_code, message } => {
            (status_code, message)
        }
        other => panic!("no refusal by the engine: {other:?}"),
    }
}

/// Looks again and again until there is an answer.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(since.elapsed() < BOUND, "never seen: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) fn shell(id: &str) -> Image {
    Image {
        id: format!("sha256:{id:0<64}"),
        config: ImageConfig {
            env: vec!["A=image".to_owned(), "B=image".to_owned()],
            exposed_ports: ["8080/tcp".to_owned()].into(),
            volumes: ["/data".to_owned()].into(),
            labels: [("of".to_owned(), "image".to_owned())].into(),
            entrypoint: vec!["/bin/sh".to_owned()],
            ..Default::default()
        },
        program: Path::new("/bin/sh").to_owned(),
        size_bytes: 1_000_000,
    }
}

fn shell_image() -> StoredImage {
    StoredImage {
        tags: [IMAGE.to_owned()].into(),
        digests: Default::default(),
        created: jiff::Timestamp::UNIX_EPOCH,
        image: shell("5e11"),
    }
}
