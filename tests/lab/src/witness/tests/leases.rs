//! Acts without a lease, and acts of an agent's own.

use super::*;

fn line(node: &str, millis: i64, epoch: u64, what: Entry) -> LedgerLine {
    let (run, plan) = ("R".into(), "P".into());
    LedgerLine { node: node.into(), at: moment(millis), run, epoch, plan, what }
}

fn intended(node: &str, millis: i64, epoch: u64, step: u64, verb: &str) -> LedgerLine {
    line(node, millis, epoch, Entry::Intended { step, verb: verb.into() })
}

fn ended(node: &str, millis: i64, epoch: u64, step: u64, verb: &str) -> LedgerLine {
    line(node, millis, epoch, Entry::Ended { step, verb: verb.into(), is_met: true })
}

/// What the agents take down in a scene in order.
fn ledgers() -> Vec<LedgerLine> {
    let of = |node| {
        [
            line(node, 1500, 1, Entry::Claimed),
            intended(node, 1950, 1, 6, "ensure-stopped"),
            ended(node, 3100, 1, 6, "ensure-stopped"),
            intended(node, 3200, 1, 7, "set-floor"),
            ended(node, 3250, 1, 7, "set-floor"),
            line(node, 7000, 1, Entry::Released),
        ]
    };
    NODES.into_iter().flat_map(of).collect()
}

#[test]
fn acts_under_their_lease_are_in_order() {
    let verdict = Scene::in_order().judge_with(|facts| facts.ledgers = ledgers());
    assert_eq!(verdict.violations, []);
}

#[test]
fn an_act_in_an_epoch_that_was_taken_over() {
    let verdict = Scene::in_order().judge_with(|facts| {
        facts.ledgers = ledgers();
        facts.ledgers.push(line("quay-1", 7100, 2, Entry::Claimed));
        facts.ledgers.push(intended("quay-1", 7200, 1, 11, "promote"));
    });
    assert_broken(&verdict, 6, "did promote, step 11 of run R, in epoch 1");
}

#[test]
fn an_act_without_a_lease() {
    let verdict = Scene::in_order().judge_with(|facts| {
        facts.ledgers = ledgers();
        facts.ledgers.push(intended("quay-1", 7200, 1, 11, "promote"));
    });
    assert_broken(&verdict, 6, "while its lease was nobody's");
}

#[test]
fn an_agent_that_ends_or_renames_what_nobody_asked_it_to() {
    for (action, evidence) in [
        (EngineAction::Kill, "was told to stop while its agent was at no step"),
        (EngineAction::Rename, "was renamed"),
        (EngineAction::Destroy, "was removed"),
    ] {
        let mut scene = Scene::in_order();
        scene.engine(7500, "quay-2/b", action);
        let verdict = scene.judge_with(|facts| facts.ledgers = ledgers());
        assert_broken(&verdict, 6, evidence);
    }
}

#[test]
fn an_agent_stops_by_itself_what_is_below_the_floor_and_nothing_above() {
    let scene = || {
        let mut scene = Scene::in_order();
        scene.lab(7500, "quay-2", Act::StartByHand { container_id: "quay-2/a".into() });
        scene.started(7510, "quay-2/a", OLD);
        scene.stopped(7600, 7700, "quay-2/a");
        scene
    };
    let verdict = scene().judge_with(|facts| facts.ledgers = ledgers());
    assert_eq!(verdict.violations, []);
    let without_floor = |facts: &mut LabFacts| {
        facts.ledgers = ledgers();
        facts.ledgers.retain(|line| match &line.what {
            Entry::Ended { verb, .. } => verb != "set-floor",
            Entry::Intended { .. } | Entry::Claimed | Entry::Released => true,
        });
        facts.ledgers.push(ended("quay-2", 3250, 1, 7, "nothing"));
    };
    assert_broken(&scene().judge_with(without_floor), 6, "it was not below the floor");
}

#[test]
fn what_an_engine_that_is_ended_does_and_what_the_labs_end_does_is_not_the_agents_doing() {
    let mut scene = Scene::in_order();
    scene.lab(7500, "quay-2", Act::EngineEnding);
    scene.stopped(7510, 7600, "quay-2/b");
    scene.lab(7900, "quay-2", Act::EngineBack);
    scene.started(7910, "quay-2/b", BACKGROUND);
    scene.lab(9000, "quay-2", Act::TakenDown);
    scene.engine(9100, "quay-2/b", EngineAction::Kill);
    scene.engine(9100, "quay-2/b", EngineAction::Destroy);
    let verdict = scene.judge_with(|facts| facts.ledgers = ledgers());
    assert_eq!(verdict.violations, []);
}
