//! What the host starts a container with, beside its engine.

use std::fs;
use std::path::Path;

use quaymaster_suite::{Shape, TestLab};

use super::{PLAN, refused};
use crate::deploy::{end_agent, serve_below};

#[tokio::test]
async fn a_unit_a_line_of_crons_and_a_unit_that_does_not_parse() {
    let lab = TestLab::up(Shape::of(3)).await;
    let quay = |node: &str| lab.lab().node(node).unwrap().container.clone();
    let files = [
        (
            "quay-1",
            "etc/systemd/system/registry.service",
            format!("[Service]\nExecStart=/usr/bin/docker start -a {}\n", quay("quay-1")),
        ),
        (
            "quay-2",
            "etc/systemd/system/registry.service",
            format!("[Service\nExecStart=/usr/bin/docker start -a {}\n", quay("quay-2")),
        ),
        (
            "quay-3",
            "etc/cron.d/registry",
            format!("@reboot root docker start {}\n", quay("quay-3")),
        ),
    ];
    let mut agents = Vec::new();
    for (node, file, text) in files {
        end_agent(&lab, node).await;
        let host = lab.dir().join("hosts").join(node);
        let path = host.join(Path::new(file));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        let mut agent = serve_below(&lab, node, &host);
        agent.until(|message| message.contains("READY=1")).await;
        agents.push(agent);
    }
    refused(&lab, "others-that-start-a-quay", "cluster.yaml", PLAN).await;
}
