//! The product's programs, called as an operator calls them.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::lab::TestLab;

/// No command of these suites is longer than a broken product.
const BOUND: Duration = Duration::from_secs(120);

/// What a command said and how it ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// `None` where a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl TestLab {
    /// Runs `quaymaster --cluster <this lab's> <arguments>` to its end, without
    /// a terminal.
    pub async fn quaymaster<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Outcome {
        self.quaymaster_of("cluster.yaml", arguments).await
    }

    /// The same with another cluster file of the lab's directory. Paths are
    /// relative, so that no page depends on where the lab is.
    pub async fn quaymaster_of<S: AsRef<OsStr>>(
        &self,
        cluster: &str,
        arguments: impl IntoIterator<Item = S>,
    ) -> Outcome {
        let mut command = coordinator(&self.binaries().coordinator, cluster);
        command.args(arguments).current_dir(self.dir());
        run(command).await
    }

    /// Starts it and lets it run.
    pub fn spawn_quaymaster<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Child {
        self.spawn_quaymaster_of("cluster.yaml", arguments)
    }

    /// The same with another cluster file of the lab's directory.
    pub fn spawn_quaymaster_of<S: AsRef<OsStr>>(
        &self,
        cluster: &str,
        arguments: impl IntoIterator<Item = S>,
    ) -> Child {
        let mut command = coordinator(&self.binaries().coordinator, cluster);
        command.args(arguments).current_dir(self.dir());
        command.spawn().expect("the coordinator can be started")
    }

    /// The same by way of another program, which becomes it: `strace -D` and its like.
    pub fn spawn_quaymaster_by<S: AsRef<OsStr>>(
        &self,
        way: &[S],
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Child {
        let (program, before) = way.split_first().expect("the way begins with a program");
        let mut command = prepared(Path::new(program));
        command.args(before).arg(&self.binaries().coordinator);
        command.args(["--cluster", "cluster.yaml"]).args(arguments).current_dir(self.dir());
        command.spawn().expect("the coordinator can be started")
    }

    /// Runs `quaymaster-lab <arguments>` to its end.
    pub async fn quaymaster_lab<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Outcome {
        let mut command = prepared(&self.binaries().lab);
        command.args(arguments);
        run(command).await
    }
}

/// Runs a program where there is no lab.
pub async fn run_in<S: AsRef<OsStr>>(
    program: &Path,
    dir: &Path,
    arguments: impl IntoIterator<Item = S>,
) -> Outcome {
    let mut command = prepared(program);
    command.args(arguments).current_dir(dir);
    run(command).await
}

fn coordinator(program: &Path, cluster: &str) -> Command {
    let mut command = prepared(program);
    command.arg("--cluster").arg(cluster);
    command
}

/// Nothing of this process's surroundings may show in what a command says.
fn prepared(program: &Path) -> Command {
    let mut command = Command::new(program);
    for name in
        ["NO_COLOR", "CLICOLOR_FORCE", "COLUMNS", "RUST_LOG", "QUAYMASTER_CLUSTER", "SUDO_USER"]
    {
        command.env_remove(name);
    }
    command
        .envs([("TZ", "UTC"), ("LC_ALL", "C.UTF-8"), ("TERM", "xterm"), ("USER", "operator")])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn run(mut command: Command) -> Outcome {
    let shown = format!("{:?}", command.as_std());
    let child = command.spawn().expect("the program can be started");
    finish(child, &shown).await
}

/// Waits for the end of a started command.
pub async fn finish(child: Child, shown: &str) -> Outcome {
    let output = timeout(BOUND, child.wait_with_output())
        .await
        .unwrap_or_else(|_| panic_with(shown))
        .expect("the program's output can be read");
    Outcome {
        code: code(output.status),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn code(status: ExitStatus) -> Option<i32> {
    status.code()
}

#[expect(clippy::panic, reason = "a test that hangs fails by name")]
fn panic_with(shown: &str) -> ! {
    panic!("not at its end after {} s: {shown}", BOUND.as_secs())
}

impl Outcome {
    /// The outcome of a command that has to end with this code.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Everything on one page: what is said where, and the exit code.
    pub fn page(&self) -> String {
        let Self { code, stdout, stderr } = self;
        let code = code.map_or_else(|| "none".to_owned(), |code| code.to_string());
        let mut page = String::new();
        for (name, text) in [("stdout", stdout), ("stderr", stderr)] {
            if !text.is_empty() {
                page.push_str(&format!("---- {name}\n{text}"));
                if !text.ends_with('\n') {
                    page.push_str("(no line end)\n");
                }
            }
        }
        page.push_str(&format!("---- exit {code}\n"));
        page
    }
}
