//! `quaymaster-agent check`: what a person reads before the first start.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use insta::assert_snapshot;
use quaymaster_lab::pki::{Authority, Subject, Validity};
use quaymaster_suite::command::{Outcome, run_in};
use quaymaster_suite::{Shape, TestLab, redact};
use time::{Duration, OffsetDateTime};

const NODE: &str = "quay-1";

pub(super) async fn checked(program: &Path, file: &Path) -> Outcome {
    run_in(program, Path::new("/"), ["check", "--config", file.to_str().unwrap()]).await
}

/// The page without what depends on who runs the tests.
fn page(outcome: &Outcome) -> String {
    let is_root = rustix::process::geteuid().is_root();
    assert_eq!(outcome.stdout.contains("note  user "), is_root, "{}", outcome.page());
    let mut lines: Vec<&str> = outcome.stdout.lines().collect();
    if let Some(at) = lines.iter().position(|line| line.starts_with("note  user ")) {
        lines.drain(at..at + 2);
    }
    let user = rustix::process::geteuid().as_raw();
    let group = rustix::process::getegid().as_raw();
    let mut text = lines
        .join("\n")
        .replace(&format!("(owner {user}, group {group}, "), "(owner <user>, group <group>, ");
    if is_root {
        text = text.replace(", 1 to note, ", ", 0 to note, ");
    }
    format!("{text}\n---- exit {}\n", outcome.code.unwrap_or(-1))
}

pub(super) fn shown(dir: &Path, name: &str, page: &str) {
    redact::settings_in(dir).bind(|| assert_snapshot!(format!("check-{name}"), page));
}

#[tokio::test]
async fn a_node_that_is_served_is_good_and_another_program_on_the_port_is_not() {
    let lab = TestLab::up(Shape::of(2)).await;
    let file = lab.lab().layout().agent_file(NODE);
    let outcome = checked(&lab.binaries().agent, &file).await;
    assert_eq!(outcome.code, Some(0), "{}", outcome.page());
    shown(lab.dir(), "good", &page(&outcome));

    // Nothing is left beside config.yaml, nor in the state.
    let names = |dir: &Path| {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&lab.lab().layout().config(NODE)), ["config.yaml"]);
    let state = lab.lab().layout().node(NODE).join("state");
    assert_eq!(names(&state), ["ledger.jsonl", "reserve", "spec.key"]);

    // The other node's agent is not this node's.
    let text = fs::read_to_string(&file).unwrap();
    let [own, other] = ["quay-1", "quay-2"]
        .map(|node| format!("listen: {}\n", lab.lab().node(node).unwrap().agent()));
    let crossed = file.with_file_name("crossed.yaml");
    fs::write(&crossed, text.replace(&own, &other)).unwrap();
    let outcome = checked(&lab.binaries().agent, &crossed).await;
    assert_eq!(outcome.code, Some(1));
    let bad: Vec<&str> = outcome.stdout.lines().filter(|line| line.starts_with("BAD")).collect();
    assert!(bad.len() == 1 && bad[0].contains("port         cannot listen on"), "{bad:?}");
}

