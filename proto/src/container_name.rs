//! The names that agents give to the containers they stage and retire, as both
//! sides know them again.

use crate::id::RunId;

/// The name of the next container until its own gate.
pub fn staged(well_known: &str, run: RunId, attempt: u32) -> String {
    numbered(format!("{well_known}.quaymaster-{}-next", run.short()), attempt)
}

/// The name of a fresh container of what ran before, until its own gate.
pub fn back(well_known: &str, run: RunId, attempt: u32) -> String {
    numbered(format!("{well_known}.quaymaster-{}-back", run.short()), attempt)
}

/// The name of the old container after its stop.
pub fn retired(well_known: &str, run: RunId) -> String {
    format!("{well_known}.quaymaster-{}-old", run.short())
}

/// The name of what a rollback took down.
pub fn undone(well_known: &str, run: RunId) -> String {
    format!("{well_known}.quaymaster-{}-undone", run.short())
}

fn numbered(name: String, attempt: u32) -> String {
    if attempt > 1 { format!("{name}-{attempt}") } else { name }
}

/// Whether a name is one that an agent gives to containers of a component.
pub fn is_given(well_known: &str, name: &str) -> bool {
    let end = given(well_known, name);
    end.is_some_and(|end| ["next", "back", "old", "undone"].iter().any(|kind| is_of(kind, end)))
}

/// Whether a name is that of what a rollback took down.
pub fn is_undone(well_known: &str, name: &str) -> bool {
    given(well_known, name).is_some_and(|end| is_of("undone", end))
}

/// Whether a name is a retired container's.
pub fn is_retired(well_known: &str, name: &str) -> bool {
    given(well_known, name).is_some_and(|end| is_of("old", end))
}

/// Whether the end of a name is this kind, alone or with a number or an id.
fn is_of(kind: &str, end: &str) -> bool {
    end.strip_prefix(kind).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// What an agent added to a well-known name, behind the run.
fn given<'a>(well_known: &str, name: &'a str) -> Option<&'a str> {
    let rest = name.strip_prefix(well_known)?.strip_prefix(".quaymaster-")?;
    rest.split_once('-').map(|(_, end)| end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_names_are_known_again_and_others_are_not() {
        let run = "01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap();
        assert_eq!(staged("quay", run, 1), "quay.quaymaster-q69g5fav-next");
        assert_eq!(staged("quay", run, 2), "quay.quaymaster-q69g5fav-next-2");
        assert_eq!(back("quay", run, 1), "quay.quaymaster-q69g5fav-back");
        assert_eq!(back("quay", run, 3), "quay.quaymaster-q69g5fav-back-3");
        assert_eq!(retired("quay", run), "quay.quaymaster-q69g5fav-old");
        let others = [staged("quay", run, 1), staged("quay", run, 2), back("quay", run, 3)];
        for name in others.into_iter().chain([undone("quay", run)]) {
            assert!(is_given("quay", &name) && !is_retired("quay", &name), "{name}");
        }
        for name in [retired("quay", run), format!("{}-0123456789ab", retired("quay", run))] {
            assert!(is_given("quay", &name) && is_retired("quay", &name), "{name}");
        }
        assert!(!is_retired("builder-old", &staged("builder-old", run, 1)));
        for other in ["quay", "quay-builder", "quay.quaymaster-x", "my-quay.quaymaster-x-next"] {
            assert!(!is_given("quay", other), "{other}");
        }
    }
}
