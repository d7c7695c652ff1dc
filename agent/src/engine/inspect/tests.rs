//! Containers as a Docker engine 20.10.24 showed them, and what becomes of
//! them. The files are under `tests/fixtures/inspect`.

use crate::container::spec::SpecKey;
use bollard::models::ImageInspect;
use quaymaster_proto::PortMove;
use quaymaster_proto::preview::{SpecFinding, SpecVerdict};

use serde_json::json;

use super::*;
use crate::container::{CarryOver, Demands, carry_over};

const QUAY: &str = include_str!("../../../tests/fixtures/inspect/quay.json");
const FULL: &str = include_str!("../../../tests/fixtures/inspect/full.json");
const BARE: &str = include_str!("../../../tests/fixtures/inspect/bare.json");
const HOST: &str = include_str!("../../../tests/fixtures/inspect/host.json");
const LINKED: &str = include_str!("../../../tests/fixtures/inspect/linked.json");
const RAN: &str = include_str!("../../../tests/fixtures/inspect/ran.json");
const IMAGE: &str = include_str!("../../../tests/fixtures/inspect/image.json");

fn spec(container: &str) -> ContainerSpec {
    spec_of(container, IMAGE)
}

fn spec_of(container: &str, image: &str) -> ContainerSpec {
    let found: Value = serde_json::from_str(container).unwrap();
    let image: ImageInspect = serde_json::from_str(image).unwrap();
    container_spec(&found, &image).unwrap()
}

