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
    let mut out = anstream::stdout();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

/// Something that went wrong beside what was asked.
pub(super) fn warn(error: &CommandError) {
    say(&format!("warning: {}", render::in_a_line(error)));
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

/// How text looks where nothing takes colour out on the way.
pub(super) fn drawn_style() -> Style {
    let choice = anstream::AutoStream::choice(&std::io::stderr());
    Style { unicode: is_unicode(), colour: choice != anstream::ColorChoice::Never }
}

fn is_unicode() -> bool {
    let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
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

/// Whether the live view may move the cursor.
pub(super) fn can_be_redrawn() -> bool {
    std::io::stderr().is_terminal()
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
