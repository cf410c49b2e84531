//! The language in the address of a page, as the request spells it.
//!
//! The gate knows attempts to vote and to sign in by the path as it was sent. The router decodes
//! the variable parts of a path, so `/%66r/vote/L1` would reach the same handler and count as a
//! read: without the share of its address, and under no address in the throttle.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::problem::Problem;
use crate::web::lang::Lang;

/// The beginning of the paths with a language.
pub(super) const PREFIX: &str = "/{lang}/";

/// Refuses an address whose language has another spelling than those of the pages.
pub(super) async fn require_language(request: Request, next: Next) -> Response {
    if Lang::from_path(request.uri().path()).is_some() {
        next.run(request).await
    } else {
        Problem::UnknownRoute.into_response()
    }
}
