//! Traces: what a run leaves at a collector of OpenTelemetry, and what every
//! span and field of it is called. Dashboards are built on these names: they
//! change as the wire does, by addition.
//!
//! **One run is one trace.** A run's id is a ULID, 128 bits as a trace id is:
//! both are the same number (`trace_context::trace_of`). So a run that several
//! processes drove, one after another, is one trace with one root span for
//! each of them, and who knows the run knows the trace. The context travels to
//! the agents as W3C `traceparent` in gRPC metadata.
//!
//! | span | where | kind | fields | what it is |
//! |---|---|---|---|---|
//! | [`span::RUN`] | coordinator | root | run, epoch, cluster, plan, window, outcome | one process drives a run, from where it takes it in hand to its end |
//! | [`span::STEP`] | coordinator | in run | step, component, verb, stage | one step of the plan: acts on its nodes, all at once |
//! | [`span::ACT`] | coordinator | in step | node, verb, step, outcome | one node's part of a step, asked until it answers |
//! | [`span::GATE`] | coordinator | in run | step, component, gate, stage, outcome | the run waits at a gate; an event each time when it waits for something else |
//! | [`span::CALL`] | coordinator | client, in act | rpc.system, rpc.service, rpc.method, server.address, node | one order or pull on its way; named by its method |
//! | [`span::SERVED`] | agent | server, in the caller's | rpc.system, rpc.service, rpc.method, rpc.grpc.status_code | the same on the agent's side; named by its method |
//! | [`span::WORK`] | agent | in the call's | run, epoch, step, verb, container.id, outcome | the act itself; a pull's goes on after its call |
//! | [`span::ENGINE`] | agent | client, in work | container.id, container.name (of one that is created) or container.image.name (of a pull) | one change asked of the engine: `docker.create`, `docker.start`, `docker.stop`, `docker.rename`, `docker.update`, `docker.pull` |
//! | [`span::DATABASE`] | agent | client, in work | db.system.name, db.alembic.revision | one look into Quay's database that a start rests on |
//!
//! A span is sent when it has ended, at the latest a second later; a process that
//! is killed leaves its steps without their root.
//!
//! A span that ends in failure has the status `error` with the reason in words,
//! the same words that a log or an error of the command has.
//!
//! **What has no span.** A gate looks at its nodes up to 50 times a second and
//! for hours, health is streamed, a pull is asked after five times a second.
//! Such looks carry no `traceparent`; and an agent makes a span for a call only
//! where its caller's trace is sampled, so they cost nothing and are not seen.
//! The gate's own span says what was waited for. Commands that change nothing
//! (`status`, `plan`, `explain`) send nothing.
//!
//! **Nothing secret.** Only what is listed here is exported: names, ids,
//! digests, addresses of agents, and refusals. Log lines are not.

mod collector;
mod pipeline;

pub use collector::Collector;
pub use pipeline::{Lost, Origin, Pipeline, PipelineError};

use tracing::Span;

use crate::id::{Epoch, StepNumber};

/// The `tracing` target of everything that is exported, and of nothing else:
/// the layer takes this target alone. So neither log lines nor the exporter's
/// own spans (tonic's, h2's) are exported, and log lines show no spans.
pub const TARGET: &str = "quaymaster::trace";

/// Names of spans.
pub mod span {
    /// A process drives a run.
    pub const RUN: &str = "quaymaster.run";
    /// A step of the plan.
    pub const STEP: &str = "quaymaster.step";
    /// One node's part of a step.
    pub const ACT: &str = "quaymaster.act";
    /// A gate.
    pub const GATE: &str = "quaymaster.gate";
    /// A call of an agent; exported under `<service>/<method>`.
    pub const CALL: &str = "call";
    /// A call, on the agent; exported under `<service>/<method>`.
    pub const SERVED: &str = "served";
    /// An act, on the agent.
    pub const WORK: &str = "agent.act";
    /// A change asked of the engine; exported under one of `engine`'s names.
    pub const ENGINE: &str = "docker";
    /// A look into the database.
    pub const DATABASE: &str = "database.look";
}

