//! A made-up run for tests: every step of a plan, as an undisturbed cluster
//! would do it.

use jiff::{SignedDuration, Timestamp};
use quaymaster_proto::{
    ActOutcome, ContainerState, ContainerStatus, Epoch, How, Mode, NodeName, RestartPolicy,
};

use crate::plan::{CheckedPlan, Gate, Plan, Step, Verb, What};
use crate::run::{Event, Evidence, RunState, Settlement, WaitingOn};
use crate::survey::fixture::hex;
use crate::verify::account::{LeftOut, PlaceAccount};
use crate::verify::{Account, WhyNot};

/// The run of every fixture.
pub(crate) const RUN: &str = "01JD8Z6Q4W5T7N9K2M3P4R5S6T";

/// When it starts.
pub(crate) fn start() -> Timestamp {
    "2026-11-22T02:14:00Z".parse().unwrap()
}

/// Everything that happens in a run up to and without that step; all of it for
/// `None`.
pub(crate) fn events(plan: &CheckedPlan, until: Option<What>) -> Vec<Event> {
    let mut writer = Writer { plan, at: start(), events: Vec::new() };
    writer.push(|at| Event::Started {
        run: RUN.parse().unwrap(),
        plan: plan.digest().clone(),
        cluster: plan.plan().cluster.clone(),
        waivers: plan.plan().waivers.clone(),
        at,
    });
    writer.push(|at| Event::Driven { epoch: Epoch::FIRST, by: "alice@admin-1".into(), at });
    for step in &plan.plan().steps {
        if until == Some(step.what) {
            return writer.events;
        }
        match step.what {
            What::Act(verb) => writer.act(step, verb),
            What::Gate(gate) => writer.gate(step, gate),
        }
    }
    writer.push(|at| Event::Finished { at });
    writer.events
}

/// The state after these events.
pub(crate) fn state(events: &[Event]) -> RunState {
    RunState::replay(events).unwrap()
}

struct Writer<'a> {
    plan: &'a CheckedPlan,
    at: Timestamp,
    events: Vec<Event>,
}

