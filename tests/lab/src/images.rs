//! The lab's images: what they are (pure), as entries of the stand-in registry and as a
//! `docker load` archive. The push to a real registry is `images/docker.rs`.

mod archive;
mod docker;

use std::path::Path;

use quaymaster_proto::Component;
use sha2::{Digest, Sha256};

use crate::engine::{Image, ImageConfig, RegistryEntry, RegistryFile};

pub use archive::{ArchiveError, ImageFile};
pub use docker::{ImagesError, publish, remove, remove_all_of};

/// The stand-in Quay's place in its image.
pub const PROGRAM: &str = "/quaymaster-lab-quay";

/// One image of the lab.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LabImage {
    pub component: Component,
    /// As in `2.9.5`.
    pub release: &'static str,
    /// With the registry's host, as in `127.0.0.1:5000/quayio/coreos/quay`.
    pub repository: String,
    pub tag: String,
    /// `STANDIN_*`: the stand-in's own settings.
    pub environment: Vec<(String, String)>,
    /// Inside the container; Quay's plain HTTP, then its HTTPS.
    pub ports: Vec<u16>,
}

/// How a lab scales time. The product's own timings are not touched by it.
#[derive(Clone, PartialEq, Debug)]
pub struct Pace {
    /// From a process's start to its first healthy answer, the migration not counted.
    pub start_seconds: f64,
    /// One schema revision of the migration.
    pub revision_seconds: f64,
    /// A backfill worker begins at a random moment up to here.
    pub stagger_seconds: f64,
    /// From SIGTERM to the end, where SIGTERM is heard.
    pub stop_seconds: f64,
    /// Tags a second that the worker of one node maps.
    pub backfill_rate: f64,
    /// Tags a second that the migration to `complete` maps.
    pub offline_rate: f64,
}

impl Pace {
    /// How long the whole backfill should take, however many tags and nodes there are.
    const BACKFILL_SECONDS: f64 = 8.0;

    pub fn for_people(tags: u32, nodes: u8) -> Self {
        let rate = f64::from(tags) / Self::BACKFILL_SECONDS / f64::from(nodes.max(1));
        Self {
            start_seconds: 0.8,
            revision_seconds: 0.05,
            stagger_seconds: 2.0,
            stop_seconds: 0.3,
            backfill_rate: rate.max(1.0),
            offline_rate: (f64::from(tags) / 2.0).max(1000.0),
        }
    }

    fn environment(&self, release: &str) -> Vec<(String, String)> {
        let Self {
            start_seconds,
            revision_seconds,
            stagger_seconds,
            stop_seconds,
            backfill_rate,
            offline_rate,
        } = self;
        [
            ("STANDIN_RELEASE", release.to_owned()),
            ("STANDIN_START_SECONDS", start_seconds.to_string()),
            ("STANDIN_REVISION_SECONDS", revision_seconds.to_string()),
            ("STANDIN_STAGGER_SECONDS", stagger_seconds.to_string()),
            ("STANDIN_STOP_SECONDS", stop_seconds.to_string()),
            ("STANDIN_BACKFILL_RATE", backfill_rate.to_string()),
            ("STANDIN_OFFLINE_RATE", offline_rate.to_string()),
            ("STANDIN_WITNESS", "/witness".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}

/// The images of a lab, before and after the upgrade.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LabImages {
    pub old: Vec<LabImage>,
    pub new: Vec<LabImage>,
}

impl LabImages {
    /// Of Quay and of what stands beside it, as `registry` (`host:port`) has them, mirrored under
    /// `quayio/`. `further` goes into the environment of both Quays.
    pub fn of(registry: &str, pace: &Pace, companions: bool, further: &[(String, String)]) -> Self {
        let (old, new) = quay_images(registry, pace, further);
        let mut images = Self { old: vec![old], new: vec![new] };
        if companions {
            let image =
                |component, release, owner| companion(registry, pace, component, release, owner);
            images.old.extend([
                image(Component::Clair, "2.0.7", "coreos"),
                image(Component::Builder, "2.9.5", "coreos"),
            ]);
            images.new.extend([
                image(Component::Clair, "3.0.5", "redhat"),
                image(Component::Builder, "3.0.5", "redhat"),
            ]);
        }
        images
    }

    pub fn all(&self) -> Vec<&LabImage> {
        self.old.iter().chain(&self.new).collect()
    }

    /// What a cluster of before runs as this component; a mirror runs Quay's image.
    pub fn old_of(&self, component: Component) -> Option<&LabImage> {
        let component = if component == Component::Mirror { Component::Quay } else { component };
        self.old.iter().find(|image| image.component == component)
    }
}

/// 2.9.5 and 3.0.5.
pub fn quay_images(
    registry: &str,
    pace: &Pace,
    further: &[(String, String)],
) -> (LabImage, LabImage) {
    let image = |release: &'static str, owner: &str, ports: [u16; 2]| LabImage {
        component: Component::Quay,
        release,
        repository: format!("{registry}/quayio/{owner}/quay"),
        tag: format!("v{release}"),
        environment: pace.environment(release).into_iter().chain(further.to_vec()).collect(),
        ports: ports.into(),
    };
    (image("2.9.5", "coreos", [80, 443]), image("3.0.5", "redhat", [8080, 8443]))
}

/// A Clair or a builder (quay-facts 5.4).
fn companion(
    registry: &str,
    pace: &Pace,
    component: Component,
    release: &'static str,
    owner: &str,
) -> LabImage {
    let (name, ports) = match component {
        Component::Clair => ("clair-jwt", vec![6060, 6061]),
        Component::Quay | Component::Builder | Component::Mirror => ("quay-builder", Vec::new()),
    };
    let mut environment = pace.environment(release);
    environment.push(("STANDIN_COMPONENT".to_owned(), component.to_string()));
    LabImage {
        component,
        release,
        repository: format!("{registry}/quayio/{owner}/{name}"),
        tag: format!("v{release}"),
        environment,
        ports,
    }
}

impl LabImage {
    pub fn reference(&self) -> String {
        format!("{}:{}", self.repository, self.tag)
    }

