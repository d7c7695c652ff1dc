//! A fresh container for one node whose Quay is gone, dead or spoiled: a Quay
//! that has run does not become healthy again (quay-observed), so nothing else
//! helps. Pure: what is known of the cluster in, what to order out, or all that
//! stands against it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use quaymaster_proto::act::{ExpectedDatabase, Ground};
use quaymaster_proto::container_name::is_given;
use quaymaster_proto::health::{HealthReport, HealthVerdict};
use quaymaster_proto::node::{ComponentFacts, ConfigFacts, ContainerFacts};
use quaymaster_proto::{Component, ContainerId, Generation, Mode, NodeName, RestartPolicy, RunId};
use serde::Serialize;

use crate::catalogue::Release;
use crate::cluster::{Cluster, StopGrace};
use crate::plan::ReleaseInMode;
use crate::report::between;
use crate::survey::{NodeSurvey, Reader, Survey};

mod against;
mod document;

pub use against::Against;
pub use document::{document, is_document};

/// What is known before a node is healed.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The cluster file.
    pub cluster: &'a Cluster,
    /// What releases there are.
    pub reader: Reader<'a>,
    /// What the agents said.
    pub survey: &'a Survey,
    /// The health of the node's Quays, by container.
    pub health: &'a BTreeMap<ContainerId, HealthReport>,
    /// Runs that have ended: what is left of their leases is nobody's.
    pub over: &'a BTreeSet<RunId>,
    /// Runs that are healings.
    pub healings: &'a BTreeSet<RunId>,
    /// Whether a person ordered that an earlier healing of this node is taken
    /// over.
    pub takes_over: bool,
    /// The time.
    pub now: Timestamp,
}

/// What is ordered.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Healing {
    /// Of which node.
    pub node: NodeName,
    /// What the registry runs.
    pub release: ReleaseInMode,
    /// The same for the node's agent.
    pub generation: Generation,
    /// Whose image and spec the fresh container gets.
    pub container: ContainerId,
    /// What becomes of it.
    pub was: String,
    /// Its owner's, for the fresh container.
    pub restart_policy: RestartPolicy,
    /// Until the engine kills what still runs of it.
    pub grace_seconds: u32,
    /// What the agent itself must have read before it starts anything.
    pub ground: Ground,
    /// How long a start takes at worst.
    #[serde(skip)]
    pub start_at_worst: Duration,
}

/// Decides; every reason against it at once.
pub fn judge(known: &Known<'_>, name: &NodeName) -> Result<Healing, Vec<Against>> {
    let Some(node) = known.survey.facts.nodes.get(name) else {
        return Err(vec![Against::Silent { node: name.clone() }]);
    };
    let Some(quay) = node.quay() else {
        return Err(vec![Against::NoQuay { node: name.clone() }]);
    };
    let mut against: Vec<Against> = leased(known, name).collect();
    let case = Case { known, name, node, quay };
    against.extend(case.config());
    let release = match case.release() {
        Ok(release) => release,
        Err(why) => {
            against.push(why);
            return Err(against);
        }
    };
    let container = case.container(&release);
    against.extend(case.mode(&release, container.as_ref().ok().copied()));
    against.extend(case.database(&release));
    match container {
        Ok(container) => {
            against.extend(case.living(&release, container));
            if against.is_empty() {
                return case.healing(release, container).ok_or(against);
            }
        }
        Err(why) => against.push(why),
    }
    Err(against)
}

/// A window, or another healing, is under way.
fn leased<'a>(known: &'a Known<'a>, healed: &'a NodeName) -> impl Iterator<Item = Against> + 'a {
    known.survey.facts.nodes.iter().filter_map(move |(name, node)| {
        let lease = node.facts.lease.clone().filter(|lease| !known.over.contains(&lease.run))?;
        let (node, is_healing) = (name.clone(), known.healings.contains(&lease.run));
        match (is_healing, is_healing && known.takes_over && name == healed) {
            (_, true) => None,
            (true, false) => Some(Against::BeingHealed { node, lease: Box::new(lease) }),
            (false, false) => Some(Against::Leased { node, lease: Box::new(lease) }),
        }
    })
}

struct Case<'a> {
    known: &'a Known<'a>,
    name: &'a NodeName,
    node: &'a NodeSurvey,
    quay: &'a ComponentFacts,
}

impl<'a> Case<'a> {
    fn others(&self) -> impl Iterator<Item = (&'a NodeName, &'a NodeSurvey)> {
        let (all, name) = (&self.known.survey.facts.nodes, self.name);
        all.iter().filter(move |(other, _)| *other != name)
    }

