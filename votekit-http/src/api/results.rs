//! `GET /api/v1/results` and `GET /api/v1/results/{law_id}`: counts, if the election's policy shows
//! them now.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::header::{CACHE_CONTROL, VARY};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use votekit_core::election::ResultsPolicy;
use votekit_core::envelope::VoterToken;
use votekit_core::export::json::Document;
use votekit_core::id::{ElectionId, RequestId};
use votekit_core::results::Results;
use votekit_node::{BilingualView, ResultsError};

use super::viewer::Viewer;
use crate::api::{LawPath, PathText, law_id};
use crate::context::Api;
use crate::guard::representation::{REVALIDATE, Representation, UNSTORED};
use crate::guard::response_headers::VOTER_TOKEN;
use crate::problem::catalogue::field_rules;
use crate::problem::{Problem, ProblemDocument};
use crate::published;

/// The results of one election, as in the results file of its publication bundle.
#[allow(
    dead_code,
    reason = "for the documentation: answers are `votekit_core::export::json::Document`, which a \
              test compares with it"
)]
#[derive(ToSchema)]
pub(crate) struct ResultsDocument {
    /// `votekit-results/1`.
    format: String,
    /// The law.
    law_id: String,
    /// Its title.
    title: BilingualView,
    /// Whether the result is binding.
    binding: bool,
    /// `open`, `closing`, `closed`, `certified` or `annulled`.
    state: String,
    /// When the poll opened, RFC 3339.
    opened: Option<String>,
    /// When the poll closed, RFC 3339.
    closed: Option<String>,
    /// Electors registered.
    registered: u64,
    /// Votes received.
    received: u64,
    /// Votes accepted.
    accepted: u64,
    /// Votes of credentials that had already voted.
    duplicate: u64,
    /// Votes decided as invalid.
    invalid: u64,
    /// Repeated copies of requests decided earlier.
    replayed: u64,
    /// Every choice, in ballot order.
    choices: Vec<ChoiceCountDocument>,
    /// Accepted votes whose choice could not be read.
    spoiled: u64,
    /// The count of `oui`; absent if the ballot lacks it.
    oui_count: Option<u64>,
    /// The count of `non`; absent if the ballot lacks it.
    non_count: Option<u64>,
    /// The count of `blanc`; absent if the ballot lacks it.
    blank_count: Option<u64>,
    /// The sum over all choices and spoiled votes.
    total_votes: u64,
    /// Accepted votes in per cent of the electors registered, two decimals.
    turnout: String,
    /// The same in hundredths of a per cent.
    turnout_basis_points: u64,
    /// The log that the results were read from.
    log: LogHeadDocument,
    /// The time of the last block, RFC 3339.
    updated_at: String,
}

/// The count of one choice.
#[expect(dead_code, reason = "for the documentation, as above")]
#[derive(ToSchema)]
pub(crate) struct ChoiceCountDocument {
    /// The choice.
    id: String,
    /// Its French label.
    fr: String,
    /// Its English label.
    en: String,
    /// Accepted votes for it.
    count: u64,
}

/// The head of the log that was read.
#[expect(dead_code, reason = "for the documentation, as above")]
#[derive(ToSchema)]
pub(crate) struct LogHeadDocument {
    /// The number of leaves.
    size: u64,
    /// The root over them, in hexadecimal.
    root: String,
}

/// The results of every election that shows them now.
#[expect(dead_code, reason = "for the documentation: answers borrow their elements")]
#[derive(ToSchema)]
pub(crate) struct AllResultsDocument {
    /// Results that are shown.
    results: Vec<ResultsDocument>,
    /// Elections whose policy withholds their results now, or whose logs cannot be read on this
    /// node.
    withheld: Vec<String>,
}

/// The query parameters of results.
#[derive(Deserialize)]
pub(crate) struct ResultsQuery {
    request_id: Option<String>,
    /// Refused: the token belongs into a header.
    voter_token: Option<String>,
}

/// The request header fields on which the results that a caller sees depend.
const VARY_BY_KEY: &str = "Votekit-Voter-Token, Cookie, Authorization";

