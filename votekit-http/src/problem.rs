//! Maps every failure of a call once to HTTP: problem details (RFC 9457) with a stable code.
//!
//! Details are written for the caller and never repeat a value that was sent: it may be a secret in
//! the wrong field. [`catalogue`] has every message.

pub(crate) mod catalogue;
mod document;
mod kind;
mod mapping;
mod refusal;

use std::borrow::Cow;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER, UPGRADE,
    WWW_AUTHENTICATE,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use votekit_core::binding::BindingRule;
use votekit_core::election::{ResultsPolicy, State};
use votekit_core::id::RequestId;
use votekit_core::instant::UnixMinutes;
use votekit_node::config::Role;
use votekit_store::AccountRole;

pub(crate) use self::document::{FieldProblem, ProblemDocument, TYPE_PREFIX};
pub(crate) use self::kind::*;
pub(crate) use self::refusal::Refusal;

/// Why a call failed.
#[derive(Debug)]
pub(crate) enum Problem {
    /// Fields of the body, or the body itself, break rules.
    Malformed { errors: Vec<FieldProblem> },
    /// The ballot has no such choice.
    UnknownChoice,
    /// No or a wrong bearer token.
    Unauthorized,
    /// No voter is signed in for this.
    NotSignedIn,
    /// NAS and code are on the roll of none of the elections that a sign-in names.
    CredentialRefused,
    /// A sign-in with an account was refused, for any reason.
    SignInRefused,
    /// The access token is missing or not valid, for any reason.
    TokenRefused,
    /// The refresh token is not valid, for any reason.
    RefreshRefused,
    /// The account has none of the roles that this requires.
    WrongRole { needs: &'static [AccountRole] },
    /// The account is of an official, who may not work from the network of the request.
    ForeignNetwork,
    /// The policy withholds results now.
    ResultsWithheld { policy: ResultsPolicy, state: State },
    /// A page of another origin sends a form, makes a call with the cookie of a voter, or opens a
    /// WebSocket; or a program does not say that it is no such page.
    ForeignOrigin,
    /// A node with another role serves this.
    NotServedHere { needs: Role },
    /// No such path.
    UnknownRoute,
    /// No such election.
    UnknownElection,
    /// The request was never issued.
    UnknownRequest,
    /// The log is not that large, or the path names no tile.
    UnknownTile,
    /// The log names no such manifest.
    UnknownManifest,
    /// No such roll is loaded.
    UnknownRoll,
    /// The path exists, for other methods.
    MethodNotAllowed,
    /// The body did not arrive in time.
    RequestTimeout,
    /// The poll is not open.
    NotOpen { early: bool, state: State, opens: Option<UnixMinutes>, closes: Option<UnixMinutes> },
    /// The session of the voter has cast a vote in this election.
    AlreadyCast { request: RequestId },
    /// There is no receipt before the decision is recorded.
    NotRecordedYet,
    /// Another account has the e-mail address.
    AccountExists,
    /// A one-time link was used, replaced, or has expired.
    InvitationVoid,
    /// A call of officials, or about accounts, was refused or failed.
    Refused(Refusal),
    /// Requirements of a binding election are not met.
    NotSafe { missing: Vec<BindingRule> },
    /// The address takes WebSockets only.
    UpgradeRequired,
    /// The body is too large.
    BodyTooLarge { bytes_max: usize },
    /// The body is not declared as JSON.
    NotJson,
    /// The body has a content coding.
    ContentCoding,
    /// The message is not HTTP/1.1 as this node parses it. The connection is closed.
    Framing { field: &'static str, rule: &'static str },
    /// The body has a transfer coding other than `chunked`. The connection is closed.
    TransferCoding,
    /// The target of the request is too long. The connection is closed.
    UriTooLong,
    /// The header fields are too many, or too long. The connection is closed.
    HeadersTooLarge,
    /// More votes a second than this node accepts.
    RateLimited { retry_after: Duration },
    /// More votes a second than one address may send.
    AddressShare { retry_after: Duration },
    /// More connections at once than one address may have.
    TooManyConnections,
    /// The limit of readers of live updates is reached.
    TooManyReaders,
    /// The account is already downloading a bundle, or others use all download slots.
    TooManyDownloads,
    /// Too many wrong codes from this network for this elector.
    BackOff { retry_after: Duration },
    /// The credential is on no roll, and such votes arrive faster than they are stored.
    NotRecognised { retry_after: Duration },
    /// More reads a second than one address may send.
    ReadShare { retry_after: Duration },
    /// More sign-ins a second than one address may send.
    SignInShare { retry_after: Duration },
    /// Too many passwords wait to be hashed.
    PasswordsWaiting { retry_after: Duration },
    /// Too many votes with a credential that was already used.
    TooManyDuplicates { retry_after: Duration },
    /// Too many votes are waiting.
    Busy { retry_after: Duration },
    /// The machine's clock went back; nothing was stored.
    Clock,
    /// A fault halted the election on this node; the vote was not stored.
    Halted,
    /// A fault halted an election on this node, and its log, which may have the requested data,
    /// cannot be read.
    UnreadableLog,
    /// A vote was not stored: storage is not available.
    NotStored,
    /// The requested data cannot be read: storage is not available.
    Unavailable,
    /// The vote may or may not have been stored.
    OutcomeUnknown { request: RequestId },
    /// The node is stopping; the call had not begun.
    Stopping,
    /// A fault of the node; its log has the reason.
    Internal,
}

impl Problem {
    /// A problem with one field.
    pub(crate) fn field(field: impl Into<Cow<'static, str>>, rule: impl Into<String>) -> Self {
        Self::Malformed { errors: vec![FieldProblem { field: field.into(), rule: rule.into() }] }
    }

