//! No secret is seen anywhere: not in what a command says, not in a file that
//! it writes, not on any process's command line, whether it goes well or not.

mod processes;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use quaymaster_lab::cluster::lab_file::DatabaseKind;
use quaymaster_lab::engine::{RegistryCredentials, RegistryFile};
use quaymaster_lab::witness::{Secret, find_secrets};
use quaymaster_suite::upgrade::apply_arguments;
use quaymaster_suite::{Outcome, Shape, TestLab};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _};

use self::processes::Watch;

const REGISTRY: &str = "127.0.0.1:5000";
const USER: &str = "site+puller";
const REGISTRY_PASSWORD: &str = "b9c0d2c31d0b4f3f8ae0regis";
const MAIL_PASSWORD: &str = "5d41402abc4b2a76b971mails";

/// What of the product's own may hold what the database holds, and nobody but
/// its owner may read.
const PROTECTED: &str = "backups/";

/// What is not the product's: Quay's own configuration with the kept copies
/// beside it, and the lab's.
const NOT_OURS: [&str; 3] = ["config/", "log/", "pki/"];
const LABS: [&str; 8] = [
    "lab.json",
    "robot.json",
    "registry-auth.json",
    "engine/",
    "postgres/",
    "shared/",
    "witness/",
    "observed/",
];

mod postgres {
    #[tokio::test]
    async fn no_secret_is_in_any_page_file_or_command_line_of_a_whole_upgrade() {
        super::whole_upgrade().await;
    }
}

async fn whole_upgrade() {
    let overriding = format!(r#"{{"MAIL_PASSWORD": "{MAIL_PASSWORD}"}}"#);
    let environment = vec![("QUAY_OVERRIDE_CONFIG".to_owned(), overriding)];
    let database = DatabaseKind::Postgres;
    let mut lab = TestLab::up(Shape { database, environment, ..Shape::of(2) }).await;
    let mut said = Said::default();
    let watch = Watch::begin();

    // A registry that wants a login: none, a wrong one, the right one.
    ask_for_login(&lab);
    said.page(&lab, 3, PLAN).await;
    for password in ["a-wrong-password-of-somebody", REGISTRY_PASSWORD] {
        give_login(&mut lab, password).await;
        let code = if password == REGISTRY_PASSWORD { 0 } else { 3 };
        said.page(&lab, code, ["preflight", "--to", "3.0.5", "--mode", "background"]).await;
    }
    // A database that is not there, by an address with a password in it.
    with_dead_database(&lab, async || said.page(&lab, 3, PLAN).await).await;
    said.page(&lab, 0, ["verify"]).await;

    // A window that goes back, and one that does not.
    let stranger = session(&lab).await;
    let plan = lab.plan(Some("background")).await;
    said.page(&lab, 7, apply_arguments(&plan)).await;
    stranger.close().await.unwrap();
    let plan = lab.plan(Some("background")).await;
    said.outcome("the plan", plan.outcome.clone());
    said.page(&lab, 0, apply_arguments(&plan)).await;
    for json in [["status", "--output", "json"], ["verify", "--output", "json"]] {
        said.page(&lab, 0, json).await;
    }
    said.page(&lab, 0, ["status"]).await;
    let plan = lab.plan(None).await;
    said.page(&lab, 0, apply_arguments(&plan)).await;

    let secrets = secrets(&lab);
    said.0.insert("a process".to_owned(), watch.end());
    for path in written(&lab) {
        let place = path.strip_prefix(lab.dir()).unwrap().display().to_string();
        said.0.insert(place, fs::read(&path).unwrap());
    }
    let texts = said.0.iter().map(|(place, text)| (place.as_str(), text.as_slice()));
    assert_eq!(find_secrets(&secrets, texts), []);
    // The dead address was this test's own edit, and back.
    assert_eq!(lab.check().await.broken(), [5]);
    the_search_finds_what_is_there(&lab, &secrets);
}

const PLAN: [&str; 5] = ["plan", "--to", "3.0.5", "--mode", "background"];

/// Everything that was said, by what was asked.
#[derive(Default)]
struct Said(BTreeMap<String, Vec<u8>>);

impl Said {
    async fn page<S: AsRef<std::ffi::OsStr>>(
        &mut self,
        lab: &TestLab,
        code: i32,
        arguments: impl IntoIterator<Item = S>,
    ) {
        let arguments: Vec<_> = arguments.into_iter().map(|one| one.as_ref().to_owned()).collect();
        let outcome = lab.quaymaster(&arguments).await.expect_code(code);
        self.outcome(&format!("{arguments:?}"), outcome);
    }

    fn outcome(&mut self, asked: &str, outcome: Outcome) {
        let place = format!("{} {asked}", self.0.len());
        self.0.insert(place, outcome.page().into_bytes());
    }
}

/// The lab's own, and those that this test brought.
fn secrets(lab: &TestLab) -> Vec<Secret> {
    let own = lab.lab().file().secrets.iter();
    let own = own.map(|one| Secret { name: one.name.clone(), value: one.value.clone() });
    let secret =
        |name: &str, value: &str| Secret { name: name.to_owned(), value: value.to_owned() };
    own.chain([
        secret("password of the registry", REGISTRY_PASSWORD),
        secret("MAIL_PASSWORD of QUAY_OVERRIDE_CONFIG", MAIL_PASSWORD),
    ])
    .collect()
}

/// Every file of the lab's directory that the product wrote and that is not
/// protected.
fn written(lab: &TestLab) -> Vec<PathBuf> {
    let mut all = Vec::new();
    list(lab.dir(), &mut all);
    all.retain(|path| {
        let path = path.strip_prefix(lab.dir()).unwrap().display().to_string();
        let of_node = lab
            .nodes()
            .into_iter()
            .find_map(|node| path.strip_prefix(&format!("nodes/{node}/")).map(str::to_owned));
        let starts = |names: &[&str], path: &str| names.iter().any(|name| path.starts_with(name));
        match of_node {
            Some(path) => !path.starts_with(PROTECTED) && !starts(&NOT_OURS, &path),
            None => !starts(&LABS, &path),
        }
    });
    let names: Vec<String> = all.iter().map(|path| path.display().to_string()).collect();
    for name in ["journal.db", "agent.log", "floor.json", "/plans/", "/reports/"] {
        assert!(names.iter().any(|path| path.contains(name)), "{name} is not among {names:#?}");
    }
    all
}

fn list(dir: &Path, all: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => list(&entry.path(), all),
            kind if kind.is_file() => all.push(entry.path()),
            // Sockets, and links into what is listed anyhow.
            _ => {}
        }
    }
}

