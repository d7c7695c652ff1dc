use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;

fn run() -> RunId {
    "01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap()
}

fn set_up() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.yaml");
    std::fs::write(&path, "A: 1\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    (directory, path)
}

#[test]
fn the_new_file_has_what_the_old_one_had_beside_its_bytes() {
    let (_directory, path) = set_up();
    let attribute =
        rustix::fs::setxattr(&path, "user.quaymaster", b"label", rustix::fs::XattrFlags::empty());
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        std::os::unix::fs::chown(&path, Some(1001), Some(1002)).unwrap();
    }
    let old = ConfigFile::read(&path).unwrap();
    old.stage(run(), b"A: 2\n").unwrap();
    assert_eq!(old.staged(run()).unwrap(), Some(digest(b"A: 2\n")));
    assert_eq!(std::fs::read(&path).unwrap(), b"A: 1\n");
    old.put(run()).unwrap();
    let new = ConfigFile::read(&path).unwrap();
    assert_eq!(new.bytes, b"A: 2\n");
    assert_eq!((new.owner, new.group, new.permissions), (old.owner, old.group, old.permissions));
    assert_ne!(new.identity, old.identity);
    assert_eq!(new.staged(run()).unwrap(), None);
    // Where the file system has attributes at all.
    if attribute.is_ok() {
        let mut value = [0; 16];
        let length = rustix::fs::getxattr(&path, "user.quaymaster", &mut value[..]).unwrap();
        assert_eq!(&value[..length], b"label");
    }
}

#[test]
fn a_link_is_followed_and_its_target_replaced() {
    let (directory, path) = set_up();
    let link = directory.path().join("link.yaml");
    symlink(&path, &link).unwrap();
    let file = ConfigFile::read(&link).unwrap();
    file.stage(run(), b"A: 2\n").unwrap();
    file.put(run()).unwrap();
    assert!(link.symlink_metadata().unwrap().is_symlink());
    assert_eq!(std::fs::read(&path).unwrap(), b"A: 2\n");
}

#[test]
fn a_loop_a_directory_and_a_missing_file_are_refused() {
    let (directory, _) = set_up();
    let link = directory.path().join("loop");
    symlink(&link, &link).unwrap();
    assert!(matches!(ConfigFile::read(&link), Err(ConfigFileError::Disk { .. })));
    assert!(matches!(ConfigFile::read(directory.path()), Err(ConfigFileError::NotAFile { .. })));
    assert!(ConfigFile::read(&directory.path().join("none")).is_err());
}

#[test]
fn a_sibling_that_is_a_link_is_not_put_in_place() {
    let (directory, path) = set_up();
    let file = ConfigFile::read(&path).unwrap();
    symlink(directory.path().join("elsewhere"), file.sibling(run())).unwrap();
    assert!(matches!(file.staged(run()), Err(ConfigFileError::NotAFile { .. })));
    // Staging replaces the link itself and writes nothing through it.
    file.stage(run(), b"A: 2\n").unwrap();
    assert!(!directory.path().join("elsewhere").exists());
    assert_eq!(file.staged(run()).unwrap(), Some(digest(b"A: 2\n")));
}

#[test]
fn the_kept_copy_is_for_the_agent_alone() {
    let (directory, path) = set_up();
    let file = ConfigFile::read(&path).unwrap();
    file.keep(directory.path()).unwrap();
    file.keep(directory.path()).unwrap();
    let kept = directory.path().join("kept").join(file.digest.as_str());
    assert_eq!(std::fs::read(&kept).unwrap(), b"A: 1\n");
    assert_eq!(kept.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

fn permissions(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[test]
fn right_bytes_without_the_files_mode_are_not_staged() {
    let (_directory, path) = set_up();
    let file = ConfigFile::read(&path).unwrap();
    // As a crash between writing and dressing left it.
    std::fs::write(file.sibling(run()), "A: 2\n").unwrap();
    std::fs::set_permissions(file.sibling(run()), std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(!file.is_dressed(run()).unwrap());
    file.stage(run(), b"A: 2\n").unwrap();
    assert!(file.is_dressed(run()).unwrap());
    assert_eq!(permissions(&file.sibling(run())), 0o640);
}

#[test]
fn bytes_that_cannot_be_dressed_never_get_the_siblings_name() {
    let (_directory, path) = set_up();
    let mut file = ConfigFile::read(&path).unwrap();
    // There is no such owner, for anybody.
    file.owner = u32::MAX - 1;
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        file.path = path.with_file_name("gone.yaml");
    }
    assert!(matches!(file.stage(run(), b"A: 2\n"), Err(ConfigFileError::Attribute { .. })));
    assert_eq!(file.staged(run()).unwrap(), None);
}

#[test]
fn what_changed_beside_the_bytes_since_the_staging_stays_changed() {
    let (_directory, path) = set_up();
    ConfigFile::read(&path).unwrap().stage(run(), b"A: 2\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o660)).unwrap();
    ConfigFile::read(&path).unwrap().put(run()).unwrap();
    assert_eq!(
        (std::fs::read(&path).unwrap().as_slice(), permissions(&path)),
        (&b"A: 2\n"[..], 0o660)
    );
}

#[test]
fn a_list_that_the_directory_gives_is_not_kept() {
    let (directory, path) = set_up();
    // Version 2; the owner rw, user 4242 rwx, the group r, mask rwx, others none.
    let entries: [(u16, u16, u32); 5] =
        [(1, 6, u32::MAX), (2, 7, 4242), (4, 4, u32::MAX), (16, 7, u32::MAX), (32, 0, u32::MAX)];
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, rights, id) in entries {
        list.extend(tag.to_le_bytes());
        list.extend(rights.to_le_bytes());
        list.extend(id.to_le_bytes());
    }
    let flags = rustix::fs::XattrFlags::empty();
    if rustix::fs::setxattr(directory.path(), "system.posix_acl_default", &list, flags).is_err() {
        return; // This file system has no such lists.
    }
    let file = ConfigFile::read(&path).unwrap();
    file.stage(run(), b"A: 2\n").unwrap();
    assert!(file.is_dressed(run()).unwrap());
    file.put(run()).unwrap();
    let mut value = [0; 256];
    assert!(rustix::fs::getxattr(&path, "system.posix_acl_access", &mut value[..]).is_err());
    assert_eq!(permissions(&path), 0o640);
}
