//! What `status` says of leases, of floors, and of nodes that are not as the
//! last run left them.

use quaymaster_proto::node::{ConfigFacts, ContainerFacts, NodeFacts};
use quaymaster_proto::{Below, Epoch, Floor, Generation, ImageId, Lease};

use super::screen::Screen;
use super::*;
use crate::run::{ActState, Settlement};

fn image(digit: char) -> ImageId {
    format!("sha256:{}", fixture::hex(digit, 0)).parse().unwrap()
}

fn lease(epoch: u64) -> Lease {
    Lease {
        run: crate::report::fixture::RUN.parse().unwrap(),
        epoch: Epoch::new(epoch).unwrap(),
        holder: "carol@admin-2".into(),
        since: start(),
        process: ulid::Ulid(7),
        plan: "a".repeat(64).parse().unwrap(),
    }
}

fn floor(mode: Mode, below: &[(char, Option<Mode>)]) -> Floor {
    let below = below.iter().map(|(digit, mode)| Below { image: image(*digit), mode: *mode });
    Floor { generation: Generation { image: image('b'), mode }, below: below.collect() }
}

fn each(screen: &mut Screen, mut change: impl FnMut(usize, &mut NodeFacts)) {
    for (place, node) in screen.survey.facts.nodes.values_mut().enumerate() {
        change(place, &mut node.facts);
    }
}

#[test]
fn whoever_holds_the_leases_is_named_with_the_way_on() {
    let plan = checked(3, &background());
    let here = state(&events(&plan, Some(What::Gate(Gate::Dark))));
    let run = RunSeen { plan: &plan, state: &here };
    let known = |epoch| InJournal::Unfinished { epoch: Epoch::new(epoch) };

    let mut elsewhere = Screen::new(3, fixture::on_2_9_5);
    each(&mut elsewhere, |_, node| node.lease = Some(lease(1)));
    let mut ours = Screen::new(3, fixture::on_2_9_5);
    ours.known.insert(here.run, known(1));
    each(&mut ours, |_, node| node.lease = Some(lease(1)));
    let mut taken_over = Screen::new(3, fixture::on_2_9_5);
    taken_over.known.insert(here.run, known(1));
    each(&mut taken_over, |place, node| {
        node.lease = [Some(lease(2)), Some(lease(1)), None][place].clone();
    });
    let mut left_over = Screen::new(3, fixture::on_2_9_5);
    left_over.known.insert(here.run, InJournal::Ended);
    each(&mut left_over, |place, node| node.lease = (place == 1).then(|| lease(1)));

    let texts = [
        elsewhere.shown(None),
        ours.shown(Some(run)),
        taken_over.shown(Some(run)),
        left_over.shown(None),
    ];
    insta::assert_json_snapshot!(texts[2].1["status"]["leases"]);
    insta::assert_snapshot!(texts.map(|(text, _)| text).join("\n\n"));
}

#[test]
fn what_may_not_run_is_told_and_a_node_that_disagrees_is_named() {
    let old = [('a', None)];
    let mut same = Screen::new(3, fixture::on_background);
    each(&mut same, |_, node| node.floor = Some(floor(Mode::Background, &old)));
    // The retired container says what the old image is called.
    each(&mut same, |_, node| {
        let quay = &mut node.components[0];
        let mut retired: ContainerFacts = quay.container.clone().unwrap();
        retired.state.image = image('a');
        retired.state.status = ContainerStatus::Exited;
        retired.image_reference = "quay.io/coreos/quay:v2.9.5".into();
        retired.image_tags.clear();
        quay.others.push(retired);
    });
    let mut apart = Screen::new(4, fixture::on_complete);
    let newer = [('a', None), ('b', Some(Mode::Background))];
    each(&mut apart, |place, node| {
        node.floor = match place {
            0 | 1 => Some(floor(Mode::Complete, &newer)),
            2 => Some(floor(Mode::Background, &old)),
            _ => None,
        };
        if place == 3 {
            node.floor_sightings = vec![
                "quay-old (0123456789ab) runs an image that no floor knows; left alone".into(),
            ];
        }
    });
    let texts = [same.shown(None), apart.shown(None)];
    insta::assert_json_snapshot!(texts[1].1["status"]["floors"]);
    insta::assert_snapshot!(texts.map(|(text, _)| text).join("\n\n"));
}

#[test]
fn between_windows_what_a_restart_would_do_and_what_was_replaced_are_told() {
    let plan = checked(4, &background());
    let happened = events(&plan, None);
    let done = state(&happened);
    let mut screen = Screen::new(4, fixture::on_background);
    screen.known.insert(done.run, InJournal::Ended);
    for node in &plan.plan().nodes {
        let starts = [What::Act(Verb::StartMigrating), What::Act(Verb::Start)];
        let steps = starts.into_iter().filter_map(|start| plan.plan().first_step(start));
        let step = steps.into_iter().find(|step| step.nodes.contains(&node.name)).unwrap();
        let ActState::Done { settlement: Settlement::Met(outcome), .. } =
            done.act_state(step.number, &node.name)
        else {
            unreachable!()
        };
        let facts = &mut screen.survey.facts.nodes.get_mut(&node.name).unwrap().facts;
        let container = facts.components[0].container.as_mut().unwrap();
        container.state = outcome.container.clone().unwrap();
    }
    let as_left = screen.shown(Some(RunSeen { plan: &plan, state: &done })).0;
    each(&mut screen, |place, node| {
        let container = node.components[0].container.as_mut().unwrap();
        match place {
            0 => container.state.id = fixture::hex('9', 1).parse().unwrap(),
            1 => container.state.started_at = Some("2026-11-22T05:00:00Z".parse().unwrap()),
            2 => {
                let ConfigFacts::Readable(config) = &mut node.config else { unreachable!() };
                config.mode = Mode::Complete;
            }
            _ => container.state.restart_count = 2,
        }
    });
    let changed = screen.shown(Some(RunSeen { plan: &plan, state: &done })).0;
    insta::assert_snapshot!([as_left, changed].join("\n\n"));
}

#[test]
fn the_ascii_form_has_no_other_letters() {
    let mut screen = Screen::new(3, fixture::on_background);
    each(&mut screen, |place, node| {
        node.lease = (place == 0).then(|| lease(1));
        node.floor = (place == 0).then(|| floor(Mode::Background, &[('a', None)]));
    });
    let text = screen.with_view(None, |view| status(view, Style::PLAIN));
    fits(&text);
    assert!(text.is_ascii(), "{text}");
}
