//! Files for officials: `GET /{lang}/officials/elections/{law_id}/results/{format}`, the results by
//! the results policy, so that an official sees no counts before the public does; and
//! `…/bundle.zip`, the publication bundle.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderValue, Method};
use axum::response::Response;
use serde::Deserialize;
use votekit_core::election::State as ElectionState;
use votekit_core::export::csv::to_csv;
use votekit_core::export::json::to_json;
use votekit_core::export::nist::to_nist;

use crate::accounts::Caller;
use crate::api::{PathText, law_id};
use crate::bundle_download::bundle_answer;
use crate::context::Api;
use crate::problem::Problem;
use crate::web::lang::Lang;

/// A format of the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// For spreadsheets.
    Csv,
    /// For programs, as in the publication bundle.
    Json,
    /// NIST SP 1500-100.
    Nist,
}

/// Sends the results.
pub(crate) async fn result_file(
    State(api): State<Arc<Api>>,
    PathText((_, law, format)): PathText<(Lang, String, Format)>,
) -> Result<Response, Problem> {
    let law = law_id(&law)?;
    let results = api.node.results(&law, None).await?;
    // Provisional counts are only on the page of results, which marks them as provisional: a file
    // would not.
    if results.state < ElectionState::Closed {
        let (policy, state) = (results.definition.results, results.state);
        return Err(Problem::ResultsWithheld { policy, state });
    }
    let (bytes, content_type, name) = match format {
        Format::Csv => (to_csv(&results), "text/csv; charset=utf-8", "results.csv"),
        Format::Json => (to_json(&results), "application/json", "results.json"),
        Format::Nist => (to_nist(&results), "application/json", "results.nist.json"),
    };
    let mut response = Response::new(Body::from(bytes));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    // A law id is plain ASCII without quotation marks.
    let disposition = format!("attachment; filename=\"{law}-{name}\"");
    let disposition = HeaderValue::try_from(disposition).map_err(|_| Problem::Internal)?;
    headers.insert(CONTENT_DISPOSITION, disposition);
    Ok(response)
}

/// Sends the publication bundle.
pub(crate) async fn bundle_file(
    State(api): State<Arc<Api>>,
    method: Method,
    Extension(caller): Extension<Caller>,
    PathText((_, law)): PathText<(Lang, String)>,
) -> Result<Response, Problem> {
    bundle_answer(&api, &caller, &law_id(&law)?, &method).await
}
