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
use std::io::Read as _;
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
                Ok(parts) => unit::deeds(&name, &parts, |path, kind| match kind {
                    Kind::Variables => self.further_file(path),
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
            // Where it can be read: most of cron's are root's alone.
            if let Ok(text) = read(path) {
                let on_host = self.on_host(path);
                found.extend(lines::starters(&on_host, &text, |path| self.script(path)));
            }
        }
        found.extend(listing.too_large.iter().map(|path| Starter {
            origin: Origin::Directory { path: self.on_host(path) },
            deed: Deed::Unknown,
        }));
        found
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

    /// A unit's file and its drop-ins; what cannot be read counts by its name.
    fn parts(&self, path: &Path, drop_ins: &[PathBuf]) -> Result<Vec<Part>, Deed> {
        let all = std::iter::once(path).chain(drop_ins.iter().map(PathBuf::as_path));
        let parts = all.map(|path| {
            let text = read(path).map_err(|why| Deed::Unclear {
                why,
                text: self.on_host(path).display().to_string(),
            })?;
            Ok(Part { path: self.on_host(path), text })
        });
        parts.collect()
    }

    /// A file that another one names, as the host sees it.
    fn further_file(&mut self, path: &Path) -> Option<String> {
        let path = self.below_root(path);
        self.further.push((path.clone(), stamp(&path)));
        read(&path).ok()
    }

    /// The text of a program, if it is a shell's.
    fn script(&mut self, path: &Path) -> Option<String> {
        let below = self.below_root(path);
        self.further.push((below.clone(), stamp(&below)));
        if !below.metadata().is_ok_and(|metadata| metadata.is_file()) {
            return None;
        }
        let mut beginning = [0; 2];
        File::open(&below).ok()?.read_exact(&mut beginning).ok()?;
        if beginning != *b"#!" {
            return None;
        }
        let text = read(&below).ok()?;
        let shell = text.lines().next()?;
        shell.contains("sh").then_some(text)
    }

    fn below_root(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The path without the root that it was found below.
    fn on_host(&self, path: &Path) -> PathBuf {
        Path::new("/").join(path.strip_prefix(self.root).unwrap_or(path))
    }
}

/// A text file, or why not. Nothing but a file is opened: a pipe would wait.
fn read(path: &Path) -> Result<String, String> {
    let told = |error: std::io::Error| format!("it cannot be read: {error}");
    let metadata = path.metadata().map_err(told)?;
    if !metadata.is_file() {
        return Err("it is no file".to_owned());
    }
    let mut bytes = Vec::new();
    let mut file = File::open(path).map_err(told)?.take(LONGEST_FILE + 1);
    file.read_to_end(&mut bytes).map_err(told)?;
    if bytes.len() as u64 > LONGEST_FILE {
        return Err(format!("it is longer than {} KiB", LONGEST_FILE / 1024));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