    pub(crate) fn kind(&self) -> &'static Kind {
        match self {
            Self::Malformed { .. } | Self::Framing { .. } => &MALFORMED,
            Self::UnknownChoice => &UNKNOWN_CHOICE,
            Self::Unauthorized => &UNAUTHORIZED,
            Self::NotSignedIn => &NOT_SIGNED_IN,
            Self::SignInRefused | Self::CredentialRefused => &SIGN_IN_REFUSED,
            Self::TokenRefused | Self::RefreshRefused => &TOKEN_REFUSED,
            Self::WrongRole { .. } | Self::ForeignNetwork => &FORBIDDEN,
            Self::AccountExists => &ACCOUNT_EXISTS,
            Self::InvitationVoid => &INVITATION_VOID,
            Self::ResultsWithheld { .. } => &RESULTS_WITHHELD,
            Self::ForeignOrigin => &FOREIGN_ORIGIN,
            Self::NotServedHere { .. } => &NOT_SERVED_HERE,
            Self::UnknownRoute => &UNKNOWN_ROUTE,
            Self::UnknownElection => &UNKNOWN_ELECTION,
            Self::UnknownRequest => &UNKNOWN_REQUEST,
            Self::UnknownTile => &UNKNOWN_TILE,
            Self::UnknownManifest => &UNKNOWN_MANIFEST,
            Self::UnknownRoll => &UNKNOWN_ROLL,
            Self::MethodNotAllowed => &METHOD_NOT_ALLOWED,
            Self::RequestTimeout => &REQUEST_TIMEOUT,
            Self::NotOpen { early: true, .. } => &NOT_OPEN_YET,
            Self::NotOpen { .. } => &CLOSED,
            Self::AlreadyCast { .. } => &ALREADY_CAST,
            Self::NotRecordedYet => &NOT_RECORDED_YET,
            Self::Refused(refusal) => refusal.kind(),
            Self::NotSafe { .. } => &NOT_SAFE,
            Self::UpgradeRequired => &UPGRADE_REQUIRED,
            Self::BodyTooLarge { .. } => &BODY_TOO_LARGE,
            Self::NotJson => &NOT_JSON,
            Self::ContentCoding => &CONTENT_CODING,
            Self::TransferCoding => &TRANSFER_CODING,
            Self::UriTooLong => &URI_TOO_LONG,
            Self::HeadersTooLarge => &HEADERS_TOO_LARGE,
            Self::RateLimited { .. } => &RATE_LIMITED,
            Self::AddressShare { .. } => &ADDRESS_SHARE,
            Self::TooManyConnections => &TOO_MANY_CONNECTIONS,
            Self::TooManyReaders => &TOO_MANY_READERS,
            Self::TooManyDownloads => &TOO_MANY_DOWNLOADS,
            Self::BackOff { .. } => &BACK_OFF,
            Self::NotRecognised { .. } => &NOT_RECOGNISED,
            Self::ReadShare { .. } | Self::SignInShare { .. } => &RATE_LIMITED,
            Self::TooManyDuplicates { .. } => &TOO_MANY_DUPLICATES,
            Self::Busy { .. } | Self::PasswordsWaiting { .. } => &BUSY,
            Self::Clock => &CLOCK,
            Self::Halted | Self::UnreadableLog => &HALTED,
            Self::NotStored | Self::Unavailable => &UNAVAILABLE,
            Self::OutcomeUnknown { .. } => &OUTCOME_UNKNOWN,
            Self::Stopping => &STOPPING,
            Self::Internal => &INTERNAL,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } | Self::AddressShare { retry_after } => {
                Some(*retry_after)
            }
            Self::BackOff { retry_after }
            | Self::NotRecognised { retry_after }
            | Self::ReadShare { retry_after }
            | Self::SignInShare { retry_after }
            | Self::PasswordsWaiting { retry_after }
            | Self::TooManyDuplicates { retry_after }
            | Self::Busy { retry_after } => Some(*retry_after),
            Self::TooManyConnections => Some(CONNECTIONS_RETRY_AFTER),
            Self::TooManyReaders => Some(READERS_RETRY_AFTER),
            Self::TooManyDownloads => Some(DOWNLOADS_RETRY_AFTER),
            Self::NotRecordedYet
            | Self::Clock
            | Self::Halted
            | Self::UnreadableLog
            | Self::NotStored
            | Self::Unavailable
            | Self::OutcomeUnknown { .. }
            | Self::Stopping => Some(SHORT_RETRY_AFTER),
            Self::Refused(refusal)
                if [&ADMIN_BUSY, &UNAVAILABLE, &OUTCOME_UNKNOWN, &HALTED]
                    .contains(&refusal.kind()) =>
            {
                Some(SHORT_RETRY_AFTER)
            }
            _ => None,
        }
    }
}

