//! Which mount a file lies in, and who else may see the same file, out of the
//! text of `/proc/self/mountinfo`. Pure.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

/// File systems whose files other hosts see under the same name and number.
/// Not cluster file systems on shared disks, nor those that a hypervisor or a
/// program of this host serves: their sources name something of this host.
const NETWORK: [&str; 11] = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "ceph",
    "fuse.ceph",
    "fuse.ceph-fuse",
    "fuse.glusterfs",
    "lustre",
    "gpfs",
    "beegfs",
];

/// A file as this host's kernel knows it.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Behind every symlink.
    pub(super) path: PathBuf,
    pub(super) device: u64,
    pub(super) inode: u64,
    /// The mount's number; `None` = the kernel does not tell.
    pub(super) mount: Option<u64>,
}

/// One line of mountinfo.
#[derive(PartialEq, Eq, Debug)]
struct Mount {
    id: u64,
    /// What of the file system is mounted.
    root: PathBuf,
    /// Where.
    point: PathBuf,
    kind: String,
    source: String,
    options: String,
}

/// A text that is the same for two agents exactly if they see the same file:
/// on a network file system the path at its source with the inode, and
/// otherwise device and inode under this kernel.
pub(super) fn identity(place: &Place, mountinfo: &str, kernel: &str) -> String {
    let Place { device, inode, .. } = place;
    match mount_of(place, mountinfo).as_ref().and_then(|mount| remote_path(mount, &place.path)) {
        Some(path) => format!("{path}#{inode}"),
        None => format!("{kernel}:{device}:{inode}"),
    }
}

/// Whether something is mounted right at this path.
pub(super) fn is_mount_point(path: &Path, mountinfo: &str) -> bool {
    mounts(mountinfo).any(|mount| mount.point == path)
}

/// By number, or else the last of those mounted deepest above it.
fn mount_of(place: &Place, mountinfo: &str) -> Option<Mount> {
    if let Some(mount) = mounts(mountinfo).find(|mount| Some(mount.id) == place.mount) {
        return Some(mount);
    }
    let above = mounts(mountinfo).filter(|mount| place.path.starts_with(&mount.point));
    above.max_by_key(|mount| mount.point.components().count())
}

/// `server:/export/config.yaml`: the same however deep a host mounts.
fn remote_path(mount: &Mount, path: &Path) -> Option<String> {
    let Mount { id: _, root, point, kind, source, options } = mount;
    // Without its server's numbers a share's inodes are this host's inventions.
    let is_numbered = !matches!(kind.as_str(), "cifs" | "smb3")
        || options.split(',').any(|option| option == "serverino");
    if !NETWORK.contains(&kind.as_str()) || !is_numbered {
        return None;
    }
    // NFS writes the mounted part into the source, others into the root.
    let root = root.strip_prefix("/").ok()?;
    let rest = root.join(path.strip_prefix(point).ok()?);
    Some(format!("{}/{}", with_plain_host(source.trim_end_matches('/')), rest.display()))
}

/// Hosts may write a server's name in capitals, paths may not.
fn with_plain_host(source: &str) -> String {
    let host = match source.strip_prefix("//") {
        Some(rest) => 2 + rest.find('/').unwrap_or(rest.len()),
        None => source.find(':').unwrap_or_default(),
    };
    let (host, path) = source.split_at(host);
    format!("{}{path}", host.to_ascii_lowercase())
}

