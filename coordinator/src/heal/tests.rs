use quaymaster_proto::health::HealthRoute;
use quaymaster_proto::node::{ConfigFacts, ReadableConfig};
use quaymaster_proto::{Below, ContainerStatus, Epoch, Floor, Lease};

use super::*;
use crate::catalogue::Catalogue;
use crate::survey::{ClusterFacts, DatabaseAnswer, Silence, fixture};

struct Scene {
    cluster: Cluster,
    survey: Survey,
    health: BTreeMap<ContainerId, HealthReport>,
    over: BTreeSet<RunId>,
    healings: BTreeSet<RunId>,
    takes_over: bool,
}

fn name() -> NodeName {
    "quay-2".parse().unwrap()
}

impl Scene {
    /// quay-2's Quay has ended.
    fn new(count: u8, facts: fn(&Cluster) -> ClusterFacts) -> Self {
        let cluster = fixture::cluster(count);
        let survey = Survey { facts: facts(&cluster), silent: BTreeMap::new() };
        let mut scene = Self {
            cluster,
            survey,
            health: BTreeMap::new(),
            over: BTreeSet::new(),
            healings: BTreeSet::new(),
            takes_over: false,
        };
        scene.end("quay-2");
        scene
    }

    fn node(&mut self, name: &str) -> &mut NodeSurvey {
        self.survey.facts.nodes.get_mut(&name.parse::<NodeName>().unwrap()).unwrap()
    }

    fn quay(&mut self, name: &str) -> &mut ComponentFacts {
        &mut self.node(name).facts.components[0]
    }

    fn container(&mut self, name: &str) -> &mut ContainerFacts {
        self.quay(name).container.as_mut().unwrap()
    }

    fn config(&mut self) -> &mut ReadableConfig {
        match &mut self.node("quay-2").facts.config {
            ConfigFacts::Readable(config) => config,
            ConfigFacts::Unusable { .. } => unreachable!(),
        }
    }

    fn end(&mut self, name: &str) {
        let container = self.container(name);
        container.state.status = ContainerStatus::Exited;
        container.state.exit_code = 137;
        container.state.finished_at = Some(fixture::survey_time());
        container.effective_mode = None;
    }

    /// Its Quay lives, and is or is not well.
    fn live(&mut self, verdict: HealthVerdict) {
        let container = self.container("quay-2");
        container.state.status = ContainerStatus::Running;
        let report = HealthReport {
            at: fixture::survey_time(),
            container: None,
            instance: HealthRoute::default(),
            endtoend: HealthRoute::default(),
            verdict,
            effective_mode: None,
        };
        let id = container.state.id.clone();
        self.health.insert(id, report);
    }

    fn lease(&mut self, name: &str) -> RunId {
        let run = crate::report::fixture::RUN.parse().unwrap();
        self.node(name).facts.lease = Some(Lease {
            run,
            epoch: Epoch::FIRST,
            holder: "carol@admin-2".into(),
            since: fixture::survey_time(),
            process: ulid::Ulid(7),
            plan: "a".repeat(64).parse().unwrap(),
        });
        run
    }

    fn judged(&self) -> Result<Healing, Vec<Against>> {
        let catalogue = Catalogue::built_in();
        let known = Known {
            cluster: &self.cluster,
            reader: Reader { catalogue: &catalogue, mirrors: &self.cluster.mirrors },
            survey: &self.survey,
            health: &self.health,
            over: &self.over,
            healings: &self.healings,
            takes_over: self.takes_over,
            now: fixture::survey_time(),
        };
        judge(&known, &name())
    }
}

fn in_background() -> Scene {
    Scene::new(3, fixture::on_background)
}

#[test]
fn a_node_gets_what_the_registry_runs_from_its_own_container() {
    let healing = in_background().judged().unwrap();
    assert_eq!(healing.release.to_string(), "3.0.5 in background");
    assert_eq!(healing.container.as_str(), fixture::hex('c', 2));
    assert_eq!(healing.generation.mode, Mode::Background);
    assert_eq!(healing.restart_policy, RestartPolicy::Always);
    assert_eq!(healing.grace_seconds, 10, "the catalogue's");
    assert_eq!(healing.ground.database.revisions, ["481623ba00ba"]);
    assert_eq!(healing.ground.config.as_str(), fixture::hex('b', 2));
}

