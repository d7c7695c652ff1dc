//! Values of the words and messages, at random.

use std::collections::BTreeMap;
use std::fmt::Debug;

use jiff::Timestamp;
use proptest::prelude::*;
use quaymaster_proto::act::{ExpectedDatabase, Ordered};
use quaymaster_proto::backup::{Backup, BackupFacts};
use quaymaster_proto::database::DatabaseIdentity;
use quaymaster_proto::job::{JobReport, JobState};
use quaymaster_proto::lease::{LedgerEnd, LedgerEntry};
use quaymaster_proto::node::{
    ComponentFacts, ConfigFacts, ContainerFacts, EngineFacts, LedgerHead, NodeFacts, OtherStarter,
    PublishedPort, ReadableConfig,
};
use quaymaster_proto::storage::{KeptStorage, StorageOrder};
use quaymaster_proto::{
    Act, ActOutcome, Below, Component, ContainerState, ContainerStatus, Epoch, Floor, Generation,
    How, Lease, Mode, MountCopy, PortMove, Reason, Refusal, RestartPolicy, RunId, StepNumber,
};
use ulid::Ulid;

pub(crate) fn hex(length: usize) -> impl Strategy<Value = String> {
    proptest::collection::vec(prop::sample::select(b"0123456789abcdef".to_vec()), length)
        .prop_map(|digits| String::from_utf8(digits).expect("hex digits are text"))
}

