//! What a lab's registry keeps on its disk, and a second registry over the
//! same files that wants a login.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use quaymaster_lab::cluster::wait::until;
use quaymaster_lab::registry;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::front::free_port;

/// Whom the registry knows.
pub(super) const USER: &str = "puller";
pub(super) const PASSWORD: &str = "sesame";
/// Of that user with that password.
const HTPASSWD: &str = "puller:$2y$05$abcdefghijklmnopqrstuuKcS.CYWVYVaLiiCKrrc0A5s3mGesJ9O\n";

/// The files of a registry.
#[derive(Clone, Debug)]
pub(super) struct Store(PathBuf);

impl Store {
    /// Of the lab's registry, whose directory is `dir`.
    pub(super) fn of(dir: &Path) -> Self {
        Self(dir.join("data/docker/registry/v2"))
    }

    /// A blob's file.
    pub(super) fn blob(&self, digest: &str) -> PathBuf {
        let digits = digest.trim_start_matches("sha256:");
        self.0.join("blobs/sha256").join(&digits[..2]).join(digits).join("data")
    }

    /// The file that says what a tag means.
    pub(super) fn tag(&self, repository: &str, tag: &str) -> PathBuf {
        self.0
            .join("repositories")
            .join(repository)
            .join(format!("_manifests/tags/{tag}/current/link"))
    }

    /// The file that says that a repository holds a manifest.
    pub(super) fn revision(&self, repository: &str, digest: &str) -> PathBuf {
        let digits = digest.trim_start_matches("sha256:");
        let manifests = self.0.join("repositories").join(repository).join("_manifests");
        manifests.join("revisions/sha256").join(digits).join("link")
    }

    pub(super) fn digest_of(&self, repository: &str, tag: &str) -> String {
        fs::read_to_string(self.tag(repository, tag)).unwrap()
    }

    /// The digest of a manifest's last layer.
    pub(super) fn last_layer(&self, manifest: &str) -> String {
        let text = fs::read_to_string(self.blob(manifest)).unwrap();
        let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
        let layers = manifest["layers"].as_array().unwrap();
        layers.last().unwrap()["digest"].as_str().unwrap().to_owned()
    }
}

/// Starts a registry over the lab's own files, for those who log in.
pub(super) async fn with_login(lab_registry: &Path, dir: &Path) -> (Child, u16) {
    let port = free_port();
    fs::create_dir_all(dir).unwrap();
    fs::write(dir.join("htpasswd"), HTPASSWD).unwrap();
    let text = format!(
        "version: 0.1\nlog: {{ accesslog: {{ disabled: true }}, level: error }}\n\
         storage:\n  filesystem: {{ rootdirectory: '{}' }}\n\
         auth: {{ htpasswd: {{ realm: lab, path: '{}' }} }}\n\
         http: {{ addr: '127.0.0.1:{port}' }}\n",
        lab_registry.join("data").display(),
        dir.join("htpasswd").display()
    );
    fs::write(dir.join("config.yml"), text).unwrap();
    let log = fs::File::create(dir.join("registry.log")).unwrap();
    let child = Command::new(registry::program().unwrap())
        .arg("serve")
        .arg(dir.join("config.yml"))
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    until("the registry with a login", Duration::from_secs(20), async || {
        TcpStream::connect(("127.0.0.1", port)).await.map(drop).map_err(|error| error.to_string())
    })
    .await
    .unwrap();
    (child, port)
}
