//! Whether this host upgrades its container engine by itself, as Debian's
//! package tools keep it in files: an upgrade restarts the engine.
#![expect(clippy::disallowed_methods, reason = "an effect room: it reads these files")]

use std::path::Path;

/// What APT is told; its files are read in the order of their names.
const CONFIGURATION: &str = "/etc/apt/apt.conf.d";

/// What is installed.
const STATUS: &str = "/var/lib/dpkg/status";

/// What upgrades without being asked.
const UPGRADER: &str = "unattended-upgrades";

/// Packages whose upgrade restarts an engine or what it runs containers with.
const ENGINE_PACKAGES: [&str; 9] = [
    "conmon",
    "containerd",
    "containerd.io",
    "crun",
    "docker-ce",
    "docker-ee",
    "docker.io",
    "podman",
    "runc",
];

/// Packages of the engine that are upgraded by themselves; none where this is
/// no Debian.
pub(super) fn of_this_host() -> Vec<String> {
    let Ok(status) = std::fs::read_to_string(STATUS) else { return Vec::new() };
    self_upgrading(&configuration(Path::new(CONFIGURATION)), &status)
}

fn configuration(directory: &Path) -> String {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.path()).collect();
    files.sort();
    let texts = files.iter().filter_map(|path| std::fs::read_to_string(path).ok());
    texts.collect::<Vec<_>>().join("\n")
}

fn self_upgrading(configuration: &str, status: &str) -> Vec<String> {
    let installed = installed(status);
    if !is_on(configuration) || !installed.contains(&UPGRADER) {
        return Vec::new();
    }
    let is_engines = |name: &&str| ENGINE_PACKAGES.contains(name);
    installed.into_iter().filter(is_engines).map(ToOwned::to_owned).collect()
}

/// `APT::Periodic::Unattended-Upgrade "1";` = every day; the last word counts.
fn is_on(configuration: &str) -> bool {
    let days = |line: &str| {
        let rest = line.trim().strip_prefix("APT::Periodic::Unattended-Upgrade")?;
        let value = rest.trim().trim_end_matches(';').trim().trim_matches('"');
        Some(value != "0" && !value.is_empty())
    };
    configuration.lines().filter_map(days).next_back().unwrap_or_default()
}

/// Packages that are installed and not held back.
fn installed(status: &str) -> Vec<&str> {
    let is_installed =
        |stanza: &&str| stanza.lines().any(|line| line == "Status: install ok installed");
    status
        .split("\n\n")
        .filter(is_installed)
        .filter_map(|stanza| stanza.lines().find_map(|line| line.strip_prefix("Package: ")))
        .map(str::trim)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ON: &str = "// comment\nAPT::Periodic::Update-Package-Lists \"1\";\n\
        APT::Periodic::Unattended-Upgrade \"1\";\n";

    fn status(engine: &str, upgrader: &str) -> String {
        format!(
            "Package: bash\nStatus: install ok installed\n\nPackage: docker.io\nStatus: {engine} ok \
             installed\nVersion: 20.10\n\nPackage: unattended-upgrades\nStatus: {upgrader}\n"
        )
    }

    #[test]
    fn an_engine_is_upgraded_by_itself_where_nobody_holds_it() {
        let there = "install ok installed";
        assert_eq!(self_upgrading(ON, &status("install", there)), ["docker.io"]);
        assert!(self_upgrading(ON, &status("hold", there)).is_empty());
        assert!(self_upgrading(ON, &status("install", "deinstall ok config-files")).is_empty());
        assert!(self_upgrading("", &status("install", there)).is_empty());
        let off = format!("{ON}APT::Periodic::Unattended-Upgrade \"0\";\n");
        assert!(self_upgrading(&off, &status("install", there)).is_empty());
    }
}
