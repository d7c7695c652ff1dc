//! An agent as systemd runs it: with a notify socket, a watchdog, and whatever
//! rights its unit gives it. The test is its service manager.
#![expect(clippy::disallowed_methods, reason = "an effect room: processes and the disk")]

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::net::UnixDatagram;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Nothing takes longer but with a broken product.
const BOUND: Duration = Duration::from_secs(60);

/// `WatchdogSec=` of these tests.
pub const WATCHDOG: Duration = Duration::from_secs(3);

/// A running service; killed when it is dropped.
#[derive(Debug)]
pub struct Service {
    child: Child,
    heard: mpsc::UnboundedReceiver<String>,
    /// Everything that it told, one message each.
    pub told: Vec<String>,
    _dir: TempDir,
}

impl Service {
    /// Starts a command line, its standard error in `log`.
    pub fn start<S: AsRef<OsStr>>(line: impl IntoIterator<Item = S>, log: &Path) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket can be made");
        // Whoever the service runs as may tell.
        allow_everybody(dir.path());
        allow_everybody(&path);
        let line: Vec<OsString> = line.into_iter().map(|part| part.as_ref().to_owned()).collect();
        let log = std::fs::File::create(log).expect("a log can be made");
        let child = Command::new(&line[0])
            .args(&line[1..])
            .env_remove("RUST_LOG")
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("the service can be started");
        Self { child, heard: listen(socket), told: Vec::new(), _dir: dir }
    }

    /// The next message.
    async fn hear(&mut self) -> &str {
        let message = self.heard.recv().await.expect("the socket is being read");
        self.told.push(message);
        self.told.last().map(String::as_str).unwrap_or_default()
    }

    /// Waits for a message that fits, and returns it.
    #[track_caller]
    pub fn until(&mut self, fits: impl Fn(&str) -> bool) -> impl Future<Output = String> {
        let place = std::panic::Location::caller();
        async move {
            let heard = timeout(BOUND, async {
                loop {
                    let message = self.hear().await;
                    if fits(message) {
                        return message.to_owned();
                    }
                }
            });
            let heard = heard.await.ok();
            heard.unwrap_or_else(|| {
                panic_with(&format!("never told what {place} waits for; told: {:#?}", self.told))
            })
        }
    }

    /// Waits for so many keep-alives from now on.
    pub async fn until_fed(&mut self, times: usize) {
        self.forget();
        for _ in 0..times {
            self.until(|message| message.lines().any(|line| line == "WATCHDOG=1")).await;
        }
    }

    /// Waits until systemd would end the service: no keep-alive for as long as
    /// the watchdog allows.
    pub async fn until_starved(&mut self) {
        let starved = async {
            self.forget();
            let fed = |message: &str| message.lines().any(|line| line == "WATCHDOG=1");
            while timeout(WATCHDOG, async { while !fed(self.hear().await) {} }).await.is_ok() {}
        };
        if timeout(BOUND, starved).await.is_err() {
            panic_with("the watchdog is still fed");
        }
    }

    /// Drops what was told and not yet heard.
    fn forget(&mut self) {
        while let Ok(message) = self.heard.try_recv() {
            self.told.push(message);
        }
    }

    pub fn signal(&self, signal: Signal) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok());
        let id = id.and_then(Pid::from_raw).expect("the service runs");
        kill_process(id, signal).expect("the service can be signalled");
    }

    /// Signals what a tracer runs, and not the tracer. A trace itself names threads,
    /// whose ids are somebody else's when they have ended.
    pub fn signal_traced(&self, signal: Signal) {
        let tracer = self.child.id().expect("the tracer runs");
        let path = format!("/proc/{tracer}/task/{tracer}/children");
        let children = std::fs::read_to_string(path).expect("its children can be listed");
        let id = children.split_whitespace().next().and_then(|id| id.parse().ok());
        let id = id.and_then(Pid::from_raw).expect("it runs something");
        kill_process(id, signal).expect("the service can be signalled");
    }

    /// Waits for its end.
    pub async fn ended(mut self) -> ExitStatus {
        timeout(BOUND, self.child.wait())
            .await
            .unwrap_or_else(|_| panic_with("the service does not end"))
            .expect("the service can be waited for")
    }
}

/// Reads a notify socket at all times, as systemd does: it holds ten messages,
/// and then whoever tells waits.
fn listen(socket: UnixDatagram) -> mpsc::UnboundedReceiver<String> {
    let (sender, heard) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut bytes = vec![0; 8192];
        while let Ok(length) = socket.recv(&mut bytes).await {
            if sender.send(String::from_utf8_lossy(&bytes[..length]).into_owned()).is_err() {
                break;
            }
        }
    });
    heard
}

fn allow_everybody(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let everybody = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(path, everybody).expect("a mode can be set");
}

#[expect(clippy::panic, reason = "a test that hangs fails by name")]
fn panic_with(problem: &str) -> ! {
    panic!("{problem}")
}
