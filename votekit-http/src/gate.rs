//! The first check of a request, before the router and before its body is read: determines its
//! address, and refuses it by address or rate alone. Votes, reads and sign-ins with an account have
//! separate rates, so that readers and officials do not use up the rate of voters.
//!
//! The gate also limits the cost of a flood. A refusal costs a digest of the address, two small
//! look-ups and an answer whose body is built once; and only a limited number of refusals a second
//! is answered at once. Further refusals wait, each with its connection, so the flood waits in the
//! attacker's own buffers. A refusal under the address of a page is rendered as a page: the limit
//! bounds that cost too.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Request, Response};
use tower::Service as _;
use votekit_node::limits::rate_limit::RateLimit;
use votekit_node::metrics::{self, Refusal, SignIn};

use crate::context::{Api, ClientPrefix, VOTE_PATH, is_attempt, is_sign_in};
use crate::guard::client_address::client_address;
use crate::guard::cors::{OriginGrant, OriginRules, is_preflight, preflight};
use crate::guard::idempotency_key::IDEMPOTENCY_KEY;
use crate::guard::officials_network;
use crate::live::is_live_path;
use crate::live::readers::ClientShares;
use crate::problem::{Problem, problem_response};
use crate::routes;
use crate::web::lang::Lang;
use crate::web::localized;

/// The gate of the public listener.
pub(crate) struct Gate {
    api: Arc<Api>,
    origins: OriginRules,
    address_share: Bytes,
    read_share: Bytes,
    sign_in_share: Bytes,
    rate: Bytes,
    refusals: RateLimit,
}

/// The longest time that a refusal waits for its turn.
const REFUSAL_WAIT_MAX: Duration = Duration::from_secs(1);

impl Gate {
    /// Creates the gate before the public router of this interface.
    pub(crate) fn new(api: &Arc<Api>) -> Self {
        let (retry_after, refusals_per_second) =
            (Duration::ZERO, api.node.config().refusals_per_second);
        Self {
            api: Arc::clone(api),
            origins: routes::origin_rules(api),
            address_share: Problem::AddressShare { retry_after }.into_body(),
            read_share: Problem::ReadShare { retry_after }.into_body(),
            sign_in_share: Problem::SignInShare { retry_after }.into_body(),
            rate: Problem::RateLimited { retry_after }.into_body(),
            // The burst: the refusals of a tenth of a second.
            refusals: RateLimit::new(refusals_per_second, refusals_per_second / 10),
        }
    }

    /// Passes a request on to the router, and completes the answer.
    pub(crate) async fn pass(&self, router: &Router, request: Request<Body>) -> Response<Body> {
        let grant = self.origins.grant(request.uri().path(), request.headers());
        let page = page_of(request.uri().path());
        let answer = if is_preflight(&grant, &request) {
            preflight()
        } else {
            // A router is always ready.
            let Ok(answer) = router.clone().call(request).await;
            answer
        };
        self.complete(answer, page, grant)
    }

    /// Completes the answer to a request that does not reach the router.
    pub(crate) fn complete_refusal<B>(
        &self,
        request: &Request<B>,
        refusal: Response<Body>,
    ) -> Response<Body> {
        let grant = self.origins.grant(request.uri().path(), request.headers());
        self.complete(refusal, page_of(request.uri().path()), grant)
    }

    /// Renders a problem as a page if the path is that of a page. Adds the fields with which a page
    /// of another origin can read the answer, even a refusal.
    fn complete(
        &self,
        answer: Response<Body>,
        page: Option<(Lang, String)>,
        grant: OriginGrant,
    ) -> Response<Body> {
        let mut answer = match page {
            Some((lang, path)) => localized(&self.api, lang, &path, answer),
            None => answer,
        };
        grant.write(answer.headers_mut());
        answer
    }

    /// Waits for the turn of a refusal.
    pub(crate) async fn pace_refusal(&self) {
        let wait = self.refusals.pace(Instant::now(), REFUSAL_WAIT_MAX);
        if wait > Duration::ZERO {
            tokio::time::sleep(wait).await;
        }
    }

    /// Refuses a request whose address is over its share, or a vote beyond the node's rate. `None`
    /// passes the request on to the router.
    pub(crate) fn refuse<B>(
        &self,
        request: &mut Request<B>,
        peer: IpAddr,
    ) -> Option<Response<Body>> {
        let (node, config) = (&self.api.node, self.api.node.config());
        let address = client_address(peer, request.headers(), config);
        let shares = node.throttle().shares(address, config.counts_alone(address));
        officials_network::record(request.extensions_mut(), address, config);
        if is_sign_in(request.method(), request.uri().path()) {
            if let Err(wait) = self.api.sign_in_rate.take(&shares) {
                metrics::sign_in(SignIn::AddressShare);
                return Some(too_many(&self.sign_in_share, wait));
            }
            request.extensions_mut().insert(ClientPrefix(shares.narrow()));
            return None;
        }
        if !is_attempt(request.method(), request.uri().path()) {
            if let Err(wait) = self.api.read_rate.take(&shares) {
                metrics::read_refused();
                return Some(too_many(&self.read_share, wait));
            }
            if is_live_path(request.uri().path()) {
                request.extensions_mut().insert(ClientShares(shares));
            }
            return None;
        }
        if let Err(wait) = self.api.vote_rate.take(&shares) {
            metrics::vote_refused(Refusal::AddressShare);
            return Some(too_many(&self.address_share, wait));
        }
        // With a key it may repeat a stored vote: the node answers it without using the rate. The
        // same applies to a page, whose form has a key.
        if request.uri().path() == VOTE_PATH
            && !request.headers().contains_key(&IDEMPOTENCY_KEY)
            && let Err(wait) = node.check_rate(Instant::now())
        {
            metrics::vote_refused(Refusal::Rate);
            return Some(too_many(&self.rate, wait));
        }
        request.extensions_mut().insert(ClientPrefix(shares.narrow()));
        None
    }
}

/// The language and the path of a page.
fn page_of(path: &str) -> Option<(Lang, String)> {
    Lang::from_path(path).map(|lang| (lang, path.to_owned()))
}

fn too_many(body: &Bytes, wait: Duration) -> Response<Body> {
    problem_response(axum::http::StatusCode::TOO_MANY_REQUESTS, body.clone(), Some(wait))
}
