//! Two coordinators, copies of journals, lost ledgers: no act without a lease.

use quaymaster_proto::Epoch;
use quaymaster_proto::lease::ClaimLease;

use super::stage::{Stage, first_window, second_window};
use super::*;
use crate::nodes::{Looks as _, Orders as _};
use crate::run::rebuild::{Kept, rebuild};

/// Another person's run has a node.
pub(super) async fn occupy(stage: &Stage, node: &str) {
    let claim = ClaimLease {
        cluster: stage.plan.plan().cluster.clone(),
        run: RunId::new(ulid::Ulid(7)),
        epoch: Epoch::FIRST,
        holder: "carol@elsewhere".to_owned(),
        process: ulid::Ulid(7),
        plan: stage.plan.digest().clone(),
        plan_bytes: Vec::new(),
        seen: None,
    };
    stage.fleet.claim(&node.parse().unwrap(), claim).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn another_run_is_not_overruled() {
    let stage = Stage::new(3, &first_window(Mode::Background));
    occupy(&stage, "quay-3").await;
    let ended = stage.runner(true).await.drive(Patience::Leave).await.unwrap();
    let Ended::Unclaimed { nodes } = &ended else { panic!("{ended:?}") };
    assert!(
        matches!(nodes.as_slice(), [(node, Unclaimed::Held(lease))]
        if node.as_str() == "quay-3" && lease.holder == "carol@elsewhere"),
        "{nodes:?}"
    );
    for node in ["quay-1", "quay-2"] {
        let facts = stage.fleet.describe(&node.parse().unwrap(), &SurveyKey::new([1; 32])).await;
        assert_eq!(facts.unwrap().lease, None, "{node}");
    }
    assert!(stage.state().begun.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_was_claimed_before_another_one_came_is_given_back() {
    let stage = Stage::new(3, &first_window(Mode::Background));
    // It looks free, and is another's when the claim comes to it.
    stage.fleet.refuse("quay-3", "claim", Reason::Lease);
    let ended = stage.runner(true).await.drive(Patience::Leave).await.unwrap();
    assert!(
        matches!(&ended, Ended::Unclaimed { nodes }
        if nodes.len() == 1 && nodes[0].0.as_str() == "quay-3"),
        "{ended:?}"
    );
    let key = SurveyKey::new([1; 32]);
    for node in ["quay-1", "quay-2"].map(|name| name.parse().unwrap()) {
        let facts = stage.fleet.describe(&node, &key).await.unwrap();
        assert_eq!(facts.lease, None, "{node}");
        // Somebody had it: this run's epoch is spent there.
        let claim = ClaimLease { process: ulid::Ulid(9), ..claim_of(&stage, facts.lease) };
        stage.fleet.claim(&node, claim).await.unwrap_err();
    }
}

fn claim_of(stage: &Stage, seen: Option<quaymaster_proto::Lease>) -> ClaimLease {
    ClaimLease {
        cluster: stage.plan.plan().cluster.clone(),
        run: stage.state().run,
        epoch: stage.state().epoch.unwrap(),
        holder: "bob@elsewhere".to_owned(),
        process: ulid::Ulid(8),
        plan: stage.plan.digest().clone(),
        plan_bytes: Vec::new(),
        seen,
    }
}

/// Whoever drove it there may be alive: that it is taken from them is said in words.
#[tokio::test(start_paused = true)]
async fn a_copy_of_the_journal_on_another_machine_takes_nothing_over_by_itself() {
    let stage = Stage::new(3, &first_window(Mode::Background));
    stage.book.die(Some(Death { appends: 20, keeps_last: true }));
    stage.runner(true).await.drive(Patience::Leave).await.unwrap_err();
    let mut copy = stage.copied();
    copy.by = "alice@elsewhere";
    let ended = copy.runner(true).await.drive(Patience::Leave).await.unwrap();
    let Ended::Unclaimed { nodes } = &ended else { panic!("{ended:?}") };
    assert!(
        nodes.iter().all(|(_, why)| matches!(why, Unclaimed::Held(lease)
        if lease.holder == "alice@host")),
        "{nodes:?}"
    );
    copy.takes_over = true;
    assert_eq!(copy.runner(true).await.drive(Patience::Leave).await.unwrap(), Ended::Done);
    copy.assert_well_done();
}

#[tokio::test(start_paused = true)]
async fn a_silent_node_keeps_a_run_from_beginning() {
    let stage = Stage::new(3, &first_window(Mode::Background));
    stage.fleet.silence("quay-2");
    let ended = stage.runner(true).await.drive(Patience::Leave).await.unwrap();
    assert!(matches!(&ended, Ended::Unclaimed { nodes } if nodes.len() == 1), "{ended:?}");
    stage.fleet.forgive();
    assert_eq!(stage.runner(true).await.drive(Patience::Leave).await.unwrap(), Ended::Done);
    stage.assert_well_done();
}

#[tokio::test(start_paused = true)]
async fn between_windows_nobody_holds_anything() {
    let stage = Stage::new(3, &first_window(Mode::Background));
    stage.runner(true).await.drive(Patience::Leave).await.unwrap();
    for node in &stage.plan.plan().nodes {
        let facts = stage.fleet.describe(&node.name, &SurveyKey::new([1; 32])).await.unwrap();
        assert_eq!(facts.lease, None);
        assert!(facts.floor.is_some(), "the floor stays");
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_was_overtaken_does_nothing_more() {
    let stage = Stage::new(3, &first_window(Mode::Background));
    let mut old = stage.runner(true).await;
    let driving = tokio::spawn(async move { old.drive(Patience::Leave).await });
    while !stage.book.events().iter().any(|event| is_intent_of(&stage, event, Verb::Stop)) {
        tokio::task::yield_now().await;
        tokio::time::advance(std::time::Duration::from_millis(10)).await;
    }
    // The same run, from a copy of its journal.
    let copy = stage.copied();
    let ended = copy.runner(true).await.drive(Patience::Leave).await.unwrap();
    let stale = driving.await.unwrap().unwrap();
    // Whichever of the two was first at a node, only one went on.
    let ends = [ended, stale];
    assert_eq!(ends.iter().filter(|ended| **ended == Ended::Done).count(), 1, "{ends:?}");
    assert!(
        ends.iter().any(|ended| matches!(ended, Ended::LeaseLost { .. } | Ended::Unclaimed { .. })),
        "{ends:?}"
    );
    assert_eq!(stage.fleet.tally().violations, Vec::<String>::new());
    assert_eq!(stage.fleet.tally().migrating_starts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_claim_whose_answer_was_lost_is_not_somebody_elses() {
    let stage = Stage::new(3, &first_window(Mode::Background));
    die_before(&stage, |event| is_intent_of(&stage, event, Verb::PutConfig)).await;
    stage.fleet.mute_claim("quay-3");
    let ended = stage.runner(false).await.drive(Patience::Leave).await.unwrap();
    assert_eq!(ended, Ended::Done);
    stage.assert_well_done();
}

#[tokio::test(start_paused = true)]
async fn an_earlier_copy_of_the_journal_is_refused_and_the_nodes_know_the_rest() {
    let stage = Stage::new(3, &first_window(Mode::Background));
    die_before(&stage, |event| is_answer_to(&stage, event, Verb::StartMigrating)).await;
    let earlier = stage.copied();
    earlier.book.lose(3);
    let ended = earlier.runner(true).await.drive(Patience::Leave).await.unwrap();
    assert!(
        matches!(&ended, Ended::Unclaimed { nodes }
        if nodes.iter().any(|(_, why)| matches!(why, Unclaimed::Behind { .. }))),
        "{ended:?}"
    );
    assert_eq!(stage.fleet.tally().migrating_starts, 1);

    let rebuilt = rebuilt(&stage).await;
    assert_eq!(rebuilt.runner(false).await.drive(Patience::Leave).await.unwrap(), Ended::Done);
    rebuilt.assert_well_done();
}

#[tokio::test(start_paused = true)]
async fn an_earlier_copy_does_not_wait_for_what_is_over() {
    let window = second_window();
    let (stage, whole) = (Stage::new(3, &window), Stage::new(3, &window));
    stage.fleet.backfill(&[0.995]);
    whole.fleet.backfill(&[0.995]);
    die_before_as(&stage, whole, |event| is_intent_of(&stage, event, Verb::PutConfig)).await;
    let earlier = stage.copied();
    // It knows that the run began, and nothing more.
    earlier.book.lose(earlier.book.events().len() - 2);
    stage.fleet.backfill(&[0.5]);
    let ended = earlier.runner(true).await.drive(Patience::Stay).await.unwrap();
    assert!(
        matches!(&ended, Ended::Unclaimed { nodes }
        if nodes.iter().all(|(_, why)| matches!(why, Unclaimed::Behind { .. }))),
        "{ended:?}"
    );
}

/// The run on a machine that never saw it.
pub(super) async fn rebuilt(stage: &Stage) -> Stage {
    let mut nodes = std::collections::BTreeMap::new();
    let (mut run, mut epoch) = (None, Epoch::FIRST);
    for node in &stage.plan.plan().nodes {
        if let Ok(ledger) = stage.fleet.read_ledger(&node.name, None).await {
            run = Some(ledger.run);
            epoch = epoch.max(ledger.epoch);
            nodes.insert(node.name.clone(), ledger.entries);
        }
    }
    let plan = (*stage.plan).clone();
    let kept = Kept { run: run.unwrap(), plan, epoch, nodes };
    stage.with_events(rebuild(&kept, stage.fleet.now()))
}

#[tokio::test(start_paused = true)]
async fn wherever_a_machine_is_lost_another_one_goes_on_from_the_nodes() {
    for window in [first_window(Mode::Background), first_window(Mode::Complete)] {
        for appends in 0.. {
            let stage = Stage::new(3, &window);
            let mut runner = stage.runner(true).await;
            stage.book.die(Some(Death { appends, keeps_last: true }));
            let ended = runner.drive(Patience::Leave).await;
            drop(runner);
            stage.book.die(None);
            if ended.is_ok() {
                assert!(appends > 15);
                break;
            }
            if appends < 3 {
                // Nothing was begun on any node: there is nothing to rebuild.
                continue;
            }
            let rebuilt = rebuilt(&stage).await;
            if rebuilt.state().finished_at.is_some() {
                continue;
            }
            // A person's word is kept by nobody but the journal.
            let word = approval(Gate::Approval, rebuilt.fleet.now());
            rebuilt.book.inbox.lock().unwrap().push(word);
            let ended = rebuilt.runner(true).await.drive(Patience::Leave).await.unwrap();
            assert_eq!(ended, Ended::Done, "lost after {appends} appends");
            rebuilt.assert_well_done();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_way_back_is_known_to_the_nodes_as_well() {
    for appends in 22.. {
        let stage = Stage::new(3, &first_window(Mode::Background));
        stage.fleet.refuse("quay-1", "start-migrating", Reason::Database);
        let mut runner = stage.runner(true).await;
        stage.book.die(Some(Death { appends, keeps_last: true }));
        let ended = runner.drive(Patience::Leave).await;
        drop(runner);
        stage.book.die(None);
        stage.fleet.forgive();
        if ended.is_ok() {
            assert!(appends > 30);
            break;
        }
        let rebuilt = rebuilt(&stage).await;
        let ended = rebuilt.runner(true).await.drive(Patience::Leave).await.unwrap();
        if ended == Ended::Done {
            // Nobody had removed the staged container yet: the start was possible.
            rebuilt.assert_well_done();
        } else {
            assert!(matches!(ended, Ended::Back { .. }), "lost after {appends}: {ended:?}");
            rebuilt.assert_as_before();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_ledger_obeys_nobody_until_it_is_claimed_again() {
    let stage = Stage::new(3, &first_window(Mode::Complete));
    die_before(&stage, |event| is_intent_of(&stage, event, Verb::PutConfig)).await;
    stage.fleet.lose_ledger("quay-2");
    // A fresh process claims it; the floor that was lost is missed at the gate.
    let ended = stage.runner(true).await.drive(Patience::Leave).await.unwrap();
    assert!(
        matches!(
            &ended,
            Ended::Back { because: Cause::Closed { failure: GateFailure::NoFloor { .. }, .. } }
        ),
        "{ended:?}"
    );
    stage.assert_as_before();
}
