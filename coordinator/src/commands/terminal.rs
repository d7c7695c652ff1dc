//! A screen that is drawn in place. What was on the terminal is kept and comes
//! back at the end; what is typed meanwhile is not shown.
//!
//! A thread of its own writes: a terminal that takes nothing any more, at the
//! end of a dead connection, must not hold up a run.

use std::io::Write as _;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use rustix::process::{Signal, getpgrp, getpid, kill_process};
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, QueueSelector, SpecialCodeIndex, Termios, tcflush,
    tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr,
};

use crate::commands::talk::{self, Stream};
use crate::render::{self, Size, Style};

/// How long the end of drawing may take.
const PATIENCE: Duration = Duration::from_secs(1);
/// The other screen, without a cursor and without wrapping.
const ENTER: &str = "\u{1b}[?1049h\u{1b}[?25l\u{1b}[?7l\u{1b}[2J";
/// What `ENTER` changed.
const LEAVE: &str = "\u{1b}[?7h\u{1b}[?25h\u{1b}[?1049l";
/// Terminals that know these show a picture only when it is whole.
const BEGIN: &str = "\u{1b}[?2026h";
const END: &str = "\u{1b}[?2026l";

/// A terminal that shows one screen until it is dropped.
#[derive(Debug)]
pub(super) struct Terminal {
    stream: Stream,
    style: Style,
    painter: SyncSender<Frame>,
    is_drawn: bool,
    /// As it was found.
    found: Option<Termios>,
}

#[derive(Debug)]
enum Frame {
    Enter,
    Lines(Vec<String>, Size),
    Leave(SyncSender<()>),
}

impl Terminal {
    /// `None` where nothing can be drawn in place.
    pub(super) fn begin(stream: Stream) -> Option<Self> {
        if !stream.can_be_redrawn() || !is_in_front(stream) {
            return None;
        }
        let (painter, frames) = sync_channel(1);
        std::thread::spawn(move || paint(stream, &frames));
        let mut terminal = Self {
            stream,
            style: talk::drawn_style(stream),
            painter,
            is_drawn: false,
            found: None,
        };
        terminal.enter();
        Some(terminal)
    }

    pub(super) fn style(&self) -> Style {
        self.style
    }

