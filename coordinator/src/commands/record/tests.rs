#![expect(clippy::disallowed_methods, reason = "it spoils files of its own")]

use clap::ColorChoice;
use jiff::Timestamp;
use quaymaster_proto::{Epoch, RunId};
use tempfile::TempDir;
use ulid::Ulid;

use super::*;
use crate::args::{Global, Output};
use crate::commands::resume;
use crate::exit::Exit;
use crate::render::{self, Style};
use crate::run::{Cause, Crossing, Event};

struct Machine {
    directory: TempDir,
    context: Context,
}

impl Machine {
    fn of(cluster: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cluster.yaml");
        let text = format!(
            "version: 1\ncluster: {cluster}\nstate: state\n\
             tls: {{ ca: ca.crt, certificate: operator.crt, key: operator.key }}\n\
             nodes:\n  - {{ name: quay-1, address: 10.0.0.11 }}\n"
        );
        std::fs::write(&path, text).unwrap();
        let global = Global { cluster: path, output: Output::Text, color: ColorChoice::Never };
        let context = Context::load(&global).unwrap();
        Self { directory, context }
    }

    fn file(&self) -> std::path::PathBuf {
        store::path(&self.context.cluster.state)
    }

    async fn keeps(&self, events: &[Event]) {
        let (mut journal, _) = Journal::open(&self.context.cluster.state).await.unwrap();
        journal.append(run(), events).await.unwrap();
    }

    /// All of it is in the file once the last connection is closed, which a
    /// connection of its own does a moment after it is dropped.
    async fn is_at_rest(&self) {
        let log = self.file().with_extension("db-wal");
        while log.exists() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    /// What a person is told, without where the files lie.
    fn told(&self, error: &CommandError) -> String {
        let complaint = render::complaint(&error.complaint("quaymaster"), Style::PLAIN);
        let complaint: Vec<&str> = complaint.split_whitespace().collect();
        let at = self.directory.path().display().to_string();
        format!("{}\nexit {}", complaint.join(" ").replace(&at, "DIR"), error.exit().code())
    }
}

fn run() -> RunId {
    RunId::new(Ulid::from_parts(1_700_000_000_000, 7))
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn begun(cluster: &str) -> Vec<Event> {
    vec![
        Event::Started {
            run: run(),
            plan: "a".repeat(64).parse().unwrap(),
            cluster: cluster.parse().unwrap(),
            waivers: Vec::new(),
            at: at(0),
        },
        Event::Driven { epoch: Epoch::FIRST, by: "alice@host".to_owned(), at: at(1) },
    ]
}

#[tokio::test]
async fn another_clusters_journal_is_refused_by_name_and_left_alone() {
    let machine = Machine::of("lab");
    machine.keeps(&begun("prod")).await;
    let before = store::read(&machine.context.cluster.state).await.unwrap();
    let read = machine.context.history().await.unwrap_err();
    let opened = machine.context.journal().await.unwrap_err();
    assert_eq!(opened.to_string(), read.to_string());
    insta::assert_snapshot!(machine.told(&read));
    assert_eq!(store::read(&machine.context.cluster.state).await.unwrap(), before);
}

#[tokio::test]
async fn a_journal_that_is_none_any_more_is_refused_and_left_as_it_is() {
    let mut told = Vec::new();
    let cut = |bytes: Vec<u8>| bytes[..5000].to_vec();
    let overwritten = |bytes: Vec<u8>| vec![b'x'; bytes.len()];
    let spoil: [fn(Vec<u8>) -> Vec<u8>; 2] = [cut, overwritten];
    for spoil in spoil {
        let machine = Machine::of("prod");
        machine.keeps(&begun("prod")).await;
        machine.is_at_rest().await;
        let spoiled = spoil(std::fs::read(machine.file()).unwrap());
        std::fs::write(machine.file(), &spoiled).unwrap();
        let error = machine.context.journal().await.unwrap_err();
        assert!(matches!(error, CommandError::Journal(JournalError::Damaged { .. })), "{error:?}");
        told.push(machine.told(&error));
        assert!(std::fs::read(machine.file()).unwrap() == spoiled, "left as it is");
    }
    insta::assert_snapshot!(told.join("\n\n"));
}

#[tokio::test]
async fn of_two_at_once_the_second_is_refused_and_nothing_is_lost() {
    let machine = Machine::of("prod");
    machine.keeps(&begun("prod")).await;
    let first = machine.context.journal().await.unwrap();
    let error = machine.context.journal().await.unwrap_err();
    assert_eq!(error.exit(), Exit::LeaseHeld);
    insta::assert_snapshot!(machine.told(&error));
    drop(first);
    let history = machine.context.history().await.unwrap().unwrap();
    assert_eq!(history.load(run()).len(), 2);
}

#[tokio::test]
async fn a_run_that_has_ended_says_when_and_how() {
    let because = Cause::Person { by: "alice@host".to_owned(), because: None };
    let back = vec![
        Event::TurnedBack { because, crossing: Crossing::NotIntended, at: at(2) },
        Event::WentBack { at: at(3) },
    ];
    let mut told = Vec::new();
    for end in [vec![Event::Finished { at: at(3) }], back] {
        let machine = Machine::of("prod");
        machine.keeps(&[begun("prod"), end].concat()).await;
        let error = resume::find(&machine.context).await.err().unwrap();
        told.push(machine.told(&error));
    }
    insta::assert_snapshot!(told.join("\n\n"));
}
