//! A made-up cluster for tests: what its agents would say, before, between and
//! after the windows.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use jiff::Timestamp;
use quaymaster_proto::backup::BackupFacts;
use quaymaster_proto::database::{DatabaseIdentity, DatabaseLook, TagCounts};
use quaymaster_proto::footing::{
    ConfigFooting, ContainerFooting, DatabaseFooting, Footing, HostFooting, TableSize,
};
use quaymaster_proto::node::{
    ComponentFacts, ConfigFacts, ContainerFacts, EngineFacts, NodeFacts, PublishedPort,
    ReadableConfig,
};
use quaymaster_proto::preview::{ConfigChange, Preview, SpecFinding, SpecVerdict};
use quaymaster_proto::storage::{StorageFooting, StorageLocation, StoragePlace, StorageSize};
use quaymaster_proto::{Component, ContainerState, ContainerStatus, Mode, NodeName, RestartPolicy};

use super::{ClusterFacts, Companion, DatabaseAnswer, NodeSurvey, Reader};
use crate::catalogue::Catalogue;
use crate::cluster::Cluster;
use crate::measured::Measured;
use crate::nodes::ResolvedImage;
use crate::plan::build::build;
use crate::plan::situation::{Answers, Situation};
use crate::plan::{Plan, ReleaseInMode, Window};
use crate::preflight::{of_cluster, of_window};

/// Nodes quay-1 to quay-`count`, everything else by default.
pub(crate) fn cluster(count: u8) -> Cluster {
    let mut text = "version: 1\ncluster: prod\n\
        tls: { ca: ca.crt, certificate: operator.crt, key: operator.key }\nnodes:\n"
        .to_owned();
    for number in 1..=count {
        writeln!(text, "  - {{ name: quay-{number}, address: 10.0.0.{} }}", 10 + number).unwrap();
    }
    Cluster::parse(&text, Path::new("/etc/quaymaster")).unwrap()
}

/// The moment of every fixture's survey.
pub(crate) fn survey_time() -> Timestamp {
    "2026-11-22T02:10:00Z".parse().unwrap()
}

/// A healthy cluster on 2.9.5.
pub(crate) fn on_2_9_5(cluster: &Cluster) -> ClusterFacts {
    facts(
        cluster,
        &Found {
            image: "quay.io/coreos/quay:v2.9.5",
            mode: Mode::Absent,
            revision: "5b7503aada1b",
            digit: 'a',
            ports: [80, 443],
        },
    )
}

/// A healthy cluster between the windows of a background upgrade.
pub(crate) fn on_background(cluster: &Cluster) -> ClusterFacts {
    facts(
        cluster,
        &Found {
            image: "quay.io/redhat/quay:v3.0.5",
            mode: Mode::Background,
            revision: "481623ba00ba",
            digit: 'b',
            ports: [8080, 8443],
        },
    )
}

/// A healthy cluster at the end.
pub(crate) fn on_complete(cluster: &Cluster) -> ClusterFacts {
    facts(
        cluster,
        &Found {
            image: "quay.io/redhat/quay:v3.0.5",
            mode: Mode::Complete,
            revision: "b918abdbee43",
            digit: 'b',
            ports: [8080, 8443],
        },
    )
}

struct Found {
    image: &'static str,
    mode: Mode,
    revision: &'static str,
    digit: char,
    ports: [u16; 2],
}

fn facts(cluster: &Cluster, found: &Found) -> ClusterFacts {
    let nodes = cluster.nodes.iter().zip(1..).map(|(listed, number)| {
        let survey = NodeSurvey {
            address: listed.address.clone(),
            answered_at: survey_time(),
            facts: node(cluster, &listed.name, number, found),
            database: DatabaseAnswer::Looked(database(found)),
        };
        (listed.name.clone(), survey)
    });
    ClusterFacts {
        cluster: cluster.name.clone(),
        taken_at: survey_time(),
        nodes: nodes.collect(),
        digests: BTreeMap::new(),
    }
}

