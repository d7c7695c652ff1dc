use quaymaster_proto::{ContainerStatus, Mode, NodeName};

use super::*;
use crate::catalogue::Catalogue;
use crate::cluster::{Cluster, Mirrors};
use crate::plan::ReleaseInMode;

fn generations(cluster: &Cluster, facts: &ClusterFacts) -> Vec<Result<ReleaseInMode, Unclear>> {
    let catalogue = Catalogue::built_in();
    let reader = Reader { catalogue: &catalogue, mirrors: &cluster.mirrors };
    facts.nodes.values().map(|node| reader.generation(facts, node)).collect()
}

fn first(facts: &mut ClusterFacts) -> &mut ContainerFacts {
    let name: NodeName = "quay-1".parse().unwrap();
    let node = facts.nodes.get_mut(&name).unwrap();
    node.facts.components[0].container.as_mut().unwrap()
}

fn runs(release: &str, mode: Mode) -> Result<ReleaseInMode, Unclear> {
    Ok(ReleaseInMode { release: release.to_owned(), mode })
}

#[test]
fn a_node_runs_what_its_image_and_its_quay_say() {
    let cluster = fixture::cluster(1);
    let expected = [
        (fixture::on_2_9_5(&cluster), runs("2.9.5", Mode::Absent)),
        (fixture::on_background(&cluster), runs("3.0.5", Mode::Background)),
        (fixture::on_complete(&cluster), runs("3.0.5", Mode::Complete)),
    ];
    for (facts, generation) in expected {
        assert_eq!(generations(&cluster, &facts), [generation]);
    }
}

#[test]
fn config_yaml_does_not_say_what_runs() {
    let cluster = fixture::cluster(1);
    let mut facts = fixture::on_background(&cluster);
    first(&mut facts).effective_mode = Some(Mode::Complete);
    assert_eq!(generations(&cluster, &facts), [runs("3.0.5", Mode::Complete)]);
    first(&mut facts).effective_mode = None;
    let release = "3.0.5".to_owned();
    assert_eq!(generations(&cluster, &facts), [Err(Unclear::NoMode { release })]);
}

#[test]
fn what_does_not_run_or_is_not_known_is_said_so() {
    let cluster = fixture::cluster(1);
    let mut facts = fixture::on_2_9_5(&cluster);
    first(&mut facts).state.status = ContainerStatus::Exited;
    let (name, status) = ("quay".to_owned(), ContainerStatus::Exited);
    assert_eq!(generations(&cluster, &facts), [Err(Unclear::NotRunning { name, status })]);

    first(&mut facts).image_reference = "example.com/quay:mine".to_owned();
    first(&mut facts).image_tags = Vec::new();
    let image = "example.com/quay:mine".to_owned();
    assert_eq!(generations(&cluster, &facts), [Err(Unclear::UnknownImage { image })]);
}

#[test]
fn an_image_that_was_pulled_by_digest_gets_its_name_from_the_registry() {
    let mut cluster = fixture::cluster(1);
    cluster.mirrors = mirrors();
    let mut facts = fixture::on_background(&cluster);
    let digest: ImageDigest = format!("sha256:{}", fixture::hex('e', 0)).parse().unwrap();
    let container = first(&mut facts);
    container.image_reference = container.state.image.to_string();
    container.image_tags = Vec::new();
    container.image_digests = vec![format!("127.0.0.1:5000/quayio/redhat/quay@{digest}")];

    let catalogue = Catalogue::built_in();
    let reader = Reader { catalogue: &catalogue, mirrors: &cluster.mirrors };
    let questions = reader.digest_questions(&facts);
    let [asked] = questions.as_slice() else { panic!("{questions:?}") };
    assert_eq!(asked.question.repository, "127.0.0.1:5000/quayio/redhat/quay");
    assert_eq!(asked.question.tag, "v3.0.5");

    facts.digests.insert(asked.name.clone(), digest);
    assert_eq!(generations(&cluster, &facts), [runs("3.0.5", Mode::Background)]);
    assert_eq!(reader.digest_questions(&facts), []);
}

fn mirrors() -> Mirrors {
    let text = "{ version: 1, cluster: lab, tls: { ca: a, certificate: b, key: c },
        nodes: [{ name: n, address: h }], mirrors: { quay.io: '127.0.0.1:5000/quayio' } }";
    Cluster::parse(text, std::path::Path::new("/")).unwrap().mirrors
}

#[test]
fn databases_labs_and_clocks_are_the_whole_clusters() {
    let cluster = fixture::cluster(3);
    let mut facts = fixture::on_2_9_5(&cluster);
    assert!(facts.one_database().is_some() && !facts.is_lab());
    assert_eq!(facts.serving().count(), 3);
    assert_eq!(facts.clock_skew_millis(), 0);

    first(&mut facts).labels.insert(LAB_LABEL.to_owned(), "l".to_owned());
    assert!(!facts.is_lab());
    let name: NodeName = "quay-3".parse().unwrap();
    facts.nodes.get_mut(&name).unwrap().database = DatabaseAnswer::Problem("no".to_owned());
    assert!(facts.one_database().is_none());
    assert_eq!(facts.databases().len(), 1);
}

#[test]
fn the_same_answers_give_the_same_bytes() {
    let cluster = fixture::cluster(3);
    let facts = fixture::on_2_9_5(&cluster);
    let text = serde_json::to_string(&facts).unwrap();
    let again: ClusterFacts = serde_json::from_str(&text).unwrap();
    assert_eq!(again, facts);
    assert_eq!(serde_json::to_string(&again).unwrap(), text);
}
