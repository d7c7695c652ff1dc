use std::fmt::Write as _;

use quaymaster_proto::ContainerStatus;
use quaymaster_proto::storage::HookFooting;

use super::*;
use crate::cluster::StorageBackup;
use crate::survey::{LAB_LABEL, fixture};

mod case;
mod waivers;

use case::{Case, Spoiled};

/// Findings as a reviewer reads them.
fn shown(findings: &Findings) -> String {
    let mut text = String::new();
    for finding in findings.all() {
        let (code, severity) = (finding.code(), finding.severity());
        writeln!(text, "{code} {severity}: {finding}\n  {}", finding.remedy()).unwrap();
    }
    text
}

/// One finding, spoiled into a healthy cluster.
fn found(case: fn() -> Case, spoil: impl FnOnce(&mut Case)) -> String {
    let mut case = case();
    spoil(&mut case);
    shown(&case.findings())
}

#[test]
fn nothing_speaks_against_a_healthy_cluster() {
    assert_eq!(shown(&Case::on_2_9_5().findings()), "");
    assert_eq!(shown(&Case::on_background().findings()), "");
}

/// With the test above: each check fires where it should, and not where it
/// should not.
#[test]
fn every_code_is_found_where_it_should_be() {
    for (code, healthy, spoil) in case::all() {
        let mut case = healthy();
        spoil(&mut case);
        let findings = case.findings();
        let is_it = |finding: &&Finding| finding.code() == *code;
        assert!(
            findings.all().iter().any(|finding| is_it(&finding)),
            "{code}: {}",
            shown(&findings)
        );
    }
    let untried: Vec<&Code> = Code::ALL
        .iter()
        .filter(|code| !case::all().any(|(spoiled, _, _)| spoiled == *code))
        .collect();
    assert_eq!(untried, [] as [&Code; 0], "no test makes these fire");
}

fn texts(spoiled: &[Spoiled]) -> String {
    let texts = spoiled.iter().map(|(_, healthy, spoil)| found(*healthy, spoil));
    texts.collect::<Vec<_>>().join("\n")
}

#[test]
fn agents_engines_and_clocks() {
    insta::assert_snapshot!(texts(case::NODES));
}

#[test]
fn what_runs() {
    insta::assert_snapshot!(texts(case::RUNNING));
}

#[test]
fn containers() {
    insta::assert_snapshot!(texts(case::CONTAINERS));
}

#[test]
fn what_is_documented() {
    insta::assert_snapshot!(texts(case::DOCUMENTED));
}

#[test]
fn companions() {
    insta::assert_snapshot!(texts(case::COMPANIONS));
}

#[test]
fn a_retired_container_is_no_stray() {
    let text = found(Case::on_2_9_5, |case| {
        let mut retired = case.container(2).clone();
        retired.state.status = ContainerStatus::Exited;
        case.node(2).facts.components[0].others.push(retired);
    });
    assert_eq!(text, "");
}

#[test]
fn config_yaml() {
    insta::assert_snapshot!(texts(case::CONFIGS));
}

#[test]
fn databases() {
    insta::assert_snapshot!(texts(case::DATABASES));
}

#[test]
fn images() {
    let mut text = texts(case::IMAGES);
    // The others ask a registry, and lack the image.
    text.push_str(&found(Case::on_2_9_5, |case| case.load(&[(2, 'b')])));
    insta::assert_snapshot!(text);
}

#[test]
fn a_short_poll_is_a_labs_own_affair() {
    let text = found(Case::on_2_9_5, |case| {
        case.cluster.timings.backfill.poll = std::time::Duration::from_millis(100);
        for number in 1..=3 {
            case.container(number).labels.insert(LAB_LABEL.into(), "demo".into());
        }
    });
    assert_eq!(text, "");
}

#[test]
fn backups() {
    let mut text = texts(case::BACKUPS);
    // Whoever is to do it counts, and nobody else.
    let healthy = [
        found(Case::on_2_9_5, |case| {
            case.node(1).facts.backup = None;
            case.cluster.backup = case::name(2);
        }),
        found(Case::on_2_9_5, |case| case.backup(1).free_bytes = Some(17_100_000_000)),
        found(Case::on_2_9_5, |case| case.backup(1).dump_versions.push("15.6".into())),
    ];
    assert_eq!(healthy, [""; 3]);
    let on_mysql = |found: &'static [&'static str]| {
        self::found(Case::on_2_9_5, |case| {
            case.on_mysql("10.11.6-MariaDB-log");
            case.backup(1).mysql_dump_versions = found.iter().map(|one| (*one).into()).collect();
        })
    };
    assert_eq!(on_mysql(&["MySQL 8.0.36", "MariaDB 11.4.2"]), "");
    text.push_str(&on_mysql(&[]));
    text.push('\n');
    text.push_str(&on_mysql(&["MySQL 8.0.36", "MariaDB 5.5.68"]));
    text.push_str(&found(Case::on_background, |case| {
        case.backup(3).newest = Some(fixture::survey_time());
        case.node(1).facts.backup = None;
        case.waived_backup = Some("the first window's is new enough");
    }));
    insta::assert_snapshot!(text);
}

#[test]
fn what_is_said_of_the_storage_is_nothing_once_somebody_has_chosen() {
    let chosen = |choice, hook: HookFooting, free_bytes| {
        found(Case::on_2_9_5, |case| {
            case.cluster.storage = Some(choice);
            case.store(case::local("/mnt/quay/storage"));
            case.footing(1).storage.hook = hook;
            case.backup(1).free_bytes = Some(free_bytes);
        })
    };
    // Half of the database, and all of the storage where it is copied.
    assert_eq!(chosen(StorageBackup::Copy, HookFooting::Unnamed, 57_100_000_000), "");
    assert_eq!(chosen(StorageBackup::Hook, HookFooting::Ready, 17_100_000_000), "");
    let full = chosen(StorageBackup::Copy, HookFooting::Unnamed, 56_900_000_000);
    assert!(full.starts_with("backup-no-room refuses"), "{full}");
    let problem = "the storage's hook `/x` cannot be run".to_owned();
    let broken = HookFooting::Unusable { problem };
    let broken = chosen(StorageBackup::Hook, broken, 57_100_000_000);
    assert!(broken.contains("and the storage's hook `/x` cannot be run"), "{broken}");
    // Whoever waives the backup waives all of it.
    let waived = found(Case::on_2_9_5, |case| {
        case.store(case::local("/mnt/quay/storage"));
        case.waived_backup = Some("a snapshot of all of it");
    });
    assert!(waived.starts_with("backup-waived") && !waived.contains("storage-not"), "{waived}");
}

#[test]
fn the_verification() {
    insta::assert_snapshot!(texts(case::VERIFICATION));
}
