//! Asks one node for its health, many times a second, and tells when the answer changes.
#![expect(clippy::disallowed_methods, reason = "an effect room: waiting is its job")]

use std::net::SocketAddrV4;
use std::sync::mpsc;
use std::time::Duration;

use tokio::time::sleep;

use crate::http::Connection;
use crate::record::{ProbeChange, Seen};

/// Between two looks at a node that is not healthy: what an outage is measured with.
const WHILE_SICK: Duration = Duration::from_millis(20);
/// Between two looks at a healthy node: its end is seen from engine events, so this only has to
/// find a node that turns sick by itself, at little cost.
const WHILE_HEALTHY: Duration = Duration::from_millis(100);

/// Runs until nobody takes what it sees any more.
pub(super) async fn watch(node: String, address: SocketAddrV4, seen: mpsc::Sender<Seen>) {
    let mut connection = Connection::new(address);
    let mut last = None;
    loop {
        let change = look(&node, &mut connection).await;
        let healthy = change.healthy;
        if last.as_ref() != Some(&change) {
            if seen.send(Seen::Probe(change.clone())).is_err() {
                return;
            }
            last = Some(change);
        }
        sleep(if healthy { WHILE_HEALTHY } else { WHILE_SICK }).await;
    }
}

async fn look(node: &str, connection: &mut Connection) -> ProbeChange {
    let instance = connection.get("/health/instance").await.map(|answer| answer.status);
    let endtoend = match instance {
        Some(_) => connection.get("/health/endtoend").await.map(|answer| answer.status),
        None => None,
    };
    let healthy = instance == Some(200) && endtoend == Some(200);
    ProbeChange { node: node.to_owned(), instance, endtoend, healthy }
}
