#![expect(clippy::disallowed_methods, reason = "an effect room: it starts, waits and kills")]
//! How containers live: started by request, by their policy or with the
//! engine; stopped, killed, and looked after until they end.

use super::{
    container::Phase,
    event::Event,
    fleet::{Engine, Entry, Fleet},
    port::PublishedPort,
    process::{Running, kill_everything, kill_leftover, parse_signal, signal},
    refusal::Refusal,
};
use jiff::Timestamp;
use rustix::process::Signal;
use std::{io, net::TcpListener, sync::Arc, time::Duration};
use tokio::time::{sleep, timeout};

/// What Docker gives a container before it kills it.
const STOP_GRACE: i64 = 10;
/// How long the engine waits at its own end for its containers'.
const LAST_WAIT: Duration = Duration::from_secs(5);
/// Docker's exit code for a container whose end nobody saw.
const UNSEEN_END: i64 = 255;
const KILLED: i64 = 137;

/// Whether a request changed anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Change {
    Made,
    NotNeeded,
}

impl Engine {
    pub(crate) fn start(self: &Arc<Self>, key: &str) -> Result<Change, Refusal> {
        let mut fleet = self.fleet();
        let Entry { container, backoff, endings: _ } = fleet.find_mut(key)?;
        if container.phase.is_up() {
            return Ok(Change::NotNeeded);
        }
        container.manually_stopped = false;
        container.restart_count = 0;
        *backoff = Default::default();
        let id = container.id.clone();
        self.launch(&mut fleet, &id)?;
        Ok(Change::Made)
    }

    /// Starts the container's process and has it looked after.
    fn launch(self: &Arc<Self>, fleet: &mut Fleet, id: &str) -> Result<(), Refusal> {
        let ports = free_ports(fleet, id);
        let faults = self.store.faults();
        let container = &mut fleet.find_mut(id)?.container;
        let started = ports.and_then(|ports| {
            if faults?.start_fails.contains(&container.name) {
                return Err(Refusal::Fault("start"));
            }
            container.ports = ports;
            Running::start(container, &self.store, self.logged.clone())
        });
        match started {
            Ok(running) => {
                container.phase = Phase::Running { pid: running.pid() };
                container.exit_code = 0;
                container.error = String::new();
                let now = Timestamp::now();
                container.started_at = Some(now);
                self.settle(container, Some(Event::new("start", container, now)));
                let (engine, id) = (Arc::clone(self), id.to_owned());
                tokio::spawn(async move {
                    let (exit_code, at) = running.ended().await;
                    engine.ended(&id, exit_code, at);
                });
                Ok(())
            }
            Err(refusal) => {
                if container.phase != Phase::Created {
                    container.phase = Phase::Exited;
                }
                container.exit_code = refusal.exit_code();
                container.error = refusal.to_string();
                self.settle(container, None);
                Err(refusal)
            }
        }
    }

    /// Takes down that a container ended and does what its policy says.
    fn ended(self: &Arc<Self>, id: &str, exit_code: i64, at: Timestamp) {
        let mut fleet = self.fleet();
        let Ok(Entry { container, backoff, endings }) = fleet.find_mut(id) else {
            return;
        };
        container.exit_code = exit_code;
        container.finished_at = Some(at);
        *endings += 1;
        let restarts = container.policy.restarts(container.ending()) && !*self.closing.borrow();
        container.phase = if restarts { Phase::Restarting } else { Phase::Exited };
        if restarts {
            container.restart_count += 1;
            let ran = container.started_at.map(|started| at.duration_since(started));
            *backoff = backoff.after(ran.map_or(Duration::ZERO, |ran| ran.unsigned_abs()));
            let restart = Arc::clone(self).restart(id.to_owned(), *endings, backoff.delay());
            tokio::spawn(restart);
        }
        let event = Event::new("die", container, at).with("exitCode", exit_code);
        self.settle(container, Some(event));
    }

    /// Starts a container again after its delay, unless it was stopped or
    /// removed meanwhile.
    async fn restart(self: Arc<Self>, id: String, ending: u64, delay: Duration) {
        let awaits_this = |fleet: &Fleet| {
            fleet.find(&id).is_ok_and(|entry| {
                entry.container.phase == Phase::Restarting && entry.endings == ending
            })
        };
        let given_up = self.until(|fleet| (!awaits_this(fleet)).then_some(()));
        let mut closing = self.closing.subscribe();
        tokio::select! {
            () = sleep(delay) => {}
            () = given_up => return,
            _ = closing.wait_for(|closing| *closing) => return,
        }
        let mut fleet = self.fleet();
        if awaits_this(&fleet) {
            // A failure is written into the container, where Docker has it.
            let _ = self.launch(&mut fleet, &id);
        }
    }

    /// Asks a container to end, and kills it once the grace is over. Without a
    /// grace in the request it is the container's own, else Docker's; a
    /// negative one has no end.
    pub(crate) async fn stop(&self, key: &str, grace: Option<i64>) -> Result<Change, Refusal> {
        let hangs = self.store.faults()?.stop_hangs_seconds;
        if hangs > 0 {
            sleep(Duration::from_secs(hangs)).await;
        }
        let (id, ending, grace, word) = {
            let mut fleet = self.fleet();
            let Entry { container, endings, backoff: _ } = fleet.find_mut(key)?;
            if !container.phase.is_up() {
                return Ok(Change::NotNeeded);
            }
            let grace = grace.or(container.config.stop_timeout).unwrap_or(STOP_GRACE);
            let word = container.config.stop_signal.as_deref().and_then(parse_signal);
            (container.id.clone(), *endings, grace, word.unwrap_or(Signal::TERM))
        };
        self.deliver(&id, word)?;
        let end = self.until_ended(&id, ending);
        match u64::try_from(grace) {
            Ok(seconds) => {
                if timeout(Duration::from_secs(seconds), end).await.is_err() {
                    self.deliver(&id, Signal::KILL)?;
                    self.until_ended(&id, ending).await;
                }
            }
            Err(_) => end.await,
        }
        if let Ok(entry) = self.fleet().find(&id) {
            self.events.tell(Event::new("stop", &entry.container, Timestamp::now()));
        }
        Ok(Change::Made)
    }