impl Writer<'_> {
    fn push(&mut self, event: impl FnOnce(Timestamp) -> Event) {
        self.events.push(event(self.at));
    }

    fn wait(&mut self, millis: i64) {
        self.at += SignedDuration::from_millis(millis);
    }

    fn act(&mut self, step: &Step, verb: Verb) {
        let number = step.number;
        for node in &step.nodes {
            self.push(|at| Event::Intended { step: number, node: node.clone(), at });
        }
        let took = match verb {
            Verb::Pull => 72_000,
            Verb::Stop => 10_300,
            Verb::BackUp => 139_000,
            Verb::StageContainer | Verb::StageConfig | Verb::PutConfig | Verb::SetFloor => 20,
            Verb::RemoveStaged
            | Verb::RemoveStagedConfig
            | Verb::RestoreConfig
            | Verb::LowerFloor
            | Verb::CheckBackup
            | Verb::TakeDown
            | Verb::Restore
            | Verb::Recreate => unreachable!("the way there"),
            Verb::StartMigrating | Verb::Start => 400,
            Verb::Promote => 30,
        };
        self.wait(took);
        for (node, index) in step.nodes.iter().zip(0..) {
            self.wait(10 * index);
            let settlement = self.settlement(verb, node);
            let node = node.clone();
            self.push(|at| Event::Settled { step: number, node, settlement, at });
        }
    }

    fn settlement(&self, verb: Verb, node: &NodeName) -> Settlement {
        let image = format!("sha256:{}", hex('b', 0)).parse().unwrap();
        if verb == Verb::Pull {
            return Settlement::Pulled { image };
        }
        if verb == Verb::BackUp {
            return Settlement::BackedUp { backup: crate::nodes::fake::backup() };
        }
        let place = self.plan.plan().nodes.iter().position(|planned| planned.name == *node);
        let number = u8::try_from(place.unwrap() + 1).unwrap();
        let config = match verb {
            Verb::StageConfig | Verb::PutConfig => Some(hex('f', number).parse().unwrap()),
            Verb::Pull
            | Verb::BackUp
            | Verb::StageContainer
            | Verb::Stop
            | Verb::StartMigrating
            | Verb::Start
            | Verb::Promote
            | Verb::SetFloor
            | Verb::RemoveStaged
            | Verb::RemoveStagedConfig
            | Verb::RestoreConfig
            | Verb::LowerFloor
            | Verb::CheckBackup
            | Verb::TakeDown
            | Verb::Restore
            | Verb::Recreate => None,
        };
        let container = config.is_none().then(|| ContainerState {
            id: hex('e', number).parse().unwrap(),
            name: "quay".into(),
            status: ContainerStatus::Running,
            started_at: Some(self.at),
            finished_at: None,
            exit_code: 0,
            restart_count: 0,
            restart_policy: RestartPolicy::No,
            image,
        });
        let engine_time = Some(self.at);
        Settlement::Met(ActOutcome { how: How::Changed, container, config, engine_time })
    }

    fn gate(&mut self, step: &Step, gate: Gate) {
        let plan = self.plan.plan();
        let number = step.number;
        let (took, healthy) = match gate {
            Gate::Approval => (30_000, 0),
            Gate::Dark | Gate::Unchanged | Gate::Backfill => (100, 0),
            Gate::FirstNode => (246_000, 241_000),
            Gate::Healthy => (25_000, 20_000),
            Gate::Verified => (4_000, 0),
        };
        let healthy_at = self.at + SignedDuration::from_millis(healthy);
        let evidence = match gate {
            Gate::Backfill => Evidence::Backfill {
                progress: 0.994,
                tags_remaining: 180_600,
                total_tags: 30_100_000,
            },
            Gate::Approval => Evidence::Person { by: "alice@admin-1".into(), because: None },
            Gate::Unchanged => Evidence::Unchanged,
            Gate::Dark => Evidence::Dark { sessions: Some(Vec::new()), ran: Vec::new() },
            Gate::FirstNode => Evidence::FirstNode {
                revision: plan.database.target.clone(),
                mode: Some(plan.window.to.mode).filter(|mode| *mode != Mode::Absent),
                healthy_at,
            },
            Gate::Healthy => Evidence::Healthy {
                healthy_at: step.nodes.iter().map(|node| (node.clone(), healthy_at)).collect(),
            },
            Gate::Verified => Evidence::Verified { account: account(step), waived: None },
        };
        if let Some(on) = waits_on(plan, step, gate) {
            self.push(|at| Event::Waiting { step: number, on, at });
        }
        self.wait(took);
        self.push(|at| Event::Passed { step: number, evidence, since: at, at });
    }
}

/// What is waited for at the gates that do not open at the first look.
fn waits_on(plan: &Plan, step: &Step, gate: Gate) -> Option<WaitingOn> {
    match gate {
        Gate::Approval => Some(WaitingOn::Approval),
        Gate::Dark => Some(WaitingOn::Containers { nodes: step.nodes.clone() }),
        Gate::FirstNode => Some(WaitingOn::Migration {
            revision: plan.database.revision.clone(),
            target: plan.database.target.clone(),
        }),
        Gate::Healthy => Some(WaitingOn::Health {
            nodes: step.nodes.iter().map(|node| (node.clone(), "502".to_owned())).collect(),
        }),
        Gate::Verified => Some(WaitingOn::Verification { places: Vec::new() }),
        Gate::Backfill | Gate::Unchanged => None,
    }
}

/// What a client finds where cluster.yaml names no samples.
fn account(step: &Step) -> Account {
    use crate::verify::Check::{Api, CleanUp, Health, List, Mode, OldImages, Repository};
    use crate::verify::Check::{Schema2, TagLists, Token};
    let left = |check| LeftOut { check, why: WhyNot::NothingToSample };
    let place = |name: String| PlaceAccount {
        name,
        passed: vec![Api, Health, Mode, Token, Repository, Schema2, List, CleanUp],
        left: vec![left(OldImages), left(TagLists)],
        failed: Vec::new(),
        retried: 0,
    };
    Account { places: step.nodes.iter().map(|node| place(node.to_string())).collect() }
}
