//! Reads every config.yaml many times a second and tells when its bytes change.
#![expect(clippy::disallowed_methods, reason = "an effect room: disk and waiting are its job")]

use std::fs;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::record::{ConfigSeen, Seen};

/// Between two looks at a file.
const EVERY: Duration = Duration::from_millis(10);
const KEY: &str = "V3_UPGRADE_MODE";

struct Watched {
    node: String,
    path: PathBuf,
    original: Option<Vec<u8>>,
    last: Option<Option<Vec<u8>>>,
}

/// Runs until nobody takes what it sees any more.
pub(super) fn watch(files: Vec<(String, PathBuf)>, seen: &mpsc::Sender<Seen>) {
    let mut all: Vec<Watched> = files
        .into_iter()
        .map(|(node, path)| Watched { node, path, original: None, last: None })
        .collect();
    loop {
        for watched in &mut all {
            if let Some(change) = watched.look()
                && seen.send(Seen::Config(change)).is_err()
            {
                return;
            }
        }
        thread::sleep(EVERY);
    }
}

impl Watched {
    fn look(&mut self) -> Option<ConfigSeen> {
        let bytes = fs::read(&self.path).ok();
        if self.last.as_ref() == Some(&bytes) {
            return None;
        }
        if self.original.is_none() {
            self.original.clone_from(&bytes);
        }
        let change = describe(&self.node, bytes.as_deref(), self.original.as_deref());
        self.last = Some(bytes);
        Some(change)
    }
}

fn describe(node: &str, bytes: Option<&[u8]>, original: Option<&[u8]>) -> ConfigSeen {
    let rest_is_original = match (bytes, original) {
        (Some(bytes), Some(original)) => is_same_but_for_mode(bytes, original),
        (None, _) | (_, None) => false,
    };
    let mode_line = bytes
        .and_then(mode_line)
        .map(|line| String::from_utf8_lossy(line).trim_end_matches(['\r', '\n']).to_owned());
    let sha256 = bytes.map(|bytes| {
        Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    });
    ConfigSeen { node: node.to_owned(), sha256, mode_line, rest_is_original }
}

fn mode_line(bytes: &[u8]) -> Option<&[u8]> {
    lines(bytes).find(|line| is_mode_line(line))
}

/// Every byte outside the mode line is the same. Behind a file without a final newline an inserted
/// line brings the line end before it along (contracts: config edit).
fn is_same_but_for_mode(bytes: &[u8], original: &[u8]) -> bool {
    let rest = without_mode_line(bytes);
    let original_rest = without_mode_line(original);
    if rest == original_rest {
        return true;
    }
    let Some(added) = rest.strip_prefix(original_rest.as_slice()) else { return false };
    let was_last = lines(bytes).last().is_some_and(|line| is_mode_line(line) && !ends_line(line));
    was_last && !ends_line(original) && matches!(added, b"\n" | b"\r\n")
}

fn without_mode_line(bytes: &[u8]) -> Vec<u8> {
    lines(bytes).filter(|line| !is_mode_line(line)).flatten().copied().collect()
}

/// Each with its line end.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n')
}

fn ends_line(line: &[u8]) -> bool {
    line.ends_with(b"\n")
}

fn is_mode_line(line: &[u8]) -> bool {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let line = line.strip_prefix(b"\"").or_else(|| line.strip_prefix(b"'")).unwrap_or(line);
    line.strip_prefix(KEY.as_bytes()).is_some_and(|rest| {
        rest.first().is_some_and(|byte| matches!(byte, b':' | b'"' | b'\'' | b' '))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_mode_line_may_differ() {
        let original = b"A: 1\n# V3_UPGRADE_MODE: no\nB: 2\n";
        let inserted = b"A: 1\n# V3_UPGRADE_MODE: no\nB: 2\nV3_UPGRADE_MODE: background\n";
        let seen = describe("quay-1", Some(inserted), Some(original));
        assert!(seen.rest_is_original);
        assert_eq!(seen.mode(), Some("background"));
        for broken in [
            &b"A: 1\n# V3_UPGRADE_MODE: no\nB: 2"[..],
            b"A: 1\n# V3_UPGRADE_MODE: no\nB: 3\nV3_UPGRADE_MODE: background\n",
            b"",
        ] {
            assert!(!describe("quay-1", Some(broken), Some(original)).rest_is_original);
        }
        assert!(!describe("quay-1", None, Some(original)).rest_is_original);
    }

    #[test]
    fn the_line_end_before_a_line_at_an_unfinished_end_belongs_to_it() {
        assert!(is_same_but_for_mode(b"A: 1\r\nV3_UPGRADE_MODE: complete", b"A: 1"));
        assert!(!is_same_but_for_mode(b"A: 1\n\nV3_UPGRADE_MODE: complete", b"A: 1"));
        assert!(!is_same_but_for_mode(b"A: 1\n", b"A: 1"));
    }
}
