//! Writes the files of a new lab: directories, certificates, configs.
#![expect(
    clippy::disallowed_methods,
    reason = "an effect room: disk, clock and chance are its job"
)]

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt as _};
use std::path::{Path, PathBuf};

use quaymaster_proto::Component;
use time::OffsetDateTime;

use super::lab_file::LabFile;
use super::layout::Layout;
use super::texts;
use crate::pki::{Authority, Identity, PkiError, Subject, Validity};

/// Longest path of a unix socket, its closing zero byte included.
const LONGEST_SOCKET: usize = 108;

#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    #[error("`{}` is not an empty directory; give a new one, or end the lab in it first (`quaymaster-lab down --dir ...`) and remove it", dir.display())]
    NotEmpty { dir: PathBuf },
    #[error("`{}` cannot stand in binds and YAML: it holds a `:`, a `,` or a control character; give another directory", dir.display())]
    BadName { dir: PathBuf },
    #[error("`{}` is too long for the engines' sockets in it ({length} bytes, {most} are possible); give a shorter directory", socket.display(), most = LONGEST_SOCKET - 1)]
    TooLong { socket: PathBuf, length: usize },
    #[error("cannot write `{}`", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot read random bytes from /dev/urandom")]
    Random { source: io::Error },
    #[error("cannot make the lab's certificates")]
    Pki { source: PkiError },
}

/// Makes `dir` and gives it back absolute.
pub(crate) fn claim_directory(dir: &Path) -> Result<Layout, FilesError> {
    let failed = |source| FilesError::Write { path: dir.to_owned(), source };
    fs::create_dir_all(dir).map_err(failed)?;
    if fs::read_dir(dir).map_err(failed)?.next().is_some() {
        return Err(FilesError::NotEmpty { dir: dir.to_owned() });
    }
    let dir = dir.canonicalize().map_err(failed)?;
    let is_plain = |text: &str| {
        !text.contains(|letter: char| letter.is_control() || letter == ':' || letter == ',')
    };
    if !dir.to_str().is_some_and(is_plain) {
        return Err(FilesError::BadName { dir });
    }
    Ok(Layout::new(dir))
}

pub(crate) fn check_sockets(layout: &Layout, lab: &LabFile) -> Result<(), FilesError> {
    for node in &lab.nodes {
        let socket = layout.engine_socket(&node.name);
        let length = socket.as_os_str().len();
        if length >= LONGEST_SOCKET {
            return Err(FilesError::TooLong { socket, length });
        }
    }
    Ok(())
}

/// 32 hexadecimal digits that nobody can guess.
pub(crate) fn random() -> Result<String, FilesError> {
    let mut bytes = [0; 16];
    fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|source| FilesError::Random { source })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The directories, apart from those that only one engine or database needs. `shared_config` = one
/// for all nodes, which each finds at its own path, as on a filer that is mounted everywhere.
pub(crate) fn make_directories(
    layout: &Layout,
    lab: &LabFile,
    shared_config: bool,
) -> Result<(), FilesError> {
    let mut all = vec![
        layout.state(),
        layout.storage().join("registry"),
        layout.engines(),
        layout.witness(),
        layout.observed(),
    ];
    let mut private = Vec::new();
    for node in &lab.nodes {
        all.extend([layout.pki(&node.name), layout.log(&node.name)]);
        private.push(layout.backups(&node.name));
        all.push(if shared_config { layout.shared_config() } else { layout.config(&node.name) });
        if node.companion(Component::Clair).is_some() {
            all.push(layout.clair(&node.name));
        }
    }
    for path in all {
        fs::create_dir_all(&path).map_err(|source| FilesError::Write { path, source })?;
    }
    for path in private {
        fs::create_dir_all(&path)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o700)))
            .map_err(|source| FilesError::Write { path, source })?;
    }
    if shared_config {
        for path in lab.nodes.iter().map(|node| layout.config(&node.name)) {
            std::os::unix::fs::symlink(layout.shared_config(), &path)
                .map_err(|source| FilesError::Write { path, source })?;
        }
    }
    Ok(())
}

/// Certificates of the CA, the operator, a reader and every agent.
pub(crate) fn write_pki(layout: &Layout, lab: &LabFile) -> Result<(), FilesError> {
    let validity = Validity::lab(OffsetDateTime::now_utc());
    let pki = |source| FilesError::Pki { source };
    let authority = Authority::new(&format!("{} throw-away CA", lab.lab), validity).map_err(pki)?;
    let dir = layout.dir();
    write(&dir.join("ca.crt"), 0o644, authority.certificate())?;
    for role in ["operator", "reader"] {
        let subject = Subject::Person { role: role.to_owned(), person: "lab".to_owned() };
        let identity = authority.issue(&lab.cluster, &subject, validity).map_err(pki)?;
        write_identity(dir, role, &identity)?;
    }
    for node in &lab.nodes {
        let subject = Subject::Agent { node: node.name.clone() };
        let identity = authority.issue(&lab.cluster, &subject, validity).map_err(pki)?;
        let dir = layout.pki(&node.name);
        write(&dir.join("ca.crt"), 0o644, authority.certificate())?;
        write_identity(&dir, "agent", &identity)?;
    }
    Ok(())
}

fn write_identity(dir: &Path, name: &str, identity: &Identity) -> Result<(), FilesError> {
    write(&dir.join(format!("{name}.crt")), 0o644, &identity.certificate)?;
    write(&dir.join(format!("{name}.key")), 0o600, &identity.key)
}

/// Quay's config.yaml of every node, Clair's, each agent.yaml, and cluster.yaml.
pub(crate) fn write_configs(
    layout: &Layout,
    lab: &LabFile,
    keys: &texts::QuayKeys<'_>,
) -> Result<(), FilesError> {
    for node in &lab.nodes {
        write(&layout.config_file(&node.name), 0o640, &texts::quay_config(keys))?;
        write(&layout.agent_file(&node.name), 0o644, &texts::agent_file(lab, node, layout))?;
        if node.companion(Component::Clair).is_some() {
            let clair = layout.clair(&node.name);
            write(&clair.join("config.yaml"), 0o640, texts::CLAIR_CONFIG)?;
            write(&clair.join("security_scanner.pem"), 0o600, texts::CLAIR_KEY)?;
        }
    }
    write(&layout.cluster_file(), 0o644, &texts::cluster_file(lab))
}

/// Adds to each agent.yaml and to cluster.yaml where traces go.
pub(crate) fn append_telemetry(
    layout: &Layout,
    lab: &LabFile,
    otlp: Option<&str>,
) -> Result<(), FilesError> {
    let Some(otlp) = otlp else { return Ok(()) };
    let agents = lab.nodes.iter().map(|node| layout.agent_file(&node.name));
    for path in agents.chain([layout.cluster_file()]) {
        OpenOptions::new()
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(texts::telemetry(otlp).as_bytes()))
            .map_err(|source| FilesError::Write { path, source })?;
    }
    Ok(())
}

pub(crate) fn write(path: &Path, mode: u32, text: &str) -> Result<(), FilesError> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|source| FilesError::Write { path: path.to_owned(), source })
}
