//! The witness's word on a lab, as `quaymaster-lab check` gives it.

use serde_json::Value;

use crate::lab::TestLab;

/// What `check` printed.
#[derive(Clone, PartialEq, Debug)]
pub struct Verdict {
    /// The exit code was 0.
    pub is_clean: bool,
    pub json: Value,
}

impl TestLab {
    /// Asks the witness.
    pub async fn check(&self) -> Verdict {
        let dir = self.dir().to_owned();
        let outcome =
            self.quaymaster_lab(["check".as_ref(), "--dir".as_ref(), dir.as_os_str()]).await;
        let json = serde_json::from_str(&outcome.stdout)
            .unwrap_or_else(|error| no_verdict(&error, &outcome.page()));
        Verdict { is_clean: outcome.code == Some(0), json }
    }
}

#[expect(clippy::panic, reason = "a witness that says nothing fails the test")]
fn no_verdict(error: &serde_json::Error, page: &str) -> Value {
    panic!("check printed no verdict ({error}):\n{page}")
}

impl Verdict {
    /// Fails the test, with the evidence, where an invariant was broken.
    #[track_caller]
    pub fn expect_clean(&self) {
        let violations = &self.json["violations"];
        assert!(
            self.is_clean && violations.as_array().is_some_and(Vec::is_empty),
            "violations: {violations:#}"
        );
    }

    /// The numbers of the broken invariants, each once, in order.
    pub fn broken(&self) -> Vec<u64> {
        let violations = self.json["violations"].as_array().cloned().unwrap_or_default();
        let mut broken: Vec<u64> =
            violations.iter().filter_map(|violation| violation["invariant"].as_u64()).collect();
        broken.sort_unstable();
        broken.dedup();
        broken
    }

    /// What is broken in the database, in words: as it is now, and as the
    /// stand-ins saw it.
    pub fn damage(&self) -> Vec<String> {
        let observed = &self.json["observed"];
        [&observed["database"]["damage"], &observed["damage"]]
            .into_iter()
            .filter_map(Value::as_array)
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    }

    /// Every process of Quay that the witness saw.
    pub fn processes(&self) -> Vec<Value> {
        self.json["observed"]["processes"].as_array().cloned().unwrap_or_default()
    }

    /// `stop builder: quay-2, quay-5` for everything that engines stopped and
    /// started after the lab was made, in the order in which it was asked.
    pub fn moves(&self) -> Vec<String> {
        let moves = self.json["observed"]["moves"].as_array().cloned().unwrap_or_default();
        let line = |one: &Value| {
            let nodes = one["nodes"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let word = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
            let nodes = nodes.collect::<Vec<_>>().join(", ");
            format!("{} {}: {nodes}", word("turn"), word("component"))
        };
        let lines: Vec<String> = moves.iter().map(line).collect();
        // Making the lab is nothing but starts.
        lines.into_iter().skip_while(|line| line.starts_with("start ")).collect()
    }

    /// How many processes changed the schema or moved the tags of the offline
    /// migration.
    pub fn migrations(&self) -> usize {
        self.processes()
            .iter()
            .filter(|process| process["has_migrated"].as_bool() == Some(true))
            .count()
    }
}
