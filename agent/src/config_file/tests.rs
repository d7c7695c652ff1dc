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

const ACL: &str = "system.posix_acl_access";

/// As the kernel takes it: version 2, then tag, rights and id of each entry.
fn list(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, rights, id) in entries {
        list.extend(tag.to_le_bytes());
        list.extend(rights.to_le_bytes());
        list.extend(id.to_le_bytes());
    }
    list
}

/// The owner rw, user 4242 r, the group r, mask rw, others none.
fn foreign_reader() -> Vec<u8> {
    list(&[(1, 6, u32::MAX), (2, 4, 4242), (4, 4, u32::MAX), (16, 6, u32::MAX), (32, 0, u32::MAX)])
}

fn set_attribute(path: &Path, name: &str, value: &[u8]) -> rustix::io::Result<()> {
    rustix::fs::setxattr(path, name, value, rustix::fs::XattrFlags::empty())
}

fn attribute(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = [0; 256];
    let length = rustix::fs::getxattr(path, name, &mut value[..]).ok()?;
    Some(value[..length].to_vec())
}

/// A file with an owner, a mode, an access control list and an attribute that
/// no new file there would have.
fn set_up_attributed() -> (tempfile::TempDir, PathBuf) {
    let beside_tests = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    for place in [std::env::temp_dir(), beside_tests] {
        let directory = tempfile::tempdir_in(place).unwrap();
        let path = directory.path().join("config.yaml");
        std::fs::write(&path, "A: 1\n").unwrap();
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&path, Some(1001), Some(1002)).unwrap();
        }
        if set_attribute(&path, ACL, &foreign_reader()).is_ok()
            && set_attribute(&path, "user.quaymaster", b"label").is_ok()
        {
            return (directory, path);
        }
    }
    panic!("no file system at hand keeps access control lists and user attributes");
}

/// All that a file has beside its bytes.
fn dress(path: &Path) -> (u32, u32, u32, Option<Vec<u8>>, Option<Vec<u8>>) {
    let seen = path.metadata().unwrap();
    let mode = seen.permissions().mode() & 0o7777;
    (seen.uid(), seen.gid(), mode, attribute(path, ACL), attribute(path, "user.quaymaster"))
}

#[test]
fn the_new_file_has_what_the_old_one_had_beside_its_bytes() {
    let (_directory, path) = set_up_attributed();
    let before = dress(&path);
    assert_eq!(before.3.as_deref(), Some(&foreign_reader()[..]));
    let old = ConfigFile::read(&path).unwrap();
    old.stage(run(), b"A: 2\n").unwrap();
    assert_eq!(old.staged(run()).unwrap(), Some(digest(b"A: 2\n")));
    assert_eq!(std::fs::read(&path).unwrap(), b"A: 1\n");
    assert_eq!(dress(&old.sibling(run())), before);
    old.put(run()).unwrap();
    let new = ConfigFile::read(&path).unwrap();
    assert_eq!(new.bytes, b"A: 2\n");
    assert_eq!(dress(&path), before);
    assert_ne!(new.identity(), old.identity());
    assert_eq!(new.staged(run()).unwrap(), None);
}

#[test]
fn a_sibling_without_the_files_list_or_attribute_is_not_dressed() {
    let (_directory, path) = set_up_attributed();
    let file = ConfigFile::read(&path).unwrap();
    for name in [ACL, "user.quaymaster"] {
        file.stage(run(), b"A: 2\n").unwrap();
        assert!(file.is_dressed(run()).unwrap());
        rustix::fs::removexattr(file.sibling(run()), name).unwrap();
        // What is left of the list is in the mode; it is not what is looked at.
        std::fs::set_permissions(file.sibling(run()), path.metadata().unwrap().permissions())
            .unwrap();
        assert!(!file.is_dressed(run()).unwrap(), "{name}");
    }
}

