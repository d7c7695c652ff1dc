//! The programs that a lab is made of: taken from beside the lab's own executable, and in a
//! checkout built first, so that what runs is what the sources say.
#![expect(
    clippy::disallowed_methods,
    reason = "an effect room: programs and environment are its job"
)]

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Set to `1` by the tests, which have built everything before.
const NO_BUILD: &str = "QUAYMASTER_LAB_NO_BUILD";

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Binaries {
    pub lab: PathBuf,
    pub quay: PathBuf,
    pub agent: PathBuf,
    pub coordinator: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum BinariesError {
    #[error("cannot tell where the lab's own executable is")]
    Own { source: io::Error },
    #[error("`{}` is missing; build it: cargo build -p quaymaster -p quaymaster-agent -p quaymaster-lab --bins", path.display())]
    Missing { path: PathBuf },
    #[error("cannot run `{cargo}` to build the lab's programs in `{}`", workspace.display())]
    Cargo { cargo: String, workspace: PathBuf, source: io::Error },
    #[error("building the lab's programs failed: `{command}` in `{}`; its output is above", workspace.display())]
    Build { command: String, workspace: PathBuf },
}

impl Binaries {
    /// Builds where that is due, then looks beside the running executable. `say` is told before
    /// anything that takes long.
    pub fn ready(say: &(dyn Fn(&str) + Send + Sync)) -> Result<Self, BinariesError> {
        let own = env::current_exe().map_err(|source| BinariesError::Own { source })?;
        let dir = directory(&own);
        let built_before = env::var_os(NO_BUILD).is_some_and(|value| value == "1");
        if !built_before && let Some(workspace) = workspace_above(&own) {
            say("building what the lab needs (cargo build)");
            build(&workspace, &dir)?;
        }
        Self::beside(&dir)
    }

    /// The programs in `dir`, all of which must be there.
    pub fn beside(dir: &Path) -> Result<Self, BinariesError> {
        let find = |name: &str| {
            let path = dir.join(name);
            if path.is_file() { Ok(path) } else { Err(BinariesError::Missing { path }) }
        };
        Ok(Self {
            lab: find("quaymaster-lab")?,
            quay: find("quaymaster-lab-quay")?,
            agent: find("quaymaster-agent")?,
            coordinator: find("quaymaster")?,
        })
    }
}

/// Where cargo puts programs: test executables lie one directory deeper.
fn directory(own: &Path) -> PathBuf {
    let dir = own.parent().unwrap_or_else(|| Path::new("/"));
    match dir.file_name() {
        Some(name) if name == "deps" => dir.parent().unwrap_or(dir).to_owned(),
        Some(_) | None => dir.to_owned(),
    }
}

/// The checkout that the executable was made from: above it, or where cargo runs it from (a target
/// directory can lie elsewhere).
fn workspace_above(own: &Path) -> Option<PathBuf> {
    let from_cargo = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    [Some(own.to_owned()), from_cargo].into_iter().flatten().find_map(|start| {
        start.ancestors().skip(1).find(|dir| is_workspace(dir)).map(Path::to_owned)
    })
}

fn is_workspace(dir: &Path) -> bool {
    fs::read_to_string(dir.join("Cargo.toml")).is_ok_and(|text| {
        text.contains("[workspace]") && dir.join("tests/lab/Cargo.toml").is_file()
    })
}

/// With the profile and the target directory that the lab itself was built with.
fn build(workspace: &Path, dir: &Path) -> Result<(), BinariesError> {
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(&cargo);
    command.current_dir(workspace).args(["build", "--bins"]);
    command.args(["-p", "quaymaster", "-p", "quaymaster-agent", "-p", "quaymaster-lab"]);
    match dir.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => {}
        Some("release") => {
            command.arg("--release");
        }
        Some(profile) => {
            command.args(["--profile", profile]);
        }
    }
    if let Some(target) = dir.parent() {
        command.arg("--target-dir").arg(target);
    }
    // What `cargo run` tells the lab about itself is not for the build: some build scripts would run
    // again for it, and half the crates be compiled anew.
    let about_the_lab = env::vars_os().map(|(name, _)| name).filter(|name| {
        let name = name.to_string_lossy();
        ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_NAME"].iter().any(|one| name.starts_with(one))
    });
    for name in about_the_lab {
        command.env_remove(name);
    }
    // What cargo prints is talk; the standard output belongs to the command's own data.
    let status = command.stdin(Stdio::null()).stdout(io::stderr()).status().map_err(|source| {
        BinariesError::Cargo { cargo: cargo.clone(), workspace: workspace.to_owned(), source }
    })?;
    if status.success() {
        return Ok(());
    }
    Err(BinariesError::Build {
        command: format!("{command:?}").replace('"', ""),
        workspace: workspace.to_owned(),
    })
}
