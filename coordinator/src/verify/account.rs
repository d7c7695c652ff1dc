//! A verification as a run's journal keeps it: which checks passed where, which were left out and
//! why, and each fault in words. Pure, and without a secret: faults name users, never passwords.

use serde::{Deserialize, Serialize};

use super::{Check, Checked, Fault, Outcome, Place, Sample, WhyNot};

/// What came of a verification.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Each place where the registry was asked.
    pub places: Vec<PlaceAccount>,
}

/// The same of one node, or of the public name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlaceAccount {
    /// The node's name, or the public name.
    pub name: String,
    /// In order.
    pub passed: Vec<Check>,
    /// What was not checked.
    pub left: Vec<LeftOut>,
    /// Each fault.
    pub failed: Vec<Failed>,
    /// How many questions failed in passing and were asked again.
    pub retried: usize,
}

/// A check that was not made.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// Which.
    pub check: Check,
    /// Why not.
    pub why: WhyNot,
}

/// A fault that a check found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failed {
    /// Which check.
    pub check: Check,
    /// In words.
    pub fault: String,
    /// What to do.
    pub remedy: String,
}

/// What is known of the registry from before a window's first stop.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sampling {
    /// This.
    Taken(Sample),
    /// Nothing, and why.
    Nothing(WhyNot),
}

impl Sampling {
    /// The sample, where there is one.
    pub fn sample(&self) -> Option<&Sample> {
        match self {
            Self::Taken(sample) => Some(sample),
            Self::Nothing(_) => None,
        }
    }
}

impl Account {
    /// Of what a client found.
    pub fn of(places: &[Place]) -> Self {
        Self { places: places.iter().map(PlaceAccount::of).collect() }
    }

    /// Why there was no sample, where the checks themselves do not know.
    #[must_use]
    pub fn without_sample(mut self, because: &WhyNot) -> Self {
        let left = self.places.iter_mut().flat_map(|place| &mut place.left);
        for left in left.filter(|left| left.why == WhyNot::NoSample) {
            left.why = because.clone();
        }
        self
    }

    /// Of a verification that could not begin.
    pub fn not_begun(place: &str, fault: String, remedy: String) -> Self {
        let failed = vec![Failed { check: Check::Token, fault, remedy }];
        let (name, passed, left) = (place.to_owned(), Vec::new(), Vec::new());
        Self { places: vec![PlaceAccount { name, passed, left, failed, retried: 0 }] }
    }

    /// Each fault, with where it was found.
    pub fn faults(&self) -> impl Iterator<Item = (&str, &Failed)> {
        self.places
            .iter()
            .flat_map(|place| place.failed.iter().map(|failed| (place.name.as_str(), failed)))
    }

    /// Whether nothing failed.
    pub fn is_good(&self) -> bool {
        self.faults().next().is_none()
    }

    /// How many checks passed.
    pub fn passed(&self) -> usize {
        self.places.iter().map(|place| place.passed.len()).sum()
    }

    /// How many questions were asked again.
    pub fn retried(&self) -> usize {
        self.places.iter().map(|place| place.retried).sum()
    }

    /// What was not checked, with where: one of each reason, in order. What rests on a failure is
    /// not among it.
    pub fn left_out(&self) -> Vec<(WhyNot, Vec<Check>, Vec<&str>)> {
        let mut all: Vec<(WhyNot, Vec<Check>, Vec<&str>)> = Vec::new();
        for place in &self.places {
            for LeftOut { check, why } in &place.left {
                if matches!(why, WhyNot::Rests(_)) {
                    continue;
                }
                let known = all.iter_mut().find(|(known, ..)| known == why);
                let (_, checks, places) = match known {
                    Some(known) => known,
                    None => {
                        all.push((why.clone(), Vec::new(), Vec::new()));
                        let Some(new) = all.last_mut() else { continue };
                        new
                    }
                };
                if !checks.contains(check) {
                    checks.push(*check);
                }
                if !places.contains(&place.name.as_str()) {
                    places.push(&place.name);
                }
            }
        }
        all
    }
}

