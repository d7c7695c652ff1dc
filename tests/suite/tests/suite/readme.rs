//! What the README says of failures is shown by tests that are there.

use std::path::Path;

/// Every source file of the tests and of the crates, as one text.
fn sources(directory: &Path, text: &mut String) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|end| end == "rs") {
            text.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_row_of_failures_names_a_test_that_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let mut code = String::new();
    for room in ["agent/src", "coordinator/src", "tests"] {
        sources(&root.join(room), &mut code);
    }
    let mut rows = 0;
    let is_head = |line: &&str| line.starts_with("| what goes wrong |");
    let table = readme.lines().skip_while(|line| !is_head(line)).skip(2);
    for row in table.take_while(|line| line.starts_with('|')) {
        rows += 1;
        let shown_by = row.trim_end_matches('|').rsplit('|').next().unwrap();
        let names: Vec<&str> = shown_by.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "{row}");
        for name in names {
            let test = name.rsplit("::").next().unwrap().trim_end_matches('*');
            let is_there = [format!("fn {test}"), format!("mod {test};")];
            assert!(is_there.iter().any(|words| code.contains(words)), "no test `{name}`");
        }
    }
    assert!(rows > 10, "{rows} rows");
}
