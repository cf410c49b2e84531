//! `PUT /api/v1/votes/{law_id}`: the vote of a voter who has signed in, or of a member. The voter
//! is in the cookie or the token: the body contains only the choice.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, SET_COOKIE};
use axum::response::Response;
use utoipa::ToSchema;
use votekit_core::credential::CredentialHash;
use votekit_core::election::ChoiceId;
use votekit_core::id::ElectionId;
use votekit_node::memory::stack_used;
use votekit_store::AccountRole;

use super::status::VoteStatusDocument;
use super::vote::{VoteReceived, taken};
use crate::accounts::Caller;
use crate::api::{LawPath, PathText, law_id};
use crate::context::Api;
use crate::guard::idempotency_key::idempotency_key;
use crate::guard::prefer::Wait;
use crate::guard::same_origin::check_same_origin;
use crate::guard::voter_body::VoterBody;
use crate::members;
use crate::problem::catalogue::field_rules;
use crate::problem::{Problem, ProblemDocument};
use crate::sessions::Session;

/// The choice of a voter who has signed in.
#[derive(ToSchema)]
#[schema(example = json!({"vote": "oui"}))]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "for the documentation: `VoterBody` reads bodies, without a copy")]
pub(crate) struct ChoiceBody {
    /// The id of the choice.
    #[schema(pattern = "^[a-z0-9._-]+$", min_length = 1, max_length = 50)]
    vote: String,
}

/// Who casts the vote.
enum Voter {
    /// A voter with the session of a cookie, and H of the election.
    InSession(Session, CredentialHash),
    /// A member with a token.
    Member(Caller),
}

/// Casts the vote of a voter who has signed in.
///
/// With the cookie of a voter's session (`POST /api/v1/session`), sent by a page of this node, or
/// with the token of a member. A 202 answer means that the vote is stored durably. The answer to a
/// voter renews the cookie: the election has left it, so that the session votes once. Repeating the
/// request with the same key, and with the cookie that it was sent with, is safe.
#[utoipa::path(
    put, path = "/api/v1/votes/{law_id}", tag = "vote", operation_id = "putVote",
    security(("voter" = []), ("account" = [])),
    params(
        LawPath,
        ("Idempotency-Key" = String, Header, description = "16 to 255 visible ASCII characters that you make and others cannot guess, such as a random UUID: makes a retry the same request, on any node", pattern = "^[!-~]+$", min_length = 16, max_length = 255, example = "8e03978e-40d5-43e8-bc93-6894a57f9324"),
        ("Prefer" = Option<String>, Header, description = "`wait=N` (RFC 7240): waits up to N seconds, 30 at the most, for the decision", example = "wait=10"),
    ),
    request_body(content = ChoiceBody, content_type = "application/json", example = json!({"vote": "oui"})),
    responses(
        (status = 202, description = "Stored durably, to be decided", body = VoteReceived, headers(("Location" = String, description = "Where to get the decision: `/api/v1/vote/{request_id}`"), ("Set-Cookie" = Option<String>, description = "The renewed session of a voter"), ("Votekit-Voter-Token" = Option<String>, description = "Under `after_vote` only: with the request id, the key to the results")), example = json!({"request_id": "000102030405060708090a0b0c0d0e0f", "status": "pending"})),
        (status = 200, description = "Decided within the requested wait", body = VoteStatusDocument, headers(("Preference-Applied" = String, description = "The wait that was applied"), ("Set-Cookie" = Option<String>, description = "The renewed session of a voter"), ("Votekit-Voter-Token" = Option<String>, description = "Under `after_vote` only")), example = json!({"request_id": "000102030405060708090a0b0c0d0e0f", "status": "accepted"})),
        (status = 400, description = "`malformed`, with each wrong field under errors; `unknown-choice`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "`not-signed-in`: no session, or one without this election; `token-refused`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "`foreign-origin`: the cookie came without an origin of this node; `forbidden`: not the account of a member who may vote here", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`unknown-election`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 408, description = "`request-timeout`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`not-open-yet`, `closed`; `already-cast`: this session has voted, and request_id names its vote", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "`body-too-large`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 415, description = "`not-json`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, description = "`rate-limited`, `address-share`, `too-many-duplicates`: this attempt was not stored", body = ProblemDocument, content_type = "application/problem+json", headers(("Retry-After" = u64, description = "Seconds"))),
        (status = 503, description = "`busy`, `unavailable`, `halted`, `clock`: this attempt was not stored. `outcome-unknown`: retry with the same key", body = ProblemDocument, content_type = "application/problem+json", headers(("Retry-After" = u64, description = "Seconds"))),
    )
)]
pub(crate) async fn put_vote(
    State(api): State<Arc<Api>>,
    PathText(law): PathText<String>,
    request: Request,
) -> Result<Response, Problem> {
    let law = law_id(&law)?;
    let (head, body) = request.into_parts();
    let voter = identify(&api, &law, &head.headers).await?;
    let key = idempotency_key(&head.headers)?.map(<[u8]>::to_vec);
    let missing = || Problem::field("Idempotency-Key", field_rules::IDEMPOTENCY_KEY_MISSING);
    let key = key.ok_or_else(missing)?;
    let wait = Wait::from_headers(&head.headers);
    let time = api.node.config().request_timeout();
    let mut body = VoterBody::read(&head.headers, body, time, &["vote"]).await?;
    let choice = body.text("vote", str::parse::<ChoiceId>);
    body.check()?;
    let Some(choice) = choice else { return Err(Problem::UnknownChoice) };
    // Overwritten while the connection waits, because it contains the cookie.
    drop(head);
    match voter {
        Voter::InSession(mut session, hash) => {
            let submitted = api.node.submit_recognised(&law, hash, &choice, &key).await;
            let request = submitted.map_err(Problem::not_taken)?;
            session.record_cast(&law, request);
            let mut response = taken(&api, &law, request, wait).await;
            // The vote is durable: without a new cookie the answer is a success all the same.
            let sealed = api.sessions.seal(&mut session, api.now()).map_err(Problem::from);
            if let Ok(cookie) = sealed {
                response.headers_mut().insert(SET_COOKIE, cookie);
            }
            Ok(response)
        }
        Voter::Member(caller) => {
            let request = members::cast(&api, &caller, &law, &choice, &key).await?;
            Ok(taken(&api, &law, request, wait).await)
        }
    }
}

/// The roles that vote with a token.
const MEMBERS: &[AccountRole] = &[AccountRole::Voter];

/// Who sends the vote: by the token if there is one, else by the cookie, which counts only from a
/// page of this node.
async fn identify(api: &Api, law: &ElectionId, headers: &HeaderMap) -> Result<Voter, Problem> {
    if api.node.election(law).is_none() {
        return Err(Problem::UnknownElection);
    }
    if headers.contains_key(AUTHORIZATION) {
        let caller = api.accounts.bearer(headers).await?;
        if !MEMBERS.contains(&caller.role) {
            return Err(Problem::WrongRole { needs: MEMBERS });
        }
        return Ok(Voter::Member(caller));
    }
    // The session contains hashes of credentials.
    stack_used();
    let session = api.sessions.open(headers, api.now()).ok_or(Problem::NotSignedIn)?;
    check_same_origin(headers, api.sessions.is_confidential())?;
    if let Some(request) = session.request_for(law) {
        return Err(Problem::AlreadyCast { request });
    }
    let hash = session.hash_for(law).ok_or(Problem::NotSignedIn)?;
    Ok(Voter::InSession(session, hash))
}
