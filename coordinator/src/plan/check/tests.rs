use proptest::prelude::*;
use quaymaster_proto::node::ConfigFacts;
use quaymaster_proto::{RestartPolicy, StepNumber};

use super::*;
use crate::catalogue::Catalogue;
use crate::cluster::{Auxiliaries, Cluster};
use crate::plan::PlannedStorage;
use crate::plan::request::{Request, Wanted, wanted};
use crate::plan::{Gate, Step, Width, drift};
use crate::preflight::common_generation;
use crate::render::step_title;
use crate::survey::{ClusterFacts, Reader, fixture};

const BOTH_WAYS: [Mode; 2] = [Mode::Background, Mode::Complete];

/// What the coordinator would plan there.
fn planned(cluster: &Cluster, facts: &ClusterFacts, mode: Mode) -> Option<Plan> {
    let catalogue = Catalogue::built_in();
    let reader = Reader { catalogue: &catalogue, mirrors: &cluster.mirrors };
    let from = common_generation(reader, facts).unwrap();
    let request = Request { to: "3.0.5".to_owned(), first_mode: Some(mode) };
    match wanted(&catalogue, &from, &request).unwrap() {
        Wanted::Window(window) => Some(fixture::plan(cluster, facts, &window)),
        Wanted::Nothing { .. } => None,
    }
}

/// The cluster after a window.
fn after(cluster: &Cluster, plan: &Plan) -> ClusterFacts {
    match plan.window.to.mode {
        Mode::Background => fixture::on_background(cluster),
        Mode::Complete => fixture::on_complete(cluster),
        Mode::Absent | Mode::Other => panic!("no window leads there"),
    }
}

#[test]
fn every_plan_is_sound_and_after_the_last_there_is_nothing_to_do() {
    for count in [1, 2, 3, 6, 30] {
        for (mode, windows) in BOTH_WAYS.into_iter().zip([2, 1]) {
            let cluster = fixture::cluster(count);
            let mut facts = fixture::on_2_9_5(&cluster);
            let mut done = 0;
            while let Some(plan) = planned(&cluster, &facts, mode) {
                assert_eq!(drift::drift(&plan, &facts), []);
                facts = after(&cluster, &plan);
                plan.check().unwrap();
                done += 1;
            }
            assert_eq!(done, windows, "{count} nodes, {mode}");
        }
    }
}

/// Builders on two of six nodes, Clair and a mirror on one.
fn with_companions(facts: &mut ClusterFacts) {
    for (node, component) in [
        ("quay-2", Component::Builder),
        ("quay-5", Component::Builder),
        ("quay-1", Component::Clair),
        ("quay-3", Component::Mirror),
    ] {
        fixture::add_companion(facts, node, component);
    }
}

fn with_first_window(cluster: &Cluster) -> Cluster {
    Cluster { auxiliaries: Auxiliaries::FirstWindow, ..cluster.clone() }
}

/// Every plan of a cluster that has them: both windows, in both orders, and one.
fn plans_with_companions() -> Vec<Plan> {
    let documented = fixture::cluster(6);
    let eager = with_first_window(&documented);
    let mut facts = fixture::on_2_9_5(&documented);
    with_companions(&mut facts);
    let mut between = fixture::on_background(&documented);
    with_companions(&mut between);
    let mut retired = between.clone();
    for (node, component) in [
        ("quay-2", Component::Builder),
        ("quay-5", Component::Builder),
        ("quay-1", Component::Clair),
    ] {
        fixture::retire_companion(&mut retired, node, component);
    }
    [
        planned(&documented, &facts, Mode::Background),
        planned(&documented, &retired, Mode::Background),
        planned(&documented, &facts, Mode::Complete),
        planned(&eager, &facts, Mode::Background),
        planned(&eager, &between, Mode::Background),
    ]
    .map(Option::unwrap)
    .to_vec()
}

/// `stop builder quay-2, quay-5` for every step that is not a Quay's.
fn companion_steps(plan: &Plan) -> Vec<String> {
    let own = plan.steps.iter().filter(|step| step.component != Component::Quay);
    let nodes =
        |step: &Step| step.nodes.iter().map(NodeName::as_str).collect::<Vec<_>>().join(", ");
    own.map(|step| format!("{} {}: {}", step.number, step_title(step), nodes(step))).collect()
}

