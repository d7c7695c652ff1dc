//! The agent: one on every Quay node, the only thing that touches containers
//! and config.yaml there.
//!
//! Pure rooms:
//! - `config`: agent.yaml
//! - `container`: what an owner asked of a container, and what the next gets;
//!   `engine::inspect` translates the engine's words
//! - `secret`: a text that no log can print
//! - `standing`: what the agent is at, for people; `fence`: what the floor makes
//!   of a Quay that lives
//! - `guards`: the checks between an order and the world
//! - `quay`: what a Quay is: its config.yaml, database address, health, mode,
//!   backfill and start-up log
//!
//! Effect rooms:
//! - `engine`: the container engine, in our words; `engine::docker` a real one
//! - `quay::http`, `quay::database`: this node's Quay and its database, asked
//! - `backup`: the database dumped, read back, and restored
//! - `config_file`: config.yaml on the disk; `disk`: how much room there is
//! - `ledger`: who drives, what was asked and how it ended; `plans`: by which plan
//! - `floor`: what may not run here any more; `spec_key`: the key of spec digests;
//!   `whole_file`: how such files are written; `reserve`: room for the way back
//! - `starters`: who else starts a container: systemd, quadlets, cron
//! - `own_thread`: where work that may block is done
//! - `surroundings`: Quay, database and clock, as the core asks them
//! - `node`: what looks and acts share, and which containers are the agent's;
//!   `lease`: claims and releases
//! - `looks`: answers that change nothing
//! - `worker`: acts, one at a time; `jobs`: pulls, backups, restores
//! - `rpc`: the service over mutual TLS
//! - `host`: systemd and signals; `journal`: how a line of the log is written
//! - `telemetry`: lines on standard error, and spans for a collector
//! - `app`, `check`, `args`: the wiring, and the command line

mod app;
mod args;
mod backup;
mod check;
pub mod config;
mod config_file;
pub mod container;
mod disk;
pub mod engine;
mod fence;
mod floor;
pub mod guards;
mod host;
mod jobs;
mod journal;
mod lease;
mod ledger;
mod looks;
mod node;
mod own_thread;
mod plans;
pub mod quay;
mod reserve;
mod rpc;
pub mod secret;
#[cfg(feature = "simulation")]
pub mod simulation;
mod spec_key;
mod standing;
mod starters;
mod surroundings;
mod telemetry;
mod whole_file;
mod worker;

use std::error::Error;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;
use tokio::runtime::Runtime;

use self::args::{Args, Command};
use self::telemetry::Telemetry;

/// The binary: arguments in, exit code out.
pub fn main() -> ExitCode {
    let Args { command } = Args::parse();
    // Another provider installed before is as good: both sides name theirs.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    match command {
        Command::Run { config, host_root } => run(runtime, &config, &host_root),
        Command::Check { config } => check(&runtime, &config),
    }
}

fn run(runtime: Runtime, config: &Path, host_root: &Path) -> ExitCode {
    let config = match app::read_config(config) {
        Ok(config) => config,
        Err(error) => return failed(&error),
    };
    let telemetry = {
        let _entered = runtime.enter();
        Telemetry::begin(&config)
    };
    let ended = to_the_end(runtime, app::run(config, host_root), || telemetry.end());
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

/// Does the work and what belongs to its end, and leaves behind what hangs all
/// the same: a look at a file server that is gone must not keep the agent from
/// ending. Acts have settled by then.
fn to_the_end<T>(runtime: Runtime, work: impl Future<Output = T>, end: impl FnOnce()) -> T {
    let ended = runtime.block_on(work);
    end();
    runtime.shutdown_background();
    ended
}

fn check(runtime: &Runtime, config: &Path) -> ExitCode {
    let findings = runtime.block_on(check::check(config));
    let _ = write!(std::io::stdout(), "{findings}"); // a closed pipe is no failure of the node
    if findings.are_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Says why, once, with every cause.
fn failed(error: &dyn Error) -> ExitCode {
    let prefix = journal::prefix(tracing::Level::ERROR);
    let _ = writeln!(std::io::stderr(), "{prefix}error: {}", quaymaster_proto::in_a_line(error)); // nobody left to tell
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_agent_ends_while_a_look_hangs() {
        let (answer, server) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            let runtime = Runtime::new().unwrap();
            let work = async {
                let (begin, begun) = tokio::sync::oneshot::channel();
                tokio::task::spawn_blocking(move || {
                    begin.send(()).unwrap();
                    server.recv()
                });
                begun.await
            };
            to_the_end(runtime, work, || {}).unwrap();
            tell.send(()).unwrap();
        });
        told.recv_timeout(Duration::from_secs(60)).unwrap();
        drop(answer);
    }
}
