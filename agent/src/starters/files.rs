//! Where the host says who starts containers: found, read and understood.
//!
//! Asked several times a second while a gate is open. So texts are read and
//! parsed again only when the directories list something else, or a file has
//! another size, inode or time than before; a look that finds nothing new costs
//! a few hundred stats, about a millisecond. A look is never older than the
//! answer that it is for: whoever mends a unit is believed at once.
#![expect(clippy::disallowed_methods, reason = "an effect room: the host's files are its job")]

mod listing;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use self::listing::{Listing, Stamp, stamp};
use super::unit::{self, Kind, Part};
use super::{Deed, Origin, Standing, Starter, lines, quadlet};

/// Nothing that starts a container is longer, in bytes.
const LONGEST_FILE: u64 = 64 * 1024;

/// The host's files, below a root of its own.
#[derive(Debug)]
pub(crate) struct Starters {
    root: PathBuf,
    last: Mutex<Option<Look>>,
}

/// What was found, and in what.
#[derive(Debug)]
struct Look {
    listed: Vec<(PathBuf, Stamp)>,
    /// Files that the listed ones lead to.
    further: Vec<(PathBuf, Option<Stamp>)>,
    found: Arc<[Starter]>,
}

impl Starters {
    /// Looks below `root`, which is `/` but in tests and where the host's files
    /// are mounted elsewhere.
    pub(crate) fn under(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), last: Mutex::new(None) }
    }

    /// Everything that starts containers, now.
    pub(crate) fn look(&self) -> Arc<[Starter]> {
        let listing = Listing::of(&self.root);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = last.as_ref()
            && last.listed == listing.stamps
            && last.further.iter().all(|(path, seen)| stamp(path) == *seen)
        {
            return Arc::clone(&last.found);
        }
        let mut reader = Reader { root: &self.root, further: Vec::new() };
        let found: Arc<[Starter]> = reader.starters(&listing).into();
        let further = reader.further;
        *last = Some(Look { listed: listing.stamps, further, found: Arc::clone(&found) });
        found
    }
}

struct Reader<'a> {
    root: &'a Path,
    further: Vec<(PathBuf, Option<Stamp>)>,
}

