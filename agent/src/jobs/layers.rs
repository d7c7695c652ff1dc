//! How many bytes of a pull are here, out of what the engine says layer by
//! layer. Pure.

use std::collections::BTreeMap;

use crate::engine::PullStep;

/// The layers of one pull, over all its tries.
#[derive(Default, Debug)]
pub(super) struct Layers {
    /// Bytes here and in all.
    bytes: BTreeMap<String, (u64, u64)>,
    /// The last step of each layer: an engine that repeats itself gets no
    /// further.
    last: BTreeMap<String, PullStep>,
}

impl Layers {
    /// Takes one step in, and says whether it brought anything new.
    pub(super) fn take(&mut self, step: &PullStep) -> bool {
        let is_new = self.last.insert(step.layer.clone(), step.clone()).as_ref() != Some(step);
        let PullStep { layer, status, done, total } = step;
        match status.as_str() {
            "Downloading" => {
                let (known_done, known_total) = self.bytes.entry(layer.clone()).or_default();
                *known_done = done.unwrap_or(*known_done);
                *known_total = total.unwrap_or(*known_total).max(*known_done);
            }
            // Counted from here on as unpacked bytes, which are other ones.
            "Download complete" | "Pull complete" | "Already exists" => {
                if let Some((done, total)) = self.bytes.get_mut(layer) {
                    *done = *total;
                }
            }
            _ => {}
        }
        is_new
    }

    /// What the engine itself tries again; its countdown is not passed on.
    pub(super) fn retried(&self) -> Option<String> {
        let retried = self.last.values().find(|step| step.status.starts_with("Retrying in"))?;
        Some(format!("layer {} broke off; the engine tries it again", retried.layer))
    }

    /// A new try begins: what the engine waited for in the last one is past.
    pub(super) fn begin(&mut self) {
        self.last.clear();
    }

    /// Bytes so far and in all.
    pub(super) fn bytes(&self) -> (u64, u64) {
        self.bytes.values().fold((0, 0), |(done, total), layer| (done + layer.0, total + layer.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unpacking_does_not_count_twice() {
        let step = |layer: &str, status: &str, done, total| PullStep {
            layer: layer.to_owned(),
            status: status.to_owned(),
            done,
            total,
        };
        let mut layers = Layers::default();
        layers.take(&step("", "Pulling from quay", None, None));
        layers.take(&step("a", "Downloading", Some(10), Some(100)));
        layers.take(&step("b", "Already exists", None, None));
        assert_eq!(layers.bytes(), (10, 100));
        layers.take(&step("a", "Download complete", None, None));
        layers.take(&step("a", "Extracting", Some(5), Some(300)));
        assert_eq!(layers.bytes(), (100, 100));
    }

    #[test]
    fn what_is_repeated_is_no_progress_and_what_was_finished_stays() {
        let step = |status: &str, done| PullStep {
            layer: "a".to_owned(),
            status: status.to_owned(),
            done,
            total: done.map(|_| 100),
        };
        let mut layers = Layers::default();
        assert!(layers.take(&step("Downloading", Some(10))));
        assert!(!layers.take(&step("Downloading", Some(10))));
        assert!(layers.take(&step("Downloading", Some(20))));
        assert_eq!(layers.retried(), None);
        layers.take(&step("Retrying in 5 seconds", None));
        assert_eq!(layers.retried().unwrap(), "layer a broke off; the engine tries it again");
        layers.begin();
        assert_eq!(layers.retried(), None);
        assert!(layers.take(&step("Already exists", None)));
        assert_eq!(layers.bytes(), (100, 100));
    }
}
