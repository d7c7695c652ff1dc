use std::fmt::Write as _;

use quaymaster_proto::database::DatabaseIdentity;
use quaymaster_proto::node::{ConfigFacts, ContainerFacts, OtherStarter, ReadableConfig};
use quaymaster_proto::preview::{ConfigChange, Preview, SpecFinding, SpecVerdict};
use quaymaster_proto::{Component, ContainerStatus, Mode};

use super::*;
use crate::catalogue::Catalogue;
use crate::cluster::Cluster;
use crate::nodes::ResolvedImage;
use crate::plan::Window;
use crate::plan::situation::{Answers, Unanswered};
use crate::survey::{DatabaseAnswer, LAB_LABEL, NodeSurvey, fixture};

/// A cluster of three, healthy and willing until a test spoils it.
struct Case {
    cluster: Cluster,
    facts: ClusterFacts,
    window: Window,
    answers: Answers,
}

impl Case {
    fn on_2_9_5() -> Self {
        let window = fixture::window(1, 2, ("2.9.5", Mode::Absent), ("3.0.5", Mode::Background));
        Self::new(fixture::on_2_9_5, window)
    }

    fn on_background() -> Self {
        let (from, to) = (("3.0.5", Mode::Background), ("3.0.5", Mode::Complete));
        Self::new(fixture::on_background, fixture::window(2, 2, from, to))
    }

    fn new(facts: fn(&Cluster) -> ClusterFacts, window: Window) -> Self {
        let cluster = fixture::cluster(3);
        let facts = facts(&cluster);
        let answers = fixture::answers(&facts, &window);
        Self { cluster, facts, window, answers }
    }

    fn findings(&self) -> Findings {
        let catalogue = Catalogue::built_in();
        let reader = Reader { catalogue: &catalogue, mirrors: &self.cluster.mirrors };
        let situation = Situation {
            cluster: &self.cluster,
            catalogue: &catalogue,
            facts: &self.facts,
            window: &self.window,
            answers: &self.answers,
        };
        of_cluster(reader, &self.facts).and(of_window(&situation))
    }

    fn node(&mut self, number: u8) -> &mut NodeSurvey {
        self.facts.nodes.get_mut(&name(number)).unwrap()
    }

    /// These nodes reach no registry, and have an image of that digit.
    fn load(&mut self, nodes: &[(u8, char)]) {
        for (number, digit) in nodes {
            let image = format!("sha256:{}", fixture::hex(*digit, 0)).parse().unwrap();
            let silence = "lookup quay.io: no such host".to_owned();
            let resolved = ResolvedImage::OnNode { image, silence };
            self.answers.images.insert((name(*number), Component::Quay), Ok(resolved));
        }
    }

    fn container(&mut self, number: u8) -> &mut ContainerFacts {
        self.node(number).facts.components[0].container.as_mut().unwrap()
    }

    fn config(&mut self, number: u8) -> &mut ReadableConfig {
        match &mut self.node(number).facts.config {
            ConfigFacts::Readable(config) => config,
            ConfigFacts::Unusable { .. } => panic!("the fixture's config is readable"),
        }
    }

    fn preview(&mut self, number: u8) -> &mut Preview {
        let key = (name(number), Component::Quay);
        self.answers.previews.get_mut(&key).unwrap().as_mut().unwrap()
    }
}

fn name(number: u8) -> NodeName {
    format!("quay-{number}").parse().unwrap()
}