#[tokio::test]
async fn everything_that_is_amiss_is_told_with_its_remedy() {
    let lab = TestLab::up(Shape::of(1)).await;
    let dir = tempfile::tempdir().unwrap();
    let now = OffsetDateTime::now_utc();
    let expired = Validity { from: now - Duration::days(9), to: now - Duration::days(2) };
    let authority = Authority::new("of the test", expired).unwrap();
    let subject = Subject::Agent { node: NODE.to_owned() };
    let identity = authority.issue("prod", &subject, expired).unwrap();
    let write = |name: &str, mode: u32, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };
    write("ca.crt", 0o644, authority.certificate());
    write("agent.crt", 0o644, &identity.certificate);
    write("agent.key", 0o644, &identity.key);
    write("logins.json", 0o644, r#"{"auths": {"quay.io": {}}}"#);
    write("config.yaml", 0o640, "SETUP_COMPLETE: true\nA: [\n");
    fs::create_dir(dir.path().join("state")).unwrap();
    write("state/ledger.jsonl", 0o600, "no record\n");
    write("state/spec.key", 0o600, "short");
    write(
        "agent.yaml",
        0o644,
        "version: 1\ncluster: prod\nnode: quay-1\nlisten: 192.0.2.1:9643\n\
         tls: { ca: ca.crt, certificate: agent.crt, key: agent.key }\n\
         engine: unix:///nowhere/docker.sock\nstate: state\n\
         registries: { credentials: logins.json }\ncomponents:\n  \
         quay: { container: quay, config: config.yaml, repositories: [quay.io/redhat/quay] }\n",
    );
    let outcome = checked(&lab.binaries().agent, &dir.path().join("agent.yaml")).await;
    assert_eq!(outcome.code, Some(1), "{}", outcome.page());
    shown(dir.path(), "everything-amiss", &page(&outcome));

    // Other faults of the same parts.
    let ours = lab.lab().layout().agent_file(NODE);
    let text = fs::read_to_string(&ours).unwrap();
    let container = &lab.lab().node(NODE).unwrap().container;
    let other = Validity::lab(now);
    let stranger = Authority::new("somebody else", other).unwrap();
    fs::write(ours.with_file_name("strange.crt"), stranger.certificate()).unwrap();
    let text = text
        .replace("ca: pki/ca.crt", "ca: strange.crt")
        .replace(&format!("container: {container}\n"), "container: quay-of-nobody\n")
        .replace("repositories:", "repositories: [quay.io/a/b]\n    probe: auto\n  clair:\n    container: clair\n    repositories:")
        .replace("]\n    probe: auto\n", "]\n");
    let path = ours.with_file_name("strange.yaml");
    let config = lab.lab().layout().config_file(NODE);
    let gone = config.with_file_name("gone.yaml");
    fs::write(&path, text.replace(config.to_str().unwrap(), gone.to_str().unwrap())).unwrap();
    let outcome = checked(&lab.binaries().agent, &path).await;
    assert_eq!(outcome.code, Some(1), "{}", outcome.page());
    shown(lab.dir(), "other-things-amiss", &page(&outcome));
}

#[tokio::test]
async fn a_file_with_mistakes_is_told_whole() {
    let lab = TestLab::up(Shape::of(1)).await;
    let path = lab.lab().layout().agent_file(NODE);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("node: quay-1", "nod: quay-1")).unwrap();
    let outcome = checked(&lab.binaries().agent, &path).await;
    assert_eq!(outcome.code, Some(1));
    shown(lab.dir(), "mistakes", &outcome.page());
}

#[tokio::test]
async fn a_certificate_that_ends_soon_is_worth_a_word() {
    let lab = TestLab::up(Shape::of(1)).await;
    super::end_agent(&lab, NODE).await;
    let now = OffsetDateTime::now_utc();
    let soon = Validity { from: now - Duration::days(1), to: now + Duration::days(9) };
    let authority = Authority::new("of the test", soon).unwrap();
    let subject = Subject::Agent { node: NODE.to_owned() };
    let identity = authority.issue("lab", &subject, soon).unwrap();
    let pki = lab.lab().layout().pki(NODE);
    fs::write(pki.join("ca.crt"), authority.certificate()).unwrap();
    fs::write(pki.join("agent.crt"), identity.certificate).unwrap();
    fs::write(pki.join("agent.key"), identity.key).unwrap();
    let outcome = checked(&lab.binaries().agent, &lab.lab().layout().agent_file(NODE)).await;
    assert_eq!(outcome.code, Some(0), "{}", outcome.page());
    let mut lines = outcome.stdout.lines();
    lines.find(|line| line.starts_with("note  certificate  ")).expect("it is noted");
    assert!(lines.next().unwrap().contains("systemctl reload quaymaster-agent"));
    assert!(outcome.stdout.contains("ok    port         127.0."), "{}", outcome.page());
}
