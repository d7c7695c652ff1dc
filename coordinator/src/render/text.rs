//! Columns and lines. Widths are counted in characters, colours left out;
//! nothing here is wider than one column a character.

use super::{Style, Tone};

/// What a terminal has at least.
pub(super) const WIDTH: usize = 80;

/// Lines of at most `WIDTH` columns: the first begins with `head`, the others
/// are indented as far. A word that is longer stands alone.
pub(super) fn wrapped(head: &str, text: &str) -> String {
    wrapped_to(WIDTH, head, text)
}

/// The same with `columns` columns.
pub(super) fn wrapped_to(columns: usize, head: &str, text: &str) -> String {
    let indent = width(head);
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in glued(text).split(' ') {
        let is_full = !line.is_empty() && indent + width(&line) + 1 + width(word) > columns;
        if is_full {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    let mut out = String::new();
    for (index, line) in lines.iter().enumerate() {
        let text =
            if index == 0 { format!("{head}{line}") } else { format!("{:indent$}{line}", "") };
        out.push_str(text.trim_end());
        out.push('\n');
    }
    out.replace(GLUE, " ")
}

/// Stands for a space at which no line ends.
const GLUE: char = '\u{a0}';

/// A number stays with its unit.
fn glued(text: &str) -> String {
    const UNITS: [&str; 10] = ["s", "min", "h", "d", "%", "M", "k", "G", "nodes", "node"];
    let mut out = String::new();
    let mut after_number = false;
    for (index, word) in text.split(' ').enumerate() {
        let bare = word.trim_end_matches([',', ';', ':', ')', '.']);
        if index > 0 {
            out.push(if after_number && UNITS.contains(&bare) { GLUE } else { ' ' });
        }
        after_number = word.ends_with(|last: char| last.is_ascii_digit());
        out.push_str(word);
    }
    out
}

/// A head of a fixed width before wrapped text.
pub(super) fn labelled(label: &str, text: &str) -> String {
    labelled_to(WIDTH, label, text)
}

/// The same with `columns` columns.
pub(super) fn labelled_to(columns: usize, label: &str, text: &str) -> String {
    wrapped_to(columns, &format!("{label:<LABEL$} "), text)
}

/// What to type next. A command stands on one line, however long, so that it
/// can be copied; anything else is wrapped.
pub(super) fn next_lines(program: &str, lines: &[String]) -> String {
    next_lines_to(WIDTH, program, lines)
}

/// The same with `columns` columns.
pub(super) fn next_lines_to(columns: usize, program: &str, lines: &[String]) -> String {
    let mut out = String::new();
    for (index, line) in lines.iter().enumerate() {
        let label = if index == 0 { "next" } else { "" };
        if line.starts_with(program) {
            out.push_str(&format!("{label:<LABEL$} {line}\n"));
        } else {
            out.push_str(&labelled_to(columns, label, line));
        }
    }
    out
}

/// The width of labels on the left.
pub(super) const LABEL: usize = 9;

/// Rows of cells in columns as wide as their widest cell.
#[derive(Default)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// Lines without their ends, each after `indent` spaces.
    pub(super) fn lines(&self, indent: usize) -> Vec<String> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                cells.map(|cell| width(cell)).max().unwrap_or_default()
            })
            .collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths);
            let cells: Vec<String> = cells.map(|(cell, width)| format!("{cell:<width$}")).collect();
            format!("{:indent$}{}", "", cells.join("  ")).trim_end().to_owned()
        };
        self.rows.iter().map(line).collect()
    }
}

/// How many columns a text takes.
pub(crate) fn width(text: &str) -> usize {
    pieces(text).filter(|piece| matches!(piece, Piece::Shown(_))).count()
}

/// The text and as many spaces as it takes to be so wide.
pub(super) fn padded(text: &str, columns: usize) -> String {
    format!("{text}{:missing$}", "", missing = columns.saturating_sub(width(text)))
}

