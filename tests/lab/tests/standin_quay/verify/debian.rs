//! Debian's docker-registry: another's server, for what it can do. It wants no token, has no health
//! routes and no modes, and answers as Quay does since 3.3 (quay-facts 8.3).

use std::process::Stdio;
use std::time::Instant;

use quaymaster::verify::Check;
use quaymaster_lab::registry::program;
use quaymaster_proto::Mode;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::{ROBOT, faults, passed, verified};
use crate::lab::{BOUND, Container};

#[tokio::test]
async fn what_a_registry_of_others_can_do_passes() {
    let dir = tempfile::tempdir().unwrap();
    let port = Container::unused_port();
    let _registry = start(dir.path(), port).await;
    let place = verified(port, Mode::Complete, ROBOT, None).await;
    let pushed =
        [Check::Api, Check::Token, Check::Repository, Check::Schema2, Check::List, Check::CleanUp];
    assert!(pushed.iter().all(|check| passed(&place).contains(check)), "{place:?}");
    // It is no Quay.
    assert_eq!(
        faults(&place),
        [
            "/health/instance says 404",
            "/health/endtoend says 404",
            "the push of a list by nobody was answered with 400: that is no mode that is known, \
             not complete"
        ]
    );
}

async fn start(dir: &std::path::Path, port: u16) -> Child {
    let text = format!(
        "version: 0.1\nlog: {{ accesslog: {{ disabled: true }}, level: error }}\n\
         storage:\n  filesystem: {{ rootdirectory: '{}' }}\n  delete: {{ enabled: true }}\n\
         validation: {{ manifests: {{ urls: {{ allow: ['^https://layers[.]example[.]com/'] }} }} }}\n\
         http: {{ addr: '127.0.0.1:{port}' }}\n",
        dir.join("data").display()
    );
    std::fs::write(dir.join("config.yml"), text).unwrap();
    let child = Command::new(program().unwrap())
        .arg("serve")
        .arg(dir.join("config.yml"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let since = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        assert!(since.elapsed() < BOUND, "the registry does not listen");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    child
}
