//! Backups of the storage beside the database.

use std::path::PathBuf;

use quaymaster_proto::storage::{HookFooting, KeptStorage, StoragePlace, StorageSize};
use sha2::{Digest as _, Sha256};

use super::*;
use crate::backup::storage;

/// A rig with a storage of two blobs, an upload that broke off, and a link.
struct Stored {
    rig: Rig,
    blobs: Vec<PathBuf>,
}

impl Stored {
    async fn new() -> Self {
        let mut rig = Rig::on_sqlite().await;
        let storage = rig.directory.path().join("storage");
        let blob = |content: &[u8]| {
            let name: String =
                Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
            let path = storage.join("registry/sha256").join(&name[..2]).join(&name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, content).unwrap();
            path
        };
        let blobs = vec![blob(b"one"), blob(&[7; 300_000])];
        let uploads = storage.join("registry/uploads");
        std::fs::create_dir_all(uploads.join("empty")).unwrap();
        std::fs::write(uploads.join("a\nb"), "half").unwrap();
        std::os::unix::fs::symlink("uploads", storage.join("registry/link")).unwrap();
        let uri = rig.directory.path().join("quay.db");
        let text = format!(
            "DB_URI: 'sqlite:///{}'\nDISTRIBUTED_STORAGE_CONFIG:\n  \
             default: [LocalStorage, {{storage_path: /datastorage/registry}}]\n",
            uri.display()
        );
        rig.settings = Settings::read(text.as_bytes()).unwrap();
        let (source, destination) = (storage.display().to_string(), "/datastorage".to_owned());
        rig.mounts.push(Mount { source, destination });
        Self { rig, blobs }
    }

    async fn copy(&self) -> Result<BackedUp, String> {
        self.rig.back_up_with(StorageOrder::Copy, ran('0')).await
    }

    /// Puts a program where agent.yaml names one.
    fn hook(&mut self, script: &str) {
        let path = self.rig.directory.path().join("hook");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        self.rig.config.storage_hook = Some(path);
    }

    async fn run_hook(&self) -> Result<BackedUp, String> {
        self.rig.back_up_with(StorageOrder::Hook, ran('0')).await
    }

    fn shell(&self, command: &str) -> String {
        let mut shell = std::process::Command::new("sh");
        shell.current_dir(self.rig.directory.path()).env("RUN", self.rig.run.to_string());
        let done = shell.args(["-ec", command]).output().unwrap();
        assert!(done.status.success(), "{command}: {done:?}");
        String::from_utf8(done.stdout).unwrap()
    }

    fn masked(&self, said: &str) -> String {
        said.replace(&self.rig.directory.path().display().to_string(), "[dir]")
    }
}

/// By the commands that README names.
#[tokio::test]
async fn a_storage_is_copied_with_the_database_and_put_back_by_hand() {
    let stored = Stored::new().await;
    let made = stored.copy().await.unwrap();
    let kept = made.backup.storage.unwrap();
    let KeptStorage::Copied { from, files, bytes, reflinked, misnamed, .. } = kept else {
        panic!("{kept:?}")
    };
    assert_eq!((files, bytes, misnamed), (3, 3 + 300_000 + 4, 0));
    assert!(reflinked == 0 || reflinked == 3, "{reflinked}");
    assert!(from[0].ends_with("/storage/registry"), "{from:?}");
    let notes = stored.rig.notes.lock().unwrap().clone();
    assert!(notes.iter().any(|note| note.starts_with("copying the storage")), "{notes:?}");

    let open = "find $RUN ! -type l ! -perm 600 ! -perm 700";
    assert_eq!(stored.shell(&format!("cd backups && {open}")), "", "for the agent's user alone");
    stored.shell("cd backups/$RUN && sha256sum --quiet -c storage.sha256");
    stored.shell(
        "rm -r storage/registry/sha256 && cp -Rn backups/$RUN/storage/default/. storage/registry/ \
         && chown -R --reference=storage/registry storage/registry",
    );
    stored.shell("diff -r storage/registry backups/$RUN/storage/default");
    for blob in &stored.blobs {
        assert!(blob.is_file(), "{}", blob.display());
    }
}

#[tokio::test]
async fn a_backup_that_is_whole_is_not_made_twice_and_one_without_the_storage_is() {
    let stored = Stored::new().await;
    assert!(!stored.rig.back_up().await.unwrap().was_there);
    assert!(!stored.copy().await.unwrap().was_there);
    assert!(stored.copy().await.unwrap().was_there);
    // It holds more than is wanted.
    assert!(stored.rig.back_up().await.unwrap().was_there);
    stored.shell("rm backups/$RUN/storage/default/uploads/a*");
    assert!(!stored.copy().await.unwrap().was_there);
    assert_eq!(stored.rig.names(), [stored.rig.run.to_string()]);
}

#[tokio::test]
async fn a_blob_that_was_rotten_before_is_told_and_hinders_nothing() {
    let stored = Stored::new().await;
    std::fs::write(&stored.blobs[0], "two").unwrap();
    let kept = stored.copy().await.unwrap().backup.storage.unwrap();
    let KeptStorage::Copied { reflinked, misnamed, .. } = kept else { panic!("{kept:?}") };
    // What shares its bytes is not read.
    assert_eq!(misnamed, u64::from(reflinked == 0));
}

