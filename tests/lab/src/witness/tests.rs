//! Each invariant is broken by hand-made records, one at a time, in a lab that is otherwise in
//! order; and a lab in order breaks none.

mod backups;
mod floor;
mod leases;

use super::*;
use crate::record::{
    Act, ConfigSeen, EngineAction, EngineEvent, LabAct, MigrationResult, ProbeChange, QuayEvent,
    QuayRecord, Seen, Session,
};

/// Records under the hand of a test. Times are milliseconds since the start of the lab.
#[derive(Default)]
struct Scene {
    records: Vec<Record>,
}

const NODES: [&str; 3] = ["quay-1", "quay-2", "quay-3"];
const OLD: (&str, Option<&str>) = ("2.9.5", None);
const BACKGROUND: (&str, Option<&str>) = ("3.0.5", Some("background"));
const COMPLETE: (&str, Option<&str>) = ("3.0.5", Some("complete"));

fn moment(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(1_795_000_000_000 + millis).unwrap()
}

impl Scene {
    fn see(&mut self, millis: i64, seen: Seen) {
        self.records.push(Record {
            version: crate::record::VERSION,
            at: moment(millis),
            boot_id: "boot".into(),
            monotonic_nanos: u64::try_from(millis).unwrap() * 1_000_000,
            seen,
        });
    }

    fn quay(&mut self, millis: i64, container: &str, release: &str, event: QuayEvent) {
        let (node, _) = container.rsplit_once('/').unwrap();
        let quay = QuayRecord {
            is_mirror: false,
            node: node.into(),
            container_id: container.into(),
            release: release.into(),
            pid: 1,
            event,
        };
        self.see(millis, Seen::Quay(quay));
    }

    fn engine(&mut self, millis: i64, container: &str, action: EngineAction) {
        let (node, _) = container.rsplit_once('/').unwrap();
        let exit_code = (action == EngineAction::Die).then_some(137);
        let engine_nanos = i64::try_from(moment(millis).as_nanosecond()).unwrap();
        let event = EngineEvent {
            component: quaymaster_proto::Component::Quay,
            node: node.into(),
            container_id: container.into(),
            name: "quay".into(),
            action,
            exit_code,
            engine_nanos,
        };
        // The observer hears of it a little later; the engine's own time is what counts.
        self.see(millis + 40, Seen::Engine(event));
    }

    fn probe(&mut self, millis: i64, node: &str, healthy: bool) {
        let status = Some(if healthy { 200 } else { 503 });
        let change = ProbeChange { node: node.into(), instance: status, endtoend: status, healthy };
        self.see(millis, Seen::Probe(change));
    }

    fn config(&mut self, millis: i64, node: &str, mode: Option<&str>) {
        let seen = ConfigSeen {
            node: node.into(),
            sha256: Some("00".into()),
            mode_line: mode.map(|mode| format!("V3_UPGRADE_MODE: {mode}")),
            rest_is_original: true,
        };
        self.see(millis, Seen::Config(seen));
    }

    fn started(&mut self, millis: i64, container: &str, generation: (&str, Option<&str>)) {
        self.engine(millis, container, EngineAction::Start);
        let event = QuayEvent::Started {
            mode: generation.1.map(str::to_owned),
            config_sha256: None,
            revision: None,
        };
        self.quay(millis + 5, container, generation.0, event);
    }

    fn migrated(&mut self, from: i64, to: i64, container: &str, sessions: Vec<Session>) {
        self.begun(from, container, sessions);
        let (old, new) = ("5b7503aada1b".to_owned(), "481623ba00ba".to_owned());
        let applied = QuayEvent::RevisionApplied { from: Some(old), to: new.clone() };
        self.quay(to - 1, container, "3.0.5", applied);
        let result = MigrationResult::Completed;
        let ended = QuayEvent::MigrationEnded { result, revision: Some(new) };
        self.quay(to, container, "3.0.5", ended);
    }

