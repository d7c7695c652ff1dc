use quaymaster_proto::act::PutConfig;
use quaymaster_proto::{Epoch, StepNumber};

use super::*;

fn act(step: u32) -> Act {
    Act {
        cluster: "prod".parse().unwrap(),
        run: "01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap(),
        epoch: Epoch::FIRST,
        step: StepNumber::new(step).unwrap(),
        plan: "a".repeat(64).parse().unwrap(),
    }
}

fn work() -> Work {
    let digest = |letter: &str| letter.repeat(64).parse().unwrap();
    Work::Act(Order::PutConfig(PutConfig { from: digest("b"), to: digest("c") }))
}

fn refused() -> Event {
    Event::Refused(Refusal::new(Reason::Drifted, "not as it was"))
}

#[test]
fn what_is_on_record_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(directory.path()).unwrap();
    assert_eq!(ledger.index().head(), None);
    ledger.append(&act(1), &work(), Event::Intended).unwrap();
    ledger.append(&act(2), &work(), Event::Intended).unwrap();
    drop(ledger);
    let ledger = Ledger::open(directory.path()).unwrap();
    assert_eq!(ledger.index().head().unwrap().step, StepNumber::new(2).unwrap());
    assert_eq!(ledger.index().admit(&act(2), &work()), Ok(Admission::Repeated));
    assert_eq!(ledger.index().admit(&act(3), &work()), Ok(Admission::New));
    assert_eq!(ledger.index().admit(&act(1), &work()).unwrap_err().reason, Reason::Superseded);
}

#[test]
fn an_order_that_was_refused_was_not_accepted() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(directory.path()).unwrap();
    ledger.append(&act(5), &work(), refused()).unwrap();
    assert_eq!(ledger.index().head(), None);
    assert_eq!(ledger.index().admit(&act(1), &work()), Ok(Admission::New));
}

#[test]
fn a_last_line_cut_short_by_a_crash_is_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE_NAME);
    let mut ledger = Ledger::open(directory.path()).unwrap();
    ledger.append(&act(1), &work(), Event::Intended).unwrap();
    drop(ledger);
    let whole = std::fs::read(&path).unwrap();
    for length in [1, 12, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, [&whole[..], &whole[..length]].concat()).unwrap();
        let mut ledger = Ledger::open(directory.path()).unwrap();
        assert_eq!(ledger.index().head().unwrap().step, StepNumber::FIRST);
        assert_eq!(std::fs::read(&path).unwrap(), whole);
        ledger.append(&act(2), &work(), Event::Intended).unwrap();
        drop(ledger);
        assert!(Ledger::open(directory.path()).is_ok());
    }
}

#[test]
fn damage_and_a_newer_version_are_told_apart_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE_NAME);
    let mut ledger = Ledger::open(directory.path()).unwrap();
    ledger.append(&act(1), &work(), Event::Intended).unwrap();
    drop(ledger);
    let whole = std::fs::read_to_string(&path).unwrap();
    let damaged = format!("{whole}{}\n{whole}", whole[..9].trim_end());
    std::fs::write(&path, &damaged).unwrap();
    let error = Ledger::open(directory.path()).unwrap_err();
    assert!(matches!(error, LedgerError::Damaged { line: 2, .. }), "{error}");
    assert_eq!(error.refusal().reason, Reason::Ledger);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), damaged);
    let newer = format!("{whole}{{\"version\":2,\"other\":true}}\n");
    std::fs::write(&path, &newer).unwrap();
    let error = Ledger::open(directory.path()).unwrap_err();
    assert!(matches!(error, LedgerError::TooNew { version: 2, .. }), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), newer);
}

#[test]
fn one_ledger_has_one_agent() {
    let directory = tempfile::tempdir().unwrap();
    let _held = Ledger::open(directory.path()).unwrap();
    let error = Ledger::open(directory.path()).unwrap_err();
    assert!(matches!(error, LedgerError::Disk { verb: "lock", .. }), "{error}");
}

#[test]
fn a_last_line_cut_inside_a_letter_is_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE_NAME);
    let mut ledger = Ledger::open(directory.path()).unwrap();
    ledger.append(&act(1), &work(), Event::Intended).unwrap();
    drop(ledger);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, [&whole[..], &"{\"n\u{e4}".as_bytes()[..4]].concat()).unwrap();
    let ledger = Ledger::open(directory.path()).unwrap();
    assert_eq!(ledger.index().head().unwrap().step, StepNumber::FIRST);
    assert_eq!(std::fs::read(&path).unwrap(), whole);
}

#[test]
fn a_write_that_cannot_be_undone_is_mended_before_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE_NAME);
    let mut slot = LedgerSlot::open(directory.path());
    slot.get().unwrap().append(&act(1), &work(), Event::Intended).unwrap();
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, [&whole[..], b"{\"vers"].concat()).unwrap();
    // Nothing can be written, and nothing be cut off.
    slot.get().unwrap().file = File::open(&path).unwrap();
    assert!(slot.get().unwrap().append(&act(2), &work(), Event::Intended).is_err());
    slot.get().unwrap().append(&act(2), &work(), Event::Intended).unwrap();
    drop(slot);
    let ledger = Ledger::open(directory.path()).unwrap();
    assert_eq!(ledger.index().head().unwrap().step, StepNumber::new(2).unwrap());
}

#[test]
fn the_same_refusal_again_is_written_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE_NAME);
    let lines = || std::fs::read_to_string(&path).unwrap().lines().count();
    let mut ledger = Ledger::open(directory.path()).unwrap();
    for _ in 0..3 {
        ledger.append(&act(1), &work(), refused()).unwrap();
    }
    assert_eq!(lines(), 1);
    drop(ledger);
    let mut ledger = Ledger::open(directory.path()).unwrap();
    ledger.append(&act(1), &work(), refused()).unwrap();
    assert_eq!(lines(), 1);
    ledger.append(&act(2), &work(), refused()).unwrap();
    ledger.append(&act(1), &work(), Event::Intended).unwrap();
    ledger.append(&act(1), &work(), refused()).unwrap();
    assert_eq!(lines(), 4);
}
