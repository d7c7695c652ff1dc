//! What a client found, in words: at a gate, in a hold, in a report.

use serde_json::{Value, json};

use super::figures::number;
use super::text::labelled;
use crate::run::Word;
use crate::verify::account::{Failed, LeftOut, PlaceAccount};
use crate::verify::{Account, Check, Sampling};

/// How many names of places are said before they are counted.
const NAMED: usize = 4;

/// Why the gate opened: `24 checks passed at 4 places; not checked: ...`.
pub(super) fn told(account: &Account, waived: Option<&Word>) -> String {
    let mut words = vec![passed(account)];
    let faults = account.faults().count();
    if faults > 0 {
        words.push(format!("FAILED: {}", self::faults(account).join("; ")));
    }
    if let Some(Word { by, because }) = waived {
        let because = because.as_deref().unwrap_or("no reason given");
        words.push(format!("waived by {by}: {because}"));
    }
    let left = left_out(account);
    if !left.is_empty() {
        words.push(format!("not checked: {}", left.join("; ")));
    }
    words.join("; ")
}

/// What passed, what did not, what was not checked: a line each.
pub(super) fn lines(account: &Account) -> Vec<String> {
    let failed = faults(account).into_iter().map(|fault| format!("FAILED   {fault}"));
    let left = left_out(account).into_iter().map(|left| format!("not checked   {left}"));
    std::iter::once(passed(account)).chain(failed).chain(left).collect()
}

/// The same as part of a screen; nothing where nothing was verified.
pub(super) fn labelled_lines(verified: Option<&(Account, Option<Word>)>) -> String {
    let lines = verified.map(|(account, _)| lines(account)).unwrap_or_default();
    let label = |index| if index == 0 { "verified" } else { "" };
    lines.iter().enumerate().map(|(index, words)| labelled(label(index), words)).collect()
}

/// The same without what passed.
pub(super) fn not_verified(account: &Account) -> Vec<String> {
    lines(account).into_iter().skip(1).map(|line| format!("its end: {line}")).collect()
}

/// `24 checks passed at 4 places`
pub(super) fn passed(account: &Account) -> String {
    let again = match account.retried() {
        0 => String::new(),
        retried => format!(", {} asked again", number(retried, "question")),
    };
    let (checks, places) = (number(account.passed(), "check"), account.places.len());
    format!("{checks} passed at {}{again}", number(places, "place"))
}

/// Each fault: `quay-2, manifest list: the list came back without ...`.
pub(super) fn faults(account: &Account) -> Vec<String> {
    let one = |(place, failed): (&str, &Failed)| {
        format!("{place}, {}: {}", failed.check.title(), failed.fault)
    };
    account.faults().map(one).collect()
}

/// What was not checked, one for each reason: `old images, tag lists (why)`.
pub(super) fn left_out(account: &Account) -> Vec<String> {
    let one = |(why, checks, places): (_, Vec<Check>, Vec<&str>)| {
        let checks = checks.iter().map(|check| check.title()).collect::<Vec<_>>().join(", ");
        let at = if places.len() == account.places.len() {
            String::new()
        } else if places.len() <= NAMED {
            format!(" at {}", places.join(", "))
        } else {
            format!(" at {}", number(places.len(), "place"))
        };
        format!("{checks}{at} ({why})")
    };
    account.left_out().into_iter().map(one).collect()
}

/// What is checked just now: `quay-1 manifest list, quay-2 schema 2`.
pub(super) fn just_now(places: &[(String, Check)]) -> String {
    match places {
        [] => "the checks of a registry's client".to_owned(),
        few if few.len() <= NAMED => {
            let one = |(place, check): &(String, Check)| format!("{place} {}", check.title());
            let each = few.iter().map(one).collect::<Vec<_>>().join(", ");
            format!("the checks of a registry's client: {each}")
        }
        many => format!("the checks of a registry's client at {}", number(many.len(), "place")),
    }
}

/// What the registry held before the first stop; `None` = nothing was to be held against it.
pub(super) fn sampled(sampling: &Sampling) -> Option<String> {
    match sampling {
        Sampling::Taken(sample) => {
            let (tags, images) = sample.counts();
            Some(format!("{}, {} to be found again", number(tags, "tag"), number(images, "image")))
        }
        Sampling::Nothing(crate::verify::WhyNot::NothingToSample) => None,
        Sampling::Nothing(why) => Some(format!("none: {why}")),
    }
}

/// The same for programs.
pub(super) fn account_json(account: &Account, waived: Option<&Word>) -> Value {
    let place = |place: &PlaceAccount| {
        let PlaceAccount { name, passed, left, failed, retried } = place;
        let left: Vec<Value> = left
            .iter()
            .map(|LeftOut { check, why }| json!({ "check": check, "why": why.to_string() }))
            .collect();
        json!({
            "name": name, "passed": passed, "not_checked": left, "failed": failed,
            "retried": retried,
        })
    };
    let places: Vec<Value> = account.places.iter().map(place).collect();
    json!({ "verified": account.is_good(), "places": places, "waived": waived })
}
