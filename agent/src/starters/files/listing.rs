//! Which files there are, without opening one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Where systemd looks for units, the most important place first
/// (systemd.unit(5)).
const SYSTEMD: [&str; 9] = [
    "run/systemd/transient",
    "run/systemd/generator.early",
    "etc/systemd/system",
    "run/systemd/system",
    "run/systemd/generator",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
    // Where /etc/init.d is made units of.
    "run/systemd/generator.late",
];

/// Where it looks for Podman's quadlets (podman-systemd.unit(5)).
const QUADLETS: [&str; 3] =
    ["etc/containers/systemd", "run/containers/systemd", "usr/share/containers/systemd"];

/// A link for each unit that runs.
const ACTIVE: &str = "run/systemd/units";

/// Tables of cron, on Debian's and on Red Hat's systems.
const CRON: [&str; 3] = ["etc/cron.d", "var/spool/cron/crontabs", "var/spool/cron"];

/// Scripts that cron runs now and then.
const PERIODIC: [&str; 4] =
    ["etc/cron.hourly", "etc/cron.daily", "etc/cron.weekly", "etc/cron.monthly"];

/// Single files with a command a line.
const LINES: [&str; 4] = ["etc/crontab", "etc/anacrontab", "etc/rc.local", "etc/rc.d/rc.local"];

/// A directory with more entries than this is not looked through.
const MOST_ENTRIES: usize = 10_000;

/// What changes with a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Stamp([i128; 6]);

/// What there is.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Of units that count: their first file by name.
    units: BTreeMap<String, PathBuf>,
    /// By the unit's name and the file's own.
    drop_ins: BTreeMap<String, BTreeMap<String, PathBuf>>,
    /// Units that another one wants.
    pub(super) enabled: BTreeSet<String>,
    /// Units that run.
    pub(super) active: BTreeSet<String>,
    /// With their drop-ins.
    pub(super) quadlets: Vec<(PathBuf, Vec<PathBuf>)>,
    /// Cron's and start-up scripts.
    pub(super) tables: Vec<PathBuf>,
    /// Programs that cron runs, whose text may be a shell's.
    pub(super) scripts: Vec<PathBuf>,
    /// Directories that were not looked through.
    pub(super) too_large: Vec<PathBuf>,
    /// All that was listed, as it was.
    pub(super) stamps: Vec<(PathBuf, Stamp)>,
}

impl Listing {
    /// Everything below `root`.
    pub(super) fn of(root: &Path) -> Self {
        let mut listing = Self::default();
        let mut seen = BTreeSet::new();
        for directory in SYSTEMD {
            let directory = root.join(directory);
            // /lib is a link to /usr/lib on most systems.
            if let Ok(real) = directory.canonicalize()
                && seen.insert(real)
            {
                listing.list_units(root, &directory);
            }
        }
        listing.units.retain(|_, path| !is_masked(path));
        for (path, name) in listing.entries(&root.join(ACTIVE)) {
            if let Some(unit) = name.strip_prefix("invocation:") {
                listing.active.insert(unit.to_owned());
                listing.stamp(&path);
            }
        }
        for directory in QUADLETS {
            let directory = root.join(directory);
            listing.list_quadlets(&directory);
            for (path, name) in listing.entries(&directory) {
                // Users' own are no business of root's engine.
                if name != "users" && !name.ends_with(".d") && path.is_dir() {
                    listing.list_quadlets(&path);
                }
            }
        }
        for directory in CRON {
            let files = listing.entries(&root.join(directory)).into_iter().map(|(path, _)| path);
            let files: Vec<PathBuf> = files.filter(|path| path.is_file()).collect();
            listing.tables.extend(files);
        }
        for directory in PERIODIC {
            let files = listing.entries(&root.join(directory)).into_iter().map(|(path, _)| path);
            listing.scripts.extend(files.filter(|path| path.is_file()));
        }
        let files = LINES.iter().map(|path| root.join(path)).filter(|path| path.is_file());
        listing.tables.extend(files);
        for path in [&listing.tables[..], &listing.scripts[..]].concat() {
            listing.stamp(&path);
        }
        listing
    }

    /// Names of services: of files, and of templates those that something wants
    /// or that run.
    pub(super) fn unit_names(&self) -> BTreeSet<String> {
        let instances = self.enabled.iter().chain(&self.active);
        let instances =
            instances.filter(|name| template(name).is_some_and(|of| self.units.contains_key(&of)));
        self.units.keys().chain(instances).cloned().collect()
    }

    /// The file of a unit and its drop-ins, in the order that systemd reads them.
    pub(super) fn unit(&self, name: &str) -> Option<(&Path, Vec<PathBuf>)> {
        let template = template(name);
        let of_template = || self.units.get(template.as_ref()?);
        let path = self.units.get(name).or_else(of_template)?;
        let mut drop_ins: BTreeMap<&str, &PathBuf> = BTreeMap::new();
        for owner in drop_in_owners(name, template) {
            for (file, path) in self.drop_ins.get(&owner).into_iter().flatten() {
                drop_ins.insert(file, path);
            }
        }
        let drop_ins = drop_ins.into_values().filter(|path| !is_masked(path));
        Some((path, drop_ins.cloned().collect()))
    }

