//! `/v2/auth` for those who log in.

use serde_json::json;

use super::path::is_name;
use super::{Answered, Registry, Wanted, tables, token};
use crate::quay::answers::{self, Answer, Situation};

impl Registry<'_> {
    /// Gives less than was asked for without a word, and makes the repository of a push
    /// (quay-facts 8.2).
    pub(in crate::quay) async fn token(
        &self,
        wanted: &Wanted<'_>,
        login: &token::Login,
        now: &Situation,
    ) -> Answered {
        let token::Login { user, password } = login;
        let is_robot = user.split('+').count() == 2 && user.split('+').all(is_name);
        let kept = match is_robot {
            true => self.database.column(&tables::robot(user, "password")).await?,
            false => Vec::new(),
        };
        if kept.first() != Some(password) {
            return Ok(answers::wrong_login(now).into());
        }
        let scope = wanted.query("scope").and_then(|scope| token::scope(&scope));
        let issued = match scope {
            None => token::issue(self.service, user, None),
            Some((repository, actions)) => {
                let granted = self.granted(user, &repository, &actions).await?;
                token::issue(self.service, user, Some((&repository, &granted)))
            }
        };
        let answer = Answer::json(200, &json!({ "token": issued }));
        Ok(answers::fresh(answer).into())
    }

    async fn granted(
        &self,
        user: &str,
        repository: &str,
        actions: &[String],
    ) -> Result<Vec<String>, super::Broken> {
        let Some((namespace, name)) = repository.split_once('/') else { return Ok(Vec::new()) };
        if !(is_name(namespace) && is_name(name)) {
            return Ok(Vec::new());
        }
        let may = self.database.column(&tables::robot(user, "actions")).await?.pop();
        let may = may.unwrap_or_default();
        if user.split('+').next() != Some(namespace) {
            return Ok(Vec::new());
        }
        let granted: Vec<String> = actions
            .iter()
            .filter(|action| may.split(',').any(|may| may == *action))
            .cloned()
            .collect();
        let pushes = granted.iter().any(|action| action == "push");
        if pushes && self.repository(namespace, name).await?.is_none() && !self.is_read_only {
            self.database.execute(tables::add_repository(namespace, name)).await?;
        }
        Ok(granted)
    }

    pub(super) async fn repository(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<i64>, super::Broken> {
        let id = self.database.integer(&tables::repository(namespace, name)).await?;
        Ok((id != 0).then_some(id))
    }
}
