//! Traces of a run, where cluster.yaml names a collector
//! (`quaymaster_proto::telemetry` says what is in them).
//!
//! They begin when a process takes a run in hand and end with it. Commands that
//! drive nothing send nothing; without a collector there is no subscriber, so
//! that no span is ever made. Nothing here can fail a run or hold it up.
#![expect(clippy::disallowed_methods, reason = "an effect room: it reads the CA's file")]

use std::fmt::Display;

use quaymaster_proto::telemetry::{self, Origin, Pipeline, TARGET, field, span};
use quaymaster_proto::{Act, NodeName, trace_context};
use serde::Serialize;
use serde_json::Value;
use tonic::{GrpcMethod, Request, Status};
use tracing::field::Empty;
use tracing::{Instrument as _, Span, info, info_span};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::cluster::Cluster;
use crate::exit::Exit;
use crate::gates::Judgement;
use crate::nodes::CallError;
use crate::plan::{CheckedPlan, Step, What, Window};
use crate::render;
use crate::run::{Problem, RunState, Settlement, WaitingOn};

/// The traces of this process, while it drives.
#[derive(Debug)]
pub(crate) struct Traces(Option<Pipeline>);

impl Traces {
    /// Begins where there is somewhere to send to; otherwise says why there is
    /// not. Needs a tokio runtime. Once a process.
    pub(crate) fn begin(cluster: &Cluster, state: &RunState) -> (Self, Option<String>) {
        match prepare(cluster, state) {
            None => (Self(None), None),
            Some(Ok(pipeline)) => (Self(Some(pipeline)), None),
            Some(Err(why)) => (Self(None), Some(format!("no traces are sent: {why}"))),
        }
    }

    /// Sends what is left, but does not wait long; says what was lost.
    pub(crate) async fn end(self) -> Option<String> {
        let pipeline = self.0?;
        // It blocks, and needs the runtime's threads to get on.
        let ended = tokio::task::spawn_blocking(|| pipeline.end()).await;
        let lost = ended.ok()?.err()?;
        Some(lost.to_string())
    }
}

fn prepare(cluster: &Cluster, state: &RunState) -> Option<Result<Pipeline, String>> {
    let collector = cluster.otlp.as_ref()?;
    let origin = Origin::Coordinator { cluster: cluster.name.clone(), run: state.run };
    let path = &cluster.tls.ca;
    let ca =
        std::fs::read(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()));
    Some(ca.and_then(|ca| {
        let pipeline = Pipeline::new(collector, &ca, &origin, env!("CARGO_PKG_VERSION"));
        let pipeline = pipeline.map_err(|error| quaymaster_proto::in_a_line(&error))?;
        let subscriber = tracing_subscriber::registry().with(pipeline.layer());
        // Fails only where there is one already, which then has no such layer.
        let _ = tracing::subscriber::set_global_default(subscriber);
        Ok(pipeline)
    }))
}

/// One process drives a run: the root of everything that it does.
pub(crate) fn run(plan: &CheckedPlan, state: &RunState) -> Span {
    let Window { number, of, from: _, to: _ } = plan.plan().window;
    info_span!(
        target: TARGET,
        parent: None,
        span::RUN,
        { field::RUN } = %state.run,
        { field::EPOCH } = state.epoch.map(telemetry::epoch),
        { field::CLUSTER } = %state.cluster,
        { field::PLAN } = %plan.digest(),
        { field::WINDOW } = %format_args!("{number} of {of}"),
        { field::OUTCOME } = Empty,
        { field::FAILURE } = Empty,
    )
}

/// How the driving ended.
pub(crate) fn ended<E: Display>(span: &Span, result: &Result<Exit, E>) {
    let exit = match result {
        Ok(exit) => *exit,
        Err(error) => return telemetry::failed(span, &error.to_string()),
    };
    span.record(field::OUTCOME, exit.meaning());
    match exit {
        Exit::Done | Exit::Waiting | Exit::Interrupted => {}
        Exit::Failed
        | Exit::Usage
        | Exit::Refused
        | Exit::Stale
        | Exit::LeaseHeld
        | Exit::PutBack
        | Exit::FailedBeyond
        | Exit::Unreachable => telemetry::failed(span, exit.meaning()),
    }
}

