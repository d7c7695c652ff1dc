mod full;

use jiff::Timestamp;
use proptest::prelude::*;
use quaymaster_proto::{Epoch, NodeName, Reason, StepNumber};
use ulid::Ulid;

use super::store::{self, Journal, JournalError};
use super::*;
use crate::plan::Gate;
use crate::run::{GateFailure, Problem, WaitingOn};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn run_id() -> RunId {
    RunId::new(Ulid::from_parts(1_700_000_000_000, 7))
}

fn step(number: u32) -> StepNumber {
    StepNumber::new(number).unwrap()
}

fn node(number: u32) -> NodeName {
    format!("quay-{number}").parse().unwrap()
}

fn started() -> Event {
    Event::Started {
        run: run_id(),
        plan: "a".repeat(64).parse().unwrap(),
        cluster: "prod".parse().unwrap(),
        waivers: Vec::new(),
        at: at(0),
    }
}

/// A legal run: a start, then processes that ask, hear, wait and end.
fn legal_events() -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec((0_u8..4, 1_u32..4, 1_u32..3), 0..24).prop_map(|choices| {
        let mut events = vec![started()];
        let mut epoch = Epoch::FIRST;
        events.push(Event::Driven { epoch, by: "alice@host".to_owned(), at: at(1) });
        for (second, (kind, number, node_number)) in (2..).zip(choices) {
            let (at, step, node) = (at(second), step(number), node(node_number));
            match kind {
                0 => events.push(Event::Intended { step, node, at }),
                1 => events.push(Event::Failed {
                    step,
                    node,
                    problem: Problem::Refused {
                        reason: Reason::Busy,
                        message: "busy".to_owned(),
                        remedy: String::new(),
                    },
                    at,
                }),
                2 => events.push(Event::Waiting { step, on: WaitingOn::Approval, at }),
                _ => {
                    let failure = GateFailure::Drifted { changes: vec!["a".to_owned()] };
                    events.push(Event::Closed { step, failure, at });
                    epoch = epoch.next();
                    events.push(Event::Driven { epoch, by: "bob@host".to_owned(), at });
                }
            }
        }
        // Keep what is legal: an answer without its question is not.
        let mut state = RunState::replay(&events[..1]).unwrap();
        let mut legal = vec![events[0].clone()];
        for event in &events[1..] {
            let mut next = state.clone();
            if next.apply(event).is_ok() {
                state = next;
                legal.push(event.clone());
            }
        }
        legal
    })
}

