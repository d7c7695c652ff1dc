//! Checks that only look.

use quaymaster_proto::Mode;
use serde_json::Value;

use super::{Found, Visit, one, unless};
use crate::registry::Access;
use crate::verify::{Fault, TAG_PREFIX};

const ROUTES: [&str; 2] = ["/health/instance", "/health/endtoend"];
const WANTED: [&str; 2] = ["push", "pull"];

impl Visit<'_> {
    pub(super) async fn api(&mut self) -> Found {
        let challenge = self.client.challenge().await.map_err(one)?;
        let Some(challenge) = challenge else {
            return Ok("open to all, without a token".to_owned());
        };
        if let (Some(expected), Some(realm)) = (self.public, challenge.realm_authority())
            && realm != expected
        {
            let (realm, expected) = (realm.to_owned(), expected.to_owned());
            return Err(one(Fault::RealmElsewhere { realm, expected }));
        }
        let evidence = format!("wants a token for {}", challenge.service);
        self.challenge = Some(challenge);
        Ok(evidence)
    }

    pub(super) async fn health(&mut self) -> Found {
        let mut faults = Vec::new();
        for route in ROUTES {
            let (status, body) = self.client.get(route).await.map_err(one)?;
            if status != 200 {
                faults.push(Fault::Sick { route, status, sick: sick(&body) });
            }
        }
        unless(faults, "both routes 200")
    }

    pub(super) async fn mode(&mut self) -> Found {
        let status = self.client.mode_probe().await.map_err(one)?;
        let shows = match status {
            415 => Some(Mode::Background),
            401 => Some(Mode::Complete),
            _ => None,
        };
        match self.errand.mode {
            Some(expected) if shows != Some(expected) => {
                Err(one(Fault::OtherMode { expected, shows, status }))
            }
            Some(_) | None => {
                let mode = shows.map_or_else(String::new, |mode| format!(": mode {mode}"));
                Ok(format!("the push of a list by nobody gets {status}{mode}"))
            }
        }
    }

    pub(super) async fn token(&mut self) -> Found {
        let repository = self.errand.repository;
        self.access = self.access_to(repository, "push,pull").await?;
        let Some(granted) = self.access.granted(repository) else {
            return Ok("given, without a word on what it allows".to_owned());
        };
        if WANTED.iter().any(|action| !granted.contains(*action)) {
            let granted = granted.into_iter().collect();
            return Err(one(Fault::FewerRights { repository: repository.to_owned(), granted }));
        }
        Ok(format!("push and pull on {repository}"))
    }

    /// What a request on the repository carries.
    pub(super) async fn access_to(
        &self,
        repository: &str,
        actions: &str,
    ) -> Result<Access, Vec<Fault>> {
        let Some(challenge) = &self.challenge else { return Ok(Access::open()) };
        self.client.token(challenge, self.errand.login, repository, actions).await.map_err(one)
    }

    pub(super) async fn repository(&mut self) -> Found {
        let repository = self.errand.repository;
        let tags = self.client.tags(&self.access, repository).await.map_err(one)?;
        let tags = tags.unwrap_or_default();
        let (ours, foreign): (Vec<String>, Vec<String>) =
            tags.into_iter().partition(|tag| tag.starts_with(TAG_PREFIX));
        if !foreign.is_empty() {
            let repository = repository.to_owned();
            return Err(one(Fault::ForeignContent { repository, tags: foreign }));
        }
        let ours = ours.iter().filter(|tag| !tag.contains(self.errand.nonce)).count();
        match ours {
            0 => Ok(format!("{repository} is for verifications alone")),
            left => Ok(format!("{repository} holds {left} tags of earlier verifications")),
        }
    }
}

/// The services that a health route calls unwell.
fn sick(body: &[u8]) -> Vec<String> {
    let read: Value = serde_json::from_slice(body).unwrap_or_default();
    let services = read["data"]["services"].as_object().cloned().unwrap_or_default();
    let sick = services.into_iter().filter(|(_, is_well)| *is_well == Value::Bool(false));
    sick.map(|(name, _)| name).collect()
}
