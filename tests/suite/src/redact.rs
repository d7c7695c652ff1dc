//! What differs from run to run becomes a placeholder of the same width, so
//! that a snapshot shows a page as an operator sees it.

use insta::Settings;

use crate::lab::TestLab;

/// Patterns and what stands for them; the order matters, longest first.
const FILTERS: &[(&str, &str)] = &[
    // A colour code would be a finding of its own: none may come without a terminal.
    (r"\b01[0-9A-HJKMNP-TV-Z]{24}\b", "<run-id------------------>"),
    (r"\.quaymaster-[0-9a-hjkmnp-tv-z]{8}-", ".quaymaster-<run-->-"),
    (r"\b[0-9a-f]{64}\b", "<64-digits----------------------------------------------------->"),
    (r"\b[0-9a-f]{32}\b", "<32-digits--------------------->"),
    (r"\b(?:5b7503aada1b|481623ba00ba|b918abdbee43|1783530bee68)\b", "$0"),
    (r"\b127\.0\.\d{1,3}\.", "127.0.N."),
    (r"\blab-\d{1,3}\b", "lab-N"),
    (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d| UTC)?", "<moment>"),
    (r"\b\d\d:\d\d:\d\d(?:\.\d+)?\b", "<clock>"),
];

/// Settings under which the pages of this lab are compared.
pub fn settings(lab: &TestLab) -> Settings {
    let mut settings = bare();
    settings.add_filter(&escaped(&lab.dir().display().to_string()), "<dir>");
    add(&mut settings);
    settings
}

/// The same where there is no lab, only a directory.
pub fn settings_in(dir: &std::path::Path) -> Settings {
    let mut settings = bare();
    settings.add_filter(&escaped(&dir.display().to_string()), "<dir>");
    add(&mut settings);
    settings
}

fn bare() -> Settings {
    let mut settings = Settings::clone_current();
    settings.set_omit_expression(true);
    settings.set_prepend_module_to_snapshot(false);
    settings
}

fn add(settings: &mut Settings) {
    for (pattern, placeholder) in FILTERS {
        settings.add_filter(pattern, *placeholder);
    }
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