/// Two blocks side by side, each in its columns, with a line between them.
pub(super) fn beside(
    left: &[String],
    right: &[String],
    (left_columns, right_columns): (usize, usize),
    style: Style,
) -> Vec<String> {
    let bar = style.paint(Tone::Faint, if style.unicode { "│" } else { "|" });
    let line = |lines: &[String], index: usize, columns| {
        cut(lines.get(index).map(String::as_str).unwrap_or_default(), columns, style)
    };
    (0..left.len().max(right.len()))
        .map(|index| {
            let (one, other) = (line(left, index, left_columns), line(right, index, right_columns));
            format!("{} {bar} {other}", padded(&one, left_columns)).trim_end().to_owned()
        })
        .collect()
}

/// A line of at most so many columns. Something is put where the rest was, and
/// what no line may hold (a line's end, a movement of the cursor) is left out,
/// wherever the text came from.
pub(crate) fn cut(line: &str, columns: usize, style: Style) -> String {
    let mark = if style.unicode { "…" } else { "~" };
    let room = if width(line) <= columns { columns } else { columns.saturating_sub(width(mark)) };
    let (mut out, mut shown, mut is_painted) = (String::new(), 0, false);
    for piece in pieces(line) {
        match piece {
            Piece::Paint(paint) => {
                is_painted = paint != RESET;
                out.push_str(paint);
            }
            Piece::Shown(letter) if shown < room => {
                shown += 1;
                out.push(letter);
            }
            Piece::Shown(_) => {
                out.push_str(mark);
                break;
            }
        }
    }
    if is_painted {
        out.push_str(RESET);
    }
    out
}

/// What ends a colour.
pub(super) const RESET: &str = "\u{1b}[0m";

enum Piece<'a> {
    /// A letter that takes a column.
    Shown(char),
    /// A colour.
    Paint(&'a str),
}

/// Letters and colours; other controls are passed over.
fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let letter = rest.chars().next()?;
            if let Some(length) = paint_length(rest) {
                let (paint, after) = rest.split_at(length);
                rest = after;
                return Some(Piece::Paint(paint));
            }
            rest = &rest[letter.len_utf8()..];
            if !letter.is_control() {
                return Some(Piece::Shown(letter));
            }
        }
    })
}

/// How long the colour is that a text begins with.
fn paint_length(text: &str) -> Option<usize> {
    let code = text.strip_prefix("\u{1b}[")?;
    let digits = code.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b';').count();
    (code.as_bytes().get(digits) == Some(&b'm')).then_some(digits + 3)
}

/// `quay-1`, `quay-1, quay-2`, `quay-1, quay-2 and 28 more`.
pub(super) fn names<T: std::fmt::Display>(names: &[T]) -> String {
    const SHOWN: usize = 6;
    let shown: Vec<String> = names.iter().take(SHOWN).map(ToString::to_string).collect();
    let shown = shown.join(", ");
    match names.len().checked_sub(SHOWN) {
        None | Some(0) => shown,
        Some(more) => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNICODE: Style = Style { unicode: true, colour: true };

    #[test]
    fn a_cut_line_is_never_wider_and_ends_its_colour() {
        let line = "quay-1  \u{1b}[32mhealthy again\u{1b}[0m  ok";
        assert_eq!(width(line), 25);
        assert_eq!(cut(line, 25, UNICODE), line);
        assert_eq!(cut(line, 12, UNICODE), "quay-1  \u{1b}[32mhea…\u{1b}[0m");
        assert_eq!(cut(line, 12, Style::PLAIN), "quay-1  \u{1b}[32mhea~\u{1b}[0m");
        assert_eq!(width(&cut(line, 0, UNICODE)), 1);
        assert_eq!(padded("\u{1b}[1mab\u{1b}[0m", 4), "\u{1b}[1mab\u{1b}[0m  ");
    }

    #[test]
    fn what_an_agent_says_moves_no_cursor() {
        let said = "cannot pull:\r\n\u{1b}[2J\u{1b}[31mno space\u{7}";
        assert_eq!(cut(said, 40, UNICODE), "cannot pull:[2J\u{1b}[31mno space\u{1b}[0m");
    }
}