fn mounts(mountinfo: &str) -> impl Iterator<Item = Mount> {
    mountinfo.lines().filter_map(mount)
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`.
fn mount(line: &str) -> Option<Mount> {
    let (own, file_system) = line.split_once(" - ")?;
    let mut own = own.split(' ');
    let id = own.next()?.parse().ok()?;
    let (root, point) = (own.nth(2)?, own.next()?);
    let mut file_system = file_system.split(' ');
    let (kind, source) = (file_system.next()?, file_system.next()?);
    Some(Mount {
        id,
        root: PathBuf::from(unescaped(root)),
        point: PathBuf::from(unescaped(point)),
        kind: kind.to_owned(),
        source: unescaped(source).to_string_lossy().into_owned(),
        options: file_system.next().unwrap_or_default().to_owned(),
    })
}

/// Blanks and backslashes stand as `\040`.
fn unescaped(text: &str) -> OsString {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let digits = text.get(at + 1..at + 4).filter(|_| *byte == b'\\');
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(escaped) => {
                plain.push(escaped);
                at += 4;
            }
            None => {
                plain.push(*byte);
                at += 1;
            }
        }
    }
    OsString::from_vec(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A RHEL host's, with an automounted export, a bind of a part of it, a
    /// Gluster volume mounted from a server on the host itself, and a disk.
    const HOST: &str = "\
22 61 0:21 / /proc rw,nosuid shared:5 - proc proc rw
61 1 253:0 / / rw,relatime shared:1 - xfs /dev/mapper/rhel-root rw,attr2
70 61 0:41 / /mnt rw,relatime shared:20 - autofs /etc/auto.mnt rw,fd=6,direct
71 70 0:52 / /mnt/quay rw,relatime shared:21 - nfs4 nas.example.com:/export/quay rw,vers=4.1,addr=10.0.0.9
72 61 0:52 / /srv/stack rw,relatime shared:21 - nfs4 nas.example.com:/export/quay/config rw,vers=4.1
73 61 0:60 /quay /gluster rw shared:22 - fuse.glusterfs localhost:/gv0 rw,user_id=0
74 61 0:61 / /share rw - cifs //FILER/registry rw,vers=3.0,serverino
75 61 0:62 / /share\\0402 rw - cifs //filer/registry rw,vers=3.0
76 61 0:63 / /ceph rw - ceph 10.0.0.1:6789,10.0.0.2:6789:/quay rw,name=quay
77 61 0:64 / /host rw - virtiofs config rw
78 61 253:3 /single.yaml /etc/single.yaml rw - xfs /dev/mapper/rhel-data rw
";

    /// Another host's: one directory higher, with other numbers and capitals.
    const OTHER: &str = "\
1 0 8:1 / / rw - ext4 /dev/sda1 rw
33 1 0:77 / /data rw - nfs NAS.example.com:/export/ rw,vers=3,addr=10.0.0.9
34 1 0:78 / /vol rw - fuse.glusterfs localhost:/gv0 rw
";

    fn shown(mountinfo: &str, path: &str, device: u64, mount: Option<u64>) -> String {
        let place = Place { path: PathBuf::from(path), device, inode: 7, mount };
        identity(&place, mountinfo, "kernel")
    }

    #[test]
    fn a_local_file_is_this_kernels_alone() {
        assert_eq!(shown(HOST, "/etc/quay/config.yaml", 64768, Some(61)), "kernel:64768:7");
        let other = identity(
            &Place { path: "/etc/quay/config.yaml".into(), device: 64768, inode: 7, mount: None },
            HOST,
            "clone",
        );
        assert_eq!(other, "clone:64768:7");
        assert_eq!(shown("", "/config.yaml", 1, None), "kernel:1:7");
    }

    #[test]
    fn hosts_that_share_a_file_agree_whatever_their_devices_and_depth() {
        let expected = "nas.example.com:/export/quay/config/config.yaml#7";
        assert_eq!(shown(HOST, "/mnt/quay/config/config.yaml", 52, Some(71)), expected);
        // A bind of a part, and a host that mounts the export's parent.
        assert_eq!(shown(HOST, "/srv/stack/config.yaml", 52, Some(72)), expected);
        assert_eq!(shown(OTHER, "/data/quay/config/config.yaml", 77, Some(33)), expected);
        let expected = "localhost:/gv0/quay/config.yaml#7";
        assert_eq!(shown(HOST, "/gluster/config.yaml", 60, Some(73)), expected);
        assert_eq!(shown(OTHER, "/vol/quay/config.yaml", 78, Some(34)), expected);
        assert_eq!(
            shown(HOST, "/ceph/config.yaml", 63, Some(76)),
            "10.0.0.1:6789,10.0.0.2:6789:/quay/config.yaml#7"
        );
        assert_eq!(
            shown(HOST, "/share/config.yaml", 61, Some(74)),
            "//filer/registry/config.yaml#7"
        );
    }

    #[test]
    fn another_path_or_another_file_at_the_path_is_another_file() {
        let one = shown(HOST, "/mnt/quay/a/config.yaml", 52, Some(71));
        assert_ne!(one, shown(HOST, "/mnt/quay/b/config.yaml", 52, Some(71)));
        let place =
            Place { path: "/mnt/quay/a/config.yaml".into(), device: 52, inode: 8, mount: Some(71) };
        assert_ne!(one, identity(&place, HOST, "kernel"));
    }

    #[test]
    fn a_share_without_its_servers_numbers_is_this_hosts_view() {
        assert_eq!(shown(HOST, "/share 2/config.yaml", 62, Some(75)), "kernel:62:7");
        assert_eq!(shown(HOST, "/host/config.yaml", 64, Some(77)), "kernel:64:7");
    }

    #[test]
    fn without_the_mounts_number_the_deepest_and_last_mount_counts() {
        let without = |path| shown(HOST, path, 1, None);
        let with = shown(HOST, "/mnt/quay/config.yaml", 1, Some(71));
        assert_eq!(without("/mnt/quay/config.yaml"), with);
        assert_eq!(without("/mnt/quay2/config.yaml"), "kernel:1:7");
        let over = format!("{HOST}90 71 253:9 / /mnt/quay rw - xfs /dev/sdb rw\n");
        assert_eq!(shown(&over, "/mnt/quay/config.yaml", 1, None), "kernel:1:7");
        assert_eq!(shown(&over, "/mnt/quay/config.yaml", 1, Some(999)), "kernel:1:7");
    }

    #[test]
    fn a_file_that_is_mounted_itself_is_seen() {
        assert!(is_mount_point(Path::new("/etc/single.yaml"), HOST));
        assert!(is_mount_point(Path::new("/share 2"), HOST));
        assert!(!is_mount_point(Path::new("/mnt/quay/config.yaml"), HOST));
    }
}
