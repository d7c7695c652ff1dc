//! Finds addresses and ports on loopback that nobody uses.
#![expect(clippy::disallowed_methods, reason = "an effect room: it asks the machine")]

use std::fs;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::time::Duration;

use super::lab_file::EngineKind;

/// Where agents listen (contracts: the agent's gRPC port).
pub const AGENT_PORT: u16 = 9643;
/// The third part of 127.0.N.0 is looked for in this range; of three digits, so that what is shown
/// of one lab lines up as what is shown of another.
const NETWORKS: std::ops::RangeInclusive<u8> = 100..=250;
/// The address in a lab's network that the command `up` holds while it builds, and the one that the
/// observer holds as long as the lab stands. Two labs that start together cannot take one network.
const BUILDER: u8 = 251;
const OBSERVER: u8 = 252;

/// The most nodes that a lab can have: the addresses below those two.
pub const MOST_NODES: u8 = 200;

/// The addresses of one lab, held against others until it is dropped.
#[derive(Debug)]
pub struct Network {
    third: u8,
    _claim: TcpListener,
}

#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    #[error(
        "no network from 127.0.100.0 to 127.0.250.0 has the ports {AGENT_PORT}, {http} and {https} free on {nodes} addresses; end a lab that still stands (`quaymaster-lab down --dir ...`)"
    )]
    NoneFree { nodes: u8, http: u16, https: u16 },
    #[error("cannot get a free port on {address}")]
    Port { address: Ipv4Addr, source: io::Error },
}

/// Where Quay is published. Docker's own proxy may take the real ports; the stand-in engine runs
/// without root.
pub fn quay_ports(engine: EngineKind) -> (u16, u16) {
    match engine {
        EngineKind::Docker | EngineKind::Private => (80, 443),
        EngineKind::Standin => (20080, 20443),
    }
}

impl Network {
    /// Looks from `from` on (any number), so that labs started one after another spread out.
    pub fn claim(nodes: u8, engine: EngineKind, from: u32) -> Result<Self, NetworkError> {
        let (http, https) = quay_ports(engine);
        let count = u32::from(NETWORKS.end() - NETWORKS.start()) + 1;
        for step in 0..count {
            let offset = u8::try_from((from.wrapping_add(step)) % count).unwrap_or(0);
            let third = NETWORKS.start() + offset;
            let Ok(claim) = TcpListener::bind((address(third, BUILDER), AGENT_PORT)) else {
                continue;
            };
            let all = (1..=nodes).map(|node| address(third, node));
            let mut wanted = all
                .flat_map(|address| [AGENT_PORT, http, https].map(|port| (address, port)))
                .chain([(address(third, OBSERVER), AGENT_PORT)]);
            if wanted.all(|(address, port)| is_free(address, port)) {
                return Ok(Self { third, _claim: claim });
            }
        }
        Err(NetworkError::NoneFree { nodes, http, https })
    }

    /// The N of 127.0.N.0.
    pub fn number(&self) -> u8 {
        self.third
    }

    pub fn node(&self, number: u8) -> Ipv4Addr {
        address(self.third, number)
    }
}

/// Holds a lab's network as long as the result lives; `node` is any address of that network.
pub fn hold(node: Ipv4Addr) -> io::Result<TcpListener> {
    let [_, _, third, _] = node.octets();
    TcpListener::bind((address(third, OBSERVER), AGENT_PORT))
}

/// A port that is free on all of `addresses` just now.
pub fn free_port(addresses: &[Ipv4Addr]) -> Result<u16, NetworkError> {
    let first = addresses.first().copied().unwrap_or(Ipv4Addr::LOCALHOST);
    let failed = |source| NetworkError::Port { address: first, source };
    loop {
        let listener = TcpListener::bind((first, 0)).map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        if addresses.iter().skip(1).all(|address| is_free(*address, port)) {
            return Ok(port);
        }
    }
}

/// Whether a process listens there, by the kernel's own table for this thread's network: a connection made only to see would
/// stand in its log as one that was refused.
pub(crate) fn is_listening(address: SocketAddrV4) -> bool {
    fs::read_to_string("/proc/thread-self/net/tcp")
        .is_ok_and(|table| lists_listener(&table, address))
}

fn lists_listener(table: &str, address: SocketAddrV4) -> bool {
    let number = u32::from_ne_bytes(address.ip().octets());
    let local = format!("{number:08X}:{:04X}", address.port());
    table.lines().any(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        fields.next() == Some(local.as_str()) && fields.nth(1) == Some("0A")
    })
}

fn address(third: u8, fourth: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, third, fourth)
}

/// A port below 1024 cannot be bound without root; then nobody answering there has to do.
fn is_free(address: Ipv4Addr, port: u16) -> bool {
    match TcpListener::bind((address, port)) {
        Ok(_) => true,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let target = SocketAddr::V4(SocketAddrV4::new(address, port));
            TcpStream::connect_timeout(&target, Duration::from_secs(1)).is_err()
        }
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_labs_never_get_one_network() {
        let first = Network::claim(3, EngineKind::Standin, 7).unwrap();
        let second = Network::claim(3, EngineKind::Standin, 7).unwrap();
        assert_ne!(first.number(), second.number());
    }

    #[test]
    fn a_listener_is_told_from_a_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let SocketAddr::V4(address) = listener.local_addr().unwrap() else { panic!("IPv4") };
        assert!(is_listening(address));
        let connection = TcpStream::connect(address).unwrap();
        let SocketAddr::V4(other_end) = connection.local_addr().unwrap() else { panic!("IPv4") };
        assert!(!is_listening(other_end));
    }

    #[test]
    fn a_network_with_a_taken_agent_port_is_passed_over() {
        let first = Network::claim(2, EngineKind::Standin, 91).unwrap();
        let _agent = TcpListener::bind((first.node(2), AGENT_PORT)).unwrap();
        let number = first.number();
        drop(first);
        assert_ne!(Network::claim(2, EngineKind::Standin, 91).unwrap().number(), number);
    }
}