fn node(cluster: &Cluster, name: &NodeName, number: u8, found: &Found) -> NodeFacts {
    NodeFacts {
        cluster: cluster.name.clone(),
        node: name.clone(),
        agent_version: "0.1.0".to_owned(),
        now: survey_time(),
        certificate_not_after: "2027-11-22T00:00:00Z".parse().unwrap(),
        engine: EngineFacts {
            id: format!("ENGINE-{number}"),
            name: "Docker".to_owned(),
            version: "20.10.24".to_owned(),
            api_version: "1.41".to_owned(),
        },
        components: vec![ComponentFacts {
            component: Component::Quay,
            container_name: "quay".to_owned(),
            repositories: vec!["quay.io/coreos/quay".to_owned(), "quay.io/redhat/quay".to_owned()],
            container: Some(container(number, found)),
            others: Vec::new(),
        }],
        config: ConfigFacts::Readable(ReadableConfig {
            path: "/mnt/quay/config/config.yaml".to_owned(),
            sha256: hex(found.digit, number).parse().unwrap(),
            size: 2048,
            owner: 0,
            group: 0,
            permissions: 0o640,
            file_identity: format!("2049:{number}"),
            keyed_values: BTreeMap::from([
                ("DB_URI".to_owned(), hex('1', 0)),
                ("SERVER_HOSTNAME".to_owned(), hex('2', 0)),
                ("SETUP_COMPLETE".to_owned(), hex('3', 0)),
            ]),
            mode: found.mode,
            setup_complete: true,
        }),
        ledger: None,
        lease: None,
        floor: None,
        floor_sightings: Vec::new(),
        floor_problem: String::new(),
        backup: Some(BackupFacts {
            directory: "/var/backups/quaymaster".to_owned(),
            free_bytes: Some(212_000_000_000),
            dump_versions: vec!["9.6.24".to_owned()],
            mysql_dump_versions: Vec::new(),
            problem: String::new(),
            newest: None,
        }),
        free_bytes_engine: Some(212_000_000_000),
        free_bytes_config: Some(212_000_000_000),
    }
}

fn container(number: u8, found: &Found) -> ContainerFacts {
    ContainerFacts {
        state: ContainerState {
            id: hex('c', number).parse().unwrap(),
            name: "quay".to_owned(),
            status: ContainerStatus::Running,
            started_at: Some("2026-10-12T08:00:00Z".parse().unwrap()),
            finished_at: None,
            exit_code: 0,
            restart_count: 0,
            restart_policy: RestartPolicy::Always,
            image: format!("sha256:{}", hex(found.digit, 0)).parse().unwrap(),
        },
        image_reference: found.image.to_owned(),
        image_tags: vec![found.image.to_owned()],
        image_digests: Vec::new(),
        spec: hex('d', number).parse().unwrap(),
        ports: found
            .ports
            .iter()
            .zip([80, 443])
            .map(|(container_port, host_port)| PublishedPort {
                container_port: *container_port,
                protocol: "tcp".to_owned(),
                host_address: String::new(),
                host_port,
            })
            .collect(),
        environment_names: Vec::new(),
        labels: BTreeMap::new(),
        override_mode: None,
        has_override_config: false,
        effective_mode: (found.mode != Mode::Absent).then_some(found.mode),
        other_starters: Vec::new(),
        owner_restart_policy: None,
    }
}

fn database(found: &Found) -> DatabaseLook {
    DatabaseLook {
        at: survey_time(),
        identity: DatabaseIdentity::new("postgresql:7301846093115:16384").unwrap(),
        kind: "postgresql".to_owned(),
        revision: found.revision.to_owned(),
        in_recovery: false,
        sessions: None,
        counts: Some(TagCounts {
            visible: 30_100_000,
            unmapped: match found.mode {
                Mode::Absent => 30_100_000,
                Mode::Background => 180_600,
                Mode::Complete | Mode::Other => 0,
            },
        }),
        server_version: "9.6.24".to_owned(),
        shown_as: "quaydb-1:5432/quay".to_owned(),
        unmapped_names: Vec::new(),
        size_bytes: Some(34_000_000_000),
    }
}

