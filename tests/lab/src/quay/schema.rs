//! The SQL of the stand-in's revisions, one text for SQLite, PostgreSQL and MariaDB. Pure.
//!
//! Every statement commits by itself, as under alembic without transactional DDL: a process killed
//! between two of them leaves the first behind, and whoever comes next fails on it for good. A
//! second process that starts in the middle leaves its own first statement behind before it fails:
//! a kind of log entry that is then there twice (`DOUBLED_KINDS`).

use super::release::{BASE, FULL_BACKFILL, MAPPING_TABLE};

/// What a revision executes before it is stamped.
pub(super) fn statements(revision: &str) -> Vec<String> {
    match revision {
        BASE => base(),
        FULL_BACKFILL => Vec::new(),
        _ => {
            let table = table(revision);
            let columns = match revision {
                MAPPING_TABLE => {
                    "repository_id BIGINT NOT NULL, tag_id BIGINT NOT NULL UNIQUE, \
                     repository_tag_id BIGINT NOT NULL UNIQUE"
                }
                _ => "name VARCHAR(255)",
            };
            vec![
                format!("INSERT INTO logentrykind (name) VALUES ('lab_{revision}')"),
                format!("CREATE TABLE {table} (id BIGINT NOT NULL PRIMARY KEY, {columns})"),
                format!("ALTER TABLE {table} ADD COLUMN lab_note VARCHAR(255)"),
            ]
            .into_iter()
            .chain((revision == MAPPING_TABLE).then(|| NEW_TAGS.to_owned()))
            .collect()
        }
    }
}

/// The tags of the new model; the digest stands in for a manifest's row.
const NEW_TAGS: &str = "CREATE TABLE tag (id BIGINT NOT NULL PRIMARY KEY, \
     name VARCHAR(255) NOT NULL, repository_id BIGINT NOT NULL, digest VARCHAR(255) NOT NULL, \
     hidden BOOLEAN NOT NULL, lifetime_start_ms BIGINT NOT NULL, lifetime_end_ms BIGINT)";

/// The table that a revision makes; it is there while the revision runs and ever after.
pub(super) fn table(revision: &str) -> String {
    match revision {
        BASE => "repositorytag".to_owned(),
        MAPPING_TABLE => "tagtorepositorytag".to_owned(),
        _ => format!("lab_{revision}"),
    }
}

/// The old schema, as far as the stand-in and the agent's look at a database need it.
fn base() -> Vec<String> {
    [
        "CREATE TABLE \"user\" (id BIGINT NOT NULL PRIMARY KEY, username VARCHAR(255) NOT NULL)",
        "CREATE TABLE teamrole (id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(255) NOT NULL)",
        "CREATE TABLE logentrykind (name VARCHAR(255) NOT NULL)",
        "CREATE TABLE repository (id BIGINT NOT NULL PRIMARY KEY, \
         namespace_user_id BIGINT NOT NULL, name VARCHAR(255) NOT NULL)",
        "CREATE TABLE repositorytag (id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(255) NOT NULL, \
         repository_id BIGINT NOT NULL, hidden BOOLEAN NOT NULL, \
         lifetime_start_ts BIGINT NOT NULL, lifetime_end_ts BIGINT)",
        "CREATE TABLE tagmanifest (id BIGINT NOT NULL PRIMARY KEY, tag_id BIGINT NOT NULL UNIQUE, \
         digest VARCHAR(255) NOT NULL)",
        "CREATE TABLE lab_robot (username VARCHAR(255) NOT NULL, namespace VARCHAR(255) NOT NULL, \
         password VARCHAR(255) NOT NULL, actions VARCHAR(255) NOT NULL)",
        "INSERT INTO teamrole (id, name) VALUES (1, 'admin'), (2, 'creator'), (3, 'member')",
    ]
    .map(str::to_owned)
    .to_vec()
}

pub(super) const VERSION_TABLE: &str = "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, \
     CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))";

/// What `/upgradeprogress/` calls its total: expired tags are in it, hidden ones are not
/// (quay-facts 1.1).
pub(super) const VISIBLE_TAGS: &str = "SELECT count(*) FROM repositorytag WHERE hidden = false";
pub(super) const MAPPED_TAGS: &str = "SELECT count(*) FROM tagtorepositorytag";
pub(super) const UNMAPPED_TAGS: &str = "SELECT count(*) FROM repositorytag rt \
     LEFT JOIN tagtorepositorytag m ON m.repository_tag_id = rt.id \
     WHERE rt.hidden = false AND m.id IS NULL";
pub(super) const HIGHEST_TAG: &str = "SELECT coalesce(max(id), 0) FROM repositorytag";
pub(super) const USERS: &str = "SELECT count(*) FROM \"user\"";
pub(super) const TEAM_ROLE: &str = "SELECT id FROM teamrole LIMIT 1";
pub(super) const DOUBLED_KINDS: &str =
    "SELECT name FROM logentrykind GROUP BY name HAVING count(*) > 1 ORDER BY name";

/// How a database is told to pass over what is there already.
#[derive(Clone, Copy, Debug)]
pub(super) enum Second {
    OnConflict,
    Ignore,
}

/// Maps up to `limit` unmapped tags from the id `from` upwards. Safe beside another one doing the
/// same: who comes second passes over the tag.
pub(super) fn map_tags(from: i64, limit: u64, second: Second) -> String {
    let (insert, end) = match second {
        Second::OnConflict => ("INSERT INTO", " ON CONFLICT DO NOTHING"),
        Second::Ignore => ("INSERT IGNORE INTO", ""),
    };
    format!(
        "{insert} tagtorepositorytag (id, repository_id, tag_id, repository_tag_id) \
         SELECT rt.id, rt.repository_id, rt.id, rt.id FROM repositorytag rt \
         WHERE rt.hidden = false AND rt.id >= {from} AND NOT EXISTS \
         (SELECT 1 FROM tagtorepositorytag m WHERE m.repository_tag_id = rt.id) \
         ORDER BY rt.id LIMIT {limit}{end}"
    )
}

/// How alembic stamps a revision: it insists on having changed exactly one row.
pub(super) fn stamp(from: Option<&str>, to: &str) -> String {
    match from {
        Some(from) => {
            format!("UPDATE alembic_version SET version_num = '{to}' WHERE version_num = '{from}'")
        }
        None => format!("INSERT INTO alembic_version (version_num) VALUES ('{to}')"),
    }
}
