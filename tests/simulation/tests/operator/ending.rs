//! What is judged at the end of a window, or of its way back.

use std::path::Path;

use quaymaster::nodes::{Looks as _, SurveyKey};
use quaymaster::plan::{Gate, Verb, What};
use quaymaster::run::{Evidence, GateState, order};
use quaymaster_proto::Lease;
use quaymaster_simulation::life::Life;
use quaymaster_simulation::world::IMAGES;

use super::{Operator, Outcome};
use crate::cluster::Kind;
use crate::fleet::number;

/// What somebody else may have changed about a window's end.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Excuses {
    /// A container may have been started a second time, and never becomes well.
    pub(crate) is_spoiled: bool,
    /// A lease may not have been given back; the journal knows that the run is
    /// over, and whoever comes next takes it.
    pub(crate) may_keep_lease: bool,
    /// The database lost a revision, and nobody looked at it once more.
    pub(crate) has_lost_revision: bool,
}

/// What a node that does not serve has.
const NOT_WELL: &str = "no well Quay as it should be";

impl Operator {
    /// Whether a node does not serve, and the run, which has stopped something,
    /// did not say so at its end. What is down behind another run's back is to
    /// be told, not mended.
    pub(crate) fn hides(&self, wrong: &str) -> bool {
        let (plan, state) = (self.plan.plan(), self.journal.state());
        let of = |what: What| state.way(plan).iter().find(move |step| step.what == what);
        let has_stopped =
            plan.first_step(What::Act(Verb::Stop)).is_some_and(|stop| state.has_begun(stop.number));
        let gate = of(What::Gate(Gate::Verified)).and_then(|step| state.gates.get(&step.number));
        let told = match gate {
            Some(GateState::Passed { evidence: Evidence::Verified { account, .. }, .. }) => {
                let failed = account.places.iter().filter(|place| !place.failed.is_empty());
                failed.map(|place| place.name.clone()).collect()
            }
            Some(_) | None => Vec::new(),
        };
        let is_told = |name: &String| wrong == format!("{name}: {NOT_WELL}");
        has_stopped && wrong.ends_with(NOT_WELL) && !told.iter().any(is_told)
    }

    /// What is not as it should be at the end of a window, or of its way back.
    pub(crate) async fn unfinished(&self, outcome: &Outcome, excuses: Excuses) -> Vec<String> {
        let mut wrong = self.unfinished_agents(outcome, excuses).await;
        let mut state = self.cluster.world.state();
        let is_back = *outcome == Outcome::Back;
        let (image, mode) = match (is_back, self.cluster.kind) {
            (false, kind) => (IMAGES[1], Some(kind.mode())),
            (true, Kind::Second) => (IMAGES[1], Some("background")),
            (true, Kind::Synchronous | Kind::First) => (IMAGES[0], None),
        };
        let wanted = if is_back { state.witness.texts.first() } else { state.witness.texts.last() };
        let text = wanted.cloned().unwrap_or_default();
        for host in &mut state.hosts {
            let quay = host.containers.values().find(|stored| stored.state.name == "quay");
            let is_there = quay.is_some_and(|stored| {
                (stored.is_well() || excuses.is_spoiled)
                    && stored.state.image.as_str() == image
                    && stored.state.restart_policy == quaymaster_proto::RestartPolicy::Always
                    && stored.process.as_ref().is_some_and(|it| it.mode.as_deref() == mode)
            });
            if !is_there {
                wrong.push(format!("{}: {NOT_WELL}", host.name));
            }
            // Of an attempt that failed and was begun anew a person may want to see more.
            let left = host.containers.values().filter(|stored| {
                let is_spent = stored.runs > 0 && stored.process.is_none();
                stored.state.name.contains("-next") && !is_spent
            });
            let left =
                left.map(|stored| format!("{}: {} is left over", host.name, stored.state.name));
            wrong.extend(left);
            if std::fs::read_to_string(&host.config).ok().as_ref() != Some(&text) {
                wrong.push(format!("{}: config.yaml is not as it should be", host.name));
            }
            for beside in beside(&host.config) {
                wrong.push(format!("{}: {beside} is left over", host.name));
            }
        }
        let database = &state.database;
        let revision = if is_back {
            self.plan.plan().database.revision.as_str()
        } else {
            state.witness.target
        };
        if database.revision != revision && !excuses.has_lost_revision {
            wrong.push(format!("the database is at {}, not {revision}", database.revision));
        }
        if !state.witness.is_damage_lost() {
            let ruined = database.damage.iter();
            wrong.extend(ruined.map(|words| format!("the database is ruined: {words}")));
        }
        wrong
    }

    /// The same of what agents keep: floors and leases.
    async fn unfinished_agents(&self, outcome: &Outcome, excuses: Excuses) -> Vec<String> {
        let fleet = self.fleet("alice@host", Life::default(), 0);
        let (plan, run) = (self.plan.plan(), self.journal.state());
        let mut wrong = Vec::new();
        for node in &plan.nodes {
            let facts = match fleet.describe(&node.name, &SurveyKey::new([3; 32])).await {
                Ok(facts) => facts,
                Err(error) => {
                    wrong.push(format!("{}: its agent says nothing: {error}", node.name));
                    continue;
                }
            };
            let floor = match outcome {
                Outcome::Done => order::floor(plan, &run, &node.name),
                Outcome::Back | Outcome::Holds(_) | Outcome::Died => node.floor.clone(),
            };
            // Behind the migrating start no gate misses it any more.
            let has_lost = {
                let state = self.cluster.world.state();
                let forgotten = state.hosts[number(&node.name)].forgotten;
                let crossed = state.witness.crossed_at();
                forgotten.zip(crossed).is_some_and(|(lost, crossed)| lost > crossed)
            };
            if facts.floor != floor && !(has_lost && facts.floor.is_none()) {
                wrong.push(format!("{}: its floor is {:?}, not {floor:?}", node.name, facts.floor));
            }
            let is_left = |lease: &Lease| excuses.may_keep_lease && lease.run == self.run;
            if let Some(lease) = facts.lease.filter(|lease| !is_left(lease)) {
                wrong.push(format!("{}: its lease was not given back: {lease:?}", node.name));
            }
        }
        wrong
    }
}

/// What lies beside a config.yaml and is not kept on purpose.
fn beside(config: &Path) -> Vec<String> {
    let directory = config.parent().unwrap_or(config);
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name != "config.yaml" && !name.contains(".quaymaster-kept-")).collect()
}