fn demands() -> Demands {
    let moves = [(80, 8080), (443, 8443)];
    Demands {
        image: format!("sha256:{}", "b".repeat(64)).parse().unwrap(),
        port_moves: moves.map(|(from, to)| PortMove { from, to }).to_vec(),
        mount_copies: Vec::new(),
        labels: [("io.quaymaster.run", "01ARZ3NDEKTSV4RRFFQ69G5FAV")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
    }
}

fn told(carried: &CarryOver) -> String {
    let line = |finding: &crate::container::Finding| {
        let SpecFinding { verdict, subject, reason } = finding.clone().into();
        let verdict = match verdict {
            SpecVerdict::Carried => "carried",
            SpecVerdict::Changed => "changed",
            SpecVerdict::Dropped => "dropped",
            SpecVerdict::Refused => "refused",
        };
        format!("{verdict} {subject}: {reason}\n")
    };
    carried.findings().iter().map(line).collect()
}

/// The findings and the order that creates the next container.
fn golden(container: &str) -> String {
    let carried = carry_over(&spec(container), &demands());
    let told = told(&carried);
    let body = create_body(&carried.into_next().unwrap());
    format!("{told}\n{}", serde_json::to_string_pretty(&body).unwrap())
}

#[test]
fn the_documented_run_line_is_carried_over() {
    insta::assert_snapshot!(golden(QUAY));
}

#[test]
fn a_container_with_every_kind_of_option_is_carried_over() {
    insta::assert_snapshot!(golden(FULL));
}

#[test]
fn what_cannot_be_carried_over_is_refused_by_name() {
    let mut all = String::new();
    for (name, container) in [("bare", BARE), ("host", HOST), ("linked", LINKED), ("ran", RAN)] {
        let carried = carry_over(&spec(container), &demands());
        all.push_str(&format!("== {name}\n{}", told(&carried)));
        let refused = carried.into_next().unwrap_err();
        assert!(refused.iter().all(|finding| finding.reason.is_refusal()), "{name}");
    }
    insta::assert_snapshot!(all);
}

/// As Podman 4.3.1 showed them. The second was made with a sysctl and a log
/// option, of which it shows nothing.
#[test]
fn what_podman_does_not_show_is_refused_by_name() {
    const PLAIN: &str = include_str!("../../../tests/fixtures/inspect/podman/plain.json");
    const FULL: &str = include_str!("../../../tests/fixtures/inspect/podman/full.json");
    const IMAGE: &str = include_str!("../../../tests/fixtures/inspect/podman/image.json");
    let mut all = String::new();
    for (name, container) in [("plain", PLAIN), ("full", FULL)] {
        let carried = carry_over(&spec_of(container, IMAGE), &demands());
        all.push_str(&format!("== {name}\n{}", told(&carried)));
        let refused = carried.into_next().unwrap_err();
        let subjects: Vec<&str> = refused.iter().map(|finding| finding.subject.as_str()).collect();
        assert_eq!(
            subjects,
            ["setting HostConfig.LogConfig.Config", "setting HostConfig.Sysctls"],
            "{name}"
        );
    }
    insta::assert_snapshot!(all);
}

#[test]
fn generated_names_are_nobodys() {
    let ran = spec(RAN);
    assert_eq!(ran.hostname, None);
    assert_eq!(ran.network.endpoints["net"], EndpointSpec::default());
    assert_eq!(spec(FULL).hostname.as_deref(), Some("quay.example.com"));
}

#[test]
fn only_the_owners_variables_are_left_and_none_is_printed() {
    let quay = spec(QUAY);
    assert_eq!(quay.environment_names().collect::<Vec<_>>(), ["LAB_NODE", "LAB_SECRET"]);
    assert_eq!(quay.environment_value("LAB_SECRET").unwrap().expose(), "hunter2");
    assert!(!format!("{quay:?}").contains("hunter2"));
    let full = spec(FULL);
    assert_eq!(full.environment_value("QUAYCONF").unwrap().expose(), "/elsewhere");
    assert_eq!(full.environment_value("EMPTY").unwrap().expose(), "");
    assert_eq!(full.environment_value("PATH"), None);
}

#[test]
fn the_digest_survives_a_life_and_sees_a_change() {
    let key = SpecKey::new([7; 32]);
    let before = spec(QUAY).digest(&key);
    assert_ne!(spec(QUAY).digest(&SpecKey::new([8; 32])), before, "no key, no guess");
    let old_id = spec_id(QUAY);
    let lived = QUAY
        .replace(&old_id, &"c".repeat(64))
        .replace(&old_id[..12], &"c".repeat(12))
        .replace("\"Status\": \"created\"", "\"Status\": \"exited\"")
        .replace("\"0001-01-01T00:00:00Z\"", "\"2026-11-22T16:40:15Z\"")
        .replace("\"Name\": \"always\"", "\"Name\": \"no\"")
        .replace("\"Name\": \"/quay\"", "\"Name\": \"/quay.quaymaster-q69g5fav-old\"");
    assert_ne!(lived, QUAY);
    assert_eq!(spec(&lived).digest(&key), before);
    for (from, to) in [
        ("LAB_SECRET=hunter2", "LAB_SECRET=hunter3"),
        ("\"HostPort\": \"443\"", "\"HostPort\": \"8443\""),
        ("\"net.core.somaxconn\": \"4096\"", "\"net.core.somaxconn\": \"128\""),
        ("/mnt/quay/storage:/datastorage:Z", "/mnt/other:/datastorage:Z"),
        ("\"Privileged\": true", "\"Privileged\": false"),
        ("\"quaymaster.lab\": \"lab\"", "\"quaymaster.lab\": \"other\""),
        ("\"Domainname\": \"\"", "\"Domainname\": \"example.com\""),
    ] {
        let changed = QUAY.replace(from, to);
        assert_ne!(changed, QUAY, "{from}");
        assert_ne!(spec(&changed).digest(&key), before, "{from}");
    }
}

fn spec_id(container: &str) -> String {
    let found: Value = serde_json::from_str(container).unwrap();
    found["Id"].as_str().unwrap().to_owned()
}

/// The second window finds a container that the first one made.
#[test]
fn a_container_of_our_own_gets_new_labels_and_keeps_its_ports() {
    let first = carry_over(&spec(QUAY), &demands()).into_next().unwrap();
    let mut later = demands();
    later.port_moves = Vec::new();
    later.labels = [("io.quaymaster.run".to_owned(), "later".to_owned())].into();
    let second = carry_over(&first, &later).into_next().unwrap();
    assert_eq!(second.labels["io.quaymaster.run"], "later");
    assert_eq!(second.labels["quaymaster.lab"], "lab");
    assert_eq!(second.labels.len(), 2);
    assert_eq!(second.network.ports, first.network.ports);
    assert_eq!(second.storage, first.storage);
    // Moving again what has moved already changes nothing.
    let again = carry_over(&first, &demands()).into_next().unwrap();
    assert_eq!(again.network.ports, first.network.ports);
}

#[test]
fn two_ports_that_would_become_one_are_refused() {
    let both = QUAY.replacen("\"443/tcp\": [", "\"8080/tcp\": [", 1);
    let refused = carry_over(&spec(&both), &demands()).into_next().unwrap_err();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].subject, "port 80/tcp");
}

#[test]
fn a_volume_given_on_by_its_generated_name_is_still_nameless() {
    let name = "0".repeat(64);
    let composed = QUAY.replace(
        "\"/mnt/quay/storage:/datastorage:Z\"",
        &format!("\"{name}:/datastorage:rw\", \"{name}:/tmp:rw\", \"data:/named\""),
    );
    let carried = carry_over(&spec(&composed), &demands());
    let told = told(&carried);
    assert!(told.contains("refused volume /datastorage: "), "{told}");
    assert!(told.contains("dropped volume /tmp: "), "{told}");
    assert!(told.contains("carried volume /named: "), "{told}");
}

#[test]
fn an_engine_that_says_nonsense_is_an_error() {
    let image: ImageInspect = serde_json::from_str(IMAGE).unwrap();
    assert_eq!(container_spec(&json!({}), &image), Err(InspectError::Missing("Id")));
    let bad: Value = serde_json::from_str(&QUAY.replace("\"443/tcp\"", "\"x/tcp\"")).unwrap();
    assert!(matches!(container_spec(&bad, &image), Err(InspectError::BadPort(_))));
    let error = container_spec(&json!({ "HostConfig": 7 }), &image).unwrap_err();
    assert!(matches!(error, InspectError::Unreadable(_)), "{error}");
}