/// A security module's label is one more attribute; where none is loaded, root
/// may write what name it likes.
#[test]
fn a_security_label_is_kept() {
    let (_directory, path) = set_up_attributed();
    let label = b"system_u:object_r:container_file_t:s0\0";
    let set = set_attribute(&path, "security.selinux", label);
    let before = attribute(&path, "security.selinux");
    if rustix::process::geteuid().is_root() {
        assert!(before.is_some(), "no label to keep: {set:?}");
    } else if before.is_none() {
        eprintln!("of no use: only root gives a file a label where no module does ({set:?})");
        return;
    }
    let file = ConfigFile::read(&path).unwrap();
    file.stage(run(), b"A: 2\n").unwrap();
    file.put(run()).unwrap();
    assert_eq!(attribute(&path, "security.selinux"), before);
}

/// Two agents on one machine see one file; a link's target is the file.
#[test]
fn one_file_has_one_identity_whatever_it_is_called() {
    let (directory, path) = set_up();
    let link = directory.path().join("link.yaml");
    symlink(&path, &link).unwrap();
    let (one, other) = (ConfigFile::read(&path).unwrap(), ConfigFile::read(&link).unwrap());
    assert_eq!(one.identity(), other.identity());
    assert_eq!(one.identity(), ConfigFile::read(&path).unwrap().identity());
    let copy = directory.path().join("copy.yaml");
    std::fs::copy(&path, &copy).unwrap();
    assert_ne!(one.identity(), ConfigFile::read(&copy).unwrap().identity());
    // Of this running kernel, not only of its numbering.
    let own = format!("{}:{}", path.metadata().unwrap().dev(), path.metadata().unwrap().ino());
    assert!(one.identity().ends_with(&own) && one.identity() != own, "{}", one.identity());
}

