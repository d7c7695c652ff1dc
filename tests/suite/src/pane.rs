//! A terminal: a pane of a tmux server of its own, with a plain shell in it.
//! What stands on it is waited for and never assumed.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use quaymaster_lab::cluster::wait::until;

use crate::lab::TestLab;

/// Nothing takes longer to appear on a screen than a broken product.
const BOUND: Duration = Duration::from_secs(30);
/// Where the shell waits for a command.
const PROMPT: &str = "ready>";

/// How wide and how high.
pub type PaneSize = (usize, usize);

/// A pane that ends with the value.
#[derive(Debug)]
pub struct Pane {
    socket: PathBuf,
}

impl Pane {
    /// A shell in the lab's directory; `environment` comes on top of the usual.
    pub async fn open(lab: &TestLab, size: PaneSize, environment: &[(&str, &str)]) -> Self {
        let socket = lab.dir().join(format!("tmux-{}-{}", size.0, environment.len()));
        let pane = Self { socket };
        let (columns, rows) = (size.0.to_string(), size.1.to_string());
        let mut command = pane.command();
        command
            .args(["-f", "/dev/null", "new-session", "-d", "-s", "pane"])
            .args(["-x", &columns, "-y", &rows, "/bin/sh"])
            .current_dir(lab.dir())
            .env_clear()
            .envs([("TZ", "UTC"), ("LC_ALL", "C.UTF-8"), ("TERM", "screen"), ("USER", "operator")])
            .envs([("QUAYMASTER_CLUSTER", "cluster.yaml")])
            .env("PATH", path(lab));
        finish(command);
        pane.tmux(["set-option", "-g", "history-limit", "10000"]);
        pane.wait_for("the shell", |screen| screen.trim_end().ends_with(['$', '#'])).await;
        pane.keys(&[&format!("PS1='{PROMPT} '"), "Enter"]);
        pane.wait_for_prompt().await;
        pane.clear().await;
        // A pane's own TERM is tmux's to say, so these come by the shell.
        for (name, value) in environment {
            pane.set(&format!("export {name}={value}")).await;
        }
        pane
    }

    fn command(&self) -> Command {
        let mut command = Command::new("tmux");
        command.arg("-u").arg("-S").arg(&self.socket);
        command
    }

    fn tmux<const N: usize>(&self, arguments: [&str; N]) -> String {
        let mut command = self.command();
        command.args(arguments);
        finish(command)
    }

    /// Has the shell carry out a line that leaves nothing on the screen.
    async fn set(&self, line: &str) {
        self.keys(&[line, "Enter"]);
        let is_done = |screen: &str| screen.contains(line) && is_at_prompt(screen);
        self.wait_for(line, is_done).await;
    }

    /// Begins with an empty screen.
    pub async fn clear(&self) {
        self.keys(&["clear", "Enter"]);
        self.wait_for("an empty screen", |screen| screen.trim() == PROMPT).await;
    }

    /// Keys as tmux names them: `q`, `C-c`, `Enter`.
    pub fn keys(&self, keys: &[&str]) {
        let mut command = self.command();
        command.args(["send-keys", "-t", "pane"]).args(keys);
        finish(command);
    }

    pub fn resize(&self, (columns, rows): PaneSize) {
        let (columns, rows) = (columns.to_string(), rows.to_string());
        self.tmux(["resize-window", "-t", "pane", "-x", &columns, "-y", &rows]);
    }

    /// What stands on it, a line that the terminal had to wrap as one line.
    pub fn screen(&self) -> String {
        self.tmux(["capture-pane", "-p", "-J", "-t", "pane"])
    }

    /// The same with everything that was scrolled away.
    pub fn scrolled(&self) -> String {
        self.tmux(["capture-pane", "-p", "-J", "-S", "-", "-t", "pane"])
    }

    /// The same with colours.
    pub fn painted(&self) -> String {
        self.tmux(["capture-pane", "-p", "-e", "-t", "pane"])
    }

    /// Waits until the screen is as asked, and gives it.
    pub async fn wait_for(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        until(what, BOUND, async || {
            let screen = self.screen();
            if is_so(&screen) { Ok(screen) } else { Err(screen) }
        })
        .await
        .expect("the screen shows it")
    }

    /// Waits until the shell has the terminal back.
    pub async fn wait_for_prompt(&self) -> String {
        self.wait_for("the prompt", is_at_prompt).await
    }

    /// What the last command ended with.
    pub async fn exit_code(&self) -> i32 {
        self.keys(&["echo \"[$?]\"", "Enter"]);
        let screen = self.wait_for("the exit code", |screen| code(screen).is_some()).await;
        code(&screen).expect("it was there")
    }

    /// Whether the cursor is seen, lines wrap, what is typed is shown, and the
    /// shell's own screen is shown.
    pub fn is_restored(&self) -> bool {
        let flags = self.tmux([
            "display-message",
            "-p",
            "-t",
            "pane",
            "#{alternate_on} #{cursor_flag} #{wrap_flag}",
        ]);
        flags.trim() == "0 1 1"
    }

    /// Whether a picture is drawn on the other screen.
    pub fn is_drawn(&self) -> bool {
        self.tmux(["display-message", "-p", "-t", "pane", "#{alternate_on}"]).trim() == "1"
    }
}

impl Drop for Pane {
    fn drop(&mut self) {
        let _ = self.command().arg("kill-server").output();
    }
}

/// Where the lab's programs are, then what the shell needs.
fn path(lab: &TestLab) -> String {
    let programs = lab.binaries().coordinator.parent().expect("a program is in a directory");
    format!("{}:/usr/bin:/bin", programs.display())
}

fn finish(mut command: Command) -> String {
    let output = command.output().expect("tmux can be started");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn is_at_prompt(screen: &str) -> bool {
    screen.trim_end().ends_with(PROMPT)
}

/// `[0]` on a line of its own, as the shell said it.
fn code(screen: &str) -> Option<i32> {
    screen.lines().rev().find_map(|line| line.strip_prefix('[')?.strip_suffix(']')?.parse().ok())
}
