//! A node is healed under a lease of its own, and whatever goes wrong gives
//! that back and says how it stands.

use quaymaster_proto::act::{ExpectedDatabase, Ground};
use quaymaster_proto::node::{ConfigFacts, NodeFacts};
use quaymaster_proto::{Component, ContainerStatus, Generation, Reason, RestartPolicy};

use super::stage::{Stage, second_window};
use super::*;
use crate::heal::{Healing, document};
use crate::nodes::Looks as _;
use crate::plan::ReleaseInMode;

fn name() -> NodeName {
    "quay-2".parse().unwrap()
}

async fn described(stage: &Stage) -> NodeFacts {
    stage.fleet.describe(&name(), &SurveyKey::new([1; 32])).await.unwrap()
}

/// quay-2's Quay has ended; what would heal it.
async fn broken() -> (Stage, Healing) {
    let stage = Stage::new(3, &second_window());
    stage.fleet.set_old_container("quay-2", ContainerStatus::Exited);
    let facts = described(&stage).await;
    let container = facts.components[0].container.clone().unwrap();
    let ConfigFacts::Readable(config) = &facts.config else { unreachable!() };
    let database = &stage.plan.plan().database;
    let mode = stage.plan.plan().window.from.mode;
    let healing = Healing {
        node: name(),
        release: ReleaseInMode { release: "3.0.5".into(), mode },
        generation: Generation { image: container.state.image.clone(), mode },
        container: container.state.id.clone(),
        was: "quay is exited".into(),
        restart_policy: RestartPolicy::Always,
        grace_seconds: 10,
        ground: Ground {
            database: ExpectedDatabase {
                identity: database.identity.clone(),
                revisions: vec![database.revision.clone()],
            },
            config: config.sha256.clone(),
        },
        start_at_worst: std::time::Duration::from_secs(180),
    };
    (stage, healing)
}

async fn healed(stage: &Stage, healing: &Healing) -> Result<Healed, NotHealed> {
    let cluster = stage.plan.plan().cluster.clone();
    let order = Heal {
        document: document(&cluster, healing).unwrap(),
        cluster,
        run: RunId::new(ulid::Ulid(9)),
        process: ulid::Ulid(9),
        holder: "alice@host, to heal quay-2".into(),
        seen: None,
        healthy_for: std::time::Duration::from_secs(5),
    };
    heal(&Arc::new(stage.fleet.clone()), healing, &order, |_| {}).await
}

#[tokio::test(start_paused = true)]
async fn a_node_serves_again_with_a_fresh_container_of_its_owners_policy() {
    let (stage, healing) = broken().await;
    let healed = healed(&stage, &healing).await.unwrap();
    let facts = described(&stage).await;
    assert_ne!(healed.container, healing.container);
    let mut all = facts.component(Component::Quay).unwrap().containers();
    let fresh = all.find(|found| found.state.id == healed.container).unwrap();
    assert_eq!(fresh.state.status, ContainerStatus::Running);
    assert_eq!(fresh.state.restart_policy, RestartPolicy::Always);
    assert_eq!(facts.lease, None);
    assert_eq!(stage.fleet.tally().violations, Vec::<String>::new());
    let ledger = stage.fleet.read_ledger(&name(), None).await.unwrap();
    assert!(crate::heal::is_document(&ledger.plan_bytes));
}

#[tokio::test(start_paused = true)]
async fn whatever_goes_wrong_gives_the_lease_back_and_says_where_it_ended() {
    let mut told = Vec::new();
    for verb in ["ensure-stopped", "recreate", "ensure-running", "promote"] {
        let (stage, healing) = broken().await;
        stage.fleet.refuse("quay-2", verb, Reason::Engine);
        let why = healed(&stage, &healing).await.unwrap_err();
        assert_eq!(described(&stage).await.lease, None, "{verb}");
        told.push(format!("{why}\n  {}", crate::render::not_healed(&why)));
    }
    let (stage, mut healing) = broken().await;
    healing.ground.database.revisions = vec!["b918abdbee43".into()];
    let why = healed(&stage, &healing).await.unwrap_err();
    told.push(format!("{why}\n  {}", crate::render::not_healed(&why)));
    insta::assert_snapshot!(told.join("\n"));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_came_up_meanwhile_is_not_overruled() {
    let (stage, healing) = broken().await;
    stage.runner(true).await.drive(Patience::Leave).await.unwrap();
    leases::occupy(&stage, "quay-2").await;
    let why = healed(&stage, &healing).await.unwrap_err();
    assert!(matches!(why, NotHealed::Unclaimed(Problem::Refused { reason: Reason::Lease, .. })));
}
