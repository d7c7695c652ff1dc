//! Values into what people and programs read. Text fits 80 columns, means the
//! same without colour, and has an ASCII form; JSON carries a version.

mod account;
mod explain;
mod figures;
mod forecast;
mod heal;
mod live;
mod plan;
mod preflight;
mod refusal;
mod registry;
mod report;
mod rollback;
mod status;
mod text;
mod turn;
mod verify;
mod words;

pub use explain::{Explained, explain, explain_json, explain_nothing};
pub use figures::{count, duration, fraction, moment};
pub use forecast::why as advice;
pub use heal::{healed, healed_json, healing, not_healed, not_healed_next};
pub use live::{Live, Pull, event_line, live, progress_line};
pub use plan::{nothing_to_do, plan};
pub use preflight::{
    CheckedFor, PreflightView, code, code_json, codes, codes_json, preflight, preflight_json,
};
pub use refusal::{Complaint, Detail, complaint, complaint_json};
pub use registry::registry;
pub use report::{report, report_json};
pub use rollback::rollback;
pub use status::{
    InJournal, KnownRuns, RunSeen, StatusView, Watched, status, status_json, watched, watched_json,
};
pub(crate) use text::{cut, width};
pub use turn::{cause, put_back, unclaimed};
pub use verify::{sampled, verification, verification_json};
pub use words::{evidence, failure, problem, step_title, waiting};

/// The version of every JSON form here; an addition does not change it.
pub const JSON_VERSION: u32 = 1;

/// How much room there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Size {
    /// No line is meant to be wider.
    pub columns: usize,
    /// No more lines than these; `None` = as many as it takes.
    pub rows: Option<usize>,
}

/// How text is to look. Where it goes decides: `TERM`, `NO_COLOR`, the locale.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Style {
    /// Arrows, ticks and bars; else plain ASCII.
    pub unicode: bool,
    /// Colour on top; it never carries a meaning alone.
    pub colour: bool,
}

/// What a piece of text is, for its colour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Tone {
    Heading,
    Good,
    Bad,
    Careful,
    Faint,
}

impl Style {
    /// ASCII without colour.
    pub const PLAIN: Self = Self { unicode: false, colour: false };

    fn arrow(self) -> &'static str {
        if self.unicode { "→" } else { "->" }
    }

    fn line(self) -> &'static str {
        if self.unicode { "─" } else { "-" }
    }

    /// Colours that can be read on a light and on a dark background: no yellow,
    /// no black, no white, no background.
    fn paint(self, tone: Tone, text: &str) -> String {
        if !self.colour || text.is_empty() {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Heading => "1",
            Tone::Good => "32",
            Tone::Bad => "1;31",
            Tone::Careful => "35",
            Tone::Faint => "2",
        };
        format!("\u{1b}[{code}m{text}{}", text::RESET)
    }
}

#[cfg(test)]
mod tagged;
#[cfg(test)]
mod tests;
