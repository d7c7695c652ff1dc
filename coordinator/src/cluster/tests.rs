use std::path::Path;
use std::time::Duration;

use quaymaster_proto::Component;

use super::*;

const SMALLEST: &str = "
version: 1
cluster: prod
tls: { ca: ca.crt, certificate: operator.crt, key: operator.key }
nodes:
  - { name: quay-1, address: 10.0.0.11 }
";

fn parse(text: &str) -> Result<Cluster, ClusterFileError> {
    Cluster::parse(text, Path::new("/etc/quaymaster"))
}

fn refusal(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn what_is_not_said_has_its_documented_default() {
    let cluster = parse(SMALLEST).unwrap();
    assert_eq!(cluster.first.as_str(), "quay-1");
    assert_eq!((cluster.backup.as_str(), cluster.storage), ("quay-1", None));
    assert_eq!(cluster.nodes[0].address.to_string(), "10.0.0.11:9643");
    assert_eq!(cluster.tls.ca, Path::new("/etc/quaymaster/ca.crt"));
    assert_eq!(cluster.state, Path::new("/var/lib/quaymaster/prod"));
    assert_eq!(cluster.auxiliaries, Auxiliaries::Completion);
    assert_eq!(cluster.timings, Timings::default());
    assert_eq!(cluster.timings.stop_grace(Component::Quay), StopGrace::Catalogue);
    assert_eq!(cluster.otlp, None);
}

#[test]
fn every_key_of_the_contract_is_understood() {
    let cluster = parse(
        "
version: 1
cluster: prod
tls: { ca: /pki/ca.crt, certificate: operator.crt, key: operator.key }
state: state
nodes:
  - { name: quay-1, address: 10.0.0.11:9643 }
  - { name: quay-2, address: 10.0.0.12:9643 }
first: quay-2
backup: { node: quay-1, storage: copy }
mirrors: { quay.io: 'registry.example.com:5000/quayio' }
auxiliaries: first-window
database: { expected_sessions: [pgbouncer, 10.0.0.9] }
timings:
  stop_grace: { quay: 0s, clair: catalogue, builder: 30s }
  first_node_limit: 6h
  healthy_for: 0s
  backfill: { threshold: 1, samples: 1, poll: 100ms }
  connect: 5s
telemetry: { otlp: 'http://10.0.0.5:4317' }
",
    )
    .unwrap();
    assert_eq!(cluster.first.as_str(), "quay-2");
    assert_eq!(cluster.backup.as_str(), "quay-1");
    assert_eq!(cluster.storage, Some(StorageBackup::Copy));
    let hooked = parse(&format!("{SMALLEST}backup: {{ storage: hook }}\n")).unwrap();
    assert_eq!(hooked.storage, Some(StorageBackup::Hook));
    let odd = refusal(&format!("{SMALLEST}backup: {{ storage: move }}\n"));
    assert!(odd.contains("backup.storage") && odd.contains("`copy` or `hook`"), "{odd}");
    assert_eq!(cluster.tls.ca, Path::new("/pki/ca.crt"));
    assert_eq!(cluster.state, Path::new("/etc/quaymaster/state"));
    assert_eq!(cluster.auxiliaries, Auxiliaries::FirstWindow);
    assert_eq!(cluster.expected_sessions, ["pgbouncer", "10.0.0.9"]);
    assert_eq!(cluster.timings.stop_grace(Component::Quay), StopGrace::Fixed(Duration::ZERO));
    assert_eq!(cluster.timings.stop_grace(Component::Clair), StopGrace::Catalogue);
    assert_eq!(cluster.timings.backfill.poll, Duration::from_millis(100));
    assert_eq!(cluster.otlp.unwrap().as_str(), "http://10.0.0.5:4317");

    let mirrored = "registry.example.com:5000/quayio/redhat/quay";
    assert_eq!(cluster.mirrors.mirrored("quay.io/redhat/quay"), mirrored);
    assert_eq!(cluster.mirrors.unmirrored(mirrored), "quay.io/redhat/quay");
    let foreign = "quay.io.example.com/redhat/quay";
    assert_eq!(cluster.mirrors.mirrored(foreign), foreign);
}

#[test]
fn all_mistakes_are_told_at_once_by_path() {
    insta::assert_snapshot!(refusal(
        "
version: 2
cluster: Prod
tls: { ca: ca.crt, certificate: 5 }
nodes:
  - { name: quay-1, address: 10.0.0.11:9643 }
  - { name: quay-1, address: 10.0.0.11, role: first }
  - { name: quay-3, address: 'http://x' }
first: quay-9
backup: { node: quay-8, nodes: [] }
mirrors: { quay.io: m/x, registry.redhat.io: m/x }
auxiliaries: never
database: { expected_sessions: pgbouncer, expect: [] }
timings:
  stop_grace: { quay: soon, clair: 2h, redis: 1s }
  first_node_limit: 10ms
  backfill: { threshold: 99, samples: 0, poll: 1ms }
telemetry: { otlp: 'http://admin:hunter@otel:4317/', traces: all }
node: []
",
    ));
}

#[test]
fn a_cluster_has_nodes() {
    let refusals = [
        "{ version: 1, cluster: c, tls: { ca: a, certificate: b, key: c }, nodes: [] }",
        "[]",
        "",
        &format!("{SMALLEST}first: quay-2\n"),
    ]
    .map(refusal);
    insta::assert_snapshot!(refusals.join("\n\n"));
}

#[test]
fn a_key_given_twice_is_not_yaml() {
    assert!(matches!(
        parse(&format!("{SMALLEST}cluster: other\n")),
        Err(ClusterFileError::Yaml { .. })
    ));
}

/// What operators begin with.
const EXAMPLE: &str = include_str!("../../../deploy/examples/cluster.yaml");

#[test]
fn the_example_is_a_good_file_and_shows_the_defaults_of_time() {
    let cluster = parse(EXAMPLE).unwrap();
    assert_eq!(cluster.nodes.len(), 3);
    let Timings { stop_grace: _, first_node_limit, healthy_for, backfill, connect } =
        Timings::default();
    let shown = &cluster.timings;
    assert_eq!(
        (shown.first_node_limit, shown.healthy_for, shown.backfill, shown.connect),
        (first_node_limit, healthy_for, backfill, connect)
    );
    for component in [Component::Quay, Component::Clair, Component::Builder, Component::Mirror] {
        assert_eq!(shown.stop_grace(component), Timings::default().stop_grace(component));
    }
}

#[test]
fn the_example_has_every_key_that_there_is() {
    let mut example = serde_yaml::from_str(EXAMPLE).unwrap();
    let present = keys(&example, "");
    add_unknown_keys(&mut example);
    let ClusterFileError::Mistakes(mistakes) =
        parse(&serde_yaml::to_string(&example).unwrap()).expect_err("unknown keys are refused")
    else {
        panic!("it is YAML");
    };
    let mut mappings = 0;
    for Mistake { path, trouble } in mistakes {
        let Trouble::UnknownKey { known } = trouble else { panic!("{path}: {trouble}") };
        let prefix = path.strip_suffix("of-nobody").unwrap();
        mappings += 1;
        for key in known {
            assert!(present.contains(&format!("{prefix}{key}")), "{prefix}{key} is missing");
        }
    }
    // The top, tls, three nodes, backup, database, timings, stop_grace, backfill, verify, telemetry.
    assert_eq!(mappings, 12);
}

/// Every key below a value, from the top.
fn keys(value: &serde_yaml::Value, prefix: &str) -> Vec<String> {
    let below = |value: &serde_yaml::Value, path: String| -> Vec<String> {
        let Some(items) = value.as_sequence() else { return keys(value, &format!("{path}.")) };
        let each = items.iter().enumerate();
        each.flat_map(|(index, item)| keys(item, &format!("{path}[{index}]."))).collect()
    };
    let Some(mapping) = value.as_mapping() else { return Vec::new() };
    let each = mapping.iter().flat_map(|(key, value)| {
        let path = format!("{prefix}{}", key.as_str().unwrap());
        std::iter::once(path.clone()).chain(below(value, path))
    });
    each.collect()
}

/// One more key for every mapping but the one with free keys: its refusal
/// names all that are known there.
fn add_unknown_keys(value: &mut serde_yaml::Value) {
    if let Some(items) = value.as_sequence_mut() {
        items.iter_mut().for_each(add_unknown_keys);
    }
    let Some(mapping) = value.as_mapping_mut() else { return };
    for (key, value) in mapping.iter_mut() {
        if key.as_str() != Some("mirrors") {
            add_unknown_keys(value);
        }
    }
    mapping.insert("of-nobody".into(), 1.into());
}