fn rows(events: &[Event]) -> Vec<Row> {
    let mut tail = Tail::empty();
    events
        .iter()
        .map(|event| {
            let row = tail.link(run_id(), event).unwrap();
            tail = Tail { seq: row.seq, hash: row.hash.clone() };
            row
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_prefix_of_a_legal_run_folds(events in legal_events(), length in 1_usize..40) {
        let prefix = &events[..length.min(events.len())];
        let (history, tail) = History::read(rows(prefix)).unwrap();
        prop_assert_eq!(tail.seq, i64::try_from(prefix.len()).unwrap());
        let state = history.replay(run_id()).unwrap().unwrap();
        prop_assert_eq!(state, RunState::replay(prefix).unwrap());
    }

    #[test]
    fn a_changed_record_is_damage_at_its_place(events in legal_events(), which in 0_usize..40) {
        let mut rows = rows(&events);
        let which = which % rows.len();
        rows[which].body.push(' ');
        let seq = rows[which].seq;
        if which + 1 == rows.len() {
            let (history, tail) = History::read(rows).unwrap();
            prop_assert_eq!(history.damaged_end(), Some(seq));
            prop_assert_eq!(tail.seq, seq - 1);
        } else {
            let of = rows.last().unwrap().seq;
            prop_assert_eq!(History::read(rows).unwrap_err(), Damage::Middle { seq, of });
        }
    }

    #[test]
    fn a_missing_record_is_damage_in_the_middle(events in legal_events(), which in 0_usize..40) {
        let mut rows = rows(&events);
        let which = which % (rows.len() - 1);
        let gone = rows.remove(which).seq;
        let found = History::read(rows).unwrap_err();
        prop_assert!(matches!(found, Damage::Middle { seq, .. } if seq == gone), "{found:?}");
    }
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let mut row = rows(&[started()]).remove(0);
    row.version = "2.0".to_owned();
    row.hash = Tail::empty().hash_of(&row);
    let damage = History::read(vec![row]).unwrap_err();
    insta::assert_snapshot!(damage, @"record 1 is of format 2.0, and this program reads 1.0");
}

#[tokio::test]
async fn what_was_appended_is_read_by_the_next_process() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    assert!(matches!(store::read(&state).await, Err(JournalError::Absent { .. })));

    let (mut journal, history) = Journal::open(&state).await.unwrap();
    assert_eq!(history, History::default());
    let driven = Event::Driven { epoch: Epoch::FIRST, by: "alice@host".to_owned(), at: at(1) };
    journal.append(run_id(), &[started(), driven.clone()]).await.unwrap();
    assert!(matches!(Journal::open(&state).await, Err(JournalError::InUse { .. })));

    let seen = store::read(&state).await.unwrap();
    assert_eq!(seen.latest(), Some(run_id()));
    assert_eq!(seen.load(run_id()).len(), 2);

    drop(journal);
    let (mut journal, history) = Journal::open(&state).await.unwrap();
    assert_eq!(history, seen);
    let waiting = Event::Waiting { step: step(1), on: WaitingOn::Approval, at: at(2) };
    journal.append(run_id(), &[waiting]).await.unwrap();
    assert_eq!(store::read(&state).await.unwrap().load(run_id()).len(), 3);
}

#[tokio::test]
async fn a_word_left_by_another_process_is_collected_once() {
    let directory = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(directory.path()).await.unwrap();
    journal.append(run_id(), &[started()]).await.unwrap();
    let word = Event::Approved {
        gate: Gate::Backfill,
        by: "bob@host".to_owned(),
        because: Some("the rest is expired".to_owned()),
        at: at(3),
    };
    store::leave(directory.path(), run_id(), &word).await.unwrap();
    assert_eq!(journal.collect(run_id()).await.unwrap(), vec![word.clone()]);
    assert_eq!(journal.collect(run_id()).await.unwrap(), Vec::new());
    let history = store::read(directory.path()).await.unwrap();
    assert_eq!(history.load(run_id()).last().unwrap().event, word);
}

/// Bytes are gone, as after a copy that broke off or a disk that lost them.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "it tears a file of its own")]
async fn a_file_that_was_torn_in_the_middle_or_at_its_end_is_refused_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(directory.path()).await.unwrap();
    let waits = |second| Event::Waiting { step: step(1), on: WaitingOn::Approval, at: at(second) };
    let mut events = vec![started()];
    events.extend((1..400).map(waits));
    journal.append(run_id(), &events).await.unwrap();
    drop(journal);
    let path = store::path(directory.path());
    // Nothing waits beside the file.
    store::read(directory.path()).await.unwrap();
    let whole = std::fs::read(&path).unwrap();
    let torn = |at: usize| [&whole[..at], &whole[at + 4096..]].concat();
    let page = whole.len() / 2 / 4096 * 4096;
    for (what, bytes) in [
        ("half", whole[..whole.len() / 2].to_vec()),
        ("without its last bytes", whole[..whole.len() - 100].to_vec()),
        ("without its last page", whole[..whole.len() - 4096].to_vec()),
        ("without a page in the middle", torn(page)),
        ("no more than its beginning", whole[..50].to_vec()),
    ] {
        std::fs::write(&path, &bytes).unwrap();
        let read = store::read(directory.path()).await.unwrap_err();
        let opened = Journal::open(directory.path()).await.unwrap_err();
        for error in [read, opened] {
            let JournalError::Damaged { source, .. } = &error else { panic!("{what}: {error:?}") };
            let is_it = matches!(source, Damage::File { .. } | Damage::Middle { .. });
            assert!(is_it, "{what}: {error:?}");
        }
        assert!(std::fs::read(&path).unwrap() == bytes, "{what}: it was changed");
    }
    std::fs::write(&path, &whole).unwrap();
    let (_, history) = Journal::open(directory.path()).await.unwrap();
    assert_eq!(history.load(run_id()).len(), events.len());
}

#[tokio::test]
async fn a_damaged_end_on_disk_is_mended_and_a_damaged_middle_is_refused() {
    use sqlx::{ConnectOptions as _, Connection as _};
    let directory = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(directory.path()).await.unwrap();
    let driven = Event::Driven { epoch: Epoch::FIRST, by: "alice@host".to_owned(), at: at(1) };
    journal.append(run_id(), &[started(), driven]).await.unwrap();
    drop(journal);
    let tamper = async |seq: i64| {
        let path = store::path(directory.path());
        let mut connection =
            sqlx::sqlite::SqliteConnectOptions::new().filename(path).connect().await.unwrap();
        sqlx::query("UPDATE record SET body = body || ' ' WHERE seq = $1")
            .bind(seq)
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
    };

    tamper(2).await;
    let (mut journal, history) = Journal::open(directory.path()).await.unwrap();
    assert_eq!((history.damaged_end(), history.load(run_id()).len()), (Some(2), 1));
    let driven = Event::Driven { epoch: Epoch::FIRST, by: "alice@host".to_owned(), at: at(4) };
    journal.append(run_id(), &[driven]).await.unwrap();
    drop(journal);
    assert_eq!(store::read(directory.path()).await.unwrap().damaged_end(), None);

    tamper(1).await;
    let error = Journal::open(directory.path()).await.unwrap_err();
    let expected = Damage::Middle { seq: 1, of: 2 };
    assert!(
        matches!(&error, JournalError::Damaged { source, .. } if *source == expected),
        "{error:?}"
    );
}
