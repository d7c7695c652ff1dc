//! The way of spans to a collector: gathered in memory, sent in batches by a
//! thread of their own. An effect room, and the only one of this crate.
//!
//! Nothing waits for a collector. A span that ends is put into a bounded queue,
//! or dropped where that is full; only `end` waits, and not for long. Where
//! spans go, which and how many at a time is set here, whatever `OTEL_*` variables
//! say; a token for the collector has its place in `OTEL_EXPORTER_OTLP_HEADERS`.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::trace::{SpanId, TraceId, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{
    ExporterBuildError, RetryPolicy, WithExportConfig as _, WithTonicConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, IdGenerator, RandomIdGenerator, Sampler,
    SdkTracerProvider, Span, SpanData, SpanExporter, SpanProcessor,
};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::registry::LookupSpan;

use super::{Collector, TARGET, field};
use crate::causes::in_a_line;
use crate::id::RunId;
use crate::name::{ClusterName, NodeName};
use crate::trace_context::trace_of;

/// How long the last spans may take to be gone: a command ends, and nobody
/// should have to wait for its traces.
const FAREWELL: Duration = Duration::from_secs(2);

/// How long spans that are open at the end may take to end.
const ENDING: Duration = Duration::from_millis(500);

/// How long a collector may take to be reached.
const CONNECT: Duration = Duration::from_secs(2);

/// How long it may take to accept a batch.
const EXPORT: Duration = Duration::from_secs(5);

/// How often a batch is sent again, after 0.1 s and 0.2 s: a hiccup is bridged, and
/// a collector that is away is given up well before the end of `FAREWELL`.
const RETRIES: usize = 2;

/// How long a span waits for company. A crash loses what has not gone.
const GATHER: Duration = Duration::from_secs(1);

/// Spans that wait at most: a window on 100 nodes makes about 4000, over
/// minutes. A few hundred bytes each.
const WAITING: usize = 2048;

/// Spans in one batch.
const BATCH: usize = 256;

/// Whose spans they are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A process that drives a run: all of its spans are of that run's trace.
    Coordinator {
        /// The cluster.
        cluster: ClusterName,
        /// The run.
        run: RunId,
    },
    /// A node's agent: its spans are of its callers' traces.
    Agent {
        /// The cluster.
        cluster: ClusterName,
        /// The node.
        node: NodeName,
    },
}

impl Origin {
    fn resource(&self, version: &'static str) -> Resource {
        let (name, cluster, node) = match self {
            Self::Coordinator { cluster, run: _ } => ("quaymaster", cluster, None),
            Self::Agent { cluster, node } => ("quaymaster-agent", cluster, Some(node)),
        };
        let mut all = vec![
            KeyValue::new("service.name", name),
            KeyValue::new("service.version", version),
            KeyValue::new(field::CLUSTER, cluster.to_string()),
        ];
        if let Some(node) = node {
            all.push(KeyValue::new("service.instance.id", node.to_string()));
            all.push(KeyValue::new(field::NODE, node.to_string()));
        }
        Resource::builder_empty().with_attributes(all).build()
    }

    /// Which trace a span without a parent begins.
    fn ids(&self) -> Ids {
        match self {
            Self::Coordinator { cluster: _, run } => Ids::of(Some(trace_of(*run))),
            Self::Agent { .. } => Ids::of(None),
        }
    }
}

/// Why no spans are sent.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The CA's certificate is of no use.
    #[error("cannot speak TLS with the collector `{collector}`")]
    Tls {
        /// The collector.
        collector: String,
        /// Why.
        source: tonic::transport::Error,
    },
    /// The exporter cannot be made.
    #[error("cannot prepare to send traces to `{collector}`")]
    Exporter {
        /// The collector.
        collector: String,
        /// Why.
        source: ExporterBuildError,
    },
}

/// Spans that did not arrive.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("traces were lost: {why}")]
pub struct Lost {
    why: String,
}

/// From spans to a collector, while it exists.
#[derive(Debug)]
pub struct Pipeline {
    provider: SdkTracerProvider,
    collector: Collector,
    losses: Arc<Losses>,
    open: Open,
}

