//! What an edit may and may not change. Whole files are in `corpus`.

mod corpus;

use proptest::prelude::*;

use super::*;

const KEY: PlainWord<'static> = PlainWord("V3_UPGRADE_MODE");
const NEW: PlainWord<'static> = PlainWord("complete");

fn edited(file: &str) -> Edit {
    match set(file.as_bytes(), KEY, NEW) {
        Ok(edit) => edit,
        Err(refusal) => panic!("{file:?}: {refusal}"),
    }
}

#[test]
fn the_old_value_is_told_without_quotes() {
    let old = |file| match edited(file).how {
        EditKind::Replaced { old } => old,
        EditKind::Unchanged | EditKind::Inserted => panic!("not replaced"),
    };
    assert_eq!(old("V3_UPGRADE_MODE: 'background'\n"), "background");
    assert_eq!(old("V3_UPGRADE_MODE:\n"), "");
}

#[test]
fn a_very_long_line_stays_whole() {
    let long = "x".repeat(200_000);
    let file = format!("A: {long}\nV3_UPGRADE_MODE: background\n");
    let expected = format!("A: {long}\nV3_UPGRADE_MODE: complete\n");
    assert_eq!(edited(&file).bytes, expected.into_bytes());
}

#[test]
fn only_the_two_documented_modes_can_be_set() {
    assert!(set_mode(b"A: 1\n", Mode::Absent).is_err());
    assert!(set_mode(b"A: 1\n", Mode::Other).is_err());
    let edit = set_mode(b"A: 1\n", Mode::Background).unwrap();
    assert_eq!(edit.bytes, b"A: 1\nV3_UPGRADE_MODE: background\n");
}

#[test]
fn words_with_another_meaning_are_no_plain_words() {
    for word in ["yes", "null", "", "1", "a b", "a:", "#a", "0x1", "-"] {
        assert_eq!(PlainWord::new(word), None, "{word}");
    }
}

/// One top-level entry with its line ends as `\n`.
fn entry() -> impl Strategy<Value = String> {
    let key = "[A-Z]{1,3}_[A-Z]{1,3}";
    let shapes: [&str; 22] = [
        " 1",
        " yes # really",
        " 'it''s: #not a comment'",
        " \"a\\tb\\u00e9\tc\"",
        " [x, {y: z}]",
        " {a: 1,\n  b: 2}",
        "\n  a: 1\n  b:\n  - c\n  # V3_UPGRADE_MODE: x",
        "\n- x\n- y",
        "\n    - x\n    - - y\n      - V3_UPGRADE_MODE: z",
        " |\n  V3_UPGRADE_MODE: x\n\n  tail",
        " |+\n  x\n",
        " |-\n  x\n   y",
        " |2\n    x\n  y",
        " >-\n  folded\n  text",
        " >+\n  folded\n\n\n",
        "",
        " !!str 12",
        " !!binary aGVsbG8=",
        " postgresql://u:p%23@h/d",
        " Grüße ☕ # Größe\t☕",
        " two\n  lines",
        " 'two\n\n  # lines'",
    ];
    (key, proptest::sample::select(shapes.to_vec()), "(\n|\n# note|\n\n#\n)?")
        .prop_map(|(key, shape, after)| format!("{key}:{shape}{after}\n"))
}

/// The key with a value: what stands before the value's bytes, they, and what
/// stands after.
fn present() -> impl Strategy<Value = Option<(&'static str, &'static str, &'static str)>> {
    let shapes = [
        ("V3_UPGRADE_MODE: ", "background", ""),
        ("V3_UPGRADE_MODE  :   ", "background", "   # background"),
        ("V3_UPGRADE_MODE: \"", "back\\x67round", "\""),
        ("\"V3_UPGRADE_MODE\": '", "it''s", "' # c"),
        ("V3_UPGRADE_MODE:\n\n    ", "~", ""),
        ("? V3_UPGRADE_MODE\n: ", "production-transition", ""),
        ("V3_UPGRADE_MODE: &a !!str ", "yes", " # V3_UPGRADE_MODE: x"),
    ];
    proptest::option::of(proptest::sample::select(shapes.to_vec()))
}

/// The names at the top level, in order, and all values but the mode's, as
/// the parser reads them.
fn reading(file: &str) -> (Vec<String>, String) {
    let document = yaml::parse(file.trim_start_matches(BYTE_ORDER_MARK)).unwrap();
    let names = top_level(&document).unwrap().iter().map(|(name, _)| match &name.content {
        Content::Scalar(text, _) => text.clone(),
        Content::Sequence(..) | Content::Mapping(..) | Content::Alias(_) => panic!("no name"),
    });
    (names.collect(), value::read(&document).unwrap().without(MODE_KEY).canonical())
}

proptest! {
    #[test]
    fn no_other_byte_changes(
        head in proptest::sample::select(vec!["", "# head\n\n", "---\n", "%YAML 1.1\n--- # c\n"]),
        before in proptest::collection::vec(entry(), 1..6),
        present in present(),
        after in proptest::collection::vec(entry(), 0..4),
        (is_ended, ends_bare, is_crlf, has_mark) in any::<(bool, bool, bool, bool)>(),
    ) {
        let mut file = if has_mark { BYTE_ORDER_MARK.to_owned() } else { String::new() };
        file.push_str(head);
        file.push_str(&before.concat());
        if let Some((start, old, end)) = present {
            // Two characters that no file may hold keep the place.
            file.push_str(&format!("{start}\0{old}\0{end}\n"));
        }
        file.push_str(&after.concat());
        if is_ended {
            file.push_str("... # the end\n");
        }
        if ends_bare {
            file.truncate(file.trim_end_matches('\n').len());
        }
        if is_crlf {
            file = file.replace('\n', "\r\n");
        }
        let parts: Vec<String> = file.split('\0').map(str::to_owned).collect();
        let file = parts.concat();
        let Ok(edit) = set(file.as_bytes(), KEY, NEW) else {
            // Some ends cannot take a line (a block text without its last line
            // break); an existing key can always be set.
            prop_assert!(present.is_none() && ends_bare && !is_ended);
            return Ok(());
        };
        let new = String::from_utf8(edit.bytes).unwrap();
        let ((names, values), (new_names, new_values)) = (reading(&file), reading(&new));
        prop_assert_eq!(new_values, values);
        if let [start, _, end] = &parts[..] {
            prop_assert_eq!(new, format!("{start}{}{end}", NEW.as_str()));
            prop_assert_eq!(new_names, names);
        } else {
            let line_break = if file.contains("\r\n") { "\r\n" } else { "\n" };
            let mut lines: Vec<&str> = new.split(line_break).collect();
            let added = lines.remove(usize::try_from(edit.line).unwrap() - 1);
            prop_assert_eq!(added, "V3_UPGRADE_MODE: complete");
            prop_assert_eq!(lines.join(line_break), file);
            prop_assert_eq!(new_names, [names, vec![MODE_KEY.to_owned()]].concat());
        }
    }

    #[test]
    fn no_text_at_all_makes_it_fall_over(file in "(?s).{0,200}") {
        let _ = set(file.as_bytes(), KEY, NEW);
    }
}
