use std::path::Path;

use super::*;
use crate::cluster::Cluster;
use crate::render::{self, Style};

fn told(error: &CommandError) -> String {
    let complaint = error.complaint("quaymaster --cluster lab/cluster.yaml");
    format!("{}exit {}\n", render::complaint(&complaint, Style::PLAIN), error.exit().code())
}

fn no_such_file() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

#[test]
fn what_keeps_a_command_from_beginning() {
    let path = PathBuf::from("lab/cluster.yaml");
    let mistakes = Cluster::parse("version: 1\nnods: []\n", Path::new("lab")).unwrap_err();
    let silence = Silence {
        address: "10.0.0.12:9643".parse().unwrap(),
        problem: "connection refused: no agent listens there".to_owned(),
        remedy: "start the agent there: systemctl start quaymaster-agent".to_owned(),
    };
    let errors = [
        CommandError::ReadCluster { path: path.clone(), source: no_such_file() },
        CommandError::Cluster { path: path.clone(), source: mistakes },
        CommandError::Tls(TlsError::Read {
            what: "tls.key",
            path: "lab/operator.key".into(),
            source: no_such_file(),
        }),
        CommandError::Silent { silent: [("quay-2".parse().unwrap(), silence)].into() },
        CommandError::ReadPlan { path, source: no_such_file() },
    ];
    insta::assert_snapshot!(errors.iter().map(told).collect::<Vec<_>>().join("\n"));
}

#[test]
fn what_keeps_a_run_from_beginning() {
    let plan = || "7d1c0be2a9f4".to_owned();
    let errors = [
        CommandError::NeedsApproval { plan: plan() },
        CommandError::NeedsYes { plan: plan() },
        CommandError::PlanOfRun {
            run: "01JD8Z6Q4W5T7N9K2M3P4R5S6T".to_owned(),
            digest: "7d1c0be2a9f4".repeat(6)[..64].parse().unwrap(),
            path: "state/plans/7d1c0be2a9f4.json".into(),
            source: Box::new(CommandError::ReadPlan {
                path: "state/plans/7d1c0be2a9f4.json".into(),
                source: no_such_file(),
            }),
        },
        CommandError::OtherPlanAccepted { accepted: "0123456789ab".to_owned(), plan: plan() },
        CommandError::Declined { what: "the point of no return was not agreed to" },
        CommandError::Unfinished { run: "01JD8Z6Q4W5T7N9K2M3P4R5S6T".to_owned() },
        CommandError::NothingUnfinished { cluster: "prod".to_owned() },
        CommandError::NoSuchGate { plan: plan() },
        CommandError::NothingToWaive,
        CommandError::Journal(JournalError::InUse { path: "state/journal.db".into() }),
    ];
    insta::assert_snapshot!(errors.iter().map(told).collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_state_directory_that_cannot_be_used_says_what_to_do() {
    let disk = |kind: io::ErrorKind| {
        CommandError::Journal(JournalError::Disk {
            what: "open the lock",
            path: "state/journal.lock".into(),
            source: io::Error::from(kind),
        })
    };
    let newer = JournalError::Damaged {
        path: "state/journal.db".into(),
        source: crate::journal::Damage::Newer { seq: 7, found: "2.0".to_owned() },
    };
    let edited = JournalError::Damaged {
        path: "state/journal.db".into(),
        source: crate::journal::Damage::Middle { seq: 7, of: 9 },
    };
    let errors = [
        disk(io::ErrorKind::PermissionDenied),
        disk(io::ErrorKind::ReadOnlyFilesystem),
        disk(io::ErrorKind::StorageFull),
        CommandError::Journal(newer),
        CommandError::Journal(edited),
    ];
    insta::assert_snapshot!(errors.iter().map(told).collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_journal_that_fails_says_so_on_either_side_of_the_point_of_no_return() {
    let full = || JournalError::Sqlite {
        what: "write to",
        path: "state/journal.db".into(),
        source: sqlx::Error::WorkerCrashed,
    };
    let errors = [false, true]
        .map(|has_crossed| CommandError::Run { source: RunError::Journal(full()), has_crossed });
    insta::assert_snapshot!(errors.iter().map(told).collect::<Vec<_>>().join("\n"));
}
