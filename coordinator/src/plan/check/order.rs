//! The order of the steps: the rules that keep two generations apart, one
//! migration alone, and every change before the point of no return reversible.

use quaymaster_proto::{Mode, NodeName};
use serde::Serialize;

use crate::plan::{Gate, Inverse, Plan, Stage, Step, Verb, What, Width};

/// One thing that is wrong with the steps.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum OrderFlaw {
    /// A step has another number than its place.
    #[error("step {number} stands at place {place}")]
    Number {
        /// Its number.
        number: u32,
        /// Its place; 1 is the first.
        place: usize,
    },
    /// A step is not done by the nodes that its width names.
    #[error("step {number} names other nodes than its width")]
    Nodes {
        /// Which.
        number: u32,
    },
    /// A step says wrongly whether the registry serves or what undoes it.
    #[error("step {number} says wrongly where it stands or what undoes it")]
    Standing {
        /// Which.
        number: u32,
    },
    /// A step is there too often or not at all.
    #[error("{what} is there {found} times instead of {wanted}")]
    Count {
        /// Which.
        what: &'static str,
        /// How often.
        found: usize,
        /// How often it should be.
        wanted: usize,
    },
    /// A step comes too early.
    #[error("{later} does not come after {earlier}")]
    Before {
        /// What must come first.
        earlier: &'static str,
        /// What must come later.
        later: &'static str,
    },
    /// Something stands between two steps that belong together.
    #[error("{later} does not come right after {earlier}")]
    NotAdjacent {
        /// What must come first.
        earlier: &'static str,
        /// What must follow.
        later: &'static str,
    },
    /// The image is pulled although it is there, or not although it is not.
    #[error("image, pull and releases contradict each other")]
    Pull,
}

const PULL: What = What::Act(Verb::Pull);
const STAGE_CONTAINER: What = What::Act(Verb::StageContainer);
const STAGE_CONFIG: What = What::Act(Verb::StageConfig);
const STOP: What = What::Act(Verb::Stop);
const PUT_CONFIG: What = What::Act(Verb::PutConfig);
const MIGRATE: What = What::Act(Verb::StartMigrating);
const START: What = What::Act(Verb::Start);
const PROMOTE: What = What::Act(Verb::Promote);
const BACKFILL: What = What::Gate(Gate::Backfill);
const APPROVAL: What = What::Gate(Gate::Approval);
const UNCHANGED: What = What::Gate(Gate::Unchanged);
const DARK: What = What::Gate(Gate::Dark);
const FIRST_NODE: What = What::Gate(Gate::FirstNode);
const HEALTHY: What = What::Gate(Gate::Healthy);

/// Whatever stands left must be over before what stands right begins.
const BEFORE: &[(What, What)] = &[
    (PULL, STAGE_CONTAINER),
    (STAGE_CONTAINER, STOP),
    (STAGE_CONFIG, STOP),
    (BACKFILL, STAGE_CONTAINER),
    (BACKFILL, STAGE_CONFIG),
    (APPROVAL, STOP),
    (STOP, DARK),
    (STOP, PUT_CONFIG),
    (PUT_CONFIG, MIGRATE),
    (FIRST_NODE, START),
    (FIRST_NODE, PROMOTE),
    (HEALTHY, PROMOTE),
];

/// Nothing may stand between these.
const ADJACENT: &[(What, What)] = &[
    (APPROVAL, UNCHANGED),
    (UNCHANGED, STOP),
    (DARK, PUT_CONFIG),
    (DARK, MIGRATE),
    (MIGRATE, FIRST_NODE),
    (START, HEALTHY),
];

pub(super) fn flaws(plan: &Plan) -> Vec<OrderFlaw> {
    let mut flaws = Vec::new();
    counts(plan, &mut flaws);
    let positions =
        |what: What| plan.steps.iter().enumerate().filter(move |(_, step)| step.what == what);
    for (earlier, later) in BEFORE {
        let last = positions(*earlier).map(|(place, _)| place).next_back();
        let first = positions(*later).map(|(place, _)| place).next();
        // The first of two dark gates is the one that follows the stop.
        if let (Some(last), Some(first)) = (last, first)
            && last >= first
        {
            flaws.push(OrderFlaw::Before { earlier: name(*earlier), later: name(*later) });
        }
    }
    for (earlier, later) in ADJACENT {
        for (place, _) in positions(*later) {
            let before = place.checked_sub(1).and_then(|place| plan.steps.get(place));
            if before.is_none_or(|before| before.what != *earlier) {
                let (earlier, later) = (name(*earlier), name(*later));
                flaws.push(OrderFlaw::NotAdjacent { earlier, later });
            }
        }
    }
    for (index, step) in plan.steps.iter().enumerate() {
        single(plan, index, step, &mut flaws);
    }
    flaws
}

