//! What the agent tells while it runs: lines on standard error for everybody,
//! and spans for a collector where agent.yaml names one.
//!
//! The one place where the subscriber is set up. How lines look is decided in
//! `lines`; `RUST_LOG` decides which there are. What is exported is not
//! `RUST_LOG`'s to decide: the spans of `quaymaster_proto::telemetry`, all of
//! them, and no lines. Without a collector there is no span: no callsite is
//! enabled, nothing is connected and no thread is started.
#![expect(clippy::disallowed_methods, reason = "an effect room: it asks the environment")]

use std::error::Error;
use std::io::IsTerminal as _;

use quaymaster_proto::database::DatabaseLook;
use quaymaster_proto::job::JobState;
use quaymaster_proto::telemetry::{self, Origin, Pipeline, TARGET, field, span};
use quaymaster_proto::trace_context;
use quaymaster_proto::{Act, ActOutcome, How, Refusal};
use tonic::codegen::http;
use tracing::field::Empty;
use tracing::{Instrument as _, Span, Subscriber, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::AgentConfig;
use crate::journal::Lines;
use crate::quay::database::LookError;

/// What has to be ended.
#[derive(Debug)]
pub(crate) struct Telemetry {
    traces: Option<Pipeline>,
}

impl Telemetry {
    /// Sets the subscriber of this process up. Needs a tokio runtime.
    pub(crate) fn begin(config: &AgentConfig) -> Self {
        let lines = lines().with_filter(wanted_lines());
        let registry = tracing_subscriber::registry().with(lines);
        match pipeline(config) {
            None => {
                registry.init();
                Self { traces: None }
            }
            Some(Ok(traces)) => {
                registry.with(traces.layer()).init();
                Self { traces: Some(traces) }
            }
            // A node is upgraded with traces or without.
            Some(Err(error)) => {
                registry.init();
                tracing::warn!(error, "No traces are sent.");
                Self { traces: None }
            }
        }
    }

    /// Sends what is left, but does not wait long. Not to be called on a
    /// thread of the runtime, which must still be there.
    pub(crate) fn end(self) {
        if let Some(Err(lost)) = self.traces.map(Pipeline::end) {
            tracing::warn!("Ended with a loss: {lost}.");
        }
    }
}

/// How lines look, wherever standard error leads.
fn lines<S>() -> impl Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .event_format(Lines::of_stderr())
}

/// `RUST_LOG`, as `info` or `quaymaster_agent=debug,tonic=warn`; `info` where
/// it says nothing usable. Spans are for collectors: no line shows them.
fn wanted_lines() -> Targets {
    let asked = std::env::var("RUST_LOG").ok().filter(|text| !text.is_empty());
    let wanted: Option<Targets> = asked.and_then(|text| text.parse().ok());
    wanted
        .unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO))
        .with_target(TARGET, LevelFilter::OFF)
}

/// The way to the collector, where there is one.
fn pipeline(config: &AgentConfig) -> Option<Result<Pipeline, String>> {
    let collector = config.otlp.as_ref()?;
    let origin = Origin::Agent { cluster: config.cluster.clone(), node: config.node.clone() };
    let ca = std::fs::read(&config.tls.ca)
        .map_err(|error| format!("cannot read `{}`: {error}", config.tls.ca.display()));
    Some(ca.and_then(|ca| {
        let pipeline = Pipeline::new(collector, &ca, &origin, env!("CARGO_PKG_VERSION"));
        pipeline.map_err(|error| quaymaster_proto::in_a_line(&error))
    }))
}

/// A call that is served; none where its caller is not traced.
pub(crate) fn served<B>(request: &http::Request<B>) -> Span {
    let Some(caller) = trace_context::extract(request.headers()) else { return Span::none() };
    let path = request.uri().path().trim_start_matches('/');
    let (service, method) = path.split_once('/').unwrap_or((path, ""));
    let served = info_span!(
        target: TARGET,
        parent: None,
        span::SERVED,
        { field::NAME } = path,
        { field::KIND } = "server",
        { field::RPC_SYSTEM } = "grpc",
        { field::RPC_SERVICE } = service,
        { field::RPC_METHOD } = method,
        { field::RPC_STATUS } = Empty,
        { field::FAILURE } = Empty,
    );
    // Fails only on a span that was entered already.
    let _ = served.set_parent(caller);
    served
}

/// How a served call ended: gRPC's status is in the headers of an answer that
/// is none.
pub(crate) fn answered<B>(span: &Span, response: &http::Response<B>) {
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let code = header("grpc-status").and_then(|code| code.parse().ok()).unwrap_or(0_i64);
    span.record(field::RPC_STATUS, code);
    if code != 0 {
        telemetry::failed(span, &format!("gRPC status {code}"));
    }
}

