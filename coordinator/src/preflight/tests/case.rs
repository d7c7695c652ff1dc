//! A cluster of three, healthy and willing until a test spoils it; and for
//! every code a way to spoil it.

use quaymaster_proto::backup::BackupFacts;
use quaymaster_proto::database::{DatabaseIdentity, DatabaseLook};
use quaymaster_proto::footing::Footing;
use quaymaster_proto::node::{
    ConfigFacts, ContainerFacts, OtherStarter, PublishedPort, ReadableConfig,
};
use quaymaster_proto::preview::{ConfigChange, Preview, SpecFinding, SpecVerdict};
use quaymaster_proto::storage::{StorageLocation, StoragePlace, StorageSize};
use quaymaster_proto::{Component, ContainerStatus, Mode, NodeName};

use crate::catalogue::Catalogue;
use crate::cluster::{Cluster, StorageBackup};
use crate::measured::Measured;
use crate::nodes::ResolvedImage;
use crate::plan::Window;
use crate::plan::situation::{Answers, RegistryAnswer, Situation, Unanswered};
use crate::preflight::{Code, Findings, of_cluster, of_window};
use crate::survey::{ClusterFacts, DatabaseAnswer, NodeSurvey, Reader, fixture};

pub(super) struct Case {
    pub(super) cluster: Cluster,
    catalogue: Catalogue,
    pub(super) facts: ClusterFacts,
    window: Window,
    pub(super) answers: Answers,
    pub(super) waived_backup: Option<&'static str>,
}

pub(super) fn name(number: u8) -> NodeName {
    format!("quay-{number}").parse().unwrap()
}

impl Case {
    pub(super) fn on_2_9_5() -> Self {
        let window = fixture::window(1, 2, ("2.9.5", Mode::Absent), ("3.0.5", Mode::Background));
        Self::new(fixture::on_2_9_5, window)
    }

    pub(super) fn on_background() -> Self {
        let (from, to) = (("3.0.5", Mode::Background), ("3.0.5", Mode::Complete));
        Self::new(fixture::on_background, fixture::window(2, 2, from, to))
    }

    fn new(facts: fn(&Cluster) -> ClusterFacts, window: Window) -> Self {
        let cluster = fixture::cluster(3);
        let facts = facts(&cluster);
        let answers = fixture::answers(&facts, &window);
        let catalogue = Catalogue::built_in();
        Self { cluster, catalogue, facts, window, answers, waived_backup: None }
    }

    pub(super) fn findings(&self) -> Findings {
        let catalogue = &self.catalogue;
        let reader = Reader { catalogue, mirrors: &self.cluster.mirrors };
        let situation = Situation {
            cluster: &self.cluster,
            catalogue,
            facts: &self.facts,
            window: &self.window,
            answers: &self.answers,
            waived_backup: self.waived_backup,
            measured: &Measured::default(),
        };
        of_cluster(reader, &self.facts).and(of_window(&situation))
    }

    pub(super) fn node(&mut self, number: u8) -> &mut NodeSurvey {
        self.facts.nodes.get_mut(&name(number)).unwrap()
    }

    /// These nodes reach no registry, and have an image of that digit.
    pub(super) fn load(&mut self, nodes: &[(u8, char)]) {
        for (number, digit) in nodes {
            let image = format!("sha256:{}", fixture::hex(*digit, 0)).parse().unwrap();
            let silence = "lookup quay.io: no such host".to_owned();
            let resolved = ResolvedImage::OnNode { image, silence };
            self.answers.images.insert((name(*number), Component::Quay), Ok(resolved));
        }
    }

    pub(super) fn container(&mut self, number: u8) -> &mut ContainerFacts {
        self.node(number).facts.components[0].container.as_mut().unwrap()
    }

    pub(super) fn config(&mut self, number: u8) -> &mut ReadableConfig {
        match &mut self.node(number).facts.config {
            ConfigFacts::Readable(config) => config,
            ConfigFacts::Unusable { .. } => panic!("the fixture's config is readable"),
        }
    }

