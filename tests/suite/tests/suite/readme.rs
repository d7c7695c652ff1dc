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

/// The rows of the table with this heading, their cells.
fn rows(readme: &str, head: &str) -> Vec<Vec<String>> {
    let table = readme.lines().skip_while(|line| !line.starts_with(head)).skip(2);
    let rows = table.take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

fn readme() -> String {
    std::fs::read_to_string(root().join("README.md")).unwrap()
}

/// Asserts that the last cell of each row names tests, and that they are there.
fn name_tests(rows: &[Vec<String>]) {
    let mut code = String::new();
    for room in ["agent/src", "coordinator/src", "tests"] {
        sources(&root().join(room), &mut code);
    }
    for row in rows {
        let names: Vec<&str> = row.last().unwrap().split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "{row:?}");
        for name in names {
            let test = name.rsplit("::").next().unwrap().trim_end_matches('*');
            let is_there = [format!("fn {test}"), format!("mod {test};")];
            assert!(is_there.iter().any(|words| code.contains(words)), "no test `{name}`");
        }
    }
}

#[test]
fn every_row_of_failures_names_a_test_that_is_there() {
    let rows = rows(&readme(), "| what goes wrong |");
    assert!(rows.len() > 10, "{} rows", rows.len());
    name_tests(&rows);
}

#[test]
fn every_step_of_the_documented_procedure_has_its_own_and_a_test() {
    let rows = rows(&readme(), "| documented step |");
    name_tests(&rows);
    assert!(rows.iter().flatten().all(|cell| !cell.is_empty()), "{rows:#?}");
    // So many steps each section has, and images.
    let of = |section: &str| rows.iter().filter(|row| row[0].starts_with(section)).count();
    let steps =
        |section: &str, last: usize| (1..=last).all(|step| of(&format!("{section} ({step})")) > 0);
    assert!(of("3.15.2 ") == 3 && of("3.15.3 ") == 2 && of("3.15.6 ") == 5);
    assert!(steps("3.15.4", 6) && steps("3.15.5", 13));
}
