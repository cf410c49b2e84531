//! `GET /{lang}/officials/elections/{law_id}/bundle.zip`: the publication bundle as a file.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::Method;
use axum::response::Response;

use crate::accounts::Caller;
use crate::api::{PathText, law_id};
use crate::bundle_download::bundle_answer;
use crate::context::Api;
use crate::problem::Problem;
use crate::web::lang::Lang;

/// Sends the file.
pub(crate) async fn bundle_file(
    State(api): State<Arc<Api>>,
    method: Method,
    Extension(caller): Extension<Caller>,
    PathText((_, law)): PathText<(Lang, String)>,
) -> Result<Response, Problem> {
    bundle_answer(&api, &caller, &law_id(&law)?, &method).await
}
