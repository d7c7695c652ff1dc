//! What each command does: load, ask, call a pure room, show. Data goes to
//! standard output, talk to standard error.

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Cli, Command};
use crate::exit::Exit;

mod abort;
mod apply;
mod approve;
mod context;
mod drive;
mod error;
mod explain;
mod files;
mod from_nodes;
mod heal;
mod live;
mod plan;
mod preflight;
mod question;
mod record;
mod resume;
mod rollback;
mod signals;
mod status;
mod survey;
mod talk;
mod terminal;
mod unfinished;
mod verify;
mod watch;

pub use error::{CommandError, HealError, Stands, VerifyError};

use context::Context;

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors, and clap knows which is which.
            let _ = error.print();
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            return exit.into();
        }
    };
    talk::choose_colour(cli.global.color);
    let global = cli.global.clone();
    // Fails only when one is installed already, which serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let exit = match runtime {
        Ok(runtime) => {
            let exit = runtime.block_on(run(cli));
            // A prompt that nobody answers must not keep the process.
            runtime.shutdown_background();
            exit
        }
        Err(source) => talk::fail(&CommandError::Runtime { source }, &global),
    };
    exit.into()
}

async fn run(cli: Cli) -> Exit {
    let Cli { global, command } = cli;
    let done = async {
        if let Command::Explain(args) = &command
            && let Some(about) = explain::About::of(args)
        {
            return Ok(explain::codes(about, global.output));
        }
        let context = Context::load(&global)?;
        match command {
            Command::Status(args) if args.watch => watch::run(&context, args.interval).await,
            Command::Status(_) => status::run(&context).await,
            Command::Preflight(args) => preflight::run(&context, &args).await,
            Command::Plan(args) => plan::run(&context, &args).await,
            Command::Apply(args) => apply::run(&context, &args).await,
            Command::Resume(args) => resume::run(&context, &args).await,
            Command::Abort(args) => abort::run(&context, &args).await,
            Command::Rollback(args) => rollback::run(&context, &args).await,
            Command::Approve(args) => approve::run(&context, &args).await,
            Command::Heal(args) => heal::run(&context, &args).await,
            Command::Verify(args) => verify::run(&context, &args).await,
            Command::Explain(_) => explain::run(&context).await,
        }
    };
    match done.await {
        Ok(exit) => exit,
        Err(error) => talk::fail(&error, &global),
    }
}
