//! The releases that there are, and the container that each runs in.

use std::collections::BTreeMap;

use quaymaster_agent::container::ContainerSpec;
use quaymaster_agent::container::spec::{HostPort, NetworkSpec, ProcessSpec, StorageSpec};
use quaymaster_proto::{ImageDigest, ImageId, RestartPolicy};

use super::Host;

/// The old release's image, and the new one's.
pub const IMAGES: [&str; 2] = [
    "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
];
/// Under which digest the registry has the new one.
pub const DIGEST: &str = "sha256:eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee";
/// The new one's name there.
pub const REPOSITORY: &str = "quay.io/redhat/quay";
/// A release of Quay.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Release {
    /// 2.9.5.
    Old,
    /// 3.0.5.
    New,
}

/// Which release an image is of.
pub fn release_of(image: &ImageId) -> Release {
    if image.as_str() == IMAGES[0] { Release::Old } else { Release::New }
}

/// The new image's digest in the registry.
pub fn digest() -> ImageDigest {
    DIGEST.parse().expect("a digest")
}

/// As the owner of a host made it.
pub(super) fn spec(host: &Host, release: Release) -> ContainerSpec {
    let directory = host.config.parent().unwrap_or(&host.config).display().to_string();
    let (inside, image) = match release {
        Release::Old => ([80, 443], IMAGES[0]),
        Release::New => ([8080, 8443], IMAGES[1]),
    };
    let ports = inside.into_iter().zip([80, 443]).map(|(inside, outside): (u16, u16)| {
        let port = format!("{inside}/tcp").parse().expect("a port");
        let (address, port_text) = (host.address.clone(), outside.to_string());
        let host = HostPort { address, port: port_text };
        (port, vec![host])
    });
    ContainerSpec {
        image: image.parse().expect("an image's id"),
        environment: BTreeMap::new(),
        labels: BTreeMap::new(),
        process: ProcessSpec::default(),
        hostname: None,
        domainname: None,
        storage: StorageSpec {
            binds: vec![format!("{directory}:/conf/stack")],
            mounts: Vec::new(),
            anonymous_volumes: Default::default(),
            volumes_from: Vec::new(),
        },
        network: NetworkSpec {
            mode: "default".to_owned(),
            ports: ports.collect(),
            ..NetworkSpec::default()
        },
        restart_policy: RestartPolicy::Always,
        auto_remove: false,
        options: BTreeMap::new(),
        unknown: BTreeMap::new(),
    }
}
