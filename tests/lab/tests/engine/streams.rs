//! What is told bit by bit: logs, events, and the end of a container.

use crate::bench::{Bench, POLITE};
use bollard::{
    container::LogOutput,
    errors::Error,
    query_parameters::{
        EventsOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptions,
        RenameContainerOptionsBuilder, WaitContainerOptionsBuilder,
    },
};
use futures::{StreamExt, TryStreamExt};
use std::collections::HashMap;

#[tokio::test]
async fn a_log_is_followed_to_the_end_of_the_run() {
    let bench = Bench::either().await;
    let id = bench
        .run("a", "trap 'echo last; exit 0' TERM; echo ready; echo oops >&2; sleep 1000 & wait")
        .await;
    let options = LogsOptionsBuilder::default().follow(true).stdout(true).stderr(true).build();
    let mut followed = bench.docker.logs(&id, Some(options)).boxed();
    let mut seen = vec![followed.next().await.unwrap().unwrap()];
    seen.push(followed.next().await.unwrap().unwrap());
    bench.stop(&id, 30).await;
    seen.extend(followed.try_collect::<Vec<_>>().await.unwrap());
    let mut lines: Vec<String> = seen
        .iter()
        .map(|line| match line {
            LogOutput::StdErr { message } => format!("err {}", String::from_utf8_lossy(message)),
            LogOutput::StdOut { message } => format!("out {}", String::from_utf8_lossy(message)),
            other => panic!("no frame: {other:?}"),
        })
        .collect();
    lines.sort();
    assert_eq!(lines, ["err oops\n", "out last\n", "out ready\n"]);
    bench.finish().await;
}

#[tokio::test]
async fn the_end_of_a_log_comes_with_its_moments() {
    let bench = Bench::either().await;
    let id = bench.run("a", "echo one; echo two; echo ready; exit 0").await;
    let options = LogsOptionsBuilder::default().stdout(true).tail("2").timestamps(true).build();
    let lines: Vec<LogOutput> = bench.docker.logs(&id, Some(options)).try_collect().await.unwrap();
    let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
    assert_eq!(lines.len(), 2);
    for (line, text) in lines.iter().zip(["two\n", "ready\n"]) {
        let (moment, rest) = line.split_once(' ').unwrap();
        moment.parse::<jiff::Timestamp>().unwrap();
        assert_eq!(rest, text);
    }
    bench.finish().await;
}

#[tokio::test]
async fn a_log_of_a_container_that_never_ran_ends_at_once() {
    let bench = Bench::either().await;
    let id = bench.create("a", POLITE).await;
    let options = LogsOptionsBuilder::default().follow(true).stdout(true).build();
    let lines: Vec<_> = bench.docker.logs(&id, Some(options)).try_collect().await.unwrap();
    assert!(lines.is_empty());
    bench.finish().await;
}

#[tokio::test]
async fn events_tell_a_whole_life() {
    let bench = Bench::either().await;
    let label = format!("quaymaster.suite={}", bench.name("").trim_end_matches('.'));
    let filters = HashMap::from([
        ("type".to_owned(), vec!["container".to_owned()]),
        ("label".to_owned(), vec![label]),
    ]);
    let options = EventsOptionsBuilder::default().since("1").filters(&filters).build();
    let live = bench.docker.events(Some(options.clone()));
    let id = bench.run("a", POLITE).await;
    let renamed = RenameContainerOptionsBuilder::default().name(&bench.name("b")).build();
    bench.docker.rename_container(&id, renamed).await.unwrap();
    bench.stop(&id, 30).await;
    bench.docker.remove_container(&id, None::<RemoveContainerOptions>).await.unwrap();

    let told: Vec<_> = live.take(7).try_collect().await.unwrap();
    let actions: Vec<&str> = told.iter().map(|event| event.action.as_deref().unwrap()).collect();
    assert_eq!(actions, ["create", "start", "rename", "kill", "die", "stop", "destroy"]);
    for event in &told {
        assert_eq!(event.actor.as_ref().unwrap().id.as_ref(), Some(&id));
        assert!(event.time_nano.unwrap() / 1_000_000_000 == event.time.unwrap());
    }
    let attribute = |at: usize, key: &str| {
        told[at].actor.as_ref().unwrap().attributes.as_ref().unwrap()[key].clone()
    };
    assert_eq!(attribute(0, "name"), bench.name("a"));
    assert_eq!(attribute(2, "name"), bench.name("b"));
    assert_eq!(attribute(2, "oldName"), format!("/{}", bench.name("a")));
    assert_eq!(attribute(3, "signal"), "15");
    assert_eq!(attribute(4, "exitCode"), "7");
    assert_eq!(attribute(4, "of"), "image");

    // The same again, for one who comes later and wants only the past.
    let until = told[6].time.unwrap() + 1;
    let options = EventsOptionsBuilder::default()
        .since("1")
        .until(&until.to_string())
        .filters(&filters)
        .build();
    let past: Vec<_> = bench.docker.events(Some(options)).try_collect().await.unwrap();
    assert_eq!(past.len(), 7);
    bench.finish().await;
}

#[tokio::test]
async fn an_end_is_waited_for() {
    let bench = Bench::either().await;
    let id = bench.run("a", POLITE).await;
    let options = WaitContainerOptionsBuilder::default().condition("not-running").build();
    let waiting = {
        let (docker, id) = (bench.docker.clone(), id.clone());
        tokio::spawn(async move {
            docker.wait_container(&id, Some(options)).try_collect::<Vec<_>>().await
        })
    };
    bench.stop(&id, 30).await;
    match waiting.await.unwrap() {
        Err(Error::DockerContainerWaitError { code, .. }) => assert_eq!(code, 7),
        other => panic!("no end with 7: {other:?}"),
    }
    let mut removal = bench.open("POST", &format!("/containers/{id}/wait?condition=removed")).await;
    bench.docker.remove_container(&id, None::<RemoveContainerOptions>).await.unwrap();
    assert!(removal.rest().await.contains("\"StatusCode\":7"));
    bench.finish().await;
}
