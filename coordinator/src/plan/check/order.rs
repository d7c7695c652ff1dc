//! The order of the steps: the rules that keep two generations apart, one
//! migration alone, and every change before the point of no return reversible.

use std::fmt;

use quaymaster_proto::{Component, Mode, NodeName};
use serde::{Serialize, Serializer};

use crate::plan::{Gate, Inverse, Plan, PlannedImage, PlannedNode, Stage, Step, Verb, What, Width};

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
        what: Kind,
        /// How often.
        found: usize,
        /// How often it should be.
        wanted: usize,
    },
    /// A step comes too early.
    #[error("{later} does not come after {earlier}")]
    Before {
        /// What must come first.
        earlier: Kind,
        /// What must come later.
        later: Kind,
    },
    /// Something stands between two steps that belong together.
    #[error("{later} does not come right after {earlier}")]
    NotAdjacent {
        /// What must come first.
        earlier: Kind,
        /// What must follow.
        later: Kind,
    },
    /// The image is pulled although it is there, or not although it is not.
    #[error("image, pull and releases contradict each other")]
    Pull,
    /// What follows the last look at the running cluster is no stop.
    #[error("no stop comes right after the no-change gate")]
    StopsLater,
}

/// What a step is, and whose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kind(Component, What);

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(component, what) = self;
        formatter.write_str(name(*what))?;
        match component {
            Component::Quay => Ok(()),
            Component::Clair | Component::Builder | Component::Mirror => {
                write!(formatter, " of {component}")
            }
        }
    }
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

/// Of the Quays: whatever stands left must be over before what stands right
/// begins.
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

/// Of the Quays: nothing may stand between these.
const ADJACENT: &[(What, What)] = &[
    (APPROVAL, UNCHANGED),
    (DARK, PUT_CONFIG),
    (DARK, MIGRATE),
    (MIGRATE, FIRST_NODE),
    (START, HEALTHY),
];

const QUAY: Component = Component::Quay;
const BUILDER: Component = Component::Builder;
const CLAIR: Component = Component::Clair;
const MIRROR: Component = Component::Mirror;

/// What works on the registry stops before it, what it asks after it; and all
/// of it before anyone says that it is dark.
const STOPS: &[(Component, What)] = &[
    (QUAY, UNCHANGED),
    (BUILDER, STOP),
    (MIRROR, STOP),
    (QUAY, STOP),
    (CLAIR, STOP),
    (QUAY, DARK),
];

/// Nothing beside the Quays starts before all of them are healthy and named;
/// mirrors last.
const STARTS: &[(Component, What)] =
    &[(QUAY, PROMOTE), (BUILDER, START), (CLAIR, START), (MIRROR, START)];

/// And each is healthy before it gets its name.
const NAMED: &[(Component, What)] = &[
    (MIRROR, START),
    (BUILDER, HEALTHY),
    (BUILDER, PROMOTE),
    (CLAIR, HEALTHY),
    (CLAIR, PROMOTE),
    (MIRROR, HEALTHY),
    (MIRROR, PROMOTE),
];

pub(super) fn flaws(plan: &Plan) -> Vec<OrderFlaw> {
    let mut flaws = Vec::new();
    counts(plan, &mut flaws);
    for (earlier, later) in BEFORE {
        before(plan, (QUAY, *earlier), (QUAY, *later), &mut flaws);
    }
    for component in [BUILDER, CLAIR, MIRROR] {
        let own = [PULL, STAGE_CONTAINER, START, HEALTHY, PROMOTE].map(|what| (component, what));
        chain(plan, &own, &mut flaws);
        before(plan, (QUAY, PULL), (component, STAGE_CONTAINER), &mut flaws);
        before(plan, (QUAY, BACKFILL), (component, PULL), &mut flaws);
        before(plan, (QUAY, BACKFILL), (component, STAGE_CONTAINER), &mut flaws);
        before(plan, (component, STAGE_CONTAINER), (QUAY, APPROVAL), &mut flaws);
    }
    for order in [STOPS, STARTS, NAMED] {
        chain(plan, order, &mut flaws);
    }
    for (earlier, later) in ADJACENT {
        adjacent(plan, Kind(QUAY, *earlier), Kind(QUAY, *later), &mut flaws);
    }
    stops_at_once(plan, &mut flaws);
    for (index, step) in plan.steps.iter().enumerate() {
        single(plan, index, step, &mut flaws);
    }
    flaws
}

fn positions(plan: &Plan, (component, what): (Component, What)) -> impl Iterator<Item = usize> {
    let steps = plan.steps.iter().enumerate();
    steps
        .filter(move |(_, step)| step.component == component && step.what == what)
        .map(|(place, _)| place)
}

/// Each of these that is there comes before every later one.
fn chain(plan: &Plan, order: &[(Component, What)], flaws: &mut Vec<OrderFlaw>) {
    for (index, earlier) in order.iter().enumerate() {
        for later in &order[index + 1..] {
            before(plan, *earlier, *later, flaws);
        }
    }
}

fn before(
    plan: &Plan,
    earlier: (Component, What),
    later: (Component, What),
    flaws: &mut Vec<OrderFlaw>,
) {
    // The first of two dark gates is the one that follows the stop.
    if let (Some(last), Some(first)) =
        (positions(plan, earlier).last(), positions(plan, later).next())
        && last >= first
    {
        let (earlier, later) = (Kind(earlier.0, earlier.1), Kind(later.0, later.1));
        let flaw = OrderFlaw::Before { earlier, later };
        if !flaws.contains(&flaw) {
            flaws.push(flaw);
        }
    }
}

