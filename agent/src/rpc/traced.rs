//! A service whose calls are spans, where their callers are traced.

use std::convert::Infallible;
use std::task::{Context, Poll};

use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::codegen::{BoxFuture, Service};
use tonic::server::NamedService;
use tracing::Instrument as _;

use crate::telemetry;

/// Whatever serves, with a span around each call.
#[derive(Clone, Debug)]
pub(super) struct Traced<S>(pub(super) S);

impl<S: NamedService> NamedService for Traced<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Traced<S>
where
    S: Service<
            Request<Body>,
            Response = Response<Body>,
            Error = Infallible,
            Future = BoxFuture<Response<Body>, Infallible>,
        >,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let span = telemetry::served(&request);
        let answer = self.0.call(request);
        if span.is_none() {
            return answer;
        }
        Box::pin(async move {
            let answer = answer.instrument(span.clone()).await;
            if let Ok(response) = &answer {
                telemetry::answered(&span, response);
            }
            answer
        })
    }
}