#[test]
fn where_the_container_is_retired_the_newest_of_the_generation_is_taken() {
    let mut scene = in_background();
    let quay = scene.quay("quay-2");
    let mut old = quay.container.take().unwrap();
    old.state.name = "quay.quaymaster-q69g5fav-old".into();
    old.owner_restart_policy = Some(RestartPolicy::UnlessStopped);
    // An earlier healing whose container never became healthy.
    let mut failed = old.clone();
    failed.state.id = fixture::hex('6', 1).parse().unwrap();
    failed.state.name = "quay.quaymaster-q69g5fav-back".into();
    failed.state.started_at = Some(fixture::survey_time());
    failed.state.restart_policy = RestartPolicy::No;
    failed.owner_restart_policy = None;
    quay.others = vec![old, failed];
    let healing = scene.judged().unwrap();
    assert_eq!(healing.container.as_str(), fixture::hex('6', 1));
    assert_eq!(healing.restart_policy, RestartPolicy::UnlessStopped, "the owner's");
}

#[test]
fn one_node_alone_goes_by_its_image_its_file_and_the_database() {
    let single = |facts: fn(&Cluster) -> ClusterFacts| {
        let mut scene = Scene::new(2, facts);
        scene.survey.facts.nodes.remove(&"quay-1".parse::<NodeName>().unwrap());
        scene
    };
    assert_eq!(single(fixture::on_2_9_5).judged().unwrap().release.to_string(), "2.9.5");
    let complete = single(fixture::on_complete);
    assert_eq!(complete.judged().unwrap().release.to_string(), "3.0.5 in complete");
    // The file was edited by hand: a start would migrate.
    let mut edited = single(fixture::on_background);
    edited.config().mode = Mode::Complete;
    assert!(matches!(edited.judged().unwrap_err()[..], [Against::Revision { .. }]));
    // The floor knows better than the file.
    let floor = Floor {
        generation: Generation {
            image: edited.container("quay-2").state.image.clone(),
            mode: Mode::Background,
        },
        below: vec![Below { image: edited.container("quay-2").state.image.clone(), mode: None }],
    };
    edited.node("quay-2").facts.floor = Some(floor);
    assert!(matches!(edited.judged().unwrap_err()[..], [Against::Mode { .. }]));
}

#[test]
fn a_spoiled_quay_is_healed_and_one_on_its_way_up_is_waited_for() {
    let mut scene = in_background();
    scene.live(HealthVerdict::Unhealthy);
    scene.judged().unwrap();
    // Restarted by hand a moment ago: that leads nowhere.
    scene.container("quay-2").state.started_at = Some(fixture::survey_time());
    scene.judged().unwrap();
    scene.container("quay-2").state.finished_at = None;
    assert!(matches!(scene.judged().unwrap_err()[..], [Against::StillStarting { .. }]));
}

#[test]
fn a_lease_that_is_nobodys_is_taken_and_any_other_is_not() {
    let mut scene = in_background();
    let run = scene.lease("quay-2");
    assert!(matches!(scene.judged().unwrap_err()[..], [Against::Leased { .. }]));
    scene.over.insert(run);
    scene.judged().unwrap();
    scene.over.clear();
    scene.healings.insert(run);
    assert!(matches!(scene.judged().unwrap_err()[..], [Against::BeingHealed { .. }]));
    scene.takes_over = true;
    scene.judged().unwrap();
    // Of another node it is not ours to take.
    scene.node("quay-2").facts.lease = None;
    scene.lease("quay-3");
    assert!(matches!(scene.judged().unwrap_err()[..], [Against::BeingHealed { .. }]));
}

type Change = fn(&mut Scene);

