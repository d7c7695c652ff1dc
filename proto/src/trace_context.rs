//! W3C trace context through gRPC metadata, and the trace of a run.
//!
//! A caller puts the context of its span into the metadata of its call
//! (`inject`), and the agent's span becomes that one's child (`extract`). Where
//! no traces are sent there is no context, nothing is put in and nothing is
//! found.

use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry::trace::{TraceContextExt as _, TraceId};
use opentelemetry::{Context, trace::SpanContext};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tonic::codegen::http::HeaderMap;
use tonic::metadata::{MetadataKey, MetadataMap};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::id::RunId;

/// The trace of a run: the same 128 bits. Whichever process drives the run, on
/// whichever machine, continues this trace.
///
/// The lower 80 bits of a ULID are random, as W3C wants at least 56 of a trace
/// id to be.
pub fn trace_of(run: RunId) -> TraceId {
    TraceId::from_bytes(run.to_bytes())
}

/// Puts the context of `span` into the metadata of a call.
pub fn inject(span: &Span, metadata: &mut MetadataMap) {
    let context = span.context();
    if context.span().span_context().is_valid() {
        TraceContextPropagator::new().inject_context(&context, &mut Metadata(metadata));
    }
}

/// Gives a span that has begun the name that it is exported under.
pub fn rename(span: &Span, name: String) {
    span.context().span().update_name(name);
}

/// The span of the caller, where the call carries a trace that is sampled.
pub fn extract(headers: &HeaderMap) -> Option<Context> {
    // Most calls carry none: then nothing is made.
    headers.get(TRACE_PARENT)?;
    let context = TraceContextPropagator::new().extract(&Headers(headers));
    let is_sampled = |span: &SpanContext| span.is_valid() && span.is_sampled();
    is_sampled(context.span().span_context()).then_some(context)
}

const TRACE_PARENT: &str = "traceparent";

struct Metadata<'a>(&'a mut MetadataMap);

impl Injector for Metadata<'_> {
    fn set(&mut self, key: &str, value: String) {
        // Both are ASCII by their format; what is not cannot be a header.
        if let (Ok(key), Ok(value)) = (MetadataKey::from_bytes(key.as_bytes()), value.parse()) {
            self.0.insert(key, value);
        }
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|key| key.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn a_run_is_a_trace_of_the_same_number() {
        let run: RunId = "01JH5Z3V8Q4T6W2X9Y0ZABCDEF".parse().unwrap();
        let trace = trace_of(run);
        assert_eq!(u128::from_be_bytes(trace.to_bytes()), u128::from_be_bytes(run.to_bytes()));
        assert_ne!(trace, TraceId::INVALID);
    }

    #[test]
    fn the_context_survives_the_wire() {
        let provider = SdkTracerProvider::builder().build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("caller");
            let mut metadata = MetadataMap::new();
            inject(&span, &mut metadata);
            let found = extract(metadata.as_ref()).unwrap();
            let (sent, found) = (span.context(), found.span().span_context().clone());
            let sent = sent.span().span_context().clone();
            assert_eq!((sent.trace_id(), sent.span_id()), (found.trace_id(), found.span_id()));
            assert!(found.is_remote());
        });
    }

    #[test]
    fn without_traces_nothing_travels_and_an_unsampled_one_is_not_taken_up() {
        let mut metadata = MetadataMap::new();
        inject(&tracing::info_span!("caller"), &mut metadata);
        assert!(metadata.is_empty());
        assert!(extract(metadata.as_ref()).is_none());
        for (context, is_taken) in [
            ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true),
            ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", false),
            ("00-00000000000000000000000000000000-b7ad6b7169203331-01", false),
            ("nonsense", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(TRACE_PARENT, context.parse().unwrap());
            assert_eq!(extract(&headers).is_some(), is_taken, "{context}");
        }
    }
}
