use quaymaster_proto::database::DatabaseIdentity;
use quaymaster_proto::node::{ComponentFacts, ConfigFacts};
use quaymaster_proto::{ContainerStatus, Mode};

use super::*;
use crate::survey::{DatabaseAnswer, fixture};

#[test]
fn everything_that_a_step_relies_on_is_compared() {
    let cluster = fixture::cluster(3);
    let window = fixture::window(1, 2, ("2.9.5", Mode::Absent), ("3.0.5", Mode::Background));
    let mut facts = fixture::on_2_9_5(&cluster);
    let plan = fixture::plan(&cluster, &facts, &window);
    assert_eq!(drift(&plan, &facts), []);

    let mut nodes = facts.nodes.values_mut();
    let (Some(one), Some(two), Some(_)) = (nodes.next(), nodes.next(), nodes.next()) else {
        panic!("the fixture has three nodes")
    };
    one.facts.engine.id = "ENGINE-9".to_owned();
    let container = one.facts.components[0].container.as_mut().unwrap();
    container.state.id = fixture::hex('9', 9).parse().unwrap();
    container.spec = fixture::hex('8', 9).parse().unwrap();
    container.state.image = format!("sha256:{}", fixture::hex('7', 9)).parse().unwrap();
    if let ConfigFacts::Readable(config) = &mut one.facts.config {
        config.sha256 = fixture::hex('6', 9).parse().unwrap();
    }
    if let DatabaseAnswer::Looked(look) = &mut one.database {
        look.identity = DatabaseIdentity::new("postgresql:2:2").unwrap();
        look.revision = "c00a1f15968b".to_owned();
    }
    two.facts.components[0].container = None;
    two.facts.config = ConfigFacts::Unusable { path: "c".into(), problem: "is gone".into() };
    two.database = DatabaseAnswer::Problem("refused".into());
    let third = facts.nodes.pop_last().unwrap();
    facts.nodes.insert("quay-4".parse().unwrap(), third.1);

    let texts: Vec<String> = drift(&plan, &facts).iter().map(Drift::to_string).collect();
    insta::assert_snapshot!(texts.join("\n"));
}

/// The plan would not stop it.
#[test]
fn what_appeared_beside_a_quay_is_drift() {
    let cluster = fixture::cluster(1);
    let window = fixture::window(1, 1, ("2.9.5", Mode::Absent), ("3.0.5", Mode::Complete));
    let mut facts = fixture::on_2_9_5(&cluster);
    let plan = fixture::plan(&cluster, &facts, &window);
    let quay = &mut facts.nodes.values_mut().next().unwrap().facts.components[0];
    let mut copy = quay.container.clone().unwrap();
    copy.state.name = "quay-copy".to_owned();
    quay.others.push(copy);
    let texts = |facts: &ClusterFacts| -> Vec<String> {
        drift(&plan, facts).iter().map(Drift::to_string).collect()
    };
    assert_eq!(texts(&facts), ["quay-1: Quay container changed: none -> quay-copy"]);

    fn components(facts: &mut ClusterFacts) -> &mut Vec<ComponentFacts> {
        &mut facts.nodes.values_mut().next().unwrap().facts.components
    }
    components(&mut facts)[0].others[0].state.status = ContainerStatus::Exited;
    assert_eq!(texts(&facts), [""; 0], "one that does not live needs no stop");
    let mut builder = components(&mut facts)[0].clone();
    builder.component = Component::Builder;
    builder.container.as_mut().unwrap().state.name = "builder".to_owned();
    builder.others.clear();
    components(&mut facts).push(builder);
    assert_eq!(texts(&facts), ["quay-1: builder container changed: none -> builder"]);
}

#[test]
fn disks_and_counts_are_no_drift() {
    let cluster = fixture::cluster(1);
    let window = fixture::window(1, 1, ("2.9.5", Mode::Absent), ("3.0.5", Mode::Complete));
    let mut facts = fixture::on_2_9_5(&cluster);
    let plan = fixture::plan(&cluster, &facts, &window);
    for node in facts.nodes.values_mut() {
        node.facts.free_bytes_engine = Some(1);
        if let DatabaseAnswer::Looked(look) = &mut node.database {
            look.counts = None;
        }
    }
    assert_eq!(drift(&plan, &facts), []);
}
