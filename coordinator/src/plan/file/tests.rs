use proptest::prelude::*;
use quaymaster_proto::Mode;

use super::*;
use crate::survey::fixture;

fn plan() -> CheckedPlan {
    let cluster = fixture::cluster(3);
    let window = fixture::window(1, 2, ("2.9.5", Mode::Absent), ("3.0.5", Mode::Background));
    fixture::plan(&cluster, &fixture::on_2_9_5(&cluster), &window).check().unwrap()
}

fn prod() -> ClusterName {
    "prod".parse().unwrap()
}

fn refusal(text: &str, cluster: &ClusterName) -> String {
    let error = read(text, cluster).unwrap_err();
    format!("{error}\n  {}", error.remedy())
}

#[test]
fn a_plan_is_read_as_it_was_written() {
    let plan = plan();
    let text = write(&plan);
    assert_eq!(read(&text, &prod()).unwrap(), plan);
    assert_eq!(name(plan.digest()), format!("{}.json", plan.digest().short()));
}

#[test]
fn whatever_is_not_this_clusters_unedited_plan_is_refused_by_name() {
    let text = write(&plan());
    let reread = |edit: &dyn Fn(&mut Map<String, Value>)| {
        let Value::Object(mut file) = serde_json::from_str(&text).unwrap() else { panic!() };
        edit(&mut file);
        file.remove(DIGEST);
        let digest = digest_of(&file);
        file.insert(DIGEST.to_owned(), Value::String(digest.to_string()));
        refusal(&Value::Object(file).to_string(), &prod())
    };
    let texts = [
        refusal("not json", &prod()),
        refusal("[]", &prod()),
        refusal("{}", &prod()),
        refusal(&text.replace("\"version\": 1", "\"version\": 2"), &prod()),
        refusal(&text.replace("\"digest\"", "\"digests\""), &prod()),
        refusal(&text.replace("quay-2", "quay-9"), &prod()),
        refusal(&text, &"test".parse().unwrap()),
        reread(&|file| drop(file.insert("more".to_owned(), Value::Null))),
        reread(&|file| drop(file.insert("first".to_owned(), Value::String("quay-9".into())))),
    ];
    insta::assert_snapshot!(texts.join("\n"));
}

/// The same object with its keys in another order.
fn shuffled(value: &Value, seed: u64) -> String {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            let place = |key: &str| {
                let bytes = key.bytes().map(u64::from);
                bytes.fold(seed, |hash, byte| (hash ^ byte).wrapping_mul(0x0100_0000_01b3))
            };
            entries.sort_by_key(|(key, _)| place(key));
            let parts: Vec<String> = entries
                .into_iter()
                .map(|(key, value)| {
                    format!("{}: {}", Value::from(key.as_str()), shuffled(value, seed))
                })
                .collect();
            format!("{{{}}}", parts.join(",\n"))
        }
        Value::Array(values) => {
            let parts: Vec<String> = values.iter().map(|value| shuffled(value, seed)).collect();
            format!("[{}]", parts.join(", "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// A file that a tool reformatted is the same plan.
    #[test]
    fn the_digest_does_not_depend_on_the_order_of_keys(seed in any::<u64>()) {
        let plan = plan();
        let value: Value = serde_json::from_str(&write(&plan)).unwrap();
        let again = read(&shuffled(&value, seed), &prod()).unwrap();
        prop_assert_eq!(again.digest(), plan.digest());
    }
}
