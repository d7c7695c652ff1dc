use proptest::prelude::*;
use quaymaster_proto::StepNumber;

use super::*;
use crate::catalogue::Catalogue;
use crate::cluster::Cluster;
use crate::plan::request::{Request, Wanted, wanted};
use crate::plan::{Gate, drift};
use crate::preflight::common_generation;
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

fn plan_of(count: u8, mode: Mode) -> Plan {
    let cluster = fixture::cluster(count);
    planned(&cluster, &fixture::on_2_9_5(&cluster), mode).unwrap()
}

fn second_window(count: u8) -> Plan {
    let cluster = fixture::cluster(count);
    planned(&cluster, &fixture::on_background(&cluster), Mode::Background).unwrap()
}

fn renumber(plan: &mut Plan) {
    for (step, number) in plan.steps.iter_mut().zip(1..) {
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
    ];
    insta::assert_snapshot!(texts.join("\n"));
}
