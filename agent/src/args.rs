//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// The agent of one Quay node.
#[derive(Parser, Debug)]
#[command(name = "quaymaster-agent", version, about, propagate_version = true)]
pub(crate) struct Args {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Serve this node until SIGTERM or SIGINT; SIGHUP has the certificates
    /// read anew. Exit code 0: told to stop; 1: it cannot serve, and why; 2: usage.
    Run {
        /// The agent.yaml of this node.
        #[arg(long, value_name = "FILE", default_value = "/etc/quaymaster/agent.yaml")]
        config: PathBuf,
        /// Where this host's files are seen: units and cron tables are looked
        /// for below it.
        #[arg(long, value_name = "DIR", default_value = "/")]
        host_root: PathBuf,
    },
    /// Look whether this node could be served, finding by finding, each with
    /// what to do about it. Whether config.yaml could be replaced is found out
    /// by an empty file beside it that is taken away again; else nothing is
    /// touched. Exit code 0: nothing is bad; 1: something is; 2: usage.
    Check {
        /// The agent.yaml of this node.
        #[arg(long, value_name = "FILE", default_value = "/etc/quaymaster/agent.yaml")]
        config: PathBuf,
    },
}
