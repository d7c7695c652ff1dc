//! What became of the containers beside a node's Quay.

use quaymaster_proto::{Component, NodeName};

use crate::plan::{Fate, Gate, Plan, PlannedNode, Verb, What};
use crate::run::{ActState, GateState, RunState};

/// `clair, mirror stopped`
pub(super) fn beside(plan: &Plan, state: &RunState, node: &PlannedNode) -> String {
    let mut by_word: Vec<(&str, Vec<&str>)> = Vec::new();
    for companion in &node.companions {
        let component = companion.container.component;
        let word = companion_word(plan, state, &node.name, (component, companion.fate));
        match by_word.iter_mut().find(|(known, _)| *known == word) {
            Some((_, components)) => components.push(component.as_str()),
            None => by_word.push((word, vec![component.as_str()])),
        }
    }
    let words = by_word.iter().map(|(word, of)| format!("{} {word}", of.join(", ")));
    words.collect::<Vec<_>>().join("; ")
}

fn companion_word(
    plan: &Plan,
    state: &RunState,
    node: &NodeName,
    (component, fate): (Component, Fate),
) -> &'static str {
    let act = |verb| {
        let step = plan.step_of(component, What::Act(verb));
        step.map(|step| state.act_state(step.number, node))
    };
    let is_healthy = plan
        .step_of(component, What::Gate(Gate::Healthy))
        .and_then(|step| state.gates.get(&step.number))
        .is_some_and(|gate| matches!(gate, GateState::Passed { .. }));
    match (act(Verb::Start), act(Verb::Stop), fate) {
        (Some(ActState::Done { .. }), _, _) if is_healthy => "back",
        (Some(ActState::Done { .. } | ActState::InFlight { .. }), _, _) => "starts",
        (_, Some(ActState::Done { .. }), _) | (_, _, Fate::Returns) => "stopped",
        (_, Some(ActState::InFlight { .. }), _) => "stops",
        (_, _, Fate::Replaced | Fate::Rests) => "runs",
    }
}
