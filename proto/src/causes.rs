//! An error as one line.

use std::error::Error;

/// An error and its causes, one after the other.
pub fn in_a_line(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        line = format!("{line}: {source}");
        cause = source.source();
    }
    line
}
