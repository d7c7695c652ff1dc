//! The order of the steps: the rules that keep two generations apart, one
//! migration alone, and every change before the point of no return reversible.

mod counts;
mod flaw;

use quaymaster_proto::{Component, NodeName};

use crate::plan::{
    Fate, Gate, Inverse, Plan, PlannedImage, PlannedNode, Stage, Step, Verb, What, Width,
};

pub use flaw::{Kind, OrderFlaw};

const PULL: What = What::Act(Verb::Pull);
const STAGE_CONTAINER: What = What::Act(Verb::StageContainer);
const STAGE_CONFIG: What = What::Act(Verb::StageConfig);
const STOP: What = What::Act(Verb::Stop);
const SET_FLOOR: What = What::Act(Verb::SetFloor);
const BACK_UP: What = What::Act(Verb::BackUp);
const PUT_CONFIG: What = What::Act(Verb::PutConfig);
const MIGRATE: What = What::Act(Verb::StartMigrating);
const START: What = What::Act(Verb::Start);
const PROMOTE: What = What::Act(Verb::Promote);
const REMOVE_STAGED: What = What::Act(Verb::RemoveStaged);
const REMOVE_FILE: What = What::Act(Verb::RemoveStagedConfig);
const RESTORE: What = What::Act(Verb::RestoreConfig);
const LOWER_FLOOR: What = What::Act(Verb::LowerFloor);
const CHECK_BACKUP: What = What::Act(Verb::CheckBackup);
const TAKE_DOWN: What = What::Act(Verb::TakeDown);
const RESTORE_DATABASE: What = What::Act(Verb::Restore);
const RECREATE: What = What::Act(Verb::Recreate);
const BACKFILL: What = What::Gate(Gate::Backfill);
const APPROVAL: What = What::Gate(Gate::Approval);
const UNCHANGED: What = What::Gate(Gate::Unchanged);
const DARK: What = What::Gate(Gate::Dark);
const FIRST_NODE: What = What::Gate(Gate::FirstNode);
const HEALTHY: What = What::Gate(Gate::Healthy);
const VERIFIED: What = What::Gate(Gate::Verified);

/// Of the Quays: whatever stands left must be over before what stands right
/// begins.
const BEFORE: &[(What, What)] = &[
    (PULL, STAGE_CONTAINER),
    (STAGE_CONTAINER, STOP),
    (STAGE_CONFIG, STOP),
    (BACKFILL, STAGE_CONTAINER),
    (BACKFILL, STAGE_CONFIG),
    (APPROVAL, STOP),
    (STOP, SET_FLOOR),
    (SET_FLOOR, DARK),
    (STOP, BACK_UP),
    (BACK_UP, PUT_CONFIG),
    (STOP, PUT_CONFIG),
    (PUT_CONFIG, MIGRATE),
    (FIRST_NODE, START),
    (FIRST_NODE, PROMOTE),
    (HEALTHY, PROMOTE),
];

