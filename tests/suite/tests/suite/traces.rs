//! Traces: a window is one trace over coordinator and agents, also where
//! several processes drove it; no secret is in it; and a collector that is away
//! costs one line.

mod collector;

use std::collections::BTreeMap;
use std::fs;

use insta::assert_snapshot;
use quaymaster_lab::cluster::lab_file::Role;
use quaymaster_lab::engine::RegistryFault;
use quaymaster_lab::pki::{Authority, Subject, Validity};
use quaymaster_lab::witness::{Secret, find_secrets};
use quaymaster_proto::RunId;
use quaymaster_proto::telemetry::{Origin, Pipeline, TARGET, engine, field, span};
use quaymaster_proto::trace_context::trace_of;
use quaymaster_suite::upgrade::{apply_arguments, resume_arguments};
use quaymaster_suite::{Shape, TestLab, redact};
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tonic::transport::Identity;
use tracing_subscriber::layer::SubscriberExt as _;

use self::collector::{Collector, Span};

#[tokio::test]
async fn a_window_of_three_nodes_is_one_trace() {
    let collector = Collector::serve().await;
    let mut lab = TestLab::up(Shape { otlp: Some(collector.url.clone()), ..Shape::of(3) }).await;
    let plan = lab.plan(Some("background")).await;
    assert_eq!(collector.spans().len(), 0, "planning leaves no trace");
    let applied = lab.apply(&plan).await.expect_code(0);
    assert!(!applied.stderr.contains("traces"), "{}", applied.stderr);
    let spans = collector.whole().await;

    let root = root(&spans);
    let run: RunId = root.field(field::RUN).parse().unwrap();
    assert!(spans.iter().all(|span| span.trace == trace_of(run).to_string()));
    assert_eq!(root.field(field::PLAN), plan.digest);
    assert_eq!(root.field(field::OUTCOME), "done");

    // Every agent's every span hangs on the coordinator's root.
    let by_id: BTreeMap<&str, &Span> = spans.iter().map(|span| (span.id.as_str(), span)).collect();
    for span in &spans {
        let mut top = span;
        while !top.parent.is_empty() {
            top = by_id[top.parent.as_str()];
        }
        assert_eq!(top.id, root.id, "{span:?}");
        assert_eq!(span.failure, None, "{span:?}");
    }
    for node in lab.nodes() {
        let own: Vec<_> =
            spans.iter().filter(|span| span.resource.get(field::NODE) == Some(&node)).collect();
        assert!(own.iter().all(|span| span.service() == "quaymaster-agent"));
        assert!(own.iter().any(|span| span.name == span::WORK), "{node} acted");
        for act in own.iter().filter(|span| span.name == span::WORK) {
            assert_eq!(act.field(field::RUN), run.to_string());
        }
    }

    let gate = spans.iter().find(|span| span.field(field::GATE) == "first-node").unwrap();
    let waits = |(_, fields): &(String, BTreeMap<_, _>)| fields.contains_key(field::WAITS_FOR);
    assert!(gate.events.iter().any(waits), "{gate:?}");
    no_secret_in(&lab, &spans);
    redact::settings(&lab).bind(|| assert_snapshot!("trace-of-a-background-window", tree(&spans)));

    // Lines are as they were: they show no spans.
    let log = fs::read_to_string(lab.lab().layout().agent_log("quay-1")).unwrap();
    assert!(log.contains("Done.") && !log.contains(span::WORK), "{log}");
    assert_eq!(exporters(&lab), 1);
    let path = lab.lab().layout().agent_file("quay-1");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace(&format!("\"{}\"", collector.url), "null")).unwrap();
    lab.restart_agent("quay-1").await;
    assert_eq!(exporters(&lab), 0);
}

/// Threads of quay-1's agent that send traces.
fn exporters(lab: &TestLab) -> usize {
    let agent = lab.lab().process(Role::Agent, Some("quay-1")).unwrap();
    let tasks = fs::read_dir(format!("/proc/{}/task", agent.pid)).unwrap();
    let names = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("comm")).unwrap());
    names.filter(|name| name.starts_with("OpenTelemetry")).count()
}

