//! How many bytes of a pull are here, out of what the engine says layer by
//! layer. Pure.

use std::collections::BTreeMap;

use crate::engine::PullStep;

/// The layers of one pull.
#[derive(Default, Debug)]
pub(super) struct Layers(BTreeMap<String, (u64, u64)>);

impl Layers {
    /// Takes one step in.
    pub(super) fn take(&mut self, step: &PullStep) {
        let PullStep { layer, status, done, total } = step;
        match status.as_str() {
            "Downloading" => {
                let (known_done, known_total) = self.0.entry(layer.clone()).or_default();
                *known_done = done.unwrap_or(*known_done);
                *known_total = total.unwrap_or(*known_total).max(*known_done);
            }
            // Counted from here on as unpacked bytes, which are other ones.
            "Download complete" | "Pull complete" => {
                if let Some((done, total)) = self.0.get_mut(layer) {
                    *done = *total;
                }
            }
            _ => {}
        }
    }

    /// Bytes so far and in all.
    pub(super) fn bytes(&self) -> (u64, u64) {
        self.0.values().fold((0, 0), |(done, total), layer| (done + layer.0, total + layer.1))
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
}
