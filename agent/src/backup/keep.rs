//! What a node keeps of itself before its window, for a person who has to put
//! it back by hand: its Quay's config directory as an archive with owners and
//! modes, what the engine says of its containers, and the digests of both.
//!
//! It lies in a directory of the run's own, which is whole or not there, and
//! holds secrets: it is for the agent's user alone and never leaves the node.
#![expect(clippy::disallowed_methods, reason = "an effect room: it reads a directory of Quay's")]

use std::fs::{DirBuilder, File, FileType, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use quaymaster_proto::{Component, RunId};

use super::drafts::{self, Owner};
use super::error::BackupError;
use super::files;
use crate::secret::Secret;

/// The directory of config.yaml.
const ARCHIVE: &str = "config.tar";

/// Below the state directory.
const KEPT: &str = "kept";

/// As `sha256sum -c` reads it. Written last.
const DIGESTS: &str = "SHA256SUMS";

/// Certificates, keys, a license: a real one has some dozens of files.
const MOST_FILES: usize = 10_000;
const MOST_BYTES: u64 = 64_000_000;

/// What is kept, and where.
#[derive(Debug)]
pub(crate) struct Keeping<'a> {
    /// Where backups go, and what was kept with them.
    pub(crate) backups: Option<&'a Path>,
    /// The agent's own state directory: where nothing can be written there.
    pub(crate) state: &'a Path,
    pub(crate) owner: Owner<'a>,
    pub(crate) run: RunId,
    /// What Quay sees at /conf/stack.
    pub(crate) config: &'a Path,
    /// What the engine says of each, as JSON.
    pub(crate) containers: Vec<(Component, Secret)>,
}

impl Keeping<'_> {
    /// Where the run's directory comes to lie.
    fn place(&self) -> PathBuf {
        let backups = self.backups.filter(|backups| files::can_be_written(backups).is_ok());
        backups.map_or_else(|| self.state.join(KEPT), Path::to_owned)
    }
}

/// What an agent of this node left behind that was killed.
pub(crate) fn left(backups: Option<&Path>, state: &Path, owner: Owner<'_>) -> Vec<PathBuf> {
    let places = backups.map(Path::to_owned).into_iter().chain([state.join(KEPT)]);
    places.flat_map(|place| drafts::left(&place, owner)).collect()
}

/// Keeps it; on disk when this returns. What the run has kept already is left
/// as it is: later its files would be those of after the window.
pub(super) fn keep(keeping: &Keeping<'_>) -> Result<(), BackupError> {
    let Keeping { backups: _, state: _, owner, run, config, containers } = keeping;
    let place = keeping.place();
    // Nodes may share one directory of backups.
    let whole = place.join(format!("{run}.{}.node", owner.node));
    if whole.join(DIGESTS).is_file() {
        return Ok(());
    }
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&place);
    made.map_err(BackupError::files("make", &place))?;
    let draft = place.join(owner.draft(*run, "node"));
    let _ = std::fs::remove_dir_all(&draft); // left by an agent that died
    let kept = write(&draft, config, containers).and_then(|()| {
        let placed = std::fs::rename(&draft, &whole).and_then(|()| File::open(&place)?.sync_all());
        placed.map_err(BackupError::files("put in place", &whole))
    });
    kept.inspect_err(|_| {
        let _ = std::fs::remove_dir_all(&draft); // nothing is left that would take room
    })
}

fn write(
    draft: &Path,
    config: &Path,
    containers: &[(Component, Secret)],
) -> Result<(), BackupError> {
    files::make(draft)?;
    archive(config, &draft.join(ARCHIVE))?;
    let mut names = vec![ARCHIVE.to_owned()];
    for (component, inspected) in containers {
        let name = format!("{component}.json");
        let path = draft.join(&name);
        files::write_new(&path, inspected.expose().as_bytes())
            .map_err(BackupError::files("write", &path))?;
        names.push(name);
    }
    let mut digests = String::new();
    for name in names {
        let path = draft.join(&name);
        let kept = files::digest_of(&path, true).map_err(BackupError::files("read", &path))?;
        digests.push_str(&format!("{}  {name}\n", kept.sha256));
    }
    let path = draft.join(DIGESTS);
    files::write_new(&path, digests.as_bytes()).map_err(BackupError::files("write", path))
}

