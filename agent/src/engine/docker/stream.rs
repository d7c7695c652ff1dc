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

#[derive(Default)]
struct Splitter {
    /// Of stdout and stderr.
    rests: [Vec<u8>; 2],
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
        rest.extend_from_slice(message);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            self.ready.push_back(logged(stderr, &line));
        }
    }

    fn flush(&mut self) {
        for (rest, stderr) in self.rests.iter_mut().zip([false, true]) {
            if !rest.is_empty() {
                self.ready.push_back(logged(stderr, &std::mem::take(rest)));
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
}
