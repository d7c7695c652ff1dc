//! Every step that a plan needs is there, as often as it needs it, and no other.

use quaymaster_proto::{Component, Mode};

use super::*;

/// How often each kind of step is there on the way there.
fn wanted(plan: &Plan) -> Vec<(Kind, usize)> {
    let has_rest = usize::from(plan.nodes.len() > 1);
    let has_backfill = usize::from(plan.window.from.mode == Mode::Background);
    let has_pull = usize::from(is_pulled(&plan.image));
    let has_backup = usize::from(plan.backup.node().is_some());
    let mut wanted = vec![
        (Kind(QUAY, BACKFILL), has_backfill),
        (Kind(QUAY, PULL), has_pull),
        (Kind(QUAY, STAGE_CONTAINER), 1),
        (Kind(QUAY, STAGE_CONFIG), 1),
        (Kind(QUAY, APPROVAL), 1),
        (Kind(QUAY, UNCHANGED), 1),
        (Kind(QUAY, STOP), 1),
        (Kind(QUAY, SET_FLOOR), 1),
        (Kind(QUAY, DARK), 2 + has_backup),
        (Kind(QUAY, BACK_UP), has_backup),
        (Kind(QUAY, PUT_CONFIG), 1),
        (Kind(QUAY, MIGRATE), 1),
        (Kind(QUAY, FIRST_NODE), 1),
        (Kind(QUAY, START), has_rest),
        (Kind(QUAY, HEALTHY), has_rest),
        (Kind(QUAY, PROMOTE), 1),
        (Kind(QUAY, VERIFIED), 1),
    ];
    for component in [BUILDER, CLAIR, MIRROR] {
        let (starts, stops) = moves(plan, component);
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
    wanted
}

/// And on the way back: of every step that can be taken back, what does it.
fn wanted_back(plan: &Plan) -> Vec<(Kind, usize)> {
    let has_rest = usize::from(plan.nodes.len() > 1);
    let mut wanted = vec![(Kind(QUAY, REMOVE_STAGED), 1 + has_rest)];
    wanted.extend(as_before(plan, REMOVE_STAGED));
    wanted
}

/// And of a rollback, where there is a backup.
fn wanted_rollback(plan: &Plan) -> Vec<(Kind, usize)> {
    if plan.backup.node().is_none() {
        return Vec::new();
    }
    let mut wanted = vec![
        (Kind(QUAY, CHECK_BACKUP), 1),
        (Kind(QUAY, TAKE_DOWN), 1),
        (Kind(QUAY, DARK), 2),
        (Kind(QUAY, RESTORE_DATABASE), 1),
    ];
    wanted.extend(as_before(plan, TAKE_DOWN));
    wanted
}

/// What leads to what the window found, whichever way; `end` = what becomes of
/// the companions that it brought.
fn as_before(plan: &Plan, end: What) -> Vec<(Kind, usize)> {
    let own = [RESTORE, LOWER_FLOOR, REMOVE_FILE, VERIFIED];
    let mut wanted: Vec<(Kind, usize)> =
        own.into_iter().chain(RETURN).map(|what| (Kind(QUAY, what), 1)).collect();
    for component in [BUILDER, CLAIR, MIRROR] {
        let (starts, stops) = moves(plan, component);
        wanted.push((Kind(component, end), starts));
        wanted.extend(RETURN.map(|what| (Kind(component, what), stops)));
    }
    wanted
}

/// Whether containers of a component are started and stopped at all.
fn moves(plan: &Plan, component: Component) -> (usize, usize) {
    let any = |width| usize::from(!nodes_of(plan, component, width).is_empty());
    (any(Width::Having), any(Width::Stopped))
}

/// How often each step of each way is there.
pub(super) fn all(plan: &Plan, flaws: &mut Vec<OrderFlaw>) {
    counts(&plan.steps, &wanted(plan), flaws);
    counts(&plan.back, &wanted_back(plan), flaws);
    counts(&plan.rollback, &wanted_rollback(plan), flaws);
}

fn counts(steps: &[Step], wanted: &[(Kind, usize)], flaws: &mut Vec<OrderFlaw>) {
    for (what, wanted) in wanted {
        let found = positions(steps, (what.0, what.1)).count();
        if found != *wanted {
            flaws.push(OrderFlaw::Count { what: *what, found, wanted: *wanted });
        }
    }
    for step in steps {
        let kind = Kind(step.component, step.what);
        if !wanted.iter().any(|(known, _)| *known == kind) {
            flaws.push(OrderFlaw::Count { what: kind, found: 1, wanted: 0 });
        }
    }
}