    pub(super) fn preview(&mut self, number: u8) -> &mut Preview {
        let key = (name(number), Component::Quay);
        self.answers.previews.get_mut(&key).unwrap().as_mut().unwrap()
    }

    pub(super) fn backup(&mut self, number: u8) -> &mut BackupFacts {
        self.node(number).facts.backup.as_mut().unwrap()
    }

    /// Every node's look at a server that is MySQL or MariaDB.
    pub(super) fn on_mysql(&mut self, version: &str) {
        for number in 1..=3 {
            let look = self.look(number);
            look.kind = "mysql".into();
            look.server_version = version.into();
        }
    }

    pub(super) fn footing(&mut self, number: u8) -> &mut Footing {
        self.preview(number).footing.as_mut().unwrap()
    }

    /// One more location of the storage.
    pub(super) fn store(&mut self, place: StoragePlace) {
        for number in 1..=3 {
            let locations = &mut self.footing(number).storage.locations;
            let name = format!("location-{}", locations.len());
            locations.push(StorageLocation { name, place: place.clone() });
        }
    }

    pub(super) fn look(&mut self, number: u8) -> &mut DatabaseLook {
        match &mut self.node(number).database {
            DatabaseAnswer::Looked(look) => look,
            DatabaseAnswer::Problem(problem) => panic!("{problem}"),
        }
    }

    /// A companion with the Quay's own container, but for what is changed.
    fn companion(&mut self, component: Component, change: impl FnOnce(&mut ContainerFacts)) {
        let mut facts = self.node(2).facts.components[0].clone();
        facts.component = component;
        facts.container_name = component.to_string();
        let container = facts.container.as_mut().unwrap();
        container.state.id = fixture::hex('e', 2).parse().unwrap();
        container.state.name = component.to_string();
        change(container);
        self.node(2).facts.components.push(facts);
    }
}

/// A directory of 40 GB.
pub(super) fn local(directory: &str) -> StoragePlace {
    let (bytes, files, is_counted, reflinks) = (40_000_000_000, 90_000, true, false);
    let size = StorageSize { bytes, files, is_counted, reflinks };
    StoragePlace::Local { directory: directory.to_owned(), size: Some(size) }
}

/// What is known of releases, were it known of no builder of 3.0.5.
fn without_builders() -> Catalogue {
    let built_in = include_str!("../../releases.yaml");
    let (old, new) = built_in.split_once("- release: 3.0.5").unwrap();
    let (before, builder) = new.split_once("      builder:\n").unwrap();
    let (_, after) = builder.split_once("    ports:").unwrap();
    let grace = "      builder: { grace: 10s, burns_grace: false }\n";
    let after = after.replacen(grace, "", 1);
    Catalogue::parse(&format!("{old}- release: 3.0.5{before}    ports:{after}")).unwrap()
}

/// A code, the cluster that is spoiled, and how.
pub(super) type Spoiled = (Code, fn() -> Case, fn(&mut Case));

/// Every way to spoil it.
pub(super) fn all() -> impl Iterator<Item = &'static Spoiled> {
    [
        NODES,
        RUNNING,
        CONTAINERS,
        DOCUMENTED,
        COMPANIONS,
        CONFIGS,
        DATABASES,
        IMAGES,
        BACKUPS,
        VERIFICATION,
    ]
    .into_iter()
    .flatten()
}

const BEFORE: fn() -> Case = Case::on_2_9_5;
const BETWEEN: fn() -> Case = Case::on_background;