fn archive(directory: &Path, into: &Path) -> Result<(), BackupError> {
    // It may be a link of the owner's.
    let directory = directory.canonicalize().map_err(unread(directory))?;
    let all = listing(&directory)?;
    let failed = || BackupError::files("write", into);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(into);
    let mut archive = tar::Builder::new(file.map_err(failed())?);
    archive.follow_symlinks(false);
    for name in &all {
        let path = directory.join(name);
        archive.append_path_with_name(&path, name).map_err(|source| {
            if source.kind() == io::ErrorKind::StorageFull {
                failed()(source)
            } else {
                unread(&path)(source)
            }
        })?;
    }
    let file = archive.into_inner().map_err(failed())?;
    file.sync_all().map_err(failed())?;
    holds(into, &all)
}

/// Reads the archive back: every name is in it, in its order.
fn holds(archive: &Path, wanted: &[PathBuf]) -> Result<(), BackupError> {
    let failed = || BackupError::files("read back", archive);
    let mut opened = tar::Archive::new(File::open(archive).map_err(failed())?);
    let mut found = Vec::new();
    for entry in opened.entries().map_err(failed())? {
        let mut entry = entry.map_err(failed())?;
        io::copy(&mut entry, &mut io::sink()).map_err(failed())?;
        found.push(entry.path().map_err(failed())?.components().collect::<PathBuf>());
    }
    if found == wanted {
        return Ok(());
    }
    Err(failed()(io::Error::other("it does not hold what it was to hold")))
}

/// Everything in it, by names below it. Sockets and the like hold nothing.
fn listing(directory: &Path) -> Result<Vec<PathBuf>, BackupError> {
    let (mut all, mut bytes) = (Vec::new(), 0);
    let mut left = vec![PathBuf::new()];
    while let Some(inner) = left.pop() {
        let path = directory.join(&inner);
        for entry in std::fs::read_dir(&path).map_err(unread(&path))? {
            let entry = entry.map_err(unread(&path))?;
            let about = entry.path().symlink_metadata().map_err(unread(&entry.path()))?;
            let name = inner.join(entry.file_name());
            let kind: FileType = about.file_type();
            if kind.is_file() {
                bytes += about.len();
            } else if kind.is_dir() {
                left.push(name.clone());
            } else if !kind.is_symlink() {
                continue;
            }
            all.push(name);
            if all.len() > MOST_FILES || bytes > MOST_BYTES {
                let (files, bytes) = (MOST_FILES, MOST_BYTES);
                let directory = directory.to_owned();
                return Err(BackupError::TooMuch { directory, files, bytes });
            }
        }
    }
    all.sort();
    Ok(all)
}

