//! What a newcomer types first.

use std::fs;

use quaymaster_lab::cluster::binaries::Binaries;
use quaymaster_suite::command::run_in;
use serde_json::Value;

#[tokio::test]
async fn the_whole_upgrade_is_shown_and_summed_up() {
    for (mode, nodes, windows) in [("background", 3, 2), ("synchronous", 6, 1)] {
        let dir = tempfile::tempdir().unwrap();
        let program = Binaries::ready(&|text| eprintln!("{text}")).unwrap().lab;
        let count = nodes.to_string();
        let demo = ["demo", "--mode", mode, "--nodes", &count, "--tags", "200"];
        let summary = ["--summary", "summary.json"];
        let outcome = run_in(&program, dir.path(), demo.into_iter().chain(summary)).await;
        let outcome = outcome.expect_code(0);
        for said in ["plan", "migrate", "no invariant broken"] {
            let all = outcome.page();
            assert!(all.contains(said), "`{said}` is not shown:\n{all}");
        }
        let text = fs::read_to_string(dir.path().join("summary.json")).unwrap();
        summed_up(&serde_json::from_str(&text).unwrap(), mode, (nodes, windows));
    }
}

fn summed_up(summary: &Value, mode: &str, (nodes, windows): (u8, usize)) {
    assert_eq!(
        keys(summary),
        ["backfill", "engine", "from", "mode", "nodes", "outcome", "to", "violations", "windows"]
    );
    assert_eq!(summary["mode"], mode);
    assert_eq!(summary["engine"], "standin");
    assert_eq!(summary["nodes"], nodes);
    assert_eq!((&summary["from"], &summary["to"]), (&"2.9.5".into(), &"3.0.5".into()));
    assert_eq!(summary["outcome"], "completed");
    assert_eq!(summary["violations"], Value::Array(Vec::new()));
    let seen = summary["windows"].as_array().unwrap();
    assert_eq!(seen.len(), windows);
    for window in seen {
        assert_eq!(keys(window), ["first_healthy_seconds", "limit_seconds", "outage_seconds"]);
        for figure in ["first_healthy_seconds", "limit_seconds", "outage_seconds"] {
            assert!(window[figure].as_f64().is_some_and(|seconds| seconds > 0.0), "{window}");
        }
    }
    assert_eq!(keys(&summary["backfill"]), ["progress", "total_tags"]);
    // Beside what was asked for: an image to be found again, and what verifications took away.
    assert!(summary["backfill"]["total_tags"].as_i64().is_some_and(|all| all > 200), "{summary}");
    assert_eq!(summary["backfill"]["progress"], 1.0);
}

fn keys(object: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}
