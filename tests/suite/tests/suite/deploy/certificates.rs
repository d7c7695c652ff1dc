//! The guide's own commands make certificates that agents and operators accept.

use std::fs;
use std::path::Path;

use quaymaster_suite::command::run_in;
use quaymaster_suite::unit::deployed_text;
use quaymaster_suite::{Shape, TestLab};

#[tokio::test]
async fn the_guides_certificates_are_accepted() {
    let mut lab = TestLab::up(Shape::of(3)).await;
    let dir = tempfile::tempdir().unwrap();
    let script = commands().replace("cluster=prod\n", "cluster=lab\n");
    assert!(script.contains("nodes=\"quay-1 quay-2 quay-3\"\n"), "the lab's nodes");
    run_in(Path::new("sh"), dir.path(), ["-c", &script]).await.expect_code(0);

    let put = |from: &str, to: &Path| {
        fs::copy(dir.path().join(from), to).unwrap();
    };
    for node in lab.nodes() {
        let pki = lab.lab().layout().pki(&node);
        put("ca.crt", &pki.join("ca.crt"));
        put(&format!("{node}.crt"), &pki.join("agent.crt"));
        put(&format!("{node}.key"), &pki.join("agent.key"));
        // As callers do, the check looks at authority, dates, purpose and names.
        let file = lab.lab().layout().agent_file(&node);
        let arguments = ["check", "--config", file.to_str().unwrap()];
        let outcome = run_in(&lab.binaries().agent, dir.path(), arguments).await;
        let good = format!("ok    certificate  `quaymaster://lab/agent/{node}`, until ");
        assert!(outcome.stdout.contains(&good), "{}", outcome.page());
        lab.restart_agent(&node).await;
    }
    // An agent of the new authority does not know the old operator.
    let refused = lab.quaymaster(["status"]).await;
    assert_ne!(refused.code, Some(0), "{}", refused.page());
    put("ca.crt", &lab.dir().join("ca.crt"));
    put("alice.crt", &lab.dir().join("operator.crt"));
    put("alice.key", &lab.dir().join("operator.key"));
    let status = lab.quaymaster(["status"]).await.expect_code(0);
    assert!(status.stdout.contains("quay-3"), "{}", status.page());
    // An operator plans, which a reader may not.
    lab.plan(Some("synchronous")).await;
}

/// The lines of the guide that make certificates.
fn commands() -> String {
    let guide = deployed_text("README.md");
    let (_, rest) = guide.split_once("<!-- certificates: ").expect("the guide marks them");
    let (_, rest) = rest.split_once("```sh\n").expect("a block follows");
    let (commands, _) = rest.split_once("```\n").expect("the block ends");
    commands.to_owned()
}
