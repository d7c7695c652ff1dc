//! A container's log: chunks as the engine sends them, lines as people read.

use std::collections::VecDeque;

use bollard::container::LogOutput;
use bollard::errors::Error as DockerError;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};

use crate::engine::{EngineError, LoggedLine};

/// Splits chunks into lines. Each stream of the container has its own rest.
pub(super) fn lines(
    chunks: BoxStream<'static, Result<LogOutput, DockerError>>,
    tried: String,
) -> BoxStream<'static, Result<LoggedLine, EngineError>> {
    let state = (chunks, Splitter::default(), false);
    stream::unfold(state, move |(mut chunks, mut splitter, mut ended)| {
        let tried = tried.clone();
        async move {
            loop {
                if let Some(line) = splitter.ready.pop_front() {
                    return Some((Ok(line), (chunks, splitter, ended)));
                }
                if ended {
                    return None;
                }
                match chunks.next().await {
                    Some(Ok(chunk)) => splitter.take(&chunk),
                    Some(Err(error)) => {
                        let error = super::failure(error, tried);
                        return Some((Err(error), (chunks, splitter, true)));
                    }
                    None => {
                        ended = true;
                        splitter.flush();
                    }
                }
            }
        }
    })
    .boxed()
}

/// No line that anybody reads is longer, in bytes.
const LONGEST_LINE: usize = 64 * 1024;

/// Instead of a longer line. Nothing of it is shown: a cut through a secret
/// would leave half of it unmasked.
const LEFT_OUT: &str = "(a line of more than 64 KiB is left out)";

/// A line whose end has not come yet.
#[derive(Default)]
struct Rest {
    bytes: Vec<u8>,
    is_too_long: bool,
}

impl Rest {
    fn extend(&mut self, more: &[u8]) {
        if self.is_too_long {
            return;
        }
        self.bytes.extend_from_slice(more);
        if self.bytes.len() > LONGEST_LINE {
            self.is_too_long = true;
            // The engine's time stays.
            let stamp = self.bytes.iter().position(|byte| *byte == b' ');
            self.bytes = self.bytes[..stamp.unwrap_or_default()].to_vec();
        }
    }

    fn end(&mut self, stderr: bool) -> LoggedLine {
        let Self { bytes, is_too_long } = std::mem::take(self);
        let mut line = logged(stderr, &bytes);
        if is_too_long {
            LEFT_OUT.clone_into(&mut line.text);
        }
        line
    }
}

#[derive(Default)]
struct Splitter {
    /// Of stdout and stderr.
    rests: [Rest; 2],
    ready: VecDeque<LoggedLine>,
}

impl Splitter {
    fn take(&mut self, chunk: &LogOutput) {
        let (stderr, message) = match chunk {
            LogOutput::StdErr { message } => (true, message),
            LogOutput::StdOut { message }
            | LogOutput::StdIn { message }
            | LogOutput::Console { message } => (false, message),
        };
        let rest = &mut self.rests[usize::from(stderr)];
        let mut message = message.as_ref();
        while let Some(end) = message.iter().position(|byte| *byte == b'\n') {
            rest.extend(&message[..end]);
            self.ready.push_back(rest.end(stderr));
            message = &message[end + 1..];
        }
        rest.extend(message);
    }

    fn flush(&mut self) {
        for (rest, stderr) in self.rests.iter_mut().zip([false, true]) {
            if !rest.bytes.is_empty() || rest.is_too_long {
                self.ready.push_back(rest.end(stderr));
            }
        }
    }
}

/// Takes the engine's time off the front of a line.
fn logged(stderr: bool, line: &[u8]) -> LoggedLine {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end_matches(['\n', '\r']);
    match text.split_once(' ').map_or((text, ""), |parts| parts) {
        (stamp, rest) if stamp.parse::<jiff::Timestamp>().is_ok() => {
            LoggedLine { at: stamp.parse().ok(), stderr, text: rest.to_owned() }
        }
        _ => LoggedLine { at: None, stderr, text: text.to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_however_the_engine_cuts_them() {
        let chunk = |text: &'static str| LogOutput::StdOut { message: text.into() };
        let mut splitter = Splitter::default();
        splitter.take(&chunk("2026-11-22T10:00:00.5Z fir"));
        splitter.take(&LogOutput::StdErr { message: "2026-11-22T10:00:00Z other\n".into() });
        splitter.take(&chunk("st\r\n2026-11-22T10:00:01Z \nlast"));
        splitter.flush();
        let seen: Vec<_> = splitter.ready.iter().map(|l| (l.stderr, l.text.as_str())).collect();
        assert_eq!(seen, [(true, "other"), (false, "first"), (false, ""), (false, "last")]);
        assert_eq!(splitter.ready[1].at, "2026-11-22T10:00:00.5Z".parse().ok());
    }

    #[test]
    fn a_line_without_an_end_does_not_fill_the_memory() {
        let chunk = |text: &str| LogOutput::StdOut { message: text.to_owned().into() };
        let mut splitter = Splitter::default();
        splitter.take(&chunk("2026-11-22T10:00:00Z first"));
        for _ in 0..100 {
            splitter.take(&chunk(&"x".repeat(4096)));
        }
        assert!(splitter.rests[0].bytes.capacity() < LONGEST_LINE);
        splitter.take(&chunk("hunter2\n2026-11-22T10:00:01Z next\n"));
        let seen: Vec<_> = splitter.ready.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(seen, [LEFT_OUT, "next"]);
        assert!(splitter.ready.iter().all(|line| line.at.is_some()));
    }
}
