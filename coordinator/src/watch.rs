//! What became of each node since a watch began: the difference between one
//! look and the next. Pure: who looks, and how often, is not decided here.

use std::collections::BTreeMap;

use jiff::Timestamp;
use quaymaster_proto::health::HealthVerdict;
use quaymaster_proto::node::ConfigFacts;
use quaymaster_proto::{Component, ContainerId, FileDigest, NodeName};
use serde::Serialize;

use crate::plan::ReleaseInMode;
use crate::survey::NodeSurvey;

/// What is compared of a node.
#[derive(Clone, PartialEq, Debug)]
pub struct Sight {
    /// By component; those that are there.
    pub containers: BTreeMap<Component, Standing>,
    /// What it runs, where that is clear.
    pub generation: Option<ReleaseInMode>,
    /// Its Quay's health, where it could be asked.
    pub verdict: Option<HealthVerdict>,
    /// Its config.yaml, where it can be read.
    pub config: Option<FileDigest>,
}

/// One container, as far as it is compared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Standing {
    id: ContainerId,
    started_at: Option<Timestamp>,
    is_alive: bool,
}

impl Sight {
    /// What a survey and a look at health say of a node.
    pub fn of(
        node: &NodeSurvey,
        generation: Option<ReleaseInMode>,
        verdict: Option<HealthVerdict>,
    ) -> Self {
        let named = node.facts.components.iter().filter_map(|facts| {
            let state = &facts.container.as_ref()?.state;
            let (id, is_alive) = (state.id.clone(), state.status.is_alive());
            Some((facts.component, Standing { id, started_at: state.started_at, is_alive }))
        });
        let config = match &node.facts.config {
            ConfigFacts::Readable(config) => Some(config.sha256.clone()),
            ConfigFacts::Unusable { .. } => None,
        };
        Self { containers: named.collect(), generation, verdict, config }
    }
}

/// One thing that became different.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "kebab-case", tag = "change")]
pub enum Change {
    /// Its agent does not answer any more.
    Silent,
    /// Its agent answers (again).
    Answers,
    /// A container was started again.
    Restarted {
        /// Whose.
        component: Component,
    },
    /// Another container has the well-known name.
    Replaced {
        /// Whose.
        component: Component,
    },
    /// A container ended.
    Stopped {
        /// Whose.
        component: Component,
    },
    /// A container that was not there, or had ended, runs.
    Started {
        /// Whose.
        component: Component,
    },
    /// No container has the well-known name any more.
    Gone {
        /// Whose.
        component: Component,
    },
    /// Another release or mode runs.
    Generation {
        /// Which.
        to: ReleaseInMode,
    },
    /// Its Quay is healthy now.
    Healthy,
    /// Its Quay runs, and is not healthy any more.
    Sick,
    /// Other bytes are in config.yaml.
    Config,
}

/// Something that happened to a node.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Happened {
    /// On this machine's clock.
    pub at: Timestamp,
    /// To whom.
    pub node: NodeName,
    /// What.
    #[serde(flatten)]
    pub change: Change,
}

/// What was seen since a watch began.
#[derive(Clone, PartialEq, Debug)]
pub struct Watch {
    /// When it began.
    pub since: Timestamp,
    /// Everything that became different, latest last.
    pub happened: Vec<Happened>,
    last: BTreeMap<NodeName, Last>,
}

#[derive(Clone, PartialEq, Debug, Default)]
struct Last {
    sight: Option<Sight>,
    silent_since: Option<Timestamp>,
}

impl Watch {
    /// The longest list that is kept.
    const KEPT: usize = 1000;

    /// Nothing was seen yet.
    pub fn new(since: Timestamp) -> Self {
        Self { since, happened: Vec::new(), last: BTreeMap::new() }
    }

    /// Whether a node was ever asked.
    pub fn knows(&self, node: &NodeName) -> bool {
        self.last.contains_key(node)
    }

    /// Since when a node does not answer; the first failed look counts.
    pub fn silent_since(&self, node: &NodeName) -> Option<Timestamp> {
        self.last.get(node)?.silent_since
    }

    /// What happened to a node last.
    pub fn latest(&self, node: &NodeName) -> Option<&Happened> {
        self.happened.iter().rev().find(|happened| happened.node == *node)
    }

    /// Takes in a look; `None` = the agent did not answer.
    pub fn see(&mut self, node: &NodeName, sight: Option<Sight>, at: Timestamp) {
        let is_first = !self.knows(node);
        let last = self.last.entry(node.clone()).or_default();
        let mut changes = Vec::new();
        match sight {
            None => {
                if last.silent_since.is_none() && !is_first {
                    changes.push(Change::Silent);
                }
                last.silent_since = last.silent_since.or(Some(at));
            }
            Some(sight) => {
                if last.silent_since.take().is_some() {
                    changes.push(Change::Answers);
                }
                if let Some(before) = &last.sight {
                    changes.extend(differences(before, &sight));
                }
                last.sight = Some(sight);
            }
        }
        let node = node.clone();
        self.happened.extend(changes.into_iter().map(|change| Happened {
            at,
            node: node.clone(),
            change,
        }));
        let excess = self.happened.len().saturating_sub(Self::KEPT);
        self.happened.drain(..excess);
    }
}

