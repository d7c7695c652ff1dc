//! What a starting Quay's log tells, line by line.
//!
//! A log is evidence where it can be read and never a condition: some releases
//! print nothing while they migrate, and healthy logs hold tracebacks
//! (quay-observed 3, 4).

mod mask;

pub use self::mask::Mask;

/// What a line says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Marker {
    /// An init script begins.
    InitScript {
        /// Its file name.
        name: String,
    },
    /// Alembic begins one revision.
    RunningUpgrade {
        /// Empty for an empty database.
        from: String,
        /// The revision that the database will be at.
        to: String,
    },
    /// The offline backfill knows how far it has to go.
    MaximumId {
        /// The highest tag id.
        id: u64,
    },
    /// The offline backfill begins a range.
    TagRange {
        /// The first id.
        from: u64,
        /// Behind the last id.
        to: u64,
    },
    /// The offline backfill counted a range's tags.
    TagsFound {
        /// How many.
        count: u64,
    },
    /// The offline backfill is at one tag.
    BackfillingTag {
        /// Within its range, from 1.
        index: u64,
        /// The range's tags.
        of: u64,
    },
    /// A Python traceback begins. Not a failure by itself.
    Traceback,
    /// The last line of a traceback, or alembic's own refusal.
    Failure {
        /// The line's own words.
        message: String,
    },
}

/// What this line says; `None` = nothing that is known.
///
/// Quay's supervisor prints lines of its children twice, the second time with
/// the child's name before them (quay-observed 3): both are known.
pub fn marker(line: &str) -> Option<Marker> {
    let line = line.trim_end();
    init_script(line)
        .or_else(|| running_upgrade(line))
        .or_else(|| backfill(line))
        .or_else(|| failure(line))
}

/// `Running init script '/quay-registry/conf/init/runmigration.sh'`
fn init_script(line: &str) -> Option<Marker> {
    let path = after(line, "Running init script ")?.trim_matches('\'');
    let name = path.rsplit('/').next().filter(|name| !name.is_empty())?;
    Some(Marker::InitScript { name: name.to_owned() })
}

/// `.. [alembic.runtime.migration] Running upgrade a -> b, words`
fn running_upgrade(line: &str) -> Option<Marker> {
    let (from, rest) = after(line, "] Running upgrade ")?.split_once("-> ")?;
    let to = rest.split([',', ' ']).next()?;
    let is_revision = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let from = from.trim();
    (!to.is_empty() && is_revision(to) && is_revision(from))
        .then(|| Marker::RunningUpgrade { from: from.to_owned(), to: to.to_owned() })
}

fn backfill(line: &str) -> Option<Marker> {
    if let Some(id) = after(line, "Found maximum ID ") {
        return Some(Marker::MaximumId { id: id.parse().ok()? });
    }
    if let Some(range) = after(line, "Checking tag range ") {
        let (from, to) = range.split_once(" - ")?;
        return Some(Marker::TagRange { from: from.parse().ok()?, to: to.parse().ok()? });
    }
    if let Some(tag) = after(line, "Backfilling tag ") {
        let (index, of) = tag.split_once(" of ")?;
        return Some(Marker::BackfillingTag { index: index.parse().ok()?, of: of.parse().ok()? });
    }
    let count = after(line, "Found ")?.strip_suffix(" tags to backfill")?;
    Some(Marker::TagsFound { count: count.parse().ok()? })
}

/// `Traceback ..`, then `SomeError: words` at the line's very beginning.
fn failure(line: &str) -> Option<Marker> {
    let own = line.split_once(" stdout | ").map_or(line, |(_, own)| own);
    let own = own.split_once(" stderr | ").map_or(own, |(_, own)| own);
    if own.starts_with("Traceback (most recent call last):") {
        return Some(Marker::Traceback);
    }
    if let Some(message) = after(own, "FAILED: ") {
        return Some(Marker::Failure { message: message.to_owned() });
    }
    let (name, _) = own.split_once(": ").unwrap_or((own, ""));
    is_exception(name).then(|| Marker::Failure { message: own.to_owned() })
}

