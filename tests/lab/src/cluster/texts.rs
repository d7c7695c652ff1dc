//! The files that `up` writes for Quay, the agents and the coordinator. Text only, no disk.

use quaymaster_proto::Component;

use super::lab_file::{LabCompanion, LabFile, LabNode};
use super::layout::Layout;

/// What goes into every node's config.yaml: the same bytes on all nodes.
#[derive(Debug)]
pub(crate) struct QuayKeys<'a> {
    pub(crate) database_uri: &'a str,
    pub(crate) database_secret_key: &'a str,
    pub(crate) secret_key: &'a str,
}

/// A config.yaml as a person would have kept it for years: comments, quotes of both kinds, flow and
/// block style, and no `V3_UPGRADE_MODE`.
pub(crate) fn quay_config(keys: &QuayKeys<'_>) -> String {
    let QuayKeys { database_uri, database_secret_key, secret_key } = keys;
    format!(
        r#"# Red Hat Quay. The same file on every node; change one, change all.
SERVER_HOSTNAME: quay.lab.example
PREFERRED_URL_SCHEME: http
SETUP_COMPLETE: true    # written by the setup tool
AUTHENTICATION_TYPE: Database

# The database, and the keys of what is kept encrypted in it.
DB_URI: '{database_uri}'
DB_CONNECTION_ARGS: {{autorollback: true, threadlocals: true}}
DATABASE_SECRET_KEY: "{database_secret_key}"
SECRET_KEY: "{secret_key}"

BUILDLOGS_REDIS: {{host: 127.0.0.1, port: 6379}}
USER_EVENTS_REDIS: {{host: 127.0.0.1, port: 6379}}

# One storage that all nodes share.
DISTRIBUTED_STORAGE_CONFIG:
    default:
    - LocalStorage
    - {{storage_path: /datastorage/registry}}
DISTRIBUTED_STORAGE_DEFAULT_LOCATIONS: []
DISTRIBUTED_STORAGE_PREFERENCE: [default]

FEATURE_USER_CREATION: false
FEATURE_SECURITY_SCANNER: false
REGISTRY_TITLE: 'Registry of the lab'
TESTING: false
"#
    )
}

/// Clair's own file: its paths are those of the old mount, and it is never edited
/// (quay-facts 4.3).
pub(crate) const CLAIR_CONFIG: &str = "\
clair:
  database: {type: pgsql, options: {source: 'host=127.0.0.1 dbname=clair'}}
  api: {port: 6060, healthport: 6061, timeout: 900s}
jwtproxy:
  signer_proxy:
    signer: {private_key_path: /config/security_scanner.pem}
";

/// No key: a stand-in reads no more than that it is there.
pub(crate) const CLAIR_KEY: &str = "the stand-in's key\n";

pub(crate) fn agent_file(lab: &LabFile, node: &LabNode, layout: &Layout) -> String {
    let registry = &lab.registry;
    let companions: String = node
        .companions
        .iter()
        .map(|LabCompanion { component, container }| {
            let image = match component {
                Component::Clair => "clair-jwt",
                Component::Builder => "quay-builder",
                Component::Quay | Component::Mirror => "quay",
            };
            format!(
                "  {component}:\n    container: {container}\n    repositories: \
                 [{registry}/quayio/coreos/{image}, {registry}/quayio/redhat/{image}]\n"
            )
        })
        .collect();
    format!(
        r#"# The agent of {name}, made by quaymaster-lab.
version: 1
cluster: {cluster}
node: {name}
listen: {listen}
tls: {{ ca: pki/ca.crt, certificate: pki/agent.crt, key: pki/agent.key }}
engine: unix://{engine}
state: {state}
backup: {{ directory: {backups} }}
components:
  quay:
    container: {container}
    config: {config}
    repositories: [{registry}/quayio/coreos/quay, {registry}/quayio/redhat/quay]
    probe: auto
{companions}"#,
        name = node.name,
        cluster = lab.cluster,
        listen = node.agent(),
        engine = quoted_path(&node.engine_socket),
        state = quoted(&layout.node(&node.name).join("state")),
        backups = quoted(&layout.backups(&node.name)),
        container = node.container,
        config = quoted(&layout.config_file(&node.name)),
    )
}

/// The lab's timings are low, openly: its Quays start in seconds.
pub(crate) fn cluster_file(lab: &LabFile) -> String {
    let nodes: String = lab
        .nodes
        .iter()
        .map(|node| format!("  - {{ name: {}, address: {} }}\n", node.name, node.agent()))
        .collect();
    format!(
        r#"# The cluster of {lab}, made by quaymaster-lab.
version: 1
cluster: {cluster}
tls: {{ ca: ca.crt, certificate: operator.crt, key: operator.key }}
state: state
nodes:
{nodes}backup: {{ storage: copy }}
mirrors: {{ quay.io: "{registry}/quayio" }}
# Low on purpose: a lab's Quays start and stop in seconds.
timings:
  stop_grace: {{ quay: 1s, clair: 2s, builder: 2s, mirror: 1s }}
  first_node_limit: 120s
  healthy_for: 0s
  backfill: {{ threshold: 0.99, samples: 3, poll: 250ms }}
  connect: 5s
{verify}"#,
        verify = VERIFY,
        lab = lab.lab,
        cluster = lab.cluster,
        registry = lab.registry,
    )
}

/// How the coordinator verifies.
pub(crate) const VERIFY: &str = "verify: { credentials: robot.json }\n";

/// Where an image lies that was there before.
pub(crate) const KEPT: &str = "quaymaster/kept";

/// The same with that one among what is compared.
pub(crate) fn verify_kept() -> String {
    format!("verify: {{ credentials: robot.json, samples: [{KEPT}] }}\n")
}

/// As whom the coordinator verifies.
pub(crate) const ROBOT: &str = "quaymaster+verify";

/// As Quay offers it for download.
pub(crate) fn robot_file(password: &str) -> String {
    format!(
        "{{\"auths\":{{\"quay.lab.example\":{{\"username\":\"{ROBOT}\",\"password\":\"{password}\"}}}}}}\n"
    )
}

/// The end of an agent.yaml or a cluster.yaml.
pub(crate) fn telemetry(otlp: &str) -> String {
    format!("telemetry: {{ otlp: \"{otlp}\" }}\n")
}

/// A path as a YAML scalar in double quotes.
fn quoted(path: &std::path::Path) -> String {
    format!("\"{}\"", quoted_path(path))
}

fn quoted_path(path: &std::path::Path) -> String {
    path.display().to_string().replace('\\', "\\\\").replace('"', "\\\"")
}
