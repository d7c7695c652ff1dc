//! A `docker load` archive, made in memory: one layer with the program and its libraries that all
//! images share, one small layer of each image's own, and the configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{LabImage, sha256};
use crate::engine::ImageConfig;

/// A file of an image.
#[derive(Clone, Debug)]
pub struct ImageFile {
    /// Absolute, as inside the container.
    pub path: PathBuf,
    pub bytes: Vec<u8>,
}

#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("cannot write the image archive")]
    Tar { source: io::Error },
    #[error("cannot write the image's configuration as JSON")]
    Json { source: serde_json::Error },
}

/// Only `image` is in the archive; `files` are its common layer.
pub(super) fn archive(image: &LabImage, files: &[ImageFile]) -> Result<Vec<u8>, ArchiveError> {
    let common = layer(files)?;
    let own = layer(&[ImageFile {
        path: "/etc/quay-release".into(),
        bytes: format!("{}\n", image.release).into_bytes(),
    }])?;
    let config = json!({
        "architecture": architecture(),
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": container_config(&image.config()),
        "rootfs": { "type": "layers", "diff_ids": [sha256(&common), sha256(&own)] },
        "history": [
            { "created": "1970-01-01T00:00:00Z", "created_by": "quaymaster-lab: program" },
            { "created": "1970-01-01T00:00:00Z", "created_by": "quaymaster-lab: release" },
        ],
    });
    let config = to_json(&config)?;
    let config_name = format!("{}.json", sha256(&config).trim_start_matches("sha256:"));
    let manifest = to_json(&json!([{
        "Config": config_name,
        "RepoTags": [image.reference()],
        "Layers": ["program/layer.tar", "release/layer.tar"],
    }]))?;
    tar([
        (Path::new("program/layer.tar"), common.as_slice(), 0o644),
        (Path::new("release/layer.tar"), own.as_slice(), 0o644),
        (Path::new(&config_name), config.as_slice(), 0o644),
        (Path::new("manifest.json"), manifest.as_slice(), 0o644),
    ])
}

/// Docker keeps its sets as maps to nothing.
fn container_config(config: &ImageConfig) -> serde_json::Value {
    let ImageConfig { env, exposed_ports, volumes, labels, entrypoint, cmd, user, working_dir } =
        config;
    let set = |names: &BTreeSet<String>| -> BTreeMap<String, serde_json::Value> {
        names.iter().map(|name| (name.clone(), json!({}))).collect()
    };
    json!({
        "Env": env,
        "ExposedPorts": set(exposed_ports),
        "Volumes": set(volumes),
        "Labels": labels,
        "Entrypoint": entrypoint,
        "Cmd": cmd,
        "User": user,
        "WorkingDir": working_dir,
    })
}

fn layer(files: &[ImageFile]) -> Result<Vec<u8>, ArchiveError> {
    tar(files.iter().map(|file| {
        let path = file.path.strip_prefix("/").unwrap_or(&file.path);
        (path, file.bytes.as_slice(), 0o755)
    }))
}

fn tar<'a>(
    files: impl IntoIterator<Item = (&'a Path, &'a [u8], u32)>,
) -> Result<Vec<u8>, ArchiveError> {
    let mut builder = tar::Builder::new(Vec::new());
    let write = || -> io::Result<()> {
        for (path, bytes, mode) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
            header.set_mode(mode);
            header.set_mtime(0);
            builder.append_data(&mut header, path, bytes)?;
        }
        Ok(())
    };
    write().map_err(|source| ArchiveError::Tar { source })?;
    builder.into_inner().map_err(|source| ArchiveError::Tar { source })
}

fn to_json(value: &serde_json::Value) -> Result<Vec<u8>, ArchiveError> {
    serde_json::to_vec(value).map_err(|source| ArchiveError::Json { source })
}

/// The name that image configurations use for this machine.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