/// `Exception`, `peewee.IntegrityError`: a dotted Python name whose last part
/// is an exception's.
fn is_exception(name: &str) -> bool {
    let is_part = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let last = name.rsplit('.').next().unwrap_or("");
    name.split('.').all(is_part)
        && (last.ends_with("Error") || last.ends_with("Exception"))
        && last.starts_with(|first: char| first.is_ascii_uppercase())
}

fn after<'a>(line: &'a str, words: &str) -> Option<&'a str> {
    line.split_once(words).map(|(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_migration_lines_are_known() {
        let alembic = "08:51:21 INFO  [alembic.runtime.migration] Running upgrade";
        let upgrades = [
            (
                format!("{alembic}  -> c156deb8845d, Reset our migrations with a required update"),
                "",
                "c156deb8845d",
            ),
            (
                format!("{alembic} c059b952ed76 -> cc6778199cdb, repository mirror notification"),
                "c059b952ed76",
                "cc6778199cdb",
            ),
            (format!("{alembic} 8e6a363784bb -> 04b9d2191450"), "8e6a363784bb", "04b9d2191450"),
        ];
        for (line, from, to) in upgrades {
            let expected = Marker::RunningUpgrade { from: from.to_owned(), to: to.to_owned() };
            assert_eq!(marker(&line), Some(expected), "{line}");
        }
        let script = "Running init script '/quay-registry/conf/init/runmigration.sh'";
        assert_eq!(marker(script), Some(Marker::InitScript { name: "runmigration.sh".to_owned() }));
    }

    #[test]
    fn recorded_backfill_lines_are_known() {
        let cases = [
            ("Found maximum ID 500", Marker::MaximumId { id: 500 }),
            ("Checking tag range 0 - 1000", Marker::TagRange { from: 0, to: 1000 }),
            ("Found 300 tags to backfill", Marker::TagsFound { count: 300 }),
            ("Backfilling tag 1 of 300", Marker::BackfillingTag { index: 1, of: 300 }),
        ];
        for (words, expected) in cases {
            let line = format!("INFO [b918abdbee43_run_full_tag_backfill_py] {words}");
            assert_eq!(marker(&line), Some(expected), "{line}");
        }
    }

    #[test]
    fn recorded_failures_are_known() {
        assert_eq!(marker("Traceback (most recent call last):"), Some(Marker::Traceback));
        let cases = [
            (
                "Exception: Configuration flag `V3_UPGRADE_MODE` must be set.",
                "Exception: Configuration flag `V3_UPGRADE_MODE` must be set.",
            ),
            (
                "peewee.IntegrityError: null value in column \"account_id\"",
                "peewee.IntegrityError: null value in column \"account_id\"",
            ),
            (
                "gunicorn-web stdout | sqlalchemy.exc.OperationalError: Is the server running?",
                "sqlalchemy.exc.OperationalError: Is the server running?",
            ),
            (
                "  FAILED: Can't locate revision identified by '04b9d2191450'",
                "Can't locate revision identified by '04b9d2191450'",
            ),
        ];
        for (line, message) in cases {
            let expected = Marker::Failure { message: message.to_owned() };
            assert_eq!(marker(line), Some(expected), "{line}");
        }
    }

    #[test]
    fn other_lines_say_nothing() {
        for line in [
            "",
            "08:51:21 INFO  [alembic.runtime.migration] Context impl PostgresqlImpl.",
            "08:51:21 INFO  [alembic.runtime.migration] Will assume non-transactional DDL.",
            "2026-11-22 09:06:24,693 [11846] [INFO] [__main__] Found candidate range 1-2010",
            "2026-11-22 09:06:24,693 [11846] [INFO] [__main__] Backfilling tag 582",
            "supervisord INFO success: gunicorn-web entered RUNNING state",
            "    raise Exception('x')",
            "ERROR: something",
            "Found many tags to backfill",
            "] Running upgrade <script> -> ;drop",
        ] {
            assert_eq!(marker(line), None, "{line}");
        }
    }
}
