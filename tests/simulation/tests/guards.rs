//! The checks bite: with one guard removed, and nothing else, some window goes
//! wrong; with none removed none does (see `seeds`).

use quaymaster::guards::Guard as Gate;
use quaymaster_agent::simulation::Guard;

use crate::faults::Removed;
use crate::seeds::{find_first, story_against};

/// So many seeds have to be enough to see what a guard is there for.
const ENOUGH: u64 = 400;

fn bites(guard: Removed) {
    let goes_wrong = |seed, without| {
        let violations = story_against(guard, seed, without).violations;
        violations.first().cloned()
    };
    let found = find_first(ENOUGH, |seed| goes_wrong(seed, Some(guard)).is_some());
    let seed = found.unwrap_or_else(|| panic!("{ENOUGH} seeds do without {guard:?}"));
    println!("without {guard:?}, seed {seed}: {:?}", goes_wrong(seed, Some(guard)));
    assert_eq!(goes_wrong(seed, None), None, "seed {seed} with every guard");
}

#[test]
fn an_act_needs_the_lease() {
    bites(Removed::OfAgent(Guard::Lease));
}

#[test]
fn what_the_floor_forbids_is_stopped_on_sight() {
    bites(Removed::OfAgent(Guard::Floor));
}

#[test]
fn a_quay_starts_only_in_the_dark() {
    bites(Removed::OfCoordinator(Gate::DarkGate));
}

#[test]
fn nobody_starts_before_the_first_is_well() {
    bites(Removed::OfCoordinator(Gate::FirstNodeGate));
}

#[test]
fn a_migration_is_started_at_most_once() {
    bites(Removed::OfAgent(Guard::AtMostOnce));
}

#[test]
fn a_start_reads_the_database_itself() {
    bites(Removed::OfAgent(Guard::OwnDatabase));
}

#[test]
fn a_policy_is_taken_before_the_stop() {
    bites(Removed::OfAgent(Guard::PolicyBeforeStop));
}

#[test]
fn a_config_waits_beside_until_it_is_dark() {
    bites(Removed::OfAgent(Guard::SiblingUntilDark));
}

#[test]
fn a_process_drives_under_an_epoch_of_its_own() {
    bites(Removed::OfCoordinator(Gate::FreshEpoch));
}

#[test]
fn a_stop_is_of_a_container_and_not_of_a_name() {
    bites(Removed::OfAgent(Guard::IdsNotNames));
}
