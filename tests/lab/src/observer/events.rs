//! Follows the container events of an engine and tells those of the lab's Quays.
#![expect(clippy::disallowed_methods, reason = "an effect room: clocks and waiting are its job")]

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use bollard::Docker;
use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use futures::StreamExt;
use jiff::Timestamp;
use quaymaster_proto::Component;

use super::ObserveError;
use crate::cluster::containers::{LABEL, connect};
use crate::cluster::lab_file::LabFile;
use crate::record::{EngineAction, EngineEvent, Seen};

/// Between two attempts to reach an engine that is away (faults stop it on purpose).
const RETRY: Duration = Duration::from_millis(50);

/// One event stream.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    socket: PathBuf,
    lab: String,
    /// The well-known names of containers on that engine.
    known: Vec<Known>,
}

/// A container's well-known name, and what it is.
#[derive(Clone, Debug)]
struct Known {
    node: String,
    component: Component,
    container: String,
}

/// One stream for a shared engine, one for each engine otherwise.
pub(super) fn watches(lab: &LabFile) -> Vec<Watch> {
    let mut watches: Vec<Watch> = Vec::new();
    for node in &lab.nodes {
        let quay = (Component::Quay, &node.container);
        let others =
            node.companions.iter().map(|companion| (companion.component, &companion.container));
        let known = std::iter::once(quay).chain(others).map(|(component, container)| Known {
            node: node.name.clone(),
            component,
            container: container.clone(),
        });
        match watches.iter_mut().find(|watch| watch.socket == node.engine_socket) {
            Some(watch) => watch.known.extend(known),
            None => watches.push(Watch {
                socket: node.engine_socket.clone(),
                lab: lab.lab.clone(),
                known: known.collect(),
            }),
        }
    }
    watches
}

/// Connects once, so that a wrong socket is an error, then follows in the background.
pub(super) async fn follow(watch: Watch, seen: mpsc::Sender<Seen>) -> Result<(), ObserveError> {
    let docker = connect(&watch.socket)
        .await
        .map_err(|source| ObserveError::Engine { socket: watch.socket.clone(), source })?;
    tokio::spawn(keep_following(watch, docker, seen));
    Ok(())
}

async fn keep_following(watch: Watch, docker: Docker, seen: mpsc::Sender<Seen>) {
    let mut since = Timestamp::now().as_nanosecond();
    // Asking again from the last event's time on gives that event again.
    let mut known: HashSet<(i128, String, String)> = HashSet::new();
    loop {
        let filters = HashMap::from([
            ("type", vec!["container".to_owned()]),
            ("label", vec![format!("{LABEL}={}", watch.lab)]),
        ]);
        let options = EventsOptionsBuilder::default()
            .since(&format!("{}.{:09}", since / 1_000_000_000, since % 1_000_000_000))
            .filters(&filters)
            .build();
        let mut stream = std::pin::pin!(docker.events(Some(options)));
        while let Some(Ok(message)) = stream.next().await {
            let Some(event) = event(&watch.known, &message) else { continue };
            let nanos = i128::from(event.engine_nanos);
            let action = message.action.clone().unwrap_or_default();
            if !known.insert((nanos, event.container_id.clone(), action)) {
                continue;
            }
            since = since.max(nanos);
            if seen.send(Seen::Engine(event)).is_err() {
                return;
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// `None` for what is no event of a node's containers, or of no interest.
fn event(known: &[Known], message: &EventMessage) -> Option<EngineEvent> {
    let action = action(message.action.as_deref()?)?;
    let actor = message.actor.as_ref()?;
    let attributes = actor.attributes.as_ref()?;
    let name = attributes.get("name")?.trim_start_matches('/');
    let Known { node, component, container: _ } =
        known.iter().find(|known| belongs(name, &known.container))?;
    Some(EngineEvent {
        node: node.clone(),
        component: *component,
        container_id: actor.id.clone()?,
        name: name.to_owned(),
        action,
        exit_code: match action {
            EngineAction::Die => attributes.get("exitCode").and_then(|code| code.parse().ok()),
            EngineAction::Create
            | EngineAction::Start
            | EngineAction::Kill
            | EngineAction::Stop
            | EngineAction::Rename
            | EngineAction::Destroy => None,
        },
        engine_nanos: message.time_nano?,
    })
}

/// The well-known name itself, or one made from it (`<name>.quaymaster-...`).
fn belongs(name: &str, container: &str) -> bool {
    name.strip_prefix(container).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn action(text: &str) -> Option<EngineAction> {
    Some(match text {
        "create" => EngineAction::Create,
        "start" => EngineAction::Start,
        "kill" => EngineAction::Kill,
        "die" => EngineAction::Die,
        "stop" => EngineAction::Stop,
        "rename" => EngineAction::Rename,
        "destroy" => EngineAction::Destroy,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::EventActor;

    fn message(action: &str, name: &str) -> EventMessage {
        EventMessage {
            action: Some(action.into()),
            time_nano: Some(5),
            actor: Some(EventActor {
                id: Some("ab".into()),
                attributes: Some(
                    [("name".into(), name.into()), ("exitCode".into(), "137".into())].into(),
                ),
            }),
            ..EventMessage::default()
        }
    }

    fn known(node: &str, container: &str) -> Known {
        Known { node: node.to_owned(), component: Component::Quay, container: container.to_owned() }
    }

    #[test]
    fn a_staged_container_belongs_to_the_node_whose_name_it_bears() {
        let nodes = [known("quay-1", "lab-9-quay-1-quay"), known("quay-10", "lab-9-quay-10-quay")];
        let node = |name| event(&nodes, &message("start", name)).map(|event| event.node);
        assert_eq!(node("lab-9-quay-10-quay").as_deref(), Some("quay-10"));
        assert_eq!(node("lab-9-quay-1-quay.quaymaster-01jd-next").as_deref(), Some("quay-1"));
        assert_eq!(node("lab-9-quay-1-quays"), None);
    }

    #[test]
    fn only_an_end_has_an_exit_code_and_other_events_are_passed_over() {
        let nodes = [known("quay-1", "q")];
        assert_eq!(event(&nodes, &message("die", "q")).unwrap().exit_code, Some(137));
        assert_eq!(event(&nodes, &message("stop", "q")).unwrap().exit_code, None);
        assert_eq!(event(&nodes, &message("exec_create: sh", "q")), None);
    }
}
