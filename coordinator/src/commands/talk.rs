//! Words for the person at the terminal. A terminal that has gone away stops
//! nothing: a run outlives it.
#![expect(clippy::disallowed_methods, reason = "an effect room: it reads the locale")]

use std::io::{IsTerminal as _, Write as _};

use clap::ColorChoice;

use crate::args::{Global, Output};
use crate::commands::{CommandError, context};
use crate::exit::Exit;
use crate::render::{self, Style};

/// One or more lines to standard error.
pub(super) fn say(text: &str) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// Data to standard output, exactly as given.
pub(super) fn print(text: &str) {
    let _ = try_print(text);
}

/// The same where it matters whether anybody reads it.
pub(super) fn try_print(text: &str) -> std::io::Result<()> {
    let mut out = anstream::stdout();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Something that went wrong beside what was asked.
pub(super) fn warn(error: &CommandError) {
    say(&format!("warning: {}", quaymaster_proto::in_a_line(error)));
}

/// The error, its causes once each, and what to do.
pub(super) fn fail(error: &CommandError, global: &Global) -> Exit {
    let Global { cluster, output, color: _ } = global;
    let complaint = error.complaint(&context::program(cluster));
    match output {
        Output::Text => say(render::complaint(&complaint, style()).trim_end()),
        Output::Json => say(&format!("{:#}", render::complaint_json(&complaint))),
    }
    error.exit()
}

/// How text looks here. Colour that is not wanted is taken out on the way.
pub(super) fn style() -> Style {
    Style { unicode: is_unicode(), colour: true }
}

/// Where a picture is drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stream {
    /// Data.
    Out,
    /// Talk.
    Err,
}

impl Stream {
    /// Whether its cursor may be moved.
    pub(super) fn can_be_redrawn(self) -> bool {
        let is_terminal = match self {
            Self::Out => std::io::stdout().is_terminal(),
            Self::Err => std::io::stderr().is_terminal(),
        };
        is_terminal && !is_dumb()
    }
}

/// How text looks where nothing takes colour out on the way.
pub(super) fn drawn_style(stream: Stream) -> Style {
    let choice = match stream {
        Stream::Out => anstream::AutoStream::choice(&std::io::stdout()),
        Stream::Err => anstream::AutoStream::choice(&std::io::stderr()),
    };
    Style { unicode: is_unicode(), colour: choice != anstream::ColorChoice::Never }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value: &String| !value.is_empty())
}

/// A terminal that knows no movements of its cursor.
fn is_dumb() -> bool {
    variable("TERM").is_none_or(|term| term == "dumb")
}

fn is_unicode() -> bool {
    if variable("TERM").is_some_and(|term| term == "dumb") {
        return false;
    }
    let locale = variable("LC_ALL").or_else(|| variable("LC_CTYPE")).or_else(|| variable("LANG"));
    locale.is_some_and(|locale| {
        let locale = locale.to_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

/// Whether a person can be asked.
pub(super) fn is_someone_there() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// `--color`; `auto` leaves `NO_COLOR` and the terminal to decide.
pub(super) fn choose_colour(choice: ColorChoice) {
    let choice = match choice {
        ColorChoice::Auto => anstream::ColorChoice::Auto,
        ColorChoice::Always => anstream::ColorChoice::Always,
        ColorChoice::Never => anstream::ColorChoice::Never,
    };
    choice.write_global();
}
