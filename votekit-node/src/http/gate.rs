//! The first look at a request, before the router and before its body: where it comes from, and
//! whether a vote is refused for that alone.
//!
//! A flood comes here. What is refused costs a digest of the address, two small look-ups and an
//! answer whose text is made once; and only so many refusals a second are answered at once. Beyond
//! that they wait, each with its connection, and the flood waits in the attacker's own buffers.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::{Method, Request, Response};

use super::client_address::client_address;
use super::problem::{Problem, problem_response};
use super::{Api, VOTE_PATH};
use crate::metrics::{self, Refusal};
use crate::rate_limit::RateLimit;
use crate::throttle::Prefix;

/// The prefix that a vote comes from: an extension of its request.
#[derive(Clone, Copy)]
pub(super) struct ClientPrefix(pub(super) Prefix);

/// The gate of the public listener.
pub(crate) struct Gate {
    api: Arc<Api>,
    back_off: Bytes,
    address_share: Bytes,
    rate: Bytes,
    refusals: RateLimit,
}

/// The longest that a refusal waits for its turn.
const REFUSAL_WAIT_MAX: Duration = Duration::from_secs(1);

impl Gate {
    /// A gate before the router of this interface.
    pub(crate) fn new(api: &Arc<Api>) -> Self {
        let (retry_after, refusals_per_second) =
            (Duration::ZERO, api.node.config().refusals_per_second);
        Self {
            api: Arc::clone(api),
            back_off: Problem::BackOff { retry_after }.into_body(),
            address_share: Problem::AddressShare { retry_after }.into_body(),
            rate: Problem::RateLimited { retry_after }.into_body(),
            // Those of a tenth of a second may come at once.
            refusals: RateLimit::new(refusals_per_second, refusals_per_second / 10),
        }
    }

    /// Waits until it is the turn of this refusal.
    pub(crate) async fn pace_refusal(&self) {
        let wait = self.refusals.pace(Instant::now(), REFUSAL_WAIT_MAX);
        if wait > Duration::ZERO {
            tokio::time::sleep(wait).await;
        }
    }

    /// Lets a request on to the router, or answers it: a vote whose address is in back-off or over
    /// its share, or any vote of a spent second.
    pub(crate) fn refuse<B>(
        &self,
        request: &mut Request<B>,
        peer: IpAddr,
    ) -> Option<Response<Body>> {
        if request.method() != Method::POST || request.uri().path() != VOTE_PATH {
            return None;
        }
        let node = &self.api.node;
        let prefix = node.throttle().prefix(client_address(peer, request.headers(), node.config()));
        let now = Instant::now();
        let answer = |refusal: Refusal, body: &Bytes, wait| {
            metrics::vote_refused(refusal);
            Some(problem_response(
                axum::http::StatusCode::TOO_MANY_REQUESTS,
                body.clone(),
                Some(wait),
            ))
        };
        if let Err(wait) = node.throttle().check_prefix(&prefix, now) {
            return answer(Refusal::BackOff, &self.back_off, wait);
        }
        if let Err(wait) = self.api.address_rate.take(&prefix) {
            return answer(Refusal::AddressShare, &self.address_share, wait);
        }
        if let Err(wait) = node.check_rate(now) {
            return answer(Refusal::Rate, &self.rate, wait);
        }
        request.extensions_mut().insert(ClientPrefix(prefix));
        None
    }
}
