#![expect(clippy::disallowed_methods, reason = "an effect room: it writes and reads log files")]
//! What containers print: written line by line with its stream and moment, and
//! read back as the frames of Docker's log stream.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    sync::watch,
};

/// Which of a container's two streams a line came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Stream {
    Stdout = 1,
    Stderr = 2,
}

#[derive(Serialize, Deserialize)]
struct Line {
    log: String,
    stream: Stream,
    time: Timestamp,
}

/// The log of a container that runs.
#[derive(Clone, Debug)]
pub(crate) struct LogWriter {
    file: Arc<Mutex<File>>,
    grown: watch::Sender<u64>,
}

impl LogWriter {
    /// Opens a log to add to; `grown` is raised after each line.
    pub(crate) fn open(path: &Path, grown: watch::Sender<u64>) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { file: Arc::new(Mutex::new(file)), grown })
    }

    /// Writes down everything that a stream prints until it ends.
    pub(crate) async fn drain(self, stream: Stream, from: impl AsyncRead + Unpin) {
        let mut reader = BufReader::new(from);
        let mut bytes = Vec::new();
        while reader.read_until(b'\n', &mut bytes).await.is_ok_and(|read| read > 0) {
            let log = String::from_utf8_lossy(&bytes).into_owned();
            // A line that cannot be written is lost, as with a full disk.
            let _ = self.write(&Line { log, stream, time: Timestamp::now() });
            bytes.clear();
        }
    }

    fn write(&self, line: &Line) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        self.file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&bytes)?;
        self.grown.send_modify(|count| *count += 1);
        Ok(())
    }
}

/// Which lines of a log are wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogSelection {
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
    pub(crate) timestamps: bool,
    pub(crate) since: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
    /// How many of the last lines there are at first; `None` is all.
    pub(crate) tail: Option<usize>,
}

/// A log that is being read.
#[derive(Debug)]
pub(crate) struct LogReader {
    path: PathBuf,
    selection: LogSelection,
    offset: u64,
}

impl LogReader {
    pub(crate) fn new(path: PathBuf, selection: LogSelection) -> Self {
        Self { path, selection, offset: 0 }
    }

    /// The frames of the whole lines that came since the last call.
    pub(crate) fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        bytes.truncate(whole);
        self.offset += whole as u64;
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let wanted: Vec<Line> = lines
            .filter_map(|line| serde_json::from_slice(line).ok())
            .filter(|line| self.selection.wants(line))
            .collect();
        // The tail counts only what was there when the reading began.
        let shown = self.selection.tail.take().unwrap_or(usize::MAX).min(wanted.len());
        let lines = wanted.iter().skip(wanted.len() - shown);
        Ok(lines.flat_map(|line| frame(line, self.selection.timestamps)).collect())
    }
}

impl LogSelection {
    fn wants(&self, line: &Line) -> bool {
        let by_stream = match line.stream {
            Stream::Stdout => self.stdout,
            Stream::Stderr => self.stderr,
        };
        by_stream
            && self.since.is_none_or(|since| line.time >= since)
            && self.until.is_none_or(|until| line.time <= until)
    }
}

/// One frame: the stream's number, three zeros, the length, the line.
fn frame(line: &Line, timestamps: bool) -> Vec<u8> {
    let Line { log, stream, time } = line;
    let text = if timestamps { format!("{time} {log}") } else { log.clone() };
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    let mut frame = vec![*stream as u8, 0, 0, 0];
    frame.extend(length.to_be_bytes());
    frame.extend(text.into_bytes());
    frame
}