    fn config(&self) -> ImageConfig {
        ImageConfig {
            env: self.environment.iter().map(|(name, value)| format!("{name}={value}")).collect(),
            exposed_ports: self.ports.iter().map(|port| format!("{port}/tcp")).collect(),
            volumes: match self.component {
                Component::Quay | Component::Mirror => {
                    ["/tmp", "/var/log"].map(str::to_owned).into()
                }
                Component::Clair | Component::Builder => Default::default(),
            },
            labels: [("release".to_owned(), self.release.to_owned())].into(),
            entrypoint: vec![PROGRAM.to_owned()],
            ..ImageConfig::default()
        }
    }

    fn entry(&self, program: &Path) -> RegistryEntry {
        let config = self.config();
        let id = format!("{}\n{config:?}", self.reference());
        RegistryEntry {
            repository: self.repository.clone(),
            tag: self.tag.clone(),
            digest: sha256(format!("manifest of {id}").as_bytes()),
            image: Image {
                id: sha256(id.as_bytes()),
                config,
                program: program.to_owned(),
                size_bytes: SHOWN_SIZE,
            },
            credentials: None,
            fault: None,
        }
    }
}

/// What the stand-in engine says of the images' size; the real ones are about so large.
const SHOWN_SIZE: u64 = 1_100_000_000;

/// The stand-in registry that has `images`, all run by `program` on this machine.
pub fn stand_in_registry(images: &[&LabImage], program: &Path) -> RegistryFile {
    RegistryFile(images.iter().map(|image| image.entry(program)).collect())
}

fn sha256(bytes: &[u8]) -> String {
    let digits: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_backfill_takes_the_same_time_in_every_lab() {
        for (tags, nodes) in [(2000, 3), (50_000, 6), (600, 1)] {
            let pace = Pace::for_people(tags, nodes);
            let seconds = f64::from(tags) / (pace.backfill_rate * f64::from(nodes));
            assert!((seconds - 8.0).abs() < 0.01, "{tags} tags, {nodes} nodes: {seconds} s");
        }
    }

    #[test]
    fn the_two_images_are_told_apart_by_id_digest_and_ports() {
        let (old, new) = quay_images("127.0.0.1:5000", &Pace::for_people(2000, 3), &[]);
        assert_eq!(old.reference(), "127.0.0.1:5000/quayio/coreos/quay:v2.9.5");
        assert_eq!(new.reference(), "127.0.0.1:5000/quayio/redhat/quay:v3.0.5");
        let RegistryFile(entries) = stand_in_registry(&[&old, &new], Path::new("/bin/true"));
        assert_ne!(entries[0].image.id, entries[1].image.id);
        assert_ne!(entries[0].digest, entries[1].digest);
        assert!(entries[1].image.config.exposed_ports.contains("8080/tcp"));
    }
}
