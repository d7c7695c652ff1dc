use quaymaster_proto::StepNumber;
use quaymaster_proto::act::{ExpectedDatabase, Order, PutConfig};
use quaymaster_proto::backup::BackUp;
use quaymaster_proto::database::DatabaseIdentity;
use quaymaster_proto::lease::LedgerEnd;

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

/// As this process claims it, where it saw that lease.
fn claim(epoch: u64, seen: Option<Lease>) -> ClaimLease {
    let act = Act { epoch: Epoch::new(epoch).unwrap(), ..act(1) };
    crate::lease::claiming(&act, seen)
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
    let mut ledger = Ledger::open(directory.path()).unwrap();
    assert_eq!(ledger.index().head().unwrap().step, StepNumber::new(2).unwrap());
    assert_eq!(ledger.index().admit(&act(2), &work()).unwrap_err().reason, Reason::Lease);
    ledger.claim(&claim(2, None)).unwrap();
    let act = |step| Act { epoch: Epoch::new(2).unwrap(), ..act(step) };
    ledger.append(&act(2), &work(), Event::Intended).unwrap();
    assert_eq!(ledger.index().admit(&act(2), &work()), Ok(Admission::Repeated));
    assert_eq!(ledger.index().admit(&act(3), &work()), Ok(Admission::New));
    assert_eq!(ledger.index().admit(&act(1), &work()).unwrap_err().reason, Reason::Superseded);
}

#[test]
fn a_backup_is_the_same_step_also_where_something_has_run_since() {
    let back_up = |identity: &str, ran: &str| {
        let identity = DatabaseIdentity::new(identity).unwrap();
        let database = ExpectedDatabase { identity, revisions: vec!["5b7503aada1b".to_owned()] };
        Work::BackUp(BackUp {
            database,
            ran: ran.repeat(64).parse().unwrap(),
            storage: Default::default(),
        })
    };
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(directory.path()).unwrap();
    ledger.claim(&claim(1, None)).unwrap();
    ledger.append(&act(1), &back_up("postgresql:1/2", "b"), Event::Intended).unwrap();
    for ran in ["b", "c"] {
        let again = ledger.index().admit(&act(1), &back_up("postgresql:1/2", ran));
        assert_eq!(again, Ok(Admission::Repeated));
    }
    let elsewhere = ledger.index().admit(&act(1), &back_up("postgresql:1/3", "b"));
    assert_eq!(elsewhere.unwrap_err().reason, Reason::Superseded);
    assert_eq!(ledger.index().admit(&act(1), &work()).unwrap_err().reason, Reason::Superseded);
}

#[test]
fn an_order_that_was_refused_was_not_accepted() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(directory.path()).unwrap();
    ledger.claim(&claim(1, None)).unwrap();
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

#[test]
fn a_claim_is_granted_to_who_saw_the_lease_that_stands_and_only_above_every_epoch() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(directory.path()).unwrap();
    let first = ledger.claim(&claim(3, None)).unwrap();
    assert_eq!(ledger.index().lease(), Some(&first));
    // Who saw nobody, or somebody who is over, decides on nothing.
    for seen in [None, Some(Lease { epoch: Epoch::new(2).unwrap(), ..first.clone() })] {
        let refusal = ledger.claim(&claim(4, seen)).unwrap_err();
        assert_eq!(refusal.reason, Reason::Lease);
        assert!(refusal.message.contains("epoch 3 of run 01ARZ"), "{refusal}");
        assert!(refusal.message.contains("operator 3"), "{refusal}");
    }
    // The same claim again is granted unchanged, another process's is not.
    assert_eq!(ledger.claim(&claim(3, None)).unwrap(), first);
    let other = ClaimLease { process: ulid::Ulid::from(99), ..claim(3, Some(first.clone())) };
    assert_eq!(ledger.claim(&other).unwrap_err().reason, Reason::Lease);
    let replanned =
        ClaimLease { plan: "b".repeat(64).parse().unwrap(), ..claim(4, Some(first.clone())) };
    assert!(ledger.claim(&replanned).unwrap_err().message.contains("begun with plan"));
    let second = ledger.claim(&claim(4, Some(first.clone()))).unwrap();
    assert_eq!(ledger.release(first.run, first.epoch).unwrap_err().reason, Reason::Lease);
    ledger.release(second.run, second.epoch).unwrap();
    ledger.release(second.run, second.epoch).unwrap();
    assert_eq!(ledger.index().lease(), None);
    // What was once granted never comes back, also after a restart.
    drop(ledger);
    let mut ledger = Ledger::open(directory.path()).unwrap();
    assert_eq!(ledger.index().lease(), None);
    assert_eq!(ledger.claim(&claim(4, None)).unwrap_err().reason, Reason::Lease);
    let third = ledger.claim(&claim(5, None)).unwrap();
    drop(ledger);
    assert_eq!(Ledger::open(directory.path()).unwrap().index().lease(), Some(&third));
}

#[test]
fn a_run_is_told_step_by_step_with_the_latest_that_became_of_each() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(directory.path()).unwrap();
    assert_eq!(ledger.index().run(None).unwrap_err().reason, Reason::Invalid);
    ledger.claim(&claim(1, None)).unwrap();
    ledger.append(&act(1), &work(), Event::Intended).unwrap();
    let met = ActOutcome {
        how: quaymaster_proto::How::Changed,
        container: None,
        config: None,
        engine_time: None,
    };
    ledger.append(&act(1), &work(), Event::Settled(met.clone())).unwrap();
    ledger.append(&act(2), &work(), refused()).unwrap();
    ledger.append(&act(3), &work(), Event::Intended).unwrap();
    drop(ledger);
    let ledger = Ledger::open(directory.path()).unwrap();
    let told = ledger.index().run(None).unwrap();
    let ends: Vec<_> =
        told.entries.iter().map(|entry| (entry.step.get(), entry.end.clone())).collect();
    let refusal = Refusal::new(Reason::Drifted, "not as it was");
    let expected =
        [(1, Some(LedgerEnd::Met(met))), (2, Some(LedgerEnd::Refused(refusal))), (3, None)];
    assert_eq!(ends, expected);
    assert_eq!(ledger.index().last_of(act(1).run).unwrap().step, StepNumber::new(3).unwrap());
    let unknown = ledger.index().run(Some("01ARZ3NDEKTSV4RRFFQ69G5FAW".parse().unwrap()));
    assert!(unknown.unwrap_err().message.contains("01ARZ3NDEKTSV4RRFFQ69G5FAV"));
}

#[test]
fn nothing_is_written_behind_half_a_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE_NAME);
    let mut slot = LedgerSlot::open(directory.path());
    slot.get().unwrap().append(&act(1), &work(), Event::Intended).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let ledger = slot.get().unwrap();
    ledger.is_torn = true;
    assert!(ledger.append(&act(2), &work(), Event::Intended).is_err());
    assert_eq!(std::fs::read(&path).unwrap(), whole);
    slot.get().unwrap().append(&act(2), &work(), Event::Intended).unwrap();
}
