#![expect(clippy::disallowed_methods, reason = "an effect room: the engine's files are its job")]
//! The engine's files: containers, images, logs, volumes and the directories
//! that live as long as a container. Everything is read when it is asked for,
//! except containers, which are read once when the engine starts.

use super::{container::Container, fault::Faults, image::StoredImage, registry::RegistryFile};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs,
    io::{self, Read},
    path::{self, Path, PathBuf},
};

/// Why the engine's files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot read `{}`", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write `{}`", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot make sense of `{}`", path.display())]
    Parse { path: PathBuf, source: serde_json::Error },
}

/// The directory that holds them.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    root: PathBuf,
}

impl Store {
    pub(crate) fn open(root: &Path) -> Result<Self, StoreError> {
        // Programs are told of paths in it and have a directory of their own.
        let root = path::absolute(root)
            .map_err(|source| StoreError::Read { path: root.to_owned(), source })?;
        let store = Self { root };
        for part in ["containers", "images", "logs", "root", "volumes"] {
            create_directory(&store.root.join(part))?;
        }
        Ok(store)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The engine's own id, made up at its first start.
    pub(crate) fn engine_id(&self) -> Result<String, StoreError> {
        let path = self.root.join("engine-id");
        match read(&path)? {
            Some(bytes) => Ok(String::from_utf8_lossy(&bytes).trim().to_owned()),
            None => {
                let id = fresh_id()?;
                write(&path, id.as_bytes())?;
                Ok(id)
            }
        }
    }

    pub(crate) fn containers(&self) -> Result<Vec<Container>, StoreError> {
        read_all(&self.root.join("containers"))
    }

    pub(crate) fn save(&self, container: &Container) -> Result<(), StoreError> {
        write_json(&self.container_path(&container.id), container)
    }

    /// Removes all that belongs to one container but its volumes.
    pub(crate) fn forget(&self, id: &str) -> Result<(), StoreError> {
        for path in [self.container_path(id), self.log_path(id)] {
            absent_is_fine(fs::remove_file(&path), &path)?;
        }
        self.remove_tree(&self.container_root(id))
    }

    pub(crate) fn remove_volume(&self, name: &str) -> Result<(), StoreError> {
        self.remove_tree(&self.volumes().join(name))
    }

    fn remove_tree(&self, path: &Path) -> Result<(), StoreError> {
        absent_is_fine(fs::remove_dir_all(path), path)
    }

    pub(crate) fn images(&self) -> Result<Vec<StoredImage>, StoreError> {
        read_all(&self.root.join("images"))
    }

    pub(crate) fn save_image(&self, stored: &StoredImage) -> Result<(), StoreError> {
        let id = &stored.image.id;
        let digits = id.strip_prefix("sha256:").unwrap_or(id);
        write_json(&self.root.join("images").join(format!("{digits}.json")), stored)
    }

    pub(crate) fn faults(&self) -> Result<Faults, StoreError> {
        Ok(read_json(&self.root.join("faults.json"))?.unwrap_or_default())
    }

    pub(crate) fn save_faults(&self, faults: &Faults) -> Result<(), StoreError> {
        write_json(&self.root.join("faults.json"), faults)
    }

    /// The directory that stands for the container's own file system.
    pub(crate) fn container_root(&self, id: &str) -> PathBuf {
        self.root.join("root").join(id)
    }

    pub(crate) fn log_path(&self, id: &str) -> PathBuf {
        self.root.join("logs").join(format!("{id}.jsonl"))
    }

    pub(crate) fn volumes(&self) -> PathBuf {
        self.root.join("volumes")
    }

    fn container_path(&self, id: &str) -> PathBuf {
        self.root.join("containers").join(format!("{id}.json"))
    }
}

/// What the registry holds now; without a registry it is empty.
pub(crate) fn read_registry(path: Option<&Path>) -> Result<RegistryFile, StoreError> {
    let found = path.map(read_json).transpose()?.flatten();
    Ok(found.unwrap_or_default())
}

/// Makes a directory and those above it, as Docker does for the source of a
/// bind that is not there.
pub(crate) fn create_directory(path: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(path).map_err(|source| StoreError::Write { path: path.to_owned(), source })
}

/// 64 hexadecimal digits from the machine's own chance.
pub(crate) fn fresh_id() -> Result<String, StoreError> {
    let path = Path::new("/dev/urandom");
    let mut bytes = [0; 32];
    fs::File::open(path)
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|source| StoreError::Read { path: path.to_owned(), source })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StoreError::Read { path: path.to_owned(), source }),
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StoreError> {
    let parse = |bytes: Vec<u8>| {
        serde_json::from_slice(&bytes)
            .map_err(|source| StoreError::Parse { path: path.to_owned(), source })
    };
    read(path)?.map(parse).transpose()
}

fn read_all<T: DeserializeOwned>(directory: &Path) -> Result<Vec<T>, StoreError> {
    let failed = |source| StoreError::Read { path: directory.to_owned(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            found.extend(read_json(&path)?);
        }
    }
    Ok(found)
}

fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), StoreError> {
    let bytes = serde_json::to_vec_pretty(value)
        .map_err(|source| StoreError::Parse { path: path.to_owned(), source })?;
    write(path, &bytes)
}

/// Puts a file in place whole, so that an engine that is killed half-way leaves
/// the old one.
fn write(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let fresh = path.with_extension("new");
    fs::write(&fresh, bytes)
        .and_then(|()| fs::rename(&fresh, path))
        .map_err(|source| StoreError::Write { path: path.to_owned(), source })
}

fn absent_is_fine(removed: io::Result<()>, path: &Path) -> Result<(), StoreError> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::Write { path: path.to_owned(), source: error })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