impl Pipeline {
    /// Prepares to send; the collector is dialled with the first batch. Needs
    /// a tokio runtime. `ca` signs the certificate of an `https` collector.
    pub fn new(
        collector: &Collector,
        ca: &[u8],
        origin: &Origin,
        version: &'static str,
    ) -> Result<Self, PipelineError> {
        let name = || collector.to_string();
        let tls = |source| PipelineError::Tls { collector: name(), source };
        let mut endpoint = Endpoint::from_shared(name())
            .map_err(tls)?
            .connect_timeout(CONNECT)
            .timeout(EXPORT)
            // While something is sent, and only then: a dead line is noticed.
            .http2_keep_alive_interval(CONNECT)
            .keep_alive_timeout(CONNECT);
        if collector.is_encrypted() {
            let ca = Certificate::from_pem(ca);
            endpoint =
                endpoint.tls_config(ClientTlsConfig::new().ca_certificate(ca)).map_err(tls)?;
        }
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .with_channel(endpoint.connect_lazy())
            .with_timeout(EXPORT)
            .with_retry_policy(RetryPolicy::recommended().with_max_retries(RETRIES))
            .build()
            .map_err(|source| PipelineError::Exporter { collector: name(), source })?;
        let losses = Arc::new(Losses::default());
        let counted = Counted { exporter, losses: Arc::clone(&losses) };
        let batches = BatchConfigBuilder::default()
            .with_scheduled_delay(GATHER)
            .with_max_queue_size(WAITING)
            .with_max_export_batch_size(BATCH)
            .build();
        let open = Open::default();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(
                BatchSpanProcessor::builder(counted).with_batch_config(batches).build(),
            )
            // After the one that sends: what has ended here has ended there.
            .with_span_processor(open.clone())
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
            .with_id_generator(origin.ids())
            .with_resource(origin.resource(version))
            .build();
        Ok(Self { provider, collector: collector.clone(), losses, open })
    }

    /// What takes spans off a subscriber: those of `TARGET`, and nothing else.
    pub fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("quaymaster"))
            // Where in the source it was, and on which thread, is not for operators.
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(Targets::new().with_target(TARGET, LevelFilter::INFO))
    }

    /// Sends what is left, within `FAREWELL`. Blocks, and needs the runtime
    /// still: not to be called on one of its threads.
    pub fn end(self) -> Result<(), Lost> {
        self.open.wait_for_none();
        let ended = self.provider.shutdown_with_timeout(FAREWELL);
        let collector = &self.collector;
        let loss = self.losses.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Loss { spans, why, is_away: _ } = &*loss;
        match (spans, ended) {
            (0, Ok(())) => Ok(()),
            (0, Err(_)) => {
                let why = format!("{collector} did not answer within {} s", FAREWELL.as_secs());
                Err(Lost { why })
            }
            (spans, _) => {
                Err(Lost { why: format!("{collector} did not take {spans} spans: {why}") })
            }
        }
    }
}

/// Trace ids of the run, where there is one.
#[derive(Debug)]
struct Ids {
    trace: Option<TraceId>,
    random: RandomIdGenerator,
}

impl Ids {
    fn of(trace: Option<TraceId>) -> Self {
        Self { trace, random: RandomIdGenerator::default() }
    }
}

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        self.trace.unwrap_or_else(|| self.random.new_trace_id())
    }

    fn new_span_id(&self) -> SpanId {
        self.random.new_span_id()
    }
}

/// How many spans have begun and not ended. A task that was ended a moment ago
/// may hold its span, and with it every span above, a moment longer.
#[derive(Clone, Default, Debug)]
struct Open(Arc<(Mutex<usize>, Condvar)>);

impl Open {
    fn count(&self, change: impl FnOnce(usize) -> usize) {
        let (open, changed) = &*self.0;
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        *open = change(*open);
        changed.notify_all();
    }

    /// Gives spans that are about to end the time to; not longer than `ENDING`.
    fn wait_for_none(&self) {
        let (open, changed) = &*self.0;
        let open = open.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = changed.wait_timeout_while(open, ENDING, |open| *open > 0);
    }
}

impl SpanProcessor for Open {
    fn on_start(&self, _span: &mut Span, _context: &Context) {
        self.count(|open| open + 1);
    }

    fn on_end(&self, _span: SpanData) {
        self.count(|open| open.saturating_sub(1));
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// What did not arrive, and why at last.
#[derive(Default, Debug)]
struct Losses(Mutex<Loss>);

#[derive(Default, Debug)]
struct Loss {
    spans: usize,
    why: String,
    /// The last batch was not taken.
    is_away: bool,
}

impl Losses {
    /// Counts, and says in the log when the collector goes and when it is
    /// back: one that is away for a night is no news.
    fn count(&self, spans: usize, result: &OTelSdkResult) {
        let mut loss = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let was_away = std::mem::replace(&mut loss.is_away, result.is_err());
        match result {
            Ok(()) if was_away => tracing::info!("Traces are sent again."),
            Ok(()) => {}
            Err(error) => {
                loss.spans += spans;
                loss.why = in_a_line(error);
                if !was_away {
                    tracing::warn!(
                        error = loss.why,
                        "The collector takes no traces: they are lost."
                    );
                }
            }
        }
    }
}

/// The exporter, with a count of what it could not send.
struct Counted {
    exporter: opentelemetry_otlp::SpanExporter,
    losses: Arc<Losses>,
}

impl fmt::Debug for Counted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Counted")
    }
}

impl SpanExporter for Counted {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.exporter.export(batch).await;
        self.losses.count(spans, &result);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