/// Of the Quays: nothing may stand between these.
const ADJACENT: &[(What, What)] = &[
    (APPROVAL, UNCHANGED),
    (DARK, BACK_UP),
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
    (QUAY, SET_FLOOR),
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

/// On the way back: of each component, nothing returns before it is created,
/// and nothing is named before it is healthy.
const RETURN: [What; 4] = [RECREATE, START, HEALTHY, PROMOTE];

/// And no Quay is created before it is proven that nothing new ever started,
/// and before file and floor are as they were.
const GROUND: &[(Component, What)] =
    &[(QUAY, RESTORE), (QUAY, LOWER_FLOOR), (QUAY, RECREATE), (QUAY, PROMOTE)];

/// Of a rollback: what serves goes on until the backup is known to be sound, and
/// what works on the registry ends before it, what it asks after it.
const DOWN: &[(Component, What)] = &[
    (QUAY, CHECK_BACKUP),
    (BUILDER, TAKE_DOWN),
    (MIRROR, TAKE_DOWN),
    (QUAY, TAKE_DOWN),
    (CLAIR, TAKE_DOWN),
    (QUAY, RESTORE_DATABASE),
];

/// Of a rollback: nothing may stand between these.
const RESTORED: &[(What, What)] = &[(DARK, RESTORE_DATABASE), (DARK, RESTORE)];

pub(super) fn flaws(plan: &Plan) -> Vec<OrderFlaw> {
    let mut flaws = Vec::new();
    let (there, back) = (plan.steps.as_slice(), plan.back.as_slice());
    let rollback = plan.rollback.as_slice();
    counts::all(plan, &mut flaws);
    for (earlier, later) in BEFORE {
        before(there, (QUAY, *earlier), (QUAY, *later), &mut flaws);
    }
    for component in [BUILDER, CLAIR, MIRROR] {
        let own = [PULL, STAGE_CONTAINER, START, HEALTHY, PROMOTE].map(|what| (component, what));
        chain(there, &own, &mut flaws);
        before(there, (QUAY, PULL), (component, STAGE_CONTAINER), &mut flaws);
        before(there, (QUAY, BACKFILL), (component, PULL), &mut flaws);
        before(there, (QUAY, BACKFILL), (component, STAGE_CONTAINER), &mut flaws);
        before(there, (component, STAGE_CONTAINER), (QUAY, APPROVAL), &mut flaws);
        before(back, (QUAY, PROMOTE), (component, START), &mut flaws);
        before(rollback, (QUAY, PROMOTE), (component, START), &mut flaws);
    }
    for order in [STOPS, STARTS, NAMED] {
        chain(there, order, &mut flaws);
    }
    for component in Component::ALL {
        let own = RETURN.map(|what| (component, what));
        chain(back, &own, &mut flaws);
        chain(rollback, &own, &mut flaws);
    }
    chain(back, GROUND, &mut flaws);
    chain(rollback, GROUND, &mut flaws);
    chain(rollback, DOWN, &mut flaws);
    before(rollback, (CLAIR, TAKE_DOWN), (QUAY, DARK), &mut flaws);
    before(rollback, (QUAY, TAKE_DOWN), (QUAY, DARK), &mut flaws);
    before(rollback, (QUAY, DARK), (QUAY, RESTORE), &mut flaws);
    for (earlier, later) in RESTORED {
        adjacent(rollback, Kind(QUAY, *earlier), Kind(QUAY, *later), &mut flaws);
    }
    if back.first().is_none_or(|step| (step.what, step.width) != (REMOVE_STAGED, Width::First)) {
        flaws.push(OrderFlaw::NoProof);
    }
    for (earlier, later) in ADJACENT {
        adjacent(there, Kind(QUAY, *earlier), Kind(QUAY, *later), &mut flaws);
    }
    stops_at_once(there, &mut flaws);
    for way in [there, back, rollback] {
        if way.is_empty() {
            continue;
        }
        if way.last().is_none_or(|step| (step.component, step.what) != (QUAY, VERIFIED)) {
            flaws.push(OrderFlaw::NotLast);
        }
    }
    for (index, step) in there.iter().chain(back).chain(rollback).enumerate() {
        single(plan, index, step, &mut flaws);
    }
    flaws
}

fn positions(steps: &[Step], (component, what): (Component, What)) -> impl Iterator<Item = usize> {
    let steps = steps.iter().enumerate();
    steps
        .filter(move |(_, step)| step.component == component && step.what == what)
        .map(|(place, _)| place)
}

/// Each of these that is there comes before every later one.
fn chain(steps: &[Step], order: &[(Component, What)], flaws: &mut Vec<OrderFlaw>) {
    for (index, earlier) in order.iter().enumerate() {
        for later in &order[index + 1..] {
            before(steps, *earlier, *later, flaws);
        }
    }
}

fn before(
    steps: &[Step],
    earlier: (Component, What),
    later: (Component, What),
    flaws: &mut Vec<OrderFlaw>,
) {
    // The first of the dark gates is the one that follows the stop.
    if let (Some(last), Some(first)) =
        (positions(steps, earlier).last(), positions(steps, later).next())
        && last >= first
    {
        let (earlier, later) = (Kind(earlier.0, earlier.1), Kind(later.0, later.1));
        let flaw = OrderFlaw::Before { earlier, later };
        if !flaws.contains(&flaw) {
            flaws.push(flaw);
        }
    }
}

fn adjacent(steps: &[Step], earlier: Kind, later: Kind, flaws: &mut Vec<OrderFlaw>) {
    for place in positions(steps, (later.0, later.1)) {
        let before = place.checked_sub(1).and_then(|place| steps.get(place));
        if before.is_none_or(|before| Kind(before.component, before.what) != earlier) {
            flaws.push(OrderFlaw::NotAdjacent { earlier, later });
        }
    }
}

/// Whoever agreed did so on what was looked at last: the first stop follows at
/// once.
fn stops_at_once(steps: &[Step], flaws: &mut Vec<OrderFlaw>) {
    for place in positions(steps, (QUAY, UNCHANGED)) {
        if steps.get(place + 1).is_none_or(|next| next.what != STOP) {
            flaws.push(OrderFlaw::StopsLater);
        }
    }
}

fn is_pulled(image: &PlannedImage) -> bool {
    match image {
        PlannedImage::Pull { .. } => true,
        PlannedImage::Loaded { .. } | PlannedImage::Present { .. } => false,
    }
}

/// Whom a step of this width concerns.
fn nodes_of(plan: &Plan, component: Component, width: Width) -> Vec<&NodeName> {
    let companion = |node: &PlannedNode, is: fn(Fate) -> bool| {
        node.companion(component).is_some_and(|companion| is(companion.fate))
    };
    let is_meant = |node: &&PlannedNode| match width {
        Width::All => true,
        Width::First => node.name == plan.first,
        Width::Rest => node.name != plan.first,
        Width::Writers => node.config.writer == node.name,
        Width::One => Some(&node.name) == plan.backup.node(),
        Width::Having => companion(node, Fate::starts),
        Width::Stopped => companion(node, Fate::stops),
    };
    plan.nodes.iter().filter(is_meant).map(|node| &node.name).collect()
}

fn single(plan: &Plan, index: usize, step: &Step, flaws: &mut Vec<OrderFlaw>) {
    let number = step.number.get();
    if usize::try_from(number) != Ok(index + 1) {
        flaws.push(OrderFlaw::Number { number, place: index + 1 });
    }
    let place = |what| positions(&plan.steps, (QUAY, what)).next().unwrap_or(usize::MAX);
    let stage = if index >= plan.steps.len() + plan.back.len() {
        Stage::Rollback
    } else if index >= plan.steps.len() {
        Stage::Back
    } else if index >= place(MIGRATE) {
        Stage::Beyond
    } else if index >= place(STOP) {
        Stage::Dark
    } else {
        Stage::Serving
    };
    let is_first_back = index == plan.steps.len();
    let width = match stage {
        Stage::Serving | Stage::Dark | Stage::Beyond => width(step.component, step.what),
        Stage::Back | Stage::Rollback => width_back(step.component, step.what, is_first_back),
    };
    let named: Vec<&NodeName> = step.nodes.iter().collect();
    if step.width != width || named != nodes_of(plan, step.component, width) {
        flaws.push(OrderFlaw::Nodes { number });
    }
    let inverse = match stage {
        Stage::Serving | Stage::Dark | Stage::Beyond => inverse(step.what),
        Stage::Back | Stage::Rollback => Inverse::Nothing,
    };
    if step.stage != stage || step.inverse != inverse {
        flaws.push(OrderFlaw::Standing { number });
    }
}

fn width(component: Component, what: What) -> Width {
    match what {
        STOP if component != QUAY => Width::Stopped,
        _ if component != QUAY => Width::Having,
        What::Act(Verb::StartMigrating) | What::Gate(Gate::FirstNode) => Width::First,
        What::Act(Verb::Start) | What::Gate(Gate::Healthy) => Width::Rest,
        BACK_UP => Width::One,
        What::Act(Verb::StageConfig | Verb::PutConfig) => Width::Writers,
        What::Act(_) | What::Gate(_) => Width::All,
    }
}

fn width_back(component: Component, what: What, is_first: bool) -> Width {
    match what {
        REMOVE_STAGED if is_first => Width::First,
        REMOVE_STAGED if component == QUAY => Width::Rest,
        REMOVE_STAGED => Width::Having,
        TAKE_DOWN if component != QUAY => Width::Having,
        CHECK_BACKUP | RESTORE_DATABASE => Width::One,
        RESTORE | REMOVE_FILE => Width::Writers,
        What::Act(_) | What::Gate(_) if component == QUAY => Width::All,
        What::Act(_) | What::Gate(_) => Width::Stopped,
    }
}

fn inverse(what: What) -> Inverse {
    match what {
        What::Gate(_) => Inverse::Nothing,
        What::Act(Verb::Pull | Verb::BackUp) => Inverse::Harmless,
        What::Act(Verb::StageContainer) => Inverse::RemoveStaged,
        What::Act(Verb::StageConfig) => Inverse::RemoveFile,
        What::Act(Verb::Stop) => Inverse::Recreate,
        What::Act(Verb::SetFloor) => Inverse::LowerFloor,
        What::Act(Verb::PutConfig) => Inverse::RestoreConfig,
        What::Act(Verb::StartMigrating | Verb::Start | Verb::Promote) => Inverse::None,
        What::Act(
            Verb::RemoveStaged
            | Verb::RemoveStagedConfig
            | Verb::RestoreConfig
            | Verb::LowerFloor
            | Verb::Recreate
            | Verb::CheckBackup
            | Verb::TakeDown
            | Verb::Restore,
        ) => Inverse::Nothing,
    }
}
