//! Figures, for reports and comparisons: the outage against its physical limit, what an idle agent
//! holds in memory, how large the programs are. Nothing here passes or fails.
#![expect(
    clippy::disallowed_methods,
    reason = "an effect room: disk, programs and waiting are its job"
)]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;
use tokio::time::sleep;

use crate::cluster::binaries::Binaries;
use crate::cluster::lab_file::{EngineKind, Role};
use crate::cluster::{DownError, Lab, Say, UpError, UpOptions};

/// How often the memory of an agent is asked for its connections' sake.
const CONNECTIONS: u32 = 40;
/// Visible tags in the registry of a measured upgrade.
const TAGS: u32 = 500;

/// What is measured.
#[derive(Clone, Debug)]
pub struct BenchOptions {
    /// Nodes of a measured upgrade.
    pub nodes: u8,
    /// Upgrades on each engine and each way.
    pub runs: u32,
    /// On which engines.
    pub engines: Vec<EngineKind>,
    /// How long an agent is left alone before its memory is read.
    pub idle: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error("cannot make a directory for figures")]
    Directory { source: io::Error },
    #[error("cannot run `{}`", program.display())]
    Run { program: PathBuf, source: io::Error },
    #[error("`quaymaster-lab demo` left no figures in `{}`", path.display())]
    NoFigures { path: PathBuf },
    #[error("cannot read `{}`", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("the lab of one node has no agent")]
    NoAgent,
    #[error(transparent)]
    Up(Box<UpError>),
    #[error(transparent)]
    Down(DownError),
}

/// Measures, and hands each line of the report to `print` as soon as it is known.
pub async fn bench(
    options: &BenchOptions,
    binaries: &Binaries,
    say: &Say,
    print: &mut (dyn FnMut(String) + Send),
) -> Result<(), BenchError> {
    for line in sizes(binaries)? {
        print(line);
    }
    let BenchOptions { nodes, runs, engines, idle } = options;
    print("engine   way          window  outage s   limit s    over s  first s".to_owned());
    for engine in engines {
        for mode in ["background", "synchronous"] {
            for run in 1..=*runs {
                say(&format!("{mode} on {}, run {run} of {runs}", name(*engine)));
                for line in upgrade(binaries, *engine, mode, *nodes).await? {
                    print(line);
                }
            }
        }
    }
    say(&format!("an agent with {CONNECTIONS} connections, then idle for {} s", idle.as_secs()));
    print(memory(binaries, *idle, say).await?);
    Ok(())
}

fn name(engine: EngineKind) -> &'static str {
    match engine {
        EngineKind::Standin => "standin",
        EngineKind::Docker => "docker",
        EngineKind::Private => "private",
    }
}

fn sizes(binaries: &Binaries) -> Result<Vec<String>, BenchError> {
    let Binaries { lab: _, quay: _, agent, coordinator } = binaries;
    [agent, coordinator]
        .into_iter()
        .map(|path| {
            let read = |source| BenchError::Read { path: path.clone(), source };
            let bytes = fs::metadata(path).map_err(read)?.len();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let build = path.parent().and_then(Path::file_name).unwrap_or_default();
            Ok(format!("{name}: {bytes} bytes ({} build)", build.to_string_lossy()))
        })
        .collect()
}

/// One whole upgrade, by the command that people use; its figures are the witness's.
async fn upgrade(
    binaries: &Binaries,
    engine: EngineKind,
    mode: &str,
    nodes: u8,
) -> Result<Vec<String>, BenchError> {
    let dir = tempfile::tempdir().map_err(|source| BenchError::Directory { source })?;
    let path = dir.path().join("summary.json");
    let program = binaries.lab.clone();
    let failed = |source| BenchError::Run { program: program.clone(), source };
    Command::new(&program)
        .args(["demo", "--mode", mode, "--engine", name(engine)])
        .args(["--nodes", &nodes.to_string(), "--tags", &TAGS.to_string()])
        .arg("--summary")
        .arg(&path)
        .env("QUAYMASTER_LAB_NO_BUILD", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .await
        .map_err(failed)?;
    let text = fs::read_to_string(&path).unwrap_or_default();
    let summary: Value =
        serde_json::from_str(&text).map_err(|_| BenchError::NoFigures { path: path.clone() })?;
    let windows = summary["windows"].as_array().cloned().unwrap_or_default();
    let rows = windows.iter().zip(1..).map(|(window, number)| row(engine, mode, number, window));
    let mut lines: Vec<String> = rows.collect();
    if summary["outcome"] != "completed" || summary["violations"] != Value::Array(Vec::new()) {
        lines.push(format!("         {mode}: {} {}", summary["outcome"], summary["violations"]));
    }
    Ok(lines)
}

fn row(engine: EngineKind, mode: &str, number: u32, window: &Value) -> String {
    let figure = |key: &str| window[key].as_f64().unwrap_or(f64::NAN);
    let (outage, limit) = (figure("outage_seconds"), figure("limit_seconds"));
    format!(
        "{:<8} {mode:<12} {number:>6} {outage:>9.3} {limit:>9.3} {:>9.3} {:>8.3}",
        name(engine),
        outage - limit,
        figure("first_healthy_seconds")
    )
}

async fn memory(binaries: &Binaries, idle: Duration, say: &Say) -> Result<String, BenchError> {
    let dir = tempfile::tempdir().map_err(|source| BenchError::Directory { source })?;
    let options = UpOptions::new(dir.path().join("lab"), 1, TAGS, binaries.clone());
    let lab = Lab::up(options, say).await.map_err(|error| BenchError::Up(Box::new(error)))?;
    let measured = measure(binaries, &lab, idle).await;
    lab.down(say).await.map_err(BenchError::Down)?;
    measured
}

async fn measure(binaries: &Binaries, lab: &Lab, idle: Duration) -> Result<String, BenchError> {
    let node = lab.nodes().first().map(|node| node.name.clone());
    let agent = lab.process(Role::Agent, node.as_deref()).ok_or(BenchError::NoAgent)?;
    let program = &binaries.coordinator;
    for _ in 0..CONNECTIONS {
        Command::new(program)
            .arg("--cluster")
            .arg(lab.layout().cluster_file())
            .arg("status")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .await
            .map_err(|source| BenchError::Run { program: program.clone(), source })?;
    }
    let before = processor_ticks(agent.pid)?;
    sleep(idle).await;
    let ticks = processor_ticks(agent.pid)? - before;
    let resident = resident_kibibytes(agent.pid)?;
    Ok(format!(
        "agent after {CONNECTIONS} connections and {} s alone: {:.1} MiB resident, {ticks} ticks of \
         processor time meanwhile",
        idle.as_secs(),
        resident / 1024.0
    ))
}

fn proc_file(pid: i32, file: &str) -> Result<String, BenchError> {
    let path = PathBuf::from(format!("/proc/{pid}/{file}"));
    fs::read_to_string(&path).map_err(|source| BenchError::Read { path, source })
}

fn resident_kibibytes(pid: i32) -> Result<f64, BenchError> {
    let status = proc_file(pid, "status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    Ok(line.trim().trim_end_matches("kB").trim().parse().unwrap_or(f64::NAN))
}

/// User and system time, fields 14 and 15 of proc(5)'s stat, counted after the name's bracket.
fn processor_ticks(pid: i32) -> Result<u64, BenchError> {
    let stat = proc_file(pid, "stat")?;
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields = after_name.split_whitespace().skip(11).take(2);
    Ok(fields.filter_map(|field| field.parse::<u64>().ok()).sum())
}
