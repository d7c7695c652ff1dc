//! What one side says is what the other side hears: domain -> wire -> domain
//! is the identity, for every message that carries an order or a fact.

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use prost::Message;
use quaymaster_proto::act::{
    EnsureRunning, EnsureStopped, Ground, Ordered, Promote, PutConfig, Recreate, RemoveStaged,
    RemoveStagedConfig, RestoreConfig, StageConfig, StageContainer, StartMigrating, TakeDown,
};
use quaymaster_proto::backup::{BackUp, CheckBackup, Restore};
use quaymaster_proto::database::{DatabaseIdentity, DatabaseLook, Session, TagCounts};
use quaymaster_proto::floor::{LowerFloor, SetFloor};
use quaymaster_proto::footing::{
    ConfigFooting, ContainerFooting, DatabaseFooting, Footing, HostFooting, TableSize,
};
use quaymaster_proto::health::{BackfillSample, HealthReport, HealthRoute, HealthVerdict};
use quaymaster_proto::image::ResolvedImage;
use quaymaster_proto::job::{JobReport, JobState, PullImage};
use quaymaster_proto::lease::{ClaimLease, Claimed, ReleaseLease, RunLedger};
use quaymaster_proto::node::{LedgerHead, NodeFacts};
use quaymaster_proto::preview::{ConfigChange, Preview, SpecFinding, SpecVerdict};
use quaymaster_proto::storage::{
    HookFooting, StorageFooting, StorageLocation, StoragePlace, StorageSize,
};
use quaymaster_proto::{Act, ActOutcome, Component, How, ImageId, InvalidField, Mode, wire};

mod values;

use values::{
    act, backup, component, container, database, digest, entry, floor, generation, lease, mode,
    mount_copy, node, ordered, policy, port_move, storage_order, time, words,
};