    fn begun(&mut self, millis: i64, container: &str, sessions: Vec<Session>) {
        let (from, target) = (Some("5b7503aada1b".to_owned()), "481623ba00ba".to_owned());
        let begun = QuayEvent::MigrationBegun { from, target, sessions };
        self.quay(millis, container, "3.0.5", begun);
    }

    fn healthy(&mut self, millis: i64, container: &str, release: &str) {
        self.quay(millis, container, release, QuayEvent::Healthy);
        let (node, _) = container.rsplit_once('/').unwrap();
        self.probe(millis + 10, node, true);
    }

    fn stopped(&mut self, asked: i64, ended: i64, container: &str) {
        self.engine(asked, container, EngineAction::Kill);
        self.engine(ended, container, EngineAction::Die);
        let (node, _) = container.rsplit_once('/').unwrap();
        self.probe(ended, node, false);
    }

    fn lab(&mut self, millis: i64, node: &str, act: Act) {
        self.see(millis, Seen::Lab(LabAct { node: node.into(), act }));
    }

    fn backfill(&mut self, millis: i64, mapped: i64) {
        let moved = QuayEvent::BackfillMoved { mapped, total: 1000 };
        self.quay(millis, "quay-1/b", "3.0.5", moved);
    }

    /// Three nodes on 2.9.5 from 0 to 2000 ms.
    fn old_cluster() -> Self {
        let mut scene = Self::default();
        for node in NODES {
            scene.config(0, node, None);
            let container = format!("{node}/a");
            scene.started(10, &container, OLD);
            scene.healthy(500, &container, OLD.0);
        }
        scene
    }

    fn stop_old(&mut self) {
        for (index, node) in (0..).zip(NODES) {
            self.stopped(2000 + index * 10, 3000 + index * 10, &format!("{node}/a"));
        }
    }

    fn put_modes(&mut self, millis: i64, mode: &str) {
        for node in NODES {
            self.config(millis, node, Some(mode));
        }
    }

    /// The first at 4000 ms, the rest at 6000 ms.
    fn start_new(&mut self, sessions: Vec<Session>) {
        self.started(4000, "quay-1/b", BACKGROUND);
        self.migrated(4100, 5000, "quay-1/b", sessions);
        self.healthy(5500, "quay-1/b", "3.0.5");
        for container in ["quay-2/b", "quay-3/b"] {
            self.started(6000, container, BACKGROUND);
            self.healthy(6800, container, "3.0.5");
        }
    }

    /// The documented way from 2.9.5 to background.
    fn in_order() -> Self {
        let mut scene = Self::old_cluster();
        scene.stop_old();
        scene.put_modes(3500, "background");
        scene.start_new(Vec::new());
        scene
    }

    fn judge(self) -> Verdict {
        self.judge_with(|_| {})
    }

    fn judge_with(self, change: impl FnOnce(&mut LabFacts)) -> Verdict {
        let mut facts = LabFacts::of(NODES.map(str::to_owned).to_vec());
        change(&mut facts);
        judge(&Records::new(self.records), &facts)
    }
}

fn session(application: &str, address: Option<&str>) -> Session {
    Session {
        pid: 7,
        user: "quay".into(),
        application: application.into(),
        address: address.map(str::to_owned),
    }
}

