//! Every boundary of every window: the coordinator dies at each write of its
//! journal, the agent at each point of each act, and each order comes twice,
//! late, or from a process that is dead. The window ends as the undisturbed one,
//! whether that gets there or, from its last moment before the point of no
//! return, goes back, or is rolled back when it is done.

use std::time::Duration;

use quaymaster::run::{Event, GateFailure};
use tokio::time::sleep;

use crate::cluster::{Chosen, Cluster, Kind, Made, Ordeal};
use crate::operator::{Excuses, Fuse, Moment, Operator, Outcome, Visitor};
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
    /// The coordinator dies while an agent restores.
    Restoring,
    Agent(usize, u64),
    Order(usize, Ordeal),
}

/// Where an undisturbed window leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    There,
    Back,
    Rollback,
}

/// A window.
#[derive(Clone, Copy, Debug)]
struct Window(Kind, Way);

/// What an undisturbed window showed.
struct Seen {
    appends: usize,
    orders: Vec<(usize, u64, u64)>,
    /// Points that each node's agent has passed.
    points: Vec<u64>,
    /// When it began to go back.
    turned: Option<Moment>,
    /// Whether it led back.
    is_back: bool,
}

/// Has it befall the cluster; or the fuse of the coordinator's own.
fn lay(cluster: &Cluster, disturbance: Disturbance) -> Option<Fuse> {
    match disturbance {
        Disturbance::Nothing | Disturbance::Restoring => {}
        Disturbance::Coordinator(fuse) => return Some(fuse),
        Disturbance::Agent(node, point) => {
            cluster.world.state().hosts[node].fuse = Some(point);
        }
        Disturbance::Order(place, ordeal) => {
            cluster.network.lock().unwrap().ordeal = Some((Chosen::Place(place), ordeal));
        }
    }
    None
}

