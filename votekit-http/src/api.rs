//! The resources, one in each file, and the variable parts of their paths.

mod viewer;
pub(crate) mod session;
pub(crate) mod user;
pub(crate) mod status;
pub(crate) mod vote;
pub(crate) mod votes;
pub(crate) mod receipt;
pub(crate) mod elections;
mod live_vote;
pub(crate) mod results;
mod live_access;
pub(crate) mod live_events;
pub(crate) mod live_socket;
pub(crate) mod log_tiles;
pub(crate) mod accounts;
pub(crate) mod auth;
mod election_actions;
pub(crate) mod admin;
pub(crate) mod bundle;
pub(crate) mod election_admin;
pub(crate) mod roll_upload;
pub(crate) mod exposition;
pub(crate) mod health;
pub(crate) mod openapi;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;
use votekit_core::id::ElectionId;

use crate::problem::Problem;

/// The variable parts of a path, as [`Path`], with a refusal that is a [`Problem`]. A path that
/// cannot be decoded matches no route.
pub(crate) struct PathText<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for PathText<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        path.map(|Path(text)| Self(text)).map_err(|_| Problem::UnknownRoute)
    }
}

/// The law id in the path of a call, as the documentation describes it.
#[expect(dead_code, reason = "for the documentation: calls parse the text with `law_id`")]
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct LawPath {
    // The comment is in the document, where descriptions are phrases without a full stop.
    /// The law put to the vote
    #[param(example = "L2025-001", pattern = "^[A-Za-z0-9._-]+$", min_length = 1, max_length = 50)]
    law_id: String,
}

/// Parses a law id from a path. A text that is not a law id names no election.
pub(crate) fn law_id(text: &str) -> Result<ElectionId, Problem> {
    text.parse().map_err(|_| Problem::UnknownElection)
}
