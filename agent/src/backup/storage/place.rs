//! Where the storage lies: on this host, or not. Pure.

use std::path::{Path, PathBuf};

use quaymaster_proto::storage::{StorageLocation, StoragePlace};

use super::error::StorageError;
use crate::engine::Mount;
use crate::quay::database;
use crate::quay::settings::{Kept, Location, Settings};

/// A directory of the storage.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Local {
    /// As config.yaml calls it; one part of a path.
    pub(super) name: String,
    /// On this host.
    pub(super) directory: PathBuf,
}

/// Every location, all of which have to lie in directories of this host. One
/// that two locations share is named once.
pub(super) fn local(
    settings: &Settings,
    mounts: &[Mount],
    backups: &Path,
) -> Result<Vec<Local>, StorageError> {
    let mut all: Vec<Local> = Vec::new();
    for location in settings.storage() {
        let found = on_this_host(location, mounts, backups)?;
        let is_known = all.iter().any(|known| found.directory.starts_with(&known.directory));
        if is_known {
            continue;
        }
        all.retain(|known| !known.directory.starts_with(&found.directory));
        let is_taken = all.iter().any(|known| known.name == found.name);
        let name = if is_taken { format!("{}-{}", found.name, all.len()) } else { found.name };
        all.push(Local { name, directory: found.directory });
    }
    if all.is_empty() { Err(StorageError::Unnamed) } else { Ok(all) }
}

fn on_this_host(
    location: Location,
    mounts: &[Mount],
    backups: &Path,
) -> Result<Local, StorageError> {
    let Location { name, kept } = location;
    let path = match kept {
        Kept::Locally(path) => path,
        Kept::Nowhere => return Err(StorageError::NoPath { location: name }),
        Kept::By(driver) => return Err(StorageError::NotLocal { location: name, driver }),
    };
    let directory = database::host_path(mounts, &path)
        .map_err(|_| StorageError::NotMounted { path: path.clone() })?;
    if backups.starts_with(&directory) {
        return Err(StorageError::Inside { directory });
    }
    Ok(Local { name, directory })
}

/// Every location as it is told, none of them measured.
pub(super) fn told(
    settings: &Settings,
    mounts: &[Mount],
    backups: Option<&Path>,
) -> Vec<StorageLocation> {
    let all = settings.storage().into_iter();
    all.map(|location| {
        let name = location.name.clone();
        let path = match &location.kept {
            Kept::Locally(path) => path.display().to_string(),
            Kept::Nowhere | Kept::By(_) => String::new(),
        };
        // Without backups nothing lies inside.
        let place = match on_this_host(location, mounts, backups.unwrap_or_else(|| Path::new("/")))
        {
            Ok(Local { name: _, directory }) => {
                StoragePlace::Local { directory: directory.display().to_string(), size: None }
            }
            Err(StorageError::NotLocal { location: _, driver }) => {
                StoragePlace::Elsewhere { driver }
            }
            Err(error) => {
                StoragePlace::Unseen { path, problem: quaymaster_proto::in_a_line(&error) }
            }
        };
        StorageLocation { name, place }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(source: &str, destination: &str) -> Mount {
        Mount { source: source.to_owned(), destination: destination.to_owned() }
    }

    fn settings(storage: &str) -> Settings {
        let text = format!("DISTRIBUTED_STORAGE_CONFIG:\n{storage}");
        Settings::read(text.as_bytes()).unwrap()
    }

    const LOCAL: &str = "  a: [LocalStorage, {storage_path: /datastorage/registry}]\n";

    #[test]
    fn a_directory_is_found_through_the_containers_mounts() {
        let mounts = [mount("/mnt/quay/storage", "/datastorage")];
        let find = |storage: &str, backups: &str| {
            let found = local(&settings(storage), &mounts, Path::new(backups));
            found.map_err(|error| error.to_string())
        };
        let directory = PathBuf::from("/mnt/quay/storage/registry");
        let one = Local { name: "a".to_owned(), directory };
        assert_eq!(find(LOCAL, "/backups"), Ok(vec![one.clone()]));
        // What lies within another one is copied with it.
        let within = "  b: [LocalStorage, {storage_path: /datastorage/registry/b}]\n";
        assert_eq!(find(&format!("{LOCAL}{within}"), "/backups"), Ok(vec![one]));

        let refused = |storage: &str, backups: &str| find(storage, backups).unwrap_err();
        assert!(refused(LOCAL, "/mnt/quay/storage/registry/x").contains("backups lie in"));
        let other = "  c: [LocalStorage, {storage_path: /elsewhere}]\n";
        assert!(refused(other, "/b").contains("`/elsewhere` of Quay's container"));
        let store = "  d: [S3Storage, {s3_secret_key: hunter2}]\n";
        let said = refused(&format!("{LOCAL}{store}"), "/b");
        assert!(said.contains("S3Storage") && !said.contains("hunter2"), "{said}");
    }

    #[test]
    fn every_location_is_told_whatever_keeps_it() {
        let store = "  d: [S3Storage, {s3_secret_key: hunter2}]\n";
        let mounts = [mount("/mnt/quay/storage", "/datastorage")];
        let told = |mounts: &[Mount]| told(&settings(&format!("{LOCAL}{store}")), mounts, None);
        let places: Vec<StoragePlace> = told(&mounts).into_iter().map(|told| told.place).collect();
        let directory = "/mnt/quay/storage/registry".to_owned();
        let local = StoragePlace::Local { directory, size: None };
        assert_eq!(places, [local, StoragePlace::Elsewhere { driver: "S3Storage".to_owned() }]);
        assert!(matches!(told(&[])[0].place, StoragePlace::Unseen { .. }));
    }
}
