//! The names that agents give to the containers they stage and retire, as both
//! sides know them again.

use crate::id::RunId;

/// The name of the next container until its own gate.
pub fn staged(well_known: &str, run: RunId) -> String {
    format!("{well_known}.quaymaster-{}-next", run.short())
}

/// The name of the old container after its stop.
pub fn retired(well_known: &str, run: RunId) -> String {
    format!("{well_known}.quaymaster-{}-old", run.short())
}

/// Whether a name is one that an agent gives to containers of a component.
pub fn is_given(well_known: &str, name: &str) -> bool {
    given(well_known, name).is_some_and(|rest| rest.ends_with("-next") || rest.contains("-old"))
}

/// Whether a name is a retired container's.
pub fn is_retired(well_known: &str, name: &str) -> bool {
    given(well_known, name).is_some_and(|rest| rest.contains("-old"))
}

/// What an agent added to a well-known name.
fn given<'a>(well_known: &str, name: &'a str) -> Option<&'a str> {
    name.strip_prefix(well_known)?.strip_prefix(".quaymaster-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_names_are_known_again_and_others_are_not() {
        let run = "01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap();
        assert_eq!(staged("quay", run), "quay.quaymaster-q69g5fav-next");
        assert_eq!(retired("quay", run), "quay.quaymaster-q69g5fav-old");
        assert!(is_given("quay", &staged("quay", run)) && is_given("quay", &retired("quay", run)));
        assert!(is_retired("quay", &retired("quay", run)));
        assert!(!is_retired("quay", &staged("quay", run)));
        assert!(!is_retired("builder-old", &staged("builder-old", run)));
        for other in ["quay", "quay-builder", "quay.quaymaster-x", "my-quay.quaymaster-x-next"] {
            assert!(!is_given("quay", other), "{other}");
        }
    }
}
