//! What preflight found, what its codes mean, and what was waived.

use quaymaster_proto::node::ConfigFacts;

use super::*;
use crate::preflight::waiver::{Asked, Judged, waive};
use crate::preflight::{Code, Findings, of_cluster};

/// Clocks that differ, and config.yaml on one node.
fn spoiled() -> Findings {
    let cluster = fixture::cluster(3);
    let mut facts = fixture::on_2_9_5(&cluster);
    let node = facts.nodes.get_mut(&"quay-2".parse().unwrap()).unwrap();
    node.facts.now = "2026-11-22T02:10:45.5Z".parse().unwrap();
    let ConfigFacts::Readable(config) = &mut node.facts.config else { panic!("it is readable") };
    config.keyed_values.insert("LOG_LEVEL".into(), "other".into());
    config.setup_complete = false;
    let catalogue = Catalogue::built_in();
    of_cluster(Reader { catalogue: &catalogue, mirrors: &cluster.mirrors }, &facts)
}

fn shown(checked_for: &CheckedFor, findings: &Findings) -> String {
    let view = PreflightView {
        cluster: &"prod".parse().unwrap(),
        nodes: 3,
        checked_for,
        findings,
        program: "quaymaster",
    };
    let text = preflight(&view, Style::PLAIN);
    fits(&text);
    text
}

#[test]
fn everything_that_was_found_is_told_with_its_code_and_what_to_do() {
    let none = Findings::default();
    let texts = [
        shown(&CheckedFor::Window(background()), &spoiled()),
        shown(&CheckedFor::Window(synchronous()), &none),
        shown(&CheckedFor::Window(second()), &none),
        shown(&CheckedFor::NoWindow, &none),
        shown(&CheckedFor::Unclear, &spoiled()),
    ];
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn preflight_for_programs() {
    let findings = spoiled();
    let view = PreflightView {
        cluster: &"prod".parse().unwrap(),
        nodes: 3,
        checked_for: &CheckedFor::Window(background()),
        findings: &findings,
        program: "quaymaster",
    };
    insta::assert_snapshot!(format!("{:#}", preflight_json(&view)));
}

#[test]
fn every_page_fits_a_terminal() {
    let two = [Code::SetupIncomplete, Code::ConfigDiffers, Code::ClockSkew];
    let pages = two.map(|code| super::super::code(code, Style::PLAIN));
    insta::assert_snapshot!(pages.join("\n"));
    for code in Code::ALL {
        fits(&super::super::code(*code, Style::PLAIN));
    }
    fits(&codes());
    insta::assert_snapshot!(codes());
}

#[test]
fn what_is_waived_is_read_in_the_plan_in_the_run_and_in_the_report() {
    let asked = Asked {
        code: Code::ConfigDiffers,
        because: "quay-2 logs more while a bug is looked for".to_owned(),
    };
    let judged = waive(spoiled(), &[asked], "alice@admin-1", start());
    let Judged { findings: _, waivers } = judged.unwrap();
    let plan = crate::plan::Plan { waivers, ..checked(3, &background()).plan().clone() };
    let plan = plan.check().unwrap();
    let is_about_it = |line: &&str| line.starts_with("waived") || line.starts_with("          ");
    let lines = |text: &str| {
        let from = text.lines().skip_while(|line| !line.starts_with("waived"));
        from.take_while(is_about_it).map(|line| format!("{line}\n")).collect::<String>()
    };
    let page = super::super::plan(&plan, soon(), "quaymaster apply", Style::PLAIN);
    fits(&page);
    let figures = crate::report::report(plan.plan(), &state(&events(&plan, None)));
    let begin = event_line(plan.plan(), &events(&plan, None)[0], Style::PLAIN).unwrap();
    let texts = [
        lines(&page),
        begin,
        lines(&report(&plan, &figures, "quaymaster", Style::PLAIN)),
        format!("{:#}", report_json(&plan, &figures)["report"]["waived_findings"]),
    ];
    insta::assert_snapshot!(texts.join("\n"));
}