const SHORT_RETRY_AFTER: Duration = Duration::from_secs(1);

/// The time after which a connection over its address's share may be retried.
pub(crate) const CONNECTIONS_RETRY_AFTER: Duration = Duration::from_secs(5);

/// The time after which a refused reader of live updates may retry.
const READERS_RETRY_AFTER: Duration = Duration::from_secs(10);

/// The time after which a refused download may be tried again.
const DOWNLOADS_RETRY_AFTER: Duration = Duration::from_secs(30);

/// Marks an answer as a problem, for the pages: an extension of the answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProblemMark {
    pub(crate) kind: &'static Kind,
    /// The request that was issued. Only with `outcome-unknown`.
    pub(crate) request: Option<RequestId>,
    /// When the poll opens or closes, if that is known. Only with `not-open-yet` and `closed`.
    pub(crate) when: Option<UnixMinutes>,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (kind, retry_after) = (self.kind(), self.retry_after());
        let request = match self {
            Self::OutcomeUnknown { request } => Some(request),
            _ => None,
        };
        let when = match self {
            Self::NotOpen { early: true, opens, .. } => opens,
            Self::NotOpen { early: false, closes, .. } => closes,
            _ => None,
        };
        let advice = match self {
            Self::Unauthorized
            | Self::NotSignedIn
            | Self::CredentialRefused
            | Self::SignInRefused
            | Self::TokenRefused
            | Self::RefreshRefused => Some((WWW_AUTHENTICATE, "Bearer")),
            Self::ContentCoding => Some((ACCEPT_ENCODING, "identity")),
            Self::UpgradeRequired => Some((UPGRADE, "websocket")),
            // The beginning of the next request is not certain.
            Self::Framing { .. } | Self::TransferCoding => Some((CONNECTION, "close")),
            _ => None,
        };
        let mut response = problem_response(kind.status, self.into_body(), retry_after);
        response.extensions_mut().insert(ProblemMark { kind, request, when });
        if let Some((name, value)) = advice {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// Builds an answer around the body of a problem.
pub(crate) fn problem_response(
    status: StatusCode,
    body: Bytes,
    retry_after: Option<Duration>,
) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(retry_after) = retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds_up(retry_after)));
    }
    response
}

/// Whole seconds, rounded up and at least one, for `Retry-After`.
pub(crate) fn seconds_up(duration: Duration) -> u64 {
    (duration.as_secs() + u64::from(duration.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
#[path = "problem_test.rs"]
mod tests;