/// Any value of a type whose text is this many hex digits after a prefix.
pub(crate) fn digest<T>(prefix: &'static str) -> impl Strategy<Value = T>
where
    T: std::str::FromStr + Debug,
    T::Err: Debug,
{
    hex(64).prop_map(move |digits| format!("{prefix}{digits}").parse().expect("a valid digest"))
}

pub(crate) fn words() -> impl Strategy<Value = String> {
    "[ -~é]{0,12}"
}

pub(crate) fn name<T>() -> impl Strategy<Value = T>
where
    T: std::str::FromStr + Debug,
    T::Err: Debug,
{
    "[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?".prop_map(|text| text.parse().expect("a valid name"))
}

pub(crate) fn time() -> impl Strategy<Value = Timestamp> {
    (0_i64..4_000_000_000, 0_i32..1_000_000_000)
        .prop_map(|(seconds, nanos)| Timestamp::new(seconds, nanos).expect("a valid time"))
}

pub(crate) fn component() -> impl Strategy<Value = Component> {
    prop::sample::select(vec![
        Component::Quay,
        Component::Clair,
        Component::Builder,
        Component::Mirror,
    ])
}

pub(crate) fn mode() -> impl Strategy<Value = Mode> {
    prop::sample::select(vec![Mode::Absent, Mode::Background, Mode::Complete, Mode::Other])
}

pub(crate) fn generation() -> impl Strategy<Value = Generation> {
    (digest("sha256:"), mode()).prop_map(|(image, mode)| Generation { image, mode })
}

pub(crate) fn policy() -> impl Strategy<Value = RestartPolicy> {
    prop_oneof![
        Just(RestartPolicy::No),
        Just(RestartPolicy::Always),
        Just(RestartPolicy::UnlessStopped),
        any::<u32>()
            .prop_map(|maximum_retry_count| RestartPolicy::OnFailure { maximum_retry_count }),
    ]
}

pub(crate) fn status() -> impl Strategy<Value = ContainerStatus> {
    prop::sample::select(vec![
        ContainerStatus::Created,
        ContainerStatus::Running,
        ContainerStatus::Paused,
        ContainerStatus::Restarting,
        ContainerStatus::Removing,
        ContainerStatus::Exited,
        ContainerStatus::Dead,
    ])
}

pub(crate) fn container() -> impl Strategy<Value = ContainerState> {
    let times = (proptest::option::of(time()), proptest::option::of(time()));
    (digest(""), words(), status(), times, any::<(i64, i64)>(), policy(), digest("sha256:"))
        .prop_map(|(id, name, status, times, numbers, restart_policy, image)| ContainerState {
            id,
            name,
            status,
            started_at: times.0,
            finished_at: times.1,
            exit_code: numbers.0,
            restart_count: numbers.1,
            restart_policy,
            image,
        })
}

pub(crate) fn act() -> impl Strategy<Value = Act> {
    (name(), any::<u128>(), 1_u64.., 1_u32.., digest("")).prop_map(
        |(cluster, run, epoch, step, plan)| Act {
            cluster,
            run: RunId::new(Ulid(run)),
            epoch: Epoch::new(epoch).expect("not zero"),
            step: StepNumber::new(step).expect("not zero"),
            plan,
        },
    )
}

pub(crate) fn ordered<T: Debug>(
    order: impl Strategy<Value = T>,
) -> impl Strategy<Value = Ordered<T>> {
    (act(), order).prop_map(|(act, order)| Ordered { act, order })
}

pub(crate) fn database() -> impl Strategy<Value = ExpectedDatabase> {
    ("[!-~]{1,20}", proptest::collection::vec("[0-9a-f]{12}", 1..3)).prop_map(
        |(identity, revisions)| ExpectedDatabase {
            identity: DatabaseIdentity::new(identity).expect("not empty"),
            revisions,
        },
    )
}

pub(crate) fn mount_copy() -> impl Strategy<Value = MountCopy> {
    ("/[a-z/]{1,12}", "/[a-z/]{1,12}").prop_map(|(from, to)| MountCopy { from, to })
}

pub(crate) fn port_move() -> impl Strategy<Value = PortMove> {
    any::<(u16, u16)>().prop_map(|(from, to)| PortMove { from, to })
}

pub(crate) fn container_facts() -> impl Strategy<Value = ContainerFacts> {
    let lists = || proptest::collection::vec(words(), 0..3);
    let modes = (proptest::option::of(mode()), any::<bool>(), proptest::option::of(mode()));
    let ports = proptest::collection::vec(
        (any::<(u16, u16)>(), words(), words()).prop_map(|(ports, protocol, host_address)| {
            PublishedPort { container_port: ports.0, protocol, host_address, host_port: ports.1 }
        }),
        0..3,
    );
    let starter = (words(), words()).prop_map(|(what, remedy)| OtherStarter { what, remedy });
    let starters = proptest::collection::vec(starter, 0..3);
    let texts = (words(), lists(), lists(), lists(), starters);
    let labels = proptest::collection::btree_map(words(), words(), 0..3);
    (container(), texts, digest(""), ports, labels, modes).prop_map(
        |(state, texts, spec, ports, labels, modes)| ContainerFacts {
            state,
            image_reference: texts.0,
            image_tags: texts.1,
            image_digests: texts.2,
            spec,
            ports,
            environment_names: texts.3,
            labels,
            override_mode: modes.0,
            has_override_config: modes.1,
            effective_mode: modes.2,
            other_starters: texts.4,
            owner_restart_policy: None,
        },
    )
}

pub(crate) fn lease() -> impl Strategy<Value = Lease> {
    (act(), words(), time(), any::<u128>()).prop_map(|(act, holder, since, process)| Lease {
        run: act.run,
        epoch: act.epoch,
        holder,
        since,
        process: Ulid(process),
        plan: act.plan,
    })
}

pub(crate) fn floor() -> impl Strategy<Value = Floor> {
    let below = (digest("sha256:"), proptest::option::of(mode()))
        .prop_map(|(image, mode)| Below { image, mode });
    (generation(), proptest::collection::vec(below, 0..3))
        .prop_map(|(generation, below)| Floor { generation, below })
}

pub(crate) fn entry() -> impl Strategy<Value = LedgerEntry> {
    let met = container().prop_map(|container| {
        LedgerEnd::Met(ActOutcome {
            how: How::Changed,
            container: Some(container),
            config: None,
            engine_time: None,
        })
    });
    let job = digest("sha256:").prop_map(|image| {
        LedgerEnd::Job(JobReport {
            id: "1".to_owned(),
            state: JobState::Done { image },
            done_bytes: 1,
            total_bytes: 1,
            note: String::new(),
        })
    });
    let refused =
        words().prop_map(|message| LedgerEnd::Refused(Refusal::new(Reason::Lease, message)));
    (act(), time(), proptest::option::of(prop_oneof![met, job, refused]))
        .prop_map(|(act, at, end)| LedgerEntry { step: act.step, epoch: act.epoch, at, end })
}

pub(crate) fn config() -> impl Strategy<Value = ConfigFacts> {
    let numbers = any::<(u64, u32, u32, u32)>();
    let readable = (words(), digest(""), numbers, words(), mode(), any::<bool>()).prop_map(
        |(path, sha256, numbers, file_identity, mode, setup_complete)| {
            ConfigFacts::Readable(ReadableConfig {
                path,
                sha256,
                size: numbers.0,
                owner: numbers.1,
                group: numbers.2,
                permissions: numbers.3,
                file_identity,
                keyed_values: BTreeMap::from([("DB_URI".to_owned(), "ab".to_owned())]),
                mode,
                setup_complete,
            })
        },
    );
    let unusable = (words(), "[!-~]{1,12}")
        .prop_map(|(path, problem)| ConfigFacts::Unusable { path, problem });
    prop_oneof![readable, unusable]
}

pub(crate) fn backup_facts() -> impl Strategy<Value = BackupFacts> {
    let versions = || proptest::collection::vec(words(), 0..2);
    let free = any::<Option<u64>>();
    let both = (versions(), versions());
    (words(), free, both, words(), proptest::option::of(time())).prop_map(
        |(directory, free_bytes, (dump_versions, mysql_dump_versions), problem, newest)| {
            BackupFacts {
                directory,
                free_bytes,
                dump_versions,
                mysql_dump_versions,
                problem,
                newest,
            }
        },
    )
}

pub(crate) fn backup() -> impl Strategy<Value = Backup> {
    let times = (time(), time());
    (words(), digest(""), database(), any::<(u64, u64)>(), times, kept_storage()).prop_map(
        |(directory, manifest, database, (bytes, rows), (begun, ended), storage)| Backup {
            directory,
            manifest,
            identity: database.identity,
            revision: database.revisions.concat(),
            bytes,
            rows,
            begun,
            ended,
            storage,
        },
    )
}

pub(crate) fn storage_order() -> impl Strategy<Value = StorageOrder> {
    prop_oneof![Just(StorageOrder::Leave), Just(StorageOrder::Copy), Just(StorageOrder::Hook)]
}

fn kept_storage() -> impl Strategy<Value = Option<KeptStorage>> {
    let copied = (proptest::collection::vec(words(), 0..3), any::<[u64; 5]>()).prop_map(
        |(from, [files, bytes, reflinked, misnamed, millis])| KeptStorage::Copied {
            from,
            files,
            bytes,
            reflinked,
            misnamed,
            millis,
        },
    );
    let hooked =
        (words(), any::<u64>()).prop_map(|(said, millis)| KeptStorage::Hooked { said, millis });
    proptest::option::of(prop_oneof![copied, hooked])
}

pub(crate) fn node() -> impl Strategy<Value = NodeFacts> {
    let component_facts = (
        component(),
        words(),
        proptest::option::of(container_facts()),
        proptest::collection::vec(container_facts(), 0..2),
    )
        .prop_map(|(component, container_name, container, others)| ComponentFacts {
            component,
            container_name,
            repositories: vec!["quay.io/coreos/quay".to_owned()],
            container,
            others,
        });
    let ledger = act().prop_map(|Act { cluster: _, run, epoch, step, plan }| LedgerHead {
        run,
        epoch,
        step,
        plan,
    });
    let ends = (time(), time(), any::<(Option<u64>, Option<u64>)>());
    let lists = (proptest::collection::vec(component_facts, 0..3), config());
    let kept = (
        proptest::option::of(ledger),
        proptest::option::of(lease()),
        proptest::option::of(floor()),
        proptest::collection::vec(words(), 0..2),
        proptest::option::of(backup_facts()),
    );
    ((name(), name()), words(), ends, lists, kept).prop_map(
        |(names, version, ends, lists, (ledger, lease, floor, floor_sightings, backup))| {
            NodeFacts {
                cluster: names.0,
                node: names.1,
                agent_version: version.clone(),
                now: ends.0,
                certificate_not_after: ends.1,
                engine: EngineFacts {
                    id: version.clone(),
                    name: "Docker".to_owned(),
                    version,
                    api_version: "1.41".to_owned(),
                },
                components: lists.0,
                config: lists.1,
                ledger,
                lease,
                floor,
                floor_problem: floor_sightings.concat(),
                floor_sightings,
                backup,
                free_bytes_engine: ends.2.0,
                free_bytes_config: ends.2.1,
            }
        },
    )
}
