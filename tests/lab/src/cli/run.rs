//! Runs what was typed. Data goes to the standard output, talk to the standard error.

use std::error::Error;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use quaymaster_lab::bench::BenchOptions;
use quaymaster_lab::check::check;
use quaymaster_lab::cluster::binaries::Binaries;
use quaymaster_lab::cluster::layout::Layout;
use quaymaster_lab::cluster::{Agents, Lab, UpOptions};
use quaymaster_lab::demo::Outcome;
use quaymaster_lab::engine::{EngineOptions, serve_until_signalled};
use quaymaster_lab::interrupt::interrupted;
use quaymaster_lab::observer;
use tokio::signal::unix::{SignalKind, signal};

use super::{Bench, Command, Demo, Detach, Directory, NodeOf, Shape, Up};

/// What a shell expects of a command that Ctrl-C has ended.
const INTERRUPTED: u8 = 130;

type Failure = Box<dyn Error>;

pub(super) fn run(command: Command) -> ExitCode {
    // Before any thread: a session can only be left by a process of its own, and who waits for all
    // that a host runs must be alone.
    if let Command::Detach(detach) = command {
        return fail(&*become_program(&detach));
    }
    if let Command::Host(NodeOf { directory, node }) = command {
        return fail(&*host(&directory.dir, &node));
    }
    let runtime =
        match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return fail(&error),
        };
    match runtime.block_on(dispatch(command)) {
        Ok(code) => code,
        Err(error) => fail(&*error),
    }
}

async fn dispatch(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Demo(options) => demo(options).await,
        Command::Up(options) => up(options).await,
        Command::Down(Directory { dir }) => {
            Lab::open(&dir)?.down(&say).await?;
            say("all of the lab is down; its files stay");
            Ok(ExitCode::SUCCESS)
        }
        Command::Check(Directory { dir }) => {
            let verdict = check(&Lab::open(&dir)?).await?;
            writeln!(io::stdout(), "{}", serde_json::to_string(&verdict)?)?;
            let is_clean = verdict.violations.is_empty();
            Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Bench(options) => bench(options).await,
        Command::Engine(NodeOf { directory, node }) => {
            engine(&directory.dir, &node).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Host(NodeOf { directory, node }) => Err(host(&directory.dir, &node)),
        Command::Observe(Directory { dir }) => {
            let mut end = signal(SignalKind::terminate())?;
            let shutdown = async move {
                end.recv().await;
            };
            observer::observe(&dir, shutdown).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Detach(detach) => Err(become_program(&detach)),
    }
}

async fn demo(options: Demo) -> Result<ExitCode, Failure> {
    let Demo { mode, shape, summary: file } = options;
    let binaries = Binaries::ready(&say)?;
    let options = shape.options(PathBuf::new(), binaries);
    let summary = quaymaster_lab::demo::demo(mode, options, &say).await?;
    if let Some(file) = file {
        summary.write(&file)?;
    }
    let mut output = io::stdout();
    for line in summary.lines() {
        writeln!(output, "{line}")?;
    }
    Ok(match (summary.is_good(), summary.outcome) {
        (true, _) => ExitCode::SUCCESS,
        (false, Outcome::Interrupted) => ExitCode::from(INTERRUPTED),
        (false, Outcome::Completed | Outcome::Failed | Outcome::NotArrived) => ExitCode::FAILURE,
    })
}

async fn bench(options: Bench) -> Result<ExitCode, Failure> {
    let Bench { nodes, runs, engines, idle } = options;
    let options = BenchOptions { nodes, runs, engines, idle: Duration::from_secs(idle) };
    let binaries = Binaries::ready(&say)?;
    let mut print = |line: String| {
        // A closed pipe loses figures, not the measurement's labs.
        let _closed = writeln!(io::stdout(), "{line}");
    };
    quaymaster_lab::bench::bench(&options, &binaries, &say, &mut print).await?;
    Ok(ExitCode::SUCCESS)
}

async fn up(options: Up) -> Result<ExitCode, Failure> {
    let Up { directory, shape, without_agents, image_env } = options;
    let binaries = Binaries::ready(&say)?;
    let mut options = shape.options(directory.dir.clone(), binaries);
    options.agents = if without_agents { Agents::LeftOut } else { Agents::Started };
    for pair in image_env {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| format!("`{pair}` has no `=`; give --image-env NAME=VALUE"))?;
        options.image_environment.push((name.to_owned(), value.to_owned()));
    }
    let lab = tokio::select! {
        lab = Lab::up(options, &say) => lab?,
        signalled = interrupted() => {
            signalled?;
            say("interrupted; ending what was started");
            // Without a lab.json nothing had been started yet.
            if let Ok(lab) = Lab::open(&directory.dir) {
                lab.down(&say).await?;
            }
            return Ok(ExitCode::from(INTERRUPTED));
        }
    };
    lab.keep_image("v1").await?;
    say("the cluster stands: every Quay is healthy on 2.9.5");
    let file = lab.layout().cluster_file();
    say(&format!("look at it   quaymaster --cluster {} status", file.display()));
    say(&format!("end it       quaymaster-lab down --dir {}", lab.layout().dir().display()));
    writeln!(io::stdout(), "{}", file.display())?;
    Ok(ExitCode::SUCCESS)
}

impl Shape {
    fn options(&self, dir: PathBuf, binaries: Binaries) -> UpOptions {
        let mut options = UpOptions::new(dir, self.nodes, self.tags, binaries);
        options.engine = self.engine;
        options.database = self.database;
        options.companions = self.companions;
        options
    }
}

async fn engine(dir: &Path, node: &str) -> Result<(), Failure> {
    let lab = Lab::open(dir)?;
    let layout: &Layout = lab.layout();
    let socket = layout.engine_socket(node);
    let mut options = EngineOptions::new(socket, layout.engine_data(node), node);
    options.registry = Some(layout.image_file());
    Ok(serve_until_signalled(options).await?)
}

/// Only returns where it fails.
fn host(dir: &Path, node: &str) -> Failure {
    let run = || -> Result<std::convert::Infallible, Failure> {
        let lab = Lab::open(dir)?;
        let known = lab.node(node).ok_or_else(|| format!("the lab has no node `{node}`"))?;
        Ok(quaymaster_lab::host::run(lab.layout(), known)?)
    };
    match run() {
        Ok(never) => match never {},
        Err(failure) => failure,
    }
}

/// Only returns where it fails.
fn become_program(detach: &Detach) -> Failure {
    let Some((program, arguments)) = detach.command.split_first() else {
        return "no program was given".into();
    };
    // It fails only for a process that leads its group already, which nobody else is in then.
    let _ = rustix::process::setsid();
    let error = std::process::Command::new(program).args(arguments).exec();
    format!("cannot run `{}`: {error}", program.display()).into()
}

/// Talk for people. A closed standard error is nothing to stop for.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "lab: {text}");
}

/// The whole chain, each cause on a line of its own.
fn fail(error: &dyn Error) -> ExitCode {
    let mut text = format!("error: {error}\n");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!("  because: {error}\n"));
        cause = error.source();
    }
    let _ = write!(io::stderr(), "{text}");
    ExitCode::FAILURE
}
