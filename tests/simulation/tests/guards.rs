//! The checks bite: with one guard removed, and nothing else, some window goes
//! wrong; with none removed none does (see `seeds`).

use quaymaster_agent::simulation::Guard;

use crate::seeds::{find_first, story_against};

/// So many seeds have to be enough to see what a guard is there for.
const ENOUGH: u64 = 400;

fn bites(guard: Guard) {
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
fn a_migration_is_started_at_most_once() {
    bites(Guard::AtMostOnce);
}

#[test]
fn a_start_reads_the_database_itself() {
    bites(Guard::OwnDatabase);
}

#[test]
fn a_policy_is_taken_before_the_stop() {
    bites(Guard::PolicyBeforeStop);
}

#[test]
fn a_config_waits_beside_until_it_is_dark() {
    bites(Guard::SiblingUntilDark);
}
