//! Measures each request of a route: method, status, duration. Builds no label per request.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::http::{Method, Request, Response};
use tower::{Layer, Service};
use votekit_node::metrics::RouteMeter;

/// Measures the wrapped service under one route.
#[derive(Clone)]
pub(crate) struct Timing(Arc<RouteMeter>);

impl Timing {
    /// Measures under this route pattern.
    pub(crate) fn new(route: &'static str) -> Self {
        Self(Arc::new(RouteMeter::new(route)))
    }
}

impl<S> Layer<S> for Timing {
    type Service = Timed<S>;

    fn layer(&self, inner: S) -> Timed<S> {
        Timed { inner, meter: Arc::clone(&self.0) }
    }
}

/// A measured service.
#[derive(Clone)]
pub(crate) struct Timed<S> {
    inner: S,
    meter: Arc<RouteMeter>,
}

impl<S, B, C> Service<Request<B>> for Timed<S>
where
    S: Service<Request<B>, Response = Response<C>>,
    S::Future: Unpin,
{
    type Response = Response<C>;
    type Error = S::Error;
    type Future = Measured<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let method = request.method().clone();
        Measured {
            started: Instant::now(),
            method,
            meter: Arc::clone(&self.meter),
            inner: self.inner.call(request),
        }
    }
}

/// A request in progress.
pub(crate) struct Measured<F> {
    inner: F,
    meter: Arc<RouteMeter>,
    method: Method,
    started: Instant,
}

impl<F, C, E> Future for Measured<F>
where
    F: Future<Output = Result<Response<C>, E>> + Unpin,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(Pin::new(&mut self.inner).poll(context));
        if let Ok(response) = &answer {
            self.meter.answered(
                self.method.as_str(),
                response.status().as_u16(),
                self.started.elapsed(),
            );
        }
        Poll::Ready(answer)
    }
}
