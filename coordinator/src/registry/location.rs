//! Where a `Location` leads. Pure.

/// One `Location`, as seen from the door that sent it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Location {
    /// On this registry: path and query, to be asked at the same door. Quay loses the port of its
    /// own name here (quay-facts 1.1).
    Here(String),
    /// On another host: the whole of it.
    Elsewhere(String),
}

/// Reads a `Location` of a registry that goes by any of `names` (host, with or without a port).
pub(super) fn read(location: &str, names: &[&str]) -> Location {
    let Some((_, rest)) = location.split_once("://") else {
        return Location::Here(location.to_owned());
    };
    let at = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(at);
    if names.iter().any(|name| host(name) == host(authority)) {
        let path = if path.is_empty() { "/" } else { path };
        return Location::Here(path.to_owned());
    }
    Location::Elsewhere(location.to_owned())
}

/// As it is told: without a query, which may hold a signature and would get into journals.
pub(super) fn shown(location: &str) -> String {
    location.split(['?', '#']).next().unwrap_or_default().to_owned()
}

/// Without its port.
pub(super) fn host(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        Some(_) | None => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_without_its_port_is_asked_at_the_same_door() {
        let names = ["10.0.0.11:8080", "quay.lab.example:8080"];
        let here = |path: &str| Location::Here(path.to_owned());
        for (location, expected) in [
            ("/v2/a/blobs/uploads/1?x=y", here("/v2/a/blobs/uploads/1?x=y")),
            ("http://quay.lab.example/v2/a", here("/v2/a")),
            ("http://10.0.0.11:8080/v2/a", here("/v2/a")),
            ("https://10.0.0.11", here("/")),
            (
                "https://s3.example.com/a?b",
                Location::Elsewhere("https://s3.example.com/a?b".to_owned()),
            ),
        ] {
            assert_eq!(read(location, &names), expected, "{location}");
        }
        assert_eq!(shown("https://s3.example.com/a?X-Amz-Signature=1"), "https://s3.example.com/a");
        assert_eq!(host("[fd00::1]:80"), "[fd00::1]");
        assert_eq!(host("[fd00::1]"), "[fd00::1]");
    }
}
