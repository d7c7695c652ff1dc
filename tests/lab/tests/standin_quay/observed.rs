//! The stand-in's answers over HTTP, beside those that the real Quay was recorded to give
//! (quay-observed; each file names the commit that was run).
//!
//! Status, body and every header must be the same, but for what a server says of itself and of the
//! connection. Where a record has no headers or only JSON, that much is compared.

mod pushes;

use std::collections::BTreeMap;
use std::path::Path;

use quaymaster_lab::record::QuayEvent;
use serde::Deserialize;
use serde_json::Value;
use sqlx::{Connection as _, SqliteConnection};

use crate::lab::{Container, Lab};

/// As the real one was set up; what it counts does not move by itself.
const SETTINGS: &str =
    "SETUP_COMPLETE: true\nSERVER_HOSTNAME: localhost:8080\nREGISTRY_STATE: readonly\n";

/// What any server puts in by itself.
const OF_THE_CONNECTION: [&str; 5] =
    ["connection", "content-length", "date", "server", "transfer-encoding"];

#[derive(Deserialize)]
struct Recorded {
    request: Asked,
    status: u16,
    headers: Option<Vec<(String, String)>>,
    body_raw: Option<String>,
    body_text: Option<String>,
    json: Option<Value>,
}

#[derive(Deserialize)]
struct Asked {
    method: String,
    path: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

#[derive(PartialEq, Debug)]
struct Answer {
    status: u16,
    /// Sorted; `None` = not compared.
    headers: Option<Vec<(String, String)>>,
    body: String,
}

fn recorded(name: &str) -> Recorded {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/observed");
    let text = std::fs::read_to_string(directory.join(format!("{name}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The real one's token is a signed one: any is as good.
fn without_token(body: String) -> String {
    match body.strip_prefix("{\"token\":\"") {
        Some(rest) if rest.ends_with("\"}\n") => "a token".to_owned(),
        Some(_) | None => body,
    }
}

fn compared(headers: impl IntoIterator<Item = (String, String)>) -> Vec<(String, String)> {
    let mut kept: Vec<(String, String)> = headers
        .into_iter()
        .map(|(name, value)| (name.to_lowercase(), value))
        .filter(|(name, _)| !OF_THE_CONNECTION.contains(&name.as_str()))
        .collect();
    kept.sort();
    kept
}

/// Asks what was asked then, under the name by which the real one was asked.
async fn ask(container: &Container, asked: &Asked) -> Answer {
    ask_by(container, asked, "localhost:8080").await
}

async fn ask_by(container: &Container, asked: &Asked, host: &str) -> Answer {
    let client = Container::client();
    let url = format!("{}{}", container.base(), asked.path);
    let mut request = client.request(asked.method.parse().unwrap(), url);
    request = request.header("host", host);
    for (name, value) in &asked.headers {
        match (name.as_str(), asked.path.starts_with("/v2/auth")) {
            // Whoever names an account to the stand-in is mistaken.
            ("Authorization", true) => request = request.basic_auth("someone", Some("wrong")),
            // The mode shows before the login is looked at.
            ("Authorization", false) => {}
            _ => request = request.header(name, value),
        }
    }
    let response = request.send().await.unwrap();
    let text = |value: &reqwest::header::HeaderValue| value.to_str().unwrap().to_owned();
    let headers = response.headers().iter().map(|(name, value)| (name.to_string(), text(value)));
    Answer {
        status: response.status().as_u16(),
        headers: Some(compared(headers.collect::<Vec<_>>())),
        body: without_token(response.text().await.unwrap()),
    }
}

/// Asks the stand-in what each record asked, and wants the same answer.
async fn answers_as(container: &Container, names: &[&str]) {
    let mut differences = String::new();
    for name in names {
        let recorded = recorded(name);
        let mut answer = ask(container, &recorded.request).await;
        let body = match recorded.body_raw.or(recorded.body_text) {
            Some(body) => without_token(body),
            None => format!("{}\n", recorded.json.unwrap()),
        };
        let headers = recorded.headers.map(compared);
        if headers.is_none() {
            answer.headers = None;
        }
        let expected = Answer { status: recorded.status, headers, body };
        if answer != expected {
            differences += &format!("{name}\n  recorded {expected:?}\n  stand-in {answer:?}\n");
        }
    }
    assert!(differences.is_empty(), "\n{differences}");
}

async fn execute(lab: &Lab, statements: &[&str]) {
    let mut connection = SqliteConnection::connect(&lab.uri()).await.unwrap();
    for statement in statements {
        sqlx::query(sqlx::AssertSqlSafe((*statement).to_owned()))
            .execute(&mut connection)
            .await
            .unwrap();
    }
}

/// From now on the health check's question to the database has no answer.
async fn break_database(lab: &Lab) {
    execute(lab, &["ALTER TABLE teamrole RENAME TO gone"]).await;
}

/// So many visible tags, so many rows of the mapping.
async fn tags(lab: &Lab, visible: u32, mapped: u32) {
    let numbers = |last| {
        format!("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {last})")
    };
    let visible = format!(
        "{} INSERT INTO repositorytag (id, name, repository_id, hidden, lifetime_start_ts) \
         SELECT i, 'tag-' || i, 1, false, 1500000000 + i FROM n WHERE i <= {visible}",
        numbers(visible.max(1))
    );
    let mapped = format!(
        "{} INSERT INTO tagtorepositorytag (id, repository_id, tag_id, repository_tag_id) \
         SELECT i, 1, i, i FROM n WHERE i <= {mapped}",
        numbers(mapped.max(1))
    );
    let empty = ["DELETE FROM repositorytag", "DELETE FROM tagtorepositorytag"];
    execute(lab, &[empty[0], empty[1], &visible, &mapped]).await;
}

#[tokio::test]
async fn in_background_mode_it_answers_as_recorded() {
    let lab = Lab::new(0).await;
    let container = Lab::container("first", "3.0.5");
    let _quay = lab.start(&container, &format!("{SETTINGS}V3_UPGRADE_MODE: background\n"));
    lab.until_healthy(&container).await;
    let names = [
        "upgradeprogress_slash--background-0tags",
        "upgradeprogress--background-0tags",
        "health_instance--background-0tags",
        "health_endtoend--background-0tags",
        "health_warning--background-0tags",
        "v2_slash--background-0tags",
        "push-list-put--background",
        "push-schema2-put--background",
        "push-oci-put--background",
    ];
    answers_as(&container, &names).await;
    for (visible, mapped, name) in [
        (4, 0, "upgradeprogress_slash--background-4tags-0done"),
        (4, 4, "upgradeprogress_slash--background-after-pushes"),
        (2004, 0, "upgradeprogress_slash--background-2004tags-0done"),
        (1894, 953, "upgradeprogress_slash--background-partial"),
        (1894, 1904, "upgradeprogress_slash--background-more-mapped-than-visible"),
    ] {
        tags(&lab, visible, mapped).await;
        answers_as(&container, &[name]).await;
    }
    break_database(&lab).await;
    let names =
        ["upgradeprogress_slash--background-db-down", "health_instance--background-db-down"];
    answers_as(&container, &names).await;
}

#[tokio::test]
async fn in_complete_mode_it_answers_as_recorded() {
    let lab = Lab::new(0).await;
    let container = Lab::container("first", "3.0.5");
    let _quay = lab.start(&container, &format!("{SETTINGS}V3_UPGRADE_MODE: complete\n"));
    lab.until_healthy(&container).await;
    let names = [
        "upgradeprogress_slash--complete-healthy-0tags",
        "upgradeprogress--complete-healthy-0tags",
        "health_instance--complete-healthy",
        "health_endtoend--complete-healthy",
        "status--complete-healthy",
        "health_warning--complete-healthy",
        "health_dbrevision--complete-healthy-0tags",
        "_internal_ping--complete-healthy-0tags",
        "v1__internal_ping--complete-healthy-0tags",
        "c1__internal_ping--complete-healthy-0tags",
        "secscan__internal_ping--complete-healthy-0tags",
        "v1__ping--complete-healthy-0tags",
        "v2_slash--complete-healthy-0tags",
        "v2--complete-healthy-0tags",
        "v2_auth--complete-healthy-0tags",
        "v2_auth-q-service_localhost_8080_scope_repository_foo_bar_pull--complete-healthy-0tags",
        "v2_auth-q-service_localhost_8080_scope_repository_admin_x_push_pull--complete-bad-password",
    ];
    answers_as(&container, &names).await;
    break_database(&lab).await;
    let names = [
        "health_instance--complete-db-down",
        "health_endtoend--complete-db-down",
        "health_warning--complete-db-down",
        "_internal_ping--complete-db-down",
        "v1__internal_ping--complete-db-down",
        "v2_slash--complete-db-down",
        "v2_auth-q-service_localhost_8080_scope_repository_devtable_app-complete_pull--complete-db-down",
        "upgradeprogress_slash--complete-db-down",
    ];
    answers_as(&container, &names).await;
}

/// The node is asked by its address, not by the registry's name.
#[tokio::test]
async fn the_name_by_which_it_is_asked_shows_in_redirects_alone() {
    let lab = Lab::new(4).await;
    let container = Lab::container("first", "3.0.5");
    let _quay = lab.start(&container, &format!("{SETTINGS}V3_UPGRADE_MODE: background\n"));
    lab.until_healthy(&container).await;
    for name in [
        "upgradeprogress_slash--background-4tags-0done",
        "health_instance--background-0tags",
        "v2_slash--background-0tags",
        "push-list-put--background",
    ] {
        let asked = recorded(name).request;
        let by_address = ask_by(&container, &asked, "10.0.0.11:9999").await;
        assert_eq!(by_address, ask(&container, &asked).await, "{name}");
    }
    let asked = recorded("upgradeprogress--background-0tags").request;
    let answer = ask_by(&container, &asked, "10.0.0.11:9999").await;
    let location = ("location".to_owned(), "http://10.0.0.11/upgradeprogress/".to_owned());
    assert!(answer.headers.unwrap().contains(&location));
}

/// Nobody recorded a push without login in complete mode. That the login is looked at after the
/// mode is read in Quay's source (quay-facts 8.5); how it refuses was recorded at another door.
#[tokio::test]
async fn a_push_without_login_is_refused_as_any_request_without_one() {
    let lab = Lab::new(0).await;
    let container = Lab::container("first", "3.0.5");
    let _quay = lab.start(&container, &format!("{SETTINGS}V3_UPGRADE_MODE: complete\n"));
    lab.until_healthy(&container).await;
    let login = recorded("v2_auth--complete-healthy-0tags");
    let expected = Answer {
        status: login.status,
        headers: login.headers.map(compared),
        body: login.body_raw.unwrap(),
    };
    for name in ["push-list-put--background", "push-schema2-put--background"] {
        let push = recorded(name).request;
        assert_eq!(push.method, "PUT");
        assert_eq!(ask(&container, &push).await, expected, "{name}");
    }
}

#[tokio::test]
async fn without_its_storage_it_answers_as_recorded() {
    let lab = Lab::new(0).await;
    std::fs::remove_dir(lab.path("shared/storage")).unwrap();
    let container = Lab::container("first", "3.0.5");
    let _quay = lab.start(&container, &format!("{SETTINGS}V3_UPGRADE_MODE: complete\n"));
    lab.until_healthy(&container).await;
    let names =
        ["health_endtoend--complete-storage-not-mounted", "health_instance--complete-healthy"];
    answers_as(&container, &names).await;
}

#[tokio::test]
async fn a_container_started_again_answers_as_recorded() {
    let lab = Lab::new(0).await;
    let container = Lab::container("first", "3.0.5");
    let config = format!("{SETTINGS}V3_UPGRADE_MODE: complete\n");
    let mut quay = lab.start(&container, &config);
    lab.until_healthy(&container).await;
    quay.kill().await.unwrap();
    let _again = lab.start(&container, &config);
    container.until_registry_serves().await;
    answers_as(&container, &["health_instance--container-restarted-after-sigkill"]).await;
    let events = lab.events(&container);
    assert_eq!(events.iter().filter(|event| **event == QuayEvent::Healthy).count(), 1);
}