#[tokio::test]
async fn a_run_that_was_killed_and_resumed_is_one_trace() {
    let collector = Collector::serve().await;
    let mut shape = Shape { otlp: Some(collector.url.clone()), ..Shape::of(3) };
    // Spans are sent each second: the migration has to last longer than that.
    shape.pace.start_seconds = 3.0;
    let lab = TestLab::up(shape).await;
    let plan = lab.plan(Some("background")).await;
    let mut first = lab.spawn_quaymaster(apply_arguments(&plan));
    // The first agent says that its Quay migrates.
    collector.wait_for(engine::START).await;
    first.kill().await.unwrap();
    let killed = collector.spans().len();
    lab.quaymaster(resume_arguments(&plan)).await.expect_code(0);

    collector.wait_for(span::RUN).await;
    let spans = collector.spans();
    assert!(spans.len() > killed);
    let run: RunId = root(&spans).field(field::RUN).parse().unwrap();
    assert!(spans.iter().all(|span| span.trace == trace_of(run).to_string()));
    // The one that was killed never ended its own root.
    assert_eq!(root(&spans).number(field::EPOCH), Some(2));
}

#[tokio::test]
async fn a_failure_is_seen_where_it_happened_and_the_next_try_is_beside_it() {
    let collector = Collector::serve().await;
    let lab = TestLab::up(Shape { otlp: Some(collector.url.clone()), ..Shape::of(1) }).await;
    let plan = lab.plan(Some("background")).await;
    lab.set_registry_fault(Some(RegistryFault::DiskFull));
    lab.apply(&plan).await.expect_code(7);
    let spans = collector.whole().await;
    let failed: BTreeMap<&str, &str> = spans
        .iter()
        .filter_map(|span| Some((span.name.as_str(), span.failure.as_deref()?)))
        .collect();
    let names: Vec<&str> = failed.keys().copied().collect();
    assert_eq!(names, [span::WORK, engine::PULL, span::ACT, span::RUN, span::STEP]);
    assert!(failed[span::RUN].contains("put back"), "{}", failed[span::RUN]);
    for name in [span::WORK, engine::PULL, span::ACT, span::STEP] {
        assert!(failed[name].contains("no space left"), "{name}: {}", failed[name]);
    }

    lab.set_registry_fault(None);
    lab.apply(&plan).await.expect_code(0);
    let spans = collector.whole().await;
    let roots: Vec<&Span> = spans.iter().filter(|span| span.parent.is_empty()).collect();
    assert_eq!(roots.len(), 2);
    assert_ne!(roots[0].trace, roots[1].trace, "another run is another trace");
    no_secret_in(&lab, &spans);
}

#[tokio::test]
async fn a_collector_that_is_away_costs_one_line() {
    // Nobody listens, and nobody answers.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for address in [closed, silent.local_addr().unwrap()] {
        let url = format!("http://{address}");
        let lab = TestLab::up(Shape { otlp: Some(url.clone()), ..Shape::of(1) }).await;
        let plan = lab.plan(Some("synchronous")).await;
        assert!(!plan.outcome.stderr.contains("traces"), "{}", plan.outcome.stderr);
        let applied = lab.apply(&plan).await.expect_code(0);
        let lines = applied.stderr.lines();
        let told: Vec<&str> = lines.filter(|line| line.contains("traces")).collect();
        assert_eq!(told.len(), 1, "{}", applied.stderr);
        assert!(told[0].starts_with("warning: traces were lost: "), "{told:?}");
        assert!(told[0].contains(&format!("{url} did not ")), "{told:?}");
        lab.check().await.expect_clean();
    }
}

