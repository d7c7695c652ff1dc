//! What the log of a migrating container says: where its migration came to,
//! and its last lines.

use serde::{Deserialize, Serialize};

/// How many lines a person is shown.
const SHOWN: usize = 12;

/// No line of a hold is longer.
const LONGEST: usize = 300;

/// What alembic writes before each revision (quay-observed 4).
const RUNNING: &str = "Running upgrade";

/// What a container's log comes to.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogTail {
    /// Its last lines, the oldest first.
    pub lines: Vec<String>,
    /// The revision that was begun last, where the log tells.
    pub revision: Option<String>,
    /// Whether it was read from its beginning to its end.
    pub is_whole: bool,
}

impl LogTail {
    /// Takes in the next line.
    pub fn see(&mut self, line: &str) {
        if let Some(revision) = begun(line) {
            self.revision = Some(revision.to_owned());
        }
        if self.lines.len() == SHOWN {
            self.lines.remove(0);
        }
        self.lines.push(line.chars().take(LONGEST).collect());
    }

    /// There is nothing more to come.
    #[must_use]
    pub fn whole(self) -> Self {
        Self { is_whole: true, ..self }
    }

    /// Whether it proves that nothing was applied: the whole log, and no
    /// revision in it. Of a release that writes no such lines it proves nothing.
    pub fn proves_nothing_applied(&self) -> bool {
        self.is_whole && self.revision.is_none() && !self.lines.is_empty()
    }
}

/// `Running upgrade 5b7503aada1b -> 5cbbfc95bac7, Remove oci tables`
fn begun(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once(RUNNING)?;
    let (_, to) = rest.split_once("->")?;
    let to = to.trim_start();
    let end = to.find(|letter: char| !letter.is_ascii_alphanumeric()).unwrap_or(to.len());
    Some(&to[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPGRADE: &str = "08:51:21 INFO  [alembic.runtime.migration] Running upgrade c3d4b7ebcdf7 \
                           -> 5b7503aada1b, Backfill RepositorySearchScore table";
    const FIRST: &str =
        "08:51:21 INFO  [alembic.runtime.migration] Running upgrade  -> c156deb8845d, Reset";
    const BARE: &str = "INFO Running upgrade 8e6a363784bb -> 04b9d2191450";

    fn tail(lines: &[&str]) -> LogTail {
        let mut tail = LogTail::default();
        lines.iter().for_each(|line| tail.see(line));
        tail
    }

    #[test]
    fn the_revision_that_was_begun_last_is_found() {
        assert_eq!(begun(UPGRADE), Some("5b7503aada1b"));
        assert_eq!(begun(FIRST), Some("c156deb8845d"));
        assert_eq!(begun(BARE), Some("04b9d2191450"));
        let tail = tail(&[UPGRADE, BARE, "Traceback (most recent call last):"]).whole();
        assert_eq!(tail.revision.as_deref(), Some("04b9d2191450"));
        assert!(!tail.proves_nothing_applied());
    }

    #[test]
    fn only_a_whole_log_without_a_revision_proves_that_nothing_was_applied() {
        let refused = "Exception: Configuration flag `V3_UPGRADE_MODE` must be set.";
        assert!(tail(&[refused]).whole().proves_nothing_applied());
        assert!(!tail(&[refused]).proves_nothing_applied());
        assert!(!tail(&[]).whole().proves_nothing_applied(), "a log that was cleared");
        assert!(!tail(&[FIRST, "Killed"]).whole().proves_nothing_applied());
    }

    #[test]
    fn a_long_log_is_shown_by_its_end() {
        let lines: Vec<String> = (0..40).map(|number| format!("line {number}")).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let tail = tail(&lines);
        assert_eq!(tail.lines.first().unwrap(), "line 28");
        assert_eq!(tail.lines.len(), SHOWN);
    }
}