impl Reader<'_> {
    fn starters(&mut self, listing: &Listing) -> Vec<Starter> {
        let mut found = Vec::new();
        for name in listing.unit_names() {
            let Some((path, drop_ins)) = listing.unit(&name) else { continue };
            let origin = Origin::Unit {
                path: self.on_host(path),
                standing: Standing {
                    is_enabled: listing.enabled.contains(&name),
                    is_active: listing.active.contains(&name),
                },
                name: name.clone(),
            };
            let deeds = match self.parts(path, &drop_ins) {
                // Its quadlet is told.
                Ok(parts) if self.is_of_quadlet(&parts, listing) => continue,
                Ok(parts) => unit::deeds(&name, &parts, |path, kind| match kind {
                    Kind::Variables => self.further_file(path).map(Ok),
                    Kind::Script => self.script(path),
                }),
                Err(deed) => vec![deed],
            };
            found.extend(deeds.into_iter().map(|deed| Starter { origin: origin.clone(), deed }));
        }
        for (path, drop_ins) in &listing.quadlets {
            found.push(self.quadlet(path, drop_ins));
        }
        for path in &listing.tables {
            let text = read(path).map_err(|unread| unread.deed(&self.on_host(path)));
            found.extend(self.lines(path, text));
        }
        for path in &listing.scripts {
            if let Some(text) = self.script(&self.on_host(path)) {
                found.extend(self.lines(path, text));
            }
        }
        found.extend(listing.too_large.iter().map(|path| Starter {
            origin: Origin::Directory { path: self.on_host(path) },
            deed: Deed::Unknown,
        }));
        found
    }

    fn is_of_quadlet(&self, parts: &[Part], listing: &Listing) -> bool {
        let [Part { path, text }, ..] = parts else { return false };
        let source = || text.lines().find_map(|line| line.strip_prefix("SourcePath="));
        path.starts_with("/run/systemd/generator")
            && source().is_some_and(|source| {
                let source = self.below_root(Path::new(source));
                listing.quadlets.iter().any(|(path, _)| *path == source)
            })
    }

    fn lines(&mut self, path: &Path, text: Result<String, Deed>) -> Vec<Starter> {
        let path = self.on_host(path);
        match text {
            Ok(text) => lines::starters(&path, &text, |path| self.script(path)),
            Err(deed) => vec![Starter { origin: Origin::File { path }, deed }],
        }
    }

    fn quadlet(&mut self, path: &Path, drop_ins: &[PathBuf]) -> Starter {
        let on_host = self.on_host(path);
        let parts = match self.parts(path, drop_ins) {
            Ok(parts) => parts,
            Err(deed) => return Starter { origin: Origin::Quadlet { path: on_host }, deed },
        };
        if path.extension().is_some_and(|extension| extension == "container") {
            return quadlet::container(&on_host, &parts);
        }
        let mut text = unit::whole(&parts);
        let yaml = quadlet::yaml(&text).map(|yaml| match on_host.parent() {
            Some(directory) => directory.join(yaml),
            None => yaml.into(),
        });
        text.extend(yaml.and_then(|yaml| self.further_file(&yaml)));
        quadlet::kube(&on_host, &text)
    }

    /// A unit's file and its drop-ins; what cannot be read counts by its name
    /// and by what is known of it.
    fn parts(&self, path: &Path, drop_ins: &[PathBuf]) -> Result<Vec<Part>, Deed> {
        let all = std::iter::once(path).chain(drop_ins.iter().map(PathBuf::as_path));
        let parts = all.map(|path| {
            let text = read(path).map_err(|unread| unread.deed(&self.on_host(path)))?;
            Ok(Part { path: self.on_host(path), text })
        });
        parts.collect()
    }

    /// A file that another one names, as the host sees it; of a long one its
    /// beginning.
    fn further_file(&mut self, path: &Path) -> Option<String> {
        let path = self.below_root(path);
        self.further.push((path.clone(), stamp(&path)));
        read(&path).or_else(|unread| unread.known.ok_or(())).ok()
    }

    /// The text of a program, if it is a shell's; if that cannot be told, it
    /// counts by its name.
    fn script(&mut self, path: &Path) -> Option<Result<String, Deed>> {
        let below = self.below_root(path);
        self.further.push((below.clone(), stamp(&below)));
        let unclear = |error: std::io::Error| Some(Err(Unread::from(error).deed(path)));
        let metadata = match below.metadata() {
            Ok(metadata) if metadata.is_file() => metadata,
            Ok(_) => return None,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return unclear(error),
            // Many words that begin with `/` are no files at all.
            Err(_) => return None,
        };
        let mut beginning = Vec::new();
        let file = File::open(&below);
        match file.and_then(|file| file.take(2).read_to_end(&mut beginning)) {
            // What nobody may run is somebody's settings.
            Err(_) if metadata.permissions().mode() & 0o111 == 0 => return None,
            Err(error) => return unclear(error),
            Ok(_) if beginning != b"#!" => return None,
            Ok(_) => {}
        }
        let text = read(&below);
        let known = text.as_ref().map_or_else(|unread| unread.known.as_ref(), Some);
        let is_shell = known.and_then(|text| text.lines().next()).is_none_or(|l| l.contains("sh"));
        is_shell.then(|| text.map_err(|unread| unread.deed(path)))
    }

    fn below_root(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The path without the root that it was found below.
    fn on_host(&self, path: &Path) -> PathBuf {
        Path::new("/").join(path.strip_prefix(self.root).unwrap_or(path))
    }
}

/// A text that was not read, or not to its end.
struct Unread {
    why: String,
    /// Its beginning.
    known: Option<String>,
}

impl Unread {
    fn deed(self, path: &Path) -> Deed {
        let known = self.known.unwrap_or_default();
        Deed::Unclear { why: self.why, text: format!("{}\n{known}", path.display()) }
    }
}

impl From<std::io::Error> for Unread {
    fn from(error: std::io::Error) -> Self {
        Self { why: format!("it cannot be read: {error}"), known: None }
    }
}

/// A text file, or why not. Nothing but a file is opened: a pipe would wait.
fn read(path: &Path) -> Result<String, Unread> {
    if !path.metadata()?.is_file() {
        return Err(Unread { why: "it is no file".to_owned(), known: None });
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LONGEST_FILE + 1).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    if bytes.len() as u64 > LONGEST_FILE {
        let why = format!("it is longer than {} KiB", LONGEST_FILE / 1024);
        return Err(Unread { why, known: Some(text) });
    }
    Ok(text)
}
