//! Screens as snapshots keep them: at 80 and at 160 columns, with colours as
//! tags, and the same in ASCII without colour.

use super::text::width;
use super::{Size, Style};

/// What stands for each colour.
const TAGS: [(&str, &str); 6] = [
    ("\u{1b}[0m", "</>"),
    ("\u{1b}[1m", "<b>"),
    ("\u{1b}[2m", "<faint>"),
    ("\u{1b}[1;31m", "<bad>"),
    ("\u{1b}[32m", "<good>"),
    ("\u{1b}[35m", "<careful>"),
];

/// The same screen in four forms, which all have to fit.
pub(super) fn pictures(draw: impl Fn(Size, Style) -> Vec<String>) -> String {
    let mut page = String::new();
    for (columns, rows) in [(80, 40), (160, 40)] {
        for (name, unicode, colour) in [("unicode", true, true), ("ascii", false, false)] {
            let style = Style { unicode, colour };
            let lines = draw(Size { columns, rows: Some(rows) }, style);
            assert!(lines.len() <= rows, "{} lines", lines.len());
            page.push_str(&format!("---- {columns} columns, {name}\n"));
            for line in lines {
                assert!(width(&line) <= columns, "{line}");
                assert!(unicode || line.is_ascii(), "{line}");
                page.push_str(&tagged(&line));
                page.push('\n');
            }
        }
    }
    page
}

fn tagged(line: &str) -> String {
    let mut line = line.to_owned();
    for (code, tag) in TAGS {
        line = line.replace(code, tag);
    }
    assert!(!line.contains('\u{1b}'), "an unknown colour: {line:?}");
    assert_eq!(line, line.trim_end());
    line
}
