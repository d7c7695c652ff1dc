//! What engines stopped and started, of every component, in the order in which it was asked. Pure.

use std::collections::BTreeSet;

use jiff::Timestamp;
use quaymaster_proto::Component;
use serde::Serialize;

use crate::record::{EngineAction, EngineEvent};

/// Containers of one component, stopped or started without anything else between them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Move {
    pub turn: Turn,
    pub component: Component,
    pub nodes: BTreeSet<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Turn {
    Stop,
    Start,
}

pub(super) fn moves(events: &[(Timestamp, EngineEvent)]) -> Vec<Move> {
    let mut moves: Vec<Move> = Vec::new();
    // Only the first signal of a stop is the moment at which it was asked for.
    let mut asked: BTreeSet<&str> = BTreeSet::new();
    for (_, event) in events {
        let turn = match event.action {
            EngineAction::Kill if asked.insert(&event.container_id) => Turn::Stop,
            EngineAction::Start => {
                asked.remove(event.container_id.as_str());
                Turn::Start
            }
            EngineAction::Kill
            | EngineAction::Create
            | EngineAction::Die
            | EngineAction::Stop
            | EngineAction::Rename
            | EngineAction::Destroy => continue,
        };
        match moves.last_mut() {
            Some(last) if last.turn == turn && last.component == event.component => {
                last.nodes.insert(event.node.clone());
            }
            _ => moves.push(Move {
                turn,
                component: event.component,
                nodes: [event.node.clone()].into(),
            }),
        }
    }
    moves
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(
        at: i64,
        node: &str,
        component: Component,
        action: EngineAction,
    ) -> (Timestamp, EngineEvent) {
        let event = EngineEvent {
            node: node.to_owned(),
            component,
            container_id: format!("{node}-{component}"),
            name: String::new(),
            action,
            exit_code: None,
            engine_nanos: at,
        };
        (Timestamp::from_second(at).unwrap(), event)
    }

    #[test]
    fn what_is_asked_together_is_one_move_and_a_second_signal_none() {
        let events = [
            event(1, "quay-2", Component::Builder, EngineAction::Kill),
            event(2, "quay-2", Component::Builder, EngineAction::Die),
            event(3, "quay-1", Component::Quay, EngineAction::Kill),
            event(4, "quay-2", Component::Quay, EngineAction::Kill),
            event(5, "quay-1", Component::Quay, EngineAction::Kill),
            event(6, "quay-1", Component::Quay, EngineAction::Start),
            event(7, "quay-1", Component::Quay, EngineAction::Kill),
        ];
        let told: Vec<String> = moves(&events)
            .into_iter()
            .map(|Move { turn, component, nodes }| format!("{turn:?} {component} {nodes:?}"))
            .collect();
        assert_eq!(
            told,
            [
                r#"Stop builder {"quay-2"}"#,
                r#"Stop quay {"quay-1", "quay-2"}"#,
                r#"Start quay {"quay-1"}"#,
                r#"Stop quay {"quay-1"}"#,
            ]
        );
    }
}