fn numbers(verdict: &Verdict) -> Vec<u8> {
    let mut numbers: Vec<u8> =
        verdict.violations.iter().map(|violation| violation.invariant).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// The violations are all of this invariant, and one of them says this.
#[track_caller]
fn assert_broken(verdict: &Verdict, invariant: u8, evidence: &str) {
    assert_eq!(numbers(verdict), [invariant], "{:#?}", verdict.violations);
    let said = verdict.violations.iter().any(|violation| violation.evidence.contains(evidence));
    assert!(said, "{:#?}", verdict.violations);
}

#[test]
fn a_lab_in_order_breaks_nothing_and_its_figures_are_read_off() {
    let verdict = Scene::in_order().judge_with(|facts| {
        facts.dark_gates = vec![DarkGate { seconds: 0.25, backup_seconds: 0.5 }];
    });
    assert_eq!(verdict.violations, []);
    let [window] = &verdict.observed.windows[..] else { panic!("{:?}", verdict.observed) };
    assert_eq!((window.from.as_str(), window.to.as_str()), ("2.9.5", "3.0.5 background"));
    // Asked at 2000, last node healthy at 6810.
    assert_eq!(window.outage_seconds, Some(4.81));
    assert_eq!(window.first_healthy_seconds, Some(3.51));
    // 1.0 to stop, 0.25 for the gate, 0.5 for the backup, 1.51 for the first, 0.81 for the slowest
    // of the rest.
    assert_eq!((window.limit_seconds, window.backup_seconds), (Some(4.07), 0.5));
    assert_eq!(verdict.observed.processes.len(), 6);
}

#[test]
fn both_windows_of_a_background_upgrade_are_found() {
    let mut scene = Scene::in_order();
    scene.backfill(7000, 995);
    for node in NODES {
        scene.stopped(8000, 9000, &format!("{node}/b"));
    }
    scene.put_modes(9500, "complete");
    scene.started(10_000, "quay-1/c", COMPLETE);
    scene.migrated(10_100, 10_500, "quay-1/c", Vec::new());
    scene.healthy(11_000, "quay-1/c", "3.0.5");
    for container in ["quay-2/c", "quay-3/c"] {
        scene.started(11_500, container, COMPLETE);
        scene.healthy(12_000, container, "3.0.5");
    }
    let verdict = scene.judge();
    assert_eq!(verdict.violations, []);
    assert_eq!(verdict.observed.windows.len(), 2);
    assert_eq!(verdict.observed.windows[1].outage_seconds, Some(4.01));
    assert_eq!(verdict.observed.backfill, Some(Backfill { progress: 0.995, total_tags: 1000 }));
}

#[test]
fn one_started_before_all_are_stopped() {
    let mut scene = Scene::old_cluster();
    scene.stopped(2000, 3000, "quay-1/a");
    scene.stopped(2000, 3010, "quay-2/a");
    scene.stopped(2000, 4500, "quay-3/a");
    scene.put_modes(4600, "background");
    scene.start_new(Vec::new());
    let verdict = scene.judge();
    let first = verdict.violations.iter().find(|violation| violation.invariant == 1).unwrap();
    assert_eq!(first.nodes, ["quay-1", "quay-3"]);
    assert!(first.evidence.contains("while 2.9.5 still ran on quay-3"), "{}", first.evidence);
}

#[test]
fn two_started_at_once() {
    let mut scene = Scene::old_cluster();
    scene.stop_old();
    scene.put_modes(3500, "background");
    for container in ["quay-1/b", "quay-2/b"] {
        scene.started(4000, container, BACKGROUND);
        scene.migrated(4100, 5000, container, Vec::new());
    }
    let verdict = scene.judge();
    assert_eq!(numbers(&verdict), [1, 2], "{:#?}", verdict.violations);
    let evidence: Vec<&str> =
        verdict.violations.iter().map(|violation| violation.evidence.as_str()).collect();
    assert!(evidence.iter().any(|said| said.contains("while the one on quay-1 was migrating")));
    assert!(evidence.iter().any(|said| said.contains("before the one on quay-1 was healthy")));
}

#[test]
fn a_second_one_started_before_the_first_was_healthy() {
    let mut scene = Scene::old_cluster();
    scene.stop_old();
    scene.put_modes(3500, "background");
    scene.started(4000, "quay-1/b", BACKGROUND);
    scene.migrated(4100, 5000, "quay-1/b", Vec::new());
    scene.started(5100, "quay-2/b", BACKGROUND);
    scene.healthy(5500, "quay-1/b", "3.0.5");
    assert_broken(&scene.judge(), 1, "before the one on quay-1 was healthy");
}

#[test]
fn a_migration_killed_half_way() {
    let mut scene = Scene::old_cluster();
    scene.stop_old();
    scene.put_modes(3500, "background");
    scene.started(4000, "quay-1/b", BACKGROUND);
    scene.begun(4100, "quay-1/b", Vec::new());
    scene.stopped(4500, 4501, "quay-1/b");
    assert_broken(&scene.judge(), 2, "was told to stop while it migrated to 481623ba00ba");
}

#[test]
fn a_migrating_container_renamed_too_soon() {
    let mut scene = Scene::in_order();
    scene.engine(4500, "quay-1/b", EngineAction::Rename);
    assert_broken(&scene.judge(), 2, "was renamed while it migrated");
}

#[test]
fn a_migrating_start_killed_before_it_reached_the_database() {
    let mut scene = Scene::old_cluster();
    scene.stop_old();
    scene.put_modes(3500, "background");
    scene.started(4000, "quay-1/b", BACKGROUND);
    scene.stopped(4050, 4060, "quay-1/b");
    assert_broken(&scene.judge(), 2, "after its migrating start");
}

#[test]
fn a_failed_migration_started_again_by_a_restart_policy() {
    let mut scene = Scene::old_cluster();
    scene.stop_old();
    scene.put_modes(3500, "background");
    let failed = || QuayEvent::MigrationEnded {
        result: MigrationResult::Failed,
        revision: Some("5b7503aada1b".into()),
    };
    for start in [4000, 4500] {
        scene.started(start, "quay-1/b", BACKGROUND);
        scene.begun(start + 50, "quay-1/b", Vec::new());
        scene.quay(start + 100, "quay-1/b", "3.0.5", failed());
    }
    assert_broken(&scene.judge(), 2, "was started again");
}

#[test]
fn a_retry_is_broken_unless_a_person_ordered_it() {
    let scene = || {
        let mut scene = Scene::old_cluster();
        scene.stop_old();
        scene.put_modes(3500, "background");
        scene.started(4000, "quay-1/b", BACKGROUND);
        scene.begun(4050, "quay-1/b", Vec::new());
        let result = MigrationResult::Failed;
        let failed = QuayEvent::MigrationEnded { result, revision: None };
        scene.quay(4100, "quay-1/b", "3.0.5", failed);
        scene.started(4500, "quay-1/c", BACKGROUND);
        scene.migrated(4600, 4700, "quay-1/c", Vec::new());
        scene
    };
    assert_broken(&scene().judge(), 2, "a second Quay, on quay-1, migrated");
    let ordered = scene().judge_with(|facts| facts.ordered_retries = vec!["quay-1/c".into()]);
    assert_eq!(ordered.violations, []);
}

#[test]
fn a_container_that_has_been_healthy_may_come_back_with_its_host() {
    let mut scene = Scene::in_order();
    scene.engine(7000, "quay-1/b", EngineAction::Die);
    scene.started(7500, "quay-1/b", BACKGROUND);
    assert_eq!(scene.judge().violations, []);
}

#[test]
fn a_mode_put_in_place_early() {
    let mut scene = Scene::in_order();
    scene.config(2500, "quay-3", Some("background"));
    assert_broken(&scene.judge(), 3, "was put in place on quay-3 while 2.9.5 still ran");
}

#[test]
fn a_start_while_one_node_carries_another_mode() {
    let mut scene = Scene::old_cluster();
    scene.stop_old();
    scene.config(3500, "quay-1", Some("background"));
    scene.config(3500, "quay-2", Some("background"));
    scene.start_new(Vec::new());
    assert_broken(&scene.judge(), 3, "did not say background on quay-3");
}

#[test]
fn complete_before_the_backfill_gate() {
    let scene = || {
        let mut scene = Scene::in_order();
        scene.backfill(7000, 700);
        for node in NODES {
            scene.stopped(8000, 9000, &format!("{node}/b"));
        }
        scene.config(9500, "quay-1", Some("complete"));
        scene
    };
    assert_broken(&scene().judge(), 3, "when 700 of 1000 tags were mapped");
    let waived = scene().judge_with(|facts| facts.is_backfill_waived = true);
    assert_eq!(waived.violations, []);
}

#[test]
fn a_config_half_old_half_new() {
    for (mode_line, rest_is_original, sha256, evidence) in [
        (None, false, Some("01"), "differed outside its mode line"),
        (Some("V3_UPGRADE_MODE: backgr"), true, Some("01"), "nobody wrote whole"),
        (None, false, None, "there was no config.yaml on quay-2"),
    ] {
        let mut scene = Scene::in_order();
        let seen = ConfigSeen {
            node: "quay-2".into(),
            sha256: sha256.map(str::to_owned),
            mode_line: mode_line.map(str::to_owned),
            rest_is_original,
        };
        scene.see(3400, Seen::Config(seen));
        assert_broken(&scene.judge(), 5, evidence);
    }
}

#[test]
fn a_journal_that_says_what_did_not_happen() {
    let claim = |container: &str, what, millis| JournalClaim {
        node: "quay-1".into(),
        container_id: container.into(),
        what,
        at: moment(millis),
    };
    let honest = vec![
        claim("quay-1/a", Occurrence::Stopped, 3100),
        claim("quay-1/b", Occurrence::Started, 4100),
    ];
    let verdict = Scene::in_order().judge_with(|facts| facts.journal = honest);
    assert_eq!(verdict.violations, []);
    for untrue in
        [claim("quay-1/b", Occurrence::Removed, 9000), claim("quay-1/b", Occurrence::Started, 1000)]
    {
        let verdict = Scene::in_order().judge_with(|facts| facts.journal = vec![untrue]);
        assert_broken(&verdict, 9, "the journal says that container quay-1/b");
    }
}

#[test]
fn a_secret_in_a_log() {
    let secrets = [Secret { name: "LAB_SECRET".into(), value: "hunter2-hunter2".into() }];
    let texts: [(&str, &[u8]); 3] = [
        ("agent.log", b"set LAB_SECRET=hunter2-hunter2 on quay"),
        ("plan.json", b"{\"body\":\"aHVudGVyMi1odW50ZXIy\"}"),
        ("report", b"nothing"),
    ];
    let found = find_secrets(&secrets, texts);
    let verdict = Scene::in_order().judge_with(|facts| facts.secrets_found = found);
    assert_broken(&verdict, 10, "the secret `LAB_SECRET` stands in agent.log");
    assert_eq!(verdict.violations.len(), 2);
    let said = serde_json::to_string(&verdict).unwrap();
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn a_session_that_nobody_named() {
    let sessions =
        || vec![session("quaymaster-agent/lab/quay-1", None), session("psql", Some("10.0.0.9"))];
    let mut scene = Scene::old_cluster();
    scene.stop_old();
    scene.put_modes(3500, "background");
    scene.start_new(sessions());
    let named = |facts: &mut LabFacts| facts.named_sessions = vec!["quaymaster-agent".into()];
    assert_broken(&scene.judge_with(named), 11, "`psql` of quay from 10.0.0.9 (pid 7)");

    let mut scene = Scene::old_cluster();
    scene.stop_old();
    scene.put_modes(3500, "background");
    scene.start_new(sessions());
    let verdict = scene.judge_with(|facts| {
        facts.named_sessions = vec!["quaymaster-agent".into(), "10.0.0.9".into()];
    });
    assert_eq!(verdict.violations, []);
}

#[test]
fn the_verdict_is_the_json_that_the_contract_names() {
    let json = serde_json::to_value(Scene::in_order().judge()).unwrap();
    assert_eq!(json["version"], 1);
    assert_eq!(json["violations"], serde_json::json!([]));
    assert!(json["observed"]["windows"][0]["outage_seconds"].is_number());
}
