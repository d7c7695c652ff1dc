//! A collector of OpenTelemetry: takes spans over gRPC and keeps them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use quaymaster_lab::cluster::wait::until;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

/// How long the last spans may take to arrive; they are sent each second.
const PATIENCE: Duration = Duration::from_secs(30);

/// A span as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) name: String,
    pub(super) kind: SpanKind,
    pub(super) trace: String,
    pub(super) id: String,
    /// Empty for a root.
    pub(super) parent: String,
    pub(super) resource: BTreeMap<String, String>,
    pub(super) fields: BTreeMap<String, String>,
    /// Why it failed, if it did.
    pub(super) failure: Option<String>,
    /// Names of what happened in it, with their fields.
    pub(super) events: Vec<(String, BTreeMap<String, String>)>,
}

impl Span {
    pub(super) fn service(&self) -> &str {
        self.resource.get("service.name").map_or("", String::as_str)
    }

    pub(super) fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    /// A field that arrived as a number.
    pub(super) fn number(&self, name: &str) -> Option<i64> {
        let value = self.fields.get(name)?.strip_prefix("IntValue(")?;
        value.strip_suffix(')')?.parse().ok()
    }
}

/// What has arrived.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<Span>>>);

/// A collector that serves until it is dropped.
pub(super) struct Collector {
    kept: Kept,
    pub(super) url: String,
    _stop: oneshot::Sender<()>,
}

impl Collector {
    pub(super) async fn serve() -> Self {
        Self::serve_as(None).await
    }

    /// With `https` where there is an identity.
    pub(super) async fn serve_as(identity: Option<Identity>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = if identity.is_some() { "https" } else { "http" };
        let kept = Kept::default();
        let (stop, stopped) = oneshot::channel::<()>();
        let mut server = Server::builder();
        if let Some(identity) = identity {
            server = server.tls_config(ServerTlsConfig::new().identity(identity)).unwrap();
        }
        tokio::spawn(
            server.add_service(TraceServiceServer::new(kept.clone())).serve_with_incoming_shutdown(
                TcpListenerStream::new(listener),
                async {
                    let _ = stopped.await;
                },
            ),
        );
        Self { kept, url: format!("{scheme}://{address}"), _stop: stop }
    }

    pub(super) fn spans(&self) -> Vec<Span> {
        self.kept.0.lock().unwrap().clone()
    }

    /// Returns when a span of this name is here.
    pub(super) async fn wait_for(&self, name: &str) {
        until("a span", PATIENCE, async || {
            let is_here = self.spans().iter().any(|span| span.name == name);
            if is_here { Ok(()) } else { Err(format!("no {name} yet")) }
        })
        .await
        .unwrap();
    }

    /// Every span, once the trace is whole: each call that was made has been
    /// served, and each call that was served has led to an act.
    pub(super) async fn whole(&self) -> Vec<Span> {
        until("the last spans", PATIENCE, async || {
            let spans = self.spans();
            let has_child = |span: &Span| spans.iter().any(|child| child.parent == span.id);
            let is_call = |span: &Span| matches!(span.kind, SpanKind::Client | SpanKind::Server);
            let is_open = |span: &&Span| is_call(span) && !has_child(span) && is_rpc(span);
            let has_parent = |span: &Span| {
                span.parent.is_empty() || spans.iter().any(|other| other.id == span.parent)
            };
            match spans.iter().find(is_open).or_else(|| spans.iter().find(|span| !has_parent(span)))
            {
                Some(span) => Err(format!("{} ({}) has no kin", span.name, span.service())),
                None if spans.is_empty() => Err("nothing came".to_owned()),
                None => Ok(spans),
            }
        })
        .await
        .unwrap()
    }
}

pub(super) fn is_rpc(span: &Span) -> bool {
    span.fields.contains_key("rpc.method")
}

#[tonic::async_trait]
impl TraceService for Kept {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for of_resource in request.into_inner().resource_spans {
            let resource = fields(of_resource.resource.unwrap_or_default().attributes);
            let spans = of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            let spans = spans.map(|span| Span {
                kind: span.kind(),
                name: span.name,
                trace: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                resource: resource.clone(),
                fields: fields(span.attributes),
                failure: span
                    .status
                    .filter(|status| status.code() == StatusCode::Error)
                    .map(|status| status.message),
                events: span
                    .events
                    .into_iter()
                    .map(|event| (event.name, fields(event.attributes)))
                    .collect(),
            });
            self.0.lock().unwrap().extend(spans);
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn fields(all: Vec<KeyValue>) -> BTreeMap<String, String> {
    all.into_iter()
        .map(|KeyValue { key, value, .. }| {
            let value = match value.and_then(|value| value.value) {
                Some(Value::StringValue(text)) => text,
                other => other.map(|other| format!("{other:?}")).unwrap_or_default(),
            };
            (key, value)
        })
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
