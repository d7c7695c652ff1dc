use jiff::SignedDuration;
use quaymaster_proto::Mode;

use super::*;
use crate::plan::Gate;
use crate::report::fixture::{events, state};
use crate::survey::fixture;

const PRETTY: Style = Style { unicode: true, colour: false };

fn plan(nodes: u8) -> CheckedPlan {
    let cluster = fixture::cluster(nodes);
    let window = fixture::window(1, 2, ("2.9.5", Mode::Absent), ("3.0.5", Mode::Background));
    fixture::plan(&cluster, &fixture::on_2_9_5(&cluster), &window).check().unwrap()
}

fn second_plan() -> CheckedPlan {
    let cluster = fixture::cluster(3);
    let window = fixture::window(2, 2, ("3.0.5", Mode::Background), ("3.0.5", Mode::Complete));
    fixture::plan(&cluster, &fixture::on_background(&cluster), &window).check().unwrap()
}

/// The picture that many seconds after these events.
fn picture(plan: &CheckedPlan, events: &[Event], seconds: i64, style: Style) -> String {
    let state = state(events);
    let pulls = plan.plan().nodes.iter().enumerate().map(|(index, node)| {
        let note = if index == 2 { "try 2 of 5 begins in 5 s: unexpected EOF" } else { "" };
        let (done_bytes, total_bytes) = (91_000_000, 350_000_000);
        (node.name.clone(), Pull { done_bytes, total_bytes, note: note.to_owned() })
    });
    let retries =
        plan.plan().nodes.iter().skip(1).take(1).map(|node| {
            (node.name.clone(), "connection refused: no agent listens there".to_owned())
        });
    let (pulls, retries) = (pulls.collect(), retries.collect());
    let now = state.last_at + SignedDuration::from_secs(seconds);
    Screen { plan, state: &state, pulls: &pulls, retries: &retries, now }.lines(style).join("\n")
}

fn asked(plan: &CheckedPlan, verb: Verb) -> Vec<Event> {
    let what = What::Act(verb);
    let mut happened = events(plan, Some(what));
    let step = plan.plan().first_step(what).unwrap();
    let at = happened.last().unwrap().at();
    let intents = step.nodes.iter().map(|node| {
        let (step, node) = (step.number, node.clone());
        Event::Intended { step, node, at }
    });
    happened.extend(intents);
    happened
}

#[test]
fn a_pull_shows_how_far_each_node_is() {
    let plan = plan(3);
    insta::assert_snapshot!(picture(&plan, &asked(&plan, Verb::Pull), 12, PRETTY));
}

#[test]
fn of_many_nodes_the_unfinished_ones_are_shown() {
    let plan = plan(30);
    insta::assert_snapshot!(picture(&plan, &asked(&plan, Verb::Stop), 4, Style::PLAIN));
}

#[test]
fn the_migration_is_shown_with_the_outage_and_what_cannot_be_undone() {
    let plan = plan(3);
    let mut happened = events(&plan, Some(What::Gate(Gate::FirstNode)));
    let step = plan.plan().first_step(What::Gate(Gate::FirstNode)).unwrap().number;
    let on = WaitingOn::Migration {
        revision: "c00a1f15968b".to_owned(),
        target: plan.plan().database.target.clone(),
    };
    happened.push(Event::Waiting { step, on, at: happened.last().unwrap().at() });
    insta::assert_snapshot!(picture(&plan, &happened, 63, PRETTY));
}

#[test]
fn the_backfill_has_a_bar() {
    let plan = second_plan();
    let mut happened = events(&plan, Some(What::Gate(Gate::Backfill)));
    let step = plan.plan().first_step(What::Gate(Gate::Backfill)).unwrap().number;
    let on = WaitingOn::Backfill {
        progress: Some(0.7841),
        tags_remaining: 6_498_590,
        total_tags: 30_100_000,
        good_samples: 0,
        problem: String::new(),
    };
    happened.push(Event::Waiting { step, on, at: happened.last().unwrap().at() });
    let pretty = picture(&plan, &happened, 3600, PRETTY);
    let plain = picture(&plan, &happened, 3600, Style::PLAIN);
    insta::assert_snapshot!(format!("{pretty}\n\n{plain}"));
}

#[test]
fn the_end_says_what_each_step_took() {
    let plan = plan(3);
    insta::assert_snapshot!(picture(&plan, &events(&plan, None), 0, PRETTY));
}
