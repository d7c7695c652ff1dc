//! What a journal holds: any beginning of it is a run, reading it again gives
//! the same state, and it tells of nothing that the plan does not have.

use std::collections::BTreeMap;

use quaymaster_proto::Epoch;

use super::stage::{Stage, first_window, second_window};
use super::*;
use crate::journal::{History, Tail};
use crate::run::{ActState, Direction};

/// What may go wrong in a run.
const FAULTS: [Option<&str>; 8] = [
    None,
    Some("pull"),
    Some("stage-container"),
    Some("ensure-stopped"),
    Some("set-floor"),
    Some("put-config"),
    Some("start-migrating"),
    Some("ensure-running"),
];

/// The events of a run with a fault and with processes that die.
fn events(window: usize, fault: usize, deaths: &[usize], back: bool) -> (Stage, Vec<Event>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let windows =
            [first_window(Mode::Background), first_window(Mode::Complete), second_window()];
        let stage = Stage::new(2, &windows[window % windows.len()]);
        stage.fleet.backfill(&[0.995]);
        if let Some(verb) = FAULTS[fault % FAULTS.len()] {
            stage.fleet.refuse("quay-2", verb, Reason::Drifted);
            if verb == "start-migrating" {
                stage.fleet.refuse("quay-1", verb, Reason::Database);
            }
        }
        for appends in deaths {
            if stage.book.events().is_empty() || stage.state().finished_at.is_none() {
                let mut runner = stage.runner(true).await;
                stage.book.die(Some(Death { appends: *appends, keeps_last: appends % 2 == 0 }));
                let _ = runner.drive(Patience::Leave).await;
                stage.book.die(None);
            }
        }
        if stage.book.events().is_empty() || stage.state().finished_at.is_none() {
            stage.runner(true).await.drive(Patience::Leave).await.unwrap();
        }
        // Past the point of no return, by the backup: with the same deaths.
        if back && stage.state().direction == Direction::There {
            stage.fleet.forgive();
            let plan = Arc::clone(&stage.plan);
            for appends in deaths.iter().map(Some).chain([None]) {
                let mut runner = if stage.state().is_rollback() {
                    if stage.state().finished_at.is_some() {
                        break;
                    }
                    stage.runner(true).await
                } else {
                    stage.late()
                };
                let death = appends.map(|at| Death { appends: *at, keeps_last: at % 2 == 0 });
                stage.book.die(death);
                let state = stage.state();
                let is_under_way = state.is_rollback() && !state.can_be_called_off();
                let wish = RollbackWish {
                    by: "carol@host".to_owned(),
                    because: "a test".to_owned(),
                    without: BTreeMap::new(),
                };
                if is_under_way || matches!(runner.roll_back(plan.plan(), wish).await, Ok(Ok(()))) {
                    let _ = runner.drive(Patience::Leave).await;
                }
                stage.book.die(None);
            }
        }
        let events = stage.book.events();
        (stage, events)
    })
}

/// Of every process, in their order.
fn epochs(events: &[Event]) -> Vec<Epoch> {
    let driven = events.iter().filter_map(|event| {
        let (Event::Driven { epoch, .. } | Event::RollbackOrdered { epoch, .. }) = event else {
            return None;
        };
        Some(*epoch)
    });
    driven.collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 48,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_beginning_of_a_journal_is_a_run(
        window in 0_usize..3,
        fault in 0_usize..8,
        deaths in prop::collection::vec(0_usize..30, 0..4),
        back in any::<bool>(),
    ) {
        let (stage, events) = events(window, fault, &deaths, back);
        let plan = stage.plan.plan();
        for length in 1..=events.len() {
            let state = RunState::replay(&events[..length]).unwrap();
            // Whatever was begun is the plan's, on a node of that step.
            for (step, node) in &state.begun {
                let planned = plan.step(*step).unwrap();
                prop_assert!(planned.nodes.contains(node));
            }
            // Nothing behind the migrating start was begun without it, and
            // nothing goes back behind a start that was made.
            let start = plan.point_of_no_return().unwrap();
            let is_beyond = state
                .begun
                .iter()
                .any(|(step, _)| *step > start && plan.steps.iter().any(|it| it.number == *step));
            prop_assert!(!is_beyond || state.has_begun(start));
            let is_made =
                matches!(state.act_state(start, &plan.first), ActState::Done { .. });
            let goes_back = matches!(state.direction, Direction::Back { .. });
            prop_assert!(!is_made || !goes_back);
            // And nothing is restored that was not migrated.
            let is_restored = plan.rollback.iter().skip(1).any(|it| state.has_begun(it.number));
            prop_assert!(!is_restored || state.has_begun(start));
            // The decision is the plan's as well.
            if let Next::Ask { step, nodes } = next(plan, &state) {
                prop_assert!(nodes.iter().all(|node| step.nodes.contains(node)));
                for node in &nodes {
                    let worded = crate::run::task(plan, &state, step, node);
                    prop_assert!(worded.is_ok(), "{:?}", worded);
                }
            }
        }
        let epochs = epochs(&events);
        prop_assert!(epochs.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn reading_a_journal_again_gives_the_same_run(
        window in 0_usize..3,
        fault in 0_usize..8,
        deaths in prop::collection::vec(0_usize..30, 0..4),
        back in any::<bool>(),
    ) {
        let (_, events) = events(window, fault, &deaths, back);
        let run = RunId::new(ulid::Ulid(1));
        let (mut rows, mut tail) = (Vec::new(), Tail::empty());
        for event in &events {
            let row = tail.link(run, event).unwrap();
            tail = Tail { seq: row.seq, hash: row.hash.clone() };
            rows.push(row);
        }
        let (history, _) = History::read(rows.clone()).unwrap();
        let read: Vec<Event> =
            history.load(run).into_iter().map(|record| record.event.clone()).collect();
        prop_assert_eq!(&read, &events);
        let once = history.replay(run).unwrap().unwrap();
        let again = RunState::replay(&read).unwrap();
        prop_assert_eq!(once, again);
    }
}