    fn list_units(&mut self, root: &Path, directory: &Path) {
        for (path, name) in self.entries(directory) {
            if name.ends_with(".service") {
                self.stamp(&path);
                match alias_target(root, &path, &name) {
                    Some(target) => {
                        self.enabled.insert(target);
                    }
                    None => {
                        self.units.entry(name).or_insert(path);
                    }
                }
            } else if let Some(owner) = name.strip_suffix(".d").filter(|o| o.ends_with("service")) {
                for (path, file) in self.entries(&path) {
                    if file.ends_with(".conf") {
                        self.stamp(&path);
                        let of_owner = self.drop_ins.entry(owner.to_owned()).or_default();
                        of_owner.entry(file).or_insert(path);
                    }
                }
            } else if name.ends_with(".wants") || name.ends_with(".requires") {
                for (path, unit) in self.entries(&path) {
                    self.stamp(&path);
                    self.enabled.insert(unit);
                }
            }
        }
    }

    fn list_quadlets(&mut self, directory: &Path) {
        for (path, name) in self.entries(directory) {
            if !name.ends_with(".container") && !name.ends_with(".kube") {
                continue;
            }
            self.stamp(&path);
            let mut drop_ins = self.entries(&directory.join(format!("{name}.d")));
            drop_ins.retain(|(_, file)| file.ends_with(".conf"));
            let drop_ins: Vec<PathBuf> = drop_ins.into_iter().map(|(path, _)| path).collect();
            for path in &drop_ins {
                self.stamp(path);
            }
            self.quadlets.push((path, drop_ins));
        }
    }

    /// The entries of a directory by name, in order; none where it cannot be
    /// read.
    fn entries(&mut self, directory: &Path) -> Vec<(PathBuf, String)> {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        let named =
            entries.map(|entry| (entry.path(), entry.file_name().to_string_lossy().into_owned()));
        let mut named: Vec<(PathBuf, String)> = named.take(MOST_ENTRIES + 1).collect();
        if named.len() > MOST_ENTRIES {
            self.too_large.push(directory.to_owned());
            return Vec::new();
        }
        named.sort();
        named
    }

    fn stamp(&mut self, path: &Path) {
        if let Some(stamp) = stamp(path) {
            self.stamps.push((path.to_owned(), stamp));
        }
    }
}

/// A link's own stamp and that of what it leads to; `None` = not there.
pub(super) fn stamp(path: &Path) -> Option<Stamp> {
    let own = path.symlink_metadata().ok()?;
    let target = path.metadata().ok();
    let of = |metadata: &Metadata| {
        let changed =
            i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec());
        [metadata.ino().into(), metadata.size().into(), changed]
    };
    let [a, b, c] = of(&own);
    let [d, e, f] = target.as_ref().map(of).unwrap_or_default();
    Some(Stamp([a, b, c, d, e, f]))
}

/// systemd takes neither an empty file nor a link to nowhere for a unit.
fn is_masked(path: &Path) -> bool {
    std::fs::read_link(path).is_ok_and(|target| target == Path::new("/dev/null"))
        || path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() == 0)
}

/// The unit that another name of it leads to.
fn alias_target(root: &Path, path: &Path, name: &str) -> Option<String> {
    let target = std::fs::read_link(path).ok()?;
    let target_name = target.file_name()?.to_str()?;
    let is_unit = target_name.ends_with(".service") && target_name != name;
    // A template's instance is a unit of its own.
    let is_instance = template(name).is_some_and(|template| template == target_name);
    let is_there = || match target.strip_prefix("/") {
        Ok(target) => root.join(target).exists(),
        Err(_) => path.exists(),
    };
    (is_unit && !is_instance && is_there()).then(|| target_name.to_owned())
}

/// `quay@.service` of `quay@prod.service`.
fn template(name: &str) -> Option<String> {
    let (prefix, rest) = name.split_once('@')?;
    let (instance, suffix) = rest.rsplit_once('.')?;
    (!instance.is_empty()).then(|| format!("{prefix}@.{suffix}"))
}

/// Whose drop-ins a unit has, the least important first: all services', those
/// of `a-.service` for `a-b.service`, its template's, its own.
fn drop_in_owners(name: &str, template: Option<String>) -> Vec<String> {
    let bare = name.strip_suffix(".service").unwrap_or(name);
    let dashes = bare.match_indices('-').map(|(place, _)| format!("{}-.service", &bare[..place]));
    let mut owners = vec!["service".to_owned()];
    owners.extend(dashes);
    owners.extend(template);
    owners.push(name.to_owned());
    owners
}