fn unread(path: &Path) -> impl FnOnce(io::Error) -> BackupError + use<> {
    let path = path.to_owned();
    move |source| BackupError::Unread { path, source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            let place = tempfile::tempdir().unwrap();
            let config = place.path().join("config");
            std::fs::create_dir_all(config.join("extra_ca_certs")).unwrap();
            std::fs::write(config.join("config.yaml"), "A: 1\n").unwrap();
            std::fs::write(config.join("extra_ca_certs/a.crt"), "a").unwrap();
            std::fs::write(config.join("ssl.key"), "secret").unwrap();
            let mode = std::fs::Permissions::from_mode(0o640);
            std::fs::set_permissions(config.join("ssl.key"), mode).unwrap();
            symlink("ssl.key", config.join("link")).unwrap();
            Self(place)
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn keep(&self) -> Result<(), BackupError> {
            self.keep_of("quay-1")
        }

        fn keep_of(&self, node: &str) -> Result<(), BackupError> {
            keep(&Keeping {
                backups: None,
                state: self.0.path(),
                owner: Owner { cluster: &"prod".parse().unwrap(), node: &node.parse().unwrap() },
                run: "01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap(),
                config: &self.path("config"),
                containers: vec![(Component::Quay, Secret::new("{\"Id\": \"1\"}"))],
            })
        }

        fn run(&self, command: &str) -> String {
            let mut shell = std::process::Command::new("sh");
            shell.current_dir(self.path("kept/01ARZ3NDEKTSV4RRFFQ69G5FAV.quay-1.node"));
            let done = shell.args(["-ec", command]).output().unwrap();
            assert!(done.status.success(), "{command}: {done:?}");
            String::from_utf8(done.stdout).unwrap()
        }
    }

    /// By the commands that README names.
    #[test]
    fn what_was_kept_is_put_back_by_hand_with_its_modes() {
        let place = Place::new();
        place.keep().unwrap();
        assert_eq!(place.run("stat -c %a . * | sort -u"), "600\n700\n");
        assert_eq!(place.run("cat quay.json"), "{\"Id\": \"1\"}");

        // What comes later does not replace it.
        std::fs::write(place.path("config/config.yaml"), "A: 2\n").unwrap();
        std::fs::remove_file(place.path("config/ssl.key")).unwrap();
        place.keep().unwrap();
        place.run("sha256sum -c SHA256SUMS && tar -C ../../config -xpf config.tar");
        assert_eq!(std::fs::read_to_string(place.path("config/config.yaml")).unwrap(), "A: 1\n");
        assert_eq!(std::fs::read_to_string(place.path("config/link")).unwrap(), "secret");
        assert_eq!(place.run("stat -c %a ../../config/ssl.key"), "640\n");
        let kept: Vec<_> = place.path("kept").read_dir().unwrap().collect();
        assert_eq!(kept.len(), 1, "nothing lies beside it");
    }

    #[test]
    fn nodes_that_share_a_directory_keep_each_its_own() {
        let place = Place::new();
        place.keep_of("quay-1").unwrap();
        std::fs::write(place.path("config/config.yaml"), "A: 2\n").unwrap();
        place.keep_of("quay-2").unwrap();
        for (node, text) in [("quay-1", "A: 1\n"), ("quay-2", "A: 2\n")] {
            let read = format!("tar -xOf ../01ARZ3NDEKTSV4RRFFQ69G5FAV.{node}.node/config.tar");
            assert_eq!(place.run(&format!("{read} config.yaml")), text, "{node}");
        }
    }

    #[test]
    fn an_agent_that_starts_removes_what_was_not_whole_yet_of_its_own_node_alone() {
        let place = Place::new();
        let (prod, test) = ("prod".parse().unwrap(), "test".parse().unwrap());
        let (one, two) = ("quay-1".parse().unwrap(), "quay-2".parse().unwrap());
        let run = "01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap();
        let ours = Owner { cluster: &prod, node: &one };
        let others = [Owner { cluster: &prod, node: &two }, Owner { cluster: &test, node: &one }];
        let backups = place.path("backups");
        let left = |owner: Owner<'_>, what: &str| backups.join(owner.draft(run, what));
        let of_others = others.map(|owner| left(owner, "00c0ffee"));
        let kept = place.path("kept").join(ours.draft(run, "node"));
        let all = [&of_others[..], &[left(ours, "00c0ffee"), kept]].concat();
        for draft in &all {
            std::fs::create_dir_all(draft).unwrap();
            std::fs::write(draft.join(".my.cnf"), "password=hunter2").unwrap();
        }
        std::fs::create_dir(backups.join(run.to_string())).unwrap();
        assert_eq!(drafts::sweep(super::left(Some(&backups), place.0.path(), ours)).len(), 2);
        let there: Vec<_> = all.iter().filter(|draft| draft.exists()).collect();
        assert_eq!(there, of_others.iter().collect::<Vec<_>>());
        assert!(backups.join(run.to_string()).exists(), "a whole one stays");
    }

    #[test]
    fn what_is_no_config_directory_is_refused_in_words_and_nothing_is_left() {
        let place = Place::new();
        let large = File::create(place.path("config/dump")).unwrap();
        large.set_len(MOST_BYTES + 1).unwrap();
        let large = place.keep().unwrap_err().in_words();
        std::fs::remove_dir_all(place.path("config")).unwrap();
        let gone = place.keep().unwrap_err().in_words();
        assert_eq!(place.path("kept").read_dir().unwrap().count(), 0);
        let said = format!("{large}\n{gone}");
        insta::assert_snapshot!(said.replace(&place.0.path().display().to_string(), "[dir]"));
    }
}
