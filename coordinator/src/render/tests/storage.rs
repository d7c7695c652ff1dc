//! What is kept of the storage, wherever that is told.

use quaymaster_proto::storage::KeptStorage;

use super::*;
use crate::cluster::StorageBackup;
use crate::render::rollback;
use crate::report::Report;

/// The parts of a page that begin with these words.
fn parts(page: &str, words: &[&str]) -> String {
    let mut is_one = false;
    let lines = page.lines().filter(|line| {
        if !line.starts_with("          ") {
            is_one = words.iter().any(|word| line.trim_start().starts_with(word));
        }
        is_one
    });
    lines.fold(String::new(), |text, line| text + line.trim_end() + "\n")
}

#[test]
fn what_is_kept_of_the_storage_is_planned_reported_and_told_before_a_rollback() {
    let window = background();
    let planned = |choice, reflinks| {
        let mut cluster = fixture::cluster(3);
        cluster.storage = Some(choice);
        let facts = fixture::on_2_9_5(&cluster);
        let mut answers = fixture::answers(&facts, &window);
        fixture::store(&mut answers, 412_000_000_000, 1_204_000, reflinks);
        fixture::plan_of(&cluster, &facts, &window, &answers).check().unwrap()
    };
    let copied = |reflinked, misnamed| KeptStorage::Copied {
        from: vec!["/mnt/quay/storage/registry".to_owned()],
        files: 1_204_000,
        bytes: 412_000_000_000,
        reflinked,
        misnamed,
        millis: 63_000,
    };
    let said = "snapshot quay-2026-11-22".to_owned();
    let hooked = KeptStorage::Hooked { said, millis: 4_200 };
    let mut text = String::new();
    for (choice, reflinks, kept) in [
        (StorageBackup::Copy, true, copied(1_204_000, 0)),
        (StorageBackup::Copy, false, copied(0, 2)),
        (StorageBackup::Hook, false, hooked),
    ] {
        let checked = planned(choice, reflinks);
        let page = plan(&checked, soon(), "quaymaster apply PLAN", UNICODE);
        fits(&page);
        text.push_str(&parts(&page, &["backup", " 9  backup", "11  backup", "outage", "assumes"]));
        let state = finished(&checked);
        let mut report: Report = crate::report::report(checked.plan(), &state);
        let mut backup = report.backup.clone().unwrap();
        backup.storage = Some(kept);
        report.backup = Some(backup.clone());
        let page = super::super::report(&checked, &report, "quaymaster", UNICODE);
        fits(&page);
        text.push_str(&parts(&page, &["backup  "]));
        let page = rollback(checked.plan(), &state, &backup, soon());
        text.push_str(&parts(&page, &["beware", "down for"]));
        text.push('\n');
    }
    insta::assert_snapshot!(text);
}
