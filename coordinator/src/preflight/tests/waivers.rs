use super::*;
use crate::preflight::waiver::{Asked, Judged, NotWaived, flaw, waive, without};

fn asked(code: Code, because: &str) -> Asked {
    Asked { code, because: because.to_owned() }
}

fn waived(findings: Findings, asked: &[Asked]) -> Result<Judged, Vec<NotWaived>> {
    waive(findings, asked, "alice@admin-1", fixture::survey_time())
}

/// Two nodes with other keys than the third, and clocks that differ.
fn spoiled() -> Case {
    let mut case = Case::on_2_9_5();
    case.config(2).keyed_values.insert("LOG_LEVEL".into(), "other".into());
    case.node(2).facts.now = "2026-11-22T02:10:45.5Z".parse().unwrap();
    case
}

#[test]
fn what_is_waived_does_not_count_and_stays_on_record() {
    let reason = "quay-2 logs more while a bug is looked for";
    let judged = waived(spoiled().findings(), &[asked(Code::ConfigDiffers, reason)]).unwrap();
    assert!(judged.findings.allow(), "{}", shown(&judged.findings));
    assert_eq!(judged.findings.warnings().count(), 1, "only the clocks are left");
    let [waiver] = judged.waivers.as_slice() else { panic!("{:?}", judged.waivers) };
    assert_eq!((waiver.because.as_str(), waiver.by.as_str()), (reason, "alice@admin-1"));
    assert!(waiver.found[0].words.contains("LOG_LEVEL"), "{:?}", waiver.found);
    // The same cluster is judged the same by whoever has the plan.
    assert!(without(spoiled().findings(), &judged.waivers).allow());
    assert_eq!(flaw(&judged.waivers), None);
}

#[test]
fn a_waiver_covers_the_node_that_it_was_made_for_and_no_other() {
    let file = |number| {
        let mut case = Case::on_2_9_5();
        case.container(number).has_override_config = true;
        case.findings()
    };
    let judged = waived(file(2), &[asked(Code::OverrideConfig, "a proxy")]).unwrap();
    assert_eq!(without(file(2), &judged.waivers), Findings::default());
    assert_eq!(without(file(3), &judged.waivers), file(3));
}

#[test]
fn what_is_not_waived_is_named_with_the_reason() {
    let mut case = spoiled();
    case.config(2).setup_complete = false;
    let refused = waived(
        case.findings(),
        &[
            asked(Code::SetupIncomplete, "it is"),
            asked(Code::CertificateEnds, "it is renewed tonight"),
            asked(Code::ClockSkew, "ntp returns at noon"),
            asked(Code::ClockSkew, "once more"),
            asked(Code::ConfigDiffers, "  "),
        ],
    )
    .unwrap_err();
    let text: Vec<String> =
        refused.iter().map(|why| format!("{why}\n  {}", why.remedy())).collect();
    insta::assert_snapshot!(text.join("\n"));
}

/// A plan that was written by hand is no way round.
#[test]
fn a_plan_waives_nothing_that_nobody_may() {
    let judged = waived(spoiled().findings(), &[asked(Code::ClockSkew, "ntp")]).unwrap();
    let mut never = judged.waivers.clone();
    never[0].code = Code::MixedGenerations;
    assert!(matches!(flaw(&never), Some(NotWaived::Never { .. })));
    let twice = [judged.waivers.clone(), judged.waivers.clone()].concat();
    assert_eq!(flaw(&twice), Some(NotWaived::Twice { code: Code::ClockSkew }));
    let mut silent = judged.waivers;
    silent[0].because.clear();
    assert_eq!(flaw(&silent), Some(NotWaived::NoReason { code: Code::ClockSkew }));
}
