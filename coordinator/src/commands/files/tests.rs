use clap::ColorChoice;
use quaymaster_proto::Mode;
use tempfile::TempDir;
use ulid::Ulid;

use super::*;
use crate::args::{Global, Output};
use crate::survey::fixture;

const CLUSTER: &str = "
version: 1
cluster: prod
state: state
tls: { ca: ca.pem, certificate: operator.pem, key: operator.key }
nodes:
  - { name: quay-1, address: 10.0.0.11 }
";

fn context(directory: &TempDir) -> Context {
    let cluster = directory.path().join("cluster.yaml");
    std::fs::write(&cluster, CLUSTER).unwrap();
    let (output, color) = (Output::Text, ColorChoice::Never);
    Context::load(&Global { cluster, output, color }).unwrap()
}

fn plan(nodes: u8) -> CheckedPlan {
    let cluster = fixture::cluster(nodes);
    let window = fixture::window(1, 2, ("2.9.5", Mode::Absent), ("3.0.5", Mode::Background));
    fixture::plan(&cluster, &fixture::on_2_9_5(&cluster), &window).check().unwrap()
}

fn run() -> RunId {
    RunId::new(Ulid::nil())
}

#[test]
fn a_plan_that_lay_elsewhere_is_found_by_its_run_once_it_is_kept() {
    let directory = TempDir::new().unwrap();
    let (context, plan) = (context(&directory), plan(3));
    let elsewhere = directory.path().join("mine.json");
    std::fs::write(&elsewhere, file::write(&plan)).unwrap();
    let (named, _) = context.named_plan(&elsewhere.display().to_string()).unwrap();
    context.keep_plan(&named).unwrap();
    std::fs::remove_file(&elsewhere).unwrap();
    assert_eq!(context.plan_of(run(), plan.digest()).unwrap(), plan);
}

#[test]
fn another_plan_under_a_plans_name_is_not_taken_for_it() {
    let directory = TempDir::new().unwrap();
    let (context, wanted, other) = (context(&directory), plan(3), plan(2));
    let path = context.keep_plan(&wanted).unwrap();
    std::fs::write(&path, file::write(&other)).unwrap();
    assert!(context.plan_of(run(), wanted.digest()).is_err());
    assert!(context.named_plan(wanted.digest().as_str()).is_err());
    assert!(context.named_plan(wanted.digest().short()).is_err());
}
