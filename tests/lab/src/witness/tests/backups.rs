//! A run that comes to its migrating start without a backup that holds everything. In a scene in
//! order the last Quay ends at 3000, and the first new one starts at 4000.

use super::*;

const DATABASE: &str = "postgresql:1/2";
const REVISION: &str = "5b7503aada1b";

fn crossing(promised: Promised) -> Crossing {
    Crossing { run: "R".into(), node: "quay-1".into(), at: moment(3900), promised }
}

fn promised() -> Promised {
    Promised::Backup { identity: DATABASE.into(), revision: REVISION.into() }
}

fn backup(begun: i64, ended: i64) -> BackupSeen {
    BackupSeen {
        run: "R".into(),
        identity: DATABASE.into(),
        revision: REVISION.into(),
        begun: moment(begun),
        ended: moment(ended),
        problem: None,
    }
}

fn judge(scene: Scene, promised: Promised, backups: Vec<BackupSeen>) -> Verdict {
    scene.judge_with(|facts| {
        facts.crossings = vec![crossing(promised)];
        facts.backups = backups;
    })
}

#[test]
fn a_backup_in_the_dark_or_a_waiver_in_words_is_in_order() {
    let verdict = judge(Scene::in_order(), promised(), vec![backup(3100, 3400)]);
    assert_eq!(verdict.violations, []);
    let waived = Promised::Waived { because: "the storage takes snapshots".into() };
    assert_eq!(judge(Scene::in_order(), waived, Vec::new()).violations, []);
    // It was taken anew, after an earlier one that was not of the dark.
    let both = vec![backup(2500, 2900), backup(3100, 3400)];
    assert_eq!(judge(Scene::in_order(), promised(), both).violations, []);
}

#[test]
fn no_backup_or_a_waiver_without_a_word() {
    let verdict = judge(Scene::in_order(), promised(), Vec::new());
    assert_broken(&verdict, 7, "run R was about to migrate on quay-1, and it had no backup");
    let silent = Promised::Waived { because: " ".into() };
    assert_broken(&judge(Scene::in_order(), silent, Vec::new()), 7, "waives it without a word");
    // Nobody has the plan: it is not taken for waived.
    let verdict = judge(Scene::in_order(), Promised::Unknown, Vec::new());
    assert_broken(&verdict, 7, "it had no backup of its own");
}

#[test]
fn the_backup_or_the_waiver_of_another_run() {
    let other = BackupSeen { run: "S".into(), ..backup(3100, 3400) };
    assert_broken(&judge(Scene::in_order(), promised(), vec![other]), 7, "no backup of its own");
    let verdict = Scene::in_order().judge_with(|facts| {
        let waived = Promised::Waived { because: "a snapshot".into() };
        facts.crossings =
            vec![crossing(waived), Crossing { run: "S".into(), ..crossing(promised()) }];
    });
    assert_broken(&verdict, 7, "run S was about to migrate");
}

#[test]
fn a_backup_of_another_database_or_revision() {
    let of = |identity: &str, revision: &str| BackupSeen {
        identity: identity.into(),
        revision: revision.into(),
        ..backup(3100, 3400)
    };
    for (backup, said) in [
        (of("postgresql:1/3", REVISION), "is of postgresql:1/3 at 5b7503aada1b"),
        (of(DATABASE, "c00a1f15968b"), "at c00a1f15968b, not of"),
    ] {
        assert_broken(&judge(Scene::in_order(), promised(), vec![backup]), 7, said);
    }
}

#[test]
fn a_backup_whose_files_are_not_what_its_manifest_says() {
    let spoiled = BackupSeen { problem: Some("dump: 3 bytes".into()), ..backup(3100, 3400) };
    assert_broken(&judge(Scene::in_order(), promised(), vec![spoiled]), 7, "not whole: dump");
}

#[test]
fn a_backup_that_ends_after_the_intent() {
    let verdict = judge(Scene::in_order(), promised(), vec![backup(3100, 3950)]);
    assert_broken(&verdict, 7, "its backup ended only at");
}

#[test]
fn a_backup_that_was_begun_before_it_was_dark() {
    let verdict = judge(Scene::in_order(), promised(), vec![backup(2900, 3400)]);
    assert_broken(&verdict, 7, "2.9.5 on quay-");
}

/// Its agent stopped it, and it was gone before the gate looked.
#[test]
fn an_old_quay_that_ran_behind_the_backup() {
    let mut scene = Scene::in_order();
    scene.lab(3290, "quay-2", Act::StartByHand { container_id: "quay-2/a".into() });
    scene.started(3300, "quay-2/a", OLD);
    scene.engine(3350, "quay-2/a", EngineAction::Die);
    let verdict = judge(scene, promised(), vec![backup(3100, 3250)]);
    assert_broken(&verdict, 7, "2.9.5 on quay-2 ran from");
}
