//! Files and what must become of them, written out by hand.

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

/// Name, file, the file that must come out, the line that an operator sees.
type Case = (&'static str, &'static str, &'static str, u32);

const REPLACED: &[Case] = &[
    (
        "plain",
        "A: 1\nV3_UPGRADE_MODE: background\nB: 2\n",
        "A: 1\nV3_UPGRADE_MODE: complete\nB: 2\n",
        2,
    ),
    ("alone", "V3_UPGRADE_MODE: background\n", "V3_UPGRADE_MODE: complete\n", 1),
    ("no final newline", "A: 1\nV3_UPGRADE_MODE: background", "A: 1\nV3_UPGRADE_MODE: complete", 2),
    (
        "comment behind",
        "V3_UPGRADE_MODE:   background   # was: background\n",
        "V3_UPGRADE_MODE:   complete   # was: background\n",
        1,
    ),
    (
        "double quotes",
        "V3_UPGRADE_MODE: \"background\"\nB: 2\n",
        "V3_UPGRADE_MODE: \"complete\"\nB: 2\n",
        1,
    ),
    (
        "single quotes",
        "V3_UPGRADE_MODE: 'background' # c\n",
        "V3_UPGRADE_MODE: 'complete' # c\n",
        1,
    ),
    ("quoted key", "\"V3_UPGRADE_MODE\": background\n", "\"V3_UPGRADE_MODE\": complete\n", 1),
    ("space before the colon", "V3_UPGRADE_MODE : background\n", "V3_UPGRADE_MODE : complete\n", 1),
    (
        "CRLF",
        "A: 1\r\nV3_UPGRADE_MODE: background\r\nB: 2\r\n",
        "A: 1\r\nV3_UPGRADE_MODE: complete\r\nB: 2\r\n",
        2,
    ),
    ("BOM", "\u{feff}V3_UPGRADE_MODE: background\n", "\u{feff}V3_UPGRADE_MODE: complete\n", 1),
    ("empty value", "A: 1\nV3_UPGRADE_MODE:\nB: 2\n", "A: 1\nV3_UPGRADE_MODE: complete\nB: 2\n", 2),
    ("empty at the end", "A: 1\nV3_UPGRADE_MODE:", "A: 1\nV3_UPGRADE_MODE: complete", 2),
    (
        "empty value, CRLF",
        "V3_UPGRADE_MODE:\r\nB: 2\r\n",
        "V3_UPGRADE_MODE: complete\r\nB: 2\r\n",
        1,
    ),
    (
        "empty value, comment",
        "V3_UPGRADE_MODE:  # later\nB: 2\n",
        "V3_UPGRADE_MODE: complete  # later\nB: 2\n",
        1,
    ),
    ("empty quotes", "V3_UPGRADE_MODE: ''\n", "V3_UPGRADE_MODE: 'complete'\n", 1),
    ("null", "V3_UPGRADE_MODE: ~\n", "V3_UPGRADE_MODE: complete\n", 1),
    ("a number", "V3_UPGRADE_MODE: 3\n", "V3_UPGRADE_MODE: complete\n", 1),
    (
        "value on the next line",
        "V3_UPGRADE_MODE:\n  background\nB: 2\n",
        "V3_UPGRADE_MODE:\n  complete\nB: 2\n",
        2,
    ),
    ("string tag", "V3_UPGRADE_MODE: !!str background\n", "V3_UPGRADE_MODE: !!str complete\n", 1),
    (
        "anchor nobody uses",
        "V3_UPGRADE_MODE: &m background\nB: 2\n",
        "V3_UPGRADE_MODE: &m complete\nB: 2\n",
        1,
    ),
    (
        "anchors elsewhere",
        "A: &a {x: background}\nV3_UPGRADE_MODE: background\nB: *a\n",
        "A: &a {x: background}\nV3_UPGRADE_MODE: complete\nB: *a\n",
        2,
    ),
    (
        "over a merge",
        "A: &a {V3_UPGRADE_MODE: background}\n<<: *a\nV3_UPGRADE_MODE: background\n",
        "A: &a {V3_UPGRADE_MODE: background}\n<<: *a\nV3_UPGRADE_MODE: complete\n",
        3,
    ),
    (
        "the name in comments, blocks and below",
        "# V3_UPGRADE_MODE: background\nT: |\n  V3_UPGRADE_MODE: background\nN:\n  V3_UPGRADE_MODE: background\nV3_UPGRADE_MODE: background\n",
        "# V3_UPGRADE_MODE: background\nT: |\n  V3_UPGRADE_MODE: background\nN:\n  V3_UPGRADE_MODE: background\nV3_UPGRADE_MODE: complete\n",
        6,
    ),
    (
        "document marks",
        "%YAML 1.1\n---\nV3_UPGRADE_MODE: background\n...\n",
        "%YAML 1.1\n---\nV3_UPGRADE_MODE: complete\n...\n",
        3,
    ),
    (
        "not ASCII",
        "TITLE: Café ☕ 登録\nV3_UPGRADE_MODE: background\n",
        "TITLE: Café ☕ 登録\nV3_UPGRADE_MODE: complete\n",
        2,
    ),
    (
        "another key twice",
        "A: 1\nA: 2\nV3_UPGRADE_MODE: background\n",
        "A: 1\nA: 2\nV3_UPGRADE_MODE: complete\n",
        3,
    ),
    (
        "indented root",
        "  A: 1\n  V3_UPGRADE_MODE: background\n",
        "  A: 1\n  V3_UPGRADE_MODE: complete\n",
        2,
    ),
    ("explicit key", "? V3_UPGRADE_MODE\n: background\n", "? V3_UPGRADE_MODE\n: complete\n", 2),
    (
        "lone returns",
        "A: 1\rV3_UPGRADE_MODE: background\rB: 2\r",
        "A: 1\rV3_UPGRADE_MODE: complete\rB: 2\r",
        2,
    ),
];

const INSERTED: &[Case] = &[
    ("plain", "A: 1\nB: 2\n", "A: 1\nB: 2\nV3_UPGRADE_MODE: complete\n", 3),
    ("no final newline", "A: 1\nB: 2", "A: 1\nB: 2\nV3_UPGRADE_MODE: complete", 3),
    ("CRLF", "A: 1\r\nB: 2\r\n", "A: 1\r\nB: 2\r\nV3_UPGRADE_MODE: complete\r\n", 3),
    ("CRLF, no final newline", "A: 1\r\nB: 2", "A: 1\r\nB: 2\r\nV3_UPGRADE_MODE: complete", 3),
    ("one line, no newline at all", "A: 1", "A: 1\nV3_UPGRADE_MODE: complete", 2),
    ("lone returns", "A: 1\rB: 2\r", "A: 1\rB: 2\rV3_UPGRADE_MODE: complete\r", 3),
    ("BOM", "\u{feff}A: 1\n", "\u{feff}A: 1\nV3_UPGRADE_MODE: complete\n", 2),
    (
        "trailing comments",
        "A: 1\n\n# the end\n",
        "A: 1\nV3_UPGRADE_MODE: complete\n\n# the end\n",
        2,
    ),
    (
        "comment on the last line",
        "A: 1 # one\n# end",
        "A: 1 # one\nV3_UPGRADE_MODE: complete\n# end",
        2,
    ),
    ("document end", "---\nA: 1\n...\n", "---\nA: 1\nV3_UPGRADE_MODE: complete\n...\n", 3),
    ("document end without newline", "A: 1\n...", "A: 1\nV3_UPGRADE_MODE: complete\n...", 2),
    (
        "nested mapping last",
        "A:\n  b: 1\n  c: [x,\n    y]\n# end\n",
        "A:\n  b: 1\n  c: [x,\n    y]\nV3_UPGRADE_MODE: complete\n# end\n",
        5,
    ),
    (
        "list last",
        "A:\n- x\n- y: 1\n  z: 2\n\n",
        "A:\n- x\n- y: 1\n  z: 2\nV3_UPGRADE_MODE: complete\n\n",
        5,
    ),
    (
        "flow last",
        "A: {x: 1,\n  y: 2\n}\n# end\n",
        "A: {x: 1,\n  y: 2\n}\nV3_UPGRADE_MODE: complete\n# end\n",
        4,
    ),
    (
        "block text last",
        "A: |\n  x\n  y\n\n\n# end\n",
        "A: |\n  x\n  y\nV3_UPGRADE_MODE: complete\n\n\n# end\n",
        4,
    ),
    ("kept block text last", "A: |+\n  x\n\n\n", "A: |+\n  x\n\n\nV3_UPGRADE_MODE: complete\n", 5),
    (
        "kept block text, end mark",
        "A: |+\n  x\n\n...\n",
        "A: |+\n  x\n\nV3_UPGRADE_MODE: complete\n...\n",
        4,
    ),
    (
        "folded text last",
        "A: >-\n  x\n # end\n",
        "A: >-\n  x\nV3_UPGRADE_MODE: complete\n # end\n",
        3,
    ),
    (
        "block text with the name",
        "A: |\n  V3_UPGRADE_MODE: background\n",
        "A: |\n  V3_UPGRADE_MODE: background\nV3_UPGRADE_MODE: complete\n",
        3,
    ),
    (
        "multi-line plain last",
        "A: x\n  y\n# end\n",
        "A: x\n  y\nV3_UPGRADE_MODE: complete\n# end\n",
        3,
    ),
    (
        "multi-line quoted last",
        "A: \"x\n\n  y\"\n",
        "A: \"x\n\n  y\"\nV3_UPGRADE_MODE: complete\n",
        4,
    ),
    ("empty value last", "A: 1\nB:\n", "A: 1\nB:\nV3_UPGRADE_MODE: complete\n", 3),
    ("anchor and alias last", "A: &a x\nB: *a\n", "A: &a x\nB: *a\nV3_UPGRADE_MODE: complete\n", 3),
    ("tag last", "A: 1\nB: !!str\n", "A: 1\nB: !!str\nV3_UPGRADE_MODE: complete\n", 3),
    ("indented root", "  A: 1\n  B: 2\n", "  A: 1\n  B: 2\n  V3_UPGRADE_MODE: complete\n", 3),
    (
        "commented out",
        "A: 1\n#V3_UPGRADE_MODE: background\n",
        "A: 1\nV3_UPGRADE_MODE: complete\n#V3_UPGRADE_MODE: background\n",
        2,
    ),
    ("not ASCII", "TITLE: 登録 ☕\n", "TITLE: 登録 ☕\nV3_UPGRADE_MODE: complete\n", 2),
    (
        "only below",
        "N:\n  V3_UPGRADE_MODE: background\n",
        "N:\n  V3_UPGRADE_MODE: background\nV3_UPGRADE_MODE: complete\n",
        3,
    ),
    (
        "lower case is another key",
        "v3_upgrade_mode: background\n",
        "v3_upgrade_mode: background\nV3_UPGRADE_MODE: complete\n",
        2,
    ),
    ("mixed line ends", "A: 1\nB: 2\r\n", "A: 1\nB: 2\r\nV3_UPGRADE_MODE: complete\r\n", 3),
];

#[test]
fn an_existing_value_changes_and_nothing_else() {
    for (name, file, expected, line) in REPLACED {
        let edit = edited(file);
        assert_eq!(String::from_utf8(edit.bytes).unwrap(), *expected, "{name}");
        assert_eq!(edit.line, *line, "{name}");
        assert!(matches!(edit.how, EditKind::Replaced { .. }), "{name}");
    }
}

#[test]
fn a_missing_key_becomes_one_line_after_the_last_entry() {
    for (name, file, expected, line) in INSERTED {
        let edit = edited(file);
        assert_eq!(String::from_utf8(edit.bytes).unwrap(), *expected, "{name}");
        assert_eq!(edit.line, *line, "{name}");
        assert_eq!(edit.how, EditKind::Inserted, "{name}");
    }
}

#[test]
fn a_second_edit_changes_nothing() {
    for (name, file, expected, _) in REPLACED.iter().chain(INSERTED) {
        let again = edited(expected);
        assert_eq!(again.how, EditKind::Unchanged, "{name}: {file}");
        assert_eq!(again.bytes, expected.as_bytes(), "{name}");
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
fn refusals_have_names_and_say_what_to_do() {
    let cases: &[(&str, &[u8])] = &[
        ("key twice", b"A: 1\nV3_UPGRADE_MODE: background\nV3_UPGRADE_MODE: complete\n"),
        (
            "key twice, once quoted",
            b"V3_UPGRADE_MODE: background\nB: 1\n'V3_UPGRADE_MODE': complete\n",
        ),
        ("two documents", b"A: 1\n---\nB: 2\n"),
        ("flow root", b"{A: 1, V3_UPGRADE_MODE: background}\n"),
        ("a list", b"V3_UPGRADE_MODE: [background]\n"),
        ("a mapping", b"V3_UPGRADE_MODE:\n  x: background\n"),
        ("an alias", b"A: &a background\nV3_UPGRADE_MODE: *a\n"),
        ("block text", b"V3_UPGRADE_MODE: |-\n  background\n"),
        ("two lines", b"V3_UPGRADE_MODE: back\n  ground\n"),
        ("another tag", b"V3_UPGRADE_MODE: !custom background\n"),
        ("anchor without word", b"V3_UPGRADE_MODE: &a\nB: *a\n"),
        ("used by another", b"V3_UPGRADE_MODE: &a background\nB: *a\n"),
        ("only merged", b"A: &a {V3_UPGRADE_MODE: background}\n<<: *a\n"),
        ("only in a merged list", b"A: &a {V3_UPGRADE_MODE: background}\n<<: [{x: 1}, *a]\n"),
        ("root is a list", b"- V3_UPGRADE_MODE: background\n"),
        ("root is a word", b"V3_UPGRADE_MODE\n"),
        ("empty", b""),
        ("only comments", b"# nothing\n\n"),
        ("not YAML", b"A: 1\nB: [1, 2\nC: 3\n"),
        ("a tab for indentation", b"A:\n\tb: 1\n"),
        ("not UTF-8", b"A: caf\xe9\n"),
        ("foreign line break", "A: x\u{2028}B: y\n".as_bytes()),
        ("merge of no mapping", b"A: 1\n<<: 2\n"),
        ("text that the line would change", b"A: |\n  x"),
    ];
    let mut said = String::new();
    for (name, file) in cases {
        match set(file, KEY, NEW) {
            Ok(edit) => panic!("{name}: edited: {:?}", String::from_utf8(edit.bytes)),
            Err(refusal) => said.push_str(&format!("{name}: {refusal}\n")),
        }
    }
    insta::assert_snapshot!(said);
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
    let shapes: [&str; 16] = [
        " 1",
        " yes # really",
        " 'it''s: #not a comment'",
        " \"a\\tb\\u00e9\"",
        " [x, {y: z}]",
        " {a: 1,\n  b: 2}",
        "\n  a: 1\n  b:\n  - c\n  # V3_UPGRADE_MODE: x",
        "\n- x\n- y",
        " |\n  V3_UPGRADE_MODE: x\n\n  tail",
        " |+\n  x\n",
        " >-\n  folded\n  text",
        "",
        " !!str 12",
        " postgresql://u:p%23@h/d",
        " Grüße ☕",
        " two\n  lines",
    ];
    (key, proptest::sample::select(shapes.to_vec()), "(\n|\n# note|\n\n#\n)?")
        .prop_map(|(key, shape, after)| format!("{key}:{shape}{after}\n"))
}

proptest! {
    #[test]
    fn no_other_byte_changes(
        before in proptest::collection::vec(entry(), 1..6),
        after in proptest::collection::vec(entry(), 0..4),
        present in proptest::option::of("(V3_UPGRADE_MODE: background( # c)?|V3_UPGRADE_MODE: \"x\")"),
        is_crlf: bool,
        ends_bare: bool,
        mark: bool,
    ) {
        let mut file = before.concat();
        if let Some(line) = &present {
            file.push_str(&format!("{line}\n"));
        }
        file.push_str(&after.concat());
        if ends_bare {
            file.truncate(file.trim_end_matches('\n').len());
        }
        if is_crlf {
            file = file.replace('\n', "\r\n");
        }
        if mark {
            file.insert(0, '\u{feff}');
        }
        let Ok(edit) = set(file.as_bytes(), KEY, NEW) else {
            // Some ends cannot take a line (a block text without its last line
            // break); an existing key can always be set.
            prop_assert!(present.is_none() && ends_bare);
            return Ok(());
        };
        let new = String::from_utf8(edit.bytes).unwrap();
        let line_break = if file.contains("\r\n") { "\r\n" } else { "\n" };
        let index = usize::try_from(edit.line).unwrap() - 1;
        let mut lines: Vec<&str> = new.split(line_break).collect();
        if present.is_some() {
            let old: Vec<&str> = file.split(line_break).collect();
            prop_assert_eq!(old.len(), lines.len());
            lines[index] = old[index];
        } else {
            prop_assert_eq!(lines.remove(index), "V3_UPGRADE_MODE: complete");
        }
        prop_assert_eq!(lines.join(line_break), file);
    }

    #[test]
    fn no_text_at_all_makes_it_fall_over(file in "(?s).{0,200}") {
        let _ = set(file.as_bytes(), KEY, NEW);
    }
}
