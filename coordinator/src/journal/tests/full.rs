//! A full disk does not keep a run from writing down its way back.
#![expect(clippy::disallowed_methods, reason = "it fills a disk of its own")]

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use super::*;
use crate::journal::reserve;

/// Where the small disk is; set in the process that has one.
const DISK: &str = "QUAYMASTER_TEST_SMALL_DISK";
const NAME: &str = "journal::tests::full::a_full_disk_has_room_for_the_way_back";

/// Mounts one that only this process and its children see.
fn on_a_small_disk(directory: &Path) -> Option<bool> {
    let flags = if rustix::process::geteuid().is_root() { "-m" } else { "-Urm" };
    // Where no such thing is allowed, there is nothing to be seen.
    Command::new("unshare").args([flags, "true"]).status().ok().filter(|it| it.success())?;
    let script = "mount -t tmpfs -o size=4m small \"$1\" && exec \"$2\" --exact \"$3\"";
    let exe = std::env::current_exe().unwrap();
    let status = Command::new("unshare")
        .args([flags, "sh", "-c", script, "sh"])
        .args([directory.as_os_str(), exe.as_os_str(), NAME.as_ref()])
        .env(DISK, directory)
        .status();
    Some(status.unwrap().success())
}

fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    let block = [1_u8; 4096];
    while file.write_all(&block).is_ok() {}
}

async fn say(journal: &mut Journal, second: i64) -> Result<(), JournalError> {
    let waiting = Event::Waiting { step: step(1), on: WaitingOn::Approval, at: at(second) };
    journal.append(run_id(), &[waiting]).await
}

#[tokio::test]
async fn a_full_disk_has_room_for_the_way_back() {
    let Some(disk) = std::env::var_os(DISK) else {
        let directory = tempfile::tempdir().unwrap();
        assert_ne!(on_a_small_disk(directory.path()), Some(false));
        return;
    };
    let (state, filler) = (Path::new(&disk), Path::new(&disk).join("filler"));
    let kept = state.join("journal.reserve");
    let (mut journal, _) = Journal::open(state).await.unwrap();
    journal.append(run_id(), &[started()]).await.unwrap();
    assert!(kept.metadata().unwrap().blocks() * 512 >= reserve::SIZE, "real blocks");

    fill(&filler);
    for second in 1..400 {
        say(&mut journal, second).await.unwrap();
    }
    assert!(!kept.exists(), "its room is given away");
    assert_eq!(store::read(state).await.unwrap().load(run_id()).len(), 400);

    // With the last of it gone, what is written stays and the next is refused.
    fill(&state.join("filler-2"));
    let mut second = 400;
    let refused = loop {
        match say(&mut journal, second).await {
            Ok(()) => second += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, JournalError::Sqlite { .. }), "{refused:?}");
    let written = usize::try_from(second).unwrap();
    assert_eq!(store::read(state).await.unwrap().load(run_id()).len(), written);

    for path in [filler.clone(), state.join("filler-2")] {
        std::fs::remove_file(path).unwrap();
    }
    say(&mut journal, second).await.unwrap();
    assert!(kept.exists(), "made again where there is room");
    let seen = store::read(state).await.unwrap();
    assert_eq!(seen.load(run_id()).len(), written + 1, "what failed before spoils nothing");

    drop(journal);
    fill(&filler);
    let (mut journal, history) = Journal::open(state).await.unwrap();
    assert_eq!(history.load(run_id()).len(), written + 1);
    say(&mut journal, second + 1).await.unwrap();
}
