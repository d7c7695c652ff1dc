//! The checks bite: with one guard removed, and nothing else, some window goes
//! wrong; with none removed none does (see `seeds`).

use quaymaster::guards::Guard as Gate;
use quaymaster_agent::simulation::Guard;

use crate::faults::Removed;
use crate::seeds::{find_first, story_against};

/// So many seeds have to be enough to see what a guard is there for.
const ENOUGH: u64 = 400;

/// Without the guard some seed violates the invariant that it is there for.
fn bites(guard: Removed, invariant: u32) {
    bites_one_of(guard, &[invariant]);
}

fn bites_one_of(guard: Removed, invariants: &[u32]) {
    let heads: Vec<_> = invariants.iter().map(|number| format!("invariant {number} at ")).collect();
    let is_one = |violation: &String| heads.iter().any(|head| violation.starts_with(head));
    let violations = |seed, without| story_against(guard, seed, without).violations;
    let goes_wrong = |seed: u64| violations(seed, Some(guard)).into_iter().find(is_one);
    let found = find_first(ENOUGH, |seed| goes_wrong(seed).is_some());
    let seed =
        found.unwrap_or_else(|| panic!("{ENOUGH} seeds keep {invariants:?} without {guard:?}"));
    println!("without {guard:?}, seed {seed}: {:?}", goes_wrong(seed));
    assert_eq!(violations(seed, None), [""; 0], "seed {seed} with every guard");
}

#[test]
fn an_act_needs_the_lease() {
    bites(Removed::OfAgent(Guard::Lease), 6);
}

#[test]
fn what_the_floor_forbids_is_stopped_on_sight() {
    bites(Removed::OfAgent(Guard::Floor), 4);
}

#[test]
fn a_quay_starts_only_in_the_dark() {
    bites_one_of(Removed::OfCoordinator(Gate::DarkGate), &[1, 2, 3]);
}

#[test]
fn a_backup_is_as_the_database_is_when_the_first_one_starts() {
    bites(Removed::OfCoordinator(Gate::FreshBackup), 7);
}

#[test]
fn nobody_starts_before_the_first_is_well() {
    bites(Removed::OfCoordinator(Gate::FirstNodeGate), 1);
}

#[test]
fn a_migration_is_started_at_most_once() {
    bites(Removed::OfAgent(Guard::AtMostOnce), 2);
}

#[test]
fn a_start_reads_the_database_itself() {
    bites(Removed::OfAgent(Guard::OwnDatabase), 1);
}

#[test]
fn a_policy_is_taken_before_the_stop() {
    bites(Removed::OfAgent(Guard::PolicyBeforeStop), 4);
}

#[test]
fn a_config_waits_beside_until_it_is_dark() {
    bites(Removed::OfAgent(Guard::SiblingUntilDark), 3);
}

#[test]
fn a_process_drives_under_an_epoch_of_its_own() {
    bites(Removed::OfCoordinator(Gate::FreshEpoch), 6);
}

#[test]
fn a_stop_is_of_a_container_and_not_of_a_name() {
    bites(Removed::OfAgent(Guard::IdsNotNames), 2);
}