/// Gives a node a container beside its Quay, as it would stand there.
pub(crate) fn add_companion(facts: &mut ClusterFacts, node: &str, component: Component) {
    let survey = facts.nodes.get_mut(&node.parse::<NodeName>().unwrap()).unwrap();
    let quay = survey.quay_container().unwrap().clone();
    let place = quay.state.id.as_str()[..2].parse().unwrap();
    let (name, digit, image, repository) = match component {
        Component::Quay => panic!("every node has its Quay"),
        Component::Clair => ("clair", '4', "quay.io/coreos/clair-jwt:v2.0.7", "clair-jwt"),
        Component::Builder => {
            ("quay-builder", '5', "quay.io/coreos/quay-builder:v2.9.5", "quay-builder")
        }
        Component::Mirror => ("quay-mirror", '6', quay.image_reference.as_str(), "quay"),
    };
    let mut container = quay.clone();
    container.state.id = hex(digit, place).parse().unwrap();
    container.state.name = name.to_owned();
    container.image_reference = image.to_owned();
    container.spec = hex(digit, place).parse().unwrap();
    if component != Component::Mirror {
        container.state.image = format!("sha256:{}", hex(digit, 0)).parse().unwrap();
        container.effective_mode = None;
    }
    survey.facts.components.push(ComponentFacts {
        component,
        container_name: name.to_owned(),
        repositories: ["coreos", "redhat"].map(|of| format!("quay.io/{of}/{repository}")).to_vec(),
        container: Some(container),
        others: Vec::new(),
    });
}

/// The same after a window that stopped it and started no successor.
pub(crate) fn retire_companion(facts: &mut ClusterFacts, node: &str, component: Component) {
    let survey = facts.nodes.get_mut(&node.parse::<NodeName>().unwrap()).unwrap();
    let found = survey.facts.components.iter_mut().find(|facts| facts.component == component);
    let found = found.unwrap();
    let mut container = found.container.take().unwrap();
    container.owner_restart_policy = Some(container.state.restart_policy);
    container.state.restart_policy = RestartPolicy::No;
    container.state.status = ContainerStatus::Exited;
    container.state.finished_at = Some(survey_time());
    container.state.name = format!("{}.quaymaster-q69g5fav-old", found.container_name);
    found.others.push(container);
}

/// 64 digits that a reader can tell from others.
pub(crate) fn hex(digit: char, number: u8) -> String {
    format!("{number:02x}{}", digit.to_string().repeat(62))
}

/// The window from there to there.
pub(crate) fn window(number: u32, of: u32, from: (&str, Mode), to: (&str, Mode)) -> Window {
    let in_mode = |(release, mode): (&str, Mode)| ReleaseInMode { release: release.into(), mode };
    Window { number, of, from: in_mode(from), to: in_mode(to) }
}

/// What willing agents answer about a window.
pub(crate) fn answers(facts: &ClusterFacts, window: &Window) -> Answers {
    let changes = window.from.release != window.to.release;
    let mut answers = Answers::default();
    for ((name, survey), number) in facts.nodes.iter().zip(1..) {
        let ConfigFacts::Readable(config) = &survey.facts.config else { continue };
        let preview = Preview {
            config: Some(ConfigChange::Edit {
                from: config.sha256.clone(),
                to: hex('f', number).parse().unwrap(),
                line: 41,
                inserted: window.from.mode == Mode::Absent,
            }),
            spec: if changes { spec_findings() } else { Vec::new() },
            footing: Some(footing()),
        };
        answers.previews.insert((name.clone(), Component::Quay), Ok(preview));
        if changes {
            answers.images.insert((name.clone(), Component::Quay), Ok(resolved('e')));
        }
        for Companion { component, .. } in survey.companions() {
            let spec = companion_findings(component);
            let preview = Preview { config: None, spec, footing: None };
            answers.previews.insert((name.clone(), component), Ok(preview));
            if component != Component::Mirror {
                answers.images.insert((name.clone(), component), Ok(resolved('9')));
            }
        }
    }
    answers
}

