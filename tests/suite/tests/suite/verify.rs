//! `quaymaster verify` on a lab: in each release and mode, and with files that are wrong.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use insta::assert_snapshot;
use quaymaster_suite::upgrade::resume_arguments;
use quaymaster_suite::{Outcome, Shape, TestLab, redact};
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _};

use crate::whole::backfilled;

/// Each check that was made at a place, with what came of it.
fn outcomes(outcome: &Outcome) -> Vec<Vec<String>> {
    let json: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(json["version"], 1);
    let places = json["verification"]["places"].as_array().unwrap();
    let of_place = |place: &Value| {
        let checks = place["checks"].as_array().unwrap().iter();
        let passed = checks.filter(|check| check["outcome"] == "passed");
        passed.map(|check| check["check"].as_str().unwrap().to_owned()).collect()
    };
    places.iter().map(of_place).collect()
}

#[tokio::test]
async fn a_cluster_is_verified_before_between_and_after() {
    const JSON: [&str; 3] = ["verify", "--output", "json"];
    let lab = TestLab::up(Shape::of(2)).await;
    let page = lab.quaymaster(["verify"]).await.expect_code(0).stdout;
    for said in ["2.9.5", "verified in part", "quay-2   http://127.0.", "nothing from before"] {
        assert!(page.contains(said), "`{said}` is not said:\n{page}");
    }
    let both = |checks: &[&str]| vec![checks.iter().map(|check| (*check).to_owned()).collect(); 2];
    let before: Vec<Vec<String>> =
        both(&["api", "health", "token", "repository", "schema1", "clean-up"]);
    assert_eq!(outcomes(&lab.quaymaster(JSON).await.expect_code(0)), before);

    lab.apply(&lab.plan(Some("background")).await).await.expect_code(0);
    let between = [
        "api",
        "health",
        "mode",
        "token",
        "repository",
        "new-formats-refused",
        "schema1",
        "clean-up",
    ];
    assert_eq!(outcomes(&lab.quaymaster(JSON).await.expect_code(0)), both(&between));

    lab.apply(&lab.plan(None).await).await.expect_code(0);
    let after = ["api", "health", "mode", "token", "repository", "schema2", "list", "clean-up"];
    assert_eq!(outcomes(&lab.quaymaster(JSON).await.expect_code(0)), both(&after));
    lab.check().await.expect_clean();
}

#[tokio::test]
async fn what_cannot_be_verified_is_said_and_wrong_files_are_refused() {
    let lab = TestLab::up(Shape::of(1)).await;
    let robot = lab.dir().join("robot.json");
    let right = fs::read_to_string(&robot).unwrap();
    let secrets = lab.lab().file().secrets.iter();
    let mut passwords = secrets.filter(|secret| right.contains(&secret.value));
    let password = passwords.next().expect("the robot's password is among the secrets");
    let told = async |code, words: &str| {
        let page = lab.quaymaster(["verify"]).await.expect_code(code).page();
        assert!(page.contains(words), "`{words}` is not said:\n{page}");
        assert!(!page.contains(&password.value), "{page}");
    };
    fs::write(&robot, right.replacen("\"password\":\"", "\"password\":\"x", 1)).unwrap();
    told(1, "the login of quaymaster+verify is refused").await;
    let preflight = ["preflight", "--to", "3.0.5", "--mode", "synchronous"];
    let page = lab.quaymaster(preflight).await.expect_code(3).page();
    assert!(page.contains("is refused: Invalid Username or Password"), "{page}");
    assert!(page.contains("verification-not-ready") && !page.contains(&password.value), "{page}");
    fs::write(&robot, &right).unwrap();
    fs::set_permissions(&robot, fs::Permissions::from_mode(0o644)).unwrap();
    told(2, "chmod 600 ").await;
    fs::set_permissions(&robot, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&robot, "{ \"auths\": {} }").unwrap();
    told(2, "it holds no login at all").await;

    let cluster = lab.dir().join("cluster.yaml");
    let text = fs::read_to_string(&cluster).unwrap();
    let without = text.replace("verify: { credentials: robot.json }\n", "");
    assert_ne!(text, without);
    fs::write(&cluster, without).unwrap();
    told(0, "no login: name a robot's").await;

    // And so is the end of a window: what could not be verified is said before and after.
    let plan = lab.plan(Some("synchronous")).await;
    let page = plan.outcome.page();
    assert!(page.contains("the window is verified in part"), "{page}");
    let page = lab.apply(&plan).await.expect_code(0).page();
    for said in ["3 checks passed at 1 place", "not checked   token", "no login: name a robot's"] {
        assert!(page.contains(said), "`{said}` is not said:\n{page}");
    }
}

/// Health is green, and a user's tag is lost: the window has ended for everybody but its operator,
/// who reads which tag it is, and ends the run in words.
#[tokio::test]
async fn a_lost_tag_holds_the_window_at_its_end_until_a_person_waives_it() {
    // Few enough of many for the backfill's gate to open.
    let mut shape = Shape::of(2);
    (shape.tags, shape.pace.backfill_rate) = (400, 1000.0);
    let lab = TestLab::up(shape).await;
    lab.lab().keep_image("v1").await.expect("an image is there before");
    lab.apply(&lab.plan(Some("background")).await).await.expect_code(0);
    backfilled(&lab).await;
    let path = lab.lab().layout().database_file();
    let options = SqliteConnectOptions::new().filename(&path).busy_timeout(Duration::from_secs(10));
    let mut person = options.connect().await.unwrap();
    let tag = "(SELECT id FROM repositorytag WHERE name = 'v1')";
    for statement in [
        format!(
            "CREATE TRIGGER broken BEFORE INSERT ON tagtorepositorytag \
             WHEN NEW.repository_tag_id = {tag} BEGIN SELECT RAISE(IGNORE); END"
        ),
        format!("DELETE FROM tagtorepositorytag WHERE repository_tag_id = {tag}"),
    ] {
        person.execute(AssertSqlSafe(statement)).await.unwrap();
    }
    person.close().await.unwrap();

    let plan = lab.plan(None).await;
    let held = lab.apply(&plan).await.expect_code(8);
    let explained = lab.quaymaster(["explain"]).await.expect_code(0).page();
    for said in ["is serving again, on every node", "quaymaster/kept:v1", "verify --because WORDS"]
    {
        assert!(explained.contains(said), "`{said}` is not said:\n{explained}");
    }
    lab.quaymaster(resume_arguments(&plan)).await.expect_code(8);
    lab.quaymaster(["approve", "verify"]).await.expect_code(2);
    let because = ["approve", "verify", "--because", "v1 is pushed again tomorrow"];
    lab.quaymaster(because).await.expect_code(0);
    let ended = lab.quaymaster(resume_arguments(&plan)).await.expect_code(0);
    redact::settings(&lab).bind(|| {
        assert_snapshot!("verify-held", redact::steady(&held.page()));
        assert_snapshot!("verify-waived", redact::steady(&ended.page()));
    });
    lab.check().await.expect_clean();
}