fn counts(plan: &Plan, flaws: &mut Vec<OrderFlaw>) {
    let has_rest = usize::from(plan.nodes.len() > 1);
    let has_backfill = usize::from(plan.window.from.mode == Mode::Background);
    let has_pull = usize::from(plan.window.from.release != plan.window.to.release);
    let wanted = [
        (BACKFILL, has_backfill),
        (PULL, has_pull),
        (STAGE_CONTAINER, 1),
        (STAGE_CONFIG, 1),
        (APPROVAL, 1),
        (UNCHANGED, 1),
        (STOP, 1),
        (DARK, 2),
        (PUT_CONFIG, 1),
        (MIGRATE, 1),
        (FIRST_NODE, 1),
        (START, has_rest),
        (HEALTHY, has_rest),
        (PROMOTE, 1),
    ];
    for (what, wanted) in wanted {
        let found = plan.steps.iter().filter(|step| step.what == what).count();
        if found != wanted {
            flaws.push(OrderFlaw::Count { what: name(what), found, wanted });
        }
    }
}

fn single(plan: &Plan, index: usize, step: &Step, flaws: &mut Vec<OrderFlaw>) {
    let number = step.number.get();
    if usize::try_from(number) != Ok(index + 1) {
        flaws.push(OrderFlaw::Number { number, place: index + 1 });
    }
    let is_first = |name: &NodeName| *name == plan.first;
    let names = plan.nodes.iter().map(|node| &node.name);
    let wanted: Vec<&NodeName> = match width(step.what) {
        Width::All => names.collect(),
        Width::First => names.filter(|name| is_first(name)).collect(),
        Width::Rest => names.filter(|name| !is_first(name)).collect(),
    };
    let named: Vec<&NodeName> = step.nodes.iter().collect();
    if step.width != width(step.what) || named != wanted {
        flaws.push(OrderFlaw::Nodes { number });
    }
    let place = |what| plan.steps.iter().position(|step| step.what == what).unwrap_or(usize::MAX);
    let stage = if index >= place(MIGRATE) {
        Stage::Beyond
    } else if index >= place(STOP) {
        Stage::Dark
    } else {
        Stage::Serving
    };
    if step.stage != stage || step.inverse != inverse(step.what) {
        flaws.push(OrderFlaw::Standing { number });
    }
}

fn width(what: What) -> Width {
    match what {
        What::Act(Verb::StartMigrating) | What::Gate(Gate::FirstNode) => Width::First,
        What::Act(Verb::Start) | What::Gate(Gate::Healthy) => Width::Rest,
        What::Act(
            Verb::Pull
            | Verb::StageContainer
            | Verb::StageConfig
            | Verb::Stop
            | Verb::PutConfig
            | Verb::Promote,
        )
        | What::Gate(Gate::Backfill | Gate::Approval | Gate::Unchanged | Gate::Dark) => Width::All,
    }
}

fn inverse(what: What) -> Inverse {
    match what {
        What::Gate(_) => Inverse::Nothing,
        What::Act(Verb::Pull) => Inverse::Harmless,
        What::Act(Verb::StageContainer) => Inverse::RemoveStaged,
        What::Act(Verb::StageConfig) => Inverse::RemoveFile,
        What::Act(Verb::Stop) => Inverse::Recreate,
        What::Act(Verb::PutConfig) => Inverse::RestoreConfig,
        What::Act(Verb::StartMigrating | Verb::Start | Verb::Promote) => Inverse::None,
    }
}

fn name(what: What) -> &'static str {
    match what {
        What::Act(Verb::Pull) => "the pull",
        What::Act(Verb::StageContainer) => "the staging of containers",
        What::Act(Verb::StageConfig) => "the staging of config.yaml",
        What::Act(Verb::Stop) => "the stop",
        What::Act(Verb::PutConfig) => "the change of config.yaml",
        What::Act(Verb::StartMigrating) => "the migrating start",
        What::Act(Verb::Start) => "the start of the others",
        What::Act(Verb::Promote) => "the promotion",
        What::Gate(Gate::Backfill) => "the backfill gate",
        What::Gate(Gate::Approval) => "the approval",
        What::Gate(Gate::Unchanged) => "the look for changes",
        What::Gate(Gate::Dark) => "the dark gate",
        What::Gate(Gate::FirstNode) => "the first node's gate",
        What::Gate(Gate::Healthy) => "the others' gate",
    }
}