/// Drives a window to its end, and returns what is wrong with it.
fn run(Window(kind, way): Window, disturbance: Disturbance) -> Result<Seen, String> {
    simulate(async {
        let (nodes, shares_config, mapped) = (NODES, false, 90);
        let made = Made { kind, nodes, shares_config, mapped, seed: 1, without: None };
        let (cluster, _directory) = Cluster::new(made).await;
        let operator = Operator::plan(cluster, 1).await;
        let visitor = (way == Way::Back).then(Visitor::default);
        *operator.visitor.lock().unwrap() = visitor;
        let cluster = &operator.cluster;
        let mut done = None;
        if way == Way::Rollback {
            assert_eq!(operator.drive(None).await, Outcome::Done);
            done = Some(Moment {
                appends: *operator.appends.lock().unwrap(),
                orders: cluster.network.lock().unwrap().orders.len(),
                points: cluster.points(),
            });
            *operator.rolls_back.lock().unwrap() = true;
            cluster.world.state().witness.destroys_migration = true;
        }
        let fuse = lay(cluster, disturbance);
        // Each process has a fuse of its own.
        let before = done.as_ref().map_or(0, |done| done.appends);
        let fuse = fuse.map(|fuse| Fuse { appends: fuse.appends - before, ..fuse });
        let mut outcome = tokio::select! {
            biased;
            outcome = operator.drive(fuse) => outcome,
            () = restoring(cluster), if matches!(disturbance, Disturbance::Restoring) => {
                Outcome::Died
            }
        };
        if matches!(disturbance, Disturbance::Coordinator(_) | Disturbance::Restoring) {
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
        // Before anybody looks how it ended, which is no part of the window.
        let points = cluster.points();
        let wrong = flaws(&operator, &outcome, way, disturbance).await;
        let trace = cluster.world.state().trace.join("\n");
        if !wrong.is_empty() {
            return Err(format!("{kind:?} {way:?}, {disturbance:?}: {wrong:#?}\n{trace}"));
        }
        let orders = cluster.network.lock().unwrap().orders.clone();
        let appends = *operator.appends.lock().unwrap();
        let visitor = operator.visitor.lock().unwrap().take();
        let turned = visitor.and_then(|visitor| visitor.since).or(done);
        Ok(Seen { appends, orders, points, turned, is_back: outcome == Outcome::Back })
    })
}

/// What is wrong with how a window ended.
async fn flaws(
    operator: &Operator,
    outcome: &Outcome,
    way: Way,
    disturbance: Disturbance,
) -> Vec<String> {
    let mut wrong = operator.cluster.world.violations();
    match (outcome, way) {
        (Outcome::Done, Way::There) | (Outcome::Back, _) => {
            // A node whose agent is gone keeps its lease.
            let may_keep_lease = matches!(disturbance, Disturbance::Agent(..));
            let excuses = Excuses { may_keep_lease, ..Excuses::default() };
            wrong.extend(operator.unfinished(outcome, excuses).await);
        }
        (Outcome::Done, Way::Back | Way::Rollback) | (Outcome::Holds(_) | Outcome::Died, _) => {
            wrong.push(format!("{outcome:?}"));
        }
    }
    // On the way back a visitor at the database is what turns the window.
    let is_coordinator =
        matches!(disturbance, Disturbance::Coordinator(_) | Disturbance::Restoring);
    if is_coordinator && way != Way::Back && meets_strangers(operator) {
        wrong.push("a later process took the run's own session for a stranger's".to_owned());
    }
    wrong
}

/// Returns in the midst of a restore.
async fn restoring(cluster: &Cluster) {
    while !cluster.world.is_backed_up() {
        sleep(Duration::from_millis(50)).await;
    }
}

/// Whether a gate closed at sessions, where there are none but the product's own.
fn meets_strangers(operator: &Operator) -> bool {
    operator.journal.events().iter().any(|event| {
        matches!(event, Event::Closed { failure: GateFailure::ForeignSessions { .. }, .. })
    })
}

/// Every case; the failed ones are told, the first in full.
fn all(what: &str, window: Window, cases: impl IntoIterator<Item = Disturbance>) {
    let (mut count, mut back) = (0, 0);
    let mut failed: Vec<String> = Vec::new();
    for case in cases {
        count += 1;
        match run(window, case) {
            Ok(seen) => back += usize::from(seen.is_back),
            Err(wrong) => failed.push(wrong),
        }
    }
    println!("{what}, {window:?}: {count} cases, {back} went back");
    assert!(count > 10, "{count} cases are not every one");
    let heads = failed.iter().filter_map(|text| text.lines().next()).collect::<Vec<_>>();
    assert!(failed.is_empty(), "{} of {count} failed: {heads:#?}\n{}", failed.len(), failed[0]);
}

/// A window that nothing disturbs; of one that goes back, where that begins.
fn undisturbed(window: Window) -> (Seen, Moment) {
    let seen = run(window, Disturbance::Nothing).unwrap_or_else(|wrong| panic!("{wrong}"));
    let beginning = Moment { appends: 0, orders: 0, points: vec![0; NODES] };
    let from = seen.turned.clone().unwrap_or(beginning);
    (seen, from)
}

fn at_the_journal(window: Window) {
    let (seen, from) = undisturbed(window);
    let fuses = (from.appends..seen.appends).flat_map(|appends| {
        [false, true].map(|writes| Disturbance::Coordinator(Fuse { appends, writes }))
    });
    all("the coordinator dies at its journal", window, fuses);
}

fn in_the_agent(window: Window) {
    let (seen, from) = undisturbed(window);
    let orders = seen.orders.into_iter().skip(from.orders);
    let points =
        orders.flat_map(|(node, from, to)| (from + 1..=to).map(move |point| (node, point)));
    let mut points: std::collections::BTreeSet<_> = points.collect();
    if seen.turned.is_some() {
        // Claims, looks and whatever else there is on the way.
        let all = seen.points.iter().zip(&from.points).enumerate();
        points
            .extend(all.flat_map(|(node, (to, from))| (from + 1..=*to).map(move |it| (node, it))));
    }
    let cases = points.into_iter().map(|(node, point)| Disturbance::Agent(node, point));
    all("the agent dies", window, cases);
}

fn on_the_way(window: Window) {
    let (seen, from) = undisturbed(window);
    let millis = Duration::from_millis;
    let ordeals = [
        Ordeal::ComesTwice(millis(1)),
        Ordeal::ComesTwice(millis(4000)),
        Ordeal::OutlivesSender(millis(10)),
        Ordeal::OutlivesSender(PAUSE + millis(1)),
        Ordeal::OutlivesSender(PAUSE + millis(500)),
        Ordeal::OutlivesSender(millis(9000)),
    ];
    let cases = (from.orders..seen.orders.len())
        .flat_map(|place| ordeals.map(|ordeal| Disturbance::Order(place, ordeal)));
    all("an order comes twice, late, or from the dead", window, cases);
}

/// One test for each window.
macro_rules! each_window {
    ($($name:ident: $kind:ident $way:ident;)*) => {$(
        mod $name {
            use super::*;

            const WINDOW: Window = Window(Kind::$kind, Way::$way);

            #[test]
            fn the_coordinator_dies_at_any_write() {
                at_the_journal(WINDOW);
            }

            #[test]
            fn the_agent_dies_at_any_point() {
                in_the_agent(WINDOW);
            }

            #[test]
            fn an_order_comes_twice_late_or_from_the_dead() {
                on_the_way(WINDOW);
            }
        }
    )*};
}

each_window! {
    synchronous: Synchronous There;
    first_window: First There;
    second_window: Second There;
    synchronous_back: Synchronous Back;
    first_window_back: First Back;
    second_window_back: Second Back;
}

/// A rollback begins where a whole window has ended, so each of its cases takes
/// twice as long: here it is the coordinator that dies.
macro_rules! each_rollback {
    ($($name:ident: $kind:ident;)*) => {
        mod rollback {
            use super::*;

            $(
                #[test]
                fn $name() {
                    at_the_journal(Window(Kind::$kind, Way::Rollback));
                }
            )*
        }
    };
}

#[test]
fn a_coordinator_that_dies_during_a_restore_is_followed_by_one_that_waits_for_it() {
    for kind in [Kind::Synchronous, Kind::First, Kind::Second] {
        let window = Window(kind, Way::Rollback);
        run(window, Disturbance::Restoring).unwrap_or_else(|wrong| panic!("{wrong}"));
    }
}

each_rollback! {
    a_synchronous_window_is_rolled_back_wherever_the_coordinator_dies: Synchronous;
    a_first_window_is_rolled_back_wherever_the_coordinator_dies: First;
    a_second_window_is_rolled_back_wherever_the_coordinator_dies: Second;
}
