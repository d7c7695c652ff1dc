//! Which statements a push, a pull and a login are. Pure; every name in them went through `path`.

use super::Model;
use super::path::is_name;

/// What a name looked for has to be of.
const VISIBLE: &str = "hidden = false AND lifetime_end_ts IS NULL";

/// A robot of the organization, which may do `actions` on all of it. Its password is one of the
/// lab's own making: letters and digits.
pub(in crate::quay) fn add_robot_statements(
    user: &str,
    password: &str,
    actions: &str,
) -> Option<Vec<String>> {
    let (namespace, robot) = user.split_once('+')?;
    let is_plain =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b',');
    if !(is_name(namespace) && is_name(robot) && is_plain(password) && is_plain(actions)) {
        return None;
    }
    Some(vec![
        add_user(namespace),
        format!(
            "INSERT INTO lab_robot (username, namespace, password, actions) \
             VALUES ('{user}', '{namespace}', '{password}', '{actions}')"
        ),
    ])
}

/// Unless it is there.
fn add_user(name: &str) -> String {
    format!(
        "INSERT INTO \"user\" (id, username) \
         SELECT (SELECT coalesce(max(id), 0) + 1 FROM \"user\"), '{name}' \
         WHERE NOT EXISTS (SELECT 1 FROM \"user\" WHERE username = '{name}')"
    )
}

pub(super) fn robot(user: &str, column: &str) -> String {
    format!("SELECT {column} FROM lab_robot WHERE username = '{user}'")
}

pub(super) fn repository(namespace: &str, name: &str) -> String {
    format!(
        "SELECT r.id FROM repository r JOIN \"user\" u ON u.id = r.namespace_user_id \
         WHERE u.username = '{namespace}' AND r.name = '{name}'"
    )
}

pub(super) fn add_repository(namespace: &str, name: &str) -> String {
    format!(
        "INSERT INTO repository (id, namespace_user_id, name) \
         SELECT (SELECT coalesce(max(id), 0) + 1 FROM repository), u.id, '{name}' \
         FROM \"user\" u WHERE u.username = '{namespace}'"
    )
}

/// Names, oldest first.
pub(super) fn tags(model: Model, repository: i64) -> String {
    let old = format!("FROM repositorytag rt WHERE rt.repository_id = {repository} AND {VISIBLE}");
    match model {
        Model::Old | Model::Both => format!("SELECT rt.name {old} ORDER BY rt.id"),
        // A tag that nothing maps is lost to it (quay-observed 1).
        Model::New => format!(
            "SELECT name FROM (SELECT 0 AS age, rt.id AS id, rt.name AS name {old} AND EXISTS \
             (SELECT 1 FROM tagtorepositorytag m WHERE m.repository_tag_id = rt.id) \
             UNION ALL SELECT 1, t.id, t.name FROM tag t \
             WHERE t.repository_id = {repository} AND t.lifetime_end_ms IS NULL) names ORDER BY age, id"
        ),
    }
}

/// The digests that a tag means, the present one last.
pub(super) fn meaning(model: Model, repository: i64, tag: &str) -> String {
    let old = format!(
        "FROM repositorytag rt JOIN tagmanifest tm ON tm.tag_id = rt.id \
         WHERE rt.repository_id = {repository} AND rt.name = '{tag}' AND {VISIBLE}"
    );
    match model {
        Model::Old | Model::Both => format!("SELECT tm.digest {old} ORDER BY rt.id"),
        Model::New => format!(
            "SELECT digest FROM (SELECT 0 AS age, rt.id AS id, tm.digest AS digest {old} AND EXISTS \
             (SELECT 1 FROM tagtorepositorytag m WHERE m.repository_tag_id = rt.id) \
             UNION ALL SELECT 1, t.id, t.digest FROM tag t WHERE t.repository_id = {repository} \
             AND t.name = '{tag}' AND t.lifetime_end_ms IS NULL) meanings ORDER BY age, id"
        ),
    }
}

