//! What befalls hosts, engines and the database, whoever is to blame.
#![expect(clippy::disallowed_methods, reason = "it waits in tokio's time and edits files")]

use std::time::Duration;

use quaymaster_proto::backup::BACKUP_APPLICATION;
use quaymaster_proto::{ContainerId, RestartPolicy};

use crate::database::Client;
use crate::world::{Cause, Stored, World};

/// How long a host takes to be up again.
const BOOT: Duration = Duration::from_secs(3);

impl World {
    /// What the engine does for a container that ended by itself.
    pub fn revive(&self, node: usize, id: &ContainerId) {
        let world = self.clone();
        let id = id.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let wants = {
                let mut state = world.state();
                let Some(stored) = state.stored(node, &id) else { return };
                let wants = stored.state.restart_policy == RestartPolicy::Always
                    && !stored.is_stopped
                    && stored.process.is_none();
                if wants {
                    stored.state.restart_count += 1;
                }
                wants
            };
            // A loop of restarts is one restart here.
            let is_loop = world
                .state()
                .stored(node, &id)
                .is_some_and(|stored| stored.state.restart_count > 2);
            if wants && !is_loop {
                let _ = world.start(node, &id, Cause::Policy);
            }
        });
    }

    /// The engine is restarted: every container ends, and those whose policy
    /// says so come back.
    pub async fn restart_engine(&self, node: usize) {
        self.note(format!("quay-{}: its engine is restarted", node + 1));
        self.go_down(node);
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.come_up(node);
    }

    /// The host is started again.
    pub async fn reboot(&self, node: usize) {
        self.note(format!("quay-{}: its host is started again", node + 1));
        {
            let mut state = self.state();
            let host = &mut state.hosts[node];
            host.boots += 1;
            host.deaths.send_modify(|deaths| *deaths += 1);
        }
        self.go_down(node);
        tokio::time::sleep(BOOT).await;
        self.come_up(node);
    }

    fn go_down(&self, node: usize) {
        let running: Vec<ContainerId> = {
            let mut state = self.state();
            state.hosts[node].is_up = false;
            state.hosts[node].starts.send_modify(|_| {});
            let all = state.hosts[node].containers.iter();
            all.filter(|(_, stored)| stored.process.is_some()).map(|(id, _)| id.clone()).collect()
        };
        for id in running {
            self.end(node, &id, 137, Cause::Foreign);
        }
    }

    fn come_up(&self, node: usize) {
        let returning: Vec<ContainerId> = {
            let mut state = self.state();
            state.hosts[node].is_up = true;
            let all = state.hosts[node].containers.iter();
            let returns = |stored: &Stored| match stored.state.restart_policy {
                // Whether or not somebody had stopped it.
                RestartPolicy::Always => stored.runs > 0,
                RestartPolicy::UnlessStopped => stored.runs > 0 && !stored.is_stopped,
                RestartPolicy::No | RestartPolicy::OnFailure { .. } => false,
            };
            all.filter(|(_, stored)| returns(stored)).map(|(id, _)| id.clone()).collect()
        };
        for id in returning {
            let _ = self.start(node, &id, Cause::Policy);
        }
    }

    /// Whether somebody dumps the database right now.
    pub fn is_backed_up(&self) -> bool {
        let state = self.state();
        state.database.clients.values().any(|client| client.application == BACKUP_APPLICATION)
    }

    /// Whether the run has gone dark: no Quay lives, and an agent has stopped one.
    pub fn is_dark(&self) -> bool {
        let state = self.state();
        state.quays().next().is_none() && state.witness.has_stopped()
    }

    /// Somebody does on a node what is left of the documented procedure: the
    /// new config everywhere, the well-known name, and the start.
    pub fn go_on_by_hand(&self, node: usize) {
        self.note("somebody goes on by hand");
        let staged = {
            let mut state = self.state();
            let Some(text) = state.witness.texts.last().cloned() else { return };
            for host in &state.hosts {
                let beside = host.config.with_extension("by-hand");
                let written = std::fs::write(&beside, &text);
                written.and_then(|()| std::fs::rename(&beside, &host.config)).expect("config.yaml");
            }
            let mut all = state.hosts[node].containers.values_mut();
            let Some(staged) = all.find(|stored| stored.state.name.ends_with("-next")) else {
                return;
            };
            "quay".clone_into(&mut staged.state.name);
            staged.state.id.clone()
        };
        let _ = self.start(node, &staged, Cause::Foreign);
    }

    /// Somebody is on the database for a while.
    pub fn visit(&self, length: Duration) {
        self.note("somebody's psql is on the database");
        let since = self.millis();
        let address = "10.0.0.99".to_owned();
        let client = Client { application: "psql".to_owned(), address, of: None, since };
        let pid = self.state().database.connect(client);
        let world = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(length).await;
            world.state().database.clients.remove(&pid);
        });
    }

    /// The database's standby takes over; `true` = something was lost.
    pub fn fail_over(&self) {
        let loses = self.state().database.fail_over();
        let millis = self.millis();
        self.state().witness.excuse_failover(millis, loses);
        self.note(format!("the database fails over; loses a revision: {loses}"));
        let world = self.clone();
        // As quick as an operator's switchover, or as slow as a cluster manager.
        let millis = if self.state().chance.once_in(2) { 20 } else { 2000 };
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            world.state().database.is_down = false;
        });
        self.state().database.is_down = true;
    }
}