/// Over the wire as bytes, as between two processes.
fn over<W, T>(value: &T) -> T
where
    T: Clone + TryFrom<W, Error = InvalidField>,
    W: From<T> + Message + Default,
{
    let bytes = W::from(value.clone()).encode_to_vec();
    let message = W::decode(bytes.as_slice()).expect("what was encoded can be decoded");
    T::try_from(message).expect("what was valid stays valid")
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(
            "tests/round_trip.proptest-regressions",
        ))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_node(facts in node()) {
        prop_assert_eq!(over::<wire::NodeDescription, _>(&facts), facts);
    }

    #[test]
    fn container_orders(
        stage in ordered((component(), digest(""), digest(""), generation(), proptest::collection::vec(port_move(), 0..3), proptest::collection::vec(mount_copy(), 0..3), 1_u32..).prop_map(
            |(component, container, spec, generation, port_moves, mount_copies, attempt)| StageContainer { component, container, spec, generation, port_moves, mount_copies, attempt })),
        stop in ordered((component(), digest(""), generation(), 0_u32..=3600, policy()).prop_map(
            |(component, container, generation, grace_seconds, restart_policy)| EnsureStopped { component, container, generation, grace_seconds, restart_policy })),
        migrate in ordered((digest(""), generation(), database(), digest(""), proptest::collection::vec("[!-~]{1,20}", 0..3)).prop_map(
            |(container, generation, database, config, expected_sessions)| StartMigrating { container, generation, database, config, expected_sessions })),
        start in ordered((component(), digest(""), generation(), database(), digest("")).prop_map(
            |(component, container, generation, database, config)| {
                let ground = component.migrates().then_some(Ground { database, config });
                EnsureRunning { component, container, generation, ground }
            })),
        promote in ordered((component(), digest(""), generation(), policy()).prop_map(
            |(component, container, generation, restart_policy)| Promote { component, container, generation, restart_policy })),
    ) {
        prop_assert_eq!(over::<wire::StageContainerRequest, _>(&stage), stage);
        prop_assert_eq!(over::<wire::EnsureStoppedRequest, _>(&stop), stop);
        prop_assert_eq!(over::<wire::StartMigratingRequest, _>(&migrate), migrate);
        prop_assert_eq!(over::<wire::EnsureRunningRequest, _>(&start), start);
        prop_assert_eq!(over::<wire::PromoteRequest, _>(&promote), promote);
    }

    #[test]
    fn leases(
        act in act(),
        seen in proptest::option::of(lease()),
        held in lease(),
        entries in proptest::collection::vec(entry(), 0..3),
        bytes in proptest::collection::vec(any::<u8>(), 0..20),
    ) {
        let Act { cluster, run, epoch, step, plan } = act;
        let claim = ClaimLease {
            cluster: cluster.clone(), run, epoch, holder: held.holder.clone(), process: held.process,
            plan: plan.clone(), plan_bytes: bytes.clone(), seen,
        };
        prop_assert_eq!(over::<wire::ClaimLeaseRequest, _>(&claim), claim);
        let ledger = Some(LedgerHead { run, epoch, step, plan: plan.clone() });
        let claimed = Claimed { lease: held, ledger, last: entries.first().cloned() };
        prop_assert_eq!(over::<wire::ClaimLeaseReply, _>(&claimed), claimed);
        let release = ReleaseLease { cluster, run, epoch };
        prop_assert_eq!(over::<wire::ReleaseLeaseRequest, _>(&release), release);
        let read = RunLedger { run, plan, plan_bytes: bytes, epoch, entries };
        prop_assert_eq!(over::<wire::ReadLedgerReply, _>(&read), read);
    }

    #[test]
    fn floors_and_the_way_back(
        set in ordered((proptest::option::of(floor()), floor()).prop_map(|(from, to)| SetFloor { from, to })),
        lower in ordered((floor(), proptest::option::of(floor()), proptest::option::of(database())).prop_map(|(from, to, database)| LowerFloor { from, to, database })),
        restore in ordered((digest(""), digest("")).prop_map(|(from, to)| RestoreConfig { from, to })),
        file in ordered(digest("").prop_map(|staged| RemoveStagedConfig { staged })),
        staged in ordered((component(), proptest::option::of(digest(""))).prop_map(|(component, container)| RemoveStaged { component, container })),
        fresh in ordered((component(), digest(""), generation(), 1_u32..).prop_map(
            |(component, container, generation, attempt)| Recreate { component, container, generation, attempt })),
        down in ordered((component(), proptest::option::of(digest("")), generation(), 0_u32..=3600, any::<bool>()).prop_map(
            |(component, container, generation, grace_seconds, destroys_migration)| TakeDown {
                component, container, generation, grace_seconds, destroys_migration,
            })),
    ) {
        prop_assert_eq!(over::<wire::SetFloorRequest, _>(&set), set);
        prop_assert_eq!(over::<wire::LowerFloorRequest, _>(&lower), lower);
        prop_assert_eq!(over::<wire::RestoreConfigRequest, _>(&restore), restore);
        prop_assert_eq!(over::<wire::RemoveStagedConfigRequest, _>(&file), file);
        prop_assert_eq!(over::<wire::RemoveStagedRequest, _>(&staged), staged);
        prop_assert_eq!(over::<wire::RecreateRequest, _>(&fresh), fresh);
        prop_assert_eq!(over::<wire::TakeDownRequest, _>(&down), down);
    }

    #[test]
    fn config_orders_and_pulls(
        stage in ordered((digest(""), digest(""), mode()).prop_map(|(from, to, mode)| StageConfig { from, to, mode })),
        put in ordered((digest(""), digest("")).prop_map(|(from, to)| PutConfig { from, to })),
        pull in ordered(
            (component(), "[!-~]{1,20}", digest("sha256:"), proptest::option::of("[a-z0-9.]{1,9}")).prop_map(
                |(component, repository, digest, tag)| PullImage { component, repository, digest, tag })),
    ) {
        prop_assert_eq!(over::<wire::StageConfigRequest, _>(&stage), stage);
        prop_assert_eq!(over::<wire::PutConfigRequest, _>(&put), put);
        prop_assert_eq!(over::<wire::PullImageRequest, _>(&pull), pull);
    }

    #[test]
    fn backups_and_restores(
        back_up in ordered((database(), digest(""), storage_order()).prop_map(
            |(database, ran, storage)| BackUp { database, ran, storage })),
        restore in ordered((database(), digest(""), proptest::collection::vec("[ -~]{0,20}", 0..4)).prop_map(
            |(database, manifest, expected_sessions)| Restore {
                identity: database.identity, manifest, expected_sessions,
            })),
    ) {
        prop_assert_eq!(over::<wire::BackUpRequest, _>(&back_up), back_up);
        let check = Ordered {
            act: restore.act.clone(),
            order: CheckBackup {
                identity: restore.order.identity.clone(),
                manifest: restore.order.manifest.clone(),
            },
        };
        prop_assert_eq!(over::<wire::RestoreRequest, _>(&restore), restore);
        prop_assert_eq!(over::<wire::CheckBackupRequest, _>(&check), check);
    }

    #[test]
    fn answers(
        container in proptest::option::of(container()),
        changed in any::<bool>(),
        config in proptest::option::of(digest("")),
        engine_time in proptest::option::of(time()),
        image in digest("sha256:"),
        backup in backup(),
        bytes in any::<(u64, u64)>(),
        problem in words(),
        note in words(),
    ) {
        let how = if changed { How::Changed } else { How::Already };
        let outcome = ActOutcome { how, container, config, engine_time };
        prop_assert_eq!(over::<wire::ActReply, _>(&outcome), outcome);
        for state in [
            JobState::Running,
            JobState::Done { image },
            JobState::BackedUp(Box::new(backup)),
            JobState::Restored { rows: 0 },
            JobState::Failed { problem },
            JobState::Cancelled,
        ] {
            let (done_bytes, total_bytes) = bytes;
            let (id, note) = ("1".to_owned(), note.clone());
            let report = JobReport { id, state, done_bytes, total_bytes, note };
            prop_assert_eq!(over::<wire::JobReport, _>(&report), report);
        }
    }

    #[test]
    fn images(
        digest in digest("sha256:"),
        image in digest("sha256:"),
        is_present in any::<bool>(),
        silence in "[ -~]{1,40}",
    ) {
        let image: ImageId = image;
        let present = is_present.then(|| image.clone());
        for resolved in [
            ResolvedImage::InRegistry { digest, present },
            ResolvedImage::OnNode { image, silence },
        ] {
            prop_assert_eq!(over::<wire::ResolveImageReply, _>(&resolved), resolved);
        }
    }

    #[test]
    fn looks(
        at in time(),
        container in proptest::option::of(container()),
        status in proptest::option::of(100_u16..600),
        services in proptest::collection::btree_map(words(), any::<bool>(), 0..4),
        problem in "[!-~]{1,12}",
        mode in proptest::option::of(mode()),
        numbers in any::<(i64, i64)>(),
        sized in any::<Option<u64>>(),
        sessions in proptest::option::of(proptest::collection::vec(
            (any::<i64>(), words(), words(), words(), proptest::option::of(time())).prop_map(
                |(pid, user, application, address, since)| Session { pid, user, application, address, since }), 0..3)),
    ) {
        let instance = HealthRoute { status, services, problem: problem.clone() };
        for verdict in [HealthVerdict::Healthy, HealthVerdict::Unhealthy, HealthVerdict::Down] {
            let report = HealthReport {
                at,
                container: container.clone(),
                instance: instance.clone(),
                endtoend: HealthRoute::default(),
                verdict,
                effective_mode: mode,
            };
            prop_assert_eq!(over::<wire::HealthReport, _>(&report), report);
        }
        let (tags_remaining, total_tags) = numbers;
        let counted = BackfillSample::Counted { at, progress: 1.005, tags_remaining, total_tags };
        prop_assert_eq!(over::<wire::BackfillSample, _>(&counted), counted);
        let no_count = BackfillSample::NoCount { at, status, problem: problem.clone() };
        prop_assert_eq!(over::<wire::BackfillSample, _>(&no_count), no_count);
        let look = DatabaseLook {
            at,
            identity: DatabaseIdentity::new(problem.clone()).expect("not empty"),
            kind: "postgresql".to_owned(),
            revision: String::new(),
            in_recovery: true,
            sessions,
            counts: Some(TagCounts { visible: numbers.0, unmapped: numbers.1 }),
            server_version: problem.clone(),
            shown_as: problem.clone(),
            unmapped_names: vec![problem],
            size_bytes: sized,
        };
        prop_assert_eq!(over::<wire::DatabaseLook, _>(&look), look);
    }

    #[test]
    fn previews(from in digest(""), to in digest(""), line in any::<u32>(), inserted in any::<bool>(), reason in "[!-~]{1,12}") {
        let edit = ConfigChange::Edit { from, to, line, inserted };
        for config in [Some(edit), Some(ConfigChange::Refused { reason: reason.clone() }), None] {
            let spec = [SpecVerdict::Carried, SpecVerdict::Changed, SpecVerdict::Dropped, SpecVerdict::Refused]
                .map(|verdict| SpecFinding { verdict, subject: reason.clone(), reason: reason.clone() })
                .to_vec();
            let preview = Preview { config, spec, footing: Some(footing(&reason, inserted, line)) };
            prop_assert_eq!(over::<wire::PreviewReply, _>(&preview), preview);
        }
    }
}