/// Of the same authority as everybody's certificates.
#[tokio::test]
async fn an_encrypted_collector_shows_a_certificate_of_the_sites_ca() {
    let validity = Validity::lab(OffsetDateTime::now_utc());
    let (own, other) = (Authority::new("own", validity), Authority::new("other", validity));
    let (own, other) = (own.unwrap(), other.unwrap());
    let subject = Subject::Agent { node: "localhost".to_owned() };
    let issued = own.issue("lab", &subject, validity).unwrap();
    let identity = Identity::from_pem(issued.certificate, issued.key);
    let collector = Collector::serve_as(Some(identity)).await;
    let origin = Origin::Agent { cluster: "lab".parse().unwrap(), node: "quay-1".parse().unwrap() };
    let url = collector.url.replace("127.0.0.1", "localhost").parse().unwrap();
    for (authority, arrived) in [(&other, 0), (&own, 1)] {
        let ca = authority.certificate().as_bytes();
        let pipeline = Pipeline::new(&url, ca, &origin, "1.2.3").unwrap();
        let subscriber = tracing_subscriber::registry().with(pipeline.layer());
        tracing::subscriber::with_default(subscriber, || {
            drop(tracing::info_span!(target: TARGET, "sent"));
            drop(tracing::info_span!("not of the target"));
        });
        let ended = tokio::task::spawn_blocking(|| pipeline.end()).await.unwrap();
        assert_eq!(ended.is_ok(), arrived == 1, "{ended:?}");
        assert_eq!(collector.spans().len(), arrived);
    }
    let spans = collector.spans();
    assert_eq!(spans[0].name, "sent");
    assert_eq!(spans[0].resource.get("service.version").map(String::as_str), Some("1.2.3"));
}

/// The only root.
fn root(spans: &[Span]) -> &Span {
    let roots: Vec<_> = spans.iter().filter(|span| span.parent.is_empty()).collect();
    assert_eq!(roots.len(), 1, "{roots:?}");
    assert_eq!((roots[0].name.as_str(), roots[0].service()), (span::RUN, "quaymaster"));
    roots[0]
}

fn no_secret_in(lab: &TestLab, spans: &[Span]) {
    let secrets = lab.lab().file().secrets.iter();
    let secrets: Vec<Secret> = secrets
        .map(|secret| Secret { name: secret.name.clone(), value: secret.value.clone() })
        .collect();
    assert!(!secrets.is_empty());
    let texts: Vec<(String, String)> =
        spans.iter().map(|span| (span.name.clone(), format!("{span:?}"))).collect();
    let texts = texts.iter().map(|(name, text)| (name.as_str(), text.as_bytes()));
    assert_eq!(find_secrets(&secrets, texts), []);
}

/// The trace as an outline: of each span its name and what tells it from its
/// like, of each event what was waited for. Sorted, for what runs at once has no
/// order.
fn tree(spans: &[Span]) -> String {
    lines(spans, "", 0).join("\n")
}

fn lines(spans: &[Span], parent: &str, depth: usize) -> Vec<String> {
    let mut blocks: Vec<(i64, Vec<String>)> = spans
        .iter()
        .filter(|span| span.parent == parent)
        .map(|span| {
            let mut block = vec![format!("{}{}", "  ".repeat(depth), title(span))];
            block.extend(lines(spans, &span.id, depth + 1));
            (span.number(field::STEP).unwrap_or_default(), block)
        })
        .collect();
    blocks.sort();
    blocks.into_iter().flat_map(|(_, block)| block).collect()
}

fn title(span: &Span) -> String {
    const TELLING: [&str; 9] = [
        field::WINDOW,
        field::STEP,
        field::VERB,
        field::GATE,
        field::STAGE,
        field::NODE,
        field::DATABASE_KIND,
        field::REVISION,
        field::OUTCOME,
    ];
    let kind = format!("{:?}", span.kind).to_lowercase();
    let of = span.resource.get(field::NODE).map_or("coordinator", String::as_str);
    let telling = TELLING.iter().filter_map(|name| {
        let value = span.fields.get(*name)?;
        let value = span.number(name).map_or_else(|| value.clone(), |number| number.to_string());
        Some(format!("{}={value}", name.rsplit('.').next().unwrap_or(name)))
    });
    let telling: Vec<String> = telling.collect();
    format!("{} [{of}, {kind}] {}", span.name, telling.join(" ")).trim_end().to_owned()
}
