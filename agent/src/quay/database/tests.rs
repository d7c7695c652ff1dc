use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;

use super::*;

fn settings(uri: &str) -> Settings {
    Settings::read(format!("DB_URI: '{uri}'\n").as_bytes()).unwrap()
}

fn mount(source: &Path, destination: &str) -> Mount {
    Mount { source: source.display().to_string(), destination: destination.to_owned() }
}

const ALL: Asked = Asked { sessions: true, counts: true };

async fn execute(path: &Path, statements: &'static str) {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    sqlx::raw_sql(statements).execute(&mut connection).await.unwrap();
}

#[tokio::test]
async fn a_file_is_found_through_the_containers_mounts_and_never_made() {
    let directory = tempfile::tempdir().unwrap();
    let mounts = [mount(directory.path(), "/var/quay-db"), mount(Path::new("/none"), "/var")];
    let settings = settings("sqlite:////var/quay-db/quay.db");
    let error = look(&settings, &mounts, "agent", ALL).await.unwrap_err();
    assert!(matches!(error, LookError::NoFile { .. }), "{error}");
    assert!(!directory.path().join("quay.db").exists());
    let error = look(&settings, &[], "agent", ALL).await.unwrap_err();
    assert!(matches!(error, LookError::NotMounted { .. }), "{error}");

    let path = directory.path().join("quay.db");
    execute(&path, "CREATE TABLE repositorytag (id INTEGER PRIMARY KEY, hidden BOOLEAN)").await;
    let error = look(&settings, &mounts, "agent", ALL).await.unwrap_err();
    assert!(matches!(error, LookError::NoAlembicTable), "{error}");
    // What a restore that broke off leaves is some database still.
    let found = look(&settings, &mounts, "agent", Asked::default()).await.unwrap();
    assert_eq!(found.revision, "");
    execute(
        &path,
        "CREATE TABLE alembic_version (version_num VARCHAR(32));
         INSERT INTO repositorytag (hidden) VALUES (0), (0), (0), (1);",
    )
    .await;
    let found = look(&settings, &mounts, "agent", ALL).await.unwrap();
    assert_eq!((found.revision.as_str(), found.sessions), ("", None));
    assert_eq!(found.counts, Some(TagCounts { visible: 3, unmapped: 3 }));
    let real = path.canonicalize().unwrap();
    assert_eq!(found.identity.as_str(), format!("sqlite:{}", real.display()));
    execute(
        &path,
        "INSERT INTO alembic_version VALUES ('481623ba00ba');
         CREATE TABLE tagtorepositorytag (repository_tag_id INTEGER);
         INSERT INTO tagtorepositorytag VALUES (1), (4);
         CREATE TABLE \"user\" (id INTEGER PRIMARY KEY, username TEXT);
         CREATE TABLE repository (id INTEGER PRIMARY KEY, namespace_user_id INTEGER, name TEXT);
         INSERT INTO \"user\" VALUES (1, 'prod');
         INSERT INTO repository VALUES (1, 1, 'shop');
         ALTER TABLE repositorytag ADD COLUMN repository_id INTEGER DEFAULT 1;
         ALTER TABLE repositorytag ADD COLUMN name TEXT DEFAULT 'v1';",
    )
    .await;
    let found = look(&settings, &mounts, "agent", ALL).await.unwrap();
    assert_eq!(found.revision, "481623ba00ba");
    assert_eq!(found.counts, Some(TagCounts { visible: 3, unmapped: 2 }));
    assert_eq!(found.unmapped_names, ["prod/shop:v1", "prod/shop:v1"]);
    execute(&path, "INSERT INTO alembic_version VALUES ('b918abdbee43')").await;
    let error = look(&settings, &mounts, "agent", ALL).await.unwrap_err();
    assert!(matches!(error, LookError::SeveralRevisions { count: 2 }), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_without_its_password() {
    for scheme in ["postgresql", "mysql+pymysql"] {
        let settings = settings(&format!("{scheme}://quay:hunter2@127.0.0.1:1/quay"));
        let error = look(&settings, &[], "agent", ALL).await.unwrap_err();
        assert!(matches!(error, LookError::Connect { .. }), "{error:?}");
        assert!(!format!("{error:?} {}", error.in_one_line()).contains("hunter2"), "{error:?}");
    }
}

#[test]
fn paths_inside_the_container_are_found_by_the_longest_mount() {
    let mounts = [mount(Path::new("/a"), "/conf"), mount(Path::new("/b"), "/conf/stack")];
    let path = |inside: &str| host_path(&mounts, Path::new(inside)).ok();
    assert_eq!(path("conf/stack/database.pem"), Some("/b/database.pem".into()));
    assert_eq!(path("/conf/other.pem"), Some("/a/other.pem".into()));
    assert_eq!(path("/conf/stackable"), Some("/a/stackable".into()));
    assert_eq!(path("/elsewhere"), None);
}
