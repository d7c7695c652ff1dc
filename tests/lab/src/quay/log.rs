//! The container's log: stdout for Quay and its init scripts, stderr for alembic and tracebacks
//! (quay-observed 3 and 4). Never a database address: it holds a password.
#![expect(clippy::disallowed_methods, reason = "an effect room: log lines carry the time")]

use std::io::{self, Write};
use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};

/// A line on stdout as it is. A log that nobody takes is no reason to stop.
pub(super) fn out(line: &str) {
    let _closed = writeln!(io::stdout().lock(), "{line}");
}

/// A line on stderr as it is.
pub(super) fn error(line: &str) {
    let _closed = writeln!(io::stderr().lock(), "{line}");
}

/// A line of one of Quay's Python loggers.
pub(super) fn quay(logger: &str, line: &str) {
    let now = Timestamp::now().to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S,%3f");
    out(&format!("{now} [{}] [INFO] [{logger}] {line}", std::process::id()));
}

/// A line of alembic's.
pub(super) fn alembic(logger: &str, line: &str) {
    let now = Timestamp::now().to_zoned(TimeZone::UTC).strftime("%H:%M:%S");
    error(&format!("{now} INFO  [{logger}] {line}"));
}

/// The time of day after `wait`, as the workers print it.
pub(super) fn clock(wait: Duration) -> String {
    let then = Timestamp::now().saturating_add(wait).unwrap_or(Timestamp::MAX);
    then.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S.%6f").to_string()
}

pub(super) fn traceback(last_line: &str) {
    error("Traceback (most recent call last):");
    error("  File \"stand-in\", line 1, in <module>");
    error(last_line);
}