/// Shows the results of one election, if its policy allows it.
///
/// Under `after_vote` these open them before the close: an accepted vote's request id with its
/// voter token, the cookie of a session that has cast its vote in the election, and the access
/// token of a member who has voted. All other callers get the same refusal.
#[utoipa::path(
    get, path = "/api/v1/results/{law_id}", tag = "results", operation_id = "results",
    security((), ("voter" = []), ("account" = [])),
    params(
        LawPath,
        ("request_id" = Option<String>, Query, description = "Under `after_vote`: the request id of an accepted vote", pattern = "^[0-9a-f]{32}$", min_length = 32, max_length = 32),
        ("Votekit-Voter-Token" = Option<String>, Header, description = "Under `after_vote`: the \
            token from the answer to that vote; the request id alone is public. The answer is not \
            stored in any cache", pattern = "^[0-9a-f]{32}$", min_length = 32, max_length = 32),
    ),
    responses(
        (status = 200, description = "The results as of the last block that opened them. No cache stores an answer to a key or an access token", body = ResultsDocument),
        (status = 401, description = "`token-refused`: an access token was sent and is not valid", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "`results-withheld`; `forbidden`: an official, from a network where officials may not work", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`unknown-election`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`not-open-yet`: a draft, which is for officials", body = ProblemDocument, content_type = "application/problem+json"),
        (
            status = 421, body = ProblemDocument, content_type = "application/problem+json",
            description = "`not-served-here`: ask a node with the role query; for a member under \
                after_vote, one that has the role seal too"
        ),
        (status = 503, description = "`unavailable`, `halted`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn results(
    State(api): State<Arc<Api>>,
    PathText(law): PathText<String>,
    query: Result<Query<ResultsQuery>, QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, _) = request.into_parts();
    // Before the other checks, as for elections: a token that is not valid is refused for every
    // election.
    let viewer = Viewer::identify(&api, &head).await?;
    let law = law_id(&law)?;
    published::election(&api.node, &law)?;
    let cast = || key_of(&api, &law, viewer.request_for(&law)?);
    let voter = voter(query, &head.headers)?.or_else(cast);
    let results = match api.node.results(&law, voter).await {
        Err(withheld @ ResultsError::Withheld { policy: ResultsPolicy::AfterVote, .. })
            if viewer.is_member() =>
        {
            results_for_member(&api, &law, &viewer, withheld)?
        }
        results => results?,
    };
    let results = Document::new(&results);
    if voter.is_some() || matches!(viewer, Viewer::Account(_)) {
        return Ok(unstored(&results));
    }
    page(&head.headers, &results, VARY_BY_KEY)
}

/// The results of an open poll under `after_vote`, for a member who has voted in it. To all others
/// they are `withheld`, in the same words as to everyone.
fn results_for_member(
    api: &Api,
    law: &ElectionId,
    viewer: &Viewer,
    withheld: ResultsError,
) -> Result<Results, ResultsError> {
    match viewer.has_voted(api, law) {
        Some(true) => api.node.results_for_voters(law),
        // A refusal would say that the member has not voted.
        None if api.node.takes_members(law) => Err(ResultsError::NotHere),
        _ => Err(withheld),
    }
}

/// An answer for one caller only.
fn unstored(results: &impl Serialize) -> Response {
    let mut response = Json(results).into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(UNSTORED));
    headers.insert(VARY, HeaderValue::from_static(VARY_BY_KEY));
    response
}

/// The vote that the session of a voter cast in an election that shows its results to electors who
/// have voted: the cookie replaces request id and token.
pub(crate) fn cast_in_session(
    api: &Api,
    law: &ElectionId,
    headers: &HeaderMap,
) -> Option<(RequestId, VoterToken)> {
    key_of(api, law, api.sessions.open(headers, api.now())?.request_for(law)?)
}

/// A request in an election with its voter token, which together open the results.
fn key_of(api: &Api, law: &ElectionId, request: RequestId) -> Option<(RequestId, VoterToken)> {
    Some((request, api.node.voter_token(law, &request)?))
}

/// Whether a vote opens the results of an election that shows them to those who have voted. On a
/// node that does not know who has voted it opens nothing.
pub(crate) async fn is_opened_by(
    api: &Api,
    law: &ElectionId,
    voter: Option<(RequestId, VoterToken)>,
) -> bool {
    voter.is_some() && api.node.results(law, voter).await.is_ok()
}

fn page(
    headers: &HeaderMap,
    results: &impl Serialize,
    vary: &'static str,
) -> Result<Response, Problem> {
    let json = serde_json::to_vec(results).map_err(|_| Problem::Internal)?;
    Ok(Representation::plain(json, "application/json").answer(headers, REVALIDATE, vary))
}

/// Shows the results of every election whose policy allows it.
#[utoipa::path(
    get, path = "/api/v1/results", tag = "results", operation_id = "allResults",
    responses(
        (status = 200, description = "Results that are shown, and the elections that withhold theirs", body = AllResultsDocument),
        (
            status = 421, body = ProblemDocument, content_type = "application/problem+json",
            description = "`not-served-here`: ask a node with the role query"
        ),
        (status = 503, description = "`unavailable`, `halted`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn all_results(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct All<'a> {
        results: Vec<Document<'a>>,
        withheld: Vec<ElectionId>,
    }
    let (mut shown, mut withheld) = (Vec::new(), Vec::new());
    for election in published::elections(&api.node) {
        let law = law_id(&election.law_id)?;
        match api.node.results(&law, None).await {
            Ok(results) => shown.push(results),
            Err(ResultsError::Withheld { .. } | ResultsError::Halted) => withheld.push(law),
            Err(error) => return Err(error.into()),
        }
    }
    let all = All { results: shown.iter().map(Document::new).collect(), withheld };
    page(&headers, &all, "")
}

/// Parses the request id and the voter token. Either of them alone gives no access.
fn voter(
    query: Result<Query<ResultsQuery>, QueryRejection>,
    headers: &HeaderMap,
) -> Result<Option<(RequestId, VoterToken)>, Problem> {
    let wrong = |field| Problem::field(field, field_rules::VOTER_TOKEN);
    let Query(ResultsQuery { request_id, voter_token }) = query.map_err(|_| wrong("request_id"))?;
    if voter_token.is_some() {
        let rule = field_rules::VOTER_TOKEN_IN_ADDRESS;
        return Err(Problem::field("voter_token", rule));
    }
    let request =
        request_id.map(|text| text.parse()).transpose().map_err(|_| wrong("request_id"))?;
    let mut tokens = headers.get_all(&VOTER_TOKEN).iter();
    let token = match (tokens.next(), tokens.next()) {
        (None, _) => None,
        (Some(token), None) => {
            Some(VoterToken::from_hex(token.as_bytes()).map_err(|_| wrong("Votekit-Voter-Token"))?)
        }
        _ => return Err(wrong("Votekit-Voter-Token")),
    };
    Ok(request.zip(token))
}
