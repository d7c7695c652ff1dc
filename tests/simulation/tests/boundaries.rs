//! Every boundary of every window: the coordinator dies at each write of its
//! journal, the agent at each point of each act, and each order comes twice,
//! late, or from a process that is dead. The window ends as the undisturbed one.

use std::time::Duration;

use tokio::time::sleep;

use crate::cluster::{Chosen, Cluster, Kind, Made, Ordeal};
use crate::operator::{Fuse, Operator, Outcome};
use crate::whole::simulate;

const NODES: usize = 2;
/// How often an operator takes a run in hand.
const TRIES: usize = 4;
/// Between two of them.
const PAUSE: Duration = Duration::from_millis(700);

/// What disturbs a window.
#[derive(Clone, Copy, Debug)]
enum Disturbance {
    Nothing,
    Coordinator(Fuse),
    Agent(usize, u64),
    Order(usize, Ordeal),
}

/// What an undisturbed window showed.
struct Seen {
    appends: usize,
    orders: Vec<(usize, u64, u64)>,
}

/// Drives a window to its end, and returns what is wrong with it.
fn run(kind: Kind, disturbance: Disturbance) -> Result<Seen, String> {
    simulate(async {
        let made = Made { kind, nodes: NODES, shares_config: false, seed: 1, without: None };
        let (cluster, _directory) = Cluster::new(made).await;
        let operator = Operator::plan(cluster, 1).await;
        let cluster = &operator.cluster;
        let mut fuse = None;
        match disturbance {
            Disturbance::Nothing => {}
            Disturbance::Coordinator(of) => fuse = Some(of),
            Disturbance::Agent(node, point) => {
                cluster.world.state().hosts[node].fuse = Some(point);
            }
            Disturbance::Order(place, ordeal) => {
                cluster.network.lock().unwrap().ordeal = Some((Chosen::Place(place), ordeal));
            }
        }
        let mut outcome = operator.drive(fuse).await;
        if matches!(disturbance, Disturbance::Coordinator(_)) {
            assert_eq!(outcome, Outcome::Died, "{disturbance:?} did not befall it");
        }
        for _ in 0..TRIES {
            if outcome.is_end() {
                break;
            }
            sleep(PAUSE).await;
            outcome = operator.drive(None).await;
        }
        // What is still on its way arrives.
        sleep(Duration::from_secs(20)).await;
        if let Disturbance::Agent(node, _) = disturbance {
            assert_eq!(cluster.world.state().hosts[node].fuse, None, "{disturbance:?}");
        }
        let mut wrong = cluster.world.violations();
        if outcome.is_end() {
            wrong.extend(operator.unfinished(&outcome));
        } else {
            wrong.push(format!("{outcome:?}"));
        }
        let trace = cluster.world.state().trace.join("\n");
        if !wrong.is_empty() {
            return Err(format!("{kind:?}, {disturbance:?}: {wrong:#?}\n{trace}"));
        }
        let orders = cluster.network.lock().unwrap().orders.clone();
        let appends = *operator.appends.lock().unwrap();
        Ok(Seen { appends, orders })
    })
}

/// Every case; the failed ones are told, the first in full.
fn all(what: &str, kind: Kind, cases: impl IntoIterator<Item = Disturbance>) {
    let mut count = 0;
    let mut failed: Vec<String> = Vec::new();
    for case in cases {
        count += 1;
        failed.extend(run(kind, case).err());
    }
    println!("{what}, {kind:?}: {count} cases");
    assert!(count > 10, "{count} cases are not every one");
    let heads = failed.iter().filter_map(|text| text.lines().next()).collect::<Vec<_>>();
    assert!(failed.is_empty(), "{} of {count} failed: {heads:#?}\n{}", failed.len(), failed[0]);
}

fn undisturbed(kind: Kind) -> Seen {
    run(kind, Disturbance::Nothing).unwrap_or_else(|wrong| panic!("{wrong}"))
}

fn at_the_journal(kind: Kind) {
    let appends = undisturbed(kind).appends;
    let fuses = (0..appends).flat_map(|appends| {
        [false, true].map(|writes| Disturbance::Coordinator(Fuse { appends, writes }))
    });
    all("the coordinator dies at its journal", kind, fuses);
}

fn in_the_agent(kind: Kind) {
    let orders = undisturbed(kind).orders;
    let points = orders
        .into_iter()
        .flat_map(|(node, from, to)| (from + 1..=to).map(move |point| (node, point)));
    let points: std::collections::BTreeSet<_> = points.collect();
    let cases = points.into_iter().map(|(node, point)| Disturbance::Agent(node, point));
    all("the agent dies in an act", kind, cases);
}

fn on_the_way(kind: Kind) {
    let orders = undisturbed(kind).orders.len();
    let millis = Duration::from_millis;
    let ordeals = [
        Ordeal::ComesTwice(millis(1)),
        Ordeal::ComesTwice(millis(4000)),
        Ordeal::OutlivesSender(millis(10)),
        Ordeal::OutlivesSender(PAUSE + millis(1)),
        Ordeal::OutlivesSender(PAUSE + millis(500)),
        Ordeal::OutlivesSender(millis(9000)),
    ];
    let cases =
        (0..orders).flat_map(|place| ordeals.map(|ordeal| Disturbance::Order(place, ordeal)));
    all("an order comes twice, late, or from the dead", kind, cases);
}

#[test]
fn the_coordinator_dies_at_any_write_synchronous() {
    at_the_journal(Kind::Synchronous);
}

#[test]
fn the_coordinator_dies_at_any_write_first_window() {
    at_the_journal(Kind::First);
}

#[test]
fn the_coordinator_dies_at_any_write_second_window() {
    at_the_journal(Kind::Second);
}

#[test]
fn the_agent_dies_at_any_point_synchronous() {
    in_the_agent(Kind::Synchronous);
}

#[test]
fn the_agent_dies_at_any_point_first_window() {
    in_the_agent(Kind::First);
}

#[test]
fn the_agent_dies_at_any_point_second_window() {
    in_the_agent(Kind::Second);
}

#[test]
fn an_order_comes_twice_late_or_from_the_dead_synchronous() {
    on_the_way(Kind::Synchronous);
}

#[test]
fn an_order_comes_twice_late_or_from_the_dead_first_window() {
    on_the_way(Kind::First);
}

#[test]
fn an_order_comes_twice_late_or_from_the_dead_second_window() {
    on_the_way(Kind::Second);
}
