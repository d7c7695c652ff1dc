//! What differs from run to run becomes a placeholder of the same width, so
//! that a snapshot shows a page as an operator sees it.

use insta::Settings;

use crate::lab::TestLab;

/// Patterns and what stands for them, in this order. The known revisions are
/// put out of the way while everything else of 12 digits is replaced.
const FILTERS: &[(&str, &str)] = &[
    (r"\b01[0-9A-HJKMNP-TV-Z]{24}\b", "<run-id------------------>"),
    (r"\.quaymaster-[0-9a-hjkmnp-tv-z]{8}-", ".quaymaster-<run-->-"),
    (r"\b[0-9a-f]{64}\b", "<64-digits----------------------------------------------------->"),
    (r"\b5b7503aada1b\b", "<<2.9.5>>"),
    (r"\b481623ba00ba\b", "<<background>>"),
    (r"\bb918abdbee43\b", "<<complete>>"),
    (r"\b[0-9a-f]{12}\b", "<12--digits>"),
    (r"<<2\.9\.5>>", "5b7503aada1b"),
    (r"<<background>>", "481623ba00ba"),
    (r"<<complete>>", "b918abdbee43"),
    (r"\b127\.0\.\d{3}\.", "127.0.NNN."),
    (r"\blab-\d{3}\b", "lab-NNN"),
    (r"\boperator@[A-Za-z0-9.-]+", "operator@<host>"),
    (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d| UTC)?", "<moment>"),
    (r"\b\d\d:\d\d:\d\d(?:\.\d+)?\b", "<clock>"),
    // How long something took or stands.
    (r"\(pid \d+\)", "(pid <pid>)"),
    (r"\b127\.0\.0\.1:\d{5}/quay\b", "127.0.0.1:<port>/quay"),
    (r"a survey \d+ s old", "a survey <n> s old"),
    (
        r"(?m)^outage    [\d.]+ s, [\d.]+ s over its limit; first node healthy after\s+[\d.]+ s$",
        "outage    <seconds>, <seconds> over its limit; first node healthy after <seconds>",
    ),
    // What a window took, and what the next one is therefore expected to take.
    (r"(?m)^ +forecast +took +slowest\n(?: {10}.*\n)+", "          <table>\n"),
    (r"(?m)^outage    about .*\n(?: {10}.*\n)*", "outage    about <forecast>\n"),
    (r"(?m)^assumes   .*\n(?: {10}.*\n)*", "assumes   <assumptions>\n"),
    (r"(?m)^advice    .*\n(?: {10}.*\n)*", "advice    <advice>\n"),
    (
        r"(?s)\nbackup    [\d.]+ s verified, \d+ kB kept on (\S+) in\s+\S+;\s+of\s+the\s+storage\s+\d+\s+files?,\s+\d+\s+kB,\s+copied\s+in\s+[\d.]+\s+s(?:,\s+sharing\s+its\s+bytes)?",
        "\nbackup    <seconds> verified, <n> kB kept on $1 in <directory>; of the storage <n> files",
    ),
    // Windows that were gone back from pushed and deleted tags of their own.
    (r"the backfill of \d\d tags, about \d s once", "the backfill of <n> tags, about <n> s once"),
    (r"verified, \d+ kB", "verified, <n> kB"),
    // Told only where something failed in passing.
    (r", \d+ questions? asked again", ""),
    // Told only where it takes its time.
    (r"(?m)^\S+ (?:backs up|reads its backup back|restores): .*\n", ""),
    (r", for [\d.]+ s\b", ", for <n> s"),
    (r"(?m)^in all    [\d.]+ s$", "in all    <seconds>"),
    (r"(?m)  \d+ s *$", "  <n> s"),
];

/// Settings under which the pages of this lab are compared.
pub fn settings(lab: &TestLab) -> Settings {
    settings_in(lab.dir())
}

/// The same where there is no lab, only a directory.
pub fn settings_in(dir: &std::path::Path) -> Settings {
    let mut settings = Settings::clone_current();
    settings.set_omit_expression(true);
    settings.set_prepend_module_to_snapshot(false);
    settings.add_filter(&escaped(&dir.display().to_string()), "<dir>");
    for (pattern, placeholder) in FILTERS {
        settings.add_filter(pattern, *placeholder);
    }
    settings
}

/// A path as a pattern: letters, digits, `/`, `-` and `_` stand for themselves.
fn escaped(path: &str) -> String {
    path.chars()
        .flat_map(|letter| {
            let plain = letter.is_alphanumeric() || matches!(letter, '/' | '-' | '_');
            (!plain).then_some('\\').into_iter().chain([letter])
        })
        .collect()
}

/// A page whose lines come in one order, however fast which node was: the nodes
/// of one step stand sorted, and what a gate was seen to wait for is left out.
pub fn steady(page: &str) -> String {
    let lines: Vec<&str> = page.lines().filter(|line| !is_waiting(line) && !is_bar(line)).collect();
    let groups =
        lines.chunk_by(|one, next| step_of(one).is_some_and(|step| step_of(next) == Some(step)));
    let mut steady = String::new();
    for group in groups {
        let mut group = group.to_vec();
        group.sort_by_key(|line| node_of(line));
        for line in group {
            steady.push_str(line);
            steady.push('\n');
        }
    }
    steady
}

/// What a line of a live run is about: `02:15:12  stop             quay-1  done`.
fn step_of(line: &str) -> Option<&str> {
    live(line)?.split("  ").next()
}

fn node_of(line: &str) -> Option<&str> {
    let (_, rest) = live(line)?.split_once("  ")?;
    rest.trim_start().split("  ").next().filter(|node| node.starts_with("quay-"))
}

fn is_waiting(line: &str) -> bool {
    live(line).is_some_and(|rest| rest.contains(" gate ") && rest.contains("  waits for "))
}

/// A line of the backfill's bar.
fn is_bar(line: &str) -> bool {
    line.contains(" tags   ") && (line.contains('█') || line.contains('░'))
}

/// The rest of a line that begins with a clock.
fn live(line: &str) -> Option<&str> {
    let (clock, rest) = line.split_once("  ")?;
    let is_clock = clock.len() == 8 && clock.bytes().filter(|byte| *byte == b':').count() == 2;
    is_clock.then_some(rest)
}