/// An act or a job: also where nobody traces its call, for there are few.
pub(crate) fn work(act: &Act, verb: &str) -> Span {
    let Act { cluster: _, run, epoch, step, plan: _ } = act;
    info_span!(
        target: TARGET,
        span::WORK,
        { field::RUN } = %run,
        { field::EPOCH } = telemetry::epoch(*epoch),
        { field::STEP } = telemetry::step(*step),
        { field::VERB } = verb,
        { field::CONTAINER } = Empty,
        { field::OUTCOME } = Empty,
        { field::FAILURE } = Empty,
    )
}

/// What came of the act at hand.
pub(crate) fn settled(result: &Result<ActOutcome, Refusal>) {
    let span = Span::current();
    match result {
        Ok(ActOutcome { how, container, config: _, engine_time: _ }) => {
            span.record(field::OUTCOME, word(*how));
            if let Some(container) = container {
                span.record(field::CONTAINER, container.id.as_str());
            }
        }
        Err(refusal) => telemetry::failed(&span, &refusal.message),
    }
}

fn word(how: How) -> &'static str {
    match how {
        How::Changed => "changed",
        How::Already => "already",
    }
}

/// What came of a job.
pub(crate) fn job_ended(span: &Span, state: &JobState, how: How) {
    match state {
        JobState::Done { image: _ } | JobState::BackedUp(_) | JobState::Restored { rows: _ } => {
            span.record(field::OUTCOME, word(how));
        }
        JobState::Failed { problem } => telemetry::failed(span, problem),
        JobState::Cancelled => telemetry::failed(span, "cancelled"),
        JobState::Running => {}
    }
}

/// A change that is asked of the engine, by one of `telemetry::engine`'s names.
pub(crate) async fn engine<T, E: Error>(
    name: &'static str,
    container: &str,
    change: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let span = info_span!(
        target: TARGET,
        span::ENGINE,
        { field::NAME } = name,
        { field::KIND } = "client",
        { field::CONTAINER } = container,
        { field::FAILURE } = Empty,
    );
    within(span, change).await
}

/// A container that is created; its id is not known before.
pub(crate) async fn create<T, E: Error>(
    name: &str,
    create: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let span = info_span!(
        target: TARGET,
        span::ENGINE,
        { field::NAME } = telemetry::engine::CREATE,
        { field::KIND } = "client",
        { field::CONTAINER_NAME } = name,
        { field::FAILURE } = Empty,
    );
    within(span, create).await
}

/// A pull from a registry, by the engine.
pub(crate) async fn pull<T, E: Error>(
    image: &str,
    pull: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let span = info_span!(
        target: TARGET,
        span::ENGINE,
        { field::NAME } = telemetry::engine::PULL,
        { field::KIND } = "client",
        { field::IMAGE } = image,
        { field::FAILURE } = Empty,
    );
    within(span, pull).await
}

/// A look into the database; none outside of what is traced, for most looks are
/// polls.
pub(crate) fn database() -> Span {
    let is_traced = Span::current().metadata().is_some_and(|about| about.target() == TARGET);
    if !is_traced {
        return Span::none();
    }
    info_span!(
        target: TARGET,
        span::DATABASE,
        { field::KIND } = "client",
        { field::DATABASE_KIND } = Empty,
        { field::REVISION } = Empty,
        { field::FAILURE } = Empty,
    )
}

/// What such a look brought.
pub(crate) fn looked(span: &Span, look: &Result<DatabaseLook, LookError>) {
    match look {
        Ok(look) => {
            span.record(field::DATABASE_KIND, look.kind.as_str());
            span.record(field::REVISION, look.revision.as_str());
        }
        Err(error) => telemetry::failed(span, &error.in_one_line()),
    }
}

async fn within<T, E: Error>(span: Span, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let result = work.instrument(span.clone()).await;
    if let Err(error) = &result {
        telemetry::failed(&span, &quaymaster_proto::in_a_line(error));
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331";

    #[test]
    fn only_what_a_traced_caller_asks_is_a_span() {
        let subscriber = tracing_subscriber::registry();
        tracing::subscriber::with_default(subscriber, || {
            assert!(served(&call(None)).is_none());
            assert!(served(&call(Some("00"))).is_none());
            let traced = served(&call(Some("01")));
            assert_eq!(traced.metadata().unwrap().name(), span::SERVED);
            // Gates look into the database all the time.
            assert!(database().is_none());
            let foreign = tracing::info_span!("not of the target");
            assert!(foreign.in_scope(database).is_none());
            assert!(!traced.in_scope(database).is_none());
        });
    }

    fn call(flags: Option<&str>) -> http::Request<()> {
        let request = http::Request::builder().uri("/quaymaster.agent.v1.Agent/Describe");
        let request = match flags {
            Some(flags) => request.header("traceparent", format!("{TRACE}-{flags}")),
            None => request,
        };
        request.body(()).unwrap()
    }
}
