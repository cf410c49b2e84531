//! `/api/v1/session`: a voter signs in with NAS and code, and out. The session is an encrypted
//! cookie; the node keeps no record of it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::ToSchema;
use votekit_core::credential::{AccessCode, CredentialHash, Nas};
use votekit_core::id::ElectionId;
use votekit_node::limits::throttle::Prefix;
use votekit_node::memory::stack_used;
use votekit_node::{SIGN_IN_LAWS_MAX, SubmitError};

use super::viewer::personal;
use crate::context::Api;
use crate::guard::same_origin::check_same_origin;
use crate::guard::voter_body::VoterBody;
use crate::problem::{Problem, ProblemDocument};
use crate::sessions::Session;

/// The sign-in of a voter: exactly these fields, each once.
#[derive(ToSchema)]
#[schema(example = json!({"nas": "000 000 042", "code": "7KQ2M9XA", "law_ids": ["L2025-001", "L2025-002"]}))]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "for the documentation: `VoterBody` reads bodies, without a copy")]
pub(crate) struct VoterSignInBody {
    /// The social insurance number: 9 digits, with or without spaces and hyphens.
    #[schema(pattern = r"^[ -]*([0-9][ -]*){9}$", min_length = 9)]
    nas: String,
    /// The access code from the letter: 4 to 32 letters and digits.
    #[schema(pattern = r"^[ \t\r\n]*[A-Za-z0-9]{4,32}[ \t\r\n]*$", min_length = 4)]
    code: String,
    /// The laws to sign in for, of one roll. One code may open several.
    #[schema(min_items = 1, max_items = 16)]
    law_ids: Vec<String>,
}

/// The elections that a sign-in has opened.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"recognised": ["L2025-001"], "not_recognised": ["L2025-002"]}))]
pub(crate) struct SignedIn {
    /// The elections whose rolls contain NAS and code: the session may vote in them.
    recognised: Vec<String>,
    /// The elections for which the sign-in failed: NAS and code are not on their roll, they accept
    /// no votes now, or their roll differs from that of the first election that accepts votes. Sign
    /// in for the latter by another call.
    not_recognised: Vec<String>,
}

/// The values with which a voter signs in.
struct SignIn {
    nas: Nas,
    code: AccessCode,
    laws: Vec<ElectionId>,
}

/// Signs a voter in.
///
/// A sign-in is one attempt by the rules for wrong codes, for any number of laws. The cookie and
/// this call are accepted only from pages of this node: the call requires `Sec-Fetch-Site:
/// same-origin`, or an `Origin` that matches `Host`. A session that the request has is kept, with
/// the elections added, unless another person signs in. It ends 30 minutes after its last use.
#[utoipa::path(
    post, path = "/api/v1/session", tag = "vote", operation_id = "voterSignIn",
    security((), ("voter" = [])),
    request_body(content = VoterSignInBody, content_type = "application/json"),
    responses(
        (status = 200, description = "Signed in for at least one election", body = SignedIn, headers(("Set-Cookie" = String, description = "The session"))),
        (status = 400, description = "`malformed`, with each wrong field under errors", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "`sign-in-refused`: NAS and code are on the roll of none of the elections, whichever of the two is wrong", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "`foreign-origin`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "`unknown-election`: none of the elections exists", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 408, description = "`request-timeout`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`not-open-yet`, `closed`: none of the elections takes votes now", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "`body-too-large`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 415, description = "`not-json`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, description = "`rate-limited`, `address-share`, `back-off`", body = ProblemDocument, content_type = "application/problem+json", headers(("Retry-After" = u64, description = "Seconds"))),
        (status = 500, description = "`internal`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "`unavailable`, `halted`, `clock`", body = ProblemDocument, content_type = "application/problem+json", headers(("Retry-After" = u64, description = "Seconds"))),
    )
)]
pub(crate) async fn sign_in(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    check_same_origin(&head.headers, api.sessions.is_confidential())?;
    let time = api.node.config().request_timeout();
    let body = VoterBody::read(&head.headers, body, time, &["nas", "code", "law_ids"]).await?;
    let sign_in = SignIn::parse(body)?;
    let before = api.sessions.open(&head.headers, api.now());
    let prefix = api.client_prefix(&head.extensions);
    drop(head);
    let recognised = recognise(&api, &sign_in, prefix).await?;
    let SignIn { nas, code, laws } = sign_in;
    drop(code);
    let Some((first, _)) = recognised.first() else {
        return Err(Problem::CredentialRefused);
    };
    let mut session = Session::after_sign_in(before, &nas, first, &recognised)?;
    // A session has room for a limited number of elections: further elections are not opened.
    let is_open = |law: &ElectionId| {
        session.knows(law) && recognised.iter().any(|(recognised, _)| recognised == law)
    };
    let (recognised, not_recognised): (Vec<_>, Vec<_>) = laws.iter().partition(|law| is_open(law));
    let texts = |laws: Vec<&ElectionId>| -> Vec<String> {
        laws.into_iter().map(ToString::to_string).collect()
    };
    let (recognised, not_recognised) = (texts(recognised), texts(not_recognised));
    let mut response = personal(&SignedIn { recognised, not_recognised });
    let cookie = api.sessions.seal(&mut session, api.now())?;
    response.headers_mut().insert(SET_COOKIE, cookie);
    Ok(response)
}