    pub(super) fn size(&self) -> Size {
        let size = match self.stream {
            Stream::Out => tcgetwinsize(std::io::stdout()),
            Stream::Err => tcgetwinsize(std::io::stderr()),
        };
        match size {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
                Size { columns: size.ws_col.into(), rows: Some(size.ws_row.into()) }
            }
            Ok(_) | Err(_) => Size { columns: 80, rows: Some(24) },
        }
    }

    /// Shows these lines; left out where the last ones are not yet shown.
    pub(super) fn draw(&self, lines: &[String], size: Size) {
        let lines = lines.iter().map(|line| render::cut(line, size.columns, self.style));
        let _ = self.painter.try_send(Frame::Lines(lines.collect(), size));
    }

    /// What was typed since the last time.
    pub(super) fn typed(&self) -> Vec<u8> {
        let mut bytes = [0; 64];
        match &self.found {
            Some(_) => {
                let read = rustix::io::read(std::io::stdin(), &mut bytes).unwrap_or_default();
                bytes[..read].to_vec()
            }
            None => Vec::new(),
        }
    }

    /// Stops this process as Ctrl-Z does, with the terminal as it was found.
    /// `None` where it goes on in the background: nothing is drawn there.
    pub(super) fn suspended(mut self) -> Option<Self> {
        self.leave();
        stop();
        if is_in_front(self.stream) {
            self.enter();
            Some(self)
        } else {
            None
        }
    }

    fn enter(&mut self) {
        let stdin = std::io::stdin();
        if let Ok(found) = tcgetattr(&stdin) {
            let mut quiet = found.clone();
            quiet.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
            // Ctrl-S would stop the picture.
            quiet.input_modes.remove(InputModes::IXON);
            // A look at what was typed never waits.
            quiet.special_codes[SpecialCodeIndex::VMIN] = 0;
            quiet.special_codes[SpecialCodeIndex::VTIME] = 0;
            if tcsetattr(&stdin, OptionalActions::Now, &quiet).is_ok() {
                self.found = Some(found);
            }
        }
        self.is_drawn = true;
        let _ = self.painter.send(Frame::Enter);
    }

    fn leave(&mut self) {
        if !std::mem::take(&mut self.is_drawn) {
            return;
        }
        let (done, is_done) = sync_channel(1);
        if self.painter.try_send(Frame::Leave(done.clone())).is_err() {
            std::thread::spawn({
                let painter = self.painter.clone();
                move || painter.send(Frame::Leave(done))
            });
        }
        let _ = is_done.recv_timeout(PATIENCE);
        if let Some(found) = self.found.take() {
            let stdin = std::io::stdin();
            // It was typed at a picture, not at what asks or reads next.
            let _ = tcflush(&stdin, QueueSelector::IFlush);
            let _ = tcsetattr(&stdin, OptionalActions::Now, &found);
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Stops this process until somebody continues it.
pub(super) fn stop() {
    let _ = kill_process(getpid(), Signal::STOP);
}

/// A process in the background may write, but changes no terminal.
fn is_in_front(stream: Stream) -> bool {
    let group = match stream {
        Stream::Out => tcgetpgrp(std::io::stdout()),
        Stream::Err => tcgetpgrp(std::io::stderr()),
    };
    group.is_ok_and(|group| group == getpgrp())
}

fn paint(stream: Stream, frames: &Receiver<Frame>) {
    let write = |text: &str| {
        // A terminal that has gone away stops nothing.
        let _ = match stream {
            Stream::Out => std::io::stdout().write_all(text.as_bytes()),
            Stream::Err => std::io::stderr().write_all(text.as_bytes()),
        };
        let _ = std::io::stdout().flush();
    };
    let mut shown = Picture::default();
    while let Ok(frame) = frames.recv() {
        match frame {
            Frame::Enter => {
                shown = Picture::default();
                write(ENTER);
            }
            Frame::Lines(lines, size) => write(&shown.change(lines, size)),
            Frame::Leave(done) => {
                write(LEAVE);
                let _ = done.send(());
            }
        }
    }
}

/// What a terminal shows.
#[derive(Default)]
struct Picture {
    lines: Vec<String>,
    size: Option<Size>,
}

impl Picture {
    /// What makes of this picture the next one: only what differs is written.
    fn change(&mut self, lines: Vec<String>, size: Size) -> String {
        let is_new = self.size != Some(size);
        let mut out = String::new();
        if is_new {
            out.push_str("\u{1b}[0m\u{1b}[2J");
        }
        let rows = size.rows.unwrap_or(usize::MAX).min(lines.len().max(self.lines.len()));
        for row in 0..rows {
            let line = lines.get(row).map(String::as_str).unwrap_or_default();
            if !is_new && self.lines.get(row).map(String::as_str).unwrap_or_default() == line {
                continue;
            }
            out.push_str(&format!("\u{1b}[{};1H{line}", row + 1));
            // In the last column this would take the last letter away.
            if render::width(line) < size.columns {
                out.push_str("\u{1b}[K");
            }
        }
        (self.lines, self.size) = (lines, Some(size));
        if out.is_empty() { out } else { format!("{BEGIN}{out}{END}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines<const N: usize>(lines: [&str; N]) -> Vec<String> {
        lines.map(str::to_owned).into()
    }

    #[test]
    fn only_what_differs_is_written_and_a_new_size_draws_all() {
        let mut picture = Picture::default();
        let size = Size { columns: 6, rows: Some(3) };
        let told = [
            picture.change(lines(["one", "two", "three!"]), size),
            picture.change(lines(["one", "2"]), size),
            picture.change(lines(["one", "2"]), size),
            picture.change(lines(["one", "2"]), Size { columns: 5, ..size }),
        ]
        .map(|text| text.replace('\u{1b}', "ESC"));
        assert_eq!(
            told,
            [
                "ESC[?2026hESC[0mESC[2JESC[1;1HoneESC[KESC[2;1HtwoESC[KESC[3;1Hthree!ESC[?2026l",
                "ESC[?2026hESC[2;1H2ESC[KESC[3;1HESC[KESC[?2026l",
                "",
                "ESC[?2026hESC[0mESC[2JESC[1;1HoneESC[KESC[2;1H2ESC[KESC[?2026l",
            ]
        );
    }
}
