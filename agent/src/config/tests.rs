use super::*;

const WHOLE: &str = "\
version: 1
cluster: prod
node: quay-1
listen: 10.0.0.11:9643
tls: { ca: pki/ca.crt, certificate: pki/agent.crt, key: /etc/pki/agent.key }
engine: unix:///run/docker.sock
state: /var/lib/quaymaster/agent
registries: { credentials: registry-auth.json, attempts: 3, stalled_after: 90s }
backup:
  { directory: /var/backups/quaymaster, pg_dump: auto, mysqldump: /opt/bin/mariadb-dump,
    storage_hook: /etc/quaymaster/storage-hook }
components:
  quay:
    container: quay
    config: /mnt/quay/config/config.yaml
    repositories: [quay.io/coreos/quay, 127.0.0.1:5000/quayio/redhat/quay]
    probe: auto
  clair: { container: clair, repositories: [quay.io/coreos/clair-jwt] }
telemetry: { otlp: null }
";

fn parse(yaml: &str) -> Result<AgentConfig, ConfigError> {
    AgentConfig::parse(yaml, Path::new("/etc/quaymaster"))
}

fn mistakes(yaml: &str) -> String {
    match parse(yaml) {
        Ok(config) => panic!("no mistake found: {config:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_whole_file_is_read_and_paths_start_beside_it() {
    let config = parse(WHOLE).unwrap();
    assert_eq!(config.cluster.as_str(), "prod");
    assert_eq!(config.listen.to_string(), "10.0.0.11:9643");
    assert_eq!(config.tls.ca, Path::new("/etc/quaymaster/pki/ca.crt"));
    assert_eq!(config.tls.key, Path::new("/etc/pki/agent.key"));
    assert_eq!(config.engine.path(), Path::new("/run/docker.sock"));
    assert_eq!(
        config.registries.credentials.as_deref(),
        Some(Path::new("/etc/quaymaster/registry-auth.json"))
    );
    assert_eq!(config.registries.patience.attempts.get(), 3);
    assert_eq!(config.registries.patience.stalled_after.as_secs(), 90);
    assert_eq!(config.quay_config, Path::new("/mnt/quay/config/config.yaml"));
    let quay = &config.components[&Component::Quay];
    assert_eq!(quay.probe, Probe::Auto);
    assert!(quay.allows("quay.io/coreos/quay"));
    assert!(!quay.allows("quay.io/coreos/quay:v2.9.5"));
    assert_eq!(quay.repositories[1].registry(), "127.0.0.1:5000");
    let components: Vec<&Component> = config.components.keys().collect();
    assert_eq!(components, [&Component::Quay, &Component::Clair]);
    let directory = PathBuf::from("/var/backups/quaymaster");
    let mysqldump = DumpProgram::At("/opt/bin/mariadb-dump".into());
    let pg_dump = DumpProgram::Auto;
    let storage_hook = Some(PathBuf::from("/etc/quaymaster/storage-hook"));
    assert_eq!(config.backup, Some(BackupConfig { directory, pg_dump, mysqldump, storage_hook }));
    let other = WHOLE.replace("pg_dump: auto", "pg_dump: /opt/pg/bin/pg_dump");
    let pg_dump = parse(&other).unwrap().backup.unwrap().pg_dump;
    assert_eq!(pg_dump, DumpProgram::At("/opt/pg/bin/pg_dump".into()));
    let image = WHOLE.replace("pg_dump: auto", "pg_dump: 'image:docker.io/library/postgres:15'");
    let pg_dump = parse(&image).unwrap().backup.unwrap().pg_dump;
    assert_eq!(pg_dump, DumpProgram::Image("docker.io/library/postgres:15".into()));
    for bad in ["image:", "image:-v", "image:a b", "image:$(x)"] {
        assert!(words::pg_dump(bad).is_err(), "{bad}");
    }
    assert!(words::mysqldump("image:mysql:8").is_err(), "PostgreSQL's alone");
    assert_eq!(config.otlp, None);
    let traced = WHOLE.replace("otlp: null", "otlp: 'http://10.0.0.5:4317'");
    assert_eq!(parse(&traced).unwrap().otlp.unwrap().as_str(), "http://10.0.0.5:4317");
}

#[test]
fn the_least_file_has_what_matters_and_no_more() {
    let yaml = "\
version: 1
cluster: c
node: n
listen: 0.0.0.0:9643
tls: { ca: a, certificate: b, key: c }
engine: unix:///s
state: s
components: { quay: { container: quay, config: c.yaml, repositories: [quay.io/redhat/quay] } }
";
    let config = parse(yaml).unwrap();
    assert!(config.listen.ip().is_unspecified());
    assert_eq!(config.registries, RegistriesConfig::default());
    assert_eq!(config.backup, None);
    assert_eq!(config.otlp, None);
}

#[test]
fn all_mistakes_are_told_at_once_each_with_its_path() {
    let yaml = "\
version: 2
cluster: Prod
listen: :9643
tls: { ca: pki/ca.crt, certifcate: x, key: [a] }
engine: tcp://10.0.0.1:2375
state: 5
registries: { credentials: a.json, password: hunter, attempts: 0, stalled_after: never }
backup: { directory: backups, pg_dump: pg_dump, mysqldump: mysqldump, storage_hook: hook, keep: 3 }
components:
  quay:
    container: quay
    repositories: []
    probe: https://quay.example.com
  clair: { container: quay, repositories: [clair, quay.io/coreos/clair-jwt:v2] }
  builder: { container: b.quaymaster-01abcdef-next, repositories: [quay.io/a/b] }
  redis: { container: redis }
telemetry: { otlp: 'http://admin:hunter@collector:4317/', traces: all }
colour: blue
";
    insta::assert_snapshot!(mistakes(yaml));
}

#[test]
fn a_key_twice_and_broken_yaml_are_refused() {
    assert!(
        mistakes(&format!("{WHOLE}node: quay-2\n")).contains("duplicate entry with key \"node\"")
    );
    assert!(mistakes("version: [1\n").starts_with("is not YAML: "));
    assert_eq!(mistakes(""), "is not YAML: its top level is not a mapping of keys to values");
}

#[test]
fn an_address_to_listen_at_is_written_out() {
    for bad in ["9643", ":9643", "quay-1:9643", "10.0.0.11", "10.0.0.11:0", "*:9643"] {
        assert!(words::listen(bad).is_err(), "{bad}");
    }
    for good in ["10.0.0.11:9643", "0.0.0.0:9643", "[::]:9643", "[fd00::1]:1"] {
        assert!(words::listen(good).is_ok(), "{good}");
    }
}

#[test]
fn repositories_carry_their_registry_and_no_tag() {
    for good in ["quay.io/coreos/quay", "localhost/quay", "10.0.0.1:5000/a/b_c.d-e"] {
        assert!(good.parse::<Repository>().is_ok(), "{good}");
    }
    for bad in [
        "quay",
        "coreos/quay",
        "quay.io/coreos/quay:v1",
        "quay.io/coreos/quay@sha256:0",
        "quay.io/",
        "quay.io//a",
        "h:x/a",
        "quay.io/A",
    ] {
        assert!(bad.parse::<Repository>().is_err(), "{bad}");
    }
}

#[test]
fn backups_go_where_no_container_sees_them() {
    let config = Path::new("/mnt/quay/config/config.yaml");
    for bad in ["", "backups", "/", "/var/../mnt", "/mnt/quay/config", "/mnt/quay/config/backups"] {
        assert!(words::backup_directory(bad, Some(config)).is_err(), "{bad}");
    }
    for good in ["/var/backups/quaymaster", "/mnt/quay/config-backups", "/mnt/quay"] {
        assert!(words::backup_directory(good, Some(config)).is_ok(), "{good}");
    }
}

#[test]
fn a_probe_is_auto_or_an_address_with_its_port() {
    assert_eq!("auto".parse(), Ok(Probe::Auto));
    for good in ["http://10.0.0.1:80", "https://[::1]:8443", "https://quay-1.example.com:443"] {
        assert!(
            matches!(good.parse(), Ok(Probe::At(address)) if address.as_str() == good),
            "{good}"
        );
    }
    for bad in ["", "ftp://h:1", "http://h", "http://h:0", "http://h:80/", "http://u@h:80", "h:80"]
    {
        assert!(bad.parse::<Probe>().is_err(), "{bad}");
    }
}

/// What the agent is installed with.
const EXAMPLE: &str = include_str!("../../../deploy/examples/agent.yaml");

#[test]
fn the_example_is_a_good_file_and_has_every_component() {
    let config = parse(EXAMPLE).unwrap();
    assert_eq!(config.tls.key, Path::new("/etc/quaymaster/pki/agent.key"));
    assert_eq!(config.components.len(), 4);
}

#[test]
fn the_example_has_every_key_that_there_is() {
    let mut example = serde_yaml::from_str(EXAMPLE).unwrap();
    let present = keys(&example, "");
    add_unknown_keys(&mut example);
    let ConfigError::Mistakes(mistakes) =
        parse(&serde_yaml::to_string(&example).unwrap()).expect_err("unknown keys are refused")
    else {
        panic!("it is YAML");
    };
    let mut mappings = 0;
    for Mistake { path, problem } in mistakes {
        let Problem::UnknownKey { known } = problem else { panic!("{path}: {problem}") };
        let prefix = path.strip_suffix("of-nobody").unwrap();
        mappings += 1;
        for key in known {
            assert!(present.contains(&format!("{prefix}{key}")), "{prefix}{key} is missing");
        }
    }
    // The top, tls, registries, backup, components, four of them, telemetry.
    assert_eq!(mappings, 10);
}

/// Every key below a mapping, from the top.
fn keys(value: &serde_yaml::Value, prefix: &str) -> Vec<String> {
    let Some(mapping) = value.as_mapping() else { return Vec::new() };
    let each = mapping.iter().flat_map(|(key, value)| {
        let path = format!("{prefix}{}", key.as_str().unwrap());
        let below = keys(value, &format!("{path}."));
        std::iter::once(path).chain(below)
    });
    each.collect()
}

/// One more key for every mapping: its refusal names all that are known there.
fn add_unknown_keys(value: &mut serde_yaml::Value) {
    let Some(mapping) = value.as_mapping_mut() else { return };
    mapping.values_mut().for_each(add_unknown_keys);
    mapping.insert("of-nobody".into(), 1.into());
}