pub(super) const NODES: &[Spoiled] = &[
    (Code::WrongAgent, BEFORE, |case| {
        case.node(2).facts.cluster = "test".parse().unwrap();
        case.node(2).facts.node = name(7);
    }),
    (Code::EngineTooOld, BEFORE, |case| case.node(2).facts.engine.api_version = "1.39".into()),
    (Code::RestartPolicyFixed, BEFORE, |case| {
        case.node(2).facts.engine.name = "Podman".into();
        case.node(2).facts.engine.version = "4.3.1".into();
    }),
    (Code::CertificateEnds, BEFORE, |case| {
        case.node(2).facts.certificate_not_after = fixture::survey_time();
    }),
    (Code::ClockSkew, BEFORE, |case| {
        case.node(2).facts.now = "2026-11-22T02:10:45.5Z".parse().unwrap();
    }),
    (Code::PollShort, BEFORE, |case| {
        case.cluster.timings.backfill.poll = std::time::Duration::from_secs(1);
    }),
    (Code::LiveRestoreOff, BETWEEN, |case| case.footing(2).host.live_restore = Some(false)),
    (Code::EngineUpgradesItself, BETWEEN, |case| {
        case.footing(2).host.self_upgrading = vec!["containerd".into(), "docker.io".into()];
    }),
    (Code::NoRoomForImages, BEFORE, |case| {
        case.node(2).facts.free_bytes_engine = Some(2_300_000_000);
    }),
    (Code::NoRoomForConfig, BETWEEN, |case| case.node(2).facts.free_bytes_config = Some(8192)),
    (Code::NoReserve, BETWEEN, |case| case.footing(2).host.has_reserve = false),
];

pub(super) const RUNNING: &[Spoiled] = &[
    (Code::NoQuay, BEFORE, |case| case.node(2).facts.components.clear()),
    (Code::NoContainer, BEFORE, |case| case.node(2).facts.components[0].container = None),
    (Code::QuayNotRunning, BEFORE, |case| {
        case.container(2).state.status = ContainerStatus::Exited;
    }),
    (Code::UnknownRelease, BEFORE, |case| {
        case.container(2).image_reference = "quay.io/coreos/quay:v2.9.2".into();
        case.container(2).image_tags.clear();
    }),
    (Code::NoMode, BETWEEN, |case| case.container(2).effective_mode = None),
    (Code::OddMode, BETWEEN, |case| case.container(2).effective_mode = Some(Mode::Other)),
    (Code::MixedGenerations, BETWEEN, |case| {
        case.container(2).effective_mode = Some(Mode::Complete);
    }),
];

pub(super) const CONTAINERS: &[Spoiled] = &[
    (Code::OtherStarter, BEFORE, |case| {
        let starter = |what: &str, remedy: &str| OtherStarter {
            what: what.to_owned(),
            remedy: remedy.to_owned(),
        };
        case.container(2).other_starters = vec![
            starter(
                "systemd unit `quay.service` (enabled; `docker start`)",
                "systemctl disable --now quay.service && mv /etc/systemd/system/quay.service \
                 /root/ && systemctl daemon-reload && docker start quay",
            ),
            starter(
                "`--rm`, by which the engine removes it when it ends",
                "create the container anew with docker run --detach --restart always, without --rm",
            ),
        ];
    }),
    (Code::StrayContainer, BEFORE, |case| {
        let mut stray = case.container(2).clone();
        stray.state.name = "quay.quaymaster-0123abcd-next".into();
        case.node(2).facts.components[0].others.push(stray);
    }),
    (Code::OverrideSetsMode, BEFORE, |case| {
        case.container(2).has_override_config = true;
        case.container(2).override_mode = Some(Mode::Complete);
    }),
    (Code::OverrideConfig, BEFORE, |case| case.container(2).has_override_config = true),
    (Code::ContainerNotCarried, BEFORE, |case| {
        case.preview(2).spec.push(SpecFinding {
            verdict: SpecVerdict::Refused,
            subject: "volume /datastorage".into(),
            reason: "is anonymous; its data would stay behind".into(),
        });
    }),
    (Code::NoPreview, BEFORE, |case| {
        let problem = "the engine does not answer".into();
        let remedy = "systemctl status docker".into();
        let unanswered = Unanswered { problem, remedy };
        case.answers.previews.insert((name(2), Component::Quay), Err(unanswered));
    }),
];

pub(super) const DOCUMENTED: &[Spoiled] = &[
    (Code::NotPrivileged, BEFORE, |case| {
        for number in [1, 3] {
            case.footing(number).container.privileged = false;
        }
    }),
    (Code::SomaxconnLow, BEFORE, |case| {
        case.footing(1).container.somaxconn = None;
        case.footing(3).container.somaxconn = Some(128);
    }),
    (Code::PortWithoutListener, BEFORE, |case| {
        let ports = &mut case.container(2).ports;
        for port in [8443, 9092] {
            ports.push(PublishedPort { container_port: port, host_port: port, ..ports[0].clone() });
        }
        // The same once more, as an engine shows it for IPv6.
        ports.push(PublishedPort { host_address: "::".into(), ..ports[2].clone() });
    }),
];

