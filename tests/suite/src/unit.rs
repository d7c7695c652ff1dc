//! The files of `deploy/`, as they are shipped.
#![expect(clippy::disallowed_methods, reason = "an effect room: the disk is its job")]

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// A file of `deploy/`.
pub fn deployed(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(path)
}

/// The text of a file of `deploy/`.
pub fn deployed_text(path: &str) -> String {
    std::fs::read_to_string(deployed(path)).expect("a file of deploy/ can be read")
}

/// The agent's unit.
pub const UNIT: &str = "systemd/quaymaster-agent.service";

/// The values of a setting of the agent's unit, in order.
pub fn settings(name: &str) -> Vec<String> {
    let text = deployed_text(UNIT);
    let values = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    values.map(str::to_owned).collect()
}

/// A user and group that no machine knows, as the agent's own.
pub const AGENT: u32 = 61_234;
/// The group of the engine's socket.
pub const ENGINE_GROUP: u32 = 61_235;

/// Begins a command line that runs with the unit's user, groups and
/// capabilities: all that it names but `without`. Needs root.
pub fn as_the_unit(without: Option<&str>) -> Vec<OsString> {
    let named = settings("AmbientCapabilities").join(" ");
    let capabilities: String = named
        .split_whitespace()
        .map(|name| name.trim_start_matches("CAP_").to_lowercase())
        .filter(|name| Some(name.as_str()) != without)
        .map(|name| format!(",+{name}"))
        .collect();
    let capabilities = format!("-all{capabilities}");
    let mut line: Vec<OsString> = vec!["setpriv".into()];
    line.push(format!("--reuid={AGENT}").into());
    line.push(format!("--regid={AGENT}").into());
    line.push(format!("--groups={ENGINE_GROUP}").into());
    for which in ["inh-caps", "ambient-caps", "bounding-set"] {
        line.push(format!("--{which}={capabilities}").into());
    }
    line.push("--no-new-privs".into());
    line
}
