//! What runs: a release in a mode. Two of them exclude each other. Pure.

use std::fmt;

/// Ordered from old to new, 3.0.5 in background before 3.0.5 in complete.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Generation {
    numbers: Vec<u32>,
    mode: Mode,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Mode {
    /// Of a release that has no modes, or not set.
    None,
    Background,
    Other(String),
    Complete,
}

impl Generation {
    pub(super) fn new(release: &str, mode: Option<&str>) -> Self {
        let numbers: Vec<u32> =
            release.split('.').filter_map(|number| number.parse().ok()).collect();
        let has_modes = numbers.first().is_some_and(|major| *major >= 3);
        let mode = match mode.filter(|_| has_modes) {
            None => Mode::None,
            Some("background") => Mode::Background,
            Some("complete") => Mode::Complete,
            Some(other) => Mode::Other(other.to_owned()),
        };
        Self { numbers, mode }
    }

    pub(super) fn is_background(&self) -> bool {
        self.mode == Mode::Background
    }

    /// The mode that config.yaml has to carry for this generation; `None` where it has none to
    /// carry.
    pub(super) fn mode(&self) -> Option<&str> {
        match &self.mode {
            Mode::None => None,
            Mode::Background => Some("background"),
            Mode::Complete => Some("complete"),
            Mode::Other(other) => Some(other),
        }
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, number) in self.numbers.iter().enumerate() {
            let dot = if index == 0 { "" } else { "." };
            write!(formatter, "{dot}{number}")?;
        }
        match self.mode() {
            Some(mode) => write!(formatter, " {mode}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn background_is_older_than_complete_and_2_9_has_no_mode() {
        let old = Generation::new("2.9.5", Some("background"));
        let background = Generation::new("3.0.5", Some("background"));
        let complete = Generation::new("3.0.5", Some("complete"));
        assert_eq!(old, Generation::new("2.9.5", None));
        assert!(old < background && background < complete);
        assert_eq!(background.to_string(), "3.0.5 background");
    }
}
