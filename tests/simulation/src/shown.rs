//! What the world shows to whoever asks: the database to an agent, a Quay to a
//! probe.

use quaymaster_proto::database::{DatabaseIdentity, DatabaseLook, Session, TagCounts};

use crate::database::{Client, TAGS};
use crate::world::{Phase, Release, World, published, release_of};

impl World {
    /// The database as a node's agent sees it.
    pub fn look_at_database(
        &self,
        node: usize,
        sessions: bool,
        counts: bool,
    ) -> Result<DatabaseLook, String> {
        let at = self.clock_of(node);
        let state = self.state();
        let database = &state.database;
        if database.is_down {
            return Err("connection refused".to_owned());
        }
        let session = |(pid, client): (&i64, &Client)| Session {
            pid: *pid,
            user: "quay".to_owned(),
            application: client.application.clone(),
            address: client.address.clone(),
            since: None,
        };
        Ok(DatabaseLook {
            at,
            identity: DatabaseIdentity::new("postgresql:7000000000000000001/16384")
                .expect("an identity"),
            kind: "postgresql".to_owned(),
            revision: database.revision.to_owned(),
            in_recovery: database.in_recovery,
            sessions: sessions.then(|| database.clients.iter().map(session).collect()),
            counts: counts.then_some(TagCounts { visible: TAGS, unmapped: TAGS - database.mapped }),
            server_version: "12.4".to_owned(),
            shown_as: "db.example.com:5432/quay".to_owned(),
            unmapped_names: Vec::new(),
            size_bytes: None,
        })
    }

    /// What the Quay at an address answers: status and body.
    pub fn answer(&self, address: &str, path: &str) -> Result<(u16, String), String> {
        let state = self.state();
        let all = state.hosts.iter().flat_map(|host| host.containers.values());
        let found = all.filter_map(|stored| Some((stored, stored.process.as_ref()?))).find(
            |(stored, _)| {
                let ports = published(stored);
                ports.iter().any(|port| address == format!("http://{port}"))
            },
        );
        let Some((stored, process)) = found.filter(|(_, it)| it.phase != Phase::Starting) else {
            return Err("connection refused".to_owned());
        };
        let is_new = release_of(&stored.state.image) == Release::New;
        let background = is_new && process.mode.as_deref() == Some("background");
        match path {
            _ if process.phase != Phase::Well => Ok((502, "<html>".to_owned())),
            "/health/instance" | "/health/endtoend" => Ok((
                200,
                r#"{"data":{"services":{"auth":true,"database":true}},"status_code":200}"#
                    .to_owned(),
            )),
            "/upgradeprogress/" if background => {
                let left = TAGS - state.database.mapped;
                #[expect(clippy::cast_precision_loss, reason = "small numbers")]
                let progress = state.database.mapped as f64 / TAGS as f64;
                Ok((
                    200,
                    format!(
                        r#"{{"progress":{progress},"tags_remaining":{left},"total_tags":{TAGS}}}"#
                    ),
                ))
            }
            "manifest-list" if background => Ok((415, String::new())),
            "manifest-list" if is_new => Ok((401, String::new())),
            _ => Ok((404, String::new())),
        }
    }
}
