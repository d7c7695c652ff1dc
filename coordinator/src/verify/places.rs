//! Where a node's Quay can be asked from here. Pure.

use quaymaster_proto::node::PublishedPort;

use crate::cluster::{NodeAddress, PublicName};

/// Ports inside the container at which Quay speaks HTTP: 2.9's and 3's (quay-facts 2.2).
const HTTP_PORTS: [u16; 2] = [80, 8080];
/// The same for HTTPS.
const HTTPS_PORTS: [u16; 2] = [443, 8443];

/// The ports of a node, as this machine reaches them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reach {
    /// Host and port of plain HTTP. A Quay with a certificate only redirects there (quay-facts 1.1).
    pub plain: Option<(String, u16)>,
    /// Host and port of HTTPS.
    pub secure: Option<(String, u16)>,
    /// The name for which its certificate has to be; `None` = its address.
    pub name: Option<String>,
}

impl Reach {
    /// `None` = no port of Quay is published.
    pub fn of(
        address: &NodeAddress,
        ports: &[PublishedPort],
        public: Option<&PublicName>,
    ) -> Option<Self> {
        let plain = published(address, ports, &HTTP_PORTS);
        let secure = published(address, ports, &HTTPS_PORTS);
        // An address is its own name, and cannot be led elsewhere.
        let name = public.map(PublicName::host).filter(|host| !is_address(host));
        let name = name.map(str::to_owned);
        (plain.is_some() || secure.is_some()).then_some(Self { plain, secure, name })
    }
}

fn is_address(host: &str) -> bool {
    host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok()
}

fn published(
    address: &NodeAddress,
    ports: &[PublishedPort],
    inside: &[u16],
) -> Option<(String, u16)> {
    let port = ports.iter().find(|port| {
        port.protocol == "tcp" && port.host_port != 0 && inside.contains(&port.container_port)
    })?;
    let host = match port.host_address.as_str() {
        "" | "0.0.0.0" | "::" => address.host(),
        given => given,
    };
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    Some((host, port.host_port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(container_port: u16, host_address: &str, host_port: u16) -> PublishedPort {
        let protocol = "tcp".to_owned();
        PublishedPort { container_port, protocol, host_address: host_address.to_owned(), host_port }
    }

    #[test]
    fn a_node_is_asked_where_it_publishes() {
        let address: NodeAddress = "10.0.0.11:9643".parse().unwrap();
        let public: PublicName = "https://registry.example.com".parse().unwrap();
        let ports = [port(9091, "", 9091), port(8443, "", 443), port(8080, "127.0.5.1", 80)];
        let reach = Reach::of(&address, &ports, Some(&public)).unwrap();
        assert_eq!(reach.plain, Some(("127.0.5.1".to_owned(), 80)));
        assert_eq!(reach.secure, Some(("10.0.0.11".to_owned(), 443)));
        assert_eq!(reach.name.as_deref(), Some("registry.example.com"));
        assert_eq!(Reach::of(&address, &ports[..1], None), None);
        let by_address: PublicName = "https://10.0.0.5".parse().unwrap();
        assert_eq!(Reach::of(&address, &ports, Some(&by_address)).unwrap().name, None);
    }
}