/// What [`span::ENGINE`] is exported as.
pub mod engine {
    /// A container was created.
    pub const CREATE: &str = "docker.create";
    /// One was started.
    pub const START: &str = "docker.start";
    /// One was asked to end, and killed after its grace.
    pub const STOP: &str = "docker.stop";
    /// One got another name.
    pub const RENAME: &str = "docker.rename";
    /// Removes a container.
    pub const REMOVE: &str = "docker.remove";
    /// One got another restart policy.
    pub const UPDATE: &str = "docker.update";
    /// An image was pulled.
    pub const PULL: &str = "docker.pull";
}

/// Names of fields. Those without `quaymaster.` are OpenTelemetry's.
pub mod field {
    /// The cluster; also of everything that one process sends.
    pub const CLUSTER: &str = "quaymaster.cluster";
    /// The node; also of everything that an agent sends.
    pub const NODE: &str = "quaymaster.node";
    /// The run's id.
    pub const RUN: &str = "quaymaster.run";
    /// Which process of the run.
    pub const EPOCH: &str = "quaymaster.epoch";
    /// The plan's digest.
    pub const PLAN: &str = "quaymaster.plan";
    /// `1 of 2`.
    pub const WINDOW: &str = "quaymaster.window";
    /// A step's number.
    pub const STEP: &str = "quaymaster.step";
    /// `serving`, `dark` or `beyond` (the point of no return).
    pub const STAGE: &str = "quaymaster.stage";
    /// Whose containers: `quay`, `clair`, `builder` or `mirror`.
    pub const COMPONENT: &str = "quaymaster.component";
    /// What is done: on the coordinator the plan's verb, on the agent the ledger's.
    pub const VERB: &str = "quaymaster.verb";
    /// Which gate.
    pub const GATE: &str = "quaymaster.gate";
    /// How it ended; for the rest see the span's status.
    pub const OUTCOME: &str = "quaymaster.outcome";
    /// What a gate waits for, by its kind.
    pub const WAITS_FOR: &str = "quaymaster.waits_for";

    /// A container's id.
    pub const CONTAINER: &str = "container.id";
    /// The name of one that is created.
    pub const CONTAINER_NAME: &str = "container.name";
    /// `repository@digest`.
    pub const IMAGE: &str = "container.image.name";
    /// `postgresql` or `sqlite`.
    pub const DATABASE_KIND: &str = "db.system.name";
    /// The revision that was read.
    pub const REVISION: &str = "db.alembic.revision";
    /// `grpc`.
    pub const RPC_SYSTEM: &str = "rpc.system";
    /// `quaymaster.agent.v1.Agent`.
    pub const RPC_SERVICE: &str = "rpc.service";
    /// `EnsureStopped`.
    pub const RPC_METHOD: &str = "rpc.method";
    /// gRPC's number of how it ended.
    pub const RPC_STATUS: &str = "rpc.grpc.status_code";
    /// An agent's host and port.
    pub const SERVER: &str = "server.address";

    /// To the layer: the name to export under.
    pub const NAME: &str = "otel.name";
    /// To the layer: `client` or `server`.
    pub const KIND: &str = "otel.kind";
    /// To the layer: the status `error`, with this reason.
    pub const FAILURE: &str = "otel.status_description";
}

/// As a field: what OpenTelemetry has as a number is signed.
pub fn step(number: StepNumber) -> i64 {
    number.get().into()
}

/// The same of an epoch.
pub fn epoch(epoch: Epoch) -> i64 {
    epoch.get().try_into().unwrap_or(i64::MAX)
}

/// Marks a span as failed. The span has the field [`field::FAILURE`].
pub fn failed(span: &Span, why: &str) {
    span.record(field::FAILURE, why);
}