fn footing(text: &str, flag: bool, number: u32) -> Footing {
    let number = u64::from(number);
    let size = TableSize { table: text.to_owned(), bytes: number };
    Footing {
        config: ConfigFooting {
            testing: Some(flag),
            https: flag,
            external_tls: !flag,
            tls_key: flag,
            percent_in_database_uri: !flag,
        },
        container: ContainerFooting {
            privileged: flag,
            somaxconn: Some(number),
            image_bytes: Some(number),
        },
        host: HostFooting {
            has_reserve: flag,
            live_restore: Some(!flag),
            self_upgrading: vec![text.to_owned()],
        },
        redis_versions: vec![text.to_owned()],
        database: flag.then(|| DatabaseFooting { has_trigrams: flag, rewritten: vec![size] }),
        storage: storage(text, flag, number),
    }
}

fn storage(text: &str, flag: bool, number: u64) -> StorageFooting {
    let size = StorageSize { bytes: number, files: number, is_counted: flag, reflinks: !flag };
    let (directory, path) = (text.to_owned(), text.to_owned());
    let places = [
        StoragePlace::Local { directory, size: flag.then_some(size) },
        StoragePlace::Unseen { path, problem: text.to_owned() },
        StoragePlace::Elsewhere { driver: text.to_owned() },
    ];
    let location = |place| StorageLocation { name: text.to_owned(), place };
    let hook = match number % 3 {
        0 => HookFooting::Unnamed,
        1 => HookFooting::Ready,
        _ => HookFooting::Unusable { problem: text.to_owned() },
    };
    StorageFooting { locations: places.map(location).into(), hook }
}