#[test]
fn a_mount_point_is_told_from_a_file() {
    let (_directory, path) = set_up();
    assert!(is_mount_point(Path::new("/proc")));
    assert!(!is_mount_point(&path));
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

/// Nobody will ever write into it.
#[test]
fn a_pipe_is_refused_and_not_waited_for() {
    let (_directory, path) = set_up();
    std::fs::remove_file(&path).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    assert!(matches!(ConfigFile::read(&path), Err(ConfigFileError::NotAFile { .. })));
}

#[test]
fn a_file_that_is_too_long_is_refused_with_its_length() {
    let (_directory, path) = set_up();
    let file = File::options().write(true).open(&path).unwrap();
    file.set_len(LONGEST).unwrap();
    assert!(ConfigFile::read(&path).is_ok());
    file.set_len(LONGEST + 7).unwrap();
    let error = ConfigFile::read(&path).unwrap_err();
    assert!(matches!(error, ConfigFileError::TooLong { size, .. } if size == LONGEST + 7));
}

/// As somebody could swap them who may write into the directory.
#[test]
fn a_link_in_the_place_of_a_new_file_gives_its_target_nothing() {
    let (directory, path) = set_up();
    let file = ConfigFile::read(&path).unwrap();
    let (fresh, target) = (directory.path().join("fresh"), directory.path().join("target"));
    std::fs::write(&target, "").unwrap();
    std::fs::set_permissions(&target, std::fs::Permissions::from_mode(0o600)).unwrap();
    let handle = write_anew(&fresh, b"A: 2\n").unwrap();
    std::fs::remove_file(&fresh).unwrap();
    symlink(&target, &fresh).unwrap();
    attributes::copy(&file, &handle, &fresh).unwrap();
    assert_eq!(handle.metadata().unwrap().mode() & 0o777, 0o640);
    assert_eq!(permissions(&target), 0o600);
    assert!(attributes::are_on(&file, &fresh).is_err());
    assert!(ConfigFile::read_own(&fresh).is_err());
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
fn the_kept_copy_is_the_file_in_all_but_its_name() {
    let (_directory, path) = set_up_attributed();
    let file = ConfigFile::read(&path).unwrap();
    let kept = file.kept_path(&file.digest);
    file.keep().unwrap();
    assert_eq!(std::fs::read(&kept).unwrap(), b"A: 1\n");
    assert_eq!(dress(&kept), dress(&path));
    let inode = kept.metadata().unwrap().ino();
    assert_ne!(inode, path.metadata().unwrap().ino());
    file.keep().unwrap();
    assert_eq!(kept.metadata().unwrap().ino(), inode, "written twice");
    // It outlives the file's change, and another file's does not touch it.
    file.stage(run(), b"A: 2\n").unwrap();
    file.put(run()).unwrap();
    ConfigFile::read(&path).unwrap().keep().unwrap();
    assert_eq!(std::fs::read(&kept).unwrap(), b"A: 1\n");
    assert_eq!(std::fs::read(file.kept_path(&digest(b"A: 2\n"))).unwrap(), b"A: 2\n");
}

#[test]
fn a_kept_copy_is_whole_or_not_there() {
    let (directory, path) = set_up();
    let mut file = ConfigFile::read(&path).unwrap();
    let kept = file.kept_path(&file.digest);
    // Other bytes under its name, as someone's hand left them, or a link.
    std::fs::write(&kept, "A: ").unwrap();
    file.keep().unwrap();
    assert_eq!(std::fs::read(&kept).unwrap(), b"A: 1\n");
    std::fs::remove_file(&kept).unwrap();
    let elsewhere = directory.path().join("elsewhere");
    std::fs::write(&elsewhere, "A: 1\n").unwrap();
    symlink(&elsewhere, &kept).unwrap();
    file.keep().unwrap();
    assert!(kept.symlink_metadata().unwrap().is_file());
    // One that cannot be dressed never gets the name.
    std::fs::remove_file(&kept).unwrap();
    undressable(&mut file);
    assert!(matches!(file.keep(), Err(ConfigFileError::Attribute { .. })));
    assert!(!kept.exists());
}

/// So that not even root can give a file what this one has.
fn undressable(file: &mut ConfigFile) {
    // There is no such owner, for anybody.
    file.owner = u32::MAX - 1;
    if rustix::process::geteuid().is_root() {
        file.path = file.path.with_file_name("gone.yaml");
    }
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
    undressable(&mut file);
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
    let (directory, path) = set_up_attributed();
    rustix::fs::removexattr(&path, ACL).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    // User 4242 rwx.
    let entries =
        [(1, 6, u32::MAX), (2, 7, 4242), (4, 4, u32::MAX), (16, 7, u32::MAX), (32, 0, u32::MAX)];
    set_attribute(directory.path(), "system.posix_acl_default", &list(&entries)).unwrap();
    let file = ConfigFile::read(&path).unwrap();
    file.stage(run(), b"A: 2\n").unwrap();
    assert!(file.is_dressed(run()).unwrap());
    file.put(run()).unwrap();
    assert_eq!(attribute(&path, ACL), None);
    assert_eq!(permissions(&path), 0o640);
}

#[test]
fn the_way_back_is_there_before_another_file_is() {
    let (_directory, path) = set_up();
    let file = ConfigFile::read(&path).unwrap();
    file.stage(run(), b"A: 2\n").unwrap();
    file.put(run()).unwrap();
    assert_eq!(std::fs::read(file.kept_path(&file.digest)).unwrap(), b"A: 1\n");
}

#[test]
fn what_could_not_be_finished_takes_no_room() {
    let (directory, path) = set_up();
    let mut file = ConfigFile::read(&path).unwrap();
    undressable(&mut file);
    file.stage(run(), b"A: 2\n").unwrap_err();
    assert_eq!(directory.path().read_dir().unwrap().count(), 1);
}

#[test]
fn the_kept_file_comes_back_on_a_full_disk() {
    reserve::tests::on_a_small_disk(
        "config_file::tests::the_kept_file_comes_back_on_a_full_disk",
        |directory| {
            let path = directory.join("config.yaml");
            std::fs::write(&path, "A: 1\n").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
            let old = ConfigFile::read(&path).unwrap();
            old.stage(run(), b"A: 2\n").unwrap();
            old.put(run()).unwrap();
            // As somebody wants it from now on.
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            reserve::tests::fill(directory);
            let new = ConfigFile::read(&path).unwrap();
            new.stage(run(), b"A: 3\n").unwrap_err();
            new.restore(&old.digest).unwrap();
            let back = ConfigFile::read(&path).unwrap();
            assert_eq!((back.digest.clone(), permissions(&path)), (old.digest.clone(), 0o600));
            // They stay kept.
            back.restore(&old.digest).unwrap();
        },
    );
}
