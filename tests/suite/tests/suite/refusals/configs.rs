//! config.yaml, the containers and the databases of the nodes.

use std::fs;
use std::path::PathBuf;

use quaymaster_suite::{Shape, TestLab};

use super::{PLAN, refused};

const ONE: &str = "quay-1";
const TWO: &str = "quay-2";

/// The text of a config.yaml made wrong.
type Edit = fn(&str) -> String;

#[tokio::test]
async fn what_the_nodes_have() {
    let mut lab = TestLab::up(Shape::of(2)).await;
    let edits: [(&str, &[&str], Edit); 6] = [
        ("config-does-not-parse", &[TWO], |text| format!("{text}FEATURE_X: [unclosed\n")),
        ("config-has-the-key-twice", &[ONE, TWO], |text| {
            format!("{text}V3_UPGRADE_MODE: background\nV3_UPGRADE_MODE: complete\n")
        }),
        ("setup-is-not-complete", &[ONE, TWO], |text| {
            text.replace("SETUP_COMPLETE: true", "SETUP_COMPLETE: false")
        }),
        ("setup-complete-is-missing", &[TWO], |text| {
            text.replace("SETUP_COMPLETE: true", "# SETUP_COMPLETE: true")
        }),
        ("configs-differ", &[TWO], |text| {
            text.replace("FEATURE_USER_CREATION: false", "FEATURE_USER_CREATION: true")
                .replace("SECRET_KEY: \"", "SECRET_KEY: \"other")
                + "ONLY_HERE: 1\n"
        }),
        ("two-databases", &[TWO], |text| text.replace("quay.db'", "other.db'")),
    ];
    let other = lab.lab().layout().shared().join("other.db");
    fs::copy(lab.lab().layout().database_file(), other).unwrap();
    for (name, nodes, edit) in edits {
        let originals: Vec<(PathBuf, String)> =
            nodes.iter().map(|node| (path(&lab, node), lab.config(node).text)).collect();
        for (path, text) in &originals {
            let edited = edit(text);
            assert_ne!(&edited, text, "{name}");
            fs::write(path, edited).unwrap();
        }
        refused(&lab, name, "cluster.yaml", PLAN).await;
        for (path, text) in originals {
            fs::write(path, text).unwrap();
        }
    }
    a_component_that_is_not_there(&mut lab).await;
    // All is as it was: the same request is granted.
    lab.plan(Some("background")).await;
}

async fn a_component_that_is_not_there(lab: &mut TestLab) {
    let path = lab.lab().layout().agent_file(TWO);
    let text = fs::read_to_string(&path).unwrap();
    let known = lab.lab().node(TWO).unwrap().container.clone();
    fs::write(&path, text.replace(&known, "quay-of-another-name")).unwrap();
    lab.restart_agent(TWO).await;
    refused(lab, "component-not-there", "cluster.yaml", PLAN).await;
    fs::write(&path, text).unwrap();
    lab.restart_agent(TWO).await;
}

fn path(lab: &TestLab, node: &str) -> PathBuf {
    lab.lab().layout().config_file(node)
}
