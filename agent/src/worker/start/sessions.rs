//! Who else is on the database that a migration is about to change. Pure.

use quaymaster_proto::database::Session;
use quaymaster_proto::{Reason, Refusal};

/// Sessions that a refusal names.
const NAMED: usize = 10;

/// The sessions that are neither an agent's nor named. SQLite has none.
pub(super) fn foreign(expected: &[String], sessions: Option<Vec<Session>>) -> Vec<Session> {
    let sessions = sessions.unwrap_or_default().into_iter();
    sessions.filter(|session| !session.is_agent() && !session.is_among(expected)).collect()
}

/// Refuses these, by name.
pub(super) fn refuse(others: &[Session]) -> Result<(), Refusal> {
    if others.is_empty() {
        return Ok(());
    }
    let named: Vec<String> = others.iter().take(NAMED).map(words).collect();
    let more = match others.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    Err(Refusal::new(
        Reason::Database,
        format!(
            "others are on the database, by process (user, application, address): {}{more}",
            named.join(", ")
        ),
    )
    .with_remedy(
        "end them; a session that may stay belongs into database.expected_sessions of \
         cluster.yaml and into a new plan",
    ))
}

/// Another Quaymaster is at the same database, with agents of its own.
pub(super) fn refuse_locked(by: Option<&Session>) -> Result<(), Refusal> {
    let whose = by.map_or_else(
        || "a session that is gone by now".to_owned(),
        |session| format!("process (user, application, address) {}", words(session)),
    );
    Err(Refusal::new(
        Reason::Database,
        format!("another Quaymaster has locked the database to migrate it: {whose}"),
    )
    .with_remedy(
        "see whose run that is; where none is at work, end that session on the database and \
         plan again",
    ))
}

fn words(session: &Session) -> String {
    let Session { pid, user, application, address, since: _ } = session;
    let said = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    format!("{pid} ({}, {}, {})", said(user), said(application), said(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(pid: i64, application: &str, address: &str) -> Session {
        Session {
            pid,
            user: "quay".to_owned(),
            application: application.to_owned(),
            address: address.to_owned(),
            since: None,
        }
    }

    #[test]
    fn a_session_that_nobody_named_stands_against_a_migration() {
        let expected = ["pg_exporter".to_owned(), "10.0.0.7".to_owned()];
        let seen = vec![
            session(1, "quaymaster-agent/prod/quay-2", "10.0.0.2"),
            session(2, "pg_exporter", "10.0.0.9"),
            session(3, "", "10.0.0.7"),
            session(4, "", "10.0.0.3"),
        ];
        let refusal = refuse(&foreign(&expected, Some(seen))).unwrap_err();
        assert_eq!(refusal.reason, Reason::Database);
        assert!(refusal.message.ends_with(": 4 (quay, -, 10.0.0.3)"), "{refusal}");
        assert_eq!(foreign(&[], None), []);
    }

    #[test]
    fn of_many_sessions_some_are_named_and_the_rest_counted() {
        let name = "a".repeat(63);
        let many: Vec<Session> =
            (1..=500).map(|pid| session(pid, &name, "2001:db8::ffff")).collect();
        let refusal = refuse(&many).unwrap_err();
        assert!(refusal.message.ends_with(", and 490 more"), "{refusal}");
        assert!(refusal.message.len() < 2048, "{refusal}");
    }
}
