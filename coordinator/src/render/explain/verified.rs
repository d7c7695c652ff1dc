//! A window that is held at its end: what a client found, and the ways on.

use super::{Answers, Explained};
use crate::render::account::faults;
use crate::verify::Account;

/// The registry serves: nothing here is urgent for its users, unless the faults
/// say so.
pub(super) fn not_verified(base: Answers, explained: &Explained<'_>, account: &Account) -> Answers {
    let program = explained.program;
    let mut ends: Vec<String> = Vec::new();
    for (_, failed) in account.faults() {
        if !failed.remedy.is_empty() && !ends.contains(&failed.remedy) {
            ends.push(failed.remedy.clone());
        }
    }
    ends.push(format!("then {program} resume: it verifies again, and changes nothing"));
    ends.push(format!(
        "or, if it may stay so: {program} approve verify --because WORDS, and resume; the report \
         names the faults and the words"
    ));
    let next = format!("{program} resume");
    Answers { why: faults(account), ends, next, ..base }
}
