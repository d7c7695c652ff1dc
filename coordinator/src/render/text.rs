//! Columns and lines. Widths are counted in characters; nothing here is wider
//! than one column a character.

/// What a terminal has at least.
pub(super) const WIDTH: usize = 80;

/// Lines of at most `WIDTH` columns: the first begins with `head`, the others
/// are indented as far. A word that is longer stands alone.
pub(super) fn wrapped(head: &str, text: &str) -> String {
    let indent = width(head);
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in glued(text).split(' ') {
        let is_full = !line.is_empty() && indent + width(&line) + 1 + width(word) > WIDTH;
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
    wrapped(&format!("{label:<LABEL$} "), text)
}

/// What to type next. A command stands on one line, however long, so that it
/// can be copied; anything else is wrapped.
pub(super) fn next_lines(program: &str, lines: &[String]) -> String {
    let mut out = String::new();
    for (index, line) in lines.iter().enumerate() {
        let label = if index == 0 { "next" } else { "" };
        if line.starts_with(program) {
            out.push_str(&format!("{label:<LABEL$} {line}\n"));
        } else {
            out.push_str(&labelled(label, line));
        }
    }
    out
}

/// The width of labels on the left.
const LABEL: usize = 9;

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

pub(super) fn width(text: &str) -> usize {
    text.chars().count()
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