/// How often a repository knows a digest: by a tag that is there, or one that was hidden.
pub(super) fn knows(model: Model, repository: i64, digest: &str) -> String {
    let old = format!(
        "FROM repositorytag rt JOIN tagmanifest tm ON tm.tag_id = rt.id \
         WHERE rt.repository_id = {repository} AND tm.digest = '{digest}' \
         AND rt.lifetime_end_ts IS NULL"
    );
    match model {
        Model::Old | Model::Both => format!("SELECT count(*) {old}"),
        Model::New => format!(
            "SELECT (SELECT count(*) {old} AND EXISTS \
             (SELECT 1 FROM tagtorepositorytag m WHERE m.repository_tag_id = rt.id)) \
             + (SELECT count(*) FROM tag t WHERE t.repository_id = {repository} \
             AND t.digest = '{digest}' AND (t.hidden = true OR t.lifetime_end_ms IS NULL))"
        ),
    }
}

/// Ends what a tag meant. `now` is in seconds.
pub(super) fn end_tag(model: Model, repository: i64, tag: &str, now: i64) -> Vec<String> {
    end(model, repository, &format!("name = '{tag}'"), &format!("name = '{tag}'"), now)
}

/// Ends every tag of a digest.
pub(super) fn end_digest(model: Model, repository: i64, digest: &str, now: i64) -> Vec<String> {
    let old = format!("id IN (SELECT tag_id FROM tagmanifest WHERE digest = '{digest}')");
    end(model, repository, &old, &format!("digest = '{digest}'"), now)
}

fn end(model: Model, repository: i64, old: &str, new: &str, now: i64) -> Vec<String> {
    let of = format!("WHERE repository_id = {repository} AND");
    let mut statements = vec![format!(
        "UPDATE repositorytag SET lifetime_end_ts = {now} {of} {old} AND lifetime_end_ts IS NULL"
    )];
    if model == Model::New {
        let milliseconds = now * 1000;
        statements.push(format!(
            "UPDATE tag SET lifetime_end_ms = {milliseconds} {of} {new} AND hidden = false \
             AND lifetime_end_ms IS NULL"
        ));
    }
    statements
}

/// Makes `tag` mean `digest`. Background mode writes the row of the mapping at once
/// (quay-facts 1.1), complete mode new rows alone (quay-observed 5).
pub(super) fn add_tag(
    model: Model,
    repository: i64,
    tag: &str,
    digest: &str,
    now: i64,
) -> Vec<String> {
    if model == Model::New {
        return vec![add_new_tag(repository, tag, digest, now, false)];
    }
    let row = format!(
        "(SELECT max(id) FROM repositorytag WHERE repository_id = {repository} AND name = '{tag}')"
    );
    let mut statements = vec![
        format!(
            "INSERT INTO repositorytag (id, name, repository_id, hidden, lifetime_start_ts) \
             SELECT coalesce(max(id), 0) + 1, '{tag}', {repository}, false, {now} FROM repositorytag"
        ),
        format!(
            "INSERT INTO tagmanifest (id, tag_id, digest) \
             SELECT coalesce(max(id), 0) + 1, {row}, '{digest}' FROM tagmanifest"
        ),
    ];
    if model == Model::Both {
        statements.push(format!(
            "INSERT INTO tagtorepositorytag (id, repository_id, tag_id, repository_tag_id) \
             SELECT rt.id, rt.repository_id, rt.id, rt.id FROM repositorytag rt WHERE rt.id = {row} \
             AND NOT EXISTS (SELECT 1 FROM tagtorepositorytag m WHERE m.repository_tag_id = rt.id)"
        ));
    }
    statements
}

/// A row of the new model. What is pushed by its digest has a hidden one for an hour
/// (quay-facts 8.3).
pub(super) fn add_new_tag(
    repository: i64,
    tag: &str,
    digest: &str,
    now: i64,
    hidden: bool,
) -> String {
    let start = now * 1000;
    let end = if hidden { (start + 3_600_000).to_string() } else { "NULL".to_owned() };
    format!(
        "INSERT INTO tag (id, name, repository_id, digest, hidden, lifetime_start_ms, lifetime_end_ms) \
         SELECT coalesce(max(id), 0) + 1, '{tag}', {repository}, '{digest}', {hidden}, {start}, {end} \
         FROM tag"
    )
}