/// What is worth telling, least first: the last one is the note of its node.
fn differences(before: &Sight, after: &Sight) -> Vec<Change> {
    let Sight { containers, generation, verdict, config } = after;
    let mut changes = Vec::new();
    if before.config.is_some() && config.is_some() && before.config != *config {
        changes.push(Change::Config);
    }
    for component in Component::ALL.into_iter().rev() {
        let (old, new) = (before.containers.get(&component), containers.get(&component));
        changes.extend(moved(component, old, new));
    }
    match (&before.generation, generation) {
        (Some(from), Some(to)) if from != to => {
            changes.push(Change::Generation { to: to.clone() });
        }
        (_, _) => {}
    }
    match (before.verdict, verdict) {
        (Some(HealthVerdict::Healthy), Some(HealthVerdict::Unhealthy)) => {
            changes.push(Change::Sick);
        }
        (Some(HealthVerdict::Unhealthy | HealthVerdict::Down), Some(HealthVerdict::Healthy)) => {
            changes.push(Change::Healthy);
        }
        (_, _) => {}
    }
    changes
}

fn moved(component: Component, old: Option<&Standing>, new: Option<&Standing>) -> Option<Change> {
    match (old, new) {
        (None, None) => None,
        (Some(_), None) => Some(Change::Gone { component }),
        (None, Some(new)) => new.is_alive.then_some(Change::Started { component }),
        (Some(old), Some(new)) if old.id != new.id => Some(Change::Replaced { component }),
        (Some(old), Some(new)) => match (old.is_alive, new.is_alive) {
            (true, false) => Some(Change::Stopped { component }),
            (false, true) => Some(Change::Started { component }),
            (true, true) if old.started_at != new.started_at => {
                Some(Change::Restarted { component })
            }
            (true, true) | (false, false) => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use quaymaster_proto::ContainerStatus;

    use super::*;
    use crate::survey::fixture;

    fn node() -> NodeName {
        "quay-1".parse().unwrap()
    }

    fn survey() -> NodeSurvey {
        let cluster = fixture::cluster(1);
        let mut facts = fixture::on_2_9_5(&cluster);
        fixture::add_companion(&mut facts, "quay-1", Component::Clair);
        facts.nodes.remove(&node()).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        fixture::survey_time() + jiff::SignedDuration::from_secs(second)
    }

    /// What is told of a node that was seen healthy and then like this.
    fn told(change: impl FnOnce(&mut NodeSurvey), verdict: HealthVerdict) -> Vec<Change> {
        let (before, mut after) = (survey(), survey());
        change(&mut after);
        let mut watch = Watch::new(at(0));
        watch.see(&node(), Some(Sight::of(&before, None, Some(HealthVerdict::Healthy))), at(0));
        watch.see(&node(), Some(Sight::of(&after, None, Some(verdict))), at(2));
        watch.happened.into_iter().map(|happened| happened.change).collect()
    }

    fn state(node: &mut NodeSurvey, place: usize) -> &mut quaymaster_proto::ContainerState {
        &mut node.facts.components[place].container.as_mut().unwrap().state
    }

    #[test]
    fn a_container_that_restarts_stops_or_is_another_one_is_told() {
        let quay = Component::Quay;
        assert_eq!(told(|_| {}, HealthVerdict::Healthy), []);
        let restarted =
            told(|node| state(node, 0).started_at = Some(at(1)), HealthVerdict::Unhealthy);
        assert_eq!(restarted, [Change::Restarted { component: quay }, Change::Sick]);
        let stopped =
            told(|node| state(node, 0).status = ContainerStatus::Exited, HealthVerdict::Down);
        assert_eq!(stopped, [Change::Stopped { component: quay }]);
        let other = told(
            |node| state(node, 0).id = fixture::hex('7', 1).parse().unwrap(),
            HealthVerdict::Healthy,
        );
        assert_eq!(other, [Change::Replaced { component: quay }]);
        let gone = told(|node| node.facts.components[1].container = None, HealthVerdict::Healthy);
        assert_eq!(gone, [Change::Gone { component: Component::Clair }]);
    }

    #[test]
    fn silence_is_counted_from_its_first_look_and_its_end_is_told() {
        let sight = || Some(Sight::of(&survey(), None, None));
        let mut watch = Watch::new(at(0));
        watch.see(&node(), sight(), at(0));
        watch.see(&node(), None, at(2));
        watch.see(&node(), None, at(4));
        assert_eq!(watch.silent_since(&node()), Some(at(2)));
        watch.see(&node(), sight(), at(6));
        assert_eq!(watch.silent_since(&node()), None);
        let told: Vec<_> =
            watch.happened.iter().map(|happened| (happened.at, &happened.change)).collect();
        assert_eq!(told, [(at(2), &Change::Silent), (at(6), &Change::Answers)]);

        // Who never answered is silent, and nothing changed.
        let mut watch = Watch::new(at(0));
        watch.see(&node(), None, at(0));
        assert_eq!((watch.silent_since(&node()), watch.happened.len()), (Some(at(0)), 0));
    }
}
