use super::*;

fn port(container_port: u16, host_address: &str, host_port: u16) -> PublishedPort {
    PublishedPort {
        container_port,
        protocol: "tcp".to_owned(),
        host_address: host_address.to_owned(),
        host_port,
    }
}

fn shown(ports: &[PublishedPort]) -> Option<(String, Option<String>, bool)> {
    let Targets { first, second, has_mode } = Targets::of(&Probe::Auto, ports)?;
    Some((first.to_string(), second.map(|second| second.to_string()), has_mode))
}

#[test]
fn quay_is_asked_at_its_published_port() {
    let before = [port(80, "127.0.5.1", 80), port(443, "127.0.5.1", 443)];
    let (plain, secure) = ("http://127.0.5.1:80".to_owned(), "https://127.0.5.1:443".to_owned());
    assert_eq!(shown(&before), Some((plain, Some(secure), false)));
    let after = [port(8080, "0.0.0.0", 80)];
    assert_eq!(shown(&after), Some(("http://127.0.0.1:80".to_owned(), None, true)));
    let only_secure = [port(8443, "::", 443), port(9091, "", 9091)];
    assert_eq!(shown(&only_secure), Some(("https://[::1]:443".to_owned(), None, true)));
    assert_eq!(shown(&[port(9091, "", 9091)]), None);
    assert_eq!(shown(&[port(8080, "", 0)]), None);
}