/// A step or a gate of the run at hand.
pub(crate) fn step(step: &Step) -> Span {
    let Step { number, stage, component, what, nodes: _, width: _, inverse: _ } = step;
    match what {
        What::Act(verb) => info_span!(
            target: TARGET,
            span::STEP,
            { field::STEP } = telemetry::step(*number),
            { field::VERB } = word(verb),
            { field::STAGE } = word(stage),
            { field::COMPONENT } = component.as_str(),
            { field::FAILURE } = Empty,
        ),
        What::Gate(gate) => info_span!(
            target: TARGET,
            span::GATE,
            { field::STEP } = telemetry::step(*number),
            { field::GATE } = word(gate),
            { field::STAGE } = word(stage),
            { field::COMPONENT } = component.as_str(),
            { field::OUTCOME } = Empty,
            { field::FAILURE } = Empty,
        ),
    }
}

/// One node's part of the step at hand.
pub(crate) fn act(node: &NodeName, act: &Act, verb: &str) -> Span {
    info_span!(
        target: TARGET,
        span::ACT,
        { field::NODE } = %node,
        { field::STEP } = telemetry::step(act.step),
        { field::VERB } = verb,
        { field::OUTCOME } = Empty,
        { field::FAILURE } = Empty,
    )
}

/// What came of it.
pub(crate) fn answered(span: &Span, answer: &Result<Settlement, Problem>) {
    match answer {
        Ok(Settlement::Met(outcome)) => {
            span.record(field::OUTCOME, word(outcome.how).as_str());
        }
        Ok(Settlement::Pulled { image: _ }) => {
            span.record(field::OUTCOME, "pulled");
        }
        Ok(Settlement::BackedUp { .. }) => {
            span.record(field::OUTCOME, "backed-up");
        }
        Ok(Settlement::Restored { .. }) => {
            span.record(field::OUTCOME, "restored");
        }
        Err(problem) => telemetry::failed(span, &render::problem(problem)),
    }
}

/// A node did not do its part of the step at hand.
pub(crate) fn step_failed(node: &NodeName, problem: &Problem) {
    telemetry::failed(&Span::current(), &format!("{node}: {}", render::problem(problem)));
}

/// Whether the gate at hand has opened, and what it waits for where that is
/// news.
pub(crate) fn judged(judgement: &Judgement) {
    let span = Span::current();
    match judgement {
        Judgement::Pass(evidence) => {
            span.record(field::OUTCOME, word(evidence).as_str());
        }
        Judgement::Fail(failure) => telemetry::failed(&span, &render::failure(failure)),
        Judgement::Wait(_) => {}
    }
}

/// The gate at hand waits for something that it did not wait for before.
pub(crate) fn waits(on: &WaitingOn) {
    info!(target: TARGET, { { field::WAITS_FOR } = word(on) }, "waits");
}

/// An order on its way to an agent and back.
pub(crate) async fn call<T>(
    node: &NodeName,
    address: &str,
    call: impl Future<Output = Result<T, CallError>>,
) -> Result<T, CallError> {
    let span = info_span!(
        target: TARGET,
        span::CALL,
        { field::KIND } = "client",
        { field::RPC_SYSTEM } = "grpc",
        { field::RPC_SERVICE } = Empty,
        { field::RPC_METHOD } = Empty,
        { field::SERVER } = address,
        { field::NODE } = %node,
        { field::FAILURE } = Empty,
    );
    let result = call.instrument(span.clone()).await;
    if let Err(error) = &result {
        telemetry::failed(&span, &error.reason());
    }
    result
}

/// Puts the context of the call at hand into its metadata, and its method into
/// the span's name. A look is no such call: it carries nothing.
pub(crate) fn carry(mut request: Request<()>) -> Result<Request<()>, Status> {
    let span = Span::current();
    if span.metadata().is_some_and(|about| about.name() == span::CALL) {
        if let Some(method) = request.extensions().get::<GrpcMethod<'static>>() {
            let (service, method) = (method.service(), method.method());
            trace_context::rename(&span, format!("{service}/{method}"));
            span.record(field::RPC_SERVICE, service);
            span.record(field::RPC_METHOD, method);
        }
        trace_context::inject(&span, request.metadata_mut());
    }
    Ok(request)
}

/// What a plan, a journal or a report calls it: never what it holds.
fn word(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        Ok(Value::Object(object)) => {
            object.into_iter().next().map(|(key, _)| key).unwrap_or_default()
        }
        Ok(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_)) | Err(_) => {
            String::new()
        }
    }
}