    fn release_of(&self, container: &ContainerFacts) -> Option<&'a Release> {
        self.known.reader.release(&self.known.survey.facts, container)
    }

    fn config(&self) -> Option<Against> {
        let node = self.name.clone();
        match &self.node.facts.config {
            ConfigFacts::Readable(config) if config.setup_complete => None,
            ConfigFacts::Readable(_) => Some(Against::NotSetUp { node }),
            ConfigFacts::Unusable { path, problem } => {
                Some(Against::Config { node, path: path.clone(), problem: problem.clone() })
            }
        }
    }

    /// What the registry runs: as the other nodes do, as the floor has it, or
    /// as nothing but the catalogue can tell.
    fn release(&self) -> Result<ReleaseInMode, Against> {
        let facts = &self.known.survey.facts;
        let running = self.others().filter_map(|(name, node)| {
            Some((self.known.reader.generation(facts, node).ok()?, name.clone()))
        });
        let running: Vec<(ReleaseInMode, NodeName)> = running.collect();
        let floor = self.node.facts.floor.as_ref().and_then(|floor| {
            let mut all = self.quay.containers();
            let known = all.find(|found| found.state.image == floor.generation.image)?;
            let release = self.release_of(known)?.name.clone();
            Some(ReleaseInMode { release, mode: floor.generation.mode })
        });
        let Some((first, _)) = running.first() else {
            return floor.or_else(|| self.alone()).ok_or(Against::Untold);
        };
        if let Some((other, on)) = running.iter().find(|(other, _)| other != first) {
            let found = vec![first.clone(), other.clone()];
            return Err(Against::Mixed { found, node: on.clone() });
        }
        match floor {
            Some(floor) if floor != *first => {
                Err(Against::Floor { node: self.name.clone(), floor, running: first.clone() })
            }
            Some(_) | None => Ok(first.clone()),
        }
    }

    /// Where nothing runs and no window ever set a floor: every node must have
    /// said what it ran last, and all of them the same.
    fn alone(&self) -> Option<ReleaseInMode> {
        let ConfigFacts::Readable(config) = &self.node.facts.config else { return None };
        if !self.known.survey.silent.is_empty() {
            return None;
        }
        let last = |node: &'a NodeSurvey| {
            let ran = node.quay()?.containers().filter(|found| found.state.ever_started());
            self.release_of(ran.max_by_key(|found| found.state.started_at)?)
        };
        let nodes = self.known.survey.facts.nodes.values();
        let releases: BTreeSet<Option<&str>> =
            nodes.map(|node| last(node).map(|release| release.name.as_str())).collect();
        let release = last(self.node).filter(|_| releases.len() == 1)?;
        // Before 3.0 there is no mode, whatever the file says.
        let mode = release.mode(Mode::Absent).map_or(config.mode, |known| known.mode);
        release.mode(mode)?;
        Some(ReleaseInMode { release: release.name.clone(), mode })
    }

    fn mode(&self, wanted: &ReleaseInMode, like: Option<&ContainerFacts>) -> Option<Against> {
        let ConfigFacts::Readable(config) = &self.node.facts.config else { return None };
        let next = like.and_then(|found| found.override_mode).unwrap_or(config.mode);
        (next != wanted.mode).then(|| Against::Mode {
            node: self.name.clone(),
            file: next,
            wanted: wanted.clone(),
        })
    }

    fn database(&self, wanted: &ReleaseInMode) -> Option<Against> {
        let node = self.name.clone();
        let Some(look) = self.node.database() else {
            return Some(Against::Unreadable { node });
        };
        if look.in_recovery {
            return Some(Against::InRecovery { node, database: look.shown_as.clone() });
        }
        let looks = self.others().filter_map(|(name, other)| Some((name, other.database()?)));
        if let Some((other, theirs)) =
            looks.into_iter().find(|(_, theirs)| theirs.identity != look.identity)
        {
            let databases = (look.shown_as.clone(), theirs.shown_as.clone());
            return Some(Against::OtherDatabase { node, other: other.clone(), databases });
        }
        let expected = self.known.reader.catalogue.accepted(wanted);
        (!expected.contains(&look.revision)).then(|| Against::Revision {
            revision: look.revision.clone(),
            wanted: wanted.clone(),
            expected: expected.to_vec(),
        })
    }

    /// Whose spec the fresh one gets: the well-known one's, or else that of the
    /// newest of this generation.
    fn container(&self, wanted: &ReleaseInMode) -> Result<&'a ContainerFacts, Against> {
        let is_of_it = |found: &&ContainerFacts| {
            self.release_of(found).is_some_and(|release| release.name == wanted.release)
                && found.override_mode.is_none_or(|mode| mode == wanted.mode)
        };
        let (node, name) = (self.name.clone(), self.quay.container_name.clone());
        match &self.quay.container {
            Some(found) if is_of_it(&found) => Ok(found),
            Some(found) => {
                let (container, lives) = (found.state.id.clone(), found.state.status.is_alive());
                Err(if lives {
                    Against::OtherLives { node, name, container }
                } else {
                    Against::NameTaken { node, name, container }
                })
            }
            None => {
                let others = self.quay.others.iter().filter(is_of_it);
                let newest = others.max_by_key(|found| found.state.started_at);
                newest.ok_or_else(|| Against::NoSpec { node, wanted: wanted.clone() })
            }
        }
    }

    /// What lives and may not be touched.
    fn living(&self, wanted: &ReleaseInMode, container: &ContainerFacts) -> Vec<Against> {
        let node = || self.name.clone();
        let mut against = Vec::new();
        for other in self.quay.containers().filter(|other| other.state.status.is_alive()) {
            let (id, name) = (other.state.id.clone(), other.state.name.clone());
            if other.state.id != container.state.id {
                against.push(Against::OtherLives { node: node(), name, container: id });
                continue;
            }
            let report = self.known.health.get(&id);
            match report.map(|report| report.verdict) {
                Some(HealthVerdict::Healthy) => {
                    against.push(Against::Healthy { node: node(), name, container: id });
                }
                // Nobody may take down what might serve.
                None => against.push(Against::HealthUnknown { node: node(), name }),
                Some(HealthVerdict::Unhealthy | HealthVerdict::Down) => {
                    against.extend(self.still_starting(wanted, other));
                }
            }
        }
        against
    }

    /// A first start takes its time; one after an end leads nowhere.
    fn still_starting(&self, of: &ReleaseInMode, found: &ContainerFacts) -> Option<Against> {
        let state = &found.state;
        let release = self.known.reader.catalogue.release(&of.release)?;
        let is_first = state.finished_at.is_none() && state.restart_count == 0;
        let lived = between(state.started_at?, self.known.now);
        (is_first && lived < release.start.at_worst).then(|| Against::StillStarting {
            node: self.name.clone(),
            name: state.name.clone(),
            lived,
            at_worst: release.start.at_worst,
        })
    }

    fn healing(&self, release: ReleaseInMode, container: &ContainerFacts) -> Option<Healing> {
        let ConfigFacts::Readable(config) = &self.node.facts.config else { return None };
        let look = self.node.database()?;
        let known = self.known.reader.catalogue.release(&release.release)?;
        let grace = match self.known.cluster.timings.stop_grace(Component::Quay) {
            StopGrace::Fixed(grace) => grace,
            StopGrace::Catalogue => {
                known.stopping(Component::Quay).map(|stop| stop.grace).unwrap_or_default()
            }
        };
        let database = ExpectedDatabase {
            identity: look.identity.clone(),
            // As it is now: a start that finds it there does not migrate.
            revisions: vec![look.revision.clone()],
        };
        Some(Healing {
            node: self.name.clone(),
            generation: Generation { image: container.state.image.clone(), mode: release.mode },
            release,
            container: container.state.id.clone(),
            was: format!("{} is {}", container.state.name, container.state.status),
            restart_policy: self.restart_policy(container),
            grace_seconds: u32::try_from(grace.as_secs()).unwrap_or(u32::MAX),
            ground: Ground { database, config: config.sha256.clone() },
            start_at_worst: known.start.at_worst,
        })
    }

    /// The owner's: what an agent made and never promoted has none to hand on.
    fn restart_policy(&self, container: &ContainerFacts) -> RestartPolicy {
        let has_owners = |found: &&ContainerFacts| {
            found.owner_restart_policy.is_some()
                || !is_given(&self.quay.container_name, &found.state.name)
        };
        let mut all: Vec<&ContainerFacts> = self.quay.containers().collect();
        all.sort_by_key(|found| std::cmp::Reverse(found.state.started_at));
        let of = std::iter::once(container).chain(all).find(has_owners);
        of.unwrap_or(container).wanted_restart_policy()
    }
}

#[cfg(test)]
mod tests;
