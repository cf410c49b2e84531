//! The variable parts of a path. A path that cannot be decoded matches no route.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use votekit_core::id::ElectionId;

use crate::problem::Problem;

/// As [`Path`], with a refusal that is a [`Problem`].
pub(crate) struct PathText<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for PathText<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        path.map(|Path(text)| Self(text)).map_err(|_| Problem::UnknownRoute)
    }
}

/// Parses a law id from a path. A text that is not a law id names no election.
pub(crate) fn law_id(text: &str) -> Result<ElectionId, Problem> {
    text.parse().map_err(|_| Problem::UnknownElection)
}