#[tokio::test]
async fn a_storage_that_cannot_be_copied_is_told_before_anything_is_dumped() {
    let mut stored = Stored::new().await;
    let mounted = stored.rig.mounts.pop().unwrap();
    let mut told = vec![stored.copy().await.unwrap_err()];
    stored.rig.mounts.push(mounted);
    let backups = stored.rig.config.directory.clone();
    stored.rig.config.directory = stored.rig.directory.path().join("storage/registry/uploads");
    told.push(stored.copy().await.unwrap_err());
    stored.rig.config.directory = backups;
    std::fs::remove_dir_all(stored.rig.directory.path().join("storage")).unwrap();
    told.push(stored.copy().await.unwrap_err());
    told.push(stored.run_hook().await.unwrap_err());
    assert!(stored.rig.names().is_empty(), "{:?}", stored.rig.names());
    insta::assert_snapshot!(stored.masked(&told.join("\n")));
}

#[tokio::test]
async fn an_operators_program_says_what_it_made_and_a_failure_leaves_nothing() {
    let mut stored = Stored::new().await;
    stored.hook(
        "[ $# = 0 ] && [ -z \"$HOME\" ] || exit 9\n\
         echo starting; echo snapshot $QUAYMASTER_CLUSTER/$QUAYMASTER_NODE/$QUAYMASTER_RUN; echo",
    );
    let made = stored.run_hook().await.unwrap();
    let kept = made.backup.storage.unwrap();
    let KeptStorage::Hooked { said, .. } = kept else { panic!("{kept:?}") };
    assert_eq!(said, format!("snapshot prod/quay-1/{}", stored.rig.run));
    assert!(stored.run_hook().await.unwrap().was_there);

    stored.hook("echo 'the bucket does not answer' >&2; exit 3");
    let failed = stored.rig.back_up_with(StorageOrder::Hook, ran('1')).await.unwrap_err();
    insta::assert_snapshot!(stored.masked(&failed));
    let kept = stored.rig.names();
    assert_eq!(kept, [stored.rig.run.to_string()], "the older one stays, and no draft");
}

/// Nor is a secret shown by halves.
#[tokio::test]
async fn what_a_hook_prints_is_masked_before_it_is_cut() {
    let mut stored = Stored::new().await;
    let uri = stored.rig.directory.path().join("quay.db");
    let text = format!(
        "DB_URI: 'sqlite:///{}'\nSECRET_KEY: hunter2-and-more\nDISTRIBUTED_STORAGE_CONFIG:\n  \
         default: [S3Storage, {{s3_secret_key: hunter2-and-more}}]\n",
        uri.display()
    );
    stored.rig.settings = Settings::read(text.as_bytes()).unwrap();
    stored.hook("printf '%0196d'; echo hunter2-and-more");
    let kept = stored.run_hook().await.unwrap().backup.storage.unwrap();
    let KeptStorage::Hooked { said, .. } = kept else { panic!("{kept:?}") };
    assert!(!said.contains("hunt") && said.ends_with("***"), "{said}");
}

#[tokio::test]
async fn blobs_that_a_copy_would_not_hold_are_told_before_anything_is_dumped() {
    let stored = Stored::new().await;
    stored.shell("mkdir elsewhere && ln -s ../../elsewhere storage/registry/more");
    let told = stored.copy().await.unwrap_err();
    assert!(told.contains("storage/registry/more` of the storage is a link to"), "{told}");
    let look = storage::look(Some(&stored.rig.config), &stored.rig.settings, &stored.rig.mounts);
    let found = look.await;
    assert!(matches!(found.locations[0].place, StoragePlace::Unseen { .. }), "{found:?}");
}

#[tokio::test]
async fn backups_in_the_storage_by_another_name_are_told() {
    let mut stored = Stored::new().await;
    stored.shell("mkdir storage/registry/backups && ln -s storage/registry other");
    stored.rig.config.directory = stored.rig.directory.path().join("other/backups");
    let told = stored.copy().await.unwrap_err();
    assert!(told.contains("backups lie in"), "{told}");
}

/// It would be opened, and waited for, for ever.
#[tokio::test]
async fn a_pipe_that_a_killed_agent_left_in_a_backup_hinders_nothing() {
    let stored = Stored::new().await;
    stored.copy().await.unwrap();
    stored.shell("mkfifo backups/$RUN/.printed");
    assert!(stored.copy().await.unwrap().was_there);
}

#[tokio::test]
async fn a_storage_is_measured_where_backups_are_made() {
    let mut stored = Stored::new().await;
    let look = async |rig: &Rig| storage::look(Some(&rig.config), &rig.settings, &rig.mounts).await;
    let unmeasured = storage::look(None, &stored.rig.settings, &stored.rig.mounts).await;
    assert!(matches!(unmeasured.locations[0].place, StoragePlace::Local { size: None, .. }));
    assert_eq!(unmeasured.hook, HookFooting::Unnamed);

    stored.hook("exit 0");
    let found = look(&stored.rig).await;
    let StoragePlace::Local { size: Some(size), .. } = found.locations[0].place else {
        panic!("{found:?}")
    };
    let StorageSize { bytes, files, is_counted, reflinks: _ } = size;
    assert_eq!((bytes, files, is_counted), (300_007, 3, true));
    assert_eq!(found.hook, HookFooting::Ready);
    assert!(stored.rig.names().is_empty(), "a look leaves nothing");

    stored.rig.config.storage_hook = Some("/nowhere/hook".into());
    std::fs::remove_dir_all(stored.rig.directory.path().join("storage")).unwrap();
    let gone = look(&stored.rig).await;
    assert!(matches!(gone.locations[0].place, StoragePlace::Unseen { .. }), "{gone:?}");
    assert!(matches!(gone.hook, HookFooting::Unusable { .. }), "{gone:?}");
}
