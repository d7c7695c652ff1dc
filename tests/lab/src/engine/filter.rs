//! The `filters` of a request: `{"name":["a"]}`, or the older
//! `{"name":{"a":true}}`. One value of every given key has to match.

use std::collections::BTreeMap;

/// What a list or an event stream is narrowed to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Filters(BTreeMap<String, Vec<String>>);

/// Why filters are refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum FilterRefusal {
    NotJson,
    Unknown(String),
}

impl Filters {
    /// Reads filters and refuses a key that the caller does not know.
    pub(crate) fn parse(text: Option<&str>, known: &[&str]) -> Result<Self, FilterRefusal> {
        let Some(text) = text.filter(|text| !text.is_empty()) else {
            return Ok(Self::default());
        };
        let lists = serde_json::from_str::<BTreeMap<String, Vec<String>>>(text)
            .or_else(|_| {
                serde_json::from_str::<BTreeMap<String, BTreeMap<String, bool>>>(text).map(|maps| {
                    let names = |set: BTreeMap<String, bool>| set.into_keys().collect();
                    maps.into_iter().map(|(key, set)| (key, names(set))).collect()
                })
            })
            .map_err(|_| FilterRefusal::NotJson)?;
        match lists.keys().find(|key| !known.contains(&key.as_str())) {
            Some(unknown) => Err(FilterRefusal::Unknown(unknown.clone())),
            None => Ok(Self(lists)),
        }
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.0.get(key).is_some_and(|values| !values.is_empty())
    }

    /// Whether one of the key's values passes, or the key is not given.
    pub(crate) fn allows(&self, key: &str, passes: impl FnMut(&String) -> bool) -> bool {
        match self.0.get(key).filter(|values| !values.is_empty()) {
            Some(values) => values.iter().any(passes),
            None => true,
        }
    }

    /// Whether every label asked for, as `name` or `name=value`, is there.
    pub(crate) fn allows_labels(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.get("label").is_none_or(|wanted| {
            wanted.iter().all(|label| match label.split_once('=') {
                Some((name, value)) => labels.get(name).is_some_and(|found| found == value),
                None => labels.contains_key(label),
            })
        })
    }
}

/// Docker reads a name filter as a regular expression; of these the anchors,
/// the optional slash and escaped characters are understood here.
pub(crate) fn name_matches(pattern: &str, name: &str) -> bool {
    let plain = pattern.replace('\\', "");
    let (at_start, rest) = plain.strip_prefix('^').map_or((false, plain.as_str()), |s| (true, s));
    let (at_end, rest) = rest.strip_suffix('$').map_or((false, rest), |rest| (true, rest));
    let wanted = rest.strip_prefix("/?").or_else(|| rest.strip_prefix('/')).unwrap_or(rest);
    match (at_start, at_end) {
        (true, true) => name == wanted,
        (true, false) => name.starts_with(wanted),
        (false, true) => name.ends_with(wanted),
        (false, false) => name.contains(wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shapes_are_read_and_unknown_keys_refused() {
        let list = Filters::parse(Some(r#"{"name":["a"]}"#), &["name"]).unwrap();
        let map = Filters::parse(Some(r#"{"name":{"a":true}}"#), &["name"]).unwrap();
        assert_eq!(list, map);
        assert_eq!(
            Filters::parse(Some(r#"{"bogus":["a"]}"#), &["name"]),
            Err(FilterRefusal::Unknown("bogus".to_owned()))
        );
    }

    #[test]
    fn a_name_may_be_anchored() {
        assert!(name_matches("qu", "quay"));
        assert!(name_matches("^/quay$", "quay"));
        assert!(name_matches("^/?quay$", "quay"));
        assert!(name_matches(r"^quay\.old$", "quay.old"));
        assert!(!name_matches("^quay$", "quay.old"));
        assert!(name_matches("^quay", "quay.old"));
    }

    #[test]
    fn labels_are_asked_for_by_name_or_with_a_value() {
        let labels = [("a".to_owned(), "1".to_owned())].into();
        let asked = |text| Filters::parse(Some(text), &["label"]).unwrap().allows_labels(&labels);
        assert!(asked(r#"{"label":["a"]}"#));
        assert!(asked(r#"{"label":["a=1"]}"#));
        assert!(!asked(r#"{"label":["a=1","b"]}"#));
    }
}