/// A search that finds nothing has to be one that could; and what may keep a
/// secret is its owner's alone.
fn the_search_finds_what_is_there(lab: &TestLab, secrets: &[Secret]) {
    let text = fs::read(lab.lab().layout().config_file("quay-1")).unwrap();
    let found = find_secrets(secrets, [("config.yaml", text.as_slice())]);
    for of in ["DATABASE_SECRET_KEY", "password of the database role quay"] {
        assert!(found.iter().any(|found| found.secret == of), "{found:?}");
    }
    let mut kept = Vec::new();
    list(&lab.lab().layout().backups("quay-1"), &mut kept);
    assert!(!kept.is_empty(), "no backup was kept");
    for path in kept {
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", path.display());
    }
}

fn ask_for_login(lab: &TestLab) {
    let path = lab.lab().layout().image_file();
    let mut registry: RegistryFile =
        serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    for entry in registry.0.iter_mut().filter(|entry| entry.tag == "v3.0.5") {
        let (username, password) = (USER.to_owned(), REGISTRY_PASSWORD.to_owned());
        entry.credentials = Some(RegistryCredentials { username, password });
    }
    fs::write(&path, serde_json::to_string(&registry).unwrap()).unwrap();
}

/// Into the file that every agent is told of.
async fn give_login(lab: &mut TestLab, password: &str) {
    let path = lab.dir().join("registry-auth.json");
    let login = serde_json::json!({ "username": USER, "password": password });
    let text = serde_json::json!({ "auths": { REGISTRY: login } }).to_string();
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    for node in lab.nodes() {
        let agent = lab.lab().layout().agent_file(&node);
        let text = fs::read_to_string(&agent).unwrap();
        if !text.contains("registries:") {
            let line = format!("registries: {{ credentials: {} }}\n", path.display());
            fs::write(&agent, text + &line).unwrap();
        }
        lab.restart_agent(&node).await;
    }
}

/// While the first node's config.yaml leads to a port where nobody listens.
async fn with_dead_database(lab: &TestLab, meanwhile: impl AsyncFnOnce()) {
    let path = lab.lab().layout().config_file("quay-1");
    let text = fs::read_to_string(&path).unwrap();
    let port = PgConnectOptions::from_url(&lab.database_uri().parse().unwrap()).unwrap().get_port();
    let dead = text.replace(&format!(":{port}/"), ":1/");
    assert_ne!(text, dead);
    fs::write(&path, dead).unwrap();
    meanwhile().await;
    fs::write(&path, text).unwrap();
}

/// A session that nobody can name; not psql's, whose command line would have
/// the password in it.
async fn session(lab: &TestLab) -> PgConnection {
    let options = PgConnectOptions::from_url(&lab.database_uri().parse().unwrap()).unwrap();
    options.application_name("a stranger").connect().await.unwrap()
}