impl PlaceAccount {
    fn of(place: &Place) -> Self {
        let Place { name, at: _, checked, retried } = place;
        let mut account = Self {
            name: name.clone(),
            passed: Vec::new(),
            left: Vec::new(),
            failed: Vec::new(),
            retried: retried.len(),
        };
        for Checked { check, outcome } in checked {
            match outcome {
                Outcome::Passed { evidence: _ } => account.passed.push(*check),
                // What nobody could ask was not verified, and its agent should answer.
                Outcome::Unverified { why: why @ WhyNot::Silent } => account.failed.push(Failed {
                    check: *check,
                    fault: why.to_string(),
                    remedy: "look at its agent: systemctl status quaymaster-agent".to_owned(),
                }),
                Outcome::Unverified { why } => {
                    account.left.push(LeftOut { check: *check, why: why.clone() });
                }
                Outcome::Failed { faults } => {
                    account.failed.extend(faults.iter().map(|fault| failed(*check, fault)));
                }
            }
        }
        account
    }
}

fn failed(check: Check, fault: &Fault) -> Failed {
    Failed { check, fault: fault.to_string(), remedy: fault.remedy() }
}

#[cfg(test)]
mod tests {
    use quaymaster_proto::Mode;

    use super::*;

    fn place(name: &str, checked: Vec<(Check, Outcome)>) -> Place {
        let checked =
            checked.into_iter().map(|(check, outcome)| Checked { check, outcome }).collect();
        let retried = vec!["500".to_owned()];
        Place { name: name.to_owned(), at: String::new(), checked, retried }
    }

    fn passed() -> Outcome {
        Outcome::Passed { evidence: "yes".to_owned() }
    }

    fn left(why: WhyNot) -> Outcome {
        Outcome::Unverified { why }
    }

    #[test]
    fn what_was_left_out_is_told_once_for_each_reason_and_is_no_fault() {
        let of = |name| {
            place(
                name,
                vec![
                    (Check::Api, passed()),
                    (Check::Schema2, left(WhyNot::NoLogin)),
                    (Check::List, left(WhyNot::NoLogin)),
                ],
            )
        };
        let account = Account::of(&[of("quay-1"), of("quay-2")]);
        assert!(account.is_good());
        assert_eq!((account.passed(), account.retried()), (2, 2));
        let checks = vec![Check::Schema2, Check::List];
        assert_eq!(account.left_out(), [(WhyNot::NoLogin, checks, vec!["quay-1", "quay-2"])]);
    }

    #[test]
    fn each_fault_is_kept_in_words_with_its_remedy_and_what_rests_on_it_is_not_told() {
        let expected = Mode::Complete;
        let fault = Fault::OtherMode { expected, shows: Some(Mode::Background), status: 415 };
        let account = Account::of(&[place(
            "quay-2",
            vec![
                (Check::Mode, Outcome::Failed { faults: vec![fault.clone()] }),
                (Check::List, left(WhyNot::Rests(Check::Mode))),
            ],
        )]);
        let faults: Vec<_> = account.faults().collect();
        let told = Failed { check: Check::Mode, fault: fault.to_string(), remedy: fault.remedy() };
        assert_eq!(faults, [("quay-2", &told)]);
        assert!(account.left_out().is_empty());
        let json = serde_json::to_string(&account).unwrap();
        assert_eq!(serde_json::from_str::<Account>(&json).unwrap(), account);
    }

    #[test]
    fn a_node_that_nobody_could_ask_is_not_verified_and_one_without_a_port_is_only_told() {
        let silent = Place::unasked("quay-1".to_owned(), WhyNot::Silent);
        let no_port = Place::unasked("quay-2".to_owned(), WhyNot::NoPort);
        assert!(!Account::of(&[silent]).is_good());
        let account = Account::of(&[no_port]);
        assert!(account.is_good());
        assert_eq!(account.left_out().len(), 1);
    }
}