/// Findings as a reviewer reads them.
fn shown(findings: &Findings) -> String {
    let mut text = String::new();
    for finding in findings.all() {
        let severity = match finding.severity() {
            Severity::Refuses => "refused",
            Severity::Warns => "warning",
        };
        writeln!(text, "{severity}: {finding}\n  {}", finding.remedy()).unwrap();
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

#[test]
fn agents_engines_and_clocks() {
    let texts = [
        found(Case::on_2_9_5, |case| {
            case.node(2).facts.cluster = "test".parse().unwrap();
            case.node(2).facts.node = name(7);
        }),
        found(Case::on_2_9_5, |case| case.node(2).facts.engine.api_version = "1.39".into()),
        found(Case::on_2_9_5, |case| {
            case.node(2).facts.engine.name = "Podman".into();
            case.node(2).facts.engine.version = "4.3.1".into();
        }),
        found(Case::on_2_9_5, |case| {
            case.node(2).facts.certificate_not_after = fixture::survey_time();
        }),
        found(Case::on_2_9_5, |case| {
            case.node(2).facts.now = "2026-11-22T02:10:45.5Z".parse().unwrap();
        }),
        found(Case::on_2_9_5, |case| {
            case.cluster.timings.backfill.poll = std::time::Duration::from_secs(1);
        }),
    ];
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn what_runs() {
    let texts = [
        found(Case::on_2_9_5, |case| case.node(2).facts.components.clear()),
        found(Case::on_2_9_5, |case| case.node(2).facts.components[0].container = None),
        found(Case::on_2_9_5, |case| case.container(2).state.status = ContainerStatus::Exited),
        found(Case::on_2_9_5, |case| {
            case.container(2).image_reference = "quay.io/coreos/quay:v2.9.2".into();
            case.container(2).image_tags.clear();
        }),
        found(Case::on_background, |case| case.container(2).effective_mode = None),
        found(Case::on_background, |case| case.container(2).effective_mode = Some(Mode::Other)),
        found(Case::on_background, |case| case.container(2).effective_mode = Some(Mode::Complete)),
        found(Case::on_background, |case| {
            case.container(2).state.image =
                format!("sha256:{}", fixture::hex('9', 0)).parse().unwrap();
        }),
    ];
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn containers() {
    let texts = [
        found(Case::on_2_9_5, |case| {
            let starter = |what: &str, remedy: &str| OtherStarter {
                what: what.to_owned(),
                remedy: remedy.to_owned(),
            };
            case.container(2).other_starters = vec![
                starter(
                    "systemd unit `quay.service` (enabled; `docker start`)",
                    "systemctl disable --now quay.service && mv \
                     /etc/systemd/system/quay.service /root/ && systemctl daemon-reload && docker \
                     start quay",
                ),
                starter(
                    "`--rm`, by which the engine removes it when it ends",
                    "create the container anew with docker run --detach --restart always, without \
                     --rm",
                ),
            ];
        }),
        found(Case::on_2_9_5, |case| {
            let mut stray = case.container(2).clone();
            stray.state.name = "quay.quaymaster-0123abcd-next".into();
            case.node(2).facts.components[0].others.push(stray);
        }),
        found(Case::on_2_9_5, |case| {
            case.container(2).has_override_config = true;
            case.container(2).override_mode = Some(Mode::Complete);
        }),
        found(Case::on_2_9_5, |case| case.container(2).has_override_config = true),
        found(Case::on_2_9_5, |case| {
            case.preview(2).spec.push(SpecFinding {
                verdict: SpecVerdict::Refused,
                subject: "volume /datastorage".into(),
                reason: "is anonymous; its data would stay behind".into(),
            });
        }),
        found(Case::on_2_9_5, |case| {
            let problem = "the engine does not answer".into();
            let remedy = "systemctl status docker".into();
            case.answers
                .previews
                .insert((name(2), Component::Quay), Err(Unanswered { problem, remedy }));
        }),
    ];
    insta::assert_snapshot!(texts.join("\n"));
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
    let texts = [
        found(Case::on_2_9_5, |case| {
            case.node(2).facts.config = ConfigFacts::Unusable {
                path: "/mnt/quay/config/config.yaml".into(),
                problem: "V3_UPGRADE_MODE is there twice: lines 4 and 9".into(),
            };
        }),
        found(Case::on_2_9_5, |case| case.config(2).setup_complete = false),
        found(Case::on_2_9_5, |case| {
            case.config(2).keyed_values.insert("DB_URI".into(), "other".into());
            case.config(3).keyed_values.remove("SERVER_HOSTNAME");
            case.config(1).keyed_values.insert("file:ssl.key".into(), "digest".into());
        }),
        found(Case::on_background, |case| case.config(2).mode = Mode::Complete),
        found(Case::on_2_9_5, |case| {
            (1..=3).for_each(|number| case.config(number).keyed_values.clear());
        }),
        found(Case::on_2_9_5, |case| {
            case.preview(2).config =
                Some(ConfigChange::Refused { reason: "its root is in flow style".into() });
        }),
    ];
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn databases() {
    let look = |case: &mut Case, number| match &case.node(number).database {
        DatabaseAnswer::Looked(look) => look.clone(),
        DatabaseAnswer::Problem(problem) => panic!("{problem}"),
    };
    let texts = [
        found(Case::on_2_9_5, |case| {
            case.node(2).database = DatabaseAnswer::Problem("connection refused".into());
        }),
        found(Case::on_2_9_5, |case| {
            let mut other = look(case, 2);
            other.identity = DatabaseIdentity::new("postgresql:1:1").unwrap();
            other.shown_as = "quaydb-2:5432/quay".into();
            case.node(2).database = DatabaseAnswer::Looked(other);
        }),
        found(Case::on_2_9_5, |case| {
            let mut standby = look(case, 2);
            standby.in_recovery = true;
            case.node(2).database = DatabaseAnswer::Looked(standby);
        }),
        found(Case::on_2_9_5, |case| {
            for number in 1..=3 {
                let mut half = look(case, number);
                half.revision = "c00a1f15968b".into();
                case.node(number).database = DatabaseAnswer::Looked(half);
            }
        }),
    ];
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn images() {
    let texts = [
        found(Case::on_2_9_5, |case| {
            for number in [2, 3] {
                case.node(number).facts.components[0].repositories.pop();
            }
        }),
        found(Case::on_2_9_5, |case| {
            let problem = "manifest unknown".into();
            let remedy = String::new();
            case.answers
                .images
                .insert((name(2), Component::Quay), Err(Unanswered { problem, remedy }));
        }),
        found(Case::on_2_9_5, |case| {
            let digest = format!("sha256:{}", fixture::hex('7', 0)).parse().unwrap();
            let other = ResolvedImage::InRegistry { digest, present: None };
            case.answers.images.insert((name(2), Component::Quay), Ok(other));
        }),
        found(Case::on_2_9_5, |case| case.load(&[(1, 'a'), (2, 'a'), (3, 'a')])),
        found(Case::on_2_9_5, |case| case.load(&[(1, 'a'), (2, 'b'), (3, 'a')])),
        // The others ask a registry, and lack the image.
        found(Case::on_2_9_5, |case| case.load(&[(2, 'b')])),
    ];
    insta::assert_snapshot!(texts.join("\n"));
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