    pub(crate) fn kill(&self, key: &str, name: &str) -> Result<(), Refusal> {
        let signal = parse_signal(name).ok_or_else(|| Refusal::InvalidSignal(name.to_owned()))?;
        let id = {
            let fleet = self.fleet();
            let container = &fleet.find(key)?.container;
            if !container.phase.is_up() {
                return Err(Refusal::NotRunning(container.id.clone()));
            }
            container.id.clone()
        };
        self.deliver(&id, signal)
    }

    /// Ends a container that is to be removed, if it runs.
    pub(crate) async fn kill_for_removal(&self, id: &str) -> Result<(), Refusal> {
        let (is_up, ending) = {
            let fleet = self.fleet();
            let entry = fleet.find(id)?;
            (entry.container.phase.is_up(), entry.endings)
        };
        if is_up {
            self.deliver(id, Signal::KILL)?;
            self.until_ended(id, ending).await;
        }
        Ok(())
    }

    /// Sends a signal that a person asked for, after which the policy does not
    /// bring the container back. Between two restarts there is no process, and
    /// the container just stays down.
    fn deliver(&self, id: &str, word: Signal) -> Result<(), Refusal> {
        let mut fleet = self.fleet();
        let Entry { container, endings, backoff: _ } = fleet.find_mut(id)?;
        container.manually_stopped = true;
        let event = Event::new("kill", container, Timestamp::now()).with("signal", word.as_raw());
        match container.phase {
            Phase::Running { pid } => {
                self.settle(container, Some(event));
                if word == Signal::KILL {
                    kill_everything(pid);
                    return Ok(());
                }
                signal(pid, word).map_err(|error| Refusal::Broken(error.to_string()))
            }
            Phase::Restarting => {
                container.phase = Phase::Exited;
                *endings += 1;
                self.settle(container, None);
                Ok(())
            }
            Phase::Created | Phase::Exited => Ok(()),
        }
    }

    async fn until_ended(&self, id: &str, ending: u64) {
        let ended = |fleet: &Fleet| match fleet.find(id) {
            Ok(entry) => (entry.endings > ending).then_some(()),
            Err(_) => Some(()),
        };
        self.until(ended).await;
    }

    /// Brings the containers to what an engine that starts makes of them: what
    /// an earlier engine left running is ended, and the policies are followed.
    pub(crate) async fn boot(self: &Arc<Self>) {
        let left: Vec<(String, Phase)> = {
            let fleet = self.fleet();
            let up = fleet.0.values().filter(|entry| entry.container.phase.is_up());
            up.map(|entry| (entry.container.id.clone(), entry.container.phase)).collect()
        };
        for (id, phase) in left {
            let killed = match phase.pid() {
                Some(pid) => kill_leftover(pid, &id).await,
                None => false,
            };
            if let Ok(Entry { container, .. }) = self.fleet().find_mut(&id) {
                container.phase = Phase::Exited;
                if phase != Phase::Restarting {
                    container.exit_code = if killed { KILLED } else { UNSEEN_END };
                    container.finished_at = Some(Timestamp::now());
                }
                self.settle(container, None);
            }
        }
        let revived: Vec<String> = {
            let fleet = self.fleet();
            let entries = fleet.0.values().map(|entry| &entry.container);
            let revived = entries.filter(|container| container.policy.revives(container.ending()));
            revived.map(|container| container.id.clone()).collect()
        };
        for id in revived {
            // A failure is written into the container, where Docker has it.
            let _ = self.start(&id);
        }
    }

    /// Kills every container, as the end of the machine would. None counts as
    /// stopped by hand.
    pub(crate) async fn shut_down(&self) {
        self.closing.send_replace(true);
        for entry in self.fleet().0.values() {
            if let Some(pid) = entry.container.phase.pid() {
                kill_everything(pid);
            }
        }
        let none_runs = |fleet: &Fleet| {
            let mut entries = fleet.0.values();
            entries.all(|entry| entry.container.phase.pid().is_none()).then_some(())
        };
        let _ = timeout(LAST_WAIT, self.until(none_runs)).await;
    }
}

/// The container's ports with the engine's choices filled in, if no other
/// container and no other program has them.
fn free_ports(fleet: &Fleet, id: &str) -> Result<Vec<PublishedPort>, Refusal> {
    let container = &fleet.find(id)?.container;
    let others = || {
        let running = fleet.0.values().filter(|entry| entry.container.phase.pid().is_some());
        running.flat_map(|entry| &entry.container.ports)
    };
    let mut ports = container.ports.clone();
    for port in &mut ports {
        let name = container.name.clone();
        if others().any(|other| port.clashes_with(other)) {
            return Err(Refusal::PortAllocated { name, port: port.clone() });
        }
        match TcpListener::bind((port.host_address, port.host_port)) {
            Ok(listener) if port.host_port == 0 => {
                port.host_port = listener.local_addr().map_or(0, |address| address.port());
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                return Err(Refusal::AddressInUse { name, port: port.clone() });
            }
            // Any other failure is the program's to meet.
            Ok(_) | Err(_) => {}
        }
    }
    Ok(ports)
}
