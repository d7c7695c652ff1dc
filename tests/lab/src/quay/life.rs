//! The life of the process: it takes its settings, starts Quay, hears or does not hear SIGTERM, and
//! ends with the exit code of the real container.
#![expect(clippy::disallowed_methods, reason = "an effect room: environment, mounts and waiting")]

use std::collections::BTreeMap;
use std::fs;
use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

use super::answers::Phase;
use super::log;
use super::migration::chain;
use super::paths::Paths;
use super::serve::SharedPhase;
use super::settings::Settings;
use super::start::{Failed, Start};
use super::witnessed::{Identity, Witnessed};
use crate::record::{QuayEvent, RecordWriter};

/// The stand-in itself could not begin: its image or its engine is at fault.
const MISUSED: u8 = 2;
/// The entrypoint's verb for a mirror worker.
const MIRROR: &str = "repomirror";
/// What a shell makes of `exit -1` in the entrypoint (quay-facts 2.1).
const START_FAILED: u8 = 255;

/// Runs the stand-in as this process.
pub fn main() -> ExitCode {
    let environment: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    match run(&environment) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            log::error(&format!("stand-in: {}", chain(error.as_ref())));
            ExitCode::from(MISUSED)
        }
    }
}

fn run(environment: &BTreeMap<String, String>) -> Result<u8, Box<dyn std::error::Error>> {
    let mut settings = Settings::from_environment(environment)?;
    settings.is_mirror = std::env::args().nth(1).is_some_and(|verb| verb == MIRROR);
    let paths = Paths::new(settings.binds.clone(), settings.root.clone());
    let container_id = settings
        .container_id
        .clone()
        .or_else(|| container_id(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default()))
        .or_else(|| environment.get("HOSTNAME").cloned())
        .unwrap_or_default();
    let short: String = container_id.chars().take(12).collect();
    let name = format!("quay-{}-{short}-{}", settings.node, std::process::id());
    let writer = RecordWriter::create(&paths.outside(&settings.witness), &name)?;
    let identity = Identity {
        node: settings.node.clone(),
        container_id,
        release: settings.release.to_string(),
        is_mirror: settings.is_mirror,
    };
    let witnessed = Witnessed::new(writer, identity);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(live(settings, paths, witnessed))?)
}

async fn live(settings: Settings, paths: Paths, witnessed: Witnessed) -> std::io::Result<u8> {
    // Taken in every release: a signal that nobody takes would end a process that is not PID 1.
    let terminate = signal(SignalKind::terminate())?;
    let (release, stop) = (settings.release, settings.timing.stop);
    let phase = SharedPhase::default();
    let start = Start { settings, paths, witnessed: witnessed.clone(), phase: phase.clone() };
    let quay = tokio::spawn(start.run());
    tokio::select! {
        ended = quay => match ended {
            Ok(Ok(never)) => match never {},
            Ok(Err(Failed)) | Err(_) => Ok(START_FAILED),
        },
        () = told_to_stop(terminate, release.hears_sigterm()) => {
            // The database sessions stay until the very end.
            phase.set(Phase::Stopping);
            sleep(stop).await;
            witnessed.saw(QuayEvent::EndedBySignal { signal: "SIGTERM".to_owned() });
            Ok(0)
        }
    }
}

async fn told_to_stop(mut terminate: Signal, is_heard: bool) {
    loop {
        let told = terminate.recv().await;
        if told.is_some() && is_heard {
            return;
        }
    }
}

/// The full id, which Docker and Podman show in the mounts of `/etc/hostname` and its like: behind
/// a directory of containers, for layers have such ids too.
fn container_id(mountinfo: &str) -> Option<String> {
    let mut parts = mountinfo.split(['/', ' ', '\n']);
    let mut before = "";
    parts.find_map(|part| {
        let is_it = std::mem::replace(&mut before, part).ends_with("containers") && is_id(part);
        is_it.then(|| part.to_owned())
    })
}

fn is_id(part: &str) -> bool {
    part.len() == 64 && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_container_finds_its_own_id() {
        let id = "2e3457ae764dfb0c5d09ba61e4d90d9af8b3b91d2e3457ae764dfb0c5d09ba61";
        let layer = id.replace('2', "3");
        for (layers, place) in [
            ("docker/overlay2", format!("docker/containers/{id}/hostname")),
            ("containers/storage/overlay", format!("overlay-containers/{id}/userdata/hostname")),
        ] {
            let lines = format!(
                "1 2 0:1 / / rw - overlay overlay rw,upperdir=/var/lib/{layers}/{layer}/diff\n\
                 3 1 8:1 /var/lib/{place} /etc/hostname rw\n"
            );
            assert_eq!(container_id(&lines).as_deref(), Some(id));
        }
        assert_eq!(container_id("1 2 8:1 / / rw\n"), None);
    }
}
