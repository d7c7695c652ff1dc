//! Restarts and reboots under a real Docker Engine: each node has its own, in namespaces that are
//! not the machine's, and can lose its engine or its power while the others go on.

use quaymaster_lab::cluster::lab_file::EngineKind;
use quaymaster_suite::{Shape, TestLab};

mod rig;

/// A lab whose hosts can be restarted and cut off.
async fn lab(nodes: u8) -> TestLab {
    TestLab::up(shape(nodes)).await
}

fn shape(nodes: u8) -> Shape {
    let mut shape = Shape::of(nodes);
    shape.engine = EngineKind::Private;
    shape
}
