//! Whole windows that nothing disturbs.

use crate::cluster::{Cluster, Kind, Made};
use crate::operator::{Excuses, Operator, Outcome};

/// Runs in tokio's stopped time, on one thread.
pub(crate) fn simulate<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(work)
}

#[test]
fn a_window_that_nothing_disturbs_is_done() {
    for kind in Kind::ALL {
        for nodes in 1..=4 {
            simulate(async {
                let (shares_config, mapped) = (nodes == 3, 90);
                let made = Made { kind, nodes, shares_config, mapped, seed: 1, without: None };
                let (cluster, _directory) = Cluster::new(made).await;
                let operator = Operator::plan(cluster, 1).await;
                let outcome = operator.drive(None).await;
                let trace = operator.cluster.world.state().trace.join("\n");
                assert_eq!(outcome, Outcome::Done, "{trace}");
                assert_eq!(operator.cluster.world.violations(), [""; 0], "{trace}");
                assert_eq!(
                    operator.unfinished(&outcome, Excuses::default()).await,
                    [""; 0],
                    "{trace}"
                );
            });
        }
    }
}