#[test]
fn what_stands_beside_the_quays_stops_and_returns_with_the_cluster() {
    let mut text = String::new();
    for plan in plans_with_companions() {
        let window = format!("{} to {}", plan.window.from, plan.window.to);
        let returns = plan.companions.values().filter(|companion| companion.next.is_some()).count();
        text.push_str(&format!("== {window}, {returns} of them return\n"));
        text.push_str(&companion_steps(&plan).join("\n"));
        text.push('\n');
        // Their owner's policy comes back, also where a stop had taken it.
        for node in &plan.nodes {
            for companion in &node.companions {
                assert_eq!(companion.container.restart_policy, RestartPolicy::Always);
            }
        }
        plan.check().unwrap();
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_shared_config_is_edited_once() {
    let cluster = fixture::cluster(3);
    let mut facts = fixture::on_2_9_5(&cluster);
    for survey in facts.nodes.values_mut() {
        if let ConfigFacts::Readable(config) = &mut survey.facts.config {
            config.file_identity = "nfs:filer:/quay:77".to_owned();
            config.sha256 = fixture::hex('a', 1).parse().unwrap();
        }
    }
    let window = fixture::window(1, 2, ("2.9.5", Mode::Absent), ("3.0.5", Mode::Background));
    let mut answers = fixture::answers(&facts, &window);
    let first = answers.previews[&("quay-1".parse().unwrap(), Component::Quay)].clone();
    for ((_, component), answer) in &mut answers.previews {
        assert_eq!(*component, Component::Quay);
        *answer = first.clone();
    }
    let plan = fixture::plan_of(&cluster, &facts, &window, &answers);
    let names: [NodeName; 1] = ["quay-1".parse().unwrap()];
    for verb in [Verb::StageConfig, Verb::PutConfig] {
        assert_eq!(plan.first_step(What::Act(verb)).unwrap().nodes, names);
    }
    plan.clone().check().unwrap();
    let mut spoiled = plan;
    spoiled.nodes[2].config.to = fixture::hex('9', 9).parse().unwrap();
    assert!(in_words(&spoiled.check().unwrap_err()).contains("quay-3: its config.yaml"));
}

fn plan_of(count: u8, mode: Mode) -> Plan {
    let cluster = fixture::cluster(count);
    planned(&cluster, &fixture::on_2_9_5(&cluster), mode).unwrap()
}

fn second_window(count: u8) -> Plan {
    let cluster = fixture::cluster(count);
    planned(&cluster, &fixture::on_background(&cluster), Mode::Background).unwrap()
}

fn renumber(plan: &mut Plan) {
    let all = plan.steps.iter_mut().chain(&mut plan.back).chain(&mut plan.rollback);
    for (step, number) in all.zip(1..) {
        step.number = StepNumber::new(number).unwrap();
    }
}

proptest! {
    /// Whichever two steps change places, somebody notices.
    #[test]
    fn no_other_order_passes(count in 1_u8..5, one in 0_usize..20, other in 0_usize..20) {
        let first_windows = BOTH_WAYS.map(|mode| plan_of(count, mode));
        for plan in first_windows.into_iter().chain([second_window(count)]) {
            let mut spoiled = plan.clone();
            let (one, other) = (one % plan.steps.len(), other % plan.steps.len());
            spoiled.steps.swap(one, other);
            renumber(&mut spoiled);
            // Both gates may be told apart by their place alone, and staging
            // has no order in itself.
            let is_same = |one: What, other: What| one == other;
            let staging = [What::Act(Verb::StageContainer), What::Act(Verb::StageConfig)];
            let (one, other) = (plan.steps[one].what, plan.steps[other].what);
            let is_free = is_same(one, other)
                || (staging.contains(&one) && staging.contains(&other))
                || spoiled == plan;
            prop_assert_eq!(spoiled.check().is_ok(), is_free, "{:?} and {:?}", one, other);
        }
    }

    /// With companions some steps have no order among themselves; whatever stops,
    /// starts or changes something has.
    #[test]
    fn no_step_of_a_companion_may_wander(index in 0_usize..5, one in 0_usize..60, other in 0_usize..60) {
        let plan = plans_with_companions().swap_remove(index);
        let mut spoiled = plan.clone();
        let (one, other) = (one % plan.steps.len(), other % plan.steps.len());
        spoiled.steps.swap(one, other);
        renumber(&mut spoiled);
        let is_preparation = |step: &Step| matches!(
            step.what,
            What::Act(Verb::Pull | Verb::StageContainer | Verb::StageConfig)
        );
        let is_same = (plan.steps[one].component, plan.steps[one].what)
            == (plan.steps[other].component, plan.steps[other].what);
        if spoiled.check().is_ok() {
            let both = is_preparation(&plan.steps[one]) && is_preparation(&plan.steps[other]);
            prop_assert!(is_same || both, "{:?} and {:?}", plan.steps[one], plan.steps[other]);
        }
    }

    #[test]
    fn no_step_of_a_companion_can_be_left_out(index in 0_usize..5, place in 0_usize..60) {
        let mut plan = plans_with_companions().swap_remove(index);
        let place = place % plan.steps.len();
        plan.steps.remove(place);
        renumber(&mut plan);
        prop_assert!(plan.check().is_err());
    }

    /// On the way back what returns is created, started, healthy and named in
    /// this order, and no Quay before its ground is as it was.
    #[test]
    fn the_way_back_has_one_order(index in 0_usize..5, one in 0_usize..60, other in 0_usize..60) {
        let plan = plans_with_companions().swap_remove(index);
        let mut spoiled = plan.clone();
        let (one, other) = (one % plan.back.len(), other % plan.back.len());
        spoiled.back.swap(one, other);
        renumber(&mut spoiled);
        let returns = |step: &Step| matches!(
            step.what,
            What::Act(Verb::Recreate | Verb::Start | Verb::Promote) | What::Gate(Gate::Healthy)
        );
        let (one, other) = (&plan.back[one], &plan.back[other]);
        if spoiled.check().is_ok() && one != other {
            // Two components return beside each other; removing what never
            // started can wait, and config and floor have no order in themselves.
            prop_assert!(one.component != other.component || !(returns(one) && returns(other)));
            prop_assert!(one.width != Width::First && other.width != Width::First);
        }
    }

    #[test]
    fn nothing_of_the_way_back_can_be_left_out(index in 0_usize..5, place in 0_usize..60) {
        let mut plan = plans_with_companions().swap_remove(index);
        let place = place % plan.back.len();
        plan.back.remove(place);
        renumber(&mut plan);
        prop_assert!(plan.check().is_err());
    }

    /// No step can be left out.
    #[test]
    fn no_step_can_be_left_out(count in 1_u8..5, place in 0_usize..20) {
        for mut plan in [plan_of(count, Mode::Background), second_window(count)] {
            let place = place % plan.steps.len();
            plan.steps.remove(place);
            renumber(&mut plan);
            prop_assert!(plan.check().is_err());
        }
    }
}

#[test]
fn what_could_ruin_a_database_is_a_flaw() {
    let spoil = |spoil: fn(&mut Plan)| {
        let mut plan = plan_of(3, Mode::Background);
        spoil(&mut plan);
        in_words(&plan.check().unwrap_err())
    };
    let texts = [
        spoil(|plan| plan.nodes.clear()),
        spoil(|plan| plan.first = "quay-9".parse().unwrap()),
        spoil(|plan| plan.nodes[1] = plan.nodes[0].clone()),
        spoil(|plan| plan.window.to = plan.window.from.clone()),
        spoil(|plan| plan.window.number = 3),
        spoil(|plan| plan.database.revision = "c00a1f15968b".to_owned()),
        spoil(|plan| plan.database.accepted.push(plan.database.target.clone())),
        spoil(|plan| plan.nodes[1].quay.mode = Mode::Complete),
        spoil(|plan| plan.timings.backfill.threshold = 99.0),
        spoil(|plan| plan.nodes[0].quay.findings[0].verdict = SpecVerdict::Refused),
        spoil(|plan| {
            let second = plan.steps.iter_mut().find(|step| step.what == What::Act(Verb::Start));
            second.unwrap().nodes.push("quay-1".parse().unwrap());
        }),
        spoil(|plan| plan.steps.retain(|step| step.what != What::Gate(Gate::Dark))),
        spoil(|plan| plan.steps.retain(|step| step.what != What::Act(Verb::BackUp))),
        spoil(|plan| {
            let (because, newest) = (" ".to_owned(), None);
            plan.backup = PlannedBackup::Waived { because, newest };
        }),
        spoil(|plan| {
            let directory = "/var/backups/quaymaster".to_owned();
            plan.backup = PlannedBackup::Taken {
                node: "quay-9".parse().unwrap(),
                directory,
                storage: PlannedStorage::Left,
            };
        }),
    ];
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn an_image_that_is_loaded_is_not_pulled() {
    let mut plan = plan_of(3, Mode::Background);
    let image = format!("sha256:{}", "a".repeat(64)).parse().unwrap();
    plan.image = PlannedImage::Loaded { reference: "quay.io/redhat/quay:v3.0.5".into(), image };
    let flaws = plan.clone().check().unwrap_err();
    assert!(flaws.contains(&OrderFlaw::Pull.into()), "{}", in_words(&flaws));
    plan.steps.retain(|step| step.what != What::Act(Verb::Pull));
    renumber(&mut plan);
    plan.check().unwrap();
}
