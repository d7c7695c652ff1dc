//! Record files on disk: appended to by one process each, flushed to the disk line by line, and
//! read back together.
#![expect(clippy::disallowed_methods, reason = "an effect room: disk and clocks are its job")]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};

use super::{Record, Seen, VERSION};

/// Appends records to one file. A record that `write` has returned from survives a SIGKILL and a
/// power cut.
#[derive(Debug)]
pub struct RecordWriter {
    path: PathBuf,
    file: File,
    boot_id: String,
}

#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("cannot open record file `{}`", path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("cannot read the machine's boot id")]
    BootId { source: io::Error },
    #[error("cannot write a record as JSON")]
    Json { source: serde_json::Error },
    #[error("cannot append to record file `{}`", path.display())]
    Append { path: PathBuf, source: io::Error },
}

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("cannot list record directory `{}`", path.display())]
    List { path: PathBuf, source: io::Error },
    #[error("cannot read record file `{}`", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("line {line} of record file `{}` is not a record", path.display())]
    Line { path: PathBuf, line: usize, source: serde_json::Error },
    #[error("line {line} of record file `{}` has version {version}, not {VERSION}", path.display())]
    Version { path: PathBuf, line: usize, version: u32 },
}

impl RecordWriter {
    /// Opens `<dir>/<name>.jsonl` for appending. Give every process a name of its own.
    pub fn create(dir: &Path, name: &str) -> Result<Self, WriteError> {
        let path = dir.join(format!("{name}.jsonl"));
        let opened = fs::create_dir_all(dir)
            .and_then(|()| OpenOptions::new().append(true).create(true).open(&path));
        let file = match opened {
            Ok(file) => file,
            Err(source) => return Err(WriteError::Open { path, source }),
        };
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .map_err(|source| WriteError::BootId { source })?
            .trim()
            .to_owned();
        Ok(Self { path, file, boot_id })
    }

    /// Stamps and appends one record, and returns when it is on the disk.
    pub fn write(&mut self, seen: Seen) -> Result<(), WriteError> {
        let record = Record {
            version: VERSION,
            at: Timestamp::now(),
            boot_id: self.boot_id.clone(),
            monotonic_nanos: monotonic_nanos(),
            seen,
        };
        let mut line = serde_json::to_vec(&record).map_err(|source| WriteError::Json { source })?;
        line.push(b'\n');
        self.file
            .write_all(&line)
            .and_then(|()| self.file.sync_data())
            .map_err(|source| WriteError::Append { path: self.path.clone(), source })
    }
}

/// Reads every `*.jsonl` in a directory, oldest record first. A last line without its line end is
/// what a killed writer left and is passed over; a directory that is not there holds no records.
pub fn read_directory(dir: &Path) -> Result<Vec<Record>, ReadError> {
    let listing = match fs::read_dir(dir) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(ReadError::List { path: dir.to_owned(), source }),
    };
    let mut records = Vec::new();
    for entry in listing {
        let path = entry.map_err(|source| ReadError::List { path: dir.to_owned(), source })?.path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            read_file(&path, &mut records)?;
        }
    }
    records.sort_by_key(Record::nanos);
    Ok(records)
}

fn read_file(path: &Path, records: &mut Vec<Record>) -> Result<(), ReadError> {
    let text = fs::read_to_string(path)
        .map_err(|source| ReadError::Read { path: path.to_owned(), source })?;
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    for (index, line) in whole.lines().enumerate() {
        let (path, line_number) = (path.to_owned(), index + 1);
        match serde_json::from_str::<Record>(line) {
            Ok(record) if record.version == VERSION => records.push(record),
            Ok(Record { version, .. }) => {
                return Err(ReadError::Version { path, line: line_number, version });
            }
            Err(source) => return Err(ReadError::Line { path, line: line_number, source }),
        }
    }
    Ok(())
}

fn monotonic_nanos() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    seconds * 1_000_000_000 + nanos
}

#[cfg(test)]
mod tests {
    use super::super::{QuayEvent, QuayRecord};
    use super::*;

    fn healthy(node: &str) -> Seen {
        Seen::Quay(QuayRecord {
            is_mirror: false,
            node: node.into(),
            container_id: "ab".into(),
            release: "3.0.5".into(),
            pid: 7,
            event: QuayEvent::Healthy,
        })
    }

    #[test]
    fn what_several_processes_wrote_is_read_back_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = RecordWriter::create(dir.path(), "first").unwrap();
        let mut second = RecordWriter::create(dir.path(), "second").unwrap();
        first.write(healthy("quay-1")).unwrap();
        second.write(healthy("quay-2")).unwrap();
        first.write(healthy("quay-3")).unwrap();
        let nodes: Vec<String> = read_directory(dir.path())
            .unwrap()
            .into_iter()
            .map(|record| match record.seen {
                Seen::Quay(quay) => quay.node,
                Seen::Engine(_) | Seen::Probe(_) | Seen::Config(_) | Seen::Lab(_) => {
                    panic!("only Quay wrote")
                }
            })
            .collect();
        assert_eq!(nodes, ["quay-1", "quay-2", "quay-3"]);
    }

    #[test]
    fn a_line_torn_by_a_kill_is_passed_over_and_a_bad_one_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("torn.jsonl");
        RecordWriter::create(dir.path(), "torn").unwrap().write(healthy("quay-1")).unwrap();
        let mut text = fs::read_to_string(&path).unwrap();
        text.push_str("{\"version\":1,\"at\":");
        fs::write(&path, &text).unwrap();
        assert_eq!(read_directory(dir.path()).unwrap().len(), 1);
        text.push('\n');
        fs::write(&path, &text).unwrap();
        let error = read_directory(dir.path()).unwrap_err();
        assert!(matches!(error, ReadError::Line { line: 2, .. }), "{error}");
    }
}
