//! A page about a kind of finding: a text file beside the code.

/// What is to be said of a code, in paragraphs. A line that begins with four
/// spaces is a command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// In one line.
    pub title: &'static str,
    /// What it means.
    pub what: &'static str,
    /// Why it matters, and where that is known from.
    pub why: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

impl Page {
    /// A part that is missing is empty: a test holds that none is.
    pub(super) fn parse(text: &'static str) -> Self {
        let mut parts = text.split("\n## ");
        let title = parts.next().unwrap_or_default();
        let title = title.strip_prefix("# ").unwrap_or_default().trim();
        let mut page = Self { title, what: "", why: "", remedy: "" };
        for part in parts {
            let (heading, body) = part.split_once('\n').unwrap_or((part, ""));
            let body = body.trim_matches('\n');
            match heading.trim() {
                "What" => page.what = body,
                "Why" => page.why = body,
                "Do" => page.remedy = body,
                _ => {}
            }
        }
        page
    }
}
