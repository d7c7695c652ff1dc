//! The lab's commands: what is typed, and which room does it.

mod run;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use quaymaster_lab::cluster::lab_file::{DatabaseKind, EngineKind};
use quaymaster_lab::demo::Mode;

#[derive(Debug, Parser)]
#[command(
    name = "quaymaster-lab",
    version,
    about = "A Quay cluster to practise on: it is made in a directory, and ended without a trace"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the whole upgrade from 2.9.5 to 3.0.5 on a cluster made for it.
    Demo(Demo),
    /// Make a 2.9.5 cluster with agents; it stays until `down`.
    Up(Up),
    /// End every process and container of a lab; its files stay.
    Down(Directory),
    /// Judge what a lab has seen; exit 0 when no invariant is broken.
    Check(Directory),
    /// Measure: the outage against its limit, an idle agent's memory, the programs' sizes.
    Bench(Bench),
    /// Run one node's stand-in engine.
    #[command(hide = true)]
    Engine(NodeOf),
    /// Be the first process of a node's own host.
    #[command(hide = true)]
    Host(NodeOf),
    /// Watch a lab.
    #[command(hide = true)]
    Observe(Directory),
    /// Become another program in a session of its own.
    #[command(hide = true)]
    Detach(Detach),
}

#[derive(Debug, Args)]
struct Shape {
    /// How many Quay nodes.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=200))]
    nodes: u8,
    /// How many visible tags the registry holds.
    #[arg(long, default_value_t = 2000)]
    tags: u32,
    /// What runs the containers.
    #[arg(long, value_enum, default_value_t = EngineKind::Standin)]
    engine: EngineKind,
    /// What holds the registry's database.
    #[arg(long, value_enum, default_value_t = DatabaseKind::Sqlite)]
    database: DatabaseKind,
    /// Builders on two nodes, Clair and a mirror worker on one each.
    #[arg(long)]
    companions: bool,
}

#[derive(Debug, Args)]
struct Demo {
    /// The documented way to show.
    #[arg(long, value_enum, default_value_t = Mode::Background)]
    mode: Mode,
    #[command(flatten)]
    shape: Shape,
    /// Write what happened into this file, as JSON.
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Bench {
    /// Nodes of a measured upgrade.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=200))]
    nodes: u8,
    /// Upgrades on each engine and each way.
    #[arg(long, default_value_t = 3)]
    runs: u32,
    /// On which engines; `docker` needs root.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [EngineKind::Standin, EngineKind::Docker])]
    engines: Vec<EngineKind>,
    /// Seconds that an agent is left alone before its memory is read.
    #[arg(long, default_value_t = 600)]
    idle: u64,
}

#[derive(Debug, Args)]
struct Up {
    #[command(flatten)]
    directory: Directory,
    #[command(flatten)]
    shape: Shape,
    /// Make everything but the agents.
    #[arg(long, hide = true)]
    without_agents: bool,
    /// One more `NAME=VALUE` in the environment of both Quay images; may be repeated.
    #[arg(long, hide = true, value_name = "NAME=VALUE")]
    image_env: Vec<String>,
}

#[derive(Debug, Args)]
struct Directory {
    /// The lab's directory.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

#[derive(Debug, Args)]
struct NodeOf {
    #[command(flatten)]
    directory: Directory,
    #[arg(long)]
    node: String,
}

#[derive(Debug, Args)]
struct Detach {
    #[arg(required = true, last = true)]
    command: Vec<OsString>,
}

pub(crate) fn main() -> ExitCode {
    run::run(Cli::parse().command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
