//! The last gate: a client's push and pull came out right. What was not checked
//! is told and holds nothing; a fault holds the window, which serves meanwhile.
//! On the way back nothing may hold what the window found from returning: faults
//! are told there as well, and only told.

use quaymaster_proto::Mode;

use crate::gates::Judgement;
use crate::plan::{Plan, Stage};
use crate::run::{Evidence, GateFailure, Word};
use crate::verify::Account;

/// The mode in which the registry is to be at the end of a way.
pub fn wanted(plan: &Plan, stage: Stage) -> Mode {
    match stage {
        Stage::Serving | Stage::Dark | Stage::Beyond => plan.window.to.mode,
        Stage::Back | Stage::Rollback => plan.window.from.mode,
    }
}

/// Judges what a client found. `word` is a person's who waives its faults.
pub fn judge(stage: Stage, account: Account, word: Option<Word>) -> Judgement {
    if account.is_good() {
        return Judgement::Pass(Evidence::Verified { account, waived: None });
    }
    match (stage, word) {
        (Stage::Back | Stage::Rollback, _) => {
            Judgement::Pass(Evidence::Verified { account, waived: None })
        }
        (Stage::Serving | Stage::Dark | Stage::Beyond, Some(word)) => {
            Judgement::Pass(Evidence::Verified { account, waived: Some(word) })
        }
        (Stage::Serving | Stage::Dark | Stage::Beyond, None) => {
            Judgement::Fail(GateFailure::NotVerified { account })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad() -> Account {
        Account::not_begun("quay-2", "it says 500".to_owned(), "read its log".to_owned())
    }

    fn word() -> Option<Word> {
        Some(Word { by: "bob@host".to_owned(), because: Some("a known tag".to_owned()) })
    }

    #[test]
    fn a_fault_holds_the_window_until_a_person_waives_it() {
        let held = judge(Stage::Beyond, bad(), None);
        assert_eq!(held, Judgement::Fail(GateFailure::NotVerified { account: bad() }));
        let waived = judge(Stage::Beyond, bad(), word());
        let evidence = Evidence::Verified { account: bad(), waived: word() };
        assert_eq!(waived, Judgement::Pass(evidence));
    }

    #[test]
    fn nothing_holds_the_way_back_and_a_waiver_of_nothing_is_none() {
        let told = Evidence::Verified { account: bad(), waived: None };
        assert_eq!(judge(Stage::Back, bad(), None), Judgement::Pass(told));
        let good = Account::default();
        let passed = Evidence::Verified { account: good.clone(), waived: None };
        assert_eq!(judge(Stage::Beyond, good, word()), Judgement::Pass(passed));
    }
}