impl SignIn {
    fn parse(mut body: VoterBody) -> Result<Self, Problem> {
        let nas = body.text("nas", |text| Nas::parse(text.trim().as_bytes()));
        let code = body.text("code", |text| AccessCode::parse(text.as_bytes()));
        let laws = body.texts("law_ids", str::parse::<ElectionId>);
        if laws.as_ref().is_some_and(|laws| !(1..=SIGN_IN_LAWS_MAX).contains(&laws.len())) {
            body.fault("law_ids", format!("must name 1 to {SIGN_IN_LAWS_MAX} laws"));
        }
        body.check()?;
        match (nas, code, laws) {
            (Some(nas), Some(code), Some(laws)) => Ok(Self { nas, code, laws }),
            // Each field that is absent or wrong is a fault, which was returned.
            _ => Err(Problem::Internal),
        }
    }
}

/// The elections whose rolls contain NAS and code, in one attempt. Elections that accept no votes
/// now are skipped, unless none accepts votes.
async fn recognise(
    api: &Api,
    sign_in: &SignIn,
    prefix: Prefix,
) -> Result<Vec<(ElectionId, CredentialHash)>, Problem> {
    let SignIn { nas, code, laws } = sign_in;
    let mut laws = laws.as_slice();
    loop {
        // The answer of the node is about the first election, whose state is checked before the
        // attempt begins.
        match (api.node.recognise_any(nas, code, laws, prefix).await, laws) {
            (
                Err(
                    SubmitError::UnknownElection
                    | SubmitError::NotOpen { .. }
                    | SubmitError::Halted,
                ),
                [_, rest @ ..],
            ) if !rest.is_empty() => {
                laws = rest;
            }
            (recognised, _) => return recognised.map_err(Problem::not_taken),
        }
    }
}

/// Signs a voter out: ends the session, and removes the cookie.
///
/// A copy of the cookie is void from then on. The call requires the origin of this node, as the
/// sign-in does.
#[utoipa::path(
    delete, path = "/api/v1/session", tag = "vote", operation_id = "voterSignOut",
    security((), ("voter" = [])),
    responses(
        (status = 204, description = "Signed out", headers(("Set-Cookie" = String, description = "Removes the session"))),
        (status = 403, description = "`foreign-origin`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn sign_out(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    check_same_origin(&headers, api.sessions.is_confidential())?;
    // The session contains hashes of credentials.
    stack_used();
    let cleared = api.sessions.end(&headers, api.now());
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, cleared)]).into_response())
}