/// As documented, with room everywhere.
fn footing() -> Footing {
    let sizes = [("logentry", 800_000_000), ("manifest", 40_000_000)];
    let sizes = sizes.map(|(table, bytes)| TableSize { table: table.to_owned(), bytes });
    Footing {
        config: ConfigFooting { testing: Some(false), ..ConfigFooting::default() },
        container: ContainerFooting {
            privileged: true,
            somaxconn: Some(4096),
            image_bytes: Some(1_200_000_000),
        },
        host: HostFooting {
            has_reserve: true,
            live_restore: Some(true),
            self_upgrading: Vec::new(),
        },
        redis_versions: vec!["3.2.12".to_owned()],
        database: Some(DatabaseFooting { has_trigrams: true, rewritten: sizes.into() }),
        storage: StorageFooting::default(),
    }
}

/// The storage is one directory, as every node says.
pub(crate) fn store(answers: &mut Answers, bytes: u64, files: u64, reflinks: bool) {
    let size = StorageSize { bytes, files, is_counted: true, reflinks };
    let directory = "/mnt/quay/storage/registry".to_owned();
    let place = StoragePlace::Local { directory, size: Some(size) };
    let location = StorageLocation { name: "default".to_owned(), place };
    let previews = answers.previews.values_mut().filter_map(|preview| preview.as_mut().ok());
    for footing in previews.filter_map(|preview| preview.footing.as_mut()) {
        footing.storage.locations = vec![location.clone()];
    }
}

fn resolved(digit: char) -> ResolvedImage {
    let digest = format!("sha256:{}", hex(digit, 0)).parse().unwrap();
    ResolvedImage::InRegistry { digest, present: None }
}

fn finding(verdict: SpecVerdict, subject: &str, reason: &str) -> SpecFinding {
    SpecFinding { verdict, subject: subject.to_owned(), reason: reason.to_owned() }
}

fn companion_findings(component: Component) -> Vec<SpecFinding> {
    match component {
        Component::Clair => vec![finding(
            SpecVerdict::Changed,
            "mount /config",
            "mounted at /clair/config too, where the next image looks for it",
        )],
        Component::Quay | Component::Builder | Component::Mirror => Vec::new(),
    }
}

fn spec_findings() -> Vec<SpecFinding> {
    vec![
        finding(SpecVerdict::Changed, "port 80/tcp", "listens on 8080 in the next container"),
        finding(SpecVerdict::Changed, "port 443/tcp", "listens on 8443 in the next container"),
        finding(SpecVerdict::Carried, "bind /conf/stack", "as it is"),
    ]
}

/// A plan of the window, as the coordinator makes it.
pub(crate) fn plan(cluster: &Cluster, facts: &ClusterFacts, window: &Window) -> Plan {
    plan_of(cluster, facts, window, &answers(facts, window))
}

/// The same with these answers.
pub(crate) fn plan_of(
    cluster: &Cluster,
    facts: &ClusterFacts,
    window: &Window,
    answers: &Answers,
) -> Plan {
    let catalogue = Catalogue::built_in();
    let (waived_backup, measured) = (None, &Measured::default());
    let catalogue = &catalogue;
    let situation =
        Situation { cluster, catalogue, facts, window, answers, waived_backup, measured };
    let reader = Reader { catalogue, mirrors: &cluster.mirrors };
    let findings = of_cluster(reader, facts).and(of_window(&situation));
    build(&situation, &findings).unwrap()
}
