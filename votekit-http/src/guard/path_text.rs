//! The variable parts of a path. A path that does not decode is the path of nothing.

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

/// A law id from a path. What is none names no election.
pub(crate) fn law_id(text: &str) -> Result<ElectionId, Problem> {
    text.parse().map_err(|_| Problem::UnknownElection)
}
