//! On a file system of its own that is really full: this test runs itself again
//! in a mount namespace with a small tmpfs.
#![expect(clippy::disallowed_methods, reason = "the tests fill a disk")]

use std::io::Write as _;
use std::process::Command;

use quaymaster_proto::act::{Order, PutConfig, RestoreConfig};
use quaymaster_proto::{Act, ActOutcome, Epoch, How, Reason, Refusal, StepNumber};

use super::*;
use crate::ledger::{Event, Ledger, Work};

const VARIABLE: &str = "QUAYMASTER_TEST_FULL_DISK";

fn act(step: u32) -> Act {
    Act {
        cluster: "prod".parse().unwrap(),
        run: "01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap(),
        epoch: Epoch::FIRST,
        step: StepNumber::new(step).unwrap(),
        plan: "a".repeat(64).parse().unwrap(),
    }
}

fn onwards() -> Work {
    let digest = |letter: &str| letter.repeat(64).parse().unwrap();
    Work::Act(Order::PutConfig(PutConfig { from: digest("b"), to: digest("c") }))
}

fn back() -> Work {
    let digest = |letter: &str| letter.repeat(64).parse().unwrap();
    Work::Act(Order::RestoreConfig(RestoreConfig { from: digest("c"), to: digest("b") }))
}

fn met() -> ActOutcome {
    ActOutcome { how: How::Changed, container: None, config: None, engine_time: None }
}

/// How an order ends whose intent cannot be put on record.
fn refused_by_disk() -> Refusal {
    Refusal::new(Reason::Ledger, "cannot append to the ledger: no space is left on the device")
}

/// Writes until nothing more fits.
pub(crate) fn fill(directory: &Path) {
    let mut file = std::fs::File::create(directory.join("filling")).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
}

#[test]
fn the_way_back_is_put_on_record_on_a_full_disk_and_nothing_else_is() {
    on_a_small_disk(
        "reserve::tests::the_way_back_is_put_on_record_on_a_full_disk_and_nothing_else_is",
        put_the_way_back_on_record,
    );
}

/// Has a test do this on a disk of 4 MiB, where it runs once more.
pub(crate) fn on_a_small_disk(test: &str, work: impl FnOnce(&Path)) {
    if let Some(directory) = std::env::var_os(VARIABLE) {
        return work(Path::new(&directory));
    }
    let directory = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=4m tmpfs \"$1\" && exec \"$2\" --exact \"$3\"";
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .arg(directory.path())
        .arg(std::env::current_exe().unwrap())
        .arg(test)
        .env(VARIABLE, directory.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("1 passed"), "{told}{problem}");
}

fn put_the_way_back_on_record(state: &Path) {
    let mut ledger = Ledger::open(state).unwrap();
    ledger.claim(&crate::lease::claiming(&act(1), None)).unwrap();
    assert_eq!(look(state), Reserve::Kept);
    fill(state);
    // The ledger's last block may have room for some records yet.
    let refused =
        (1..1000).find_map(|step| ledger.append(&act(step), &onwards(), Event::Intended).err());
    assert_eq!(refused.unwrap().refusal().reason, Reason::Ledger);
    assert_eq!(look(state), Reserve::Kept, "what goes on does not get it");
    let refusal = refused_by_disk();
    for step in 1..1000 {
        if ledger.append(&act(step), &onwards(), Event::Refused(refusal.clone())).is_err() {
            break;
        }
    }
    assert_eq!(look(state), Reserve::Kept, "nor does the word that the disk is full");
    for step in 1000..1100 {
        ledger.append(&act(step), &back(), Event::Intended).unwrap();
    }
    assert_eq!(look(state), Reserve::NoRoom);
    drop(ledger);
    let mut ledger = Ledger::open(state).unwrap();
    assert_eq!(ledger.index().head().unwrap().step, StepNumber::new(1099).unwrap());
    std::fs::remove_file(state.join("filling")).unwrap();
    ledger.append(&act(1100), &onwards(), Event::Intended).unwrap();
    assert_eq!(look(state), Reserve::Kept, "made again when there is room");
    fill(state);
    let seen = ledger.index().lease().cloned();
    let second = Act { epoch: Epoch::FIRST.next(), ..act(1) };
    for step in 1101.. {
        if ledger.append(&act(step), &onwards(), Event::Intended).is_err() {
            break;
        }
    }
    // What was done is put on record, whichever way it led.
    ledger.append(&act(2000), &onwards(), Event::Settled(met())).unwrap();
    // Whoever takes over may, and so may whoever gives up.
    ledger.claim(&crate::lease::claiming(&second, seen)).unwrap();
    ledger.release(second.run, second.epoch).unwrap();
}