pub(super) const COMPANIONS: &[Spoiled] = &[
    (Code::CompanionMissing, BEFORE, |case| {
        case.companion(Component::Builder, |_| {});
        case.node(2).facts.components[1].container = None;
    }),
    (Code::CompanionNotRunning, BEFORE, |case| {
        case.companion(Component::Builder, |builder| {
            builder.state.status = ContainerStatus::Exited;
        });
    }),
    (Code::MirrorOtherImage, BEFORE, |case| {
        case.companion(Component::Mirror, |mirror| {
            mirror.state.image = format!("sha256:{}", fixture::hex('9', 0)).parse().unwrap();
        });
    }),
    (Code::NoSuccessor, BETWEEN, |case| {
        case.companion(Component::Builder, |_| {});
        case.catalogue = without_builders();
    }),
];

pub(super) const CONFIGS: &[Spoiled] = &[
    (Code::ConfigUnusable, BEFORE, |case| {
        case.node(2).facts.config = ConfigFacts::Unusable {
            path: "/mnt/quay/config/config.yaml".into(),
            problem: "V3_UPGRADE_MODE is there twice: lines 4 and 9".into(),
        };
    }),
    (Code::SetupIncomplete, BEFORE, |case| case.config(2).setup_complete = false),
    (Code::ConfigDiffers, BEFORE, |case| {
        case.config(2).keyed_values.insert("DB_URI".into(), "other".into());
        case.config(3).keyed_values.remove("SERVER_HOSTNAME");
        case.config(1).keyed_values.insert("file:ssl.key".into(), "digest".into());
    }),
    (Code::ConfigNotAsItRuns, BETWEEN, |case| case.config(2).mode = Mode::Complete),
    (Code::ConfigNotCompared, BEFORE, |case| {
        (1..=3).for_each(|number| case.config(number).keyed_values.clear());
    }),
    (Code::ConfigNotEditable, BEFORE, |case| {
        case.preview(2).config =
            Some(ConfigChange::Refused { reason: "its root is in flow style".into() });
    }),
    (Code::TestingOn, BETWEEN, |case| case.footing(2).config.testing = Some(true)),
    (Code::TestingUnset, BETWEEN, |case| {
        for number in [1, 2, 3] {
            case.footing(number).config.testing = None;
        }
    }),
    (Code::TlsNowhere, BETWEEN, |case| case.footing(2).config.https = true),
    (Code::PercentInDatabaseUri, BEFORE, |case| {
        for number in [1, 2, 3] {
            case.footing(number).config.percent_in_database_uri = true;
        }
    }),
];

pub(super) const DATABASES: &[Spoiled] = &[
    (Code::DatabaseUnreadable, BEFORE, |case| {
        case.node(2).database = DatabaseAnswer::Problem("connection refused".into());
    }),
    (Code::SeveralDatabases, BEFORE, |case| {
        case.look(2).identity = DatabaseIdentity::new("postgresql:1:1").unwrap();
        case.look(2).shown_as = "quaydb-2:5432/quay".into();
    }),
    (Code::DatabaseInRecovery, BEFORE, |case| case.look(2).in_recovery = true),
    (Code::WrongRevision, BEFORE, |case| {
        (1..=3).for_each(|number| case.look(number).revision = "c00a1f15968b".into());
    }),
    (Code::NoTrigrams, BEFORE, |case| {
        case.footing(1).database.as_mut().unwrap().has_trigrams = false;
    }),
    (Code::TablesRewritten, BEFORE, |case| {
        case.footing(1).database.as_mut().unwrap().rewritten[0].bytes = 91_230_000_000;
    }),
    (Code::PostgresqlOld, BEFORE, |case| {
        (1..=3).for_each(|number| case.look(number).server_version = "9.5.24".into());
    }),
    (Code::RedisOld, BETWEEN, |case| case.footing(2).redis_versions.push("3.0.7".into())),
];

