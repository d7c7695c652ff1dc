//! The end of every way: what a client finds, and what becomes of a run that is
//! not verified.

use super::stage::{Stage, approval, first_window, second_window};
use super::*;
use crate::run::{Evidence, Word};
use crate::verifier::fake::good;
use crate::verify::account::Failed;
use crate::verify::{Account, Check, Sampling, WhyNot};

fn lost_list() -> Account {
    let mut place = good("quay-2");
    place.failed.push(Failed {
        check: Check::List,
        fault: "the list came back without windows/amd64".to_owned(),
        remedy: "keep users off".to_owned(),
    });
    Account { places: vec![good("quay-1"), place] }
}

async fn held() -> Stage {
    let stage = Stage::new(3, &first_window(Mode::Complete));
    stage.registry.finds(lost_list());
    let ended = stage.runner(true).await.drive(Patience::Leave).await.unwrap();
    let Ended::Closed { step, failure } = ended else { panic!("{ended:?}") };
    assert_eq!(step.what, What::Gate(Gate::Verified));
    assert_eq!(failure, GateFailure::NotVerified { account: lost_list() });
    assert!(stage.state().finished_at.is_none());
    stage
}

/// Why the run was let end.
fn evidence(stage: &Stage) -> Evidence {
    let plan = stage.plan.plan();
    let is_there = stage.state().direction.is_there();
    let way = if is_there { &plan.steps } else { &plan.back };
    let step = way.last().unwrap().number;
    let events = stage.book.events();
    let mut passed = events.iter().filter_map(|event| {
        let Event::Passed { step: of, evidence, .. } = event else { return None };
        (*of == step).then(|| evidence.clone())
    });
    passed.next_back().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_window_that_is_not_verified_holds_while_it_serves_and_is_verified_again() {
    let stage = held().await;
    let before = stage.fleet.tally();
    assert_eq!(before.promoted.len(), 3, "the registry serves");
    // Mended.
    assert_eq!(stage.runner(true).await.drive(Patience::Leave).await.unwrap(), Ended::Done);
    stage.assert_well_done();
    assert_eq!(stage.fleet.tally(), before, "verifying again changes nothing");
    assert_eq!(stage.registry.verified().len(), 2);
    assert!(
        matches!(evidence(&stage), Evidence::Verified { account, waived: None } if account.is_good())
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_verification_found_is_waived_by_a_persons_words_and_stays_on_record() {
    let stage = held().await;
    stage.registry.finds(lost_list());
    stage.book.inbox.lock().unwrap().push(approval(Gate::Verified, stage.fleet.now()));
    assert_eq!(stage.runner(true).await.drive(Patience::Leave).await.unwrap(), Ended::Done);
    let word = Word { by: "bob@host".to_owned(), because: Some("a test".to_owned()) };
    let waived = Some(word.clone());
    assert_eq!(evidence(&stage), Evidence::Verified { account: lost_list(), waived });
    let report = crate::report::report(stage.plan.plan(), &stage.state());
    assert_eq!(report.verified, Some((lost_list(), Some(word))));
    assert_eq!(report.waived.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_the_registry_held_before_the_stop_is_what_it_is_held_against() {
    let stage = Stage::new(3, &second_window());
    stage.fleet.backfill(&[0.995]);
    stage.runner(true).await.drive(Patience::Leave).await.unwrap();
    let seen = stage.registry.verified();
    let [seen] = seen.as_slice() else { panic!("{seen:?}") };
    assert_eq!((seen.mode, seen.nodes.len()), (Mode::Complete, 3));
    let Sampling::Taken(sample) = &seen.sampling else { panic!("{seen:?}") };
    let events = stage.book.events();
    let stop = events.iter().position(|event| is_intent_of(&stage, event, Verb::Stop)).unwrap();
    let staged = |event: &Event| is_intent_of(&stage, event, Verb::StageConfig);
    let staged = events.iter().rposition(staged).unwrap();
    // Of the last moment in which it served, and on record before the stop.
    assert!(events[..stop].iter().any(|event| matches!(event, Event::Sampled { .. })));
    assert!((events[staged].at()..=events[stop].at()).contains(&sample.taken_at));
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_cannot_be_read_any_more_is_not_stopped() {
    let stage = Stage::new(3, &first_window(Mode::Complete));
    stage.registry.cannot_be_read(Some("the login of a+b is refused"));
    let ended = stage.runner(true).await.drive(Patience::Leave).await.unwrap();
    let Ended::Back { because: Cause::Closed { failure, .. } } = ended else { panic!("{ended:?}") };
    assert!(
        matches!(&failure, GateFailure::Drifted { changes } if changes[0].contains("a+b is refused")),
        "{failure:?}"
    );
    let events = stage.book.events();
    assert!(!events.iter().any(|event| is_intent_of(&stage, event, Verb::Stop)));
    assert_eq!(stage.registry.verified(), [], "nothing was stopped, so there is nothing to verify");
}

#[tokio::test(start_paused = true)]
async fn the_way_back_is_verified_as_well_and_ends_whatever_is_found() {
    let stage = Stage::new(3, &first_window(Mode::Complete));
    stage.fleet.connect(psql());
    stage.registry.finds(lost_list());
    let ended = stage.runner(true).await.drive(Patience::Leave).await.unwrap();
    assert!(matches!(ended, Ended::Back { .. }), "{ended:?}");
    stage.assert_as_before();
    let seen = stage.registry.verified();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].mode, Mode::Absent);
    assert_eq!(evidence(&stage), Evidence::Verified { account: lost_list(), waived: None });
}

#[tokio::test(start_paused = true)]
async fn a_window_is_verified_when_no_node_is_left_behind() {
    let stage = Stage::new(3, &first_window(Mode::Background));
    stage.fleet.refuse("quay-3", "ensure-running", Reason::Drifted);
    let ended = stage.runner(true).await.drive(Patience::Leave).await.unwrap();
    assert!(matches!(ended, Ended::Failed { .. }), "{ended:?}");
    assert_eq!(stage.registry.verified(), []);
    stage.fleet.forgive();
    assert_eq!(stage.runner(true).await.drive(Patience::Leave).await.unwrap(), Ended::Done);
    assert_eq!(stage.registry.verified()[0].nodes.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_never_saw_the_sample_says_so() {
    let stage = held().await;
    let without = stage.book.events().into_iter();
    let without = without.filter(|event| !matches!(event, Event::Sampled { .. })).collect();
    let elsewhere = stage.with_events(without);
    elsewhere.runner(true).await.drive(Patience::Leave).await.unwrap();
    let seen = elsewhere.registry.verified();
    let unknown = Sampling::Nothing(WhyNot::SampleElsewhere);
    assert_eq!(seen.last().unwrap().sampling, unknown);
}