fn adjacent(plan: &Plan, earlier: Kind, later: Kind, flaws: &mut Vec<OrderFlaw>) {
    for place in positions(plan, (later.0, later.1)) {
        let before = place.checked_sub(1).and_then(|place| plan.steps.get(place));
        if before.is_none_or(|before| Kind(before.component, before.what) != earlier) {
            flaws.push(OrderFlaw::NotAdjacent { earlier, later });
        }
    }
}

/// Whoever agreed did so on what was looked at last: the first stop follows at
/// once.
fn stops_at_once(plan: &Plan, flaws: &mut Vec<OrderFlaw>) {
    for place in positions(plan, (QUAY, UNCHANGED)) {
        if plan.steps.get(place + 1).is_none_or(|next| next.what != STOP) {
            flaws.push(OrderFlaw::StopsLater);
        }
    }
}

fn counts(plan: &Plan, flaws: &mut Vec<OrderFlaw>) {
    let has_rest = usize::from(plan.nodes.len() > 1);
    let has_backfill = usize::from(plan.window.from.mode == Mode::Background);
    let has_pull = usize::from(is_pulled(&plan.image));
    let mut wanted = vec![
        (Kind(QUAY, BACKFILL), has_backfill),
        (Kind(QUAY, PULL), has_pull),
        (Kind(QUAY, STAGE_CONTAINER), 1),
        (Kind(QUAY, STAGE_CONFIG), 1),
        (Kind(QUAY, APPROVAL), 1),
        (Kind(QUAY, UNCHANGED), 1),
        (Kind(QUAY, STOP), 1),
        (Kind(QUAY, DARK), 2),
        (Kind(QUAY, PUT_CONFIG), 1),
        (Kind(QUAY, MIGRATE), 1),
        (Kind(QUAY, FIRST_NODE), 1),
        (Kind(QUAY, START), has_rest),
        (Kind(QUAY, HEALTHY), has_rest),
        (Kind(QUAY, PROMOTE), 1),
    ];
    for component in [BUILDER, CLAIR, MIRROR] {
        let starts = usize::from(!nodes_of(plan, component, START).is_empty());
        let stops = usize::from(!nodes_of(plan, component, STOP).is_empty());
        let own_image = component != MIRROR && plan.image_of(component).is_some_and(is_pulled);
        wanted.extend([
            (Kind(component, STOP), stops),
            (Kind(component, PULL), usize::from(own_image)),
            (Kind(component, STAGE_CONTAINER), starts),
            (Kind(component, START), starts),
            (Kind(component, HEALTHY), starts),
            (Kind(component, PROMOTE), starts),
        ]);
    }
    for (what, wanted) in &wanted {
        let found = positions(plan, (what.0, what.1)).count();
        if found != *wanted {
            flaws.push(OrderFlaw::Count { what: *what, found, wanted: *wanted });
        }
    }
    for step in &plan.steps {
        let kind = Kind(step.component, step.what);
        if !wanted.iter().any(|(known, _)| *known == kind) {
            flaws.push(OrderFlaw::Count { what: kind, found: 1, wanted: 0 });
        }
    }
}

fn is_pulled(image: &PlannedImage) -> bool {
    match image {
        PlannedImage::Pull { .. } => true,
        PlannedImage::Loaded { .. } | PlannedImage::Present { .. } => false,
    }
}

/// Whom a step concerns.
fn nodes_of(plan: &Plan, component: Component, what: What) -> Vec<&NodeName> {
    let is_meant = |node: &&PlannedNode| match width(component, what) {
        Width::All => true,
        Width::First => node.name == plan.first,
        Width::Rest => node.name != plan.first,
        Width::Writers => node.config.writer == node.name,
        Width::Having => node.companion(component).is_some_and(|companion| match what {
            STOP => companion.fate.stops(),
            What::Act(_) | What::Gate(_) => companion.fate.starts(),
        }),
    };
    plan.nodes.iter().filter(is_meant).map(|node| &node.name).collect()
}

fn single(plan: &Plan, index: usize, step: &Step, flaws: &mut Vec<OrderFlaw>) {
    let number = step.number.get();
    if usize::try_from(number) != Ok(index + 1) {
        flaws.push(OrderFlaw::Number { number, place: index + 1 });
    }
    let wanted = nodes_of(plan, step.component, step.what);
    let named: Vec<&NodeName> = step.nodes.iter().collect();
    if step.width != width(step.component, step.what) || named != wanted {
        flaws.push(OrderFlaw::Nodes { number });
    }
    let place = |what| positions(plan, (QUAY, what)).next().unwrap_or(usize::MAX);
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

fn width(component: Component, what: What) -> Width {
    match what {
        _ if component != QUAY => Width::Having,
        What::Act(Verb::StartMigrating) | What::Gate(Gate::FirstNode) => Width::First,
        What::Act(Verb::Start) | What::Gate(Gate::Healthy) => Width::Rest,
        What::Act(Verb::StageConfig | Verb::PutConfig) => Width::Writers,
        What::Act(Verb::Pull | Verb::StageContainer | Verb::Stop | Verb::Promote)
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
