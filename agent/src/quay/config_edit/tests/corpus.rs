//! Files on disk and what must become of them: `NAME.yaml` with `NAME.after`,
//! where `@MODE@` stands for the mode, or with `NAME.refused`, the refusal.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::*;

const PLACE: &str = "@MODE@";

/// What must become of a file.
enum Expected {
    /// These bytes, around the mode.
    Edited { before: Vec<u8>, after: Vec<u8> },
    /// Nothing, for this reason.
    Refused(String),
}

struct Case {
    name: String,
    file: Vec<u8>,
    expected: Expected,
}

#[expect(clippy::disallowed_methods, reason = "the corpus is files")]
fn read(path: &Path) -> Option<Vec<u8>> {
    std::fs::read(path).ok()
}

fn case(path: PathBuf) -> Case {
    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
    let (after, refused) =
        (read(&path.with_extension("after")), read(&path.with_extension("refused")));
    let expected = match (after, refused) {
        (Some(after), None) => {
            let mut places =
                (0..after.len()).filter(|at| after[*at..].starts_with(PLACE.as_bytes()));
            let (Some(at), None) = (places.next(), places.next()) else {
                panic!("`{name}.after` does not hold {PLACE} once");
            };
            let (before, rest) = after.split_at(at);
            Expected::Edited { before: before.to_owned(), after: rest[PLACE.len()..].to_owned() }
        }
        (None, Some(text)) => {
            Expected::Refused(String::from_utf8(text).unwrap().trim_end().to_owned())
        }
        (Some(_), Some(_)) | (None, None) => {
            panic!("`{name}.yaml` needs one of `{name}.after` and `{name}.refused`")
        }
    };
    Case { file: read(&path).unwrap(), name, expected }
}

fn corpus() -> Vec<Case> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/config");
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "yaml")).collect();
    paths.sort();
    let cases: Vec<Case> = paths.into_iter().map(case).collect();
    assert!(cases.len() >= 40, "{}", cases.len());
    cases
}

/// The 1-based line of the end of `before`.
fn line(before: &[u8]) -> u32 {
    place::line_at(&String::from_utf8_lossy(before), before.len())
}

/// The lines that differ, with every byte visible.
fn difference(expected: &[u8], found: &[u8]) -> String {
    let lines = |bytes: &[u8]| -> Vec<String> {
        bytes.split_inclusive(|byte| *byte == b'\n').map(|l| l.escape_ascii().to_string()).collect()
    };
    let (expected, found) = (lines(expected), lines(found));
    let same = expected.iter().zip(&found).take_while(|(one, other)| one == other).count();
    let tails = expected[same..].iter().rev().zip(found[same..].iter().rev());
    let tail = tails.take_while(|(one, other)| one == other).count();
    let mut text = format!("  from line {} on:\n", same + 1);
    for line in &expected[same..expected.len() - tail] {
        writeln!(text, "  - {line}").unwrap();
    }
    for line in &found[same..found.len() - tail] {
        writeln!(text, "  + {line}").unwrap();
    }
    text
}

/// What is wrong with an edit; empty = nothing.
fn wrong(case: &Case, mode: Mode) -> String {
    let Case { name, file, expected } = case;
    let (before, after, edit) = match (expected, set_mode(file, mode)) {
        (Expected::Edited { before, after }, Ok(edit)) => (before, after, edit),
        (Expected::Refused(words), Err(refusal)) if refusal.to_string() == *words => {
            return String::new();
        }
        (Expected::Edited { .. }, Err(refusal)) => return format!("{name}: refused: {refusal}\n"),
        (Expected::Refused(words), Err(refusal)) => {
            return format!("{name}: refused with other words:\n  - {words}\n  + {refusal}\n");
        }
        (Expected::Refused(words), Ok(edit)) => {
            let shown = difference(file, &edit.bytes);
            return format!("{name}: edited, where it must be refused: {words}\n{shown}");
        }
    };
    let wanted = [before, mode.as_str().as_bytes(), after].concat();
    if edit.bytes != wanted {
        return format!("{name}, {mode}:\n{}", difference(&wanted, &edit.bytes));
    }
    if edit.line != line(before) {
        return format!("{name}: shows line {}, not {}\n", edit.line, line(before));
    }
    // What was done shows in the bytes: the old value is what the file holds
    // between the same ones.
    let is_around = match &edit.how {
        // A key without a value gets its space too.
        EditKind::Replaced { old }
            if old.is_empty()
                && before.strip_suffix(b" ").is_some_and(|key| [key, after].concat() == *file) =>
        {
            true
        }
        EditKind::Unchanged | EditKind::Replaced { .. } => {
            file.strip_prefix(before.as_slice()).is_some_and(|rest| rest.ends_with(after))
        }
        EditKind::Inserted => false,
    };
    let is_added = wanted.len() > file.len() && edit.how == EditKind::Inserted;
    let is_same = (wanted == *file) == (edit.how == EditKind::Unchanged);
    if is_same && is_around || is_added {
        String::new()
    } else {
        format!("{name}: {:?} does not describe what was done\n", edit.how)
    }
}

#[test]
fn every_file_of_the_corpus_comes_out_byte_for_byte() {
    let cases = corpus();
    let wrongs = cases
        .iter()
        .flat_map(|case| [Mode::Background, Mode::Complete].map(|mode| wrong(case, mode)));
    let wrongs: String = wrongs.collect();
    assert!(wrongs.is_empty(), "\n{wrongs}");
    let edited = cases.iter().filter(|case| matches!(case.expected, Expected::Edited { .. }));
    let edited = edited.count();
    assert!(edited >= 20 && cases.len() - edited >= 20, "{edited} of {}", cases.len());
}

#[test]
fn a_second_edit_changes_nothing() {
    for Case { name, file, expected } in corpus() {
        if matches!(expected, Expected::Refused(_)) {
            continue;
        }
        let once = set_mode(&file, Mode::Complete).unwrap();
        let again = set_mode(&once.bytes, Mode::Complete).unwrap();
        assert_eq!(again.how, EditKind::Unchanged, "{name}");
        assert_eq!(again.bytes, once.bytes, "{name}");
    }
}

/// A window back from `complete` finds the very bytes that `background` gave.
#[test]
fn the_way_from_mode_to_mode_and_back_ends_at_the_same_bytes() {
    for Case { name, file, expected } in corpus() {
        if matches!(expected, Expected::Refused(_)) {
            continue;
        }
        let first = set_mode(&file, Mode::Background).unwrap();
        let second = set_mode(&first.bytes, Mode::Complete).unwrap();
        let EditKind::Replaced { old } = &second.how else { panic!("{name}: {:?}", second.how) };
        assert_eq!(old, "background", "{name}");
        assert!(set_mode(&second.bytes, Mode::Background).unwrap().bytes == first.bytes, "{name}");
    }
}