/// An empty message is refused by the name of what is missing, never guessed.
#[test]
fn what_is_missing_is_named() {
    let order = Ordered::<StartMigrating>::try_from(wire::StartMigratingRequest::default());
    assert_eq!(order.unwrap_err().to_string(), "field `container_id`: is missing");
    let node = NodeFacts::try_from(wire::NodeDescription::default());
    assert_eq!(node.unwrap_err().to_string(), "field `cluster`: is missing");
    let act = Act::try_from(wire::Act { cluster: "prod".into(), ..Default::default() });
    assert_eq!(act.unwrap_err().to_string(), "field `run`: is missing");
}

/// Only what reads a database proves one, and it always does.
#[test]
fn a_start_has_the_ground_that_its_component_needs() {
    let id = "a".repeat(64);
    let generation =
        wire::Generation { image_id: format!("sha256:{id}"), mode: Mode::Absent.to_wire() };
    let start = |component: Component, config_sha256: &str| {
        let message = wire::EnsureRunningRequest {
            component: component.to_wire(),
            container_id: id.clone(),
            generation: Some(generation.clone()),
            config_sha256: config_sha256.to_owned(),
            ..Default::default()
        };
        Ordered::<EnsureRunning>::try_from(message).unwrap_err().to_string()
    };
    assert_eq!(start(Component::Mirror, &id), "field `database`: is missing");
    assert_eq!(start(Component::Quay, ""), "field `database`: is missing");
    assert_eq!(start(Component::Clair, &id), "field `database`: a clair proves no database");
    assert_eq!(start(Component::Builder, ""), "field `act`: is missing");
}

#[test]
fn a_grace_beyond_an_hour_is_refused() {
    let message = wire::EnsureStoppedRequest { grace_seconds: 3601, ..Default::default() };
    let error = Ordered::<EnsureStopped>::try_from(message).unwrap_err();
    assert_eq!(error.to_string(), "field `grace_seconds`: 3601 s is more than 3600 s");
}