/// What is asked and what the engine then shows are compared, each read so.
#[test]
fn an_entrypoint_is_switched_off_only_where_the_image_has_one() {
    const OFF: &str = include_str!("../../../tests/fixtures/inspect/rows/no-entrypoint.json");
    const WITH: &str = include_str!("../../../tests/fixtures/inspect/rows/image.json");
    let id = "a".repeat(64).parse().unwrap();
    let asked = spec_of(OFF, WITH);
    let off = Some(ProcessSpec::no_entrypoint());
    assert_eq!(asked.process.entrypoint, off);
    for (image, entrypoint) in [(WITH, off), (IMAGE, None)] {
        let defaults = image_defaults(&serde_json::from_str(image).unwrap());
        assert_eq!(owners_part(asked.clone(), &defaults, &id).process.entrypoint, entrypoint);
        assert_eq!(spec_of(OFF, image).process.entrypoint, entrypoint);
    }
}

/// What a later engine may say and bollard's models do not know.
#[test]
fn a_setting_that_is_not_known_is_refused_by_name() {
    let image: ImageInspect = serde_json::from_str(IMAGE).unwrap();
    let mut found: Value = serde_json::from_str(FULL).unwrap();
    assert_eq!(container_spec(&found, &image).unwrap().unknown, BTreeMap::new());
    found["HostConfig"]["Novelty"] = json!(true);
    found["HostConfig"]["NoveltyThatIsOff"] = json!([]);
    found["HostConfig"]["Mounts"][1]["VolumeOptions"] = json!({ "Depth": 3 });
    found["Config"]["Novelty"] = json!({ "A": null });
    found["NetworkSettings"]["Networks"]["net"]["IPAMConfig"]["Lease"] = json!("10m");
    let spec = container_spec(&found, &image).unwrap();
    let key = SpecKey::new([7; 32]);
    assert_ne!(spec.digest(&key), self::spec(FULL).digest(&key));
    let refused = carry_over(&spec, &demands()).into_next().unwrap_err();
    let subjects: Vec<&str> = refused.iter().map(|finding| finding.subject.as_str()).collect();
    assert_eq!(
        subjects,
        [
            "setting Config.Novelty",
            "setting HostConfig.Mounts.VolumeOptions.Depth",
            "setting HostConfig.Novelty",
            "setting NetworkSettings.Networks.net.IPAMConfig.Lease",
        ]
    );
}

/// Engines since API 1.49 let a container say which network leads outside.
#[test]
fn a_gateway_priority_is_carried_over() {
    let mut found: Value = serde_json::from_str(FULL).unwrap();
    found["NetworkSettings"]["Networks"]["net"]["GwPriority"] = json!(10);
    let image: ImageInspect = serde_json::from_str(IMAGE).unwrap();
    let carried = carry_over(&container_spec(&found, &image).unwrap(), &demands());
    assert!(told(&carried).contains("carried gateway priority of network net: "));
    let body = create_body(&carried.into_next().unwrap());
    assert_eq!(body["NetworkingConfig"]["EndpointsConfig"]["net"]["GwPriority"], json!(10));
}

/// An engine tells the network's id while the container runs; the owner's words
/// stay as they are.
#[test]
fn the_first_of_several_networks_may_be_named_by_its_id() {
    let id = "7".repeat(64);
    let mut found: Value = serde_json::from_str(RAN).unwrap();
    found["Config"]["Volumes"] = json!({});
    found["Mounts"] = json!([]);
    found["HostConfig"]["NetworkMode"] = json!(id);
    let networks = &mut found["NetworkSettings"]["Networks"];
    networks["another"] = networks["net"].clone();
    let image: ImageInspect = serde_json::from_str(IMAGE).unwrap();
    let carried = carry_over(&container_spec(&found, &image).unwrap(), &demands());
    let refused = carried.into_next().unwrap_err();
    assert_eq!(refused[0].reason, crate::container::Reason::FirstNetworkUnknown);
    found["NetworkSettings"]["Networks"]["net"]["NetworkID"] = json!(id);
    let carried = carry_over(&container_spec(&found, &image).unwrap(), &demands());
    let next = carried.into_next().unwrap();
    assert_eq!(next.network.mode, id);
    let further = further_networks(&next).into_iter().map(|further| further.name);
    assert_eq!(further.collect::<Vec<_>>(), ["another"]);
}

#[test]
fn what_an_engine_makes_otherwise_is_named_without_its_value() {
    let asked = spec(FULL);
    assert_eq!(asked.unlike(&spec(FULL)), [""; 0]);
    let mut made = spec(FULL);
    made.environment.insert("PASSWORD".to_owned(), Some(Secret::new("hunter2")));
    made.options.remove("Memory");
    made.network.endpoints.clear();
    made.restart_policy = RestartPolicy::Always;
    let unlike = asked.unlike(&made);
    assert_eq!(unlike, ["environment", "network.endpoints", "options.Memory", "restart policy"]);
}
