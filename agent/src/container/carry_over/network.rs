//! What becomes of a container's network and ports.

use std::collections::BTreeMap;

use quaymaster_proto::PortMove;

use super::finding::{Finding, Reason};
use crate::container::spec::{ContainerPort, HostPort, NetworkSpec};

/// The next container's network.
pub(super) fn next(
    network: &NetworkSpec,
    moves: &[PortMove],
    findings: &mut Vec<Finding>,
) -> NetworkSpec {
    let NetworkSpec { mode, first, endpoints, links, ports, exposed, is_disabled, mac_address } =
        network;
    if *is_disabled {
        findings.push(Finding::new("network", Reason::HasNoNetwork));
    }
    match mode.as_str() {
        "host" => findings.push(Finding::new("network", Reason::UsesHostNetwork)),
        shared if shared.starts_with("container:") => {
            findings.push(Finding::new("network", Reason::SharesNetwork));
        }
        _ if endpoints.len() > 1 && first.is_none() => {
            findings.push(Finding::new("network", Reason::FirstNetworkUnknown));
        }
        _ if endpoints.len() > 1 => {
            let names = endpoints.keys();
            findings.extend(names.map(|name| Finding::carried(format!("network {name}"))));
        }
        "" | "default" | "bridge" => {}
        name => findings.push(Finding::carried(format!("network {name}"))),
    }
    findings.extend(
        mac_address.iter().map(|address| Finding::carried(format!("MAC address {address}"))),
    );
    if !links.is_empty() || endpoints.values().any(|endpoint| !endpoint.links.is_empty()) {
        findings.push(Finding::new("links", Reason::HasLinks));
    }
    for alias in endpoints.values().flat_map(|endpoint| &endpoint.aliases) {
        findings.push(Finding::carried(format!("network alias {alias}")));
    }
    for address in endpoints
        .values()
        .flat_map(|endpoint| [&endpoint.ipv4_address, &endpoint.ipv6_address])
        .flatten()
    {
        findings.push(Finding::carried(format!("address {address}")));
    }
    for address in endpoints.values().flat_map(|endpoint| &endpoint.link_local_addresses) {
        findings.push(Finding::carried(format!("address {address}")));
    }
    for (name, _) in endpoints.values().flat_map(|endpoint| &endpoint.driver_options) {
        findings.push(Finding::carried(format!("network option {name}")));
    }
    let preferred = endpoints.iter().filter(|(_, endpoint)| endpoint.gateway_priority != 0);
    findings.extend(
        preferred.map(|(name, _)| Finding::carried(format!("gateway priority of network {name}"))),
    );
    let ports = moved_ports(ports, moves, findings);
    findings.extend(exposed.iter().map(|port| Finding::carried(format!("exposed port {port}"))));
    NetworkSpec {
        mode: mode.clone(),
        endpoints: endpoints.clone(),
        links: Vec::new(),
        ports,
        exposed: exposed.clone(),
        is_disabled: *is_disabled,
        first: first.clone(),
        mac_address: mac_address.clone(),
    }
}

/// The same places on the host for other ports inside.
fn moved_ports(
    ports: &BTreeMap<ContainerPort, Vec<HostPort>>,
    moves: &[PortMove],
    findings: &mut Vec<Finding>,
) -> BTreeMap<ContainerPort, Vec<HostPort>> {
    let mut next: BTreeMap<ContainerPort, Vec<HostPort>> = BTreeMap::new();
    for (port, hosts) in ports {
        let target = moved(port, moves);
        let reason = match &target {
            _ if hosts.is_empty() || hosts.iter().any(HostPort::is_engines_choice) => {
                Reason::PortOfEnginesChoice
            }
            Some(to) if ports.contains_key(to) && moved(to, moves).is_none() => {
                Reason::PortsCollide { to: to.to_string() }
            }
            Some(to) => Reason::PortMoves { to: to.to_string() },
            None => Reason::AsItIs,
        };
        findings.push(Finding::new(format!("port {port}"), reason));
        next.entry(target.unwrap_or_else(|| port.clone())).or_default().extend(hosts.clone());
    }
    next
}

fn moved(port: &ContainerPort, moves: &[PortMove]) -> Option<ContainerPort> {
    let found = moves.iter().find(|PortMove { from, to: _ }| *from == port.number())?;
    (port.protocol() == "tcp" && found.from != found.to).then(|| port.at(found.to))
}
