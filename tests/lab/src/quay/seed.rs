//! Makes the database of a 2.9.5 registry: its schema, one user, and old tags that nothing maps.

use super::database::{Database, DatabaseError};
use super::registry::add_robot_statements;
use super::release::{BASE, HEAD_2_9};
use super::schema;

#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    #[error("the database already holds a Quay at revision {revision}; give an empty one")]
    NotEmpty { revision: String },
    #[error("cannot fill the database")]
    Database(#[from] DatabaseError),
}

/// Fills the empty database at `uri` (paths as the caller sees them) with `tags` visible tags, and
/// one hidden tag for every fifty, at the head of 2.9. A SQLite file is made where there is none.
pub async fn seed(uri: &str, tags: u32) -> Result<(), SeedError> {
    let uri = uri.parse().map_err(DatabaseError::Uri)?;
    let database = Database::create(&uri).await?;
    if let Some(revision) = database.revision().await? {
        return Err(SeedError::NotEmpty { revision });
    }
    let mut statements = vec![schema::VERSION_TABLE.to_owned()];
    statements.extend(schema::statements(BASE));
    statements.extend(schema::statements(HEAD_2_9));
    statements.push("INSERT INTO \"user\" (id, username) VALUES (1, 'labadmin')".to_owned());
    statements.push(
        "INSERT INTO repository (id, namespace_user_id, name) VALUES (1, 1, 'first')".to_owned(),
    );
    if tags > 0 {
        statements.push(old_tags(1, tags, false));
        statements.push(old_tags(u64::from(tags) + 1, tags / 50, true));
    }
    // The stamp comes last: a seeding that was cut short is not taken for a database.
    statements.push(schema::stamp(None, HEAD_2_9));
    for statement in statements {
        database.execute(statement).await?;
    }
    Ok(())
}

/// Why a robot cannot be added.
#[derive(Debug, thiserror::Error)]
pub enum RobotError {
    #[error("`{0}` is no robot's name with a plain password, such as `organization+robot`")]
    Name(String),
    #[error("cannot add the robot")]
    Database(#[from] DatabaseError),
}

/// Adds a robot and its organization, on all of which it may do `actions` (`push,pull`).
pub async fn add_robot(
    uri: &str,
    user: &str,
    password: &str,
    actions: &str,
) -> Result<(), RobotError> {
    let uri = uri.parse().map_err(DatabaseError::Uri)?;
    let database = Database::create(&uri).await?;
    let statements = add_robot_statements(user, password, actions);
    for statement in statements.ok_or_else(|| RobotError::Name(user.to_owned()))? {
        database.execute(statement).await?;
    }
    Ok(())
}

fn old_tags(first: u64, count: u32, hidden: bool) -> String {
    let last = first + u64::from(count);
    format!(
        "INSERT INTO repositorytag (id, name, repository_id, hidden, lifetime_start_ts) \
         WITH RECURSIVE n (i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {last}) \
         SELECT i, 'tag-' || i, 1, {hidden}, 1500000000 + i FROM n WHERE i < {last}"
    )
}

#[cfg(test)]
mod tests {
    use super::super::inspect;
    use super::*;

    #[tokio::test]
    async fn a_seeded_database_is_a_whole_2_9_5_with_nothing_mapped() {
        let dir = tempfile::tempdir().unwrap();
        let uri = format!("sqlite:///{}", dir.path().join("quay.db").display());
        seed(&uri, 120).await.unwrap();
        let state = inspect(&uri).await.unwrap();
        assert_eq!(state.revision.as_deref(), Some("5b7503aada1b"));
        assert_eq!((state.visible_tags, state.mapped_tags, state.unmapped_tags), (120, 0, 120));
        assert_eq!(state.damage, [""; 0]);
        let again = seed(&uri, 1).await.unwrap_err();
        assert!(matches!(again, SeedError::NotEmpty { .. }), "{again}");
    }
}