/// All that stands against healing after each change.
fn told(changes: &[(&str, Change)]) -> String {
    let texts = changes.iter().map(|(title, change)| {
        let mut scene = in_background();
        change(&mut scene);
        let against = scene.judged().unwrap_err();
        let each = against.iter().map(|why| format!("  - {why}\n      {}", why.remedy()));
        format!("{title}\n{}", each.collect::<Vec<_>>().join("\n"))
    });
    texts.collect::<Vec<_>>().join("\n")
}

#[test]
fn what_of_the_cluster_and_the_containers_stands_against_it_is_told() {
    insta::assert_snapshot!(told(&[
        ("a window is under way", |scene| {
            scene.lease("quay-1");
        }),
        ("it serves", |scene| scene.live(HealthVerdict::Healthy)),
        ("health cannot be asked", |scene| {
            scene.live(HealthVerdict::Down);
            scene.health.clear();
        }),
        ("another Quay lives beside it", |scene| {
            let mut other = scene.container("quay-1").clone();
            other.state.name = "quay-by-hand".into();
            other.state.id = fixture::hex('9', 1).parse().unwrap();
            scene.quay("quay-2").others.push(other);
        }),
        ("the name is another generation's", |scene| {
            let container = scene.container("quay-2");
            container.image_reference = "quay.io/coreos/quay:v2.9.5".into();
            container.image_tags.clear();
        }),
        ("nothing is left of it", |scene| scene.quay("quay-2").container = None),
        ("nobody knows what the registry runs", |scene| {
            scene.end("quay-1");
            let three = scene.survey.facts.nodes.remove(&"quay-3".parse::<NodeName>().unwrap());
            let silence = Silence {
                address: three.unwrap().address,
                problem: "connection refused: no agent listens there".into(),
                remedy: String::new(),
            };
            scene.survey.silent.insert("quay-3".parse().unwrap(), silence);
        }),
    ]));
}

#[test]
fn what_of_the_generation_and_the_database_stands_against_it_is_told() {
    insta::assert_snapshot!(told(&[
        ("the others differ", |scene| {
            scene.container("quay-3").effective_mode = Some(Mode::Complete);
        }),
        ("the floor is another", |scene| {
            let image = scene.container("quay-2").state.image.clone();
            let generation = Generation { image, mode: Mode::Complete };
            scene.node("quay-2").facts.floor = Some(Floor { generation, below: Vec::new() });
        }),
        ("config.yaml cannot be read, nor the database", |scene| {
            let (path, problem) = ("/mnt/quay/config/config.yaml".into(), "no such file".into());
            let node = scene.node("quay-2");
            node.facts.config = ConfigFacts::Unusable { path, problem };
            node.database = DatabaseAnswer::Problem("config.yaml cannot be read".into());
        }),
        ("another mode in the file, and no SETUP_COMPLETE", |scene| {
            scene.config().mode = Mode::Complete;
            scene.config().setup_complete = false;
        }),
        ("another database", |scene| {
            let DatabaseAnswer::Looked(look) = &mut scene.node("quay-2").database else {
                unreachable!()
            };
            look.identity =
                quaymaster_proto::database::DatabaseIdentity::new("postgresql:1:1").unwrap();
            look.shown_as = "quaydb-9:5432/quay".into();
        }),
        ("a standby", |scene| {
            let DatabaseAnswer::Looked(look) = &mut scene.node("quay-2").database else {
                unreachable!()
            };
            look.in_recovery = true;
        }),
        ("half a migration", |scene| {
            for node in ["quay-1", "quay-2", "quay-3"] {
                let DatabaseAnswer::Looked(look) = &mut scene.node(node).database else {
                    unreachable!()
                };
                look.revision = "c00a1f15968b".into();
            }
        }),
    ]));
}

#[test]
fn a_document_is_known_again_and_a_plan_is_none() {
    let scene = in_background();
    let healing = scene.judged().unwrap();
    let (digest, bytes) = document(&scene.cluster.name, &healing).unwrap();
    assert!(is_document(&bytes));
    assert_eq!(document(&scene.cluster.name, &healing).unwrap().0, digest);
    assert!(!is_document(b"{ \"version\": 1, \"cluster\": \"prod\" }") && !is_document(b""));
}
