//! Hides secrets in lines that leave the node.

use crate::secret::Secret;

/// What stands in a line where a secret stood.
const MASKED: &str = "[masked]";

/// A shorter line of a secret with several (a brace, a blank one) tells nothing,
/// and hiding it would spoil every line of the log.
const SHORTEST_LINE: usize = 4;

/// The secrets to hide, longest first, so that one inside another leaves no
/// rest.
#[derive(Clone, Debug)]
pub struct Mask {
    secrets: Vec<Secret>,
}

impl Mask {
    /// Hides these. Empty ones are left out.
    pub fn new(secrets: impl IntoIterator<Item = Secret>) -> Self {
        let mut secrets: Vec<Secret> =
            secrets.into_iter().filter(|secret| !secret.expose().is_empty()).collect();
        secrets.sort_by(|one, other| {
            let length = |secret: &Secret| secret.expose().len();
            length(other).cmp(&length(one)).then_with(|| one.cmp(other))
        });
        secrets.dedup();
        Self { secrets }
    }

    /// The line without any of the secrets. A secret of several lines is
    /// hidden line by line.
    pub fn apply(&self, line: &str) -> String {
        self.secrets.iter().flat_map(parts).fold(line.to_owned(), |line, part| {
            if line.contains(part) { line.replace(part, MASKED) } else { line }
        })
    }
}

/// A secret's lines: whole if it has one, or else those that tell something.
fn parts(secret: &Secret) -> impl Iterator<Item = &str> {
    let is_one = secret.expose().lines().count() == 1;
    secret.expose().lines().filter(move |line| is_one || line.trim().len() >= SHORTEST_LINE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(secrets: &[&str]) -> Mask {
        Mask::new(secrets.iter().map(|text| Secret::new(*text)))
    }

    #[test]
    fn every_secret_goes_and_the_rest_of_the_line_stays() {
        let mask = mask(&["hunter2", "", "hunter", "k3y"]);
        assert_eq!(
            mask.apply("connecting as quay:hunter2@db with k3y, hunter2 again"),
            "connecting as quay:[masked]@db with [masked], [masked] again"
        );
        assert_eq!(mask.apply("nothing here"), "nothing here");
    }

    #[test]
    fn a_key_of_several_lines_is_hidden_line_by_line() {
        let mask = mask(&["{\nabcdef\n\n}\n"]);
        assert_eq!(mask.apply("read abcdef"), "read [masked]");
        assert_eq!(mask.apply("{read}  on"), "{read}  on");
    }
}
