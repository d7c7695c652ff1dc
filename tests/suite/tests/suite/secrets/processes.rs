//! Every command line that any process of this machine has, and the environment
//! of the product's programs and of those that it calls, while it watches.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A dump of a lab's database takes longer.
const PERIOD: Duration = Duration::from_millis(4);
/// Whose environment is ours to keep clean.
const OURS: [&str; 4] = ["quaymaster", "quaymaster-agent", "pg_dump", "pg_restore"];

pub(super) struct Watch {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<BTreeSet<Vec<u8>>>,
}

impl Watch {
    pub(super) fn begin() -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            let mut seen = BTreeSet::new();
            while !until.load(Ordering::Relaxed) {
                look(&mut seen);
                thread::sleep(PERIOD);
            }
            seen
        });
        Self { is_over, thread }
    }

    /// All that was seen, as one text.
    pub(super) fn end(self) -> Vec<u8> {
        self.is_over.store(true, Ordering::Relaxed);
        let seen = self.thread.join().unwrap();
        let all: Vec<u8> = seen.into_iter().collect::<Vec<_>>().join(&b'\n');
        let text = String::from_utf8_lossy(&all);
        for program in ["quaymaster", "pg_dump"] {
            assert!(text.contains(program), "{program} was never seen");
        }
        all
    }
}

fn look(seen: &mut BTreeSet<Vec<u8>>) {
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(line) = fs::read(path.join("cmdline")) else { continue };
        let program = line.split(|byte| *byte == 0).next().unwrap_or_default();
        let program = String::from_utf8_lossy(program).into_owned();
        let program = Path::new(&program).file_name().and_then(|name| name.to_str());
        if program.is_some_and(|program| OURS.contains(&program)) {
            seen.extend(fs::read(path.join("environ")));
        }
        if !line.is_empty() {
            seen.insert(line);
        }
    }
}