pub(super) const IMAGES: &[Spoiled] = &[
    (Code::ImagesDiffer, BETWEEN, |case| {
        case.container(2).state.image = format!("sha256:{}", fixture::hex('9', 0)).parse().unwrap();
    }),
    (Code::RepositoryNotAllowed, BEFORE, |case| {
        for number in [2, 3] {
            case.node(number).facts.components[0].repositories.pop();
        }
    }),
    (Code::ImageUnavailable, BEFORE, |case| {
        let problem = "manifest unknown".into();
        let unanswered = Unanswered { problem, remedy: String::new() };
        case.answers.images.insert((name(2), Component::Quay), Err(unanswered));
    }),
    (Code::ImageAmbiguous, BEFORE, |case| {
        let digest = format!("sha256:{}", fixture::hex('7', 0)).parse().unwrap();
        let other = ResolvedImage::InRegistry { digest, present: None };
        case.answers.images.insert((name(2), Component::Quay), Ok(other));
    }),
    (Code::ImageLoaded, BEFORE, |case| case.load(&[(1, 'a'), (2, 'a'), (3, 'a')])),
    (Code::ImageNotEverywhere, BEFORE, |case| case.load(&[(1, 'a'), (2, 'b'), (3, 'a')])),
];

pub(super) const BACKUPS: &[Spoiled] = &[
    (Code::BackupNotConfigured, BEFORE, |case| case.node(1).facts.backup = None),
    (Code::BackupNotWritable, BEFORE, |case| {
        case.backup(1).problem = "cannot look at `/var/backups/quaymaster`".into();
    }),
    (Code::BackupNoRoom, BEFORE, |case| case.backup(1).free_bytes = Some(17_000_000_000)),
    (Code::BackupNoProgram, BEFORE, |case| case.backup(1).dump_versions = Vec::new()),
    (Code::BackupProgramOld, BEFORE, |case| {
        case.backup(1).dump_versions = ["9.2.24", "9.5.3"].map(str::to_owned).to_vec();
    }),
    (Code::BackupProgramOther, BEFORE, |case| {
        case.on_mysql("5.7.44-log");
        case.backup(1).mysql_dump_versions = vec!["MariaDB 10.11.6".into()];
    }),
    (Code::StorageNotBackedUp, BEFORE, |case| {
        case.backup(2).newest = Some(fixture::survey_time());
        case.store(local("/mnt/quay/storage"));
        case.store(StoragePlace::Elsewhere { driver: "RadosGWStorage".into() });
    }),
    (Code::StorageNotLocal, BETWEEN, |case| {
        case.cluster.storage = Some(StorageBackup::Copy);
        case.store(StoragePlace::Elsewhere { driver: "S3Storage".into() });
    }),
    (Code::StorageNotSeen, BETWEEN, |case| {
        case.cluster.storage = Some(StorageBackup::Copy);
        let path = "/datastorage/registry".into();
        let problem = "`/datastorage/registry` of Quay's container is no directory of this host";
        case.store(StoragePlace::Unseen { path, problem: problem.into() });
    }),
    (Code::StorageHookMissing, BETWEEN, |case| {
        case.cluster.storage = Some(StorageBackup::Hook);
    }),
    (Code::BackupWaived, BETWEEN, |case| {
        case.node(1).facts.backup = None;
        case.waived_backup = Some("a snapshot of the storage was taken at 01:50");
    }),
];

pub(super) const VERIFICATION: &[Spoiled] = &[
    (Code::VerificationNotReady, BEFORE, |case| {
        let problem = "quay-1: the login of ops+verify is refused: Invalid Username".into();
        let remedy = "put the present robot token of ops+verify into its file".into();
        let why = Unanswered { problem, remedy };
        case.answers.registry = Some(RegistryAnswer::NotReady(why));
    }),
    (Code::VerificationInPart, BETWEEN, |case| {
        case.answers.registry = Some(RegistryAnswer::InPart);
    }),
];
