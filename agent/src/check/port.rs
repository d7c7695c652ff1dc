//! The address to listen at: free, or this node's agent has it already.

use std::io;

use quaymaster_proto::Peer;
use tokio::net::TcpListener;

use super::{Finding, certificate};
use crate::config::AgentConfig;

pub(super) async fn check(config: &AgentConfig) -> Finding {
    let (about, address) = ("port", config.listen);
    let error = match TcpListener::bind(address).await {
        Ok(_) => return Finding::good(about, format!("{address} is free")),
        Err(error) => error,
    };
    let text = format!("cannot listen on {address}: {error}");
    #[expect(clippy::wildcard_enum_match_arm, reason = "std's enum, not ours")]
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            let own = Peer::Agent { cluster: config.cluster.clone(), node: config.node.clone() };
            if certificate::who_serves(config, &config.tls.ca).await == Some(own) {
                return Finding::good(about, format!("this node's agent serves on {address}"));
            }
            let remedy = "another program has it, and it is not this node's agent: see `ss -tlnp`";
            Finding::bad(about, text, remedy)
        }
        io::ErrorKind::AddrNotAvailable => {
            Finding::bad(about, text, "set `listen` to an address of this host: see `ip address`")
        }
        _ => Finding::bad(about, text, "set `listen` in agent.yaml to what the agent may have"),
    }
}
